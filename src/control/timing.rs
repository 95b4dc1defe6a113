//! The timing of every reconciler that muster runs.

use std::time::Duration;

use crate::core::health::DetectionConfig;
use crate::core::lease::LeasePolicy;
use crate::core::lease::TooShort;
use crate::core::reconcile::Timing;

/// The length of a lease that a controller renews, unless `--lease` says otherwise. When a controller is killed, another
/// one leads (10 s) and has visited every machine before a lease of which a quarter had passed ends.
pub const LEASE: Duration = Duration::from_secs(20);

/// Returns the timing of a reconciler that keeps no leases.
pub const fn timing(detection: DetectionConfig) -> Timing {
    Timing {
        poll_interval: Duration::from_secs(1),
        full_poll_interval: Duration::from_secs(10),
        retry_interval: Duration::from_millis(500),
        start_deadline: Duration::from_secs(10),
        detection,
        lease: None,
    }
}

/// Returns the timing of a controller, which grants leases of this length and renews them.
pub fn leasing(detection: DetectionConfig, length: Duration) -> Result<Timing, TooShort> {
    let timing = timing(detection);
    let policy = LeasePolicy::of_controller(length, timing.poll_interval, timing.retry_interval)?;
    Ok(Timing { lease: Some(policy), ..timing })
}
