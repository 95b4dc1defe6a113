//! Is a machine alive, and if not, what is wrong with it: the one definition of liveness.
//!
//! [`evidence`] records proof of life and counts silence; [`peers`] holds what other machines report; [`mod@assess`] turns both
//! into a machine's [`Health`](crate::core::model::Health); [`failover`] decides whether the units of a machine that is
//! down may be moved. The brake, zones and the rate limit all use [`Evidence::is_silent`]. Nothing here acts.

pub mod assess;
pub mod evidence;
pub mod failover;
pub mod peers;

pub use assess::Assessment;
pub use assess::BRAKE;
pub use assess::DetectionConfig;
pub use assess::assess;
pub use evidence::Evidence;
pub use evidence::FailedVisit;
pub use evidence::Relay;
