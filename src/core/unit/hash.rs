//! A unit's HASH: the SHA-1 of its serialised text, as in fleet.

use sha1::Digest as _;

use crate::core::hex::hex_identity;

/// The SHA-1 of a unit file in its serialised form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 20]);

impl Hash {
    /// Stands for the hash of a file that is not there. No text has it.
    pub const NONE: Self = Self([0; 20]);

    /// Hashes a serialised unit file.
    pub fn of(text: &[u8]) -> Self {
        Self(sha1::Sha1::digest(text).into())
    }

    /// Returns the first seven hex digits, which fleet prints.
    pub fn short(self) -> String {
        let mut text = self.to_string();
        text.truncate(7);
        text
    }

    const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    const fn to_bytes(self) -> [u8; 20] {
        self.0
    }
}

hex_identity!(Hash, "hash");

#[cfg(test)]
mod tests {
    use super::Hash;

    #[test]
    fn a_hash_has_forty_digits_and_fleet_prints_seven() {
        let hash = Hash::of(b"");
        assert_eq!(hash.to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert_eq!(hash.short(), "da39a3e");
        assert_eq!(serde_json::from_str::<Hash>(&serde_json::to_string(&hash).unwrap()).unwrap(), hash);
        assert_eq!("x".parse::<Hash>().unwrap_err().to_string(), "invalid hash \"x\": expected 40 hexadecimal digits");
    }
}
