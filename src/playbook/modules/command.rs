//! `command` and `shell`: run a program or a line of shell on the host.

use bytes::Bytes;
use shlex::QuoteError;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::FILE_TIMEOUT;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::command_outcome;
use crate::playbook::host_connection::reason;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::playbook::shell_expand::quote_expanding;
use crate::remote::CapturedOutput;
use crate::remote::Exit;
use serde_json::Value;

/// Runs a program.
pub(super) struct Command;

/// Runs a line of shell.
pub(super) struct Shell;

const CMD: Parameter = Parameter::new("cmd", Kind::Text, "The command.");
const CHDIR: Parameter = Parameter::new("chdir", Kind::Text, "The directory in which it runs.");
const CREATES: Parameter = Parameter::new("creates", Kind::Text, "A path or glob; if it exists, nothing runs.");
const REMOVES: Parameter = Parameter::new("removes", Kind::Text, "A path or glob; unless it exists, nothing runs.");
const STDIN: Parameter = Parameter::new("stdin", Kind::Text, "The text on its stdin.");
const NEWLINE: Parameter =
    Parameter::new("stdin_add_newline", Kind::Flag, "Whether a newline is added to stdin (default: true).");
const STRIP: Parameter = Parameter::new(
    "strip_empty_ends",
    Kind::Flag,
    "Whether the newlines at the end of the output are removed (default: true).",
);
const WARN: Parameter = Parameter::new("warn", Kind::Flag, "No effect: muster never warns about a command.");

static COMMAND: Spec = Spec::new(
    "command",
    &["ansible.builtin", "ansible.legacy"],
    "Runs a program without a shell.",
    &[
        CMD,
        Parameter::new("argv", Kind::Words, "The program and its arguments, one in an item."),
        CHDIR,
        CREATES,
        REMOVES,
        STDIN,
        NEWLINE,
        STRIP,
        WARN,
    ],
)
.needs(&[&["cmd", "argv"]])
.on_line(Line::Command("cmd"));

static SHELL: Spec = Spec::new(
    "shell",
    &["ansible.builtin", "ansible.legacy"],
    "Runs a line of shell.",
    &[
        CMD,
        Parameter::new("executable", Kind::Text, "The path of the shell (default: /bin/sh)."),
        CHDIR,
        CREATES,
        REMOVES,
        STDIN,
        NEWLINE,
        STRIP,
        WARN,
    ],
)
.needs(&[&["cmd"]])
.on_line(Line::Command("cmd"));

impl Module for Command {
    fn spec(&self) -> &'static Spec {
        &COMMAND
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let words = match arguments.value("argv") {
            Some(Value::Array(_)) => arguments.list("argv")?,
            Some(_) => None,
            None => Some(shlex::split(&arguments.required("cmd")?).ok_or("the quotes in the command do not match")?),
        };
        let words = words.ok_or("`argv` must be a list of words")?;
        if words.is_empty() {
            return Err("there is no command to run".to_owned());
        }
        let cmd = Value::from(words.clone());
        Ok(Action::on_host(CommandLine::new(arguments, Program::Words(words), cmd)?))
    }
}

impl Module for Shell {
    fn spec(&self) -> &'static Spec {
        &SHELL
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let line = arguments.required("cmd")?;
        let shell = arguments.non_empty("executable")?.unwrap_or_else(|| "/bin/sh".to_owned());
        let cmd = Value::from(line.clone());
        Ok(Action::on_host(CommandLine::new(arguments, Program::Line { shell, line }, cmd)?))
    }
}

/// What runs on the host.
enum Program {
    /// A program with its arguments.
    Words(Vec<String>),
    /// A line for a shell.
    Line { shell: String, line: String },
}

/// A command to run.
struct CommandLine {
    program: Program,
    /// The command as it is reported.
    cmd: Value,
    /// The directory in which it runs. `creates` and `removes` are relative to it.
    chdir: Option<String>,
    creates: Option<String>,
    removes: Option<String>,
    stdin: Bytes,
    /// Whether the newlines at the end of its output are removed.
    strips: bool,
}

