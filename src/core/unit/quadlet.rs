//! Quadlet files (podman-systemd.unit(5)): which others one needs beside it, which image Podman pulls for it, and why one
//! cannot be a unit or cannot be strict.

use std::collections::BTreeSet;

use super::Hash;
use super::UnitFile;
use super::UnitName;
use super::UnitType;
use super::credentials;
use crate::core::secret_name::SecretName;

/// The options whose values name other Quadlet files, with the types that they name.
const NAMING: [(&str, &str, &[UnitType]); 9] = [
    ("Container", "Image", &[UnitType::Image, UnitType::Build]),
    ("Container", "Network", &[UnitType::Network, UnitType::Container]),
    ("Container", "Pod", &[UnitType::Pod]),
    ("Container", "Volume", &[UnitType::Volume]),
    ("Pod", "Network", &[UnitType::Network]),
    ("Pod", "Volume", &[UnitType::Volume]),
    ("Kube", "Network", &[UnitType::Network]),
    ("Volume", "Image", &[UnitType::Image]),
    ("Build", "Network", &[UnitType::Network]),
];

/// Returns the Quadlet files that must be on the machine of this one: Podman translates their names when it makes the service.
pub fn needed(file: &UnitFile) -> BTreeSet<UnitName> {
    let names = NAMING.iter().flat_map(|(section, option, types)| {
        // Options of a volume or a network follow its name after a colon.
        let values = file.values(section, option).filter_map(|value| value.split(':').next());
        values.filter_map(|name| name.trim().parse().ok()).filter(|name: &UnitName| types.contains(&name.kind()))
    });
    let mounts = file.values("Container", "Mount").flat_map(|value| value.split(','));
    let sources =
        mounts.filter_map(|part| part.trim().split_once('=')).filter(|(key, _)| matches!(*key, "source" | "src"));
    let sources = sources.filter_map(|(_, name)| name.parse().ok());
    let mounted = sources.filter(|name: &UnitName| matches!(name.kind(), UnitType::Volume | UnitType::Image));
    names.chain(mounted).collect()
}

/// The options whose values are paths. Podman takes a relative one from the folder of the file, which has nothing but Quadlet files.
const PATHS: [(&str, &str); 5] = [
    ("Container", "EnvironmentFile"),
    ("Kube", "ConfigMap"),
    ("Kube", "Yaml"),
    ("Build", "File"),
    ("Build", "SetWorkingDirectory"),
];

/// Returns why a Quadlet file cannot become a unit; `None` if it can, as far as muster knows.
pub fn fault(name: &UnitName, file: &UnitFile) -> Option<String> {
    if !name.is_quadlet() {
        return None;
    }
    if let Some(option) = file.options().iter().find(|option| option.name == "ServiceName") {
        return Some(format!("ServiceName={} is not taken: the service is {}", option.value, name.of_systemd()));
    }
    let is_away = |value: &str| value.starts_with(['/', '%']) || value.contains("://") || value == "unit";
    let paths =
        PATHS.iter().flat_map(|(section, option)| file.values(section, option).map(move |value| (*option, value)));
    let mut relative = paths.filter(|(_, value)| !value.is_empty() && !is_away(value.trim_start_matches('-')));
    let volumes = ["Container", "Pod"].into_iter().flat_map(|section| file.values(section, "Volume"));
    let mut mounted = volumes.filter(|value| value.starts_with('.')).map(|value| ("Volume", value));
    let (option, value) = relative.next().or_else(|| mounted.next())?;
    Some(format!("{option}={value}: write an absolute path, or bring the file along with `muster apply`"))
}

