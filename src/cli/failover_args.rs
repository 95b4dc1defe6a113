//! The failover flags that `controller`, `sweep`, `plan` and `simulate` share.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;

use super::duration;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::health::failover::FailoverPolicy;

/// The range of `--down-after`, in seconds.
const DOWN_AFTER: RangeInclusive<u64> = 1..=3600;

/// The range of `--hold-down`, in seconds.
const HOLD_DOWN: RangeInclusive<u64> = 0..=3600;

/// The range of `--lease`, in seconds.
const LEASE: RangeInclusive<u64> = 1..=86_400;

/// The range of `--sweep-every`, in seconds.
const SWEEP_EVERY: RangeInclusive<u64> = 1..=28_800;

/// Flags about failover. Each is also read from `MUSTER_<FLAG>` and from `muster.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct FailoverPolicyArgs {
    /// Treat a machine as down when it has been silent for this long and no other machine reaches it: 1s to 1h [default:
    /// 8s, for a sweep 10s]
    ///
    /// The units of a machine that is down start elsewhere.
    #[arg(
        long,
        env = "MUSTER_DOWN_AFTER",
        hide_env_values = true,
        value_name = "DURATION",
        value_parser = duration::within(DOWN_AFTER),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "duration::setting")]
    down_after: Option<Duration>,
    /// Move no units while more than this share of the machines is silent: 1 to 100 percent [default: 55]
    ///
    /// If more than this share of one zone is silent, no units of that zone's machines move. Machines that are already
    /// down do not count as silent. With 100 the brake is off.
    #[arg(
        long,
        env = "MUSTER_BRAKE",
        hide_env_values = true,
        value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(1..=100),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "whole_number")]
    brake: Option<u8>,
    /// Move the units of at most this many machines within 10 minutes: 1 to 100000 [default: 3]
    ///
    /// In a large cluster the limit is higher: the number of machines that --brake allows to be silent.
    #[arg(
        long,
        env = "MUSTER_FAILOVER_LIMIT",
        hide_env_values = true,
        value_name = "MACHINES",
        value_parser = clap::value_parser!(u32).range(1..=100_000),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "whole_number")]
    failover_limit: Option<u32>,
    /// Place no units on a machine for this long after it went down twice within an hour and came back: 0s to 1h [default:
    /// 60s]
    ///
    /// Each further time that the machine goes down doubles the time, up to 16 times. With 0 there is no hold-down.
    #[arg(
        long,
        env = "MUSTER_HOLD_DOWN",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "DURATION",
        value_parser = duration::within(HOLD_DOWN),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "duration::setting")]
    hold_down: Option<Duration>,
    /// Treat machines with the same value of this metadata key as a zone; an empty key means no zones [default: zone]
    #[arg(
        long,
        env = "MUSTER_ZONE_KEY",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "KEY",
        help_heading = "Failover policy"
    )]
    zone_key: Option<String>,
    /// Let a machine run strict units for this long without a renewal of its lease: 1s to 24h [default: 20s, for a sweep
    /// three times --sweep-every]
    ///
    /// A controller needs at least 10s, sweeps at least three times --sweep-every.
    #[arg(
        long,
        env = "MUSTER_LEASE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "DURATION",
        value_parser = duration::within(LEASE),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "duration::setting")]
    lease: Option<Duration>,
}

/// How often sweeps run. It is also read from `MUSTER_SWEEP_EVERY` and from `muster.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SweepSchedule {
    /// Grant and renew leases, because cron or a timer starts a sweep this often: 1s to 8h
    ///
    /// Without this option, sweeps start no strict unit.
    #[arg(
        long,
        env = "MUSTER_SWEEP_EVERY",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "DURATION",
        value_parser = duration::within(SWEEP_EVERY),
        help_heading = "Failover policy"
    )]
    #[serde(deserialize_with = "duration::setting")]
    sweep_every: Option<Duration>,
}

impl SweepSchedule {
    /// Checks the range of a schedule that was read from a file.
    pub(super) fn check(self) -> Result<(), String> {
        check("sweep-every", self.sweep_every, &SWEEP_EVERY)
    }

    /// Returns the time between two sweeps: the flag's, else the file's.
    pub(super) fn every(self, file: Self) -> Option<Duration> {
        self.sweep_every.or(file.sweep_every)
    }
}

/// Reads a whole number of a settings file. One that does not fit becomes 0, which no setting allows: the check of the range
/// refuses it.
fn whole_number<'de, D: Deserializer<'de>, N: TryFrom<i64> + From<u8>>(from: D) -> Result<Option<N>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a whole number")]
    enum Setting {
        Number(i64),
    }
    let Setting::Number(number) = Setting::deserialize(from)?;
    Ok(Some(N::try_from(number).unwrap_or_else(|_| N::from(0))))
}

fn check(key: &str, value: Option<Duration>, range: &RangeInclusive<u64>) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    duration::check(value, range).map(|_| ()).map_err(|error| format!("invalid `{key}`: {error}"))
}

impl FailoverPolicyArgs {
    /// Checks the ranges of flags that were read from a file, which clap has not checked.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.brake.is_some_and(|brake| !(1..=100).contains(&brake)) {
            return Err("invalid `brake`: expected 1 to 100 percent".to_owned());
        }
        if self.failover_limit.is_some_and(|limit| !(1..=100_000).contains(&limit)) {
            return Err("invalid `failover-limit`: expected 1 to 100000 machines".to_owned());
        }
        check("down-after", self.down_after, &DOWN_AFTER)?;
        check("hold-down", self.hold_down, &HOLD_DOWN)?;
        check("lease", self.lease, &LEASE)
    }

    /// Reports whether a flag or a variable sets the length of a lease.
    pub(super) const fn has_lease(&self) -> bool {
        self.lease.is_some()
    }

    /// Returns the length of a lease: the flag's, else the file's.
    pub(super) fn lease(&self, file: &Self) -> Option<Duration> {
        self.lease.or(file.lease)
    }

    /// Merges flags and environment (already in `self`), the settings file and the defaults.
    pub(super) fn resolve(&self, file: &Self, down_after: Duration) -> (DetectionConfig, FailoverPolicy) {
        let detection = DetectionConfig {
            down_after: self.down_after.or(file.down_after).unwrap_or(down_after),
            brake: self.brake.or(file.brake).unwrap_or(BRAKE),
        };
        let default = FailoverPolicy::default();
        let limit = self.failover_limit.or(file.failover_limit).and_then(|limit| usize::try_from(limit).ok());
        let zone_key = self.zone_key.clone().or_else(|| file.zone_key.clone()).or(default.zone_key);
        let failover_policy = FailoverPolicy {
            hold_down: self.hold_down.or(file.hold_down).unwrap_or(default.hold_down),
            limit: limit.unwrap_or(default.limit),
            zone_key: zone_key.filter(|key| !key.is_empty()),
        };
        (detection, failover_policy)
    }
}
