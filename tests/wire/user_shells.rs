//! User shells, against a real sshd.

use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::remote::CapturedOutput;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Password;
use muster::remote::Remote as _;
use muster::remote::RunAs;
use muster::remote::ScriptRunner;
use muster::remote::Target;
use muster::remote::quote;
use muster::remote::ssh::Ssh;

use super::sshd::Sshd;
use super::sshd::missing;

/// How long anything here may take.
const LIMIT: Duration = Duration::from_secs(20);

const BOTH: [ScriptRunner; 2] = [ScriptRunner::UserShell, ScriptRunner::UserShellForPrograms];

/// A host on which a shell cannot find the processes that a program leaves behind.
const BLIND: &str =
    "ForceCommand exec unshare -m sh -c 'mount --bind /dev/null /proc/loadavg; exec sh -c \"$SSH_ORIGINAL_COMMAND\"'";

/// A host, and what runs commands on it.
struct Stage {
    ssh: Ssh,
    target: Target,
    /// Stops when it is dropped.
    _sshd: Sshd,
}

/// The exit, stdout and stderr of a command.
type Ran = (Exit, String, String);

impl Stage {
    /// Starts an sshd with these lines of sshd_config(5).
    fn start(lines: &str) -> Option<Self> {
        if missing() {
            return None;
        }
        let sshd = Sshd::start_with(|_| lines.to_owned());
        Some(Self { ssh: sshd.ssh(), target: sshd.target(), _sshd: sshd })
    }

    async fn exec(&self, command: Command) -> Result<Ran, Failure> {
        let mut kept = CapturedOutput::with_limit(8 << 20);
        let exit = self.ssh.exec(&self.target, &command, &mut kept).await?;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ok((exit, text(kept.stdout), text(kept.stderr)))
    }

    async fn run(&self, runner: ScriptRunner, script: &str) -> Ran {
        let command = Command { script: script.to_owned(), limit: Some(LIMIT), runner, ..Command::default() };
        self.exec(command).await.unwrap()
    }

    /// Returns the process id of the user shell.
    async fn shell(&self) -> String {
        let (exit, shell, _) = self.run(ScriptRunner::UserShell, "echo $$").await;
        assert_eq!(exit, Exit::Code(0));
        shell
    }
}

fn ended(code: u32, out: &str, err: &str) -> Ran {
    (Exit::Code(code), out.to_owned(), err.to_owned())
}

#[tokio::test]
async fn scripts_of_a_user_shell_know_nothing_of_each_other() {
    let (Some(sees), Some(blind)) = (Stage::start(""), Stage::start(BLIND)) else { return };
    for (stage, runner) in [&sees, &blind].into_iter().flat_map(|stage| BOTH.map(|runner| (stage, runner))) {
        let before = stage.run(runner, "echo $$ $PWD $(umask) $-; cat").await;
        let script =
            "x=1; export x; cd /; umask 0; trap 'echo bye' EXIT; set -efu; echo it\\'s >&2; printf end; exit 7";
        assert_eq!(stage.run(runner, script).await, ended(7, "endbye\n", "it's\n"));
        for script in
            ["exec false", "exec 1>&- 2>&- 4>&- 8>&- 9>&-; false", "if", "nowhere", "kill -KILL $(sh -c 'echo $PPID')"]
        {
            assert_ne!(stage.run(runner, script).await.0, Exit::Code(0), "{script}");
        }
        let script = "test -z \"${x-}\" && echo $$ $PWD $(umask) $-; cat";
        assert_eq!(stage.run(runner, script).await, before, "{runner:?}");
        assert_eq!(stage.run(runner, "ls /proc/self/fd").await, ended(0, "0\n1\n2\n3\n", ""), "{runner:?}");
    }
}

/// Starts an sshd on which `sh` is another shell, if this machine has that shell.
fn start_with_shell(shell: &str, folder: &Path) -> Option<Stage> {
    let path = ["/bin", "/usr/bin"].map(|at| Path::new(at).join(shell)).into_iter().find(|path| path.exists());
    let Some(path) = path else {
        eprintln!("skipped: no {shell}");
        return None;
    };
    std::os::unix::fs::symlink(path, folder.join("sh")).unwrap();
    let folder = folder.display();
    Stage::start(&format!("ForceCommand PATH={folder}:$PATH; export PATH; exec sh -c \"$SSH_ORIGINAL_COMMAND\""))
}

