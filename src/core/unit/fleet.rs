//! `[X-Fleet]`: where a unit may be, read once per file and name.
//!
//! Values are read as fleet read them: `%n %N %p %i` are replaced (and no other specifier), `"a" "b"` is two values,
//! the old `X-` names still count, and what is not understood is warned about.

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
use crate::core::machine_id::MachineId;

/// What a unit requirements of the machine it is put on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Requirements {
    /// `MachineID=`: this machine and no other.
    pub machine_id: Option<Pin>,
    /// `MachineOf=`: where each of these units is.
    pub machine_of: BTreeSet<UnitName>,
    /// `MachineMetadata=`: for each key, one of these values.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// `Conflicts=`: not with units whose names match.
    pub conflicts: Vec<Glob>,
    /// `Global=`: on every machine that fits.
    pub global: bool,
    /// `Replaces=`: in the place of units whose names match, which go elsewhere.
    pub replaces: Vec<Glob>,
}

/// A machine as `MachineID=` names it: by its whole machine-id, or by the first eight digits, which fleet prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pin {
    /// All 32 digits.
    Whole(MachineId),
    /// The first eight.
    Short(u32),
}

/// What `[X-Fleet]` requirements cannot be had or cannot be read. Nothing was changed.
///
/// The mutual exclusions have fleet's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRequirements {
    /// It is to be with a unit that it must not be with.
    #[error("unresolvable requirements: peer \"{peer}\" matches conflict \"{conflict}\"")]
    PeerConflicts {
        /// From `MachineOf=`.
        peer: UnitName,
        /// From `Conflicts=`.
        conflict: Glob,
    },
    /// It is to be with a unit that it drives away.
    #[error("unresolvable requirements: peer \"{peer}\" matches replace \"{replace}\"")]
    PeerReplaced {
        /// From `MachineOf=`.
        peer: UnitName,
        /// From `Replaces=`.
        replace: Glob,
    },
    /// Two options that exclude each other.
    #[error("{0} cannot be used with {1}")]
    Exclusive(&'static str, &'static str),
    /// `MachineOf=` names something that is no unit, so the unit could never be placed.
    #[error(
        "MachineOf={text}: {why}; write `MachineOf=a.service`, or `MachineOf=\"a.service\" \"b.service\"` for several"
    )]
    Peer {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: BadUnitName,
    },
    /// `MachineID=` names something that is no machine, so the unit could never be placed.
    #[error("MachineID={0}: a machine-id is 32 hexadecimal digits, of which the first 8 will do")]
    MachineId(String),
    /// `Conflicts=` or `Replaces=` has a pattern that never matches, so the constraint would not hold.
    #[error("{key}=: {why}")]
    Glob {
        /// Which of the two.
        key: &'static str,
        /// What is wrong with it.
        why: BadGlob,
    },
}

/// Something in `[X-Fleet]` that is skipped, as fleet skipped it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ignored {
    /// An option that fleet did not know, in fleet's words.
    #[error("unrecognized requirement in [X-Fleet] section: {0:?}")]
    Key(String),
    /// `MachineMetadata=` with something that is not `key=value`.
    #[error("MachineMetadata={0} is ignored: write `key=value`, or `\"key=value\" \"key=value\"` for several")]
    Metadata(String),
    /// `MachineID=` after the first.
    #[error("MachineID={0} is ignored: only the first one counts")]
    MachineId(String),
    /// `Global=` with neither yes nor no.
    #[error("Global={0} is taken for no: write `true` or `false`")]
    Global(String),
}

/// Every option that fleet knew, old spellings included.
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
    /// Reads what a unit of this name and file requirements for, and what of it is ignored.
    ///
    /// A template is never placed, so names that its instances would complete (`MachineID=%i`) are not checked in it.
    pub fn of(name: &UnitName, file: &UnitFile) -> Result<(Self, Vec<Ignored>), BadRequirements> {
        let (section, mut ignored) = Section::read(name, file);
        let read = Self {
            machine_id: section.pin(name, &mut ignored)?,
            machine_of: section.peers(name)?,
            metadata: section.metadata(&mut ignored),
            conflicts: section.globs(&["X-Conflicts", "Conflicts"], "Conflicts")?,
            global: section.global(&mut ignored),
            replaces: section.globs(&["Replaces"], "Replaces")?,
        };
        read.check(section.all(&["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"]).next().is_some())?;
        Ok((read, ignored))
    }

    /// Refuses what excludes each other, in fleet's order.
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

/// The values of `[X-Fleet]` by option, specifiers replaced.
struct Section(BTreeMap<&'static str, Vec<String>>);

impl Section {
    fn read(name: &UnitName, file: &UnitFile) -> (Self, Vec<Ignored>) {
        let (mut values, mut unknown) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for option in file.options().iter().filter(|option| option.section == "X-Fleet") {
            match KNOWN.into_iter().find(|known| *known == option.name) {
                Some(key) => values.entry(key).or_default().extend(split(&expand(&option.value, name))),
                None => unknown.push(Ignored::Key(option.name.clone())),
            }
        }
        (Self(values), unknown)
    }

    /// Returns the values of several options, one option after the other.
    fn all(&self, keys: &[&'static str]) -> impl Iterator<Item = &str> {
        keys.iter().filter_map(|key| self.0.get(key)).flatten().map(String::as_str)
    }

    fn pin(&self, name: &UnitName, ignored: &mut Vec<Ignored>) -> Result<Option<Pin>, BadRequirements> {
        let mut values = self.all(&["MachineID", "X-ConditionMachineID", "X-ConditionMachineBootID"]);
        let Some(first) = values.next() else { return Ok(None) };
        ignored.extend(values.map(|value| Ignored::MachineId(value.to_owned())));
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

    fn metadata(&self, ignored: &mut Vec<Ignored>) -> BTreeMap<String, BTreeSet<String>> {
        let mut metadata = BTreeMap::<String, BTreeSet<String>>::new();
        for pair in self.all(&["X-ConditionMachineMetadata", "MachineMetadata"]) {
            match pair.split_once('=') {
                Some((key, value)) if !key.is_empty() && !value.is_empty() && !value.contains('=') => {
                    metadata.entry(key.to_owned()).or_default().insert(value.to_owned());
                }
                _ => ignored.push(Ignored::Metadata(pair.to_owned())),
            }
        }
        metadata
    }

    fn globs(&self, keys: &[&'static str], key: &'static str) -> Result<Vec<Glob>, BadRequirements> {
        let words = self.all(keys).flat_map(str::split_whitespace);
        words.map(|word| Glob::parse(word).map_err(|why| BadRequirements::Glob { key, why })).collect()
    }

    fn global(&self, ignored: &mut Vec<Ignored>) -> bool {
        let Some(last) = self.all(&["Global"]).last() else { return false };
        let said = last.to_ascii_lowercase();
        let yes = ["true", "yes", "1", "on", "t"].contains(&said.as_str());
        if !yes && !["false", "no", "0", "off", "f", ""].contains(&said.as_str()) {
            ignored.push(Ignored::Global(last.to_owned()));
        }
        yes
    }
}

/// Replaces fleet's four specifiers, and joins continued lines as systemd does.
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

/// Splits `"a" "b"` as fleet did: at spaces outside quotes, quotes dropped. Any other line is one value.
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
    // Two spaces between values are not a value.
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

    /// Returns the machine-ids that are meant: one, or all that begin so.
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
