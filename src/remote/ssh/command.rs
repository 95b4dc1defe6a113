//! Runs one script in a channel of its own and passes its output on as it arrives.
//!
//! The login shell gets a fixed line that every shell reads alike. `sh` reads the script from the first line of stdin.

use std::borrow::Cow;
use std::time::Duration;

use russh::ChannelMsg;
use russh::Sig;

use super::connection::Session;
use super::failure::ErrorContext;
use super::failure::denied_user;
use super::failure::refused_password;
use super::started::PROMPT;
use super::started::Started;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::RunAs;
use crate::remote::Sink;

/// How long a command that has exited may leave the channel open and silent: a process it started may hold its stdout.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// How long sudo may take to check a password.
const SUDO_LIMIT: Duration = Duration::from_secs(30);

/// The detail of the failure of a command of which the end is not known.
pub(super) const NO_EXIT: &str = "the host closed the channel and did not report how the command ended";

/// Reads a script from the first line of stdin that is one, and runs it; the rest of stdin is the script's. Before that it
/// marks the start of its output. A line before the script is a password for which sudo did not ask.
///
/// It stands in single quotes, and the login shell may be sh, csh, fish or a restricted bash: it has no quote, backslash,
/// `!` or newline.
macro_rules! read_script {
    () => {
        r#"echo muster-command-starts; echo muster-command-starts >&2; L=; while [ "${L#muster-script:}" = "$L" ]; do IFS= read -r L || exit 1; done; eval "$(printf %b "${L#muster-script:}")""#
    };
}

/// The line for the login shell.
const START: &str = concat!("sh -c '", read_script!(), "'");

/// The line for the login shell, up to the command that becomes root.
const ROOT: &str = r#"sh -c 'test "$(id -u)" = 0 && exec sh -c "$0"; exec "#;

/// The line for the login shell, up to the command that becomes another user. root needs no sudo for it.
const USER: &str = r#"sh -c 'test "$(id -un)" = "$1" && exec sh -c "$0"; test "$(id -u)" = 0 && exec su -s /bin/sh "$1" -c "$0"; exec "#;

