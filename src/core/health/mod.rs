//! Health: the one definition of whether a machine is alive, and if not, what is wrong with it.
//!
//! [`evidence`] records proof of life and counts silence; [`peers`] holds the reports of peers; [`mod@assess`] computes the
//! [`Health`](crate::core::model::Health) of a machine; [`failover`] decides whether the units of a machine that is
//! down may be moved. The brake, the zones and the failover limit all use [`Evidence::is_silent`]. These modules must
//! not act.

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
