//! `assemble`: makes one file of the files of a folder.

use bytes::Bytes;
use serde_json::Value;
use sha1::Digest as _;
use sha1::Sha1;

use super::Arguments;
use super::Module;
use super::arguments::DECRYPT;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::core::hex;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::file::Content;
use crate::playbook::file::File;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;

/// Assembles a file.
pub(super) struct Assemble;

static SPEC: Spec = Spec::new(
    "assemble",
    &["ansible.builtin", "ansible.legacy"],
    "Makes one file of the files of a folder, in the order of their names.",
    &[
        Parameter::new("src", Kind::Text, "The folder."),
        Parameter::new("remote_src", Kind::Flag, "Whether the folder is on the host (default: true)."),
        DECRYPT,
        Parameter::new("delimiter", Kind::Text, "A text between two files."),
        Parameter::new("regexp", Kind::Text, "The expression of the names of the files that count."),
        Parameter::new("ignore_hidden", Kind::Flag, "Whether files whose names begin with a dot are left out."),
        destination::DEST,
        destination::BACKUP,
        destination::VALIDATE,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["src"], &["dest"]]);

impl Module for Assemble {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let pattern = arguments.text("regexp")?.map(|text| python_regex::compile(&text, Flags::default()));
        let is_local = arguments.flag("remote_src")? == Some(false);
        let parts = Parts {
            is_local,
            pattern: pattern.transpose()?,
            delimiter: arguments.non_empty("delimiter")?.map(|text| unescaped(&text)).unwrap_or_default(),
            ignores_hidden: arguments.flag("ignore_hidden")?.unwrap_or(false),
        };
        let content = if is_local { parts.join(local_parts(arguments)?)?.into() } else { Bytes::new() };
        let mut file = destination::file(arguments, Content::Bytes(content), Some("assembled".to_owned()), None)?;
        if is_local {
            return Ok(Action::on_host(file));
        }
        file.name = None;
        Ok(Action::on_host(Assembly { source: arguments.required("src")?, parts, file }))
    }
}

/// Which files count, and what stands between them.
struct Parts {
    pattern: Option<Pattern>,
    delimiter: String,
    ignores_hidden: bool,
    /// Set if a newline follows a delimiter that ends with one too: Ansible does so with files of the playbook.
    is_local: bool,
}

impl Parts {
    /// Joins files with these names.
    fn join(&self, mut parts: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>, String> {
        parts.sort();
        let mut joined = Vec::new();
        for (name, content) in parts {
            let matches = self.pattern.as_ref().map_or(Ok(true), |pattern| Ok(pattern.find(&name, 0)?.is_some()));
            if !matches.map_err(|why: String| why)? || (self.ignores_hidden && name.starts_with('.')) {
                continue;
            }
            if !joined.is_empty() {
                if !joined.ends_with(b"\n") {
                    joined.push(b'\n');
                }
                joined.extend_from_slice(self.delimiter.as_bytes());
                if !self.delimiter.is_empty() && (self.is_local || !self.delimiter.ends_with('\n')) {
                    joined.push(b'\n');
                }
            }
            joined.extend(content);
        }
        Ok(joined)
    }
}

/// Returns the files of a folder of the playbook.
fn local_parts(arguments: &Arguments<'_>) -> Result<Vec<(String, Vec<u8>)>, String> {
    let folder = arguments.find("src", "files")?;
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    if !folder.is_dir() {
        return Err(format!("Source ({}) is not a directory", folder.display()));
    }
    let entries = std::fs::read_dir(&folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let files = entries.into_iter().filter(|entry| entry.path().is_file());
    let part = |entry: std::fs::DirEntry| {
        Ok((entry.file_name().to_string_lossy().into_owned(), arguments.read(&entry.path())?.into()))
    };
    files.map(part).collect()
}

/// Returns a text with its escapes replaced.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    out
}

/// The assembly of a folder on the host.
struct Assembly {
    source: String,
    parts: Parts,
    file: File,
}

/// The script that prints the files of the folder: the names and sizes, then all contents.
const SCRIPT: &str = r#"
[ -e "$src" ] || fail "Source ($src) does not exist"
[ -d "$src" ] || fail "Source ($src) is not a directory"
cd -- "$src" || exit 1
set +f
set --
for f in * .[!.]* ..?*; do
  if [ -f "./$f" ]; then set -- "$@" "./$f" && say name "$f" && say size "$(stat -Lc %s -- "./$f")"; fi
done
say src "$src"
say content
[ $# = 0 ] || cat -- "$@"
"#;

#[async_trait::async_trait]
impl HostAction for Assembly {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = HostScript::new(SCRIPT).path("src", &self.source).run(connection).await?;
        let mut rest = report.content.as_slice();
        let mut parts = Vec::new();
        for (name, size) in report.all("name").zip(report.all("size")) {
            let size = size.parse().ok().filter(|size| *size <= rest.len());
            let size = size.ok_or_else(|| Outcome::failed(format!("a file in {} changed", self.source)))?;
            let (content, after) = rest.split_at(size);
            parts.push((name.to_owned(), content.to_vec()));
            rest = after;
        }
        let content = self.parts.join(parts).map_err(Outcome::failed)?;
        let checksum = hex::digits(&Sha1::digest(&content));
        let file = File { content: Content::Bytes(content.into()), ..self.file.clone() };
        let report_of_file = file.write(connection).await?;
        let mut vars = report_of_file.vars(&["dest", "backup_file"]);
        let src = Value::from(report.get("src").unwrap_or_default());
        vars.extend(
            [("src", src), ("checksum", checksum.into()), ("msg", "OK".into())].map(|(k, v)| (k.to_owned(), v)),
        );
        Ok(Outcome::done(report_of_file.is("changed"), vars))
    }
}
