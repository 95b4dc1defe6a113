//! Other options while hosts are connected: connections whose destination has not changed are kept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;

use futures_util::future::join_all;

use super::Hosts;
use super::Options;
use super::Ssh;
use super::destination::Destination;
use super::destination::Via;
use super::disconnect;
use super::load_config;
use crate::core::model::Phase;
use crate::remote::Target;
use crate::remote::ssh_config::ConfigError;

impl Ssh {
    /// Takes other options, and reads ssh_config(5) again. A connection is kept if its destination is as before, and
    /// closed otherwise.
    ///
    /// # Errors
    /// The configuration cannot be read. Nothing has changed.
    pub async fn reload(&self, options: Options) -> Result<(), ConfigError> {
        let config = Arc::new(load_config(None, &options)?);
        *self.configs.lock().unwrap_or_else(PoisonError::into_inner) = HashMap::from([(None, config)]);
        *self.options.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
        let used: Vec<Target> =
            self.hosts.lock().unwrap_or_else(PoisonError::into_inner).targets.keys().cloned().collect();
        // A target that has no destination any more fails when it is used.
        let resolved: Vec<(Target, Destination)> =
            used.into_iter().filter_map(|target| Some((target.clone(), self.destination(&target).ok()?))).collect();
        let dropped = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let old = std::mem::take(&mut *hosts);
            for (target, destination) in resolved {
                hosts.keep(&old, &destination);
                let host = hosts.at(&destination);
                hosts.targets.insert(target, host);
            }
            let is_dropped = |(destination, _): &(Destination, _)| !hosts.destinations.contains_key(destination);
            old.destinations.into_iter().filter(is_dropped).map(|(_, host)| host).collect::<Vec<_>>()
        };
        let limit = self.options().deadlines.of(Phase::Close);
        join_all(dropped.iter().map(|host| disconnect(host, limit))).await;
        Ok(())
    }
}

impl Hosts {
    /// Takes over the host at a destination, and its jump hosts, with their connections.
    fn keep(&mut self, old: &Self, destination: &Destination) {
        if let Via::Jump(jump) = &destination.via {
            self.keep(old, jump);
        }
        if let Some(host) = old.destinations.get(destination) {
            self.destinations.entry(destination.clone()).or_insert_with(|| host.clone());
        }
    }
}
