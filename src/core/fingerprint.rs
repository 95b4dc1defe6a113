//! The SHA-256 of something that proves who a client is: an access token, or a certificate.

use sha2::Digest as _;
use sha2::Sha256;

use super::hex::hex_identity;

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Hashes some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    const fn to_bytes(self) -> [u8; 32] {
        self.0
    }
}

hex_identity!(Fingerprint, "SHA-256");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_64_digits() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::of(b"abc").to_string(), digits);
        assert_eq!(digits.to_uppercase().parse(), Ok(Fingerprint::of(b"abc")));
        let error = "abc".parse::<Fingerprint>().unwrap_err().to_string();
        assert_eq!(error, "invalid SHA-256 \"abc\": expected 64 hexadecimal digits");
    }
}
