//! Quadlet files (podman-systemd.unit(5)): which others one needs beside it, and why one cannot be a unit or cannot be strict.

use std::collections::BTreeSet;

use super::UnitFile;
use super::UnitName;
use super::UnitType;

/// The sections that Podman reads in Quadlet files besides those of systemd.
pub(super) const SECTIONS: [&str; 8] = ["Build", "Container", "Image", "Kube", "Network", "Pod", "Quadlet", "Volume"];

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
pub(super) fn needed(file: &UnitFile) -> BTreeSet<UnitName> {
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

#[cfg(test)]
mod tests {
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