/// Returns why a Quadlet file cannot be strict. The end of a lease ends the control group of the unit, so all processes of the
/// container must be in that group, and Podman must not restart the container by itself.
pub(super) fn not_strict(name: &UnitName, file: &UnitFile) -> Option<&'static str> {
    if name.kind() != UnitType::Container {
        return Some("of Quadlet files, only a container can be kept from running twice");
    }
    let last = |option| file.values("Container", option).next_back().filter(|value| !value.is_empty());
    if last("CgroupsMode").is_some_and(|mode| mode != "split") {
        return Some("the processes of the container must be in the control group of the unit: remove CgroupsMode=");
    }
    let mut arguments = file.values("Container", "PodmanArgs").chain(file.values("Container", "GlobalArgs"));
    if arguments.any(|text| text.contains("cgroup")) {
        return Some(
            "the processes of the container must be in the control group of the unit: remove the argument about it",
        );
    }
    last("AutoUpdate").map(|_| "podman auto-update would restart it: remove AutoUpdate=")
}

/// The image that Podman pulls for a unit, and how it pulls the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePull {
    /// The name of the image.
    pub image: String,
    /// The arguments of `podman pull` before the name.
    pub arguments: Vec<String>,
    /// The properties of a service that pulls the image, such as `Environment=A=1`.
    pub properties: Vec<String>,
    /// The secret with the login to the registry.
    pub login: Option<SecretName>,
}

/// The options of `podman run` that say how an image is pulled. `podman pull` has them too.
const PULL_OPTIONS: [&str; 8] =
    ["--arch", "--authfile", "--cert-dir", "--creds", "--os", "--platform", "--tls-verify", "--variant"];

/// The options of the section `[Image]` that say how an image is pulled, with the arguments of `podman pull`.
const IMAGE_OPTIONS: [(&str, &str); 6] = [
    ("Arch", "--arch"),
    ("AuthFile", "--authfile"),
    ("CertDir", "--cert-dir"),
    ("OS", "--os"),
    ("TLSVerify", "--tls-verify"),
    ("Variant", "--variant"),
];

/// The options with which Podman may pull in a way that this module does not know, or as another user.
const UNKNOWN_PULLS: [(&str, &str); 8] = [
    ("Container", "ContainersConfModule"),
    ("Container", "GlobalArgs"),
    ("Image", "AllTags"),
    ("Image", "ContainersConfModule"),
    ("Image", "Creds"),
    ("Image", "DecryptionKey"),
    ("Image", "GlobalArgs"),
    ("Service", "User"),
];

/// What precedes the name of an image that is no name in a registry.
const TRANSPORTS: [&str; 3] = ["containers-storage:", "docker-daemon:", "oci:"];

/// Reports whether the image of a container is the name of another Quadlet file, which makes it.
pub(super) fn is_made(image: &str) -> bool {
    matches!(image.rsplit_once('.'), Some((_, "image" | "build")))
}

/// The characters of the name of an image.
fn is_image_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@+".contains(&byte);
    let is_elsewhere = name.contains(":/") || TRANSPORTS.iter().any(|transport| name.starts_with(transport));
    name.bytes().all(is_plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !is_elsewhere
}

impl ImagePull {
    /// Returns the image that is pulled for a unit before the unit is loaded. `None` if another unit makes the image, if the
    /// image must be there, or if the file says how to pull it in a way that only Podman knows: then the start of the service
    /// pulls it.
    pub fn of(name: &UnitName, file: &UnitFile) -> Option<Self> {
        let (section, policy) = match name.kind() {
            UnitType::Container => ("Container", "Pull"),
            UnitType::Image => ("Image", "Policy"),
            _ => return None,
        };
        let last = |section: &str, option| file.values(section, option).next_back().filter(|value| !value.is_empty());
        let image = last(section, "Image").filter(|image| is_image_name(image))?;
        let is_made = section == "Container" && is_made(image);
        let is_unknown = UNKNOWN_PULLS.iter().any(|(section, option)| last(section, option).is_some());
        if is_made || is_unknown || last(section, policy) == Some("never") {
            return None;
        }
        let login = credentials::registry_login(file);
        // The file of the login comes with the pull.
        let own = login.as_ref().map(|login| format!("--authfile={}", credentials::login_path(login)));
        let mut arguments = Vec::new();
        for (option, argument) in IMAGE_OPTIONS.iter().filter(|_| section == "Image") {
            arguments.extend(last(section, option).map(|value| format!("{argument}={value}")));
        }
        for text in file.values(section, "PodmanArgs") {
            arguments.extend(pull_arguments(text)?);
        }
        arguments.retain(|argument| Some(argument) != own.as_ref());
        let environment = ["Environment", "EnvironmentFile"].into_iter().flat_map(|option| {
            let values = file.values("Service", option).filter(|value| !value.is_empty());
            values.map(move |value| format!("{option}={value}"))
        });
        let properties: Vec<String> = environment.collect();
        // systemd replaces specifiers and variables.
        let is_literal = !arguments.iter().chain(&properties).any(|word| word.contains(['%', '$']));
        is_literal.then(|| Self { image: image.to_owned(), arguments, properties, login })
    }

