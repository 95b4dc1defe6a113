//! The SSH side: against an in-process server that drops, stalls and lies, and against a real sshd.

mod fake;
mod lease;
mod proxy;
mod real;
mod sshd;
mod trips;
mod typed;
pub(crate) mod visit;
