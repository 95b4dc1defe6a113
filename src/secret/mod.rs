//! Secrets: values that are encrypted for recipients, in the format of age.
//!
//! The store has encrypted values only. An [`Identity`] has the private keys of an operator or of a controller; [`seal`]
//! and [`open`] encrypt and decrypt; [`fetch`] gets a secret out of the store. [`Accepted`] are the recipients that an
//! operator trusts. This module reads no file, asks no question and prints nothing. No value and no private key is in an
//! error or in a `Debug` output.

mod accepted;
mod fetched;
mod identity;
mod sealed;

#[cfg(test)]
mod tests;

pub use accepted::Accepted;
pub use fetched::FetchError;
pub use fetched::Secret;
pub use fetched::fetch;
pub use identity::BadIdentity;
pub use identity::Identity;
pub use sealed::OpenError;
pub use sealed::SealError;
pub use sealed::check;
pub use sealed::open;
pub use sealed::seal;

/// The most bytes of a value. systemd takes credentials of at most 1 MiB; with its encryption and its record, a value of
/// this size fits into one commit.
pub const VALUE_LIMIT: usize = 1_000_000;

/// The most recipients of a cluster. Each adds to every encrypted value.
pub const RECIPIENT_LIMIT: usize = 100;
