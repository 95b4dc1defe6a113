//! Leases: how long a host may run strict units without a visit from a leader, and when these units have certainly
//! stopped.
//!
//! A lease ends at an uptime of the host that the leader named, however late the visit arrives. systemd on the host
//! then stops every strict unit. A process that knows the latest end that was ever sent therefore knows when the units
//! have stopped. This module has the terms and the arithmetic only: [`crate::core::reconcile`] decides which machine is
//! granted a lease.

use std::time::Duration;

use crate::core::model::Grant;
use crate::core::model::Need;
use crate::core::model::Timestamp;
use crate::core::unit::UnitFile;

/// How long a strict unit may take to stop before systemd kills it: `TimeoutStopSec=` of its drop-in. Each command of
/// `ExecStop=` and `ExecStopPost=` may take as long again, and so may the processes that `ExecStopPost=` leaves behind
/// (systemd.service(5)).
pub const STOP: Duration = Duration::from_secs(10);

/// How long a strict unit may take to stop of which only its host knows the file: as long as one with five commands.
pub const UNKNOWN_STOP: Duration = Duration::from_mins(1);

/// The margin that is added to every bound, for clocks that run at different speeds and for a busy systemd.
pub const MARGIN: Duration = Duration::from_secs(2);

/// How long a systemd that is not slow takes to renew a lease. Four times that leave some of [`MARGIN`] for clocks.
pub const RENEWAL: Duration = Duration::from_millis(400);

/// How many times as long as a renewal systemd may take to end a lease: it notices the end, stops the units, kills them and
/// reaps them.
const RENEWALS: u32 = 4;

/// The longest renewal that counts. No visit to a host that tells the truth lasts longer.
const LONGEST_RENEWAL: Duration = Duration::from_mins(1);

/// How recently most machines must have answered a leader that renews leases while the store is away.
pub const QUORUM_WINDOW: Duration = Duration::from_secs(4);

/// How much the clocks of hosts that run sweeps may differ.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(30);

/// How long a visit that renews a lease may take.
pub const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// How many sweeps must fit into a lease, so that one failed sweep stops no unit.
const SWEEPS: u32 = 3;

/// How long leases last, and which kind of leader renews them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    length: Duration,
    keeper: Renewer,
}

/// The kind of leader that renews leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Renewer {
    /// A controller, continuously.
    Controller,
    /// Sweeps, which run periodically.
    Sweeps,
}

/// The lease is too short to be renewed in time. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooShort {
    /// The lease is too short for a controller.
    #[error(
        "a lease of {} s is too short: it must last at least {} s, so that with visits every {} s it outlasts one renewal \
         that fails after {} s and a second attempt {} s later",
        .length.as_secs(), .least.as_secs(), .look.as_secs_f32(), RENEWAL_TIMEOUT.as_secs(), .retry.as_secs_f32()
    )]
    Controller {
        /// The length that was requested.
        length: Duration,
        /// The time between two visits.
        look: Duration,
        /// The delay before a failed visit is tried again.
        retry: Duration,
        /// The shortest length that is possible.
        least: Duration,
    },
    /// The lease is too short for sweeps.
    #[error(
        "a lease of {} s is too short for sweeps every {} s: it must last at least {} s, which is {SWEEPS} sweeps, so that \
         one failed sweep stops no unit", .length.as_secs(), .every.as_secs(), .least.as_secs()
    )]
    Sweeps {
        /// The length that was requested.
        length: Duration,
        /// The time between two sweeps.
        every: Duration,
        /// The shortest length that is possible.
        least: Duration,
    },
}

impl LeasePolicy {
    /// Makes the policy of a controller that visits each machine every `look` and tries again after `retry`.
    pub fn of_controller(length: Duration, look: Duration, retry: Duration) -> Result<Self, TooShort> {
        // A renewal is due after a quarter of the lease. The rest must have room for the wait for a visit, a failed
        // renewal and a successful one.
        let rest = look + RENEWAL_TIMEOUT + retry + Duration::from_secs(1);
        let least = Duration::from_secs((rest * 4 / 3 + Duration::from_millis(999)).as_secs());
        if length < least {
            return Err(TooShort::Controller { length, look, retry, least });
        }
        Ok(Self { length, keeper: Renewer::Controller })
    }

    /// Makes the policy of sweeps that run every `every`.
    pub fn of_sweeps(length: Duration, every: Duration) -> Result<Self, TooShort> {
        let least = every * SWEEPS;
        if length < least {
            return Err(TooShort::Sweeps { length, every, least });
        }
        Ok(Self { length, keeper: Renewer::Sweeps })
    }

    /// Returns the length of a lease.
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

    /// Returns the record of a lease that is granted now under this policy.
    pub fn grant(self, epoch: u64, need: Need, now: Timestamp) -> Grant {
        let until = (self.keeper == Renewer::Sweeps).then(|| now + self.length);
        Grant {
            epoch,
            length: self.length,
            stop: need.stop,
            slack: need.slack,
            units: need.units,
            unknown: need.unknown,
            until,
            stopped_for_sure_at: None,
        }
    }
}

/// Returns when the strict units of a record have certainly stopped if their lease ends at `end` and systemd may take
/// `slack` longer than usual.
pub fn gone_after(grant: &Grant, slack: Duration, end: Timestamp) -> Timestamp {
    end + grant.stop + slack + MARGIN
}

/// Returns how much longer a systemd may take to stop the strict units if it took so long to renew the lease: nothing if it
/// is not slow. Whole seconds keep the record from changing with every renewal.
pub fn slack_of(renewal: Duration) -> Duration {
    if renewal <= RENEWAL {
        Duration::ZERO
    } else {
        Duration::from_secs((renewal.min(LONGEST_RENEWAL) * RENEWALS).as_secs() + 1)
    }
}

