//! `find`: looks for files on the host.
//!
//! The host lists what is below the folders; the filters run here. What files contain, and their hashes, are read in a
//! second step, for the files that the other filters leave.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::foreign_text;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::stat;
use crate::inventory::ShellPattern;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;

/// Looks for files.
pub(super) struct Find;

static SPEC: Spec = Spec::new(
    "find",
    &["ansible.builtin", "ansible.legacy"],
    "Looks for files on the host.",
    &[
        Parameter::new("paths", Kind::List, "The folders.").or(&["name", "path"]),
        Parameter::new("patterns", Kind::List, "The names, as globs or expressions (default: all).").or(&["pattern"]),
        Parameter::new("excludes", Kind::List, "Names that are left out.").or(&["exclude"]),
        Parameter::new("use_regex", Kind::Flag, "Whether patterns are expressions (default: false)."),
        Parameter::new("contains", Kind::Text, "The expression that a line of the file begins with."),
        Parameter::new("read_whole_file", Kind::Flag, "Whether `contains` may match anywhere."),
        Parameter::new(
            "file_type",
            Kind::Choice(&["any", "directory", "file", "link"]),
            "What to look for (default: file).",
        ),
        Parameter::new("recurse", Kind::Flag, "Whether to look into folders too (default: false)."),
        Parameter::new("depth", Kind::Number, "How deep to look into folders."),
        Parameter::new("hidden", Kind::Flag, "Whether names that begin with a dot count (default: false)."),
        Parameter::new("follow", Kind::Flag, "Whether links to folders are followed (default: false)."),
        Parameter::new(
            "age",
            Kind::Text,
            "The least age, or with `-` the greatest, in seconds or with s, m, h, d or w.",
        ),
        Parameter::new(
            "age_stamp",
            Kind::Choice(&["atime", "ctime", "mtime"]),
            "The time that says the age (default: mtime).",
        ),
        Parameter::new(
            "size",
            Kind::Text,
            "The least size, or with `-` the greatest, in bytes or with b, k, m, g or t.",
        ),
        Parameter::new("get_checksum", Kind::Flag, "Whether to compute hashes (default: false)."),
        Parameter::new("checksum_algorithm", stat::HASHES, "The hash (default: sha1).")
            .or(&["checksum", "checksum_algo"]),
    ],
)
.needs(&[&["paths"]]);

impl Module for Find {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        let text = |name: &str, default: &str| {
            Ok::<_, String>(arguments.non_empty(name)?.unwrap_or_else(|| default.to_owned()))
        };
        let use_regex = flag("use_regex")?;
        let patterns = |name: &str| {
            let texts = arguments.list(name)?.unwrap_or_default();
            texts.iter().map(|text| NamePattern::compile(text, use_regex)).collect::<Result<Vec<_>, String>>()
        };
        let contains = arguments.non_empty("contains")?;
        Ok(Action::on_host(Search {
            paths: arguments.list("paths")?.unwrap_or_default(),
            patterns: patterns("patterns")?,
            excludes: patterns("excludes")?,
            contains: contains.map(|text| python_regex::compile(&text, Flags::default())).transpose()?,
            whole: flag("read_whole_file")?,
            file_type: text("file_type", "file")?,
            recurse: flag("recurse")?,
            depth: arguments.number("depth")?.filter(|depth| *depth > 0),
            hidden: flag("hidden")?,
            follow: flag("follow")?,
            age: scaled(
                arguments.non_empty("age")?,
                "age",
                &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("w", 604_800)],
            )?,
            stamp: text("age_stamp", "mtime")?,
            size: scaled(
                arguments.non_empty("size")?,
                "size",
                &[("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30), ("t", 1 << 40)],
            )?,
            hash: if flag("get_checksum")? { Some(text("checksum_algorithm", "sha1")?) } else { None },
        }))
    }
}

/// Reads a number with a unit.
fn scaled(text: Option<String>, name: &str, units: &[(&str, i64)]) -> Result<Option<i64>, String> {
    let Some(text) = text.map(|text| text.to_lowercase()) else { return Ok(None) };
    let unit = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = unit.unwrap_or((&text, 1));
    let number = digits.parse::<i64>().ok().and_then(|number| number.checked_mul(factor));
    number.map(Some).ok_or_else(|| format!("failed to process {name}"))
}

/// A pattern of names.
enum NamePattern {
    /// An expression that matches at the begin.
    Expression(Box<Pattern>),
    /// A glob that matches the whole name.
    Glob(ShellPattern),
}

