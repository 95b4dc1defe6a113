//! The facts that a host reports when it joins: its identity and what it runs.

use std::time::Duration;

use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::Podman;
use crate::core::sanitize;

/// How long a host may take to report its facts.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// How many characters of the name of an operating system are kept.
const OS_NAME: usize = 128;

/// The script that prints the facts, one on a line. `systemctl` and `podman` are the only processes that it starts.
pub(super) const SCRIPT: &str = r#"{
m_id=; [ -r /etc/machine-id ] && read -r m_id </etc/machine-id
printf 'machine %s\n' "$m_id"
[ -d /run/systemd/system ] && printf 'systemd %s\n' "$(systemctl --version)"
while IFS= read -r m_line; do case $m_line in PRETTY_NAME=*) printf 'os %s\n' "${m_line#*=}" ;; esac; done </etc/os-release
m_podman=none; command -v podman >/dev/null && m_podman=$(podman --version)
printf 'podman %s\n' "$m_podman"
} </dev/null 2>/dev/null
printf '%s\n' '@facts end'
"#;

/// The line that ends the output of [`SCRIPT`].
pub(super) const END: &str = "@facts end";

/// The identity of a host and what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The content of /etc/machine-id.
    pub machine: MachineId,
    /// `PRETTY_NAME` of os-release(5); empty if there is none.
    pub os: String,
    /// The major version of systemd.
    pub systemd: u32,
    /// Podman, as `podman --version` prints it. One that does not say its version counts as unknown.
    pub podman: Podman,
}

/// Reads the facts of the host called `host` from what [`SCRIPT`] printed.
pub(super) fn facts(host: &str, printed: &[u8]) -> Result<Facts, Failure> {
    read(&String::from_utf8_lossy(printed)).map_err(|(detail, hint)| Failure {
        host: host.to_owned(),
        phase: Phase::Run,
        kind: FailureKind::Sick,
        detail,
        hint: Some(hint.to_owned()),
    })
}

fn read(printed: &str) -> Result<Facts, (String, &'static str)> {
    let value = |key: &str| printed.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let machine = value("machine ").unwrap_or_default();
    let machine = machine
        .parse()
        .map_err(|error| (format!("/etc/machine-id: {error}"), "Run `systemd-machine-id-setup` on it."))?;
    let systemd = value("systemd ").and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let systemd = systemd.ok_or_else(|| {
        (
            "it was not booted with systemd".to_owned(),
            "Leave this host out: muster needs systemd as the init of a host.",
        )
    })?;
    let os = sanitize::truncate(value("os ").unwrap_or_default().trim_matches(['"', '\'']), OS_NAME);
    let podman = value("podman ").and_then(|line| line.split_whitespace().last()?.parse().ok()).unwrap_or_default();
    Ok(Facts { machine, os, systemd, podman })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_the_output_of_the_script() {
        let printed = "machine 3f2f3dd01bc642c29d396c0eaa4a7139\nsystemd systemd 252 (252.39-1~deb12u1)\n+PAM\nos \"Debian GNU/Linux 12 (bookworm)\"\n@facts end\n";
        let facts = read(printed).unwrap();
        assert_eq!((facts.systemd, facts.os.as_str()), (252, "Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(facts.machine.to_string(), "3f2f3dd01bc642c29d396c0eaa4a7139");
        for (line, expected) in [
            ("", "unknown"),
            ("podman none\n", "none"),
            ("podman podman version 5.4.2\n", "5.4.2"),
            ("podman \n", "unknown"),
            ("podman podman version ?\n", "unknown"),
        ] {
            assert_eq!(read(&format!("{line}{printed}")).unwrap().podman.to_string(), expected, "{line}");
        }
        let long = printed.replace("Debian", &format!("\u{1b}{}", "x".repeat(2 << 20)));
        assert_eq!(read(&long).unwrap().os, format!("\u{fffd}{}…", "x".repeat(OS_NAME - 2)));
    }

    #[test]
    fn a_host_without_systemd_or_machine_id_is_an_error() {
        assert!(read("machine 3f2f3dd01bc642c29d396c0eaa4a7139\n").unwrap_err().0.contains("not booted with systemd"));
        assert!(read("machine uninitialized\nsystemd systemd 252\n").unwrap_err().0.contains("machine-id"));
    }
}
