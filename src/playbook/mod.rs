//! Playbooks: parsing them and running them.
//!
//! [`parse`] makes typed plays. [`play_iterator`] decides which task runs next and reaches no host. [`executor`] runs the
//! tasks: on the hosts through [`host_connection`], on the cluster through [`cluster`]. A host's units are never touched
//! here.

pub mod action;
pub mod application_templates;
mod background;
pub mod callback;
mod captured_output;
pub mod cluster;
pub mod cluster_client;
mod cluster_tasks;
pub mod connection_variables;
pub mod coverage;
mod cursor;
mod detached;
mod diff;
pub mod executor;
pub mod fact_use;
pub mod facts;
mod file;
mod free_form;
pub mod host_connection;
mod host_script;
pub mod include;
pub mod inventory_lint;
mod local_files;
mod loop_item;
pub mod loops;
pub mod magic_variables;
pub mod mode;
pub mod modules;
pub mod outcome;
pub mod parse;
pub mod play;
pub mod play_iterator;
pub mod run_as;
pub mod running;
pub mod settings;
mod shell_expand;
pub mod start_at;
pub mod step;
pub mod tags;
pub mod template;
mod text_encoding;
