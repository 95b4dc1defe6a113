//! `apt_key`: a key that apt trusts for all package sources.

use super::script_module::ScriptModule;
use super::script_module::as_given;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a key.
pub(super) static APT_KEY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "apt_key",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes a key that apt trusts, with apt-key.",
        &[
            Parameter::new("id", Kind::Text, "The id of the key. Without one, the key itself says it."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether apt trusts it (default: present)."),
            Parameter::new("url", Kind::Text, "The URL of the key."),
            Parameter::new("data", Kind::Text, "The text of the key."),
            Parameter::new("file", Kind::Text, "The path of the key on the host."),
            Parameter::new("keyserver", Kind::Text, "The server of the key."),
            Parameter::new("keyring", Kind::Text, "The file in which the key is kept."),
            Parameter::new(
                "validate_certs",
                Kind::Flag,
                "Whether the certificate of the URL is checked (default: true).",
            ),
        ],
    )
    .excludes(&[&["data", "file", "keyserver", "url"]]),
    text: include_str!("apt_key.sh"),
    prepare: as_given,
};
