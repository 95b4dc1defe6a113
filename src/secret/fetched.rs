//! Gets secrets out of the store.

use secrecy::SecretSlice;

use super::Identity;
use super::OpenError;
use super::open;
use crate::core::model::SecretVersion;
use crate::core::secret_name::SecretName;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;

/// A secret with its value. The value is overwritten when it is dropped, and is not in a `Debug` output.
#[derive(Debug)]
pub struct Secret {
    /// Its name.
    pub name: SecretName,
    /// The version of the value: that of [`crate::core::model::SecretRecord`], unless the secret was set meanwhile.
    pub version: SecretVersion,
    /// The value.
    pub value: SecretSlice<u8>,
}

/// A secret could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store has no such secret.
    #[error("secret {0} is not set")]
    NotSet(SecretName),
    /// The value cannot be decrypted.
    #[error("secret {name} {why}")]
    Sealed {
        /// The name.
        name: SecretName,
        /// Why it cannot be decrypted.
        why: OpenError,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Fetches a secret with its value.
pub async fn fetch(
    store: &dyn Store,
    keyspace: &Keyspace,
    identity: &Identity,
    name: &SecretName,
) -> Result<Secret, FetchError> {
    let entry = store.get(&keyspace.key(&Key::SecretValue(name.clone()))).await?;
    let entry = entry.ok_or_else(|| FetchError::NotSet(name.clone()))?;
    let (version, value) =
        open(name, &entry.value, identity).map_err(|why| FetchError::Sealed { name: name.clone(), why })?;
    Ok(Secret { name: name.clone(), version, value })
}
