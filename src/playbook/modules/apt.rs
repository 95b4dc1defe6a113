//! `apt`: packages of Debian and Ubuntu.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Installs or removes packages.
pub(super) static APT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "apt",
        &["ansible.builtin", "ansible.legacy"],
        "Installs, upgrades or removes packages of Debian and Ubuntu.",
        &[
            Parameter::new("name", Kind::List, "The packages: `foo`, `foo=1.0*`, `foo/stable`, `foo:amd64`, `foo*`.")
                .or(&["package", "pkg"]),
            STATE,
            UPDATE_CACHE,
            CACHE_VALID_TIME,
            Parameter::new("update_cache_retries", Kind::Number, "How often to read the lists (default: 5)."),
            Parameter::new("update_cache_retry_max_delay", Kind::Number, "The most seconds between (default: 12)."),
            Parameter::new(
                "upgrade",
                Kind::Choice(&["dist", "full", "no", "safe", "yes", "True", "False"]),
                "Whether all packages are upgraded, and whether others may be removed for that (`dist`).",
            ),
            PURGE,
            AUTOREMOVE,
            Parameter::new("autoclean", Kind::Flag, "Whether old downloaded packages are removed."),
            Parameter::new("clean", Kind::Flag, "Whether all downloaded packages are removed."),
            DEFAULT_RELEASE,
            INSTALL_RECOMMENDS,
            Parameter::new("only_upgrade", Kind::Flag, "Whether only installed packages are upgraded."),
            Parameter::new("deb", Kind::Text, "The path or the URL of a package file."),
            ALLOW_UNAUTHENTICATED,
            Parameter::new("allow_downgrade", Kind::Flag, "Whether an older version may replace a newer one.").or(&[
                "allow-downgrade",
                "allow_downgrades",
                "allow-downgrades",
            ]),
            Parameter::new("allow_change_held_packages", Kind::Flag, "Whether held packages may change."),
            Parameter::new("force", Kind::Flag, "Whether apt may do what it warns about."),
            Parameter::new("force_apt_get", Kind::Flag, "No effect: apt-get is used always."),
            Parameter::new("fail_on_autoremove", Kind::Flag, "Whether it fails if a package would be removed."),
            Parameter::new("policy_rc_d", Kind::Number, "The exit code of policy-rc.d: 101 lets no service start."),
            Parameter::new("dpkg_options", Kind::List, "Options of dpkg (default: force-confdef,force-confold)."),
            LOCK_TIMEOUT,
        ],
    ),
    text: include_str!("apt.sh"),
    prepare,
};

pub(super) const STATE: Parameter = Parameter::new(
    "state",
    Kind::Choice(&["absent", "build-dep", "fixed", "installed", "latest", "present", "removed"]),
    "What to make of the packages (default: present).",
);
pub(super) const UPDATE_CACHE: Parameter =
    Parameter::new("update_cache", Kind::Flag, "Whether the lists of packages are read again first.")
        .or(&["update-cache"]);
pub(super) const CACHE_VALID_TIME: Parameter =
    Parameter::new("cache_valid_time", Kind::Number, "The seconds for which the lists are new enough.");
pub(super) const PURGE: Parameter = Parameter::new("purge", Kind::Flag, "Whether configuration is removed too.");
pub(super) const AUTOREMOVE: Parameter =
    Parameter::new("autoremove", Kind::Flag, "Whether dependencies that no package needs are removed.");
pub(super) const DEFAULT_RELEASE: Parameter =
    Parameter::new("default_release", Kind::Text, "The release from which packages come.").or(&["default-release"]);
pub(super) const INSTALL_RECOMMENDS: Parameter =
    Parameter::new("install_recommends", Kind::Flag, "Whether recommended packages are installed too.")
        .or(&["install-recommends"]);
pub(super) const ALLOW_UNAUTHENTICATED: Parameter =
    Parameter::new("allow_unauthenticated", Kind::Flag, "Whether packages without a signature are installed.")
        .or(&["allow-unauthenticated"]);
pub(super) const LOCK_TIMEOUT: Parameter =
    Parameter::new("lock_timeout", Kind::Number, "The seconds to wait for another package manager.");

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = names(arguments)?;
    let given =
        |name: &str| Ok::<_, String>(arguments.non_empty(name)?.is_some_and(|text| text != "False" && text != "no"));
    let upgrade = given("upgrade")?;
    if !names.is_empty() && given("deb")? {
        return Err("parameters are mutually exclusive: deb|package|upgrade".to_owned());
    }
    if upgrade && names.iter().any(|name| name != "*") {
        return Err("unable to install additional packages when upgrading all installed packages".to_owned());
    }
    if arguments.args.is_empty() {
        return Err("one of the following is required: autoremove, deb, package, update_cache, upgrade".to_owned());
    }
    Ok(run)
}

/// Returns the names of packages. A name cannot be an option.
pub(super) fn names(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let mut names = arguments.list("name")?.unwrap_or_default();
    names.retain(|name| !name.is_empty());
    match names.iter().find(|name| name.starts_with('-') || name.contains(char::is_whitespace)) {
        Some(name) => Err(format!("`{name}` cannot be the name of a package")),
        None => Ok(names),
    }
}
