//! `muster secret`: the encrypted values that units need, and the keys that can read them. No value is ever an argument of
//! a command, and only `show --reveal` prints one.

mod accepted_file;
mod identity_file;
mod recipients;
mod source;

use std::collections::BTreeSet;
use std::path::Path;

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::Context;
use super::context::operator;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::list;
use super::list::ListArgs;
use crate::control::secrets;
use crate::control::secrets::RenewedUnits;
use crate::control::secrets::SecretContext;
use crate::core::model::RecipientKey;
use crate::core::model::Snapshot;
use crate::core::secret_name::SecretName;
use crate::core::unit::UnitName;
use crate::runner::Clock;
use crate::secret;
use crate::secret::Identity;
use crate::store::SharedStore;
use crate::ui;
use crate::ui::lists::secrets::SecretRow;
use accepted_file::AcceptedFile;
use recipients::RecipientCommand;
use source::SourceArgs;

/// Keep secrets, encrypted in the store, for the units that name them
///
/// A unit names its secrets with `Secret=NAME` in [X-Muster]. The values are encrypted with age for the recipients: the
/// operators and the controllers of the cluster. `muster secret init` makes a key.
#[derive(Debug, clap::Args)]
pub(super) struct SecretCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a key of your own if there is none, and print its public key
    ///
    /// The first operator of a cluster becomes its first recipient. At the first run for a cluster that has recipients,
    /// these are accepted and printed: compare them with those of another operator.
    Init {
        /// Name the key in the list of recipients [default: USER@HOST]
        #[arg(long, value_name = "NAME", value_parser = recipients::name)]
        name: Option<String>,
    },
    /// Set a secret, which may exist
    ///
    /// The value comes from --file, from stdin (`-`) or from --command. Without them it is asked for.
    Set(SetArgs),
    /// List the secrets, without their values
    List(ListArgs),
    /// Show a secret, without its value
    Show(ShowArgs),
    /// Remove secrets that no unit names
    Rm {
        /// The secrets
        #[arg(required = true, value_name = "SECRET")]
        names: Vec<SecretName>,
        /// Remove secrets that units name, too
        #[arg(long)]
        force: bool,
    },
    /// List and change the keys that can read the secrets
    #[command(subcommand)]
    Recipients(RecipientCommand),
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// The secret: A-Z, a-z, 0-9, `_`, `.` and `-`
    #[arg(value_name = "SECRET")]
    name: SecretName,
    #[command(flatten)]
    source: SourceArgs,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// The secret
    #[arg(value_name = "SECRET")]
    name: SecretName,
    /// Print the value, and nothing else
    #[arg(long, conflicts_with = "output")]
    reveal: bool,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster secret …`.
pub(super) async fn run(context: &Context, command: SecretCommand) -> CommandResult {
    match command.verb {
        Verb::Init { name } => init(context, name).await,
        Verb::Set(args) => set(context, &args).await,
        Verb::List(args) => list(context, &args).await,
        Verb::Show(args) => show(context, &args).await,
        Verb::Rm { names, force } => remove(context, &names, force).await,
        Verb::Recipients(command) => recipients::run(context, command).await,
    }
}

impl Context {
    /// Returns the private keys that read secrets; `None` if their file does not exist.
    pub(super) fn secret_identity(&self) -> Result<Option<Identity>, CommandError> {
        self.settings.secret_identity.as_deref().map_or(Ok(None), identity_file::read)
    }

    /// Returns the handles of the operations on secrets. The cluster must exist.
    async fn secrets(&self) -> Result<SecretContext, CommandError> {
        self.secrets_in(self.known_store().await?)
    }

    fn secrets_in(&self, store: SharedStore) -> Result<SecretContext, CommandError> {
        Ok(SecretContext { store, keys: self.keys()?, clock: Clock::start(), operator: operator() })
    }

    fn accepted_file(&self) -> Result<AcceptedFile, CommandError> {
        let path = self.settings.accepted_recipients();
        let path = path.ok_or_else(|| {
            CommandError::usage("no home directory for the list of accepted recipients").hint("Set HOME.")
        })?;
        Ok(AcceptedFile::new(path, self.settings.cluster()))
    }
}

async fn init(context: &Context, name: Option<String>) -> CommandResult {
    let path = context.settings.secret_identity.as_deref();
    let path = path.ok_or_else(|| {
        CommandError::usage("no home directory for the identity").hint("Name a file with `--secret-identity`.")
    })?;
    let (identity, is_new) = match identity_file::read(path)? {
        Some(identity) => (identity, false),
        None => (identity_file::create(path)?, true),
    };
    let (secrets, file) = (context.secrets_in(context.new_known_store().await?)?, context.accepted_file()?);
    let keys = identity.public_keys();
    let [key, ..] = keys.as_slice() else { return Err(CommandError::failed("the identity has no key")) };
    let verb = if is_new { "made" } else { "kept" };
    ui::status(&format!("{verb} the identity {}", path.display()));
    join_recipients(&secrets, &file, &identity, name.unwrap_or_else(operator)).await?;
    ui::result(&format!("{key}\n"));
    Ok(ExitStatus::Done)
}

/// Makes the first recipient, or accepts the recipients at the first use.
async fn join_recipients(
    context: &SecretContext,
    file: &AcceptedFile,
    identity: &Identity,
    name: String,
) -> Result<(), CommandError> {
    let keys: Vec<RecipientKey> = identity.public_keys();
    let listed = secrets::recipients(context).await?;
    let (is_first_use, mut accepted) = match file.read()? {
        Some(accepted) => (false, accepted),
        None => (true, secret::Accepted::default()),
    };
    for key in &keys {
        accepted.insert(key.clone());
    }
    if let Some(key) = keys.first().filter(|_| listed.is_empty()) {
        secrets::add_recipient(context, key, &name, Some(identity), &accepted).await?;
        file.write(&accepted)?;
        ui::status(&format!("{name} is the first recipient of the secrets of {}", file.cluster));
        return Ok(());
    }
    for (key, recipient) in listed.iter().filter(|_| is_first_use) {
        accepted.insert(key.clone());
        let (name, by) = (&recipient.name, &recipient.added_by);
        ui::status(&format!("accepted the recipient {name} {key} (added by {by})"));
    }
    file.write(&accepted)?;
    if is_first_use {
        ui::hint("Compare these keys with those that `muster secret recipients list` shows another operator.");
    }
    if let Some(key) = keys.first().filter(|_| !keys.iter().any(|key| listed.contains_key(key))) {
        ui::hint(&format!(
            "A recipient must let this key read the secrets: `muster secret recipients add {key} --name {name}`."
        ));
    }
    Ok(())
}

async fn set(context: &Context, args: &SetArgs) -> CommandResult {
    let (secrets, file) = (context.secrets().await?, context.accepted_file()?);
    // The recipients are checked before the operator types a value.
    let accepted = file.checked(&secrets::recipients(&secrets).await?)?;
    let value = source::read(context, &args.source, &args.name)?;
    let record = secrets::set(&secrets, &args.name, &value, &accepted).await?;
    let RenewedUnits { units, warnings } = secrets::renew_units(&secrets, &args.name).await?;
    for warning in &warnings {
        ui::status(warning);
    }
    if args.output.is_some() {
        ui::json(&json!({ "secret": args.name, "version": record.version, "size": record.size, "units": units }));
    } else {
        ui::result(&format!("secret {} set: version {}, {} bytes\n", args.name, record.version.short(), record.size));
        if !units.is_empty() {
            let names: Vec<&str> = units.iter().map(UnitName::as_str).collect();
            ui::note(&format!(
                "the new value comes with a controller, or with the next `muster sweep`: {}",
                names.join(", ")
            ));
        }
    }
    Ok(ExitStatus::Done)
}

async fn list(context: &Context, args: &ListArgs) -> CommandResult {
    let snapshot = context.snapshot().await?;
    for (key, record) in &snapshot.unreadable {
        ui::warn(&record.message(key));
    }
    let units = snapshot.units_by_secret();
    for (name, units) in units.iter().filter(|(name, _)| !snapshot.secrets.contains_key(*name)) {
        let units: Vec<&str> = units.iter().map(UnitName::as_str).collect();
        ui::warn(&format!("secret {name} is not set, and is named by {}", units.join(", ")));
    }
    let rows = ui::lists::secrets::secrets(&snapshot, Clock::start().now());
    let outdated: Vec<&str> = rows.iter().filter(|row| row.is_outdated()).map(SecretRow::name).collect();
    if !outdated.is_empty() {
        ui::warn(&format!("not encrypted for the present recipients: {}", outdated.join(", ")));
        ui::hint("Repeat `muster secret recipients add` or `rm`, or set these secrets again.");
    }
    list::show(context, rows, args)
}

async fn show(context: &Context, args: &ShowArgs) -> CommandResult {
    if args.reveal {
        return reveal(context, &args.name).await;
    }
    let snapshot = context.snapshot().await?;
    let row = row(&snapshot, &args.name)?;
    if args.output.is_some() {
        ui::json(&row);
    } else {
        ui::result(&row.text(&snapshot));
    }
    Ok(ExitStatus::Done)
}

fn row(snapshot: &Snapshot, name: &SecretName) -> Result<SecretRow, CommandError> {
    let mut rows = ui::lists::secrets::secrets(snapshot, Clock::start().now()).into_iter();
    let row = rows.find(|row| row.name() == name.as_str());
    row.ok_or_else(|| secrets::SecretError::Unknown(vec![name.clone()]).into())
}

async fn reveal(context: &Context, name: &SecretName) -> CommandResult {
    let secrets = context.secrets().await?;
    let identity =
        context.secret_identity()?.ok_or_else(|| no_identity(context.settings.secret_identity.as_deref()))?;
    let secret = secret::fetch(&*secrets.store, &secrets.keys, &identity, name).await?;
    ui::result_bytes(secret.value.expose_secret());
    Ok(ExitStatus::Done)
}

/// Returns the error of a command that must read secrets.
fn no_identity(path: Option<&Path>) -> CommandError {
    let path = path.map(|path| format!(" {}", path.display())).unwrap_or_default();
    CommandError::usage(format!("there is no identity{path}"))
        .hint("Make one with `muster secret init`, or name its file with `--secret-identity`.")
}

async fn remove(context: &Context, names: &[SecretName], force: bool) -> CommandResult {
    let secrets = context.secrets().await?;
    secrets::remove(&secrets, names, force).await?;
    for name in names.iter().collect::<BTreeSet<_>>() {
        ui::result(&format!("secret {name} removed\n"));
    }
    Ok(ExitStatus::Done)
}
