//! `selinux_permissive`: a domain of SELinux whose rules are only logged.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes a domain permissive or not.
pub(super) static SELINUX_PERMISSIVE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "selinux_permissive",
        &["community.general", "ansible.builtin"],
        "Says whether the rules of SELinux for a domain are only logged.",
        &[
            Parameter::new("domain", Kind::Text, "The domain.").or(&["name"]),
            Parameter::new("permissive", Kind::Flag, "Whether the domain is permissive."),
            Parameter::new("no_reload", Kind::Flag, "Whether the policy is not loaded again."),
            Parameter::new("store", Kind::Text, "The store of the policy."),
        ],
    )
    .needs(&[&["domain"], &["permissive"]]),
    text: r#"
needs semanage
set -- permissive
[ -z "$store" ] || set -- "$@" -S "$store"
run semanage "$@" -l -n || { say_run && fail "${err:-semanage failed}"; }
now=no
if printf '%s\n' "$out" | grep -qxF -e "$domain"; then now=yes; fi
if [ "$now" != "$permissive" ]; then
  [ "$no_reload" != yes ] || set -- "$@" -N
  if [ "$permissive" = yes ]; then change semanage "$@" -a "$domain"; else change semanage "$@" -d "$domain"; fi
fi
finish
"#,
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let domain = arguments.required("domain")?;
    if !domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(format!("`{domain}` cannot be a domain of SELinux"));
    }
    let permissive = arguments.flag("permissive")?.unwrap_or(false);
    let store = arguments.text("store")?.unwrap_or_default();
    if store.starts_with('-') {
        return Err(format!("`{store}` cannot be a store of SELinux"));
    }
    Ok(run.result("domain", domain).result("permissive", permissive).result("store", store))
}
