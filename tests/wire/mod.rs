//! The SSH side against an in-process server that drops, stalls and lies.

mod visit;
