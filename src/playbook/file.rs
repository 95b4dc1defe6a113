//! Writing a file on a host: the script that does it in one round trip, atomically.
//!
//! The content comes on stdin. The script checks its SHA-256 before it replaces the old file, so that a connection that
//! breaks leaves the old file in place. The folder may belong to another user than the script runs as, who must gain
//! nothing: see `file.sh`.

use std::fmt::Write as _;

use sha2::Digest as _;
use sha2::Sha256;

use super::action::HostAction;
use super::host_connection::FILE_TIMEOUT;
use super::host_connection::HostConnection;
use super::host_connection::reason;
use super::host_connection::unquotable;
use super::outcome::Outcome;
use super::shell_expand::quote_expanding;
use crate::inventory::Vars;
use crate::remote::Exit;

/// A file to write on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The content.
    pub content: Vec<u8>,
    /// The destination: an absolute path, or a path in a home directory (`~/x`). If it ends in `/` or is a directory, the
    /// file is written into it.
    pub dest: String,
    /// The file's name if the destination is a directory. Without a name the destination must not be one.
    pub name: Option<String>,
    /// The permissions, three or four octal digits. The default is the old file's, or 0644.
    pub mode: Option<String>,
    /// The owner. The default is the old file's, or the user that writes the file.
    pub owner: Option<String>,
    /// The group. The default is the old file's, or the writing user's.
    pub group: Option<String>,
}

/// The first line of the script's output if nothing had to change.
const SAME: &str = "muster-file same";
/// The first line of the script's output if something changed, or would change in a check.
const CHANGED: &str = "muster-file changed";

impl File {
    async fn try_put(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let script = self.script(connection.check).map_err(unquotable)?;
        let (exit, output) = connection.exec(script, self.content.clone(), Some(FILE_TIMEOUT)).await?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let (status, dest) = printed.split_once('\n').unwrap_or_default();
        let vars = Vars::from_iter([("dest".to_owned(), dest.trim_end_matches('\n').into())]);
        match (exit, status) {
            (Exit::Code(0), SAME) => Ok(Outcome::done(false, vars)),
            (Exit::Code(0), CHANGED) => Ok(Outcome::done(true, vars)),
            _ => Err(Outcome::failed(format!("{}: {}", self.dest, reason(&output.stderr)))),
        }
    }

    /// Returns the script for the host, which takes the content on stdin. With `check` nothing is written.
    fn script(&self, check: bool) -> Result<String, shlex::QuoteError> {
        let quoted = |text: &Option<String>| shlex::try_quote(text.as_deref().unwrap_or_default()).map(String::from);
        let sum: String = Sha256::digest(&self.content).iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        // stat(1) prints a mode without zeros in front.
        let mode = self.mode.as_deref().map(|mode| match mode.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        });
        Ok(format!(
            "d={}\nn={}\nmode={}\nowner={}\ngroup={}\nsum={sum}\ncheck={}\n{SCRIPT}",
            quote_expanding(&self.dest)?,
            quoted(&self.name)?,
            quoted(&mode)?,
            quoted(&self.owner)?,
            quoted(&self.group)?,
            if check { "1" } else { "" }
        ))
    }
}

#[async_trait::async_trait]
impl HostAction for File {
    /// Writes the file unless it is there already.
    async fn run(&self, connection: &HostConnection<'_>) -> Outcome {
        match self.try_put(connection).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }
}

/// The script for the host. The variables that describe the file precede it.
const SCRIPT: &str = include_str!("file.sh");
