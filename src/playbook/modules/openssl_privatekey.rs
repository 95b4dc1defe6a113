//! `openssl_privatekey`: a private key, made by the program openssl on the host.

use serde_json::Value;

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::host_script::HostReport;
use crate::playbook::mode::Mode;
use crate::playbook::outcome::Outcome;

const TYPES: Kind = Kind::Choice(&["RSA", "DSA", "ECC", "Ed25519", "Ed448", "X25519", "X448"]);
const FORMATS: Kind = Kind::Choice(&["auto", "auto_ignore", "pkcs1", "pkcs8", "raw"]);
const REGENERATE: Kind = Kind::Choice(&["never", "fail", "partial_idempotence", "full_idempotence", "always"]);

/// Makes or removes a private key.
pub(super) static OPENSSL_PRIVATEKEY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "openssl_privatekey",
        &["community.crypto", "ansible.builtin"],
        "Makes a private key with openssl, or removes it.",
        &[
            Parameter::new("path", Kind::Text, "The file."),
            Parameter::new("state", Kind::Choice(&["present", "absent"]), "Whether it exists (default: present)."),
            Parameter::new("type", TYPES, "The kind of key (default: RSA)."),
            Parameter::new("size", Kind::Number, "The bits of a key of RSA or DSA (default: 4096)."),
            Parameter::new("curve", Kind::Text, "The curve of a key of ECC, such as secp384r1."),
            Parameter::new("passphrase", Kind::Text, "The passphrase of the key."),
            Parameter::new("cipher", Kind::Choice(&["auto"]), "The cipher: the best one."),
            Parameter::new("format", FORMATS, "The format (default: auto, which is pkcs1 for RSA, DSA and ECC)."),
            Parameter::new(
                "format_mismatch",
                Kind::Choice(&["regenerate", "convert"]),
                "What happens to a key in another format (default: regenerate).",
            ),
            Parameter::new("regenerate", REGENERATE, "When a key is made anew (default: full_idempotence)."),
            Parameter::new("force", Kind::Flag, "Whether the key is made anew in any case (default: false)."),
            Parameter::new("return_content", Kind::Flag, "Whether the result has the key (default: false)."),
            Parameter::new("select_crypto_backend", Kind::Any, "No effect: openssl makes the key."),
            destination::BACKUP,
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]]),
    text: concat!(include_str!("openssl_key.sh"), include_str!("openssl_privatekey.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let word = |name: &str, default: &str| Ok::<_, String>(arguments.non_empty(name)?.unwrap_or(default.to_owned()));
    let kind = word("type", "RSA")?;
    let curve = arguments.non_empty("curve")?;
    if kind == "ECC" && curve.is_none() {
        return Err("`curve` is needed for a key of the type ECC".to_owned());
    }
    let size = arguments.number("size")?.unwrap_or(4096);
    let mut run = run.set("size", &size.to_string()).result("size", size).result("type", kind.clone());
    if let Some(curve) = curve.filter(|_| kind == "ECC") {
        run = run.result("curve", curve);
    }
    let mut attributes = arguments.attributes()?;
    // As in Ansible: only the owner may read a key unless the task says so.
    attributes.mode = attributes.mode.or(Mode::read(&Value::from("0600")).ok());
    run.set("type", &kind)
        .set("format", &word("format", "auto")?)
        .set("format_mismatch", &word("format_mismatch", "regenerate")?)
        .set("regenerate", &word("regenerate", "full_idempotence")?)
        .with_attributes(&attributes)
        .read(read_fingerprint)
        .paths(&["path"], arguments)
}

/// Puts the fingerprints into one map.
pub(super) fn read_fingerprint(_: &HostReport, outcome: &mut Outcome) {
    let names: Vec<String> = outcome.detail.keys().filter(|name| name.starts_with(PREFIX)).cloned().collect();
    let entry = |name: String| {
        let value = outcome.detail.shift_remove(&name)?;
        Some((name.strip_prefix(PREFIX)?.to_owned(), value))
    };
    let all: Vars = names.into_iter().filter_map(entry).collect();
    let fingerprint = if all.is_empty() { Value::Null } else { all.into() };
    outcome.detail.insert("fingerprint".to_owned(), fingerprint);
}

/// The beginning of the names of the fingerprints.
const PREFIX: &str = "fingerprint_";
