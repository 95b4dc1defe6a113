//! Playbooks: what one says, and running it.
//!
//! Parse → typed plays → [`run`], which decides what comes next and touches nothing → [`drive`], the shell around it
//! that reaches the hosts. Units are asked of the [`cluster`], which takes its one way to the hosts; nothing here ever
//! touches a host's units.

pub mod action;
mod ask;
pub mod become_root;
pub mod cluster;
pub mod cluster_client;
pub mod drive;
pub mod file;
mod free_form;
pub mod kept;
pub mod lines;
pub mod magic;
pub mod module;
pub mod outcome;
pub mod parse;
pub mod play;
pub mod reach;
pub mod record;
pub mod run;
pub mod template;
mod turn;
pub mod wait;
mod word;
