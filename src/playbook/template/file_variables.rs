//! The variables about a template file that the template can read itself.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::inventory::Vars;

/// Returns the variables about a template file. `given` is its name as the task has it.
pub fn file_variables(path: &Path, given: &str) -> Vars {
    let data = path.metadata().ok();
    let owner = data.as_ref().map_or_else(String::new, |data| user_name(data.uid()));
    let changed = data.and_then(|data| data.modified().ok()).and_then(|time| Timestamp::try_from(time).ok());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let variables = [
        ("ansible_managed", "Ansible managed".to_owned()),
        ("template_host", host),
        ("template_path", given.to_owned()),
        ("template_fullpath", path.to_string_lossy().into_owned()),
        ("template_uid", owner),
        ("template_mtime", changed.map(time).unwrap_or_default()),
        ("template_run_date", time(Timestamp::now())),
    ];
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// Writes a time as Python does.
fn time(time: Timestamp) -> String {
    time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// Returns the name of a user of this machine, or else the number.
fn user_name(id: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = id.to_string();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        fields.next().filter(|_| fields.nth(1) == Some(&number))
    });
    name.map_or(number.clone(), str::to_owned)
}
