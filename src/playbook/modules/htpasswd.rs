//! `htpasswd`: a user in a file of passwords for a web server. The program openssl on the host makes the hash.

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

const SCHEMES: Kind = Kind::Choice(&["apr_md5_crypt", "ldap_sha1", "plaintext", "sha256_crypt", "sha512_crypt"]);

/// Adds, changes or removes a user.
pub(super) static HTPASSWD: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "htpasswd",
        &["community.general", "ansible.builtin"],
        "Adds a user to a file of passwords for a web server, or removes it.",
        &[
            Parameter::new("path", Kind::Text, "The file.").or(&["dest", "destfile"]),
            Parameter::new("name", Kind::Text, "The user.").or(&["username"]),
            Parameter::new("password", Kind::Text, "The password."),
            Parameter::new("hash_scheme", SCHEMES, "How the password is stored (default: apr_md5_crypt).")
                .or(&["crypt_scheme"]),
            Parameter::new("state", Kind::Choice(&["present", "absent"]), "Whether it exists (default: present)."),
            Parameter::new("create", Kind::Flag, "Whether the file is made if it is missing (default: true)."),
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"], &["name"]]),
    text: include_str!("htpasswd.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let user = arguments.required("name")?;
    if user.contains([':', '\n']) {
        return Err("`name` cannot have a colon or a newline".to_owned());
    }
    let password = arguments.text("password")?;
    if arguments.text("state")?.as_deref() != Some("absent") && password.is_none() {
        return Err("`password` is needed".to_owned());
    }
    if password.is_some_and(|password| password.contains('\n')) {
        return Err("`password` cannot have a newline".to_owned());
    }
    run.set("user", &user).attributes(arguments)?.paths(&["path"], arguments)
}