impl NamePattern {
    fn compile(text: &str, is_regex: bool) -> Result<Self, String> {
        if is_regex {
            return python_regex::compile(text, Flags::default()).map(|it| Self::Expression(Box::new(it)));
        }
        let invalid = |error| format!("invalid pattern {text:?}: {error}");
        ShellPattern::parse(text).map(Self::Glob).map_err(invalid)
    }

    fn matches(&self, name: &str) -> Result<bool, String> {
        match self {
            Self::Expression(pattern) => Ok(pattern.find_at_start(name)?.is_some()),
            Self::Glob(glob) => Ok(glob.matches(name)),
        }
    }
}

/// A search for files.
struct Search {
    paths: Vec<String>,
    patterns: Vec<NamePattern>,
    excludes: Vec<NamePattern>,
    contains: Option<Pattern>,
    /// Set if `contains` may match anywhere in the file.
    whole: bool,
    file_type: String,
    recurse: bool,
    depth: Option<u64>,
    hidden: bool,
    follow: bool,
    age: Option<i64>,
    stamp: String,
    size: Option<i64>,
    hash: Option<String>,
}

/// A file that was found.
struct Found {
    path: String,
    vars: Vars,
}

impl Search {
    /// Returns the files of a report that the filters leave.
    fn filtered(&self, report: &HostReport) -> Result<Vec<Found>, String> {
        let now: f64 = report.get("now").and_then(|now| now.parse().ok()).unwrap_or(0.0);
        let mut files = Vec::new();
        for ((path, level), fields) in report.all("path").zip(report.all("level")).zip(report.all("stat")) {
            let Some(mut vars) = stat::of_fields(fields) else { continue };
            let name = path.rsplit('/').next().unwrap_or_default();
            let level = level.parse::<u64>().unwrap_or(0);
            let is_deep = self.recurse && self.depth.is_some_and(|depth| level > depth);
            if is_deep || (name.starts_with('.') && !self.hidden) || !self.is_right(name, &vars, now)? {
                continue;
            }
            for name in ["blocks", "block_size", "device_type"] {
                vars.remove(name);
            }
            for name in ["pw_name", "gr_name"] {
                vars.entry(name).or_insert_with(|| "".into());
            }
            vars.insert("path".to_owned(), path.into());
            files.push(Found { path: path.to_owned(), vars });
        }
        Ok(files)
    }

    fn is_right(&self, name: &str, vars: &Vars, now: f64) -> Result<bool, String> {
        let is = |name: &str| vars.get(name) == Some(&Value::Bool(true));
        let kind = match self.file_type.as_str() {
            "directory" => is("isdir"),
            "link" => is("islnk"),
            "file" => is("isreg"),
            _ => true,
        };
        let number = |name: &str| vars.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let age = self.age.is_none_or(|age| is_within(now - number(&self.stamp), age));
        let has_size = is("isreg");
        let size = self.size.is_none_or(|size| !has_size || is_within(number("size"), size));
        Ok(kind && age && size && self.has_name(name)?)
    }

    fn has_name(&self, name: &str) -> Result<bool, String> {
        let any = |patterns: &[NamePattern]| {
            for pattern in patterns {
                if pattern.matches(name)? {
                    return Ok::<_, String>(true);
                }
            }
            Ok(false)
        };
        Ok((self.patterns.is_empty() || any(&self.patterns)?) && !any(&self.excludes)?)
    }

    /// Returns the files whose content matches.
    async fn containing(&self, connection: &HostConnection<'_>, files: Vec<Found>) -> Result<Vec<Found>, Outcome> {
        let script = for_each(CONTENTS, &files);
        let report = script.run(connection).await?;
        let mut rest = report.content.as_slice();
        let mut left = Vec::new();
        for (file, size) in files.into_iter().zip(report.all("size")) {
            let size = size.parse().unwrap_or(0).min(rest.len());
            let (content, after) = rest.split_at(size);
            rest = after;
            if self.has_content(&foreign_text::decode(content)).map_err(Outcome::failed)? {
                left.push(file);
            }
        }
        Ok(left)
    }

