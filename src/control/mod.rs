//! Acting on the cluster: commands, operations, the sweep, the controller, membership and the failover override.
//!
//! Each of them sets desired state, or runs a reconciler with a stop condition of its own as the leader, or follows the
//! process that leads. Nothing here reaches a unit on a host except through [`crate::runner::run()`].

pub mod alerts;
pub mod apply;
pub mod controller;
mod copies;
pub mod failover;
mod failure_details;
mod follow;
mod goal;
mod leadership;
pub mod look;
pub mod membership;
pub mod operation;
pub mod prefetch;
pub mod preview;
pub mod problems;
pub mod progress;
mod pulls;
pub mod read_model;
pub mod retry;
pub mod secrets;
pub mod sweep;
mod timing;
pub mod unit_output;
pub mod verb;
pub mod versions;

#[cfg(test)]
mod tests;

pub use goal::Goal;
pub use timing::LEASE;
pub use timing::leasing;
pub use timing::timing;
