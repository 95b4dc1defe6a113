//! SSH against a server inside the test that drops, stalls and lies, and against a real sshd.

mod companions;
mod failures;
mod fake;
mod lease;
mod proxy;
pub(crate) mod quadlet;
mod real;
pub(crate) mod sshd;
mod terminal;
mod user_shells;
pub(crate) mod visit;
