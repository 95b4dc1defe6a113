//! Messages by mail, through the sendmail program of this host.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use tokio::process::Command;

use super::LIMIT;
use crate::child_process;
use crate::core::alert::Message;
use crate::core::alert::Status;
use crate::core::model::Timestamp;
use crate::core::sanitize::line;

/// How many characters of a line of base64 a mail has (RFC 2045).
const LINE: usize = 76;

/// An address of mail: `user@host`, without a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(String);

/// The text is no address of mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid address {0:?}: expected user@host or user, of letters, digits and the characters ._%+-=")]
pub struct BadAddress(String);

impl std::str::FromStr for MailAddress {
    type Err = BadAddress;

    /// Takes the common forms only, so that an address cannot add a header or another receiver.
    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let part = |part: &str, extra: &str| {
            let is_valid = |c: char| c.is_ascii_alphanumeric() || extra.contains(c);
            !part.is_empty() && !part.starts_with('-') && part.chars().all(is_valid)
        };
        let (user, host) = text.split_once('@').unwrap_or((text, "localhost"));
        let is_valid = text.len() <= 254 && part(user, "._%+-=") && part(host, ".-");
        if is_valid { Ok(Self(text.to_owned())) } else { Err(BadAddress(line(text).chars().take(80).collect())) }
    }
}

/// A receiver of mail.
#[derive(Debug, Clone)]
pub struct MailReceiver {
    /// The addresses.
    pub to: Vec<MailAddress>,
    /// The sender; `None` for the one that sendmail chooses.
    pub from: Option<MailAddress>,
    /// The path of the sendmail program.
    pub sendmail: PathBuf,
}

impl MailReceiver {
    /// Hands a mail to sendmail. It has the mail if it ends with exit code 0.
    pub(super) async fn deliver(&self, message: &Message) -> Result<String, String> {
        let mut sendmail = Command::new(&self.sendmail);
        sendmail.args(["-t", "-i"]);
        child_process::run(sendmail, Some(&self.mail(message)), LIMIT).await?;
        Ok(format!("{} took the mail", self.sendmail.display()))
    }

    /// Returns the mail (RFC 5322). A message that is sent again has the same Message-ID.
    pub(super) fn mail(&self, message: &Message) -> String {
        let to: Vec<&str> = self.to.iter().map(|address| address.0.as_str()).collect();
        let mut mail = String::new();
        let mut header = |name: &str, value: &str| {
            let _ = writeln!(mail, "{name}: {}", line(value));
        };
        if let Some(from) = &self.from {
            header("From", &from.0);
        }
        header("To", &to.join(", "));
        header("Subject", &encoded(&message.title()));
        header("Date", &date(message.at));
        header("Message-ID", &format!("<muster-{}@{}>", message.id, message.cluster));
        if message.status != Status::Test {
            header("X-Muster-Status", message.status.word());
        }
        header("Auto-Submitted", "auto-generated");
        header("MIME-Version", "1.0");
        header("Content-Type", "text/plain; charset=utf-8");
        let text = message.text();
        // A line of a mail has at most 998 bytes, and not every server takes others than ASCII.
        if text.is_ascii() && text.lines().all(|line| line.len() < 900) {
            header("Content-Transfer-Encoding", "7bit");
            let _ = writeln!(mail, "\n{text}");
        } else {
            header("Content-Transfer-Encoding", "base64");
            mail.push('\n');
            let mut rest = BASE64.encode(text);
            while !rest.is_empty() {
                let tail = rest.split_off(rest.len().min(LINE));
                let _ = writeln!(mail, "{rest}");
                rest = tail;
            }
        }
        mail
    }
}

/// Returns the value of a header (RFC 2047).
fn encoded(value: &str) -> String {
    if value.is_ascii() { value.to_owned() } else { format!("=?utf-8?B?{}?=", BASE64.encode(value)) }
}

fn date(at: Timestamp) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
