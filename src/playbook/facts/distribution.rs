//! The distribution of a host, by the rules of Ansible: which file of /etc tells it, and which version and family follow.

mod debian;

use serde_json::Value;

use super::host_text::HostText;
use super::os_family::os_family;
use super::os_release::OsRelease;
use super::os_release::ReleaseLine;
use crate::inventory::Vars;
use debian::debian;

/// The files that tell the distribution, in the order in which they are looked at. The first one that fits counts.
const FILES: [(&str, Variety); 16] = [
    ("/etc/altlinux-release", Variety::Named("Altlinux", "ALT")),
    ("/etc/oracle-release", Variety::Named("OracleLinux", "Oracle Linux")),
    ("/etc/centos-release", Variety::CentOs),
    ("/etc/redhat-release", Variety::Named("RedHat", "Red Hat")),
    ("/etc/vmware-release", Variety::Exists("VMwareESX")),
    ("/etc/os-release", Variety::Amazon),
    ("/etc/system-release", Variety::Amazon),
    ("/etc/alpine-release", Variety::Alpine),
    ("/etc/arch-release", Variety::Exists("Archlinux")),
    ("/etc/os-release", Variety::Arch),
    ("/etc/os-release", Variety::Suse),
    ("/etc/os-release", Variety::Debian),
    ("/etc/lsb-release", Variety::Debian),
    ("/etc/coreos/update.conf", Variety::CoreOs),
    ("/etc/os-release", Variety::Flatcar),
    ("/etc/os-release", Variety::Other),
];

/// How a file tells the distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variety {
    /// By its existence.
    Exists(&'static str),
    /// By a text in it, which stands for a name. Without the text, its first word is the name.
    Named(&'static str, &'static str),
    /// By the rules of a family.
    CentOs,
    Amazon,
    Alpine,
    Arch,
    Suse,
    Debian,
    CoreOs,
    Flatcar,
    /// By the name in os-release.
    Other,
}

impl Variety {
    /// Returns Ansible's name of it.
    const fn name(self) -> &'static str {
        match self {
            Self::Exists(name) | Self::Named(name, _) => name,
            Self::CentOs => "CentOS",
            Self::Amazon => "Amazon",
            Self::Alpine => "Alpine",
            Self::Arch => "Archlinux",
            Self::Suse => "SUSE",
            Self::Debian => "Debian",
            Self::CoreOs => "Coreos",
            Self::Flatcar => "Flatcar",
            Self::Other => "NA",
        }
    }
}

/// Returns the facts `distribution`, `distribution_*` and `os_family`.
pub(super) fn distribution(text: &HostText<'_>) -> Vars {
    let release = OsRelease::read(text);
    let mut facts = guess(text, &release);
    for (path, variety) in FILES {
        let name = variety.name();
        if matches!(variety, Variety::Exists(_)) {
            if text.exists(path) {
                set(&mut facts, &[("distribution", name), ("distribution_file_path", path)]);
                set(&mut facts, &[("distribution_file_variety", name)]);
                break;
            }
            continue;
        }
        let Some(content) = text.content(path) else { continue };
        let content = content.trim_matches(QUOTES);
        if let Some(found) = by_file(variety, path, content, (text, &release, &facts)) {
            set(&mut facts, &[("distribution", name), ("distribution_file_path", path)]);
            set(&mut facts, &[("distribution_file_variety", name)]);
            facts.insert("distribution_file_parsed".to_owned(), true.into());
            facts.extend(found);
            break;
        }
    }
    let family = os_family(facts.get("distribution").and_then(Value::as_str).unwrap_or_default()).to_owned();
    facts.insert("os_family".to_owned(), family.into());
    facts
}

/// The characters that do not belong to a content at its ends.
const QUOTES: [char; 3] = ['\'', '"', '\\'];

fn set(facts: &mut Vars, pairs: &[(&str, &str)]) {
    facts.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
}

fn vars(pairs: &[(&str, &str)]) -> Vars {
    let mut facts = Vars::new();
    set(&mut facts, pairs);
    facts
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or(version)
}

/// Returns what os-release and the names of release files say of any distribution.
fn guess(text: &HostText<'_>, release: &OsRelease) -> Vars {
    let line = ReleaseLine::of_host(text);
    let id = release.id();
    let name = match id.as_str() {
        "" => "OtherLinux".to_owned(),
        "amzn" => "Amazon".to_owned(),
        "rhel" => "Redhat".to_owned(),
        id => id.chars().take(1).flat_map(char::to_uppercase).chain(id.chars().skip(1)).collect(),
    };
    let pretty = ReleaseLine::parse(release.get("PRETTY_NAME").unwrap_or_default());
    let debian = text.line("/etc/debian_version").filter(|_| release.is_like("debian"));
    let candidates = [release.get("VERSION_ID"), line.version.as_deref(), pretty.version.as_deref(), debian];
    let candidates = candidates.into_iter().flatten().filter(|version| !version.is_empty());
    let best = candidates.clone().fold("", |best, version| {
        let dots = |text: &str| text.matches('.').count();
        if best.is_empty() || dots(version) > dots(best) { version } else { best }
    });
    let version = match id.as_str() {
        "debian" => best.to_owned(),
        // Its os-release has the major version alone.
        "centos" => best.split('.').take(2).collect::<Vec<_>>().join("."),
        _ => candidates.clone().next().unwrap_or_default().to_owned(),
    };
    let version = if version.is_empty() { "NA" } else { &version };
    let codename = release.codename().or(line.codename).unwrap_or_else(|| "NA".to_owned());
    vars(&[
        ("distribution", &name),
        ("distribution_version", version),
        ("distribution_release", &codename),
        ("distribution_major_version", major(version)),
    ])
}