/// The end of such a line, up to the user's name.
const END: &str = concat!(r#" -u "$1" sh -c "$0"' '"#, read_script!(), "' ");

/// Returns the first part of the stdin of [`START`]: the script as one line for `printf %b`. The bytes for the script
/// follow. A password comes before it: see [`password_line`].
pub(super) fn head(command: &Command, at: ErrorContext<'_>) -> Result<Vec<u8>, Failure> {
    let script = command.whole_script();
    if script.contains('\0') {
        return Err(at.local("the command contains a NUL byte"));
    }
    let line = script.replace('\\', r"\\").replace('\n', r"\n");
    Ok(format!("muster-script:{line}\n").into_bytes())
}

/// Returns the line with the password for sudo. The script follows only when sudo has started the command: sudo would read
/// it as further passwords if it refuses the first.
pub(super) fn password_line(run_as: Option<&RunAs>) -> Option<Vec<u8>> {
    Some(format!("{}\n", run_as?.password()?.text()).into_bytes())
}

/// Gives sudo its password, if there is one, and waits until the command has started. Returns the exit if it ended instead.
pub(super) async fn become_user(
    session: &mut Session,
    run_as: Option<&RunAs>,
    output: &mut Started<'_, impl Sink + ?Sized>,
    at: ErrorContext<'_>,
) -> Result<Option<Exit>, Failure> {
    let Some(line) = password_line(run_as) else { return Ok(None) };
    // A refusal or the end is read below.
    let _ = session.write.data_bytes(line).await;
    let shell = ErrorContext { phase: Phase::Shell, ..at };
    shell.within(SUDO_LIMIT, admitted(session, output, at)).await
}

/// Waits until the command has started or ended.
async fn admitted(
    session: &mut Session,
    output: &mut Started<'_, impl Sink + ?Sized>,
    at: ErrorContext<'_>,
) -> Result<Option<Exit>, Failure> {
    let mut exit = None;
    while !output.has_started() {
        match session.wait().await {
            Some(ChannelMsg::Data { data }) => output.stdout(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => output.stderr(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => exit = Some(Exit::Signal(name(&signal_name))),
            Some(ChannelMsg::Close) | None => {
                return exit.map(Some).ok_or_else(|| session.connection.lost(at, NO_EXIT));
            }
            Some(_) => {}
        }
        if output.is_too_noisy() {
            return Err(at.failure(FailureKind::Sick, "the login shell prints without end"));
        }
        if output.is_refused() {
            // Without a further password, sudo makes no further attempt.
            let _ = session.write.eof().await;
            return Err(refused_password(&output.user(), at));
        }
    }
    Ok(None)
}

/// Runs a command and returns its exit.
pub(super) async fn run(
    session: &mut Session,
    command: &Command,
    sink: &mut dyn Sink,
    host: &str,
    start: Duration,
) -> Result<Exit, Failure> {
    let at = ErrorContext { host, phase: Phase::Run };
    let (head, stdin) = (head(command, at)?, command.stdin.clone());
    let asked = session.write.exec(true, &*line(command.run_as.as_ref())).await;
    asked.map_err(|_| session.connection.lost(at, "the connection was closed"))?;
    at.within(start, accepted(session, at)).await?;
    let write = session.write.clone();
    let send = async {
        // A command need not read its stdin.
        if write.data_bytes(head).await.is_ok() && (stdin.is_empty() || write.data_bytes(stdin).await.is_ok()) {
            let _ = write.eof().await;
        }
    };
    let mut output = Started::new(sink);
    let exchange = async {
        if let Some(exit) = become_user(session, command.run_as.as_ref(), &mut output, at).await? {
            return Ok(exit);
        }
        let read = read(session, &mut output, at);
        tokio::pin!(send, read);
        tokio::select! {
            exit = &mut read => exit,
            () = &mut send => read.await,
        }
    };
    let exit = match command.limit {
        None => exchange.await?,
        Some(limit) => {
            if let Ok(exit) = tokio::time::timeout(limit, exchange).await {
                exit?
            } else {
                let _ = write.signal(Sig::TERM).await;
                return Err(Failure {
                    detail: format!("the command did not end within {limit:?}"),
                    ..at.silent(limit)
                });
            }
        }
    };
    refusal(output, command.run_as.as_ref(), host).map_or(Ok(exit), Err)
}

/// Returns the line for the login shell.
pub(super) fn line(run_as: Option<&RunAs>) -> Cow<'static, str> {
    let Some(user) = run_as else { return Cow::Borrowed(START) };
    let start = if user.is_root() { ROOT } else { USER };
    let sudo = match user.password() {
        Some(_) => format!("sudo -H -S -p {PROMPT}%p:"),
        None => "sudo -H -n".to_owned(),
    };
    Cow::Owned([start, &sudo, END, user.name()].concat())
}

/// Ends the output. Returns the failure of a command that never started because sudo or su refused.
pub(super) fn refusal(output: Started<'_, impl Sink + ?Sized>, run_as: Option<&RunAs>, host: &str) -> Option<Failure> {
    let user = run_as?;
    let at = ErrorContext { host, phase: Phase::Shell };
    if user.password().is_some() && output.is_refused() {
        return Some(refused_password(&output.user(), at));
    }
    // The line itself prints nothing: a message of sudo or su says that it refused.
    let said = output.end().filter(|said| said.contains("sudo: ") || said.contains("su: "))?;
    Some(denied_user(&said, user, at))
}

/// Waits until the host reports whether it starts the command.
pub(super) async fn accepted(session: &mut Session, at: ErrorContext<'_>) -> Result<(), Failure> {
    loop {
        match session.wait().await {
            Some(ChannelMsg::Success) => return Ok(()),
            Some(ChannelMsg::Failure) => return Err(at.failure(FailureKind::Sick, "the host runs no commands")),
            Some(_) => {}
            None => return Err(session.connection.lost(at, "the host closed the channel")),
        }
    }
}

async fn read(
    session: &mut Session,
    output: &mut Started<'_, dyn Sink + '_>,
    at: ErrorContext<'_>,
) -> Result<Exit, Failure> {
    let mut exit = None;
    loop {
        let message = if exit.is_some() {
            // The server chooses the order of exit status, end of file and close.
            tokio::time::timeout(GRACE, session.wait()).await.unwrap_or(None)
        } else {
            session.wait().await
        };
        match message {
            Some(ChannelMsg::Data { data }) => output.stdout(&data),
            Some(ChannelMsg::ExtendedData { data, .. }) => output.stderr(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => exit = Some(Exit::Code(exit_status)),
            Some(ChannelMsg::ExitSignal { signal_name, .. }) => exit = Some(Exit::Signal(name(&signal_name))),
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
        if output.is_too_noisy() {
            return Err(at.failure(FailureKind::Sick, "the login shell prints without end"));
        }
    }
    exit.ok_or_else(|| session.connection.lost(at, NO_EXIT))
}

/// Returns the name of a signal. The host may send a name of its own.
pub(super) fn name(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => sanitize::printable(name.as_bytes()),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command as Process;
    use std::process::Stdio;

    use super::*;

    /// Runs a script as a host does with this login shell, and returns its stdout, stderr and exit code.
    fn run_in(shell: &[&str], line: &str, command: &Command) -> (String, String, Option<i32>) {
        let mut process = Process::new(shell[0]);
        process
            .args(&shell[1..])
            .args(["-c", line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = process.spawn().unwrap();
        let fed = head(command, ErrorContext { host: "h", phase: Phase::Run }).unwrap();
        let mut stdin = process.stdin.take().unwrap();
        stdin.write_all(&[&fed, &command.stdin[..]].concat()).unwrap();
        drop(stdin);
        let output = process.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "where the shells have to be installed, a missing one is an error")]
    fn every_login_shell_runs_the_script_unchanged() {
        let script = "x='it\\n is \\\\ %s !! `id` $HOME {}'\nprintf '%s|' \"$x\"; cat; echo bad >&2; exit 7".to_owned();
        let command = Command { script, stdin: b"fed\\n\n".as_slice().into(), ..Command::default() };
        for shell in
            [&["sh"][..], &["bash"], &["bash", "-r"], &["dash"], &["tcsh", "-f"], &["fish"], &["zsh"], &["ksh"]]
        {
            if Process::new(shell[0]).args(["-c", "true"]).output().is_err() {
                let is_needed = matches!(shell[0], "tcsh" | "fish") && std::env::var_os("CI").is_some();
                assert!(!is_needed, "{} is missing: scripts/packages.sh names it", shell[0]);
                eprintln!("skipped: no {}", shell[0]);
                continue;
            }
            let users = [None, Some(RunAs::root()), Some(RunAs::user("daemon", None).unwrap())];
            for user in if rustix::process::getuid().is_root() { &users[..] } else { &users[..1] } {
                let (out, err, code) = run_in(shell, &line(user.as_ref()), &command);
                let printed = "muster-command-starts\nit\\n is \\\\ %s !! `id` $HOME {}|fed\\n\n";
                assert_eq!((out.as_str(), code), (printed, Some(7)), "{shell:?}: {err}");
                assert_eq!(err, "muster-command-starts\nbad\n", "{shell:?}");
            }
        }
    }

    #[test]
    fn a_script_that_was_cut_off_is_not_run() {
        let command = Command { script: "echo run".to_owned(), ..Command::default() };
        let mut fed = head(&command, ErrorContext { host: "h", phase: Phase::Run }).unwrap();
        fed.pop();
        let mut process = Process::new("sh");
        process.args(["-c", START]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = process.spawn().unwrap();
        process.stdin.take().unwrap().write_all(&fed).unwrap();
        let output = process.wait_with_output().unwrap();
        assert_eq!((output.stdout, output.status.code()), (b"muster-command-starts\n".to_vec(), Some(1)));
    }
}
