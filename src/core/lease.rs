//! Leases: for how long a host may run strict units without hearing from a leader, and when they are surely gone.
//!
//! A lease ends at an uptime of the host that the leader named, however late the word of it arrived, and systemd on the
//! host then stops every strict unit. So whoever knows the latest end that was ever sent knows when the units are gone.
//! This file has the words and the arithmetic; who is granted what is decided in [`crate::core::reconcile`].

use std::time::Duration;

use crate::core::model::Grant;
use crate::core::model::Need;
use crate::core::model::Timestamp;
use crate::core::unit::UnitFile;

/// How long a strict unit may take to stop before systemd kills it: `TimeoutStopSec=` of its drop-in. Each command of its
/// `ExecStop=` and `ExecStopPost=` may take as long again, and so may what the latter leave behind (systemd.service(5)).
pub const STOP: Duration = Duration::from_secs(10);

/// What is added to every bound for clocks that run at different speeds and for a systemd that is busy.
pub const MARGIN: Duration = Duration::from_secs(2);

/// A leader that the store does not answer renews leases only while most machines have answered it this recently.
pub const QUORUM_WINDOW: Duration = Duration::from_secs(4);

/// How far the clocks of hosts that run sweeps may be apart.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(30);

/// How long a trip may take that renews a lease.
pub const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many sweeps must fit into a lease, so that one that fails does no harm.
const SWEEPS: u32 = 3;

/// For how long leases are granted, and who renews them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    length: Duration,
    keeper: Renewer,
}

/// Who renews leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewer {
    /// A controller, all the time.
    Controller,
    /// Sweeps, which are this far apart.
    Sweeps,
}

/// The lease is too short to be kept. Nothing was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooShort {
    /// For a controller.
    #[error(
        "a lease of {} s is too short: renewed every quarter of it, looked at every {} s, a renewal that fails after {} s \
         and is tried again {} s later needs at least {} s",
        .length.as_secs(), .look.as_secs_f32(), RENEWAL_TIMEOUT.as_secs(), .retry.as_secs_f32(), .least.as_secs()
    )]
    Controller {
        /// What was asked for.
        length: Duration,
        /// Between two looks.
        look: Duration,
        /// Before another attempt.
        retry: Duration,
        /// What it takes.
        least: Duration,
    },
    /// For sweeps.
    #[error(
        "a lease of {} s is too short for sweeps every {} s: {SWEEPS} of them must fit, which is {} s, so that one that \
         fails stops nothing", .length.as_secs(), .every.as_secs(), .least.as_secs()
    )]
    Sweeps {
        /// What was asked for.
        length: Duration,
        /// How far the sweeps are apart.
        every: Duration,
        /// What it takes.
        least: Duration,
    },
}

impl LeasePolicy {
    /// LeasePolicy for a controller that looks at each machine every `look` and tries again after `retry`.
    pub fn of_controller(length: Duration, look: Duration, retry: Duration) -> Result<Self, TooShort> {
        // A quarter reconciles before it is due; the rest must hold a look, an attempt that fails and one that does not.
        let rest = look + RENEWAL_TIMEOUT + retry + Duration::from_secs(1);
        let least = Duration::from_secs((rest * 4 / 3 + Duration::from_millis(999)).as_secs());
        if length < least {
            return Err(TooShort::Controller { length, look, retry, least });
        }
        Ok(Self { length, keeper: Renewer::Controller })
    }

    /// LeasePolicy for sweeps that are this far apart.
    pub fn of_sweeps(length: Duration, every: Duration) -> Result<Self, TooShort> {
        let least = every * SWEEPS;
        if length < least {
            return Err(TooShort::Sweeps { length, every, least });
        }
        Ok(Self { length, keeper: Renewer::Sweeps })
    }

    /// Returns how long a lease is.
    pub const fn length(self) -> Duration {
        self.length
    }

    /// Returns how long after a renewal the next one is due.
    pub fn renew_every(self) -> Duration {
        self.length / 4
    }

    /// Reports whether a controller renews the leases.
    pub fn is_controllers(self) -> bool {
        self.keeper == Renewer::Controller
    }

    /// Returns the record of what is granted under these policy now.
    pub fn grant(self, epoch: u64, need: Need, now: Timestamp) -> Grant {
        let until = (self.keeper == Renewer::Sweeps).then(|| now + self.length);
        Grant { epoch, length: self.length, stop: need.stop, units: need.units, until, stopped_for_sure_at: None }
    }
}

/// Returns when strict units are gone whose lease under this record ends then.
pub fn gone_after(grant: &Grant, end: Timestamp) -> Timestamp {
    end + grant.stop + MARGIN
}

