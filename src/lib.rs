//! muster keeps systemd services running across a set of Linux hosts, over SSH, and installs nothing on them.
//!
//! [`core`] makes the decisions and does no I/O. The other modules carry the decisions out. docs/architecture.md
//! describes the layers, docs/glossary.md the vocabulary.

pub mod accounts;
pub mod api;
pub mod application;
mod child_process;
pub mod cli;
pub mod control;
pub mod core;
pub mod difference;
pub mod discovery;
pub mod http;
pub mod inventory;
pub mod lab;
pub mod metrics;
pub mod notify;
pub mod playbook;
pub mod remote;
pub mod runner;
pub mod secret;
pub mod store;
pub mod ui;
pub mod vault;