#[tokio::test]
async fn other_shells_run_scripts_in_the_same_way() {
    for shell in ["dash", "bash", "busybox", "mksh", "ksh"] {
        let folder = tempfile::tempdir().unwrap();
        let Some(stage) = start_with_shell(shell, folder.path()) else { continue };
        for runner in BOTH {
            assert_eq!(
                stage.run(runner, "x=1; cat; echo it\\'s; echo bad >&2; exit 3").await,
                ended(3, "it's\n", "bad\n")
            );
            assert_eq!(stage.run(runner, "echo ${x-none}; exit 143").await, ended(143, "none\n", ""));
            let killed = stage.run(runner, "exec sleep 60 & kill -KILL $!; exec sh -c 'kill -KILL $$'").await;
            assert_eq!(killed.0, Exit::Signal("KILL".to_owned()), "{shell} {runner:?}");
        }
        let command = Command { texts: vec!["show() { echo \"$x\"; }\n", "show\n"], ..Command::default() };
        let command = Command { script: "x='é\n$x'".to_owned(), runner: ScriptRunner::UserShell, ..command };
        assert_eq!(stage.exec(command).await.unwrap(), ended(0, "é\n$x\n", ""), "{shell}");
    }
}

#[tokio::test]
async fn output_of_any_size_and_form_arrives_whole() {
    let (Some(sees), Some(blind)) = (Stage::start(""), Stage::start(BLIND)) else { return };
    for (stage, runner) in [&sees, &blind].into_iter().flat_map(|stage| BOTH.map(|runner| (stage, runner))) {
        let (exit, out, err) = stage.run(runner, "head -c 3000000 /dev/zero | tr '\\0' @ | tee /dev/stderr").await;
        assert_eq!((exit, out.len(), err.len()), (Exit::Code(0), 3_000_000, 3_000_000));
        assert_eq!(stage.run(runner, "printf '@\\n\\n'; printf '@0\\n' >&2").await, ended(0, "@\n\n", "@0\n"));
        let all: String = ('\u{1}'..'\u{3000}').collect();
        let script = format!("x={}; printf %s \"$x\"", quote(&all).unwrap());
        assert_eq!(stage.run(runner, &script).await, ended(0, &all, ""));
    }
}

#[tokio::test]
async fn a_signal_is_told_from_an_exit_status() {
    let Some(stage) = Stage::start("") else { return };
    for runner in BOTH {
        for name in ["TERM", "KILL", "SEGV", "HUP"] {
            let script = format!("exec sh -c 'echo out; kill -{name} $$'");
            let expected = (Exit::Signal(name.to_owned()), "out\n".to_owned(), String::new());
            assert_eq!(stage.run(runner, &script).await, expected);
        }
        assert_eq!(stage.run(runner, "exit 143").await, ended(143, "", ""));
    }
}

#[tokio::test]
async fn what_a_process_prints_that_goes_on_is_no_output_of_a_later_script() {
    for lines in ["", BLIND] {
        let Some(stage) = Stage::start(lines) else { return };
        let run = async |script: &str| stage.run(ScriptRunner::UserShellForPrograms, script).await;
        let first = stage.shell().await;
        let start = Instant::now();
        for script in [
            "(while sleep 2; do echo noise; echo noise >&2; done) & echo done",
            "(while sleep 2; do echo noise >&2; done) >/dev/null & echo done",
            "(exec 3>&1 >/dev/null 2>&1; while sleep 2; do echo noise >&3; done) & echo done",
            "sh -c 'setsid sh -c \"while sleep 2; do echo noise; done\" 2>/dev/null &'; echo done",
        ] {
            let before = stage.shell().await;
            assert_eq!(run(script).await, ended(0, "done\n", ""), "{script}");
            assert_ne!(stage.shell().await, before, "the shell has a process that prints: {script}");
        }
        assert!(start.elapsed() < LIMIT);
        let second = stage.shell().await;
        assert_ne!(first, second);
        // A process that gave its output up is no reason for another shell.
        let (_, sleeper, _) = run("sleep 60 >/dev/null 2>&1 & echo $!").await;
        assert_eq!(stage.shell().await, second);
        stage.run(ScriptRunner::UserShell, &format!("kill {sleeper}")).await;
    }
}

#[tokio::test]
async fn what_a_process_prints_soon_after_its_script_is_output_of_the_script() {
    for lines in ["", BLIND] {
        let Some(stage) = Stage::start(lines) else { return };
        stage.shell().await;
        for seconds in ["0.05", "0.45"] {
            let script = format!("(sleep {seconds}; echo late; echo bad >&2) & echo done");
            let ran = stage.run(ScriptRunner::UserShellForPrograms, &script).await;
            assert_eq!(ran, ended(0, "done\nlate\n", "bad\n"), "{lines}");
        }
    }
}

