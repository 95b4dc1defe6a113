//! Discovery: the token of a cluster, the registry of its members, and the service through which etcd servers find their
//! peers.
//!
//! The registry has etcd's own v3 discovery layout. Nothing here may reach a host.

pub mod registry;
pub mod service;
