//! Unit names: fleet's rules, and a few rules of Linux, systemd and Podman.

use std::borrow::Borrow;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::core::text_record::text_record;

/// The longest unit name in fleet, in bytes.
const FLEET_MAX: usize = 256;

/// The longest file name on Linux, in bytes (`NAME_MAX`, limits.h(0p)). It is the longest unit name in systemd (systemd.unit(5)).
const NAME_MAX: usize = 255;

/// The name of a unit, checked by fleet's rules. It is cheap to clone.
///
/// It is one path component: it has no `/` and no control character, and does not begin with `.` or `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(Arc<str>);

/// The text is not a unit name. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnitName {
    /// It is empty.
    #[error("unit name cannot be empty")]
    Empty,
    /// It is longer than fleet accepted.
    #[error("unit name exceeds maximum length ({FLEET_MAX})")]
    TooLong,
    /// fleet accepted it, but no host can have a file of that name.
    #[error("unit name exceeds the {NAME_MAX} bytes that a file's name may have")]
    TooLongForFile,
    /// It ends in a word that resembles a type.
    #[error("unknown unit type {kind:?}: did you mean \"{meant}\"? A service of that name is \"{service}\"")]
    Misspelt {
        /// The word.
        kind: String,
        /// The name with the type that was probably meant.
        meant: String,
        /// The name that fleet would have taken.
        service: String,
    },
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
    /// It is a hidden file, which a listing of the host's units skips. `.service` is one as well.
    #[error("unit name cannot start in \".\"")]
    StartsInDot,
    /// Commands on the host would read it as an option.
    #[error("unit name cannot start in \"-\"")]
    StartsInDash,
    /// systemd would not know which slice it is inside.
    #[error("invalid name of a slice: expected single dashes between its parts: \"a-b.slice\" is inside \"a.slice\"")]
    SlicePath,
}

macro_rules! unit_types {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// The type of a unit: the ending of its name (systemd.unit(5)).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum UnitType {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl UnitType {
            /// Every type.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the type as in names, without the dot.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

unit_types! {
    /// `.automount`
    Automount = "automount",
    /// `.build`: a Quadlet file (podman-systemd.unit(5)). It makes an image.
    Build = "build",
    /// `.busname`, which systemd no longer has.
    Busname = "busname",
    /// `.container`: a Quadlet file.
    Container = "container",
    /// `.device`
    Device = "device",
    /// `.image`: a Quadlet file. It pulls an image.
    Image = "image",
    /// `.kube`: a Quadlet file.
    Kube = "kube",
    /// `.mount`
    Mount = "mount",
    /// `.network`: a Quadlet file.
    Network = "network",
    /// `.path`
    Path = "path",
    /// `.pod`: a Quadlet file.
    Pod = "pod",
    /// `.scope`
    Scope = "scope",
    /// `.service`
    Service = "service",
    /// `.slice`
    Slice = "slice",
    /// `.snapshot`, which systemd no longer has.
    Snapshot = "snapshot",
    /// `.socket`
    Socket = "socket",
    /// `.swap`
    Swap = "swap",
    /// `.target`
    Target = "target",
    /// `.timer`
    Timer = "timer",
    /// `.volume`: a Quadlet file.
    Volume = "volume",
}

impl UnitType {
    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    const fn may_be_template(self) -> bool {
        matches!(self, Self::Container | Self::Path | Self::Service | Self::Socket | Self::Target | Self::Timer)
    }

    /// Returns the ending that a Quadlet file's service has instead of this one; `None` if systemd itself knows the type.
    const fn of_service(self) -> Option<&'static str> {
        Some(match self {
            Self::Container | Self::Kube => ".service",
            Self::Pod => "-pod.service",
            Self::Volume => "-volume.service",
            Self::Network => "-network.service",
            Self::Image => "-image.service",
            Self::Build => "-build.service",
            _ => return None,
        })
    }

    /// Reports whether an argument with this ending is a full name. fleetctl did not know targets, slices and the types of
    /// Quadlet.
    const fn ends_full_name(self) -> bool {
        let of_fleet = matches!(self, Self::Device | Self::Mount | Self::Automount)
            || matches!(self, Self::Service | Self::Socket | Self::Timer | Self::Path);
        of_fleet || matches!(self, Self::Target | Self::Slice) || self.of_service().is_some()
    }

    /// Reports whether units of this type have no process and no socket of their own, and keep other units together: a target or
    /// a slice. If it stops, these units may stop too.
    pub const fn is_group(self) -> bool {
        matches!(self, Self::Target | Self::Slice)
    }
}