#[tokio::test]
async fn a_program_that_takes_long_leaves_no_shell_that_finds_processes() {
    for (lines, stays) in [("", false), (BLIND, true)] {
        let Some(stage) = Stage::start(lines) else { return };
        let first = stage.shell().await;
        let script = "echo out; sleep 3; exit 4";
        assert_eq!(stage.run(ScriptRunner::UserShellForPrograms, script).await, ended(4, "out\n", ""));
        assert_eq!(stage.shell().await == first, stays, "the numbers of processes might have begun again");
    }
}

#[tokio::test]
async fn a_text_is_sent_once_and_runs_in_each_script_that_has_it() {
    let Some(stage) = Stage::start("") else { return };
    let texts: Vec<&'static str> = vec!["y=$x$x\nshow() { echo \"$y\"; }\n", "", "show\nexit 3"];
    for x in ["a", "b"] {
        let script = format!("x={x}\n");
        let runner = ScriptRunner::UserShell;
        let command = Command { script: script.clone(), texts: texts.clone(), runner, ..Command::default() };
        assert_eq!(stage.exec(command).await.unwrap(), ended(3, &format!("{x}{x}\n"), ""));
        let own =
            Command { script, texts: texts.clone(), stdin: b"fed".as_slice().into(), runner, ..Command::default() };
        assert_eq!(stage.exec(own).await.unwrap(), ended(3, &format!("{x}{x}\n"), ""));
    }
    assert_eq!(stage.run(ScriptRunner::UserShell, "show; echo $y").await.1, "\n");
}

#[tokio::test]
async fn a_script_that_takes_too_long_ends_its_shell() {
    let Some(stage) = Stage::start("") else { return };
    for runner in BOTH {
        let first = stage.shell().await;
        let script = "echo $$ >&2; echo first; exec sleep 60".to_owned();
        let command = Command { script, limit: Some(Duration::from_secs(2)), runner, ..Command::default() };
        let mut kept = CapturedOutput::with_limit(100);
        let failure = stage.ssh.exec(&stage.target, &command, &mut kept).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (Phase::Run, FailureKind::Silent));
        assert_eq!(
            (failure.detail.as_str(), kept.stdout.as_slice()),
            ("the command did not end within 2s", &b"first\n"[..])
        );
        let second = stage.shell().await;
        assert_ne!(first, second);
        stage.run(ScriptRunner::UserShell, &format!("while kill -0 {first}; do :; done 2>/dev/null")).await;
    }
}

#[tokio::test]
async fn the_wait_for_other_commands_of_muster_does_not_count_against_the_limit_of_a_command() {
    let Some(stage) = Stage::start("") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (gate, limit) = (folder.path().join("gate"), Duration::from_secs(3));
    for runner in BOTH {
        let _ = std::fs::remove_file(&gate);
        let hold = format!("until [ -e {} ]; do sleep 0.05; done", gate.display());
        // As many as one connection may have channels.
        let holding = futures_util::future::join_all((0..8).map(|_| stage.run(runner, &hold)));
        let command = Command { script: "echo done".to_owned(), limit: Some(limit), runner, ..Command::default() };
        let opening = async {
            tokio::time::sleep(limit + Duration::from_secs(1)).await;
            std::fs::write(&gate, "").unwrap();
        };
        let (_, ran, ()) = tokio::join!(holding, stage.exec(command), opening);
        assert_eq!(ran.unwrap(), ended(0, "done\n", ""));
    }
}

#[tokio::test]
async fn a_killed_shell_is_the_exit_of_its_script_and_the_next_has_another() {
    let Some(stage) = Stage::start("") else { return };
    for runner in BOTH {
        assert_eq!(stage.run(runner, "kill -KILL $$; sleep 60").await.0, Exit::Signal("KILL".to_owned()));
        let first = stage.shell().await;
        let script = format!("kill -KILL {first}; while kill -0 {first}; do :; done 2>/dev/null");
        let own = Command { script, limit: Some(LIMIT), ..Command::default() };
        stage.exec(own).await.unwrap();
        assert_ne!(stage.shell().await, first);
    }
}

