//! Versions of Podman: which one is the first to know a Quadlet file and its keys. What Podman makes of a key is not known here.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::Serialize;

use super::UnitFile;
use super::UnitName;
use super::UnitType;
use crate::core::similar::similar;
use crate::core::text_record::text_record;

/// A version of Podman, such as 5.4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodmanVersion {
    major: u32,
    minor: u32,
    /// `None` stands for any: 5.4 is less than 5.4.0.
    patch: Option<u32>,
}

/// The text is not a version of Podman. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a version of Podman: write numbers with dots, such as 5.4.2")]
pub struct BadPodmanVersion(String);

impl FromStr for PodmanVersion {
    type Err = BadPodmanVersion;

    /// Reads a version. What follows the numbers, as in `5.4.2-dev`, does not count.
    fn from_str(text: &str) -> Result<Self, BadPodmanVersion> {
        let bad = || BadPodmanVersion(text.chars().take(64).collect());
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
        let (major, minor) = numbers.next().flatten().zip(numbers.next().flatten()).ok_or_else(bad)?;
        Ok(Self { major, minor, patch: numbers.next().flatten() })
    }
}

impl fmt::Display for PodmanVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch}"))
    }
}

text_record!(PodmanVersion);

/// The least version of Podman that knows a Quadlet file, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodmanNeed {
    /// The version.
    pub version: PodmanVersion,
    /// The type of the file, or a key in it: `Memory= in [Container]`.
    pub because: String,
}

/// The keys of each section, with the first version that knows them. The file says where they come from.
static KEYS: LazyLock<BTreeMap<&str, BTreeMap<&str, PodmanVersion>>> = LazyLock::new(|| {
    let mut keys = BTreeMap::<&str, BTreeMap<&str, PodmanVersion>>::new();
    let mut section = "";
    for line in include_str!("podman_keys.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some(header) if header.starts_with('[') => section = header.trim_matches(['[', ']']),
            Some(version) => {
                let Ok(version) = version.parse() else { continue };
                keys.entry(section).or_default().extend(words.map(|key| (key, version)));
            }
            None => {}
        }
    }
    keys
});

/// The latest version whose keys are listed.
pub(super) const LATEST: &str = "5.8";

/// Returns the sections that Podman reads in Quadlet files besides those of systemd.
pub(super) fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.keys().copied()
}

/// Reports whether Podman reads a section.
pub(super) fn is_section(section: &str) -> bool {
    KEYS.contains_key(section)
}

/// Reports whether a version of Podman knows a key, or the section is not Podman's.
pub(super) fn is_key(section: &str, key: &str) -> bool {
    KEYS.get(section).is_none_or(|keys| keys.contains_key(key))
}

/// Returns the key that was probably meant by one that Podman does not know.
pub(super) fn meant_key(section: &str, key: &str) -> Option<&'static str> {
    let keys = || KEYS.get(section).into_iter().flat_map(|keys| keys.keys().copied());
    let same = keys().find(|known| known.eq_ignore_ascii_case(key));
    same.or_else(|| similar(key, keys()).into_iter().next())
}

/// Returns the version of Podman that a Quadlet file needs; `None` if it is not one.
pub(super) fn needed(name: &UnitName, file: &UnitFile) -> Option<PodmanNeed> {
    let (major, minor) = match name.kind() {
        UnitType::Container | UnitType::Volume | UnitType::Network | UnitType::Kube => (4, 4),
        UnitType::Image => (4, 8),
        UnitType::Pod => (5, 0),
        UnitType::Build => (5, 2),
        _ => return None,
    };
    let because = format!("a .{} file", name.kind());
    let of_type = PodmanNeed { version: PodmanVersion { major, minor, patch: None }, because };
    let of_keys = file.options().iter().filter_map(|option| {
        let version = *KEYS.get(option.section.as_str())?.get(option.name.as_str())?;
        Some((version, option))
    });
    let newest = of_keys.reduce(|newest, other| if other.0 > newest.0 { other } else { newest });
    let of_key = newest
        .filter(|(version, _)| *version > of_type.version)
        .map(|(version, option)| PodmanNeed { version, because: format!("{}= in [{}]", option.name, option.section) });
    Some(of_key.unwrap_or(of_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &str, text: &str) -> Option<String> {
        let need = needed(&name.parse().unwrap(), &UnitFile::parse(text).unwrap())?;
        Some(format!("{} for {}", need.version, need.because))
    }

    #[test]
    fn a_file_needs_the_version_that_knows_its_type_and_all_of_its_keys() {
        for (name, text, expected) in [
            ("web.service", "[Container]\nMemory=1g\n", None),
            ("web.container", "[Container]\nImage=a\n", Some("4.4 for a .container file")),
            (
                "web.container",
                "[Container]\nImage=a\nPull=never\nMemory=1g\nRetry=1\n",
                Some("5.5 for Memory= in [Container]"),
            ),
            ("web.container", "[Container]\nOdd=1\n[Service]\nMemory=1\n", Some("4.4 for a .container file")),
            ("all.pod", "[Pod]\nPodName=a\n", Some("5.0 for a .pod file")),
            ("app.build", "[Build]\nImageTag=a\n", Some("5.2 for a .build file")),
            ("app.image", "[Image]\nPolicy=always\n", Some("5.6 for Policy= in [Image]")),
        ] {
            assert_eq!(need(name, text).as_deref(), expected, "{name} {text}");
        }
    }

    #[test]
    fn versions_are_compared_by_number() {
        let version = |text: &str| text.parse::<PodmanVersion>().unwrap();
        assert!(
            version("5.10.0") > version("5.9.1")
                && version("5.4.2") > version("5.4")
                && version("4.9") < version("5.0")
        );
        assert_eq!(version("5.4.2-dev").to_string(), "5.4.2");
        assert_eq!(version(LATEST).to_string(), LATEST);
        for text in ["", "5", "x.y", ".5", "-1.2", "99999999999.1"] {
            assert!(text.parse::<PodmanVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_latest_version_is_the_last_of_the_list() {
        let latest = KEYS.values().flat_map(BTreeMap::values).max().map(ToString::to_string);
        assert_eq!(latest.as_deref(), Some(LATEST));
    }
}
