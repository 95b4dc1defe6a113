//! Unit names: fleet's rules for them, and the few that the hosts add.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// How many bytes fleet let a unit name have.
const FLEET_MAX: usize = 256;

/// How many bytes a file's name may have on Linux (`NAME_MAX`, limits.h(0p)), and a unit's in systemd (systemd.unit(5)).
const NAME_MAX: usize = 255;

/// The name of a unit, checked by fleet's rules; cheap to copy about.
///
/// It is one path component: no `/`, no control character, never `.` or `..`, not hidden, not like an option.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

/// The text is not a unit name. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnitName {
    /// Nothing was given.
    #[error("unit name cannot be empty")]
    Empty,
    /// More than fleet took.
    #[error("unit name exceeds maximum length ({FLEET_MAX})")]
    TooLong,
    /// fleet took it, and no host can have a file of that name.
    #[error("unit name exceeds the {NAME_MAX} bytes that a file's name may have")]
    TooLongForFile,
    /// It has no type.
    #[error("unit name must contain \".\"")]
    NoType,
    /// Its type is empty.
    #[error("unit name cannot end in \".\"")]
    EmptyType,
    /// systemd has no such type.
    #[error("invalid unit type: {0:?}")]
    Type(String),
    /// Units of this type are never templates.
    #[error("invalid unit type for template: \"{0}\"")]
    TemplateType(UnitType),
    /// A character outside `0-9 a-z A-Z : _ . @ \ -`.
    #[error("invalid character {0:?} in unit name")]
    Character(char),
    /// A template without a name.
    #[error("unit name cannot start in \"@\"")]
    StartsInAt,
    /// A hidden file, which a listing of the host's units reconciles over; `.service` alone too.
    #[error("unit name cannot start in \".\"")]
    StartsInDot,
    /// Commands on the host would take it for an option.
    #[error("unit name cannot start in \"-\"")]
    StartsInDash,
}

macro_rules! unit_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// The type of a unit: what its name ends in (systemd.unit(5)).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum UnitType {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl UnitType {
            /// Every type that fleet knew.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the type as names end in it, without the dot.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

unit_types! {
    /// `.automount`
    Automount = "automount",
    /// `.busname`, which systemd has given up.
    Busname = "busname",
    /// `.device`
    Device = "device",
    /// `.mount`
    Mount = "mount",
    /// `.path`
    Path = "path",
    /// `.scope`
    Scope = "scope",
    /// `.service`
    Service = "service",
    /// `.slice`
    Slice = "slice",
    /// `.snapshot`, which systemd has given up.
    Snapshot = "snapshot",
    /// `.socket`
    Socket = "socket",
    /// `.swap`
    Swap = "swap",
    /// `.target`
    Target = "target",
    /// `.timer`
    Timer = "timer",
}

impl UnitType {
    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    const fn may_be_template(self) -> bool {
        matches!(self, Self::Path | Self::Service | Self::Socket | Self::Target | Self::Timer)
    }

    /// Says whether fleetctl knew the type, so that an argument which ends in it is a whole name.
    const fn is_known_to_fleetctl(self) -> bool {
        let more = matches!(self, Self::Device | Self::Mount | Self::Automount);
        more || matches!(self, Self::Service | Self::Socket | Self::Timer | Self::Path)
    }
}

impl fmt::Display for UnitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl UnitName {
    /// Makes a name of what a person typed: the last part of a path, and `.service` if no type that fleetctl knew
    /// is given. So `examples/hello` means `hello.service`, and `foo.target` means `foo.target.service`, as in fleet.
    pub fn from_argument(argument: &str) -> Result<Self, BadUnitName> {
        let base = argument.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return Err(BadUnitName::Empty);
        }
        let kind = base.rsplit_once('.').and_then(|(_, kind)| UnitType::named(kind));
        if kind.is_some_and(UnitType::is_known_to_fleetctl) { base.parse() } else { format!("{base}.service").parse() }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the unit's type.
    pub fn kind(&self) -> UnitType {
        // Every name was checked to end in a type.
        self.0.rsplit_once('.').and_then(|(_, kind)| UnitType::named(kind)).unwrap_or(UnitType::Service)
    }

    /// Returns the name without its type: `foo@bar` of `foo@bar.service`.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }

    /// Returns what stands before the first `@`, or before the type: `foo` of `foo@bar.service` and of `foo.service`.
    pub fn prefix(&self) -> &str {
        self.stem().split('@').next().unwrap_or_default()
    }

    /// Returns what stands after the first `@`: `bar` of `foo@bar.service`; `None` for a template and a plain unit.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance).filter(|instance| !instance.is_empty())
    }

    /// Says whether units are made from this one, and it is never started itself: `foo@.service`.
    pub fn is_template(&self) -> bool {
        self.stem().split_once('@').is_some_and(|(_, instance)| instance.is_empty())
    }

    /// Returns the template of an instance: `foo@.service` for `foo@bar.service`.
    pub fn template(&self) -> Option<Self> {
        self.instance().map(|_| Self(format!("{}@.{}", self.prefix(), self.kind()).into()))
    }
}

/// Refuses what is not a name, in the order in which fleet looked.
fn check(name: &str) -> Result<(), BadUnitName> {
    if name.is_empty() {
        return Err(BadUnitName::Empty);
    }
    if name.len() > FLEET_MAX {
        return Err(BadUnitName::TooLong);
    }
    let (stem, kind) = name.rsplit_once('.').ok_or(BadUnitName::NoType)?;
    if kind.is_empty() {
        return Err(BadUnitName::EmptyType);
    }
    let kind = UnitType::named(kind).ok_or_else(|| BadUnitName::Type(kind.to_owned()))?;
    if stem.contains('@') && !kind.may_be_template() {
        return Err(BadUnitName::TemplateType(kind));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '@' | '\\' | '-');
    if let Some(bad) = stem.chars().find(|c| !allowed(*c)) {
        return Err(BadUnitName::Character(bad));
    }
    match name.chars().next() {
        Some('@') => Err(BadUnitName::StartsInAt),
        Some('.') => Err(BadUnitName::StartsInDot),
        Some('-') => Err(BadUnitName::StartsInDash),
        _ if name.len() > NAME_MAX => Err(BadUnitName::TooLongForFile),
        _ => Ok(()),
    }
}

impl FromStr for UnitName {
    type Err = BadUnitName;

    fn from_str(text: &str) -> Result<Self, BadUnitName> {
        check(text).map(|()| Self(text.into()))
    }
}

impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for UnitName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UnitName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