/// Returns what a file says, if it tells the distribution.
fn by_file(
    variety: Variety,
    path: &str,
    content: &str,
    (text, release, guessed): (&HostText<'_>, &OsRelease, &Vars),
) -> Option<Vars> {
    let first_word = content.split_whitespace().next().unwrap_or_default();
    match variety {
        Variety::Exists(_) => None,
        Variety::Named(name, sought) if content.contains(sought) => {
            Some(vars(&[("distribution", name), ("distribution_file_search_string", sought)]))
        }
        Variety::Named(..) => Some(vars(&[("distribution", first_word)])),
        Variety::CentOs if content.contains("CentOS Stream") => Some(vars(&[("distribution_release", "Stream")])),
        Variety::CentOs => content.contains("TencentOS Server").then(|| vars(&[("distribution", "TencentOS")])),
        Variety::Amazon => content.contains("Amazon").then(|| amazon(path, content, release)),
        Variety::Alpine => Some(vars(&[("distribution", "Alpine"), ("distribution_version", content)])),
        Variety::Arch => content.contains("Arch Linux").then(|| vars(&[("distribution", "Archlinux")])),
        Variety::Suse => content.to_lowercase().contains("suse").then(|| suse(content, (text, release))),
        Variety::Debian => debian(content, text, release),
        Variety::CoreOs => (release.id() == "coreos").then(Vars::new),
        Variety::Flatcar => (release.id() == "flatcar").then(|| {
            let version = release.get("VERSION").unwrap_or("NA");
            vars(&[("distribution_major_version", major(version)), ("distribution_version", version)])
        }),
        Variety::Other => {
            let known = guessed.get("distribution_version").is_some_and(|version| version != "NA");
            let name = release.get("NAME").map(|name| ("distribution", name));
            let version = release.get("VERSION").filter(|_| !known).map(|version| ("distribution_version", version));
            Some(vars(&name.into_iter().chain(version).collect::<Vec<_>>()))
        }
    }
}

fn amazon(path: &str, content: &str, release: &OsRelease) -> Vars {
    if path != "/etc/os-release" {
        let is_number = |word: &&str| word.bytes().all(|byte| byte.is_ascii_digit());
        let version = content.split_whitespace().find(is_number).unwrap_or("NA");
        return vars(&[("distribution", "Amazon"), ("distribution_version", version)]);
    }
    let mut facts = vars(&[("distribution", "Amazon")]);
    if let Some(version) = release.get("VERSION_ID") {
        let minor = version.split_once('.').map_or("NA", |(_, minor)| minor);
        set(&mut facts, &[("distribution_version", version), ("distribution_major_version", major(version))]);
        set(&mut facts, &[("distribution_minor_version", minor)]);
    }
    facts
}

fn suse(content: &str, (text, release): (&HostText<'_>, &OsRelease)) -> Vars {
    let mut facts = Vars::new();
    if let Some(name) = release.get("NAME") {
        set(&mut facts, &[("distribution", name)]);
    }
    // Only the part in front of a second point counts.
    let version = release.get("VERSION_ID").unwrap_or_default();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (main, rest) = version.split_at(digits(version));
    if !main.is_empty() {
        let minor = rest.strip_prefix('.').map(|minor| minor.split_at(digits(minor)).0);
        let version = minor.map_or(main.to_owned(), |minor| format!("{main}.{minor}"));
        set(&mut facts, &[("distribution_version", &version), ("distribution_major_version", main)]);
        let minor = minor.unwrap_or_default();
        let content = content.to_lowercase();
        if content.contains("open") {
            set(&mut facts, &[("distribution_release", minor)]);
        } else if content.contains("enterprise") {
            set(&mut facts, &[("distribution_release", if minor.is_empty() { "0" } else { minor })]);
        }
    }
    let product = text.line("product").unwrap_or_default();
    match release.get("VARIANT_ID") {
        Some("server-sap" | "sles-sap") => set(&mut facts, &[("distribution", "SLES_SAP")]),
        Some("transactional") => set(&mut facts, &[("distribution", "SL-Micro")]),
        None if product.ends_with("SLES_SAP.prod") => set(&mut facts, &[("distribution", "SLES_SAP")]),
        None if product.ends_with("SL-Micro.prod") => set(&mut facts, &[("distribution", "SL-Micro")]),
        _ => {}
    }
    facts
}
