//! `[X-Fleet]`: the requirements of a unit, parsed once per file and name.
//!
//! Values are parsed as in fleet: `%n %N %p %i` are replaced and no other specifier, `"a" "b"` is two values, the old
//! `X-` names are accepted, and unknown options give a warning.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::Serialize;

use super::BadGlob;
use super::BadUnitName;
use super::Glob;
use super::UnitFile;
use super::UnitName;
use super::class;
use super::podman;
use super::podman::PodmanNeed;
use super::quadlet;
use crate::core::machine_id::MachineId;
use crate::core::similar::misspelt;

/// The requirements of a unit on its machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Requirements {
    /// `MachineID=`: this machine and no other.
    pub machine_id: Option<Pin>,
    /// `MachineOf=`: the machine of each of these units. A Quadlet file also needs those that it names.
    pub machine_of: BTreeSet<UnitName>,
    /// `MachineMetadata=`: for each key, one of these values.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// `Conflicts=`: no unit on the machine has a name that matches.
    pub conflicts: Vec<Glob>,
    /// `Global=`: every machine that fits.
    pub global: bool,
    /// `Replaces=`: units whose names match move to other machines.
    pub replaces: Vec<Glob>,
    /// `[X-Muster] Data=`: once the unit is on a machine, it fits on no other.
    pub stays: bool,
    /// `[X-Muster] Application=`: the machine of the other units of this application.
    pub application: Option<Box<str>>,
    /// The version of Podman that knows the Quadlet file.
    pub podman: Option<Box<PodmanNeed>>,
}

/// A machine in `MachineID=`: its full machine-id, or the first eight digits, which fleet prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// All 32 digits.
    Whole(MachineId),
    /// The first eight.
    Short(u32),
}

/// `[X-Fleet]` is invalid, or no machine can ever meet it. Nothing was changed.
///
/// The messages for options that exclude each other are fleet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequirements {
    /// `MachineOf=` names a unit that `Conflicts=` matches.
    #[error("unresolvable requirements: peer \"{peer}\" matches conflict \"{conflict}\"")]
    PeerConflicts {
        /// From `MachineOf=`.
        peer: UnitName,
        /// From `Conflicts=`.
        conflict: Glob,
    },
    /// `MachineOf=` names a unit that `Replaces=` matches.
    #[error("unresolvable requirements: peer \"{peer}\" matches replace \"{replace}\"")]
    PeerReplaced {
        /// From `MachineOf=`.
        peer: UnitName,
        /// From `Replaces=`.
        replace: Glob,
    },
    /// An unknown option that is probably a misspelt one: without it, the unit would start on any machine.
    #[error("there is no requirement {name}=: did you mean {meant}=?")]
    Misspelt {
        /// The option.
        name: String,
        /// The known option.
        meant: &'static str,
    },
    /// Two options that exclude each other.
    #[error("{0} cannot be used with {1}")]
    Exclusive(&'static str, &'static str),
    /// `MachineOf=` has an invalid unit name, so the unit could never be placed.
    #[error(
        "MachineOf={text}: {why}; write `MachineOf=a.service`, or `MachineOf=\"a.service\" \"b.service\"` for several"
    )]
    Peer {
        /// The value.
        text: String,
        /// The error.
        why: BadUnitName,
    },
    /// `MachineID=` is not a machine-id, so the unit could never be placed.
    #[error("invalid MachineID={0}: expected 32 hexadecimal digits, or the first 8 of them")]
    MachineId(String),
    /// `Conflicts=` or `Replaces=` has an invalid pattern, so the constraint would not hold.
    #[error("{key}=: {why}")]
    Glob {
        /// The option.
        key: &'static str,
        /// The error.
        why: BadGlob,
    },
}

/// A part of `[X-Fleet]` that is ignored, as in fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoredRequirement {
    /// An unknown option, with fleet's message.
    #[error("unrecognized requirement in [X-Fleet] section: {0:?}")]
    Key(String),
    /// `MachineMetadata=` with a value that is not `key=value`.
    #[error("MachineMetadata={0} is ignored: write `key=value`, or `\"key=value\" \"key=value\"` for several")]
    Metadata(String),
    /// `MachineID=` after the first.
    #[error("MachineID={0} is ignored: only the first one is used")]
    MachineId(String),
    /// `Global=` with a value that is not a boolean.
    #[error("Global={0} counts as false: write `true` or `false`")]
    Global(String),
}

