//! The programs that manage a host: packages, services, security modules, LSB.

use serde_json::Value;
use serde_json::json;

use super::distribution::distribution;
use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// Programs of package managers. The last one that exists counts.
const PACKAGE_MANAGERS: [(&str, &str); 13] = [
    ("/usr/bin/rpm-ostree", "atomic_container"),
    ("/usr/bin/yum", "dnf"),
    ("/usr/bin/dnf-3", "dnf"),
    ("/usr/bin/dnf5", "dnf5"),
    ("/usr/bin/apt-get", "apt"),
    ("/usr/bin/zypper", "zypper"),
    ("/usr/sbin/urpmi", "urpmi"),
    ("/usr/bin/pacman", "pacman"),
    ("/bin/opkg", "opkg"),
    ("/sbin/apk", "apk"),
    ("/usr/bin/emerge", "portage"),
    ("/usr/bin/xbps-install", "xbps"),
    ("/usr/bin/swupd", "swupd"),
];

/// Returns the package manager that the distribution uses, whatever else is installed.
pub(super) fn pkg_mgr(text: &HostText<'_>) -> Vars {
    let facts_of_distribution = distribution(text);
    let family = facts_of_distribution.get("os_family").and_then(Value::as_str).unwrap_or_default();
    let found = PACKAGE_MANAGERS.iter().rev().find(|(path, _)| text.exists(path)).map(|(_, name)| *name);
    let name = match family {
        "RedHat" if text.exists("/run/ostree-booted") => "atomic_container",
        "RedHat" => match text.line("dnf") {
            Some("/usr/bin/dnf5") => "dnf5",
            Some(_) => "dnf",
            None => "unknown",
        },
        "Debian" => "apt",
        "Altlinux" if found == Some("apt") => "apt_rpm",
        _ => found.unwrap_or("unknown"),
    };
    let is_of_rpm = name == "apt" && text.line("apt_rpm").is_some_and(|package| !package.starts_with("no package"));
    facts([("pkg_mgr", if is_of_rpm { "apt_rpm" } else { name }.into())])
}

/// Returns the service manager: the first process, unless its name says too little.
pub(super) fn service_mgr(text: &HostText<'_>) -> Vars {
    let file_name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let init = text.line("init").map(file_name);
    let first = text.line("/proc/1/comm").map(file_name).or_else(|| init.clone());
    let first = first.filter(|name| name != "init" && !name.ends_with("sh") && !name.is_empty());
    let has = |command| text.lists("commands", command);
    let booted = ["/run/systemd/system", "/dev/.run/systemd", "/dev/.systemd"].iter().any(|path| text.exists(path));
    let name = match first.as_deref() {
        Some("procd") => "openwrt_init",
        Some("runit-init") => "runit",
        Some("svscan") => "svc",
        Some("openrc-init") => "openrc",
        Some(name) => name,
        None if has("systemctl") && booted => "systemd",
        None if has("initctl") && text.exists("/etc/init") => "upstart",
        None if text.exists("/sbin/openrc") => "openrc",
        None if has("systemctl") && init.as_deref() == Some("systemd") => "systemd",
        None if text.exists("/etc/init.d") => "sysvinit",
        None if text.exists("/etc/dinit.d") => "dinit",
        None => "service",
    };
    facts([("service_mgr", name.into())])
}

/// Returns the version and the features of systemd, if it runs.
pub(super) fn systemd(text: &HostText<'_>) -> Vars {
    let mut lines = text.lines("systemd");
    let version = lines.next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u32>().ok());
    match version {
        Some(version) if text.exists("/run/systemd/system") => {
            facts([("systemd", json!({"version": version, "features": lines.next().unwrap_or_default()}))])
        }
        _ => Vars::new(),
    }
}

/// Returns the facts about SELinux. `selinux_python_present` is true: no module of muster needs Python on the host.
pub(super) fn selinux(text: &HostText<'_>) -> Vars {
    let setting = |name: &str| {
        let mut lines = text.lines("/etc/selinux/config").map(str::trim);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map_or("unknown", str::trim)
    };
    let version = text.line("/sys/fs/selinux/policyvers").and_then(|version| version.parse::<u32>().ok());
    let state = match text.line("/sys/fs/selinux/enforce") {
        None => json!({"status": "disabled"}),
        Some(mode) => json!({
            "status": "enabled",
            "mode": if mode == "1" { "enforcing" } else { "permissive" },
            "config_mode": setting("SELINUX").to_lowercase(),
            "type": setting("SELINUXTYPE"),
            "policyvers": version.map_or(json!("unknown"), |version| json!(version)),
        }),
    };
    facts([("selinux", state), ("selinux_python_present", true.into())])
}

/// Reports whether the kernel has AppArmor.
pub(super) fn apparmor(text: &HostText<'_>) -> Vars {
    let status = if text.exists("/sys/kernel/security/apparmor") { "enabled" } else { "disabled" };
    facts([("apparmor", json!({"status": status}))])
}

/// Returns what `lsb_release` says, or else /etc/lsb-release.
pub(super) fn lsb(text: &HostText<'_>) -> Vars {
    const KEYS: [(&str, &str, &str); 5] = [
        ("LSB Version", "", "release"),
        ("Distributor ID", "DISTRIB_ID", "id"),
        ("Description", "DISTRIB_DESCRIPTION", "description"),
        ("Release", "DISTRIB_RELEASE", "release"),
        ("Codename", "DISTRIB_CODENAME", "codename"),
    ];
    let printed = text.lines("lsb").filter_map(|line| line.split_once(':'));
    let stored = text.lines("/etc/lsb-release").filter_map(|line| line.split_once('='));
    let of = |name: &str| KEYS.iter().find(|(printed, stored, _)| *printed == name || *stored == name);
    let value = |(name, value): (&str, &str)| {
        let value = value.trim().trim_matches(['\'', '"', '\\']);
        Some((of(name.trim())?.2.to_owned(), Value::from(value)))
    };
    let mut found: Vars = printed.filter_map(value).collect();
    if found.is_empty() {
        found = stored.filter_map(value).collect();
    }
    if let Some(release) = found.get("release").and_then(Value::as_str) {
        let major = release.split('.').next().unwrap_or_default().to_owned();
        found.insert("major_release".to_owned(), major.into());
    }
    facts([("lsb", found.into())])
}

/// Returns the capabilities that `capsh` prints.
pub(super) fn caps(text: &HostText<'_>) -> Vars {
    let mut facts = facts([("system_capabilities_enforced", "N/A".into()), ("system_capabilities", "N/A".into())]);
    if text.line("capsh").is_some() {
        let current = text.lines("capsh").filter_map(|line| line.strip_prefix("Current:")).last();
        let enforced = current.map_or("NA", |caps| if caps.trim() == "=ep" { "False" } else { "True" });
        let caps = current.filter(|_| enforced == "True").and_then(|caps| caps.split('=').nth(1));
        let caps: Vec<&str> = caps.map(|caps| caps.split(',').map(str::trim).collect()).unwrap_or_default();
        facts.insert("system_capabilities_enforced".to_owned(), enforced.into());
        facts.insert("system_capabilities".to_owned(), caps.into());
    }
    facts
}
