//! `dnf` and `yum`: packages of Fedora, Red Hat and their relatives.

use super::Arguments;
use super::apt;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Installs or removes packages with dnf.
pub(super) static DNF: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "dnf",
        &["ansible.builtin", "ansible.legacy"],
        "Installs, upgrades or removes packages with dnf, or else with yum.",
        PARAMETERS,
    ),
    text: include_str!("dnf.sh"),
    prepare,
};

/// Installs or removes packages with yum, which is dnf on newer hosts.
pub(super) static YUM: ScriptModule = ScriptModule { spec: &Spec { name: "yum", ..*DNF.spec }, ..DNF };

/// Installs or removes packages with dnf 5.
pub(super) static DNF5: ScriptModule = ScriptModule { spec: &Spec { name: "dnf5", ..*DNF.spec }, ..DNF };

const PARAMETERS: &[Parameter] = &[
    Parameter::new("name", Kind::List, "The packages: `foo`, `foo-1.0`, `@group`, a path, a URL, or `*`.").or(&["pkg"]),
    Parameter::new(
        "state",
        Kind::Choice(&["absent", "installed", "latest", "present", "removed"]),
        "What to make of the packages (default: present).",
    ),
    Parameter::new("update_cache", Kind::Flag, "Whether the metadata is read again first.")
        .or(&["expire-cache", "update-cache"]),
    ENABLEREPO,
    DISABLEREPO,
    EXCLUDE,
    DISABLE_GPG_CHECK,
    RELEASEVER,
    SECURITY,
    Parameter::new("bugfix", Kind::Flag, "Whether only fixes of bugs are installed."),
    Parameter::new("allowerasing", Kind::Flag, "Whether packages in conflict may be removed (default: true)."),
    Parameter::new("allow_downgrade", Kind::Flag, "No effect: dnf takes the version that is named."),
    Parameter::new("nobest", Kind::Flag, "Whether another version than the best one will do."),
    Parameter::new("best", Kind::Flag, "Whether only the best version will do."),
    Parameter::new("skip_broken", Kind::Flag, "Whether packages with broken dependencies are left out."),
    Parameter::new("update_only", Kind::Flag, "Whether `latest` only upgrades installed packages."),
    Parameter::new("autoremove", Kind::Flag, "Whether dependencies that no package needs are removed."),
    Parameter::new("install_weak_deps", Kind::Flag, "Whether recommended packages are installed (default: true)."),
    Parameter::new("download_only", Kind::Flag, "Whether packages are only downloaded."),
    Parameter::new("conf_file", Kind::Text, "The configuration file."),
    Parameter::new("installroot", Kind::Text, "The directory in which packages are installed."),
    Parameter::new(
        "disable_excludes",
        Kind::Text,
        "The part whose exclusions do not count: `all`, `main` or a repository.",
    ),
    Parameter::new("enable_plugin", Kind::List, "The plugins to enable."),
    Parameter::new("disable_plugin", Kind::List, "The plugins to disable."),
    Parameter::new("cacheonly", Kind::Flag, "Whether only metadata on the host is used."),
    Parameter::new("sslverify", Kind::Flag, "Whether certificates are checked (default: true)."),
    Parameter::new("validate_certs", Kind::Flag, "Whether certificates of URLs are checked (default: true)."),
    Parameter::new("list", Kind::Text, "What to list: `installed`, `available`, `updates`, `repos` or packages."),
    Parameter::new("use_backend", Kind::Choice(&["auto", "yum", "yum4", "dnf", "dnf4", "dnf5"]), "No effect."),
    apt::LOCK_TIMEOUT,
];

pub(super) const ENABLEREPO: Parameter = Parameter::new("enablerepo", Kind::List, "The repositories to enable.");
pub(super) const DISABLEREPO: Parameter = Parameter::new("disablerepo", Kind::List, "The repositories to disable.");
pub(super) const EXCLUDE: Parameter = Parameter::new("exclude", Kind::List, "The packages to leave out.");
pub(super) const DISABLE_GPG_CHECK: Parameter =
    Parameter::new("disable_gpg_check", Kind::Flag, "Whether packages without a signature are installed.");
pub(super) const RELEASEVER: Parameter = Parameter::new("releasever", Kind::Text, "The release of the distribution.");
pub(super) const SECURITY: Parameter =
    Parameter::new("security", Kind::Flag, "Whether only security fixes are installed.");

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let mut names = arguments.list("name")?.unwrap_or_default();
    names.retain(|name| !name.is_empty());
    if let Some(name) = names.iter().find(|name| name.starts_with('-')) {
        return Err(format!("`{name}` cannot be the name of a package"));
    }
    if !names.is_empty() && arguments.non_empty("list")?.is_some() {
        return Err("parameters are mutually exclusive: name|list".to_owned());
    }
    Ok(run)
}
