//! The passwords of a run, and the vaults that they have opened.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;
use secrecy::SecretString;
use sha2::Digest as _;
use sha2::Sha256;

use super::ClosedValue;
use super::Envelope;
use super::VaultError;
use super::cipher;
use super::is_vault;

/// A password with its label.
#[derive(Debug, Clone)]
pub struct LabelledPassword {
    /// The label: `default`, or the one of `--vault-id LABEL@SOURCE`.
    pub label: String,
    /// The password.
    pub password: SecretString,
}

/// What a vault has in it, or why it cannot be opened.
type Opened = Arc<OnceLock<Result<SecretSlice<u8>, VaultError>>>;

/// The passwords of a run, and the vaults that they have opened.
#[derive(Default)]
pub struct Keyring {
    passwords: Vec<LabelledPassword>,
    /// By the hash of the vault's text. Each vault is opened once at most, because PBKDF2 takes milliseconds.
    opened: Mutex<HashMap<[u8; 32], Opened>>,
    /// The files of variables that were left out because there is no password.
    left_out: Mutex<BTreeSet<PathBuf>>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("passwords", &self.passwords.len()).finish_non_exhaustive()
    }
}

/// Two keyrings are equal if they have passwords with the same labels. The passwords are not compared.
impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        self.labels() == other.labels()
    }
}

impl Keyring {
    /// Makes a keyring of passwords, which are tried in this order.
    pub fn new(passwords: Vec<LabelledPassword>) -> Self {
        Self { passwords, ..Self::default() }
    }

    /// Returns the passwords.
    pub fn passwords(&self) -> &[LabelledPassword] {
        &self.passwords
    }

    /// Returns the labels of the passwords.
    pub fn labels(&self) -> Vec<String> {
        self.passwords.iter().map(|password| password.label.clone()).collect()
    }

    /// Opens a vault.
    pub fn open(&self, vault: &str) -> Result<Vec<u8>, VaultError> {
        let entry = {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(opened.entry(Sha256::digest(vault).into()).or_default())
        };
        let text = entry.get_or_init(|| self.decrypt(vault).map(|(_, text)| text));
        text.as_ref().map(|text| text.expose_secret().to_vec()).map_err(Clone::clone)
    }

    /// Opens a value, which is text. The error is a sentence about the value.
    pub fn open_value(&self, value: ClosedValue<'_>, name: Option<&str>) -> Result<String, String> {
        let place = value.place.map(|place| format!(" in {place}")).unwrap_or_default();
        let subject = name.map_or_else(|| format!("a value{place}"), |name| format!("`{name}`{place}"));
        let line = |error: &VaultError| error.position().map(|(line, _)| format!(" (line {line} of the vault)"));
        let bytes = self.open(value.vault);
        let bytes = bytes.map_err(|error| format!("{subject} {error}{}", line(&error).unwrap_or_default()))?;
        String::from_utf8(bytes).map_err(|_| format!("{subject} is encrypted, and its content is not UTF-8 text"))
    }

    /// Opens a file that may be a vault. A file that is none stays as it is.
    pub fn open_file(&self, bytes: Vec<u8>) -> Result<Vec<u8>, VaultError> {
        if !is_vault(&bytes) {
            return Ok(bytes);
        }
        let text = String::from_utf8(bytes).map_err(|_| VaultError::damaged("it is not text"))?;
        self.open(&text)
    }

    /// Opens a vault without keeping its content. Returns also the password that fits.
    pub fn decrypt(&self, vault: &str) -> Result<(&LabelledPassword, SecretSlice<u8>), VaultError> {
        let vault = Envelope::parse(vault)?;
        if self.passwords.is_empty() {
            return Err(VaultError::NoPassword { label: vault.label });
        }
        // The password with the label of the vault is probably the right one.
        let is_named = |password: &&LabelledPassword| Some(&password.label) == vault.label.as_ref();
        let (named, others): (Vec<_>, Vec<_>) = self.passwords.iter().partition(is_named);
        for password in named.into_iter().chain(others) {
            if let Some(text) = cipher::open(&vault, &password.password)? {
                return Ok((password, text.to_vec().into()));
            }
        }
        Err(VaultError::WrongPassword { label: vault.label, tried: self.labels() })
    }

    /// Reports whether a file of variables is left out because there is no password for it, and remembers the file.
    pub fn leaves_out(&self, path: &Path, text: impl AsRef<[u8]>) -> bool {
        let is_left_out = self.passwords.is_empty() && is_vault(text);
        if is_left_out {
            self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
        is_left_out
    }

    /// Returns a sentence about the files of variables that were left out, if there are any.
    pub fn left_out(&self) -> Option<String> {
        let files = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let option = super::option(None);
        (!names.is_empty()).then(|| format!("{} {verb} encrypted with Ansible Vault: give {option}", names.join(", ")))
    }
}
