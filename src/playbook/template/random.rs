//! Random choices of templates.

use minijinja::Value;
use sha2::Digest;
use sha2::Sha256;

use super::value::text;

/// A source of random numbers. With a seed its numbers are the same each time, but not those of Python.
pub(super) struct Random(Option<[u8; 32]>);

impl Random {
    pub(super) fn new(seed: Option<&Value>) -> Self {
        Self(seed.map(|seed| Sha256::digest(text(seed)).into()))
    }

    /// Returns a number below the bound.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let mut bytes = [0; 8];
        match &mut self.0 {
            Some(state) => {
                *state = Sha256::digest(*state).into();
                bytes.copy_from_slice(state.get(..8).unwrap_or(&[0; 8]));
            }
            None => getrandom::fill(&mut bytes).unwrap_or_default(),
        }
        u64::from_le_bytes(bytes) % bound.max(1)
    }
}