#[tokio::test]
async fn each_user_has_a_shell_and_that_of_a_plain_user_ends_with_another_user() {
    let Some(stage) = Stage::start("") else { return };
    let shell = async |user: Option<&str>| {
        let run_as = user.map(|name| RunAs::user(name, None).unwrap());
        let script = "echo $$ $(id -un)".to_owned();
        let command = Command { script, run_as, runner: ScriptRunner::UserShell, ..Command::default() };
        stage.exec(command).await.unwrap().1
    };
    let (login, root, daemon) = (shell(None).await, shell(Some("root")).await, shell(Some("daemon")).await);
    assert!(daemon.ends_with("daemon\n"));
    assert_eq!(shell(Some("daemon")).await, daemon);
    assert_eq!((shell(None).await, shell(Some("root")).await), (login, root));
    assert_ne!(shell(Some("daemon")).await, daemon, "its groups may have changed");
}

#[tokio::test]
async fn the_output_of_start_files_is_not_that_of_a_script() {
    let noisy = "ForceCommand printf '*** Welcome ***' ; echo stty: no tty >&2; exec sh -c \"$SSH_ORIGINAL_COMMAND\"";
    let Some(stage) = Stage::start(noisy) else { return };
    for runner in BOTH {
        assert_eq!(stage.run(runner, "echo out; echo err >&2").await, ended(0, "out\n", "err\n"));
    }
}

#[tokio::test]
async fn a_shell_that_does_not_start_is_the_failure_of_its_command() {
    let refused = "ForceCommand echo noise >&2; echo 'sudo: a password is required' >&2; exit 1";
    let Some(stage) = Stage::start(refused) else { return };
    let (run_as, runner) = (Some(RunAs::root()), ScriptRunner::UserShell);
    let command = Command { run_as, runner, limit: Some(LIMIT), ..Command::default() };
    let failure = stage.exec(command).await.unwrap_err();
    assert_eq!((failure.phase, failure.kind), (Phase::Shell, FailureKind::Denied));
    assert_eq!(failure.detail, "the host does not allow root: sudo: a password is required");
    let Some(stage) = Stage::start("ForceCommand echo This account is not available.; exit 1") else { return };
    assert_eq!(stage.run(ScriptRunner::UserShell, "true").await, ended(1, "", ""));
}

#[tokio::test]
async fn sudo_gets_a_password_once_and_the_script_only_after_that() {
    // A sudo that asks for a password, up to three times, and tells how often.
    let log = tempfile::NamedTempFile::new().unwrap();
    let asks = |password: &str| {
        let log = log.path().display();
        format!(
            "ForceCommand for n in 1 2 3; do printf muster-asks-for-the-password-of:alice: >&2; IFS= read -r p || exit 1; \
             echo $n >>{log}; [ \"$p\" = {password} ] && exec sh -c \"$SSH_ORIGINAL_COMMAND\"; echo Sorry, try again. >&2; \
             done; echo sudo: 3 incorrect password attempts >&2; exit 1"
        )
    };
    let command = |runner| {
        let run_as = RunAs::user("root", Some(Password::new("right").unwrap())).unwrap();
        Command {
            script: "echo out; cat".to_owned(),
            run_as: Some(run_as),
            runner,
            limit: Some(LIMIT),
            ..Command::default()
        }
    };
    for runner in [ScriptRunner::UserShell, ScriptRunner::OwnChannel] {
        let Some(stage) = Stage::start(&asks("right")) else { return };
        assert_eq!(stage.exec(command(runner)).await.unwrap(), ended(0, "out\n", ""), "{runner:?}");
        let Some(stage) = Stage::start(&asks("other")) else { return };
        std::fs::write(log.path(), "").unwrap();
        let failure = stage.exec(command(runner)).await.unwrap_err();
        assert_eq!((failure.phase, failure.kind), (Phase::Shell, FailureKind::Denied));
        assert_eq!(failure.detail, "sudo refused the password of alice");
        assert!(failure.hint.unwrap().starts_with("Check the password of "));
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "1\n", "one attempt");
    }
}

#[tokio::test]
async fn a_host_without_proc_or_with_one_session_runs_scripts_too() {
    let sealed = "ForceCommand exec unshare -m sh -c 'mount -t tmpfs none /proc; exec sh -c \"$SSH_ORIGINAL_COMMAND\"'";
    for lines in [sealed, "MaxSessions 1"] {
        let Some(stage) = Stage::start(lines) else { return };
        for runner in [BOTH[0], ScriptRunner::OwnChannel, BOTH[1], BOTH[0]] {
            assert_eq!(stage.run(runner, "echo out; exit 3").await, ended(3, "out\n", ""), "{lines}");
        }
    }
}
