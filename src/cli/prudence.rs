//! How patient and how careful whoever moves units is: the flags that `controller` and `sweep` share.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

use super::error::CommandError;
use super::settings::Settings;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::health::failover::FailoverPolicy;

/// Flags about failover. Each is also read from `MUSTER_<FLAG>` and from `muster.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Prudence {
    /// How many seconds a machine must have been silent before its units start elsewhere [default: 8, for a sweep 10]
    #[arg(long, env = "MUSTER_DOWN_AFTER", value_name = "SECONDS", value_parser = within(1..=3600))]
    pub(super) down_after: Option<u64>,
    /// How many machines in a hundred, of all or of one zone, may go silent at once; when more do, nothing is moved. 100
    /// moves whatever is down [default: 55]
    #[arg(long, env = "MUSTER_BRAKE", value_name = "PERCENT", value_parser = within(1..=100))]
    pub(super) brake: Option<u64>,
    /// Of how many machines the units are moved within ten minutes; of the brake's share if that is more [default: 3]
    #[arg(long, env = "MUSTER_FAILOVER_LIMIT", value_name = "MACHINES", value_parser = within(1..=100_000))]
    pub(super) failover_limit: Option<u64>,
    /// For how many seconds a machine that went down twice within an hour takes nothing new once it is up, doubled with
    /// each further fall; 0 for not at all [default: 60]
    #[arg(long, env = "MUSTER_HOLD_DOWN", value_name = "SECONDS", value_parser = within(0..=3600))]
    pub(super) hold_down: Option<u64>,
    /// The metadata by which machines are told apart that may fail together; empty for none [default: zone]
    #[arg(long, env = "MUSTER_ZONE_KEY", value_name = "KEY")]
    pub(super) zone_key: Option<String>,
    /// For how many seconds a machine may run strict units without hearing from anybody [default: 20, for a sweep three
    /// times --sweep-every]
    #[arg(long, env = "MUSTER_LEASE", value_name = "SECONDS", value_parser = within(1..=86_400))]
    pub(super) lease: Option<u64>,
}

/// How sweeps are started, which only `sweep` has a flag for. It is also read from `MUSTER_<FLAG>` and from `muster.toml`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Rhythm {
    /// How many seconds lie between two sweeps, as cron or a timer starts them: with --lease, which must be three times as
    /// long, machines run strict units from one sweep to the next
    #[arg(long, env = "MUSTER_SWEEP_EVERY", value_name = "SECONDS", value_parser = within(1..=28_800))]
    sweep_every: Option<u64>,
}

impl Rhythm {
    /// Says what is out of bounds, if something is.
    pub(super) fn check(self) -> Result<(), String> {
        check("sweep-every", self.sweep_every, &(1..=28_800))
    }

    /// Returns how far apart sweeps are, if somebody says so.
    pub(super) fn every(self, settings: &Settings) -> Option<Duration> {
        self.sweep_every.or(settings.rhythm.sweep_every).map(Duration::from_secs)
    }
}

/// Says that a setting is out of bounds, if it is.
fn check(key: &str, value: Option<u64>, range: &RangeInclusive<u64>) -> Result<(), String> {
    if value.is_some_and(|value| !range.contains(&value)) {
        return Err(format!("`{key}` is from {} to {}", range.start(), range.end()));
    }
    Ok(())
}

/// Reads a whole number within bounds.
pub(super) fn within(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("it is a whole number from {} to {}", range.start(), range.end()))
    }
}

impl Prudence {
    /// Says what is out of bounds, if something is: a file is not checked as flags are.
    pub(super) fn check(&self) -> Result<(), String> {
        let bounded = [
            ("down-after", self.down_after, 1..=3600),
            ("brake", self.brake, 1..=100),
            ("failover-limit", self.failover_limit, 1..=100_000),
            ("hold-down", self.hold_down, 0..=3600),
            ("lease", self.lease, 1..=86_400),
        ];
        bounded.into_iter().try_for_each(|(key, value, range)| check(key, value, &range))
    }

    /// Returns how long a lease is, if somebody says so.
    pub(super) fn lease(&self, settings: &Settings) -> Option<Duration> {
        self.lease.or(settings.prudence.lease).map(Duration::from_secs)
    }

    /// Puts flags and environment (already in `self`), the settings file and the defaults together. A machine is down
    /// after so many seconds unless somebody says otherwise.
    pub(super) fn resolve(
        &self,
        settings: &Settings,
        down_after: u64,
    ) -> Result<(DetectionConfig, FailoverPolicy), CommandError> {
        let file = &settings.prudence;
        let number = |flag: Option<u64>, file: Option<u64>, or: u64| flag.or(file).unwrap_or(or);
        let brake = number(self.brake, file.brake, BRAKE.into());
        let detection = DetectionConfig {
            down_after: Duration::from_secs(number(self.down_after, file.down_after, down_after)),
            brake: u8::try_from(brake).map_err(|_| CommandError::usage("--brake: at most 100"))?,
        };
        let usual = FailoverPolicy::default();
        let limit = self.failover_limit.or(file.failover_limit).and_then(|limit| usize::try_from(limit).ok());
        let hold_down = self.hold_down.or(file.hold_down).map(Duration::from_secs);
        let zone_key = self.zone_key.clone().or_else(|| file.zone_key.clone()).or(usual.zone_key);
        let failover_policy = FailoverPolicy {
            hold_down: hold_down.unwrap_or(usual.hold_down),
            limit: limit.unwrap_or(usual.limit),
            zone_key: zone_key.filter(|key| !key.is_empty()),
        };
        Ok((detection, failover_policy))
    }
}