    /// Returns a short name for the pull: the same for all units that need it.
    pub fn key(&self) -> String {
        let words = std::iter::once(&self.image).chain(&self.arguments).chain(&self.properties).map(String::as_str);
        let words: Vec<&str> = words.chain(self.login.as_ref().map(SecretName::as_str)).collect();
        let mut key = Hash::of(words.join("\n").as_bytes()).to_string();
        key.truncate(16);
        key
    }
}

/// Returns those of the arguments of `podman run` that say how the image is pulled; `None` if that is not clear.
fn pull_arguments(text: &str) -> Option<Vec<String>> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let is_option = |word: &str| PULL_OPTIONS.contains(&word.split('=').next().unwrap_or_default());
    let is_quoted = text.contains(['"', '\'', '\\']);
    if words.iter().any(|word| word.starts_with("--pull") || is_quoted && is_option(word)) {
        return None;
    }
    let mut arguments = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match is_option(word) {
            true if word.contains('=') => arguments.push(word.to_owned()),
            // An option that is a flag may stand without a value.
            true if word == "--tls-verify" => arguments.push(word.to_owned()),
            true => arguments.push(format!("{word}={}", words.next()?)),
            false => {}
        }
    }
    Some(arguments)
}

#[cfg(test)]
mod tests {
    use super::super::with_versions;
    use super::*;

    fn file(text: &str) -> UnitFile {
        UnitFile::parse(text).unwrap()
    }

    #[test]
    fn a_container_needs_the_files_that_it_names() {
        let text = "[Container]\nImage=app.build\nNetwork=net.network:ip=10.0.0.2\nNetwork=host\nVolume=data.volume:/data:Z\n\
                    Volume=/srv:/srv\nVolume=cache:/cache\nMount=type=volume,source=more.volume,destination=/more\nPod=web.pod\n";
        let needed: Vec<String> = needed(&file(text)).iter().map(ToString::to_string).collect();
        assert_eq!(needed, ["app.build", "data.volume", "more.volume", "net.network", "web.pod"]);
        assert!(
            super::needed(&file("[Container]\nImage=docker.io/library/nginx.image\n[Service]\nRestart=always\n"))
                .is_empty()
        );
    }

    fn pull(name: &str, text: &str) -> Option<ImagePull> {
        ImagePull::of(&name.parse().unwrap(), &file(text))
    }

    #[test]
    fn the_image_of_a_container_and_of_an_image_is_pulled_as_its_file_says() {
        let nginx = "docker.io/library/nginx:1.29";
        let plain = pull("web.container", &format!("[Container]\nImage={nginx}\n")).unwrap();
        assert_eq!((plain.image.as_str(), &plain.arguments, &plain.properties), (nginx, &vec![], &vec![]));
        let text = format!(
            "[Container]\nImage={nginx}\nPull=newer\nPodmanArgs=--memory 1g --authfile /a --tls-verify=false\n\
             [Service]\nEnvironment=A=1 B=2\nEnvironmentFile=/etc/env\n"
        );
        let own = pull("web.container", &text).unwrap();
        assert_eq!(own.arguments, ["--authfile=/a", "--tls-verify=false"]);
        assert_eq!(own.properties, ["Environment=A=1 B=2", "EnvironmentFile=/etc/env"]);
        assert!(own.key() != plain.key() && own.key().len() == 16);
        let image = pull("app.image", &format!("[Image]\nImage={nginx}\nAuthFile=/b\nTLSVerify=false\nArch=arm64\n"));
        assert_eq!(image.unwrap().arguments, ["--arch=arm64", "--authfile=/b", "--tls-verify=false"]);
        let text = format!("[Container]\nImage={nginx}\n[X-Muster]\nRegistryLogin=ghcr\n");
        let stored = with_versions(&file(&text), |_| None).unwrap();
        let login = ImagePull::of(&"web.container".parse().unwrap(), &stored).unwrap();
        assert_eq!((login.login.unwrap().as_str(), login.arguments.len()), ("ghcr", 0));
    }

