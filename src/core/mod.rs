//! The decisions: values in, values out.
//!
//! Nothing here may read a clock, draw a random number, log, or touch the network, the disk or a map whose order is
//! not fixed. Time is an argument, the world is a [`model::Snapshot`] and what hosts reported, and what should be
//! done comes back as a value. A test reads this folder and fails when that stops being true.

pub mod command;
pub mod explain;
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
pub mod simulation;
pub mod unit;
