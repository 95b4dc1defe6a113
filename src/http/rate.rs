//! How often each client may do something within a minute.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::connections::Client;

/// The time in which the acts of a client are counted.
pub const WINDOW: Duration = Duration::from_mins(1);

/// How many clients are counted at once. When there are more, the acts of all further ones are refused.
const CLIENTS: usize = 1024;

/// The acts of each client, with a limit on them.
#[derive(Debug)]
pub struct ClientRate {
    limit: usize,
    acts: Mutex<BTreeMap<Client, Vec<Instant>>>,
}

impl ClientRate {
    /// Allows each client this many acts within [`WINDOW`].
    pub const fn new(limit: usize) -> Self {
        Self { limit, acts: Mutex::new(BTreeMap::new()) }
    }

    /// Counts an act of a client. Reports whether the client may do it.
    pub fn allows(&self, client: Client) -> bool {
        let now = Instant::now();
        let mut clients = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, acts| {
            acts.retain(|at| now.duration_since(*at) < WINDOW);
            !acts.is_empty()
        });
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            return false;
        }
        let acts = clients.entry(client).or_default();
        let allowed = acts.len() < self.limit;
        if allowed {
            acts.push(now);
        }
        allowed
    }

    /// Reports whether a client has done what it may. Nothing is counted. Many other clients cannot use up what one may do.
    pub fn is_used_up(&self, client: Client) -> bool {
        let (now, clients) = (Instant::now(), self.acts.lock().unwrap_or_else(PoisonError::into_inner));
        let recent =
            clients.get(&client).map(|acts| acts.iter().filter(|at| now.duration_since(**at) < WINDOW).count());
        recent.is_some_and(|recent| recent >= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_client_has_a_share() {
        let rate = ClientRate::new(3);
        let [client, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(|address| Client::Address(IpAddr::from(address)));
        assert!(!rate.is_used_up(client));
        assert!((0..3).all(|_| rate.allows(client)));
        assert!(!rate.allows(client) && rate.is_used_up(client) && rate.allows(other));
        tokio::time::advance(WINDOW).await;
        assert!(!rate.is_used_up(client) && rate.allows(client));
    }
}