impl IgnoredRequirement {
    /// Refuses an unknown option that resembles a known one.
    fn check(&self) -> Result<(), BadRequirements> {
        let Self::Key(name) = self else { return Ok(()) };
        match misspelt(name, KNOWN) {
            Some(meant) => Err(BadRequirements::Misspelt { name: name.clone(), meant }),
            None => Ok(()),
        }
    }
}

/// The options of fleet, with the old spellings.
const KNOWN: [&str; 11] = [
    "MachineID",
    "X-ConditionMachineID",
    "X-ConditionMachineBootID",
    "MachineOf",
    "X-ConditionMachineOf",
    "MachineMetadata",
    "X-ConditionMachineMetadata",
    "Conflicts",
    "X-Conflicts",
    "Global",
    "Replaces",
];

impl Requirements {
    /// Parses the requirements of a unit, and returns the ignored parts.
    ///
    /// A template is never placed, so values that only its instances complete (`MachineID=%i`) are not checked in it.
    pub fn of(name: &UnitName, file: &UnitFile) -> Result<(Self, Vec<IgnoredRequirement>), BadRequirements> {
        let (section, mut ignored) = Section::read(name, file);
        ignored.iter().try_for_each(IgnoredRequirement::check)?;
        let mut read = Self {
            machine_id: section.pin(name, &mut ignored)?,
            machine_of: section.peers(name)?,
            metadata: section.metadata(name, &mut ignored),
            conflicts: section.globs(&["X-Conflicts", "Conflicts"], "Conflicts")?,
            global: section.global(&mut ignored),
            replaces: section.globs(&["Replaces"], "Replaces")?,
            stays: class::stays(name, file),
            application: file.application().filter(|_| !file.is_spread()).map(Box::from),
            podman: podman::needed(name, file).map(Box::new),
        };
        read.check(section.all(&["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"]).next().is_some())?;
        // A global file needs global ones: they are on its machines without a requirement.
        if name.is_quadlet() && !read.global {
            read.machine_of.extend(quadlet::needed(file));
        }
        if read.global {
            read.application = None;
        }
        Ok((read, ignored))
    }

    /// Checks for options that exclude each other. The order of the checks is fleet's.
    fn check(&self, pinned: bool) -> Result<(), BadRequirements> {
        for peer in &self.machine_of {
            let peer = peer.clone();
            if let Some(conflict) = self.conflicts.iter().find(|glob| glob.matches(peer.as_str())).cloned() {
                return Err(BadRequirements::PeerConflicts { peer, conflict });
            }
            if let Some(replace) = self.replaces.iter().find(|glob| glob.matches(peer.as_str())).cloned() {
                return Err(BadRequirements::PeerReplaced { peer, replace });
            }
        }
        let peers = ("Peers", !self.machine_of.is_empty());
        let conflicts = ("Conflicts", !self.conflicts.is_empty());
        let global = ("Global", self.global);
        let replaces = ("Replaces", !self.replaces.is_empty());
        let rules = [
            (("MachineID", pinned), &[peers, conflicts, global, replaces][..]),
            (global, &[peers, replaces]),
            (conflicts, &[replaces]),
        ];
        for ((option, used), others) in rules {
            if let Some((other, _)) = others.iter().find(|(_, other_used)| used && *other_used) {
                return Err(BadRequirements::Exclusive(option, other));
            }
        }
        Ok(())
    }
}

