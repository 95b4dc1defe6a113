//! The decisions: values in, values out.
//!
//! Nothing here may read a clock, draw a random number, log, or touch the network, the disk or a map whose order is
//! not fixed. Time is an argument, the world is a [`cluster::Snapshot`] and what hosts reported, and what should be
//! done comes back as a value. A test reads this folder and fails when that stops being true.

pub mod caution;
pub mod cluster;
pub mod evidence;
pub mod judge;
pub mod lease;
pub mod order;
pub mod pass;
pub mod place;
pub mod plain;
pub mod plan;
pub mod rehearsal;
pub mod report;
pub mod roster;
pub mod seat;
pub mod time;
pub mod unit;
pub mod why;
