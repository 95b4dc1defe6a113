//! Scripts that modules run on a host: variables, the text of the script, and the report that it prints.
//!
//! A variable is quoted once, here. The report is a list of records `NAME=VALUE` that end with NUL, which no value can
//! hold: a file name with newlines cannot forge a record. A script that fails says why with the record `msg`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use shlex::QuoteError;

use super::diff::Diff;
use super::diff::Diffs;
use super::diff::Side;
use super::host_connection::FILE_TIMEOUT;
use super::host_connection::HostConnection;
use super::host_connection::reason;
use super::host_connection::unquotable;
use super::mode::Mode;
use super::outcome::Outcome;
use super::shell_expand::quote_expanding;
use crate::inventory::Vars;
use crate::remote::Exit;

/// Records, links and folders: the functions that every script has.
const BASE: &str = include_str!("host_script/base.sh");
/// Owner, group, mode and times: the functions that set and describe them.
const ATTRIBUTES: &str = include_str!("host_script/attributes.sh");

/// Commands and their output: the functions of scripts that work on the system.
const COMMANDS: &str = include_str!("host_script/commands.sh");

/// The longest content that is sent in a variable.
const SHORT: usize = 32 << 10;

/// A script for a host.
#[derive(Debug, Clone)]
pub(super) struct HostScript {
    text: &'static str,
    before: &'static str,
    variables: Result<String, QuoteError>,
    stdin: Bytes,
    limit: Option<Duration>,
}

/// The owner, the group, the mode and more that a task gives to a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    /// The mode.
    pub(super) mode: Option<Mode>,
    /// The owner, a name or a number.
    pub(super) owner: Option<String>,
    /// The group, a name or a number.
    pub(super) group: Option<String>,
    /// The user, the role, the type and the level of SELinux. Hosts without SELinux ignore them.
    pub(super) context: [Option<String>; 4],
    /// The flags of the file system, as chattr takes them.
    pub(super) flags: Option<String>,
}

/// The variables of a script with the parts of a context of SELinux.
const CONTEXT: [&str; 4] = ["se_user", "se_role", "se_type", "se_level"];

