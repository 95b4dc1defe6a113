//! muster keeps systemd services running across a set of Linux hosts, over SSH, and installs nothing on them.
//!
//! The library is laid out in rooms, each a module with one job: [`core`] decides and touches nothing, the others
//! carry its decisions out. `README.md` has the vocabulary and how the parts work together on one page.

pub mod cli;
pub mod control;
pub mod core;
pub mod discovery;
pub mod inventory;
pub mod lab;
pub mod playbook;
pub mod remote;
pub mod runner;
pub mod store;
pub mod ui;
