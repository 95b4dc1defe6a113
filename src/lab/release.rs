//! The releases of Debian that hosts run, and which host runs which of them.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::error::LabError;

/// The releases that can be chosen.
const KNOWN: [&str; 2] = ["bookworm", "trixie"];

/// The release that a host runs, such as `bookworm`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Release(String);

impl Release {
    /// Returns the names of the releases that can be chosen.
    pub const fn known() -> [&'static str; 2] {
        KNOWN
    }

    /// Returns this machine's release. The hosts run the same one by default.
    pub(super) fn own() -> Result<Self, LabError> {
        let path = Path::new("/etc/os-release");
        let text = fs::read_to_string(path).map_err(LabError::file(path))?;
        let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
        Ok(Self(name.unwrap_or("bookworm").trim_matches('"').to_owned()))
    }

    /// Returns its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether it is one of those that can be chosen, which Debian's mirrors have.
    pub(super) fn is_known(&self) -> bool {
        KNOWN.contains(&self.as_str())
    }

    /// Reports whether its systemd runs only where all control groups are in the unified hierarchy. That is so from
    /// systemd 256 on.
    pub(super) fn needs_unified_cgroups(&self) -> bool {
        self.0 == "trixie"
    }
}

impl FromStr for Release {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let release = Self(text.to_owned());
        if release.is_known() { Ok(release) } else { Err(format!("expected {}", KNOWN.join(" or "))) }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the release of each of `count` hosts: those of the list in turn.
pub(super) fn in_turn(list: &[Release], count: usize) -> Vec<Release> {
    list.iter().cycle().take(count).cloned().collect()
}

/// Returns the shortest list that gives these hosts their releases, as text.
pub(super) fn shortest_list(releases: &[&Release]) -> String {
    let repeats = |length: &usize| releases.iter().zip(releases.iter().skip(*length)).all(|(one, next)| one == next);
    let length = (1..releases.len()).find(repeats).unwrap_or(releases.len());
    let names: Vec<&str> = releases.iter().take(length).map(|release| release.as_str()).collect();
    names.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_the_releases_of_the_list_in_turn() {
        let list = |text: &str| text.split(',').map(|name| name.parse().unwrap()).collect::<Vec<Release>>();
        for (given, count, shortest) in [
            ("trixie", 3, "trixie"),
            ("bookworm,trixie", 5, "bookworm,trixie"),
            ("bookworm,bookworm,trixie", 7, "bookworm,bookworm,trixie"),
            ("bookworm,bookworm", 4, "bookworm"),
            ("bookworm,trixie", 1, "bookworm"),
        ] {
            let all = in_turn(&list(given), count);
            assert_eq!(all.len(), count, "{given}");
            assert_eq!(shortest_list(&all.iter().collect::<Vec<_>>()), shortest, "{given} on {count} hosts");
        }
    }

    #[test]
    fn a_release_that_the_lab_cannot_boot_is_rejected() {
        for name in ["", "Trixie", "bullseye", "sid", "13", "trixie "] {
            assert_eq!(name.parse::<Release>().unwrap_err(), "expected bookworm or trixie", "{name:?}");
        }
    }
}
