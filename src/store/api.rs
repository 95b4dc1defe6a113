//! The store of a controller, reached through its API. Its clients read and change records, and the controller checks what
//! they may. They get no leases, so they cannot lead.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Entry;
use super::LeaseId;
use super::Listing;
use super::Op;
use super::Precondition;
use super::Revision;
use super::Store;
use super::StoreError;
use super::Watch;
use super::WatchEvent;
use super::invalid_commit;
use crate::http::client::ApiClient;
use crate::http::client::ApiCredentials;
use crate::http::client::ApiLocation;
use crate::http::client::Chunks;
use crate::http::client::ClientError;

/// The path of the records.
const RECORDS: &str = "/api/v1/records";

/// The path of their changes.
const CHANGES: &str = "/api/v1/records/changes";

/// The longest line of a stream of changes, in bytes. A commit has fewer bytes, and several may come at once.
const LINE_BYTES: usize = 1 << 28;

/// A commit, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// What must hold.
    pub preconditions: Vec<Precondition>,
    /// What changes.
    pub ops: Vec<Op>,
}

/// The answer to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitReply {
    /// The revision afterwards; `None` if a precondition did not hold.
    pub revision: Option<Revision>,
}

/// A line of a stream of changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeLine {
    /// The changes up to a revision, which may be none.
    Events(Vec<WatchEvent>, Revision),
    /// The changes after a revision are no longer there.
    Compacted(Revision),
    /// The store of the controller failed.
    Failed(String),
}

/// The store behind an API.
#[derive(Debug)]
pub struct ApiStore {
    client: ApiClient,
    name: String,
}

impl ApiStore {
    /// Makes the store. Nothing is sent.
    pub fn new(location: &ApiLocation, credentials: &ApiCredentials) -> Result<Self, StoreError> {
        let name = name(location);
        let client = ApiClient::new(location, credentials)
            .map_err(|detail| StoreError::Refused { store: name.clone(), detail })?;
        Ok(Self { client, name })
    }

    fn failed(&self, error: ClientError) -> StoreError {
        failed(&self.name, error)
    }

    fn leaseless<T>(&self) -> Result<T, StoreError> {
        let detail = "only a controller can do this: its API makes no leader".to_owned();
        Err(StoreError::Refused { store: self.name.clone(), detail })
    }
}

/// Writes a location as the setting has it.
pub(super) fn name(location: &ApiLocation) -> String {
    match location {
        ApiLocation::Unix(path) => format!("unix:{}", path.display()),
        ApiLocation::Url(url) => url.clone(),
    }
}

/// Returns the failure of a store behind an API.
pub fn failed(name: &str, error: ClientError) -> StoreError {
    let store = name.to_owned();
    match error {
        ClientError::Unavailable(detail) => StoreError::Unavailable { store, detail },
        ClientError::Refused { message, .. } => StoreError::Refused { store, detail: message },
    }
}

#[async_trait::async_trait]
impl Store for ApiStore {
    fn can_lead(&self) -> bool {
        false
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let found: Listing = self.client.get(RECORDS, &[("key", key)]).await.map_err(|error| self.failed(error))?;
        Ok(found.entries.into_iter().find(|entry| entry.key == key))
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.client.get(RECORDS, &[("prefix", prefix)]).await.map_err(|error| self.failed(error))
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        if let Some(detail) = invalid_commit(&preconditions, &ops) {
            return Err(StoreError::Refused { store: self.name.clone(), detail });
        }
        let request = CommitRequest { preconditions, ops };
        let reply: CommitReply = self.client.post(RECORDS, &request).await.map_err(|error| self.failed(error))?;
        Ok(reply.revision)
    }

    async fn grant(&self, _ttl: Duration) -> Result<LeaseId, StoreError> {
        self.leaseless()
    }

    async fn keep_alive(&self, _lease: LeaseId) -> Result<(), StoreError> {
        self.leaseless()
    }

    async fn revoke(&self, _lease: LeaseId) -> Result<(), StoreError> {
        self.leaseless()
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        let parameters = [("prefix", prefix), ("after", &after.to_string())];
        let chunks = self.client.stream(CHANGES, &parameters).await.map_err(|error| self.failed(error))?;
        let mut watch = ApiWatch { name: self.name.clone(), chunks, read: Vec::new(), revision: after };
        // The first line says whether the changes are there.
        let none = watch.next_line().await?;
        debug_assert!(none.is_empty(), "the first line has no changes");
        Ok(Box::new(watch))
    }
}

/// A stream of changes.
struct ApiWatch {
    name: String,
    chunks: Chunks,
    /// What was read and is no whole line yet.
    read: Vec<u8>,
    revision: Revision,
}

impl ApiWatch {
    /// Waits for the next line, and returns its changes. If it is cancelled, the next call goes on.
    async fn next_line(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return self.take(&line);
            }
            if self.read.len() > LINE_BYTES {
                return Err(self.unavailable("a line of changes is too long"));
            }
            let chunk = self.chunks.next().await.map_err(|error| failed(&self.name, error))?;
            let chunk = chunk.ok_or_else(|| self.unavailable("the connection has ended"))?;
            self.read.extend_from_slice(&chunk);
        }
    }

    fn take(&mut self, line: &[u8]) -> Result<Vec<WatchEvent>, StoreError> {
        match serde_json::from_slice(line) {
            Ok(ChangeLine::Events(events, revision)) => {
                self.revision = revision;
                Ok(events)
            }
            Ok(ChangeLine::Compacted(revision)) => Err(StoreError::Compacted(revision)),
            Ok(ChangeLine::Failed(detail)) => Err(self.unavailable(&detail)),
            Err(error) => Err(self.unavailable(&format!("a line of changes cannot be read: {error}"))),
        }
    }

    fn unavailable(&self, detail: &str) -> StoreError {
        StoreError::Unavailable { store: self.name.clone(), detail: detail.to_owned() }
    }
}

#[async_trait::async_trait]
impl Watch for ApiWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            let events = self.next_line().await?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    fn revision(&self) -> Revision {
        self.revision
    }
}
