//! Alerts: which problems of a cluster a receiver is told about, and when. Pure functions over the problems of now, the
//! incidents that the receiver knows and the time.
//!
//! Nothing here may send a message or find a problem.

mod kind;
mod ledger;
mod message;
mod selector;
#[cfg(test)]
mod tests;

pub use kind::KINDS;
pub use kind::kind_of;
pub use ledger::Incident;
pub use ledger::Ledger;
pub use ledger::Pace;
pub use ledger::Rules;
pub use message::Message;
pub use message::Notice;
pub use message::Status;
pub use selector::Selector;
pub use selector::Trouble;
