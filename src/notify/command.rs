//! A command on this host that gets messages.

use tokio::process::Command;

use super::LIMIT;
use super::json;
use crate::child_process;
use crate::core::alert::Message;

/// The variables in which a command finds the id, the status, the title and the cluster of a message.
pub const ALERT_VARIABLES: [&str; 4] =
    ["MUSTER_ALERT_ID", "MUSTER_ALERT_STATUS", "MUSTER_ALERT_TITLE", "MUSTER_ALERT_CLUSTER"];

/// A command that gets messages: the JSON on stdin, and the [`ALERT_VARIABLES`].
#[derive(Debug, Clone)]
pub struct CommandReceiver {
    /// The command, for `sh`.
    pub command: String,
}

impl CommandReceiver {
    /// Runs the command. It has the message if it ends with exit code 0.
    pub(super) async fn deliver(&self, message: &Message) -> Result<String, String> {
        let mut shell = Command::new("/bin/sh");
        let values = [&message.id, message.status.word(), &message.title(), &message.cluster].map(str::to_owned);
        shell.arg("-c").arg(&self.command).envs(ALERT_VARIABLES.into_iter().zip(values));
        child_process::run(shell, Some(&format!("{}\n", json::document(message))), LIMIT).await?;
        Ok("the command ended with exit code 0".to_owned())
    }
}
