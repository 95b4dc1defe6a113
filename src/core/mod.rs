//! The functional core: all decisions of muster, as functions from values to values.
//!
//! Nothing here may read a clock, draw a random number, log, touch the network or the disk, or use a map whose order is
//! not fixed. The caller passes the time as an argument, the state of the cluster as a [`model::Snapshot`], and the
//! reports of hosts. A test reads this folder and fails when one of these rules is broken.

pub mod alert;
pub mod command;
pub mod explain;
pub mod fingerprint;
pub mod health;
pub mod hex;
pub mod lease;
pub mod machine_id;
pub mod machine_lookup;
pub mod model;
pub mod plan;
pub mod reconcile;
pub mod sanitize;
pub mod schedule;
pub mod secret_name;
pub mod secrets;
pub mod similar;
pub mod simulated_host;
pub mod simulation;
mod text_record;
pub mod unit;
