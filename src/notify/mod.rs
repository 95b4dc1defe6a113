//! The receivers of alerts: webhooks, chat, mail, commands. A message goes out with a time limit, and its receiver says that it has
//! it or why not.
//!
//! Nothing here may decide who is told what, or show the address of a receiver: it may be a secret.

mod command;
mod endpoint;
mod http;
mod json;
mod mail;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::alert::Message;
use crate::core::alert::Rules;
pub use command::ALERT_VARIABLES;
pub use command::CommandReceiver;
pub use endpoint::BadUrl;
pub use endpoint::Endpoint;
pub use endpoint::Source;
pub use http::HttpReceiver;
pub use http::Service;
pub use mail::BadAddress;
pub use mail::MailAddress;
pub use mail::MailReceiver;

/// How long a delivery may take.
pub const LIMIT: Duration = Duration::from_secs(10);

/// How a receiver is reached.
#[derive(Debug, Clone)]
pub enum Channel {
    /// Over HTTP.
    Http(HttpReceiver),
    /// By mail.
    Mail(MailReceiver),
    /// With a command on this host.
    Command(CommandReceiver),
}

/// A receiver, and what it is told.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// How it is reached.
    pub channel: Channel,
    /// What it is told, and when.
    pub rules: Rules,
}

/// The receivers by their names.
pub type Receivers = BTreeMap<String, Arc<Receiver>>;

impl Receiver {
    /// Sends a message. Returns what the receiver said if it has the message, and otherwise why it may not have it.
    pub async fn deliver(&self, message: &Message) -> Result<String, String> {
        let delivery = async {
            match &self.channel {
                Channel::Http(http) => http.deliver(message).await,
                Channel::Mail(mail) => mail.deliver(message).await,
                Channel::Command(command) => command.deliver(message).await,
            }
        };
        let late = |_| Err(format!("no answer within {} s", LIMIT.as_secs()));
        tokio::time::timeout(LIMIT, delivery).await.unwrap_or_else(late)
    }
}
