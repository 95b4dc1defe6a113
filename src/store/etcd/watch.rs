//! A watch on one server's stream. It does not connect again by itself: whoever follows the store does, from where
//! it was.

use std::time::Duration;

use etcd_client::EventType;
use etcd_client::ResponseHeader;
use etcd_client::WatchOptions;
use etcd_client::WatchResponse;
use etcd_client::WatchStream;
use tokio::time::Instant;
use tokio::time::timeout_at;

use super::super::Revision;
use super::super::StoreError;
use super::super::Watch;
use super::super::WatchEvent;
use super::ANSWER_BYTES;
use super::cluster::Cluster;
use super::end_of;
use super::entry;
use super::error::EtcdError;
use super::error::Idempotency;
use super::key;

/// After how long a silence the server is asked for a sign of life.
const IDLE_INTERVAL: Duration = Duration::from_secs(3);

/// How long it may take to give one.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct EtcdWatch {
    cluster: Cluster,
    stream: WatchStream,
    prefix: String,
    after: Revision,
    /// When the server was last heard.
    heard: Instant,
    /// Set while a sign of life is awaited.
    asked: bool,
}

impl EtcdWatch {
    /// Opens a watch on the keys that start with `from`, and waits until the server has it.
    pub(super) async fn open(cluster: Cluster, prefix: &str, from: &[u8], after: Revision) -> Result<Self, StoreError> {
        // Not in fragments: one may end within a revision, and whoever goes on after that one would miss the rest of it.
        let options = WatchOptions::new().with_range(end_of(from)).with_start_revision(after + 1);
        let open = cluster.call(Idempotency::Idempotent, |client| {
            let (from, options) = (from.to_vec(), options.clone());
            async move {
                let mut watches = client.watch_client().max_decoding_message_size(ANSWER_BYTES);
                let mut stream = watches.watch(from, Some(options)).await?;
                let first = stream.message().await?;
                // A token that has run out is not said to the call but in the stream.
                match &first {
                    Some(refused) if refused.canceled() && refused.cancel_reason().contains("auth") => {
                        Err(tonic::Status::unauthenticated(refused.cancel_reason()).into())
                    }
                    _ => Ok((stream, first)),
                }
            }
        });
        let (stream, first) = open.await.map_err(|error| cluster.store_error(error))?;
        let mut watch = Self { cluster, stream, prefix: prefix.to_owned(), after, heard: Instant::now(), asked: false };
        let first = watch.heard(Ok(first))?;
        // A store that has not come so far was rebuilt from a backup: it would say nothing until it has.
        if first.header().map_or(0, ResponseHeader::revision) < after {
            return Err(StoreError::Compacted(after));
        }
        Ok(watch)
    }

    fn heard(
        &mut self,
        message: Result<Option<WatchResponse>, etcd_client::Error>,
    ) -> Result<WatchResponse, StoreError> {
        self.heard = Instant::now();
        self.asked = false;
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => return Err(self.away("the server ended the watch".to_owned())),
            Err(error) => {
                return Err(match EtcdError::new("watch", error) {
                    // So much has changed that a list, which comes in pages, is the better way to hear of it.
                    EtcdError::AnswerTooLarge(_) => StoreError::Compacted(self.after),
                    error => {
                        self.cluster.prefer_next_server();
                        self.cluster.store_error(error)
                    }
                });
            }
        };
        if response.compact_revision() > 0 {
            return Err(StoreError::Compacted(self.after));
        }
        if response.canceled() {
            let why = response.cancel_reason();
            if why.contains("permission denied") {
                let detail = "the user may not watch this".to_owned();
                return Err(StoreError::Refused { store: self.cluster.name(), detail });
            }
            return Err(self.away(format!("the server ended the watch: {why}")));
        }
        Ok(response)
    }

    fn away(&self, detail: String) -> StoreError {
        self.cluster.prefer_next_server();
        StoreError::Unavailable { store: self.cluster.name(), detail }
    }

    fn changes(&self, response: &WatchResponse) -> Vec<WatchEvent> {
        let changed = response.events().iter().filter_map(|event| {
            let kv = event.kv()?;
            Some(match event.event_type() {
                EventType::Put => WatchEvent::Put(entry(kv, &self.prefix)),
                EventType::Delete => WatchEvent::Delete { key: key(kv, &self.prefix), revision: kv.mod_revision() },
            })
        });
        changed.collect()
    }
}

#[async_trait::async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            let limit = self.heard + if self.asked { IDLE_INTERVAL + PROGRESS_TIMEOUT } else { IDLE_INTERVAL };
            match timeout_at(limit, self.stream.message()).await {
                Ok(message) => {
                    let response = self.heard(message)?;
                    let changes = self.changes(&response);
                    self.after = changes.last().map_or(self.after, WatchEvent::revision);
                    if !changes.is_empty() {
                        return Ok(changes);
                    }
                }
                Err(_) if self.asked => return Err(self.away("the watch has gone silent".to_owned())),
                Err(_) => {
                    self.asked = true;
                    // It only joins a queue; a stream that is broken shows when it is read.
                    let _ = self.stream.request_progress().await;
                }
            }
        }
    }
}
