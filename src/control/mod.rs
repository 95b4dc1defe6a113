//! Who may act, and when: verbs, the sweep and the controller, each a pass with another ending.
//!
//! Whoever holds the lead acts. Nothing here reaches a host except through [`crate::pass::run`].

pub mod controller;
pub mod errand;
pub mod failover;
pub mod findings;
pub mod membership;
pub mod sweep;
pub mod verb;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::core::judge::Patience;
use crate::core::lease::Terms;
use crate::core::lease::TooShort;
use crate::core::pass::Tempo;
use crate::pass::Clock;
use crate::remote::SharedRemote;
use crate::store::SharedStore;
use crate::store::layout::Keys;

/// What every way of acting works with.
#[derive(Debug, Clone)]
pub struct Office {
    /// The store.
    pub store: SharedStore,
    /// The cluster's keys.
    pub keys: Keys,
    /// The way to the hosts.
    pub remote: SharedRemote,
    /// The clock.
    pub clock: Clock,
    /// Set when the operator wants it to end.
    pub stop: CancellationToken,
}

/// How long a lease is that a controller renews, unless somebody says otherwise: another one has taken over within it from
/// one that was killed (the lead's 10 s, a look at every machine) although a quarter of it had passed.
pub const LEASE: Duration = Duration::from_secs(18);

/// The tempo of a pass that renews leases all the time.
pub fn leasing(patience: Patience, length: Duration) -> Result<Tempo, TooShort> {
    let tempo = tempo(patience);
    Ok(Tempo { lease: Some(Terms::of_controller(length, &tempo)?), ..tempo })
}

/// The tempo of a pass that is as patient as this with silent machines.
pub const fn tempo(patience: Patience) -> Tempo {
    Tempo {
        look_every: Duration::from_secs(1),
        whole_look_every: Duration::from_secs(10),
        retry_every: Duration::from_millis(500),
        begin_within: Duration::from_secs(10),
        patience,
        lease: None,
    }
}
