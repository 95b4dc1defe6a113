//! What a controller measures of itself while it leads.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::Registry;
use prometheus_client::registry::Unit;

use super::Numbers;
use super::seconds;
use super::word;
use crate::core::model::Failure;
use crate::core::model::LeaseStatus;
use crate::core::model::Report;
use crate::core::model::Timestamp;

type Durations = Family<Vec<(&'static str, String)>, Histogram, fn() -> Histogram>;

/// The instruments. Clones share what they have measured.
#[derive(Debug, Clone)]
pub struct Instruments {
    visits: Durations,
    turns: Histogram,
    commits: Histogram,
    renewed: Numbers,
    alerts: Family<Vec<(&'static str, String)>, Counter>,
}

impl Default for Instruments {
    fn default() -> Self {
        let visits = Family::new_with_constructor(slow as fn() -> Histogram);
        Self { visits, turns: fast(), commits: slow(), renewed: Numbers::default(), alerts: Family::default() }
    }
}

/// From 1 ms to 16 s.
fn slow() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 8))
}

/// From 0.1 ms to 1.6 s.
fn fast() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 8))
}

impl Instruments {
    /// Notes a visit that has ended: how long it took, and the lease that the machine has reported.
    pub fn visited(&self, machine: &str, took: Duration, ended: &Result<Report, Failure>, now: Timestamp) {
        let end = match ended {
            Ok(Report { refused: Some(_), .. }) => "refused".to_owned(),
            Ok(_) => "answered".to_owned(),
            Err(failure) => word(&failure.phase),
        };
        self.visits.get_or_create(&vec![("end", end)]).observe(took.as_secs_f64());
        let labels = vec![("machine", machine.to_owned())];
        let observation = ended.as_ref().ok().and_then(|report| report.observation.as_ref());
        match observation.and_then(|observation| observation.lease) {
            Some(LeaseStatus::Held | LeaseStatus::Granted) => {
                self.renewed.get_or_create(&labels).set(seconds(now));
            }
            Some(LeaseStatus::Released) => drop(self.renewed.remove(&labels)),
            Some(LeaseStatus::Refused(_)) | None => {}
        }
    }

    /// Notes how long the decisions of one turn took.
    pub fn decided(&self, took: Duration) {
        self.turns.observe(took.as_secs_f64());
    }

    /// Notes how long the store took for a commit.
    pub fn committed(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// Counts a message about alerts to a receiver: sent, or failed.
    pub fn alerted(&self, receiver: &str, is_sent: bool) {
        let end = if is_sent { "sent" } else { "failed" };
        let labels = vec![("receiver", receiver.to_owned()), ("end", end.to_owned())];
        self.alerts.get_or_create(&labels).inc();
    }

    /// Adds the metrics to a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self { visits, turns, commits, renewed, alerts } = self.clone();
        let mut add = |name: &str, help: &str, metric: Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, metric);
        };
        add("reconcile_duration", "How long the decisions of one turn took", turns);
        add("store_commit_duration", "How long the store took for a commit", commits);
        let help = "How long a visit took, by its end: answered, refused, or the phase in which it failed";
        registry.register_with_unit("visit_duration", help, Unit::Seconds, visits);
        registry.register("lease_renewed_timestamp_seconds", "When the lease of a machine was last renewed", renewed);
        registry.register("alert_messages", "Messages to a receiver of alerts: sent, or failed", alerts);
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::prometheus_text;

    use super::*;
    use crate::core::model::FailureKind;
    use crate::core::model::MachineId;
    use crate::core::model::Observation;
    use crate::core::model::Phase;

    fn text(instruments: &Instruments) -> String {
        let mut registry = Registry::with_prefix("muster");
        instruments.register(&mut registry);
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn visits_are_counted_by_their_end_and_leases_by_their_last_renewal() {
        let instruments = Instruments::default();
        let at = |second: u64| Timestamp::from_millis(second * 1000);
        let report = |lease| {
            let observation = Observation::new(MachineId::from_bits(1), String::new(), Duration::ZERO, 1, 0);
            let observation = Some(Observation { lease, ..observation });
            Ok(Report { outcomes: Vec::new(), refused: None, observation })
        };
        let (host, detail) = ("m1".to_owned(), "timed out".to_owned());
        let failure = Failure { host, phase: Phase::KeyExchange, kind: FailureKind::Silent, detail, hint: None };
        instruments.visited("m1", Duration::from_millis(30), &report(Some(LeaseStatus::Granted)), at(5));
        instruments.visited("m1", Duration::from_secs(8), &Err(failure), at(9));
        instruments.committed(Duration::from_millis(2));
        let said = text(&instruments);
        for line in [
            "muster_visit_duration_seconds_count{end=\"answered\"} 1",
            "muster_visit_duration_seconds_bucket{end=\"answered\",le=\"0.016\"} 0",
            "muster_visit_duration_seconds_count{end=\"key_exchange\"} 1",
            "muster_store_commit_duration_seconds_count 1",
            "muster_lease_renewed_timestamp_seconds{machine=\"m1\"} 5.0",
        ] {
            assert!(said.contains(&format!("\n{line}\n")), "{line}: {said}");
        }
        instruments.visited("m1", Duration::from_millis(30), &report(Some(LeaseStatus::Released)), at(11));
        assert!(!text(&instruments).contains("machine=\"m1\""));
    }
}