impl HostScript {
    /// Makes a script of its text.
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, before: "", variables: Ok(String::new()), stdin: Bytes::new(), limit: Some(FILE_TIMEOUT) }
    }

    /// Makes a script that works on the system. It has the functions for commands, which take the time that they need.
    pub(super) fn on_system(text: &'static str) -> Self {
        Self { before: COMMANDS, limit: None, ..Self::new(text) }
    }

    /// Sets a variable.
    pub(super) fn set(self, name: &str, value: &str) -> Self {
        self.assign(name, shlex::try_quote(value).map(String::from))
    }

    /// Sets a variable to a path, in which `~` and variables are expanded on the host.
    pub(super) fn path(self, name: &str, path: &str) -> Self {
        self.assign(name, quote_expanding(path))
    }

    /// Sets a variable to a path, of which only the first part is expanded on the host.
    pub(super) fn path_below(self, name: &str, path: &str, below: &str) -> Self {
        self.assign(name, expand_before(path, below))
    }

    /// Sets a variable to `1` or to nothing.
    pub(super) fn flag(self, name: &str, flag: bool) -> Self {
        self.set(name, if flag { "1" } else { "" })
    }

    /// Sets a variable to quoted words. `eval "set -- $NAME"` makes arguments of them.
    pub(super) fn words(self, name: &str, words: &[String]) -> Self {
        match shlex::try_join(words.iter().map(String::as_str)) {
            Ok(line) => self.set(name, &line),
            Err(error) => self.assign(name, Err(error)),
        }
    }

    /// Sets the variables of owner, group, mode and the like.
    pub(super) fn attributes(self, attributes: &Attributes) -> Self {
        let Attributes { mode, owner, group, context, flags } = attributes;
        let parts = CONTEXT.into_iter().zip(context);
        parts
            .fold(self, |script, (name, part)| script.set(name, part.as_deref().unwrap_or_default()))
            .set("file_flags", flags.as_deref().unwrap_or_default())
            .set("owner", owner.as_deref().unwrap_or_default())
            .set("group", group.as_deref().unwrap_or_default())
            .set("mode", &mode.as_ref().map(Mode::arithmetic).unwrap_or_default())
            .set("mode_text", &mode.as_ref().map(Mode::for_chmod).unwrap_or_default())
    }

    /// Sets a function of the script that runs this line.
    pub(super) fn function(mut self, name: &str, line: Result<String, QuoteError>) -> Self {
        self.variables = self.variables.and_then(|text| Ok(format!("{text}{name}() {{\n{}\n}}\n", line?)));
        self
    }

    /// Lets another script run before this one, in the same shell.
    pub(super) fn before(self, before: &'static str) -> Self {
        Self { before, ..self }
    }

    /// Gives the script the content of a file: in a variable if it is a short text, or else on its stdin.
    pub(super) fn content(self, content: &Bytes) -> Self {
        let script = self.set("length", &content.len().to_string());
        match std::str::from_utf8(content) {
            Ok(text) if text.len() <= SHORT && !text.contains('\0') => script.flag("inline", true).set("content", text),
            _ => script.flag("inline", false).stdin(content.clone()),
        }
    }

    /// Gives the script its stdin.
    pub(super) fn stdin(self, stdin: impl Into<Bytes>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    fn assign(mut self, name: &str, quoted: Result<String, QuoteError>) -> Self {
        self.variables = self.variables.and_then(|text| Ok(format!("{text}{name}={}\n", quoted?)));
        self
    }

    /// Runs the script. A script that fails is a failed outcome.
    pub(super) async fn run(self, connection: &HostConnection<'_>) -> Result<HostReport, Outcome> {
        let number = getrandom::u32().map_err(|error| Outcome::failed(format!("no randomness: {error}")))?;
        let script = self.flag("check", connection.check).flag("shows_diff", connection.diff);
        // For names of files, which other users must not guess.
        let script = script.set("unique", &number.to_string());
        let variables = script.variables.map_err(unquotable)?;
        let texts = vec![BASE, ATTRIBUTES, script.before, script.text];
        let (exit, output) = connection.exec_script(variables, texts, script.stdin, script.limit).await?;
        let report = HostReport::read(&output.stdout);
        if exit != Exit::Code(0) {
            return Err(report.into_failure(&output.stderr));
        }
        if output.dropped > 0 {
            return Err(Outcome::failed(format!("the host sent more than {} MiB", output.limit >> 20)));
        }
        Ok(report)
    }
}

/// Quotes a path, of which only the first part is expanded on the host.
pub(super) fn expand_before(path: &str, below: &str) -> Result<String, QuoteError> {
    let below = if below.is_empty() { String::new() } else { shlex::try_quote(below)?.into_owned() };
    Ok(quote_expanding(path)? + &below)
}

/// The report of a script.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostReport {
    records: Vec<(String, String)>,
    /// What the script printed after its last record.
    pub(super) content: Vec<u8>,
}

impl HostReport {
    fn read(printed: &[u8]) -> Self {
        let mut report = Self::default();
        let mut rest = printed;
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let (record, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            let record = String::from_utf8_lossy(record);
            match record.split_once('=') {
                Some(("content", _)) => break,
                Some((name, value)) => report.records.push((name.to_owned(), value.to_owned())),
                None => {}
            }
        }
        report.content = rest.to_vec();
        report
    }

    /// Returns the value of the first record with a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.records.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the values of all records with a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.records.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Reports whether a record says yes.
    pub(super) fn is(&self, name: &str) -> bool {
        self.get(name) == Some("1")
    }

