//! Writing a file on a host: the script that does it in one round trip, atomically.
//!
//! The content comes on stdin. The script checks its SHA-256 before it replaces the old file, so that a connection that
//! breaks leaves the old file in place. The folder may belong to another user than the script runs as, who must gain
//! nothing: see `file.sh`.

use std::fmt::Write as _;

use sha2::Digest as _;
use sha2::Sha256;

use super::shell_expand::quote_expanding;

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
pub const SAME: &str = "muster-file same";
/// The first line of the script's output if something changed, or would change in a check.
pub const CHANGED: &str = "muster-file changed";

impl File {
    /// Returns the script for the host, which takes the content on stdin. With `check` nothing is written.
    pub fn script(&self, check: bool) -> Result<String, shlex::QuoteError> {
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

/// The script for the host. The variables that describe the file precede it.
const SCRIPT: &str = include_str!("file.sh");
