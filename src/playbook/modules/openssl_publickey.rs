//! `openssl_publickey`: the public key of a private key, made by the program openssl on the host.

use super::Arguments;
use super::destination;
use super::openssl_privatekey::read_fingerprint;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes or removes a public key.
pub(super) static OPENSSL_PUBLICKEY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "openssl_publickey",
        &["community.crypto", "ansible.builtin"],
        "Makes the public key of a private key with openssl, or removes it.",
        &[
            Parameter::new("path", Kind::Text, "The file of the public key."),
            Parameter::new("state", Kind::Choice(&["present", "absent"]), "Whether it exists (default: present)."),
            Parameter::new("privatekey_path", Kind::Text, "The file of the private key."),
            Parameter::new("privatekey_content", Kind::Text, "The private key itself."),
            Parameter::new("privatekey_passphrase", Kind::Text, "The passphrase of the private key."),
            Parameter::new("format", Kind::Choice(&["PEM", "OpenSSH"]), "The format (default: PEM)."),
            Parameter::new("force", Kind::Flag, "Whether the file is written in any case (default: false)."),
            Parameter::new("return_content", Kind::Flag, "Whether the result has the key (default: false)."),
            Parameter::new("select_crypto_backend", Kind::Any, "No effect: openssl makes the key."),
            destination::BACKUP,
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]])
    .excludes(&[&["privatekey_path", "privatekey_content"]]),
    text: concat!(include_str!("openssl_key.sh"), include_str!("openssl_publickey.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let path = arguments.non_empty("privatekey_path")?;
    let is_given = path.is_some() || arguments.non_empty("privatekey_content")?.is_some();
    if !is_given && arguments.text("state")?.as_deref() != Some("absent") {
        return Err("the public key needs `privatekey_path` or `privatekey_content`".to_owned());
    }
    let format = arguments.non_empty("format")?.unwrap_or_else(|| "PEM".to_owned());
    run.result("format", format)
        .result("privatekey", path)
        .attributes(arguments)?
        .read(read_fingerprint)
        .paths(&["path", "privatekey_path"], arguments)
}