    #[test]
    fn what_only_podman_can_pull_and_what_another_unit_makes_is_left_to_the_service() {
        for (name, text) in [
            ("web.service", "[Container]\nImage=a\n"),
            ("web.kube", "[Kube]\nYaml=/a\n"),
            ("web.container", "[Container]\nRootfs=/a\n"),
            ("web.container", "[Container]\nImage=app.image\n"),
            ("web.container", "[Container]\nImage=app.build\n"),
            ("web.container", "[Container]\nImage=a\nPull=never\n"),
            ("web.container", "[Container]\nImage=a:%i\n"),
            ("web.container", "[Container]\nImage=docker://a\n"),
            ("web.container", "[Container]\nImage=oci-archive:/a\n"),
            ("web.container", "[Container]\nImage=-a\n"),
            ("web.container", "[Container]\nImage=a\nGlobalArgs=--root /b\n"),
            ("web.container", "[Container]\nImage=a\nPodmanArgs=--pull=never\n"),
            ("web.container", "[Container]\nImage=a\nPodmanArgs=--authfile \"/a b\"\n"),
            ("web.container", "[Container]\nImage=a\n[Service]\nUser=web\n"),
            ("web.container", "[Container]\nImage=a\n[Service]\nEnvironment=A=%H\n"),
            ("app.image", "[Image]\nImage=a\nPolicy=never\n"),
            ("app.image", "[Image]\nImage=a\nCreds=a:b\n"),
        ] {
            assert_eq!(pull(name, text), None, "{text}");
        }
    }

    #[test]
    fn relative_paths_and_names_of_services_are_faults() {
        let fault = |name: &str, text: &str| super::fault(&name.parse().unwrap(), &file(text));
        for (name, text, said) in [
            ("web.container", "[Container]\nEnvironmentFile=./env\n", "EnvironmentFile=./env: write an absolute path"),
            ("web.container", "[Container]\nVolume=./d:/d\n", "Volume=./d:/d: write an absolute path"),
            ("web.kube", "[Kube]\nYaml=web.yml\n", "Yaml=web.yml: write an absolute path"),
            (
                "web.container",
                "[Container]\nServiceName=other\n",
                "ServiceName=other is not taken: the service is web.service",
            ),
        ] {
            assert!(fault(name, text).is_some_and(|why| why.starts_with(said)), "{text}: {:?}", fault(name, text));
        }
        let good = "[Container]\nEnvironmentFile=/etc/env\nVolume=data.volume:/d\nVolume=/srv:/srv\n[Build]\nFile=https://a.org/b\n";
        assert_eq!(fault("web.container", good), None);
        assert_eq!(fault("web.service", "[Service]\nEnvironmentFile=env\n"), None);
    }

    #[test]
    fn only_a_container_whose_processes_are_in_the_group_of_its_unit_can_be_strict() {
        let fault = |name: &str, text: &str| not_strict(&name.parse().unwrap(), &file(text));
        assert_eq!(fault("web.container", "[Container]\nImage=a\nCgroupsMode=split\n"), None);
        for (name, text) in [
            ("web.kube", "[Kube]\nYaml=a\n"),
            ("web.container", "[Container]\nCgroupsMode=enabled\n"),
            ("web.container", "[Container]\nPodmanArgs=--cgroups=disabled\n"),
            ("web.container", "[Container]\nAutoUpdate=registry\n"),
        ] {
            assert!(fault(name, text).is_some(), "{text}");
        }
    }
}
