//! Secrets of units: a unit file names a secret, and gets its version and the line by which systemd hands it to the unit. So
//! another version makes another unit file. The login to a registry has no version, because only a pull reads it.

use std::collections::BTreeSet;

use super::UnitFile;
use crate::core::secret_name::SecretName;

/// Where the secrets of units are on a host, each in the folder of its unit. Only root can enter it.
const FOLDER: &str = "/run/muster/secrets";

/// How many hexadecimal digits a version has.
const VERSION: usize = 32;

/// The sections of Quadlet files that pull images, with the option by which Podman gets the file of a login.
const PULLING: [(&str, &str, &str); 3] =
    [("Container", "PodmanArgs", "--authfile="), ("Image", "AuthFile", ""), ("Build", "AuthFile", "")];

/// Returns the names of the secrets that go with a unit, sorted, each once. A name that is invalid is left out: a unit with one
/// is refused.
pub fn secrets(file: &UnitFile) -> BTreeSet<SecretName> {
    credentials(file).chain(registry_login(file)).collect()
}

/// Returns the names of the secrets that a unit gets from systemd.
pub fn credentials(file: &UnitFile) -> impl Iterator<Item = SecretName> {
    file.values("X-Muster", "Secret").filter_map(|value| name_of(value).parse().ok())
}

/// Returns the name of the secret that has the login to the registry of the unit's image (`RegistryLogin=`).
pub fn registry_login(file: &UnitFile) -> Option<SecretName> {
    file.values("X-Muster", "RegistryLogin").next_back()?.parse().ok()
}

/// Reports whether a Quadlet file pulls an image itself.
pub fn pulls(file: &UnitFile) -> bool {
    PULLING.iter().any(|(section, ..)| file.options().iter().any(|option| option.section == *section))
}

/// Returns where the login of a unit is on its host, as systemd writes it.
pub(super) fn login_path(name: &SecretName) -> String {
    format!("{FOLDER}/%n/{name}")
}

/// Returns the name of the secret whose file a value names.
pub(super) fn secret_in(value: &str) -> Option<&str> {
    value.split_once(FOLDER)?.1.strip_prefix("/%n/")?.split([' ', ':', ',', '"', '\'']).next()
}

/// Returns the name in a value of `Secret=`: the version that muster adds follows it.
pub(super) fn name_of(value: &str) -> &str {
    let is_version = |text: &&str| text.len() == VERSION && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.rsplit_once(' ').filter(|(_, version)| is_version(version)).map_or(value, |(name, _)| name)
}

/// Returns a unit file in which each secret has its version, and is a credential of the unit, and in which Podman gets the login
/// to the registry; `None` if it has no secrets. A secret without a version is not set yet.
pub fn with_versions(file: &UnitFile, version: impl Fn(&SecretName) -> Option<String>) -> Option<UnitFile> {
    if secrets(file).is_empty() {
        return None;
    }
    let names: BTreeSet<SecretName> = credentials(file).collect();
    let mut text = String::new();
    for option in file.options() {
        let is_secret = (option.section.as_str(), option.name.as_str()) == ("X-Muster", "Secret");
        let name = name_of(&option.value);
        let version = name.parse().ok().filter(|_| is_secret).and_then(|name| version(&name));
        let value = match version {
            Some(version) => format!("{name} {version}"),
            None if is_secret => name.to_owned(),
            None => option.value.clone(),
        };
        text.push_str(&format!("[{}]\n{}={value}\n", option.section, option.name));
    }
    let is_given = |name: &SecretName| {
        let mut given = file.values("Service", "LoadCredential").filter_map(|value| value.split(':').next());
        given.any(|given| given == name.as_str())
    };
    for name in names.iter().filter(|name| !is_given(name)) {
        text.push_str(&format!("[Service]\nLoadCredential={name}:{FOLDER}/%n/{name}\n"));
    }
    text.push_str(&login_options(file));
    UnitFile::parse(&text).ok()
}

