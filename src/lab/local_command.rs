//! Runs programs of this machine. An error names the command, the host that it was run for, and the end of its stderr.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::error::LabError;

/// The programs that the lab needs, with their Debian packages.
const NEEDED: [(&str, &str); 9] = [
    ("bash", "bash"),
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("kill", "procps"),
    ("mount", "mount"),
    ("setsid", "util-linux"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("unshare", "util-linux"),
];

/// The folders of programs on Debian. The `PATH` of cron and sudo may be shorter.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Checks that this process is root, and that all programs that the lab needs are installed.
pub fn check_prerequisites() -> Result<(), LabError> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    for (program, package) in NEEDED {
        if !path(program).is_absolute() {
            return Err(LabError::Missing { program, package });
        }
    }
    Ok(())
}

/// Returns the path of a program, or its bare name if it is not found.
pub(super) fn path(program: &str) -> PathBuf {
    let mut paths = FOLDERS.iter().map(|folder| PathBuf::from(folder).join(program));
    paths.find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(program))
}

/// A command of this machine, run for a host or for the whole lab.
#[derive(Debug)]
pub(super) struct LocalCommand<'a> {
    host: Option<&'a str>,
    program: &'a str,
    args: Vec<String>,
}

impl<'a> LocalCommand<'a> {
    pub(super) fn new<A: Into<String>>(program: &'a str, args: impl IntoIterator<Item = A>) -> Self {
        Self { host: None, program, args: args.into_iter().map(Into::into).collect() }
    }

    /// Sets the host that errors name.
    pub(super) fn for_host(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }

    /// Runs the command and returns its stdout.
    pub(super) fn run(self) -> Result<String, LabError> {
        self.run_with_stdin("")
    }

    /// Runs the command with this stdin and returns its stdout.
    pub(super) fn run_with_stdin(self, stdin: &str) -> Result<String, LabError> {
        let mut command = Command::new(path(self.program));
        command.args(&self.args).env("PATH", FOLDERS.join(":")).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.failed("cannot be started", &error.to_string()))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that does not read it all says why on stderr.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        let output =
            child.wait_with_output().map_err(|error| self.failed("cannot be waited for", &error.to_string()))?;
        if !output.status.success() {
            return Err(self.failed(&output.status.to_string(), &tail(&String::from_utf8_lossy(&output.stderr))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn failed(&self, status: &str, stderr: &str) -> LabError {
        LabError::Command {
            host: self.host.map(str::to_owned),
            command: std::iter::once(self.program)
                .chain(self.args.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(" "),
            status: status.to_owned(),
            stderr: stderr.trim().to_owned(),
        }
    }
}

/// Returns the last 12 lines of a program's output, which hold the reason of a failure.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
