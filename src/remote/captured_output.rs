//! The output of a command on a host, kept up to a limit.

use super::Sink;

/// The beginning of the output of a command.
#[derive(Debug)]
pub struct CapturedOutput {
    /// The beginning of its stdout.
    pub stdout: Vec<u8>,
    /// The beginning of its stderr.
    pub stderr: Vec<u8>,
    /// How many bytes of both were dropped.
    pub dropped: usize,
    /// How many bytes of each are kept.
    pub limit: usize,
}

impl CapturedOutput {
    /// Makes an empty output that keeps at most `limit` bytes of each stream.
    pub const fn with_limit(limit: usize) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), dropped: 0, limit }
    }
}

/// Appends bytes up to `limit`, and returns how many bytes were dropped.
fn append(to: &mut Vec<u8>, bytes: &[u8], limit: usize) -> usize {
    let room = limit.saturating_sub(to.len());
    let taken = bytes.get(..room).unwrap_or(bytes);
    to.extend_from_slice(taken);
    bytes.len() - taken.len()
}

impl Sink for CapturedOutput {
    fn stdout(&mut self, bytes: &[u8]) {
        self.dropped += append(&mut self.stdout, bytes, self.limit);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.dropped += append(&mut self.stderr, bytes, self.limit);
    }
}
