//! `[X-Muster]`: muster's own options of a unit file: its class, whether its data may be left behind, its application, the
//! files that go with it, and its secrets.

use std::fmt;

use super::CompanionFile;
use super::UnitFile;
use super::UnitName;
use super::UnitType;
use super::application;
use super::credentials;
use super::quadlet;
use crate::core::secret_name::BadSecretName;
use crate::core::secret_name::SecretName;
use crate::core::similar::misspelt;

/// The sections that muster reads.
const SECTIONS: [&str; 2] = ["X-Fleet", "X-Muster"];

/// The behaviour of a unit during a network partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// It may run twice for a short time, and is restarted sooner.
    #[default]
    Available,
    /// It never runs twice. It starts only after proof that it runs nowhere else.
    Strict,
}

/// `[X-Muster]` is invalid, so the unit is refused. Nothing was changed.
///
/// Unlike in `[X-Fleet]`, no unknown option is ignored: a misspelt guarantee would not be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClass {
    /// An unknown class.
    #[error("[X-Muster] Class={0}: expected `available` or `strict`")]
    Unknown(String),
    /// Two lines with a class.
    #[error("[X-Muster] Class= is given twice: keep one")]
    Twice,
    /// A section whose name is a misspelling of one that muster reads, such as `[X-muster]` or `[X-Flet]`.
    #[error("the section [{0}] is not known: did you mean [{1}]?")]
    Section(String, &'static str),
    /// An unknown value of `OnChange=`.
    #[error("[X-Muster] OnChange={0}: expected `restart` or `reload`")]
    OnChange(String),
    /// An unknown value of `Data=`.
    #[error("[X-Muster] Data={0}: expected `stay` or `lost`")]
    Data(String),
    /// An unknown value of `Placement=`.
    #[error("[X-Muster] Placement={0}: expected `together` or `spread`")]
    Placement(String),
    /// The name of an application is invalid.
    #[error("[X-Muster] Application={0}: expected 1 to 64 of A-Z, a-z, 0-9, `_`, `.` and `-`, and no dot at the start")]
    Application(String),
    /// A file that goes with the unit has no valid path or hash.
    #[error("[X-Muster] File={0}: expected a relative path and the hash of the content, as `muster apply` writes them")]
    File(String),
    /// A value of `Secret=` that is not the name of a secret.
    #[error("[X-Muster] Secret=: {0}")]
    Secret(BadSecretName),
    /// A value of `RegistryLogin=` that is not the name of a secret.
    #[error("[X-Muster] RegistryLogin=: {0}")]
    Login(BadSecretName),
    /// An unknown option.
    #[error(
        "[X-Muster] {0}=: only `Class=`, `Data=`, `OnChange=`, `Secret=`, `RegistryLogin=`, `Placement=`, `Application=` and `File=` are known here"
    )]
    Key(String),
}

impl Class {
    /// Reads the class of a unit.
    pub fn of(file: &UnitFile) -> Result<Self, BadClass> {
        if let Some((section, meant)) =
            file.options().iter().find_map(|option| Some((&option.section, meant(&option.section)?)))
        {
            return Err(BadClass::Section(section.clone(), meant));
        }
        let mut class = None;
        for option in file.options().iter().filter(|option| option.section == "X-Muster") {
            if option.name != "Class" {
                check(&option.name, &option.value)?;
                continue;
            }
            let given = match option.value.as_str() {
                "available" => Self::Available,
                "strict" => Self::Strict,
                other => return Err(BadClass::Unknown(other.to_owned())),
            };
            if class.replace(given).is_some() {
                return Err(BadClass::Twice);
            }
        }
        Ok(class.unwrap_or_default())
    }

    /// Returns why a unit cannot be strict, apart from its requirements; `None` if it can.
    pub fn not_strict(name: &UnitName, file: &UnitFile) -> Option<&'static str> {
        match name.kind() {
            UnitType::Service => None,
            _ if name.is_quadlet() => quadlet::not_strict(name, file),
            kind if kind.is_group() => Some("it has no process that could run twice: write it into its services"),
            _ => Some("only systemd services can be kept from running twice"),
        }
    }

    /// Returns the class that a unit is treated as. An invalid class may be a guarantee, so it counts as strict.
    pub fn binding(file: &UnitFile) -> Self {
        Self::of(file).unwrap_or(Self::Strict)
    }
}