    /// Returns these records as results, and owner, group, mode, size and state of the file if the script described it.
    pub(super) fn vars(&self, names: &[&str]) -> Vars {
        let mut vars = Vars::new();
        for name in names {
            if let Some(value) = self.get(name) {
                vars.insert((*name).to_owned(), value.into());
            }
        }
        if let Some(described) = self.get("described") {
            vars.extend(described_vars(described));
        }
        vars
    }

    /// Returns the owner, the group, the mode and the times that the script changed, as they were and as they are. The
    /// script reports them as lines `NAME BEFORE AFTER`.
    pub(super) fn changed_attributes(&self) -> (Vars, Vars) {
        let (mut before, mut after) = (Vars::new(), Vars::new());
        for line in self.get("attributes").unwrap_or_default().lines() {
            if let [name, old, new] = line.split(' ').collect::<Vec<_>>()[..] {
                before.insert(name.to_owned(), attribute(name, old));
                after.insert(name.to_owned(), attribute(name, new));
            }
        }
        (before, after)
    }

    /// Returns the difference that the script shows.
    pub(super) fn diff(&self) -> Diffs {
        if let Some(text) = self.get("diff_prepared") {
            return Diffs::One(Box::new(Diff::Prepared(text.to_owned())));
        }
        let side = |name: &str| {
            let text = self.get(&format!("diff_{name}")).unwrap_or_default();
            match self.get(&format!("diff_{name}_header")).filter(|header| !header.is_empty()) {
                Some(header) => Side::text(header, text),
                None => Side::bare(text),
            }
        };
        if self.get("diff_after").is_some() { Diffs::one(side("before"), side("after")) } else { Diffs::None }
    }

    /// Returns the outcome of a script that failed: its records are results.
    fn into_failure(self, stderr: &[u8]) -> Outcome {
        let changed = self.is("changed");
        let msg = self.get("msg").map_or_else(|| reason(stderr), str::to_owned);
        let mut outcome = Outcome { changed, ..Outcome::failed(msg) };
        let msg = outcome.detail.remove("msg").unwrap_or_default();
        outcome.detail.extend(self.results());
        outcome.detail.insert("msg".to_owned(), msg);
        outcome
    }

    /// Returns every record as a result. The name of a record may end with the type of its value: `uid:number`.
    pub(super) fn results(&self) -> Vars {
        let mut vars = Vars::new();
        let is_result = |name: &str| !matches!(name, "changed" | "attributes") && !name.starts_with("diff_");
        for (name, value) in self.records.iter().filter(|(name, _)| is_result(name)) {
            match (name.as_str(), name.split_once(':')) {
                ("described", _) => vars.extend(described_vars(value)),
                ("rc" | "exit_status", _) => _ = vars.insert(name.clone(), typed("number", value)),
                (_, Some((name, kind))) => _ = vars.insert(name.to_owned(), typed(kind, value)),
                ("stdout" | "stderr", _) => {
                    vars.insert(name.clone(), value.as_str().into());
                    vars.insert(format!("{name}_lines"), typed("lines", value));
                }
                _ => _ = vars.insert(name.clone(), value.as_str().into()),
            }
        }
        vars
    }
}

/// Returns the value of an attribute that changed: a mode as text, a time or a number as a number.
fn attribute(name: &str, text: &str) -> Value {
    match name {
        "mode" => format!("0{text:0>3}").into(),
        "atime" | "mtime" => text.parse::<f64>().map_or_else(|_| text.into(), Value::from),
        _ => text.parse::<u64>().map_or_else(|_| text.into(), Value::from),
    }
}

/// Returns the value of a record with a type.
fn typed(kind: &str, value: &str) -> Value {
    match kind {
        "number" => value.parse::<i64>().map_or_else(|_| value.into(), Value::from),
        "flag" => (value == "1").into(),
        "optional" if value.is_empty() => Value::Null,
        "lines" => value.lines().map(Value::from).collect(),
        "properties" => Value::Object(properties(value)),
        _ => value.into(),
    }
}

