//! What a command prints, kept up to a bound.

use serde_json::Value;

use crate::inventory::Vars;
use crate::remote::Sink;

/// What a command printed.
#[derive(Debug)]
pub struct Kept {
    /// The first of what it wrote to stdout.
    pub stdout: Vec<u8>,
    /// The first of what it wrote to stderr.
    pub stderr: Vec<u8>,
    /// How many bytes of both were dropped.
    pub dropped: usize,
    limit: usize,
}

impl Kept {
    /// Keeps at most `limit` bytes of each stream.
    pub const fn up_to(limit: usize) -> Self {
        Self { stdout: Vec::new(), stderr: Vec::new(), dropped: 0, limit }
    }

    /// Returns it as `register` keeps it: text and lines, without the ends of lines at the end; `msg` if not all was kept.
    pub fn into_vars(self) -> Vars {
        let mut vars = Vars::new();
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim_end_matches(['\r', '\n']);
            vars.insert(name.to_owned(), text.into());
            vars.insert(format!("{name}_lines"), text.lines().map(Value::from).collect());
        }
        if self.dropped > 0 {
            let (dropped, limit) = (self.dropped, self.limit);
            let said =
                format!("{dropped} bytes of its output were dropped: only the first {limit} of each stream are kept");
            vars.insert("msg".to_owned(), said.into());
        }
        vars
    }
}

/// Appends what there is room for under `limit`, and returns how many bytes were not taken.
fn append(to: &mut Vec<u8>, bytes: &[u8], limit: usize) -> usize {
    let room = limit.saturating_sub(to.len());
    let taken = bytes.get(..room).unwrap_or(bytes);
    to.extend_from_slice(taken);
    bytes.len() - taken.len()
}

impl Sink for Kept {
    fn stdout(&mut self, bytes: &[u8]) {
        self.dropped += append(&mut self.stdout, bytes, self.limit);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.dropped += append(&mut self.stderr, bytes, self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::Kept;
    use crate::remote::Sink as _;

    #[test]
    fn what_is_over_the_bound_is_dropped_and_counted() {
        let mut kept = Kept::up_to(4);
        for bytes in [&b"one"[..], b"two", b"three"] {
            kept.stdout(bytes);
        }
        kept.stderr(b"ok\r\n");
        let vars = kept.into_vars();
        assert_eq!((&vars["stdout"], &vars["stderr_lines"][0]), (&"onet".into(), &"ok".into()));
        assert_eq!(vars["msg"], "7 bytes of its output were dropped: only the first 4 of each stream are kept");
    }
}
