//! The filters `vault` and `unvault`, which encrypt and decrypt a text with a password of the playbook.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use secrecy::SecretString;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;
use crate::vault::Keyring;
use crate::vault::LabelledPassword;
use crate::vault::is_vault;
use crate::vault::seal;

pub(super) const FILTERS: Table = &[("unvault", unvault), ("vault", vault)];

/// The label of a vault that a filter makes.
const LABEL: &str = "filter_default";

fn password(arguments: &Arguments) -> Result<SecretString, Error> {
    Ok(text(&arguments.required(0, "secret")?).into())
}

fn vault(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if arguments.flag(3, "wrap_object", false) {
        // Ansible's object is printed as the text in it.
        return Ok(value.clone());
    }
    let salt = arguments.get(1, "salt").filter(|salt| !salt.is_none()).map(|salt| text(&salt));
    let label = arguments.text(2, "vault_id", LABEL);
    let salt = salt.as_deref().map(str::as_bytes);
    let sealed = seal(text(value).as_bytes(), &password(arguments)?, Some(&label), salt);
    sealed.map(|vault| vault.to_text().into()).map_err(|error| wrong(format!("the text {error}")))
}

fn unvault(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let vault = text(value);
    if !is_vault(&vault) {
        return Ok(value.clone());
    }
    let label = arguments.text(1, "vault_id", LABEL);
    let keyring = Keyring::new(vec![LabelledPassword { label, password: password(arguments)? }]);
    let opened = keyring.open(&vault).map_err(|error| wrong(format!("the text {error}")))?;
    String::from_utf8(opened).map(Value::from).map_err(|_| wrong("the content of the vault is not UTF-8 text"))
}