/// Returns the lines `KEY=VALUE` as a map. A line that is none goes on with the value before it.
fn properties(text: &str) -> Vars {
    let mut vars = Vars::new();
    let mut last = None;
    for line in text.lines() {
        let pair = line
            .split_once('=')
            .filter(|(key, _)| key.chars().all(|it| it.is_ascii_alphanumeric() || "_-/.".contains(it)));
        if let Some((key, value)) = pair {
            vars.insert(key.to_owned(), value.into());
            last = Some(key);
        } else if let Some(Value::String(value)) = last.and_then(|key| vars.get_mut(key)) {
            value.push('\n');
            value.push_str(line);
        }
    }
    vars
}

/// Returns the results of a record `UID:USER GID:GROUP MODE SIZE STATE`.
fn described_vars(described: &str) -> Vars {
    let words: Vec<&str> = described.split(' ').collect();
    let [user, group, mode, size, state] = words[..] else {
        return Vars::new();
    };
    let mut vars = Vars::new();
    for (id, name, pair) in [("uid", "owner", user), ("gid", "group", group)] {
        let (number, text) = pair.split_once(':').unwrap_or((pair, "UNKNOWN"));
        vars.insert(id.to_owned(), number.parse::<u64>().map_or(Value::Null, Value::from));
        vars.insert(name.to_owned(), if text == "UNKNOWN" { number } else { text }.into());
    }
    vars.insert("mode".to_owned(), format!("0{mode:0>3}").into());
    vars.insert("size".to_owned(), size.parse::<u64>().map_or(Value::Null, Value::from));
    let state = if matches!(state, "directory" | "link" | "hard") { state } else { "file" };
    vars.insert("state".to_owned(), state.into());
    vars
}

#[cfg(test)]
mod tests {
    use super::HostReport;

    #[test]
    fn a_value_with_newlines_is_one_record_and_content_follows_the_last_one() {
        let report = HostReport::read(b"path=/a\nchanged=1\0changed=0\0path=b\0content=\0x=\0\xff");
        assert_eq!((report.get("path"), report.is("changed")), (Some("/a\nchanged=1"), false));
        assert_eq!(report.content, b"x=\0\xff");
    }

    #[test]
    fn a_file_is_described_as_in_ansible() {
        let report = HostReport::read(b"described=0:root 7:UNKNOWN 4 12 regular\0src=a\0");
        let vars = serde_json::Value::Object(report.vars(&["src", "dest"]));
        let expected =
            r#"{"src":"a","uid":0,"owner":"root","gid":7,"group":"7","mode":"0004","size":12,"state":"file"}"#;
        assert_eq!(vars.to_string(), expected);
        assert!(HostReport::read(b"described=absent\0").vars(&[]).is_empty());
    }

    #[test]
    fn a_record_may_have_a_type() {
        let report = HostReport::read(
            b"a:number=5\0b:flag=1\0c:lines=x\ny\0d:lines=\0e:properties=k=1\n+\nl==\0stdout=\0rc=2\0",
        );
        let vars = serde_json::Value::Object(report.results());
        let expected =
            r#"{"a":5,"b":true,"c":["x","y"],"d":[],"e":{"k":"1\n+","l":"="},"stdout":"","stdout_lines":[],"rc":2}"#;
        assert_eq!(vars.to_string(), expected);
    }

    #[test]
    fn the_records_of_a_failed_script_are_results() {
        let outcome = HostReport::read(b"rc=257\0path=1\0msg=no\0").into_failure(b"");
        assert_eq!(
            (&outcome.detail["rc"], &outcome.detail["path"], &outcome.detail["msg"]),
            (&257.into(), &"1".into(), &"no".into())
        );
        assert_eq!(HostReport::default().into_failure(b"a\nb\n").detail["msg"], "b");
    }
}
