//! `muster secret recipients`: the keys that can read the secrets, and those that this operator trusts.

use super::no_identity;
use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::error::CommandResult;
use crate::cli::error::ExitStatus;
use crate::cli::list;
use crate::cli::list::ListArgs;
use crate::control::secrets;
use crate::control::secrets::SecretError;
use crate::core::model::RecipientKey;
use crate::core::secret_name::SecretName;
use crate::runner::Clock;
use crate::ui;
use crate::ui::lists;

/// The most characters of a recipient's name.
const NAME_LIMIT: usize = 64;

#[derive(Debug, clap::Subcommand)]
pub(super) enum RecipientCommand {
    /// List the recipients
    List(ListArgs),
    /// Let a key read the secrets, and encrypt them anew
    ///
    /// Your own identity must be able to read all secrets.
    Add {
        /// The public key: `age1…`
        key: RecipientKey,
        /// Name the key in the list of recipients
        #[arg(long, value_name = "NAME", value_parser = name)]
        name: String,
    },
    /// Remove a recipient, and encrypt the secrets anew
    ///
    /// Your own identity must be able to read all secrets. The removed key could read their values until now: set each
    /// secret to another value.
    Rm {
        /// The public key or the name
        #[arg(value_name = "KEY|NAME")]
        recipient: String,
    },
    /// Trust recipients that another operator has added
    ///
    /// Compare the keys with what that operator tells you. A store that is in the wrong hands can name any key.
    Accept {
        /// The public keys
        #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "KEY")]
        keys: Vec<RecipientKey>,
        /// Accept all recipients that the store names
        #[arg(long)]
        all: bool,
    },
}

/// Checks the name of a recipient.
pub(super) fn name(text: &str) -> Result<String, String> {
    let is_plain = !text.trim().is_empty() && text.chars().count() <= NAME_LIMIT && !text.contains(char::is_control);
    if is_plain { Ok(text.to_owned()) } else { Err(format!("expected 1 to {NAME_LIMIT} printable characters")) }
}

pub(super) async fn run(context: &Context, command: RecipientCommand) -> CommandResult {
    match command {
        RecipientCommand::List(args) => list(context, &args).await,
        RecipientCommand::Add { key, name } => add(context, &key, &name).await,
        RecipientCommand::Rm { recipient } => remove(context, &recipient).await,
        RecipientCommand::Accept { keys, all } => accept(context, keys, all).await,
    }
}

async fn list(context: &Context, args: &ListArgs) -> CommandResult {
    let (secrets, file) = (context.secrets().await?, context.accepted_file()?);
    let accepted = file.current(&secrets::recipients(&secrets).await?)?;
    let snapshot = context.snapshot().await?;
    let own = context.secret_identity()?.map(|identity| identity.public_keys()).unwrap_or_default();
    let is_accepted = |key: &RecipientKey| accepted.has(key);
    let rows = lists::secrets::recipients(&snapshot, &is_accepted, &own, Clock::start().now());
    list::show(context, rows, args)
}

async fn add(context: &Context, key: &RecipientKey, name: &str) -> CommandResult {
    let (secrets, file) = (context.secrets().await?, context.accepted_file()?);
    let mut accepted = file.checked(&secrets::recipients(&secrets).await?)?;
    accepted.insert(key.clone());
    let identity = context.secret_identity()?;
    let anew = secrets::add_recipient(&secrets, key, name, identity.as_ref(), &accepted).await;
    let anew = anew.map_err(|error| explained(context, error))?;
    file.write(&accepted)?;
    ui::result(&format!("{key} is a recipient\n"));
    tell(&anew);
    Ok(ExitStatus::Done)
}

async fn remove(context: &Context, recipient: &str) -> CommandResult {
    let (secrets, file) = (context.secrets().await?, context.accepted_file()?);
    // The recipient that is removed need not have been accepted. All others are checked.
    let accepted = file.current(&secrets::recipients(&secrets).await?)?;
    let identity = context.secret_identity()?;
    let removed = secrets::remove_recipient(&secrets, recipient, identity.as_ref(), &accepted).await;
    let (key, anew) = removed.map_err(|error| explained(context, error))?;
    file.current(&secrets::recipients(&secrets).await?)?;
    ui::result(&format!("{key} is no recipient any more\n"));
    tell(&anew);
    if !anew.is_empty() {
        ui::warn("the removed key could read the values of these secrets until now: set each of them to another value");
    }
    Ok(ExitStatus::Done)
}

/// Names the file of the identity in an error about it.
fn explained(context: &Context, error: SecretError) -> CommandError {
    match error {
        SecretError::NoIdentity => no_identity(context.settings.secret_identity.as_deref()),
        error => error.into(),
    }
}

/// Says which secrets were encrypted anew.
fn tell(secrets: &[SecretName]) {
    if !secrets.is_empty() {
        let names: Vec<&str> = secrets.iter().map(SecretName::as_str).collect();
        ui::status(&format!("encrypted anew: {}", names.join(", ")));
    }
}

async fn accept(context: &Context, keys: Vec<RecipientKey>, all: bool) -> CommandResult {
    let (secrets, file) = (context.secrets().await?, context.accepted_file()?);
    let listed = secrets::recipients(&secrets).await?;
    let keys = if all { listed.keys().cloned().collect() } else { keys };
    if let Some(key) = keys.iter().find(|key| !listed.contains_key(key)) {
        return Err(SecretError::UnknownRecipient(key.to_string()).into());
    }
    let mut accepted = file.current(&listed)?;
    for key in keys.into_iter().filter(|key| !accepted.has(key)).collect::<Vec<_>>() {
        let name = listed.get(&key).map(|recipient| recipient.name.as_str()).unwrap_or_default();
        ui::result(&format!("accepted {name} {key}\n"));
        accepted.insert(key);
    }
    file.write(&accepted)?;
    Ok(ExitStatus::Done)
}
