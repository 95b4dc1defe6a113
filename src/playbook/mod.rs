//! Playbooks: what one says, and running it.
//!
//! Parse → typed plays → [`run`], which decides what comes next and touches nothing → [`drive`], the shell around it
//! that reaches the hosts. Units are asked of the [`cluster`], which takes its one way to the hosts; nothing here ever
//! touches a host's units.

pub mod action;
pub mod cluster;
pub mod drive;
pub mod file;
pub mod lines;
pub mod module;
pub mod office;
pub mod outcome;
pub mod parse;
pub mod play;
pub mod reach;
pub mod record;
pub mod run;
pub mod template;
pub mod wait;