/// Checks an option of `[X-Muster]` other than the class.
fn check(name: &str, value: &str) -> Result<(), BadClass> {
    let said = value.to_owned();
    match (name, value) {
        ("Data", "stay" | "lost") | ("Placement", "together" | "spread") | ("OnChange", "restart" | "reload") => Ok(()),
        ("OnChange", _) => Err(BadClass::OnChange(said)),
        ("Data", _) => Err(BadClass::Data(said)),
        ("Placement", _) => Err(BadClass::Placement(said)),
        ("Secret", value) => credentials::name_of(value).parse::<SecretName>().map(drop).map_err(BadClass::Secret),
        ("RegistryLogin", value) => value.parse::<SecretName>().map(drop).map_err(BadClass::Login),
        ("Application", name) if application::is_name(name) => Ok(()),
        ("Application", _) => Err(BadClass::Application(said)),
        ("File", file) if CompanionFile::parse(file).is_some() => Ok(()),
        ("File", _) => Err(BadClass::File(said)),
        _ => Err(BadClass::Key(name.to_owned())),
    }
}

/// Reports whether a unit stays on its machine because its data are there. A volume of Podman does unless it says
/// `Data=lost`; any other unit does if it says `Data=stay`.
pub(super) fn stays(name: &UnitName, file: &UnitFile) -> bool {
    match file.values("X-Muster", "Data").next_back() {
        Some(said) => said == "stay",
        None => name.kind() == UnitType::Volume,
    }
}

/// Returns the section that the author of a misspelt one meant. systemd ignores every section that begins with `X-`.
fn meant(section: &str) -> Option<&'static str> {
    if SECTIONS.contains(&section) || !section.starts_with(['X', 'x']) {
        return None;
    }
    let is_other_case = |known: &&&str| section.eq_ignore_ascii_case(known);
    SECTIONS.iter().find(is_other_case).copied().or_else(|| misspelt(section, SECTIONS))
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "available",
            Self::Strict => "strict",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Class, BadClass> {
        Class::of(&UnitFile::parse(text).unwrap())
    }

    #[test]
    fn a_unit_has_the_given_class_or_is_available() {
        assert_eq!(of("[Service]\nClass=strict\n"), Ok(Class::Available));
        assert_eq!(of("[X-Muster]\nClass=available\n"), Ok(Class::Available));
        assert_eq!(of("[X-Muster]\nClass=strict\n"), Ok(Class::Strict));
    }

    #[test]
    fn a_misspelt_section_is_an_error_and_one_of_another_program_is_not() {
        for (section, meant) in
            [("X-Mustr", "X-Muster"), ("X-muster", "X-Muster"), ("X-Flet", "X-Fleet"), ("X-Fleets", "X-Fleet")]
        {
            let why = of(&format!("[{section}]\nClass=strict\n")).unwrap_err().to_string();
            assert_eq!(why, format!("the section [{section}] is not known: did you mean [{meant}]?"));
        }
        for section in ["X-Fleet", "X-Podman", "X-Container", "X-Flatpak", "Service"] {
            assert_eq!(of(&format!("[{section}]\nName=x\n")), Ok(Class::Available), "{section}");
        }
    }

    #[test]
    fn a_volume_stays_unless_it_says_otherwise_and_another_unit_stays_if_it_says_so() {
        for (name, text, expected) in [
            ("data.volume", "[Volume]\n", true),
            ("data.volume", "[X-Muster]\nData=lost\n", false),
            ("web.service", "[Service]\nA=b\n", false),
            ("web.service", "[X-Muster]\nData=stay\n", true),
        ] {
            assert_eq!(stays(&name.parse().unwrap(), &UnitFile::parse(text).unwrap()), expected, "{name} {text}");
        }
    }

    #[test]
    fn any_other_option_or_class_is_an_error() {
        let refusal = |text| of(text).unwrap_err().to_string();
        assert_eq!(refusal("[X-Muster]\nClass=Strict\n"), "[X-Muster] Class=Strict: expected `available` or `strict`");
        assert_eq!(
            refusal("[X-Muster]\nclass=strict\n"),
            "[X-Muster] class=: only `Class=`, `Data=`, `OnChange=`, `Secret=`, `RegistryLogin=`, `Placement=`, `Application=` and `File=` are known here"
        );
        assert_eq!(
            refusal("[X-Muster]\nPlacement=apart\n"),
            "[X-Muster] Placement=apart: expected `together` or `spread`"
        );
        assert!(refusal("[X-Muster]\nApplication=a b\n").starts_with("[X-Muster] Application=a b: expected 1 to 64"));
        assert!(refusal("[X-Muster]\nFile=../x 0\n").starts_with("[X-Muster] File=../x 0: expected a relative path"));
        assert_eq!(refusal("[X-Muster]\nOnChange=kill\n"), "[X-Muster] OnChange=kill: expected `restart` or `reload`");
        assert_eq!(refusal("[X-Muster]\nData=keep\n"), "[X-Muster] Data=keep: expected `stay` or `lost`");
        assert_eq!(refusal("[X-Muster]\nClass=strict\nClass=strict\n"), "[X-Muster] Class= is given twice: keep one");
    }
}