    fn has_content(&self, text: &str) -> Result<bool, String> {
        let Some(pattern) = &self.contains else { return Ok(true) };
        if self.whole {
            return Ok(pattern.find(text, 0)?.is_some());
        }
        for line in text.split_inclusive('\n') {
            if pattern.find_at_start(line)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Reports whether a value is at least a limit, or at most a negative one.
fn is_within(value: f64, limit: i64) -> bool {
    // The limits of a play are far below the numbers that lose digits.
    #[allow(clippy::cast_precision_loss)]
    let bound = limit.unsigned_abs() as f64;
    if limit >= 0 { value >= bound } else { value <= bound }
}

/// Makes a script that runs its function `one` for each file.
fn for_each(text: &'static str, files: &[Found]) -> HostScript {
    let line = |file: &Found| Ok(format!("one {}", shlex::try_quote(&file.path)?));
    let lines = files.iter().map(line).collect::<Result<Vec<_>, _>>().map(|lines| lines.join("\n") + "\n:");
    HostScript::new(text).function("everything", lines)
}

/// The script that prints the sizes of files, and then their contents.
const CONTENTS: &str = r#"
one() { if [ -f "$1" ] && [ -r "$1" ]; then say size "$(stat -Lc %s -- "$1")"; else say size 0; fi; }
everything
say content
one() { if [ -f "$1" ] && [ -r "$1" ]; then head -c "$(stat -Lc %s -- "$1")" < "$1"; fi; }
everything
"#;

/// The script that prints the hashes of files.
const HASHES: &str = r#"
one() { if [ -f "$1" ] && [ ! -L "$1" ] && s=$("${hash}sum" < "$1"); then say sum "${s%% *}"; else say sum ""; fi; }
everything
"#;

async fn add_hashes(connection: &HostConnection<'_>, hash: &str, files: &mut [Found]) -> Result<(), Outcome> {
    let report = for_each(HASHES, files).set("hash", hash).run(connection).await?;
    for (file, sum) in files.iter_mut().zip(report.all("sum")) {
        if !sum.is_empty() {
            file.vars.insert("checksum".to_owned(), sum.into());
        }
    }
    Ok(())
}

fn result(report: &HostReport, files: Vec<Found>) -> Outcome {
    let skipped = report.all("skipped").map(|path| (path.to_owned(), format!("'{path}' is not a directory").into()));
    let skipped: Vars = skipped.collect();
    let msg =
        if skipped.is_empty() { "All paths examined" } else { "Not all paths examined, check warnings for details" };
    let files: Vec<Value> = files.into_iter().map(|file| Value::Object(file.vars)).collect();
    Outcome::done(
        false,
        Vars::from_iter([
            ("matched".to_owned(), files.len().into()),
            ("files".to_owned(), files.into()),
            ("examined".to_owned(), report.all("path").count().into()),
            ("skipped_paths".to_owned(), Value::Object(skipped)),
            ("msg".to_owned(), msg.into()),
        ]),
    )
}

#[async_trait::async_trait]
impl HostAction for Search {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let line = |path: &String| Ok(format!("look_into {}", quote_expanding(path)?));
        let lines = self.paths.iter().map(line).collect::<Result<Vec<_>, _>>().map(|lines| lines.join("\n"));
        // Ansible counts the files one level below the last one too.
        let depth = if self.recurse { self.depth.map_or(100_000, |depth| depth + 1) } else { 1 };
        let script = HostScript::new(include_str!("find.sh"))
            .set("follow", if self.follow { "-L" } else { "" })
            .set("depth", &depth.to_string())
            .function("everything", lines);
        let report = script.run(connection).await?;
        let mut files = self.filtered(&report).map_err(Outcome::failed)?;
        if self.contains.is_some() && self.file_type == "file" {
            files = self.containing(connection, files).await?;
        }
        if let Some(hash) = &self.hash {
            add_hashes(connection, hash, &mut files).await?;
        }
        Ok(result(&report, files))
    }
}

#[cfg(test)]
mod tests {
    use super::NamePattern;

    #[test]
    fn globs_match_whole_names_as_in_python() {
        for (glob, name, expected) in [
            ("*.log", "a.log", true),
            ("*.log", ".log", true),
            ("*.log", "a.log.1", false),
            ("?", "é", true),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[", "[", true),
            ("{a,b}", "a", false),
            ("a.b", "axb", false),
            ("*", "new\nline", true),
        ] {
            let is_match = NamePattern::compile(glob, false).unwrap().matches(name).unwrap();
            assert_eq!(is_match, expected, "{glob} {name}");
        }
        assert!(NamePattern::compile("a+", true).unwrap().matches("aab").unwrap());
    }
}
