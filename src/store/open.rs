//! Opens the store that a location names.

use std::sync::Arc;

use super::ApiStore;
use super::EtcdStore;
use super::MemoryStore;
use super::SharedStore;
use super::SqliteStore;
use super::StoreError;
use super::location::Credentials;
use super::location::Location;

/// Opens the store that the text of `--store` names, and makes it if it is a file that does not exist. A store in etcd
/// connects when it is first used.
pub async fn open(text: &str, credentials: &Credentials) -> Result<SharedStore, StoreError> {
    open_at(locate(text)?, credentials).await
}

/// Opens the store that the text of `--store` names. A file that does not exist is an error, and is not made.
pub async fn open_existing(text: &str, credentials: &Credentials) -> Result<SharedStore, StoreError> {
    let location = locate(text)?;
    if let Location::Sqlite(path) = &location
        && matches!(path.try_exists(), Ok(false))
    {
        return Err(StoreError::Missing(format!("sqlite:{}", path.display())));
    }
    open_at(location, credentials).await
}

fn locate(text: &str) -> Result<Location, StoreError> {
    // The error does not quote the text: it may hold a password.
    Ok(text.parse()?)
}

async fn open_at(location: Location, credentials: &Credentials) -> Result<SharedStore, StoreError> {
    match location {
        Location::Memory => Ok(Arc::new(MemoryStore::new())),
        Location::Sqlite(path) => Ok(Arc::new(SqliteStore::open(&path).await?)),
        Location::Etcd(location) => Ok(Arc::new(EtcdStore::open(&location, credentials).await?)),
        Location::Api(location) => Ok(Arc::new(ApiStore::new(&location, &credentials.api)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_in_the_location_is_rejected_and_not_quoted() {
        for (text, expected) in [
            ("etcd://root:hunter2@a:2379", "MUSTER_ETCD_PASSWORD"),
            ("etcd://b,root:hunter2/x@a:2379", "invalid server 2: expected etcd://host:2379"),
        ] {
            let error = open(text, &Credentials::default()).await.unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
    }
}
