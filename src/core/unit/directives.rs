//! The sections and directives that systemd knows. systemd ignores every other one, which is mostly a typing error. The
//! sections of Podman are in `podman.rs`.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::podman;
use crate::core::similar::similar;

/// The sections of unit files that muster and fleet read themselves.
const OWN: [&str; 2] = ["X-Fleet", "X-Muster"];

/// The directives of each section. The file says where they come from.
static KNOWN: LazyLock<BTreeMap<&str, BTreeSet<&str>>> = LazyLock::new(|| {
    let mut known = BTreeMap::<&str, BTreeSet<&str>>::new();
    let mut sections = "";
    for line in include_str!("directives.txt").lines().filter(|line| !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            sections = header.trim_end_matches(']');
            continue;
        }
        for section in sections.split(' ') {
            known.entry(section).or_default().extend(line.split_whitespace());
        }
    }
    known
});

/// Reports whether systemd, fleet or muster reads a section. Programs may have sections whose names begin with `X-`.
pub(super) fn is_section(section: &str) -> bool {
    let resembles_own = OWN.iter().any(|own| own.eq_ignore_ascii_case(section));
    KNOWN.contains_key(section)
        || OWN.contains(&section)
        || podman::is_section(section)
        || section.starts_with("X-") && !resembles_own
}

/// Reports whether systemd or Podman reads a directive in a section, or ignores it on purpose. Only their own sections have
/// directives that are known.
pub(super) fn is_directive(section: &str, name: &str) -> bool {
    let is_known = || KNOWN.get(section).is_none_or(|names| names.contains(name)) && podman::is_key(section, name);
    name.starts_with("X-") || is_known()
}

/// Returns the name that was probably meant by a section that is not known.
pub(super) fn meant_section(section: &str) -> Option<&'static str> {
    let names = || KNOWN.keys().copied().chain(OWN).chain(podman::sections());
    let same = names().find(|name| name.eq_ignore_ascii_case(section));
    same.or_else(|| similar(section, names()).into_iter().next())
}

/// Returns what was probably meant by a directive that is not known in its section: one of the same name in another
/// section, or one that is spelt alike.
pub(super) fn meant_directive(section: &str, name: &str) -> Option<String> {
    if podman::is_section(section) {
        return podman::meant_key(section, name).map(|key| format!("`{key}=`"));
    }
    let named = |(_, names): &(&&str, &BTreeSet<&str>)| names.contains(name);
    let known = KNOWN.get(section)?;
    let same = known.iter().find(|known| known.eq_ignore_ascii_case(name));
    let same = same.map(|known| format!("`{known}=`"));
    let elsewhere = || Some(format!("`{name}=` in [{}]", KNOWN.iter().find(named)?.0));
    let alike = || Some(format!("`{}=`", similar(name, known.iter().copied()).first()?));
    same.or_else(elsewhere).or_else(alike)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_the_directives_of_each_section() {
        for (section, name) in [
            ("Unit", "After"),
            ("Unit", "StartLimitIntervalSec"),
            ("Service", "ExecStart"),
            ("Service", "RestartSteps"),
            ("Service", "MemoryMax"),
            ("Socket", "ListenStream"),
            ("Timer", "OnCalendar"),
            ("Path", "PathExists"),
            ("Mount", "What"),
            ("Install", "WantedBy"),
        ] {
            assert!(is_directive(section, name), "[{section}] {name}");
        }
        assert!(!is_directive("Timer", "ExecStart") && is_directive("Unit", "X-Own") && is_directive("X-Own", "Any"));
        assert!(is_section("Automount") && is_section("X-Fleet") && is_section("X-Own"));
        assert!(!is_section("X-fleet") && !is_section("x-muster") && !is_section("Sevice"));
    }

    #[test]
    fn the_likely_name_is_suggested() {
        assert_eq!(meant_section("Sevice"), Some("Service"));
        assert_eq!(meant_section("X-fleet"), Some("X-Fleet"));
        assert_eq!(meant_section("Quite-Another"), None);
        assert_eq!(meant_directive("Service", "Restrat").as_deref(), Some("`Restart=`"));
        assert_eq!(meant_directive("Service", "execstart").as_deref(), Some("`ExecStart=`"));
        assert_eq!(meant_directive("Unit", "WantedBy").as_deref(), Some("`WantedBy=` in [Install]"));
        assert_eq!(meant_directive("Timer", "Zzzzzzzz"), None);
        assert_eq!(meant_directive("Container", "Volumes").as_deref(), Some("`Volume=`"));
        assert!(is_directive("Container", "Volume") && !is_directive("Container", "Volumes"));
    }
}