/// Returns the latest end of a lease that another leader may have granted under this record. `quorum_seen_at` is when
/// enough machines had been told of us that no other leader could renew leases without the store.
pub fn end_under(grant: &Grant, quorum_seen_at: Option<Timestamp>) -> Option<Timestamp> {
    match grant.until {
        Some(until) => Some(until + MAX_CLOCK_SKEW),
        None => quorum_seen_at.map(|at| at + QUORUM_WINDOW + grant.length),
    }
}

/// Returns how long a strict unit may take to stop.
pub fn stop_of(file: &UnitFile) -> Duration {
    let (stops, after) = (commands(file, "ExecStop"), commands(file, "ExecStopPost"));
    // The unit itself, and after the last commands what they have left behind.
    let phases = stops + 1 + after + usize::from(after > 0);
    STOP.saturating_mul(u32::try_from(phases).unwrap_or(u32::MAX))
}

/// Returns how many commands a setting of `[Service]` has at most: an empty one drops those before it, and a `;` on its
/// own begins another one (systemd.service(5)).
fn commands(file: &UnitFile, name: &str) -> usize {
    let count = |value: &str| value.split_ascii_whitespace().filter(|word| *word == ";").count() + 1;
    file.values("Service", name).fold(0, |sum, value| if value.trim().is_empty() { 0 } else { sum + count(value) })
}

/// Reports whether so many of so many machines are most of them, so that no other leader can have as many.
pub const fn is_most(count: usize, all: usize) -> bool {
    count * 2 > all
}

/// Reports whether so many of so many machines are enough that no other leader can have most of them.
pub const fn is_blocking(count: usize, all: usize) -> bool {
    count * 2 >= all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of_controller(length: Duration) -> Result<LeasePolicy, TooShort> {
        LeasePolicy::of_controller(length, SECOND, SECOND / 2)
    }

    #[test]
    fn a_lease_that_one_failure_would_end_is_refused_with_its_arithmetic() {
        assert_eq!(
            of_controller(SECOND * 9).unwrap_err().to_string(),
            "a lease of 9 s is too short: renewed every quarter of it, looked at every 1 s, a renewal that fails after 5 \
             s and is tried again 0.5 s later needs at least 10 s"
        );
        assert_eq!(of_controller(SECOND * 10).unwrap().length(), SECOND * 10);
        assert_eq!(
            LeasePolicy::of_sweeps(SECOND * 179, SECOND * 60).unwrap_err().to_string(),
            "a lease of 179 s is too short for sweeps every 60 s: 3 of them must fit, which is 180 s, so that one that \
             fails stops nothing"
        );
        assert!(!LeasePolicy::of_sweeps(SECOND * 180, SECOND * 60).unwrap().is_controllers());
    }

    fn need() -> Need {
        let mut need = Need::default();
        need.add("web.service".parse().unwrap(), STOP);
        need
    }

    #[test]
    fn every_command_that_ends_a_unit_may_take_its_time() {
        let stop = |text: &str| {
            let file = UnitFile::parse(&format!("[Service]\nExecStart=/bin/sleep 9\n{text}")).unwrap();
            stop_of(&file).as_secs()
        };
        assert_eq!(stop(""), 10);
        assert_eq!(stop("ExecStop=/bin/a\n"), 20);
        assert_eq!(stop("ExecStop=/bin/a ; /bin/b\nExecStop=/bin/c x;y\n"), 40);
        assert_eq!(stop("ExecStop=/bin/a\nExecStop=\nExecStop=/bin/b\n"), 20);
        assert_eq!(stop("ExecStopPost=/bin/a\n"), 30, "what it leaves behind is given a time, too");
        assert_eq!(stop("ExecStop=/bin/a\nExecStopPost=/bin/b\nExecStopPost=/bin/c\n"), 50);
    }

    #[test]
    fn a_lease_of_another_leader_ends_late_enough() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        let renewed = of_controller(SECOND * 12).unwrap().grant(1, need(), at(100));
        assert_eq!(end_under(&renewed, None), None, "its leader may still renew it");
        assert_eq!(end_under(&renewed, Some(at(200))), Some(at(200 + 4 + 12)));
        assert_eq!(gone_after(&renewed, at(216)), at(216 + 10 + 2));
        let swept = LeasePolicy::of_sweeps(SECOND * 180, SECOND * 60).unwrap().grant(1, need(), at(100));
        assert_eq!(end_under(&swept, None), Some(at(100 + 180 + 30)), "clocks of hosts that sweep differ");
    }
}
