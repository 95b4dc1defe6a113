//! The last bytes of a stream, kept for messages.

/// How many bytes are kept.
const LIMIT: usize = 4 << 10;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Adds bytes and forgets the oldest beyond the limit.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let excess = self.0.len().saturating_sub(LIMIT);
        self.0.drain(..excess);
    }

    /// Returns the bytes that are kept.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept() {
        let mut tail = Tail::default();
        tail.add(&[b'a'; LIMIT]);
        tail.add(b"at last");
        assert_eq!(tail.bytes().len(), LIMIT);
        assert!(tail.bytes().ends_with(b"aat last"));
    }
}
