//! The ledgers of the receivers of alerts. Each change is conditional on the record that was read: two processes never send the
//! same message at once.

use super::Key;
use super::Keyspace;
use super::decode;
use super::encode;
use crate::core::alert::Ledger;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::Store;
use crate::store::StoreError;

/// A ledger as the store has it.
#[derive(Debug, Default)]
pub struct StoredLedger {
    /// The ledger.
    pub ledger: Ledger,
    /// The commit that last changed it; `None` if the store has none.
    pub revision: Option<Revision>,
    /// Why the record cannot be read, if it cannot. The ledger is empty then: an alert that is repeated is better than none.
    pub unreadable: Option<String>,
}

/// Reads the ledger of a receiver.
pub async fn read_ledger(store: &dyn Store, keyspace: &Keyspace, receiver: &str) -> Result<StoredLedger, StoreError> {
    let Some(entry) = store.get(&keyspace.key(&Key::Alerts(receiver.to_owned()))).await? else {
        return Ok(StoredLedger::default());
    };
    let revision = Some(entry.modified);
    Ok(match decode(&entry.value) {
        Ok(ledger) => StoredLedger { ledger, revision, unreadable: None },
        Err(why) => StoredLedger { ledger: Ledger::default(), revision, unreadable: Some(why) },
    })
}

/// Reads the ledgers of all receivers that the store knows, by their names. One that cannot be read is left out.
pub async fn read_ledgers(store: &dyn Store, keyspace: &Keyspace) -> Result<Vec<(String, Ledger)>, StoreError> {
    let listing = store.list(&keyspace.alerts()).await?;
    let ledger =
        |key: &str, value: &[u8]| Some((key.strip_prefix(&keyspace.alerts())?.to_owned(), decode(value).ok()?));
    Ok(listing.entries.iter().filter_map(|entry| ledger(&entry.key, &entry.value)).collect())
}

/// Stores the ledger of a receiver, unless another process has changed it since `revision`. Returns the new revision.
pub async fn put_ledger(
    store: &dyn Store,
    keyspace: &Keyspace,
    receiver: &str,
    ledger: &Ledger,
    revision: Option<Revision>,
) -> Result<Option<Revision>, StoreError> {
    let key = keyspace.key(&Key::Alerts(receiver.to_owned()));
    let unchanged = match revision {
        Some(revision) => Precondition::Modified(key.clone(), revision),
        None => Precondition::Absent(key.clone()),
    };
    store.commit(vec![unchanged], vec![Op::put(key, encode(ledger))]).await
}
