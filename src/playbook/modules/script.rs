//! `script`: runs a script of the playbook on the host.
//!
//! The script comes on stdin, becomes a file in a temporary directory that only its user can read, and is removed.

use bytes::Bytes;

use super::Arguments;
use super::Module;
use super::arguments::DECRYPT;
use super::arguments::file_name;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::command_outcome;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;
use crate::remote::Exit;

/// Runs a script.
pub(super) struct Script;

static SPEC: Spec = Spec::new(
    "script",
    &["ansible.builtin", "ansible.legacy"],
    "Runs a script of the playbook on the host.",
    &[
        Parameter::new("cmd", Kind::Text, "The script, in `files` or beside the playbook, and its arguments."),
        DECRYPT,
        Parameter::new("executable", Kind::Text, "The program that runs the script (default: that of its first line)."),
        Parameter::new("chdir", Kind::Text, "The directory in which it runs."),
        Parameter::new("creates", Kind::Text, "A path; if it exists, nothing runs."),
        Parameter::new("removes", Kind::Text, "A path; unless it exists, nothing runs."),
    ],
)
.needs(&[&["cmd"]])
.on_line(Line::Command("cmd"));

impl Module for Script {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let line = arguments.required("cmd")?;
        let words = shlex::split(&line).ok_or("the quotes in the command do not match")?;
        let given = words.first().ok_or("there is no script to run")?;
        let path = arguments.look_up(given, "files", std::path::Path::is_file)?;
        let chdir = arguments.non_empty("chdir")?;
        if let Some(folder) = chdir.as_ref().filter(|folder| !folder.starts_with('/')) {
            return Err(format!("chdir {folder} must be an absolute path for a Unix-aware remote node"));
        }
        let rest = line.trim_start().strip_prefix(given.as_str());
        let rest = rest.ok_or_else(|| format!("the name of the script must not be quoted: {given}"))?;
        Ok(Action::on_host(PlaybookScript {
            content: arguments.read(&path)?,
            name: file_name(&path),
            rest: rest.to_owned(),
            executable: arguments.non_empty("executable")?,
            chdir,
            creates: arguments.non_empty("creates")?,
            removes: arguments.non_empty("removes")?,
        }))
    }
}

/// A script to run.
struct PlaybookScript {
    content: Bytes,
    name: String,
    /// The arguments, for the shell.
    rest: String,
    executable: Option<String>,
    chdir: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
}

/// The exit codes of the lines before the script. A script may have them too, so a line on stderr goes with them.
const SKIPPED: u32 = 10;
/// The line on stderr if the script need not run.
const MARK: &str = "muster-script skipped";

/// Finds a folder for the script. A file system may be mounted so that none of its files can be run.
const PLACES: &str = "place \"${TMPDIR:-/tmp}\" || place /var/tmp || place \"${HOME:-/}\" || {
  echo 'no script can be run in /tmp, in /var/tmp and in the home folder' >&2
  exit 1
}
";

impl PlaybookScript {
    fn text(&self, check: bool) -> Result<String, shlex::QuoteError> {
        let mut text = format!("skip() {{ echo \"{MARK} $1\" >&2; exit {SKIPPED}; }}\n");
        if let Some(path) = &self.creates {
            text.push_str(&format!("p={}\n[ ! -e \"$p\" ] || skip creates\n", quote_expanding(path)?));
        }
        if let Some(path) = &self.removes {
            text.push_str(&format!("p={}\n[ -e \"$p\" ] || skip removes\n", quote_expanding(path)?));
        }
        if check {
            return Ok(text + "exit 0\n");
        }
        // The file is complete before anything of it runs.
        let name = shlex::try_quote(&self.name)?;
        let runs = if self.executable.is_some() { "true" } else { "[ -x \"$f\" ]" };
        text.push_str(&format!("place() {{\n  d=$(mktemp -d \"$1/tmp.XXXXXXXXXX\") || return\n  f=$d/{name}\n"));
        text.push_str(&format!(
            "  : > \"$f\" && chmod 700 \"$f\" && {runs} && return\n  rm -rf -- \"$d\"\n  false\n}}\n"
        ));
        text.push_str(PLACES);
        text.push_str("trap 'rm -rf -- \"$d\"' EXIT\ntrap 'exit 1' HUP INT TERM\ncat > \"$f\" || exit 1\n");
        if let Some(folder) = &self.chdir {
            text.push_str(&format!("cd -- {} || exit 1\n", quote_expanding(folder)?));
        }
        let program = self.executable.as_deref().unwrap_or_default();
        Ok(format!("{text}{program} \"$f\"{} < /dev/null\n", self.rest))
    }
}

#[async_trait::async_trait]
impl HostAction for PlaybookScript {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let guarded = self.creates.is_some() || self.removes.is_some();
        if connection.check && !guarded {
            let vars = Vars::from_iter([("msg".to_owned(), "Check mode is not supported for this task.".into())]);
            return Ok(Outcome { detail: vars, ..Outcome::skipped() });
        }
        let script = self.text(connection.check).map_err(unquotable)?;
        let (exit, output) = connection.exec_with_stdin(script, self.content.clone()).await?;
        if exit == Exit::Code(SKIPPED) && output.stderr.starts_with(MARK.as_bytes()) {
            let named = |path: &Option<String>, why: &str| path.as_ref().map(|path| format!("{path} {why}"));
            let creates = named(&self.creates, "exists, matching creates option");
            let removes = || named(&self.removes, "does not exist, matching removes option");
            let is_removed = output.stderr.ends_with(b"removes\n");
            let msg = if is_removed { removes() } else { creates }.unwrap_or_default();
            let detail = Vars::from_iter([("msg".to_owned(), msg.into())]);
            return Ok(Outcome { detail, ..Outcome::skipped() });
        }
        if connection.check {
            return Ok(Outcome::done(true, Vars::new()));
        }
        Ok(command_outcome(&exit, output.into_whole_vars()))
    }
}