impl CommandLine {
    fn new(arguments: &Arguments<'_>, program: Program, cmd: Value) -> Result<Self, String> {
        let [chdir, creates, removes] = ["chdir", "creates", "removes"].map(|name| arguments.non_empty(name));
        let mut stdin = arguments.text("stdin")?;
        if arguments.flag("stdin_add_newline")?.unwrap_or(true) {
            stdin = stdin.map(|text| text + "\n");
        }
        let stdin = stdin.unwrap_or_default().into();
        let strips = arguments.flag("strip_empty_ends")?.unwrap_or(true);
        Ok(Self { program, cmd, chdir: chdir?, creates: creates?, removes: removes?, stdin, strips })
    }

    fn script(&self) -> Result<String, QuoteError> {
        let words = match &self.program {
            Program::Words(words) => words.iter().map(|word| quote_expanding(word)).collect::<Result<Vec<_>, _>>()?,
            Program::Line { shell, line } => {
                vec![quote_expanding(shell)?, "-c".to_owned(), shlex::try_quote(line)?.into_owned()]
            }
        };
        let enter = self.enter(&format!("{{ echo '{NO_FOLDER}' >&2; exit 1; }}"))?;
        Ok(format!("{enter}set -- {}\n{}", words.join(" "), CHECKED_EXEC.replace("MESSAGE", NO_PROGRAM)))
    }

    /// Returns the line that changes to the directory. `fail` runs if that is not possible.
    fn enter(&self, fail: &str) -> Result<String, QuoteError> {
        match &self.chdir {
            Some(folder) => Ok(format!("cd -- {} 2>/dev/null || {fail}\n", quote_expanding(folder)?)),
            None => Ok(String::new()),
        }
    }

    /// Returns the outcome if the program could not run at all.
    fn not_run(&self, exit: &Exit, output: &CapturedOutput) -> Option<Outcome> {
        let is = |mark: &str| output.stdout.is_empty() && output.stderr.strip_suffix(b"\n") == Some(mark.as_bytes());
        match exit {
            Exit::Code(1) if is(NO_FOLDER) => Some(self.no_folder()),
            Exit::Code(code) if is(NO_PROGRAM) => {
                let words = match &self.program {
                    Program::Words(words) => words.clone(),
                    Program::Line { shell, line } => vec![shell.clone(), "-c".to_owned(), line.clone()],
                };
                let cmd = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
                Some(Self::failed(cmd.into(), (*code).into(), "Error executing command."))
            }
            _ => None,
        }
    }

    fn no_folder(&self) -> Outcome {
        Self::failed(self.cmd.clone(), Value::Null, "Unable to change directory before execution.")
    }

    fn failed(cmd: Value, code: Value, why: &str) -> Outcome {
        let mut vars = CapturedOutput::with_limit(0).into_vars();
        vars.extend([("cmd".to_owned(), cmd), ("rc".to_owned(), code), ("msg".to_owned(), why.into())]);
        Outcome { detail: vars, ..Outcome::failed("") }
    }

    /// Returns why the command need not run, if it need not.
    async fn skip_reason(&self, connection: &HostConnection<'_>) -> Result<Option<String>, Outcome> {
        if self.creates.is_none() && self.removes.is_none() {
            return Ok(None);
        }
        let script = self.guard().map_err(unquotable)?;
        let (exit, output) = connection.exec_script(script, Vec::new(), Bytes::new(), Some(FILE_TIMEOUT)).await?;
        let named = |path: &Option<String>| path.clone().unwrap_or_default();
        match exit {
            Exit::Code(0) => Ok(None),
            Exit::Code(CREATES_EXISTS) => Ok(Some(format!("{} exists", named(&self.creates)))),
            Exit::Code(FOLDER_MISSING) => Err(self.no_folder()),
            Exit::Code(REMOVES_MISSING) => Ok(Some(format!("{} does not exist", named(&self.removes)))),
            _ => Err(Outcome::failed(reason(&output.stderr))),
        }
    }

