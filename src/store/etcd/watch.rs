//! A watch on the stream of one server. It does not reconnect: the follower opens a new one from its revision.

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

/// How long the server may be silent before it is asked for a progress notification.
const IDLE_INTERVAL: Duration = Duration::from_secs(3);

/// How long the server may take to send that notification.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct EtcdWatch {
    cluster: Cluster,
    stream: WatchStream,
    prefix: String,
    after: Revision,
    /// The id of the watch in the stream.
    id: i64,
    /// The time of the last message.
    last_message: Instant,
    /// Set while a progress notification is awaited that was asked for.
    asked: bool,
}

impl EtcdWatch {
    /// Opens a watch on the keys that start with `from`, and waits until the server has it.
    pub(super) async fn open(cluster: Cluster, prefix: &str, from: &[u8], after: Revision) -> Result<Self, StoreError> {
        // Not in fragments: one may end within a revision, and a watch that continues after that revision would miss the
        // rest of it.
        let options =
            WatchOptions::new().with_range(end_of(from)).with_start_revision(after + 1).with_progress_notify();
        let open = cluster.call(Idempotency::Idempotent, |client| {
            let (from, options) = (from.to_vec(), options.clone());
            async move {
                let mut watches = client.watch_client().max_decoding_message_size(ANSWER_BYTES);
                let mut stream = watches.watch(from, Some(options)).await?;
                let first = stream.message().await?;
                // An expired token is reported in the stream, not by the call.
                match &first {
                    Some(refused) if refused.canceled() && refused.cancel_reason().contains("auth") => {
                        Err(tonic::Status::unauthenticated(refused.cancel_reason()).into())
                    }
                    _ => Ok((stream, first)),
                }
            }
        });
        let (stream, first) = open.await.map_err(|error| cluster.store_error(error))?;
        let mut watch = Self {
            cluster,
            stream,
            prefix: prefix.to_owned(),
            after,
            id: 0,
            last_message: Instant::now(),
            asked: false,
        };
        let first = watch.check(Ok(first))?;
        watch.id = first.watch_id();
        // A store whose revision is lower was rebuilt from a backup. Its watch would be silent until it reaches `after`.
        if first.header().map_or(0, ResponseHeader::revision) < after {
            return Err(StoreError::Compacted(after));
        }
        Ok(watch)
    }

    fn check(
        &mut self,
        message: Result<Option<WatchResponse>, etcd_client::Error>,
    ) -> Result<WatchResponse, StoreError> {
        self.last_message = Instant::now();
        self.asked = false;
        let response = match message {
            Ok(Some(response)) => response,
            Ok(None) => return Err(self.unavailable("the server closed the watch".to_owned())),
            Err(error) => {
                return Err(match EtcdError::new("watch", error) {
                    // There are too many changes for one message. A list comes in pages.
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
            let reason = response.cancel_reason();
            if reason.contains("permission denied") {
                let detail = "the user has no permission to watch these keys".to_owned();
                return Err(StoreError::Refused { store: self.cluster.name(), detail });
            }
            return Err(self.unavailable(format!("the server cancelled the watch: {reason}")));
        }
        Ok(response)
    }

    fn unavailable(&self, detail: String) -> StoreError {
        self.cluster.prefer_next_server();
        StoreError::Unavailable { store: self.cluster.name(), detail }
    }

    /// Returns the revision of a periodic progress notification: all changes up to it were delivered. The answer to a
    /// request for one has no such revision. It has the id -1, and before etcd 3.4.25 and 3.5.8 it may overtake changes.
    fn progress(&self, response: &WatchResponse) -> Revision {
        let is_periodic = !response.created() && response.watch_id() == self.id;
        response.header().filter(|_| is_periodic).map_or(0, ResponseHeader::revision)
    }

    fn events(&self, response: &WatchResponse) -> Vec<WatchEvent> {
        let events = response.events().iter().filter_map(|event| {
            let kv = event.kv()?;
            Some(match event.event_type() {
                EventType::Put => WatchEvent::Put(entry(kv, &self.prefix)),
                EventType::Delete => WatchEvent::Delete { key: key(kv, &self.prefix), revision: kv.mod_revision() },
            })
        });
        events.collect()
    }
}

#[async_trait::async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<WatchEvent>, StoreError> {
        loop {
            let limit = self.last_message + if self.asked { IDLE_INTERVAL + PROGRESS_TIMEOUT } else { IDLE_INTERVAL };
            match timeout_at(limit, self.stream.message()).await {
                Ok(message) => {
                    let response = self.check(message)?;
                    let events = self.events(&response);
                    if let Some(last) = events.last() {
                        self.after = last.revision();
                        return Ok(events);
                    }
                    self.after = self.after.max(self.progress(&response));
                }
                Err(_) if self.asked => {
                    return Err(self.unavailable("the server did not answer on the watch".to_owned()));
                }
                Err(_) => {
                    self.asked = true;
                    // The request only joins a queue. A broken stream shows when it is read.
                    let _ = self.stream.request_progress().await;
                }
            }
        }
    }

    fn revision(&self) -> Revision {
        self.after
    }
}
