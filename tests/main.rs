//! All tests that stand outside the library, in one binary: one link instead of many.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::print_stderr)]

mod api;
mod cli;
mod control;
mod discovery;
mod fuzz;
mod hosts;
mod page;
mod playbook;
mod pty;
mod simulator;
mod source_rules;
mod store;
mod wire;
