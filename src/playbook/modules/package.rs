//! `package`: packages, with the package manager of the host.

use super::Arguments;
use super::apt;
use super::dnf;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Installs or removes packages.
pub(super) static PACKAGE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "package",
        &["ansible.builtin", "ansible.legacy"],
        "Installs, upgrades or removes packages with the package manager of the host.",
        &[
            Parameter::new("name", Kind::List, "The packages.").or(&["pkg", "package"]),
            apt::STATE,
            Parameter::new(
                "use",
                Kind::Choice(&["auto", "apt", "dnf", "dnf5", "yum", "zypper", "pacman", "apk"]),
                "The package manager (default: that of the host).",
            ),
            apt::UPDATE_CACHE,
            apt::CACHE_VALID_TIME,
            apt::PURGE,
            apt::AUTOREMOVE,
            apt::DEFAULT_RELEASE,
            apt::INSTALL_RECOMMENDS,
            apt::ALLOW_UNAUTHENTICATED,
            apt::LOCK_TIMEOUT,
            dnf::ENABLEREPO,
            dnf::DISABLEREPO,
            dnf::EXCLUDE,
            dnf::DISABLE_GPG_CHECK,
            dnf::RELEASEVER,
            dnf::SECURITY,
        ],
    )
    .needs(&[&["name"]]),
    text: concat!(
        "by_apt() {\n",
        include_str!("apt.sh"),
        "}\nby_dnf() {\n",
        include_str!("dnf.sh"),
        "}\n",
        include_str!("package.sh")
    ),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    apt::names(arguments).map(|_| run)
}
