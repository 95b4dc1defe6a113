//! Who belongs to a cluster: tokens, the registry that they name, and the service that lets etcd find its peers.
//!
//! The registry is etcd's own v3 discovery layout. Nothing here reaches a host.

pub mod registry;
pub mod service;