/// Returns the ending of a name that is probably a misspelt type, and the name with that type. Letters are missing, added,
/// wrong or exchanged: at most two, and fewer of a short type.
fn misspelt(name: &str) -> Option<(String, String)> {
    let (stem, ending) = name.rsplit_once('.')?;
    let known = UnitType::ALL.iter().filter(|kind| kind.ends_full_name()).map(|kind| kind.as_str());
    let most = |kind: &str| match kind.len() {
        7.. => 2,
        5.. => 1,
        _ => 0,
    };
    let distance = |kind: &str| strsim::damerau_levenshtein(&ending.to_ascii_lowercase(), kind);
    let meant = known.filter(|kind| distance(kind) <= most(kind)).min_by_key(|kind| distance(kind))?;
    Some((ending.to_owned(), format!("{stem}.{meant}")))
}

impl fmt::Display for UnitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl UnitName {
    /// Makes a name from a command line argument: the last part of a path, with `.service` added if it has no type that a unit
    /// file may have. As in fleet, `examples/hello` is `hello.service`. Unlike in fleet, `foo.target` is a target, and `foo.servce`
    /// is an error.
    pub fn from_argument(argument: &str) -> Result<Self, BadUnitName> {
        let base = argument.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        if base.is_empty() {
            return Err(BadUnitName::Empty);
        }
        let kind = base.rsplit_once('.').and_then(|(_, kind)| UnitType::named(kind));
        if kind.is_some_and(UnitType::ends_full_name) {
            return base.parse();
        }
        let service = format!("{base}.service");
        match misspelt(base).filter(|_| kind.is_none()) {
            Some((kind, meant)) => Err(BadUnitName::Misspelt { kind, meant, service }),
            None => service.parse(),
        }
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the unit's type.
    pub fn kind(&self) -> UnitType {
        // Most units are services, and a plan asks for the type of each.
        if self.0.ends_with(".service") {
            return UnitType::Service;
        }
        // Every name ends in a type: `check` has seen it.
        self.0.rsplit_once('.').and_then(|(_, kind)| UnitType::named(kind)).unwrap_or(UnitType::Service)
    }

    /// Returns the name that the unit has for systemd: a Quadlet file has a service.
    pub fn of_systemd(&self) -> Cow<'_, str> {
        match self.kind().of_service() {
            Some(ending) => Cow::Owned(format!("{}{ending}", self.stem())),
            None => Cow::Borrowed(&self.0),
        }
    }

    /// Returns the names that systemd would know by the name of this unit, this one among them.
    pub fn with_same_service(&self) -> Vec<Self> {
        let service = self.of_systemd();
        let quadlets = UnitType::ALL.iter().filter_map(|kind| Some((kind, service.strip_suffix(kind.of_service()?)?)));
        let names = quadlets.map(|(kind, stem)| format!("{stem}.{kind}")).chain([service.to_string()]);
        names.filter_map(|name| name.parse().ok()).collect()
    }

    /// Reports whether the unit is a Quadlet file, of which Podman makes a service on the host.
    pub fn is_quadlet(&self) -> bool {
        self.kind().of_service().is_some()
    }

    /// Returns the name without its type: `foo@bar` of `foo@bar.service`.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }

    /// Returns the part before the first `@`, or before the type: `foo` of `foo@bar.service` and of `foo.service`.
    pub fn prefix(&self) -> &str {
        self.stem().split('@').next().unwrap_or_default()
    }

    /// Returns the part after the first `@`: `bar` of `foo@bar.service`; `None` for a template and a plain unit.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance).filter(|instance| !instance.is_empty())
    }

    /// Reports whether the unit is a template, which is never started itself: `foo@.service`.
    pub fn is_template(&self) -> bool {
        self.stem().split_once('@').is_some_and(|(_, instance)| instance.is_empty())
    }

    /// Returns the template of an instance: `foo@.service` for `foo@bar.service`.
    pub fn template(&self) -> Option<Self> {
        self.instance().map(|_| Self(format!("{}@.{}", self.prefix(), self.kind()).into()))
    }
}

/// Checks a name. The order of the checks is fleet's.
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
        _ if kind == UnitType::Slice && (stem.ends_with('-') || stem.contains("--")) => Err(BadUnitName::SlicePath),
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

text_record!(UnitName);

#[cfg(test)]
mod tests;
