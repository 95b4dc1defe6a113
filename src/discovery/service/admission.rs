//! How many new tokens the discovery service makes for each client.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::http::connections::Client;

/// How many tokens one client may create within [`WINDOW`].
pub(super) const TOKENS_PER_CLIENT: usize = 20;

/// The time in which the tokens of a client are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// How many clients are counted at once.
const CLIENTS: usize = 1024;

/// When each client created tokens.
#[derive(Debug, Default)]
pub(super) struct TokenRate(Mutex<BTreeMap<Client, Vec<Instant>>>);

impl TokenRate {
    /// Counts a token for a client. Reports whether the client may create it.
    pub(super) fn allows(&self, client: Client) -> bool {
        let now = Instant::now();
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, created| {
            created.retain(|at| now.duration_since(*at) < WINDOW);
            !created.is_empty()
        });
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            return false;
        }
        let created = clients.entry(client).or_default();
        let allowed = created.len() < TOKENS_PER_CLIENT;
        if allowed {
            created.push(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_client_has_a_share_of_new_tokens() {
        let rate = TokenRate::default();
        let [client, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|address| Client::Address(IpAddr::from(address)));
        assert!((0..TOKENS_PER_CLIENT).all(|_| rate.allows(client)));
        assert!(!rate.allows(client) && rate.allows(other));
        tokio::time::advance(WINDOW).await;
        assert!(rate.allows(client));
    }
}