/// Returns how long the renewal took at least that [`slack_of`] made this of.
pub fn renewal_of(slack: Duration) -> Duration {
    (slack.saturating_sub(Duration::from_secs(1)) / RENEWALS).max(RENEWAL)
}

/// Returns how long after the last renewal the strict units of a silent machine have certainly stopped.
pub fn bound(grant: &Grant) -> Duration {
    grant.length + grant.stop + grant.slack + MARGIN
}

/// Returns the latest end of a lease that another leader may have granted under this record; `None` if that leader may
/// still renew the lease. `quorum_seen_at` is the time since which no other leader can renew leases without the store,
/// because enough machines have seen this leader.
pub fn end_under(grant: &Grant, quorum_seen_at: Option<Timestamp>) -> Option<Timestamp> {
    match grant.until {
        Some(until) => Some(until + MAX_CLOCK_SKEW),
        None => quorum_seen_at.map(|at| at + QUORUM_WINDOW + grant.length),
    }
}

/// Returns how long a strict unit may take to stop.
pub fn stop_of(file: &UnitFile) -> Duration {
    let (stops, after) = (commands(file, "ExecStop"), commands(file, "ExecStopPost"));
    // One period is for the unit itself, and one for the processes that its last commands leave behind.
    let phases = stops + 1 + after + usize::from(after > 0);
    STOP.saturating_mul(u32::try_from(phases).unwrap_or(u32::MAX))
}

/// Returns the most commands that a setting of `[Service]` can have. An empty setting drops those before it, and a
/// separate `;` begins another command (systemd.service(5)).
fn commands(file: &UnitFile, name: &str) -> usize {
    let count = |value: &str| value.split_ascii_whitespace().filter(|word| *word == ";").count() + 1;
    file.values("Service", name).fold(0, |sum, value| if value.trim().is_empty() { 0 } else { sum + count(value) })
}

/// Reports whether `count` of `all` machines are a majority, so that no other leader can have one.
pub const fn is_most(count: usize, all: usize) -> bool {
    count * 2 > all
}

/// Reports whether `count` of `all` machines are enough to keep every other leader from a majority.
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
    fn a_lease_that_one_failed_renewal_would_end_is_refused_with_the_arithmetic() {
        assert_eq!(
            of_controller(SECOND * 9).unwrap_err().to_string(),
            "a lease of 9 s is too short: it must last at least 10 s, so that with visits every 1 s it outlasts one \
             renewal that fails after 5 s and a second attempt 0.5 s later"
        );
        assert_eq!(of_controller(SECOND * 10).unwrap().length(), SECOND * 10);
        assert_eq!(
            LeasePolicy::of_sweeps(SECOND * 179, SECOND * 60).unwrap_err().to_string(),
            "a lease of 179 s is too short for sweeps every 60 s: it must last at least 180 s, which is 3 sweeps, so \
             that one failed sweep stops no unit"
        );
        assert!(!LeasePolicy::of_sweeps(SECOND * 180, SECOND * 60).unwrap().is_controllers());
    }

    fn need() -> Need {
        let mut need = Need::default();
        need.add("web.service".parse().unwrap(), STOP);
        need
    }

    #[test]
    fn each_stop_command_adds_to_the_time_that_a_unit_takes_to_stop() {
        let stop = |text: &str| {
            let file = UnitFile::parse(&format!("[Service]\nExecStart=/bin/sleep 9\n{text}")).unwrap();
            stop_of(&file).as_secs()
        };
        assert_eq!(stop(""), 10);
        assert_eq!(stop("ExecStop=/bin/a\n"), 20);
        assert_eq!(stop("ExecStop=/bin/a ; /bin/b\nExecStop=/bin/c x;y\n"), 40);
        assert_eq!(stop("ExecStop=/bin/a\nExecStop=\nExecStop=/bin/b\n"), 20);
        assert_eq!(stop("ExecStopPost=/bin/a\n"), 30, "the processes that are left behind get their time too");
        assert_eq!(stop("ExecStop=/bin/a\nExecStopPost=/bin/b\nExecStopPost=/bin/c\n"), 50);
    }

    #[test]
    fn a_slow_renewal_adds_whole_seconds_and_a_lie_adds_a_limited_number() {
        let slack = |millis| slack_of(Duration::from_millis(millis)).as_secs();
        assert_eq!([0, 400, 401, 500, 1_000, 1_500].map(slack), [0, 0, 2, 3, 5, 7]);
        assert_eq!([60_000, u64::MAX].map(slack), [241, 241]);
        let millis = |slack| renewal_of(SECOND * slack).as_millis();
        assert_eq!([2, 3, 5, 7].map(millis), [400, 500, 1_000, 1_500]);
    }

    #[test]
    fn the_end_of_another_leaders_lease_includes_quorum_and_clock_skew() {
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        let renewed = of_controller(SECOND * 12).unwrap().grant(1, need(), at(100));
        assert_eq!(end_under(&renewed, None), None, "its leader may still renew it");
        assert_eq!(end_under(&renewed, Some(at(200))), Some(at(200 + 4 + 12)));
        assert_eq!(gone_after(&renewed, Duration::ZERO, at(216)), at(216 + 10 + 2));
        assert_eq!(bound(&renewed), SECOND * (12 + 10 + 2));
        let swept = LeasePolicy::of_sweeps(SECOND * 180, SECOND * 60).unwrap().grant(1, need(), at(100));
        assert_eq!(end_under(&swept, None), Some(at(100 + 180 + 30)), "the clocks of hosts that run sweeps differ");
    }
}