/// Returns the options by which Podman gets the login to the registry, as far as the file does not have them.
fn login_options(file: &UnitFile) -> String {
    let Some(login) = registry_login(file) else { return String::new() };
    let has_section = |section: &str| file.options().iter().any(|option| option.section == section);
    let options =
        PULLING.iter().filter(|(section, ..)| has_section(section)).filter_map(|(section, option, prefix)| {
            let value = format!("{prefix}{}", login_path(&login));
            let is_given = file.values(section, option).any(|given| given == value);
            (!is_given).then(|| format!("[{section}]\n{option}={value}\n"))
        });
    options.collect()
}

#[cfg(test)]
mod tests {
    use super::super::BadClass;
    use super::super::Class;
    use super::*;

    fn of(text: &str) -> Result<Class, BadClass> {
        Class::of(&UnitFile::parse(text).unwrap())
    }

    #[test]
    fn a_secret_gets_its_version_and_becomes_a_credential_once() {
        let text = "[Service]\nExecStart=/bin/a\nLoadCredential=own:/etc/own\n\n[X-Muster]\nSecret=db\nSecret=own\nSecret=new\n";
        let file = UnitFile::parse(text).unwrap();
        let versions =
            |digit: &'static str| move |name: &SecretName| (name.as_str() != "new").then(|| digit.repeat(VERSION));
        let first = with_versions(&file, versions("1")).unwrap();
        let (one, two) = ("1".repeat(VERSION), "2".repeat(VERSION));
        let expected = format!(
            "[Service]\nExecStart=/bin/a\nLoadCredential=own:/etc/own\nLoadCredential=db:/run/muster/secrets/%n/db\n\
             LoadCredential=new:/run/muster/secrets/%n/new\n\n[X-Muster]\nSecret=db {one}\nSecret=own {one}\nSecret=new\n"
        );
        assert_eq!(first.text(), expected);
        assert_eq!(with_versions(&first, versions("1")).unwrap().hash(), first.hash());
        let second = with_versions(&first, versions("2")).unwrap();
        assert_eq!(second.text(), expected.replace(&one, &two));
        assert_eq!(secrets(&second), secrets(&file));
        assert!(with_versions(&UnitFile::parse("[Service]\nA=b\n").unwrap(), versions("1")).is_none());
    }

    #[test]
    fn podman_gets_the_login_to_the_registry_once_and_it_has_no_version() {
        let version = |_: &SecretName| Some("1".repeat(VERSION));
        for (section, option) in [
            ("Container", "PodmanArgs=--authfile=/run/muster/secrets/%n/ghcr"),
            ("Image", "AuthFile=/run/muster/secrets/%n/ghcr"),
        ] {
            let text = format!("[{section}]\nImage=a\n\n[X-Muster]\nRegistryLogin=ghcr\n");
            let file = UnitFile::parse(&text).unwrap();
            assert_eq!(secrets(&file), ["ghcr".parse().unwrap()].into());
            let first = with_versions(&file, version).unwrap();
            assert_eq!(first.text(), text.replace("Image=a\n", &format!("Image=a\n{option}\n")));
            assert_eq!(with_versions(&first, version).unwrap().hash(), first.hash());
        }
        assert!(of("[X-Muster]\nRegistryLogin=a b\n").is_err());
    }

    #[test]
    fn a_unit_names_its_secrets_and_an_invalid_name_is_an_error() {
        let text = "[X-Muster]\nSecret=b\nSecret=a.key\nClass=strict\nSecret=b\n";
        assert_eq!(of(text), Ok(Class::Strict));
        let names =
            |text: &str| secrets(&UnitFile::parse(text).unwrap()).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(text), ["a.key", "b"]);
        assert_eq!(names("[Service]\nSecret=a\n"), [""; 0]);
        for name in ["", "a b", "../x", ".x", "a/b"] {
            let text = format!("[X-Muster]\nSecret={name}\n");
            let why = of(&text).unwrap_err().to_string();
            assert!(
                why.starts_with(&format!("[X-Muster] Secret=: invalid name of a secret {name:?}: expected")),
                "{why}"
            );
            assert_eq!(names(&text), [""; 0]);
        }
    }
}