/// The values of `[X-Fleet]` by option, with specifiers replaced.
struct Section(BTreeMap<&'static str, Vec<String>>);

impl Section {
    fn read(name: &UnitName, file: &UnitFile) -> (Self, Vec<IgnoredRequirement>) {
        let (mut values, mut unknown) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for option in file.options().iter().filter(|option| option.section == "X-Fleet") {
            match KNOWN.into_iter().find(|known| *known == option.name) {
                Some(key) => values.entry(key).or_default().extend(split(&expand(&option.value, name))),
                None => unknown.push(IgnoredRequirement::Key(option.name.clone())),
            }
        }
        (Self(values), unknown)
    }

    /// Returns the values of several options, in the order of the options.
    fn all(&self, keys: &[&'static str]) -> impl Iterator<Item = &str> {
        keys.iter().filter_map(|key| self.0.get(key)).flatten().map(String::as_str)
    }

    fn pin(&self, name: &UnitName, ignored: &mut Vec<IgnoredRequirement>) -> Result<Option<Pin>, BadRequirements> {
        let mut values = self.all(&["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"]);
        let Some(first) = values.next() else { return Ok(None) };
        ignored.extend(values.map(|value| IgnoredRequirement::MachineId(value.to_owned())));
        match Pin::parse(first) {
            None if !name.is_template() => Err(BadRequirements::MachineId(first.to_owned())),
            pin => Ok(pin),
        }
    }

    fn peers(&self, name: &UnitName) -> Result<BTreeSet<UnitName>, BadRequirements> {
        let mut peers = BTreeSet::new();
        for text in self.all(&["X-ConditionMachineOf", "MachineOf"]) {
            match text.parse() {
                Ok(peer) => {
                    peers.insert(peer);
                }
                Err(_) if name.is_template() => {}
                Err(why) => return Err(BadRequirements::Peer { text: text.to_owned(), why }),
            }
        }
        Ok(peers)
    }

    fn metadata(&self, name: &UnitName, ignored: &mut Vec<IgnoredRequirement>) -> BTreeMap<String, BTreeSet<String>> {
        let mut metadata = BTreeMap::<String, BTreeSet<String>>::new();
        for pair in self.all(&["X-ConditionMachineMetadata", "MachineMetadata"]) {
            match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() && !value.contains('=') => {
                    metadata.entry(key.to_owned()).or_default().insert(value.to_owned());
                }
                // `key=%i` is complete in an instance.
                _ if name.is_template() => {}
                _ => ignored.push(IgnoredRequirement::Metadata(pair.to_owned())),
            }
        }
        metadata
    }

    fn globs(&self, keys: &[&'static str], key: &'static str) -> Result<Vec<Glob>, BadRequirements> {
        let words = self.all(keys).flat_map(str::split_whitespace);
        words.map(|word| Glob::parse(word).map_err(|why| BadRequirements::Glob { key, why })).collect()
    }

    fn global(&self, ignored: &mut Vec<IgnoredRequirement>) -> bool {
        let Some(last) = self.all(&["Global"]).last() else { return false };
        let value = last.to_ascii_lowercase();
        let yes = ["true", "yes", "1", "on", "t"].contains(&value.as_str());
        if !yes && !["false", "no", "0", "off", "f", ""].contains(&value.as_str()) {
            ignored.push(IgnoredRequirement::Global(last.to_owned()));
        }
        yes
    }
}

/// Replaces fleet's four specifiers and joins continued lines, as systemd does.
fn expand(value: &str, name: &UnitName) -> String {
    let value = value.replace("\\\n", " ");
    let specifiers = [
        ("%n", name.as_str()),
        ("%N", name.stem()),
        ("%p", name.prefix()),
        ("%i", name.instance().unwrap_or_default()),
    ];
    specifiers.iter().fold(value, |value, (specifier, text)| value.replace(specifier, text)).trim().to_owned()
}

/// Splits `"a" "b"` as fleet did: at spaces outside quotes, without the quotes. Any other line is one value.
fn split(line: &str) -> Vec<String> {
    if !line.starts_with('"') || !line.ends_with('"') {
        return vec![line.to_owned()];
    }
    let mut values = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match (c, values.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => values.push(String::new()),
            (c, Some(value)) => value.push(c),
            (_, None) => {}
        }
    }
    // Two spaces between values do not make an empty value.
    values.retain(|value| !value.is_empty());
    values
}

impl Pin {
    fn parse(text: &str) -> Option<Self> {
        let short = || u32::from_str_radix(text, 16).ok().map(Self::Short);
        match text.len() {
            32 => text.parse().ok().map(Self::Whole),
            8 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => short(),
            _ => None,
        }
    }

    /// Returns the range of machine-ids that match: one, or all with this beginning.
    pub fn machines(self) -> RangeInclusive<MachineId> {
        match self {
            Self::Whole(id) => id..=id,
            Self::Short(digits) => {
                let first = u128::from(digits) << 96;
                MachineId::from_bits(first)..=MachineId::from_bits(first | (u128::MAX >> 32))
            }
        }
    }
}

impl Serialize for Pin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || serde::de::Error::custom(BadRequirements::MachineId(text.chars().take(64).collect()));
        Self::parse(&text).ok_or_else(bad)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(id) => write!(f, "{id}"),
            Self::Short(digits) => write!(f, "{digits:08x}"),
        }
    }
}

#[cfg(test)]
mod tests;