    /// Returns the script that checks `creates` and `removes`.
    fn guard(&self) -> Result<String, QuoteError> {
        // A path that exists literally is taken literally, even if it would match other paths as a glob.
        let mut script = "there() { [ -e \"$1\" ] || [ -L \"$1\" ]; }\n\
            any() { there \"$1\" && return; IFS=; for f in $1; do there \"$f\" && return; done; return 1; }\n"
            .to_owned();
        script.push_str(&self.enter(&format!("exit {FOLDER_MISSING}"))?);
        if let Some(path) = &self.creates {
            script.push_str(&format!("p={}\nif any \"$p\"; then exit {CREATES_EXISTS}; fi\n", quote_expanding(path)?));
        }
        if let Some(path) = &self.removes {
            script.push_str(&format!("p={}\nany \"$p\" || exit {REMOVES_MISSING}\n", quote_expanding(path)?));
        }
        Ok(script + "exit 0\n")
    }
}

#[async_trait::async_trait]
impl HostAction for CommandLine {
    fn is_one_script(&self) -> bool {
        self.creates.is_none() && self.removes.is_none()
    }

    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let mut vars = CapturedOutput::with_limit(0).into_vars();
        vars.insert("cmd".to_owned(), self.cmd.clone());
        if let Some(path) = self.skip_reason(connection).await? {
            let not = if connection.check { "Would" } else { "Did" };
            vars.insert("stdout".to_owned(), format!("skipped, since {path}").into());
            vars.insert("stdout_lines".to_owned(), vec![format!("skipped, since {path}")].into());
            let ends = [" does not exist", " exists"];
            let quoted = ends.iter().find_map(|end| Some(format!("'{}'{end}", path.strip_suffix(end)?)));
            let path = quoted.unwrap_or(path);
            vars.insert("msg".to_owned(), format!("{not} not run command since {path}").into());
            vars.insert("rc".to_owned(), 0.into());
            return Ok(Outcome::done(false, vars));
        }
        if connection.check {
            vars.insert("msg".to_owned(), "Command would have run if not in check mode".into());
            vars.insert("rc".to_owned(), 0.into());
            let guarded = self.creates.is_some() || self.removes.is_some();
            return Ok(if guarded { Outcome::done(true, vars) } else { Outcome::not_checked(vars) });
        }
        let script = self.script().map_err(unquotable)?;
        let (exit, output) = connection.exec_program(script, self.stdin.clone()).await?;
        if let Some(outcome) = self.not_run(&exit, &output) {
            return Err(outcome);
        }
        vars.extend(if self.strips { output.into_vars() } else { output.into_whole_vars() });
        let mut outcome = command_outcome(&exit, vars);
        outcome.detail.entry("msg").or_insert_with(|| "".into());
        Ok(outcome)
    }
}

/// The exit code of [`CommandLine::guard`] if the path of `creates` exists.
const CREATES_EXISTS: u32 = 10;
/// The exit code of [`CommandLine::guard`] if the path of `removes` does not exist.
const REMOVES_MISSING: u32 = 11;
/// The exit code of [`CommandLine::guard`] if the folder does not exist.
const FOLDER_MISSING: u32 = 12;
/// The line on stderr if the folder cannot be entered.
const NO_FOLDER: &str = "muster: cannot change to the folder of the command";
/// The line on stderr if the program cannot run.
const NO_PROGRAM: &str = "muster: cannot run the program";
/// Runs the program in `$@`. If it does not exist, the exit code is 2, as Python's error number. If it may not be run, the
/// code is 13. The name of the variable is one that the environment of the program does not have.
const CHECKED_EXEC: &str = r#"muster_program=$1
case $1 in
*/*) ;;
*)
    muster_program=
    IFS=:
    for muster_folder in $PATH; do
        muster_folder=${muster_folder:-.}/$1
        if [ -f "$muster_folder" ] && [ -x "$muster_folder" ]; then muster_program=$muster_folder; break; fi
    done
    unset IFS
    ;;
esac
if [ ! -e "$muster_program" ]; then echo 'MESSAGE' >&2; exit 2; fi
if [ ! -f "$muster_program" ] || [ ! -x "$muster_program" ]; then echo 'MESSAGE' >&2; exit 13; fi
exec "$@"
"#;
