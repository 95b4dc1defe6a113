//! Running this machine's own programs, so that a failure says which command, for which host, and what it said.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use super::error::LabError;

/// The programs the lab needs, with the Debian package that has each.
const NEEDED: [(&str, &str); 8] = [
    ("ip", "iproute2"),
    ("mmdebstrap", "mmdebstrap"),
    ("kill", "procps"),
    ("mount", "mount"),
    ("setsid", "util-linux"),
    ("ssh-keygen", "openssh-client"),
    ("systemd-nspawn", "systemd-container"),
    ("unshare", "util-linux"),
];

/// Where Debian keeps programs. Cron and sudo may have a shorter `PATH`.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Checks that this machine can have a lab: that this is root, and that every program is there.
pub fn check() -> Result<(), LabError> {
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

/// Returns where a program is, or its bare name.
pub(super) fn path(program: &str) -> PathBuf {
    let mut places = PLACES.iter().map(|place| PathBuf::from(place).join(program));
    places.find(|path| path.exists()).unwrap_or_else(|| PathBuf::from(program))
}

/// A command to be run, for a host or for the lab as a whole.
#[derive(Debug)]
pub(super) struct Tool<'a> {
    host: Option<&'a str>,
    program: &'a str,
    args: Vec<String>,
}

impl<'a> Tool<'a> {
    pub(super) fn new<A: Into<String>>(program: &'a str, args: impl IntoIterator<Item = A>) -> Self {
        Self { host: None, program, args: args.into_iter().map(Into::into).collect() }
    }

    /// Names the host that the command is for.
    pub(super) fn on(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }

    /// Runs it and returns its stdout.
    pub(super) fn run(self) -> Result<String, LabError> {
        self.feed("")
    }

    /// Runs it with this on stdin and returns its stdout.
    pub(super) fn feed(self, stdin: &str) -> Result<String, LabError> {
        let mut command = Command::new(path(self.program));
        command.args(&self.args).env("PATH", PLACES.join(":")).env("LC_ALL", "C.UTF-8");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| self.failed("not started", &error.to_string()))?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that stops reading says why on stderr.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        let output = child.wait_with_output().map_err(|error| self.failed("lost", &error.to_string()))?;
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

/// Returns the last lines of what a program said: the reason is there.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}
