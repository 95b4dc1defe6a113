//! The cryptography of Ansible Vault: PBKDF2 makes the keys, AES-256 in counter mode encrypts, HMAC-SHA256 signs.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::AES_256;
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::cipher::EncryptionContext;
use aws_lc_rs::cipher::UnboundCipherKey;
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::DEFAULT_LABEL;
use super::Envelope;
use super::VaultError;

/// How often PBKDF2 hashes. The number is a part of the format.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(10_000 - 1);

/// The lengths of the two keys, in bytes.
const KEY: usize = 32;

/// The length of a block of AES, and of the start of the counter.
const BLOCK: usize = 16;

/// What PBKDF2 makes of a password: the key of the cipher, the key of the signature and the start of the counter.
struct Keys(Zeroizing<[u8; 2 * KEY + BLOCK]>);

impl Keys {
    fn derive(password: &SecretString, salt: &[u8]) -> Self {
        let mut bytes = Zeroizing::new([0; 2 * KEY + BLOCK]);
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            ROUNDS,
            salt,
            password.expose_secret().as_bytes(),
            bytes.as_mut_slice(),
        );
        Self(bytes)
    }

    fn cipher(&self) -> &[u8] {
        self.0.get(..KEY).unwrap_or_default()
    }

    fn signature(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.get(KEY..2 * KEY).unwrap_or_default())
    }

    fn counter(&self) -> [u8; BLOCK] {
        self.0.last_chunk().copied().unwrap_or_default()
    }

    /// Encrypts or decrypts: both are the same in counter mode.
    fn apply(&self, text: &mut [u8]) -> Result<(), Unspecified> {
        let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, self.cipher())?)?;
        let counter = EncryptionContext::Iv128(FixedLength::from(self.counter()));
        key.less_safe_encrypt(text, counter).map(drop)
    }
}

/// Opens a vault; `None` if the password does not fit.
pub(super) fn open(vault: &Envelope, password: &SecretString) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
    let keys = Keys::derive(password, &vault.salt);
    // The comparison takes the same time wherever the signatures differ.
    if hmac::verify(&keys.signature(), &vault.content, &vault.signature).is_err() {
        return Ok(None);
    }
    let mut text = Zeroizing::new(vault.content.clone());
    keys.apply(&mut text).map_err(|_| VaultError::damaged("its content cannot be decrypted"))?;
    let length = unpadded(&text).ok_or(VaultError::damaged("its content has no padding"))?;
    text.truncate(length);
    Ok(Some(text))
}

/// Returns a new salt.
fn fresh_salt() -> Result<[u8; KEY], VaultError> {
    let mut salt = [0; KEY];
    getrandom::fill(&mut salt).map_err(|_| VaultError::Unsealed("there is no randomness"))?;
    Ok(salt)
}

/// Encrypts a text. Without a salt, the salt is random, as it should be: texts with the same salt and password have the same
/// keys.
pub fn seal(
    text: &[u8],
    password: &SecretString,
    label: Option<&str>,
    salt: Option<&[u8]>,
) -> Result<Envelope, VaultError> {
    let salt = salt.map_or_else(|| fresh_salt().map(|salt| salt.to_vec()), |salt| Ok(salt.to_vec()))?;
    let keys = Keys::derive(password, &salt);
    let padding = BLOCK - text.len() % BLOCK;
    let mut content = text.to_vec();
    content.resize(text.len() + padding, u8::try_from(padding).unwrap_or_default());
    keys.apply(&mut content).map_err(|_| VaultError::Unsealed("the cipher failed"))?;
    let signature = hmac::sign(&keys.signature(), &content).as_ref().to_vec();
    let label = label.filter(|label| *label != DEFAULT_LABEL).map(str::to_owned);
    Ok(Envelope { label, salt, signature, content })
}

/// Returns the length of a text without its padding (PKCS#7), if it has one.
fn unpadded(text: &[u8]) -> Option<usize> {
    let last = *text.last()?;
    let length = text.len().checked_sub(usize::from(last))?;
    let is_padding = (1..=BLOCK).contains(&usize::from(last)) && text.iter().skip(length).all(|byte| *byte == last);
    (is_padding && text.len().is_multiple_of(BLOCK)).then_some(length)
}
