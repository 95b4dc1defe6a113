//! The logs of hosts: a file for each in a folder, to which each run adds its lines with the time.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use crate::core::model::Timestamp;
use crate::playbook::callback::Event;
use crate::playbook::callback::host_log::HostLog;
use crate::ui;

/// The logs in one folder.
#[derive(Debug)]
pub(super) struct HostLogs {
    folder: PathBuf,
    log: HostLog,
    /// Set once a line could not be written: the warning about it is printed once.
    is_broken: bool,
}

impl HostLogs {
    /// Opens a folder, which is made if it does not exist.
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, log: HostLog::default(), is_broken: false })
    }

    /// Adds the lines of an event to the log of its host.
    pub(super) fn handle(&mut self, event: &Event<'_>, now: Timestamp) {
        let Some((host, lines)) = self.log.handle(event) else { return };
        let file = self.folder.join(file_name(host));
        let written = File::options().create(true).append(true).mode(0o600).open(&file).and_then(|mut file| {
            // One write for each event: the lines of runs at the same time do not mix.
            file.write_all(format!("{} {}", ui::time(now), ui::clean(&lines)).as_bytes())
        });
        if let Err(error) = written
            && !std::mem::replace(&mut self.is_broken, true)
        {
            ui::warn(&format!("cannot write {}: {error}", file.display()));
        }
    }
}

/// Returns the name of the log of a host. The name of a host may have characters that a file name cannot have.
fn file_name(host: &str) -> String {
    let name: String = host.chars().map(|letter| if letter == '/' || letter == '\0' { '_' } else { letter }).collect();
    format!("{name}.log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Vars;
    use crate::playbook::callback::Begun;
    use crate::playbook::outcome::Outcome;

    #[test]
    fn each_host_has_a_file_in_the_folder_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut logs = HostLogs::open(folder.path().join("logs")).unwrap();
        logs.handle(&Event::Task(Begun::titled("copy")), Timestamp::ZERO);
        let outcome = Outcome::done(true, Vars::new());
        for host in ["web1", "../../etc/cron.d/x", "web1"] {
            logs.handle(&Event::Host { host, outcome: &outcome, looped: false }, Timestamp::ZERO);
        }
        let text = fs::read_to_string(folder.path().join("logs/web1.log")).unwrap();
        assert_eq!(text.matches(" TASK [copy] changed: [web1] => ").count(), 2, "{text}");
        assert!(folder.path().join("logs/.._.._etc_cron.d_x.log").exists());
    }
}
