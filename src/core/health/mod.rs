//! Is a machine alive, and if not, what is wrong with it: the one definition of liveness.
//!
//! Everything here is a pure function of what was seen. Nothing here reads the snapshot except [`failover`], which says
//! what holds a failover back.

pub mod assess;
pub mod evidence;
pub mod failover;
pub mod peers;

pub use assess::AT_ONCE;
pub use assess::Assessment;
pub use assess::BRAKE;
pub use assess::DetectionConfig;
pub use assess::assess;
pub use evidence::Evidence;
pub use evidence::Relay;
