//! `rpm_key`: a key that rpm trusts.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a key.
pub(super) static RPM_KEY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "rpm_key",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes a key of rpm.",
        &[
            Parameter::new("key", Kind::Text, "The key: a file on the host, a URL, or its id."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("fingerprint", Kind::List, "The fingerprints that the file must have."),
            Parameter::new("validate_certs", Kind::Flag, "Whether certificates are checked (default: true)."),
        ],
    )
    .needs(&[&["key"]]),
    text: include_str!("rpm_key.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let key = arguments.required("key")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let fingerprints = arguments.list("fingerprint")?.unwrap_or_default();
    let fingerprints: Vec<String> = fingerprints.iter().map(|text| text.replace(' ', "").to_uppercase()).collect();
    if key.starts_with('-') {
        return Err("`key` cannot begin with a dash".to_owned());
    }
    let digits =
        key.get(..2).filter(|start| start.eq_ignore_ascii_case("0x")).map_or(key.as_str(), |_| key.split_at(2).1);
    let is_id = digits.get(..8).is_some_and(|start| start.chars().all(|c| c.is_ascii_hexdigit()));
    let id = if is_id && !key.contains("://") { digits.trim().to_uppercase() } else { String::new() };
    Ok(run.set("state", &state).set("id", &id).words("fingerprint", &fingerprints))
}
