//! `muster access`: access tokens, with which clients of other hosts use the API of a controller. It keeps none of them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::api::access::Role;
use crate::core::fingerprint::Fingerprint;
use crate::ui;

/// What each access token begins with, so that a search for lost secrets finds it.
const PREFIX: &str = "muster_";

/// Make access tokens for the API of a controller
#[derive(Debug, clap::Subcommand)]
pub(super) enum AccessCommand {
    /// Make an access token, and print it with the lines for muster.toml
    ///
    /// muster.toml of the controllers gets the SHA-256 of the token only. A controller reads it at its start and at SIGHUP.
    /// Without its lines, a token is worth nothing.
    New {
        /// The name of the client in the event log
        #[arg(value_parser = super::settings::client_name)]
        name: String,
        /// What the client may do: `read`, or `operate`, which is as much as to be root on all machines
        #[arg(long, default_value = "read", value_parser = role)]
        role: Role,
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "read" => Ok(Role::Read),
        "operate" => Ok(Role::Operate),
        _ => Err("expected `read` or `operate`".to_owned()),
    }
}

/// Runs `muster access`.
pub(super) fn run(command: AccessCommand) -> CommandResult {
    let AccessCommand::New { name, role, output } = command;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| CommandError::failed("there is no randomness for a token").caused_by(error))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let fingerprint = Fingerprint::of(token.as_bytes());
    if output.is_some() {
        ui::json(&json!({"name": name, "role": role, "token": token, "token_sha256": fingerprint}));
        return Ok(ExitStatus::Done);
    }
    ui::result(&format!(
        "Access token of {name}, which is printed only here:\n\n  {token}\n\n\
         Lines for muster.toml of each controller (then send SIGHUP, as `systemctl reload` does):\n\n\
         [[access]]\nname = \"{name}\"\nrole = \"{role}\"\ntoken-sha256 = \"{fingerprint}\"\n"
    ));
    Ok(ExitStatus::Done)
}
