//! Ansible Vault: texts that are encrypted with a password, as `ansible-vault` writes them.
//!
//! This module reads no file, asks no question and prints nothing. A [`Keyring`] has the passwords of a run and is the one
//! place where a vault is opened; [`ClosedValue`] is a value of the inventory or of a playbook that is encrypted. No
//! password and no opened text is in an error or in a `Debug` output.

mod cipher;
mod closed_value;
mod envelope;
mod keyring;

#[cfg(test)]
mod tests;

pub use cipher::seal;
pub use closed_value::ClosedValue;
pub use closed_value::listed;
pub use envelope::DEFAULT_LABEL;
pub use envelope::Envelope;
pub use envelope::is_vault;
pub use keyring::Keyring;
pub use keyring::LabelledPassword;

/// The option that gives a password, as errors name it.
const OPTION: &str = "--vault-password-file";

/// A vault could not be opened. Each text continues a sentence whose subject is the vault. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No password was given.
    #[error("is encrypted with Ansible Vault{}: give {}", labelled(label.as_deref()), option(label.as_deref()))]
    NoPassword {
        /// The label of the vault, if it has one.
        label: Option<String>,
    },
    /// No password fits.
    #[error(
        "is encrypted with Ansible Vault{}, and none of the given passwords opens it (labels: {})",
        labelled(label.as_deref()),
        tried.join(", ")
    )]
    WrongPassword {
        /// The label of the vault, if it has one.
        label: Option<String>,
        /// The labels of the passwords that were tried.
        tried: Vec<String>,
    },
    /// The text is not one that Ansible Vault writes.
    #[error("is a damaged vault: {what}")]
    Damaged {
        /// The line in the vault's text, from 1; 0 for the whole text.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The fault.
        what: &'static str,
    },
    /// A text could not be encrypted.
    #[error("cannot be encrypted: {0}")]
    Unsealed(&'static str),
}

impl VaultError {
    /// Returns the line and the column of the fault in the vault's text, if they are known.
    pub const fn position(&self) -> Option<(u64, u64)> {
        match self {
            Self::Damaged { line, column, .. } if *line > 0 => Some((*line, *column)),
            _ => None,
        }
    }

    const fn damaged(what: &'static str) -> Self {
        Self::Damaged { line: 0, column: 0, what }
    }
}

fn labelled(label: Option<&str>) -> String {
    label.map(|label| format!(" (label {label})")).unwrap_or_default()
}

/// Returns the option that gives the password of a vault with this label.
fn option(label: Option<&str>) -> String {
    label.map_or_else(|| OPTION.to_owned(), |label| format!("{OPTION}, or --vault-id {label}@FILE"))
}
