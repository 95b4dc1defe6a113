//! The machines that a look at the cluster could not observe, as warnings and hints.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::control::look::Look;
use crate::control::look::Missed;
use crate::control::problems::without_address;
use crate::core::model::Machine;
use crate::core::model::Timestamp;
use crate::ui::messages;

/// The machines that could not be observed for the same reason.
#[derive(Default)]
struct Group<'a> {
    names: Vec<&'a str>,
    /// The reason, with the address of the machine if there is only one.
    why: String,
    /// The ages of the observations that are shown instead.
    ages: BTreeSet<Duration>,
}

/// Returns a warning for each reason why machines could not be observed.
pub(super) fn warnings(look: &Look, shown: &[&Missed], now: Timestamp) -> Vec<String> {
    let mut groups: BTreeMap<(String, bool), Group<'_>> = BTreeMap::new();
    for (machine, attempt) in shown.iter().copied() {
        let Some(Machine { name, address, .. }) = look.snapshot.machines.get(machine) else { continue };
        let why = attempt.as_ref().map_or_else(|| "no answer yet".to_owned(), ToString::to_string);
        let same = without_address(&why, &address.host);
        let age = look.snapshot.observed_at(*machine).map(|at| now.since(at));
        let group = groups.entry((same.clone(), age.is_some())).or_default();
        group.why = if group.names.is_empty() { why } else { same };
        group.names.push(name);
        group.ages.extend(age);
    }
    let from = look.observed_from.as_deref();
    let warning =
        |group: &Group<'_>| messages::not_observed(&group.names, &group.why, group.ages.last().copied(), from);
    groups.values().map(warning).collect()
}

/// Returns what to do about these machines, each advice once. Advice of a controller on another host is about that host.
pub(super) fn hints(look: &Look, shown: &[&Missed]) -> BTreeSet<String> {
    let hints = shown.iter().filter_map(|(_, attempt)| attempt.as_ref()?.hint.clone());
    match &look.observed_from {
        Some(host) => hints.map(|hint| messages::hint_for_host(host, &hint)).collect(),
        None => hints.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::Address;
    use crate::core::model::FailedAttempt;
    use crate::core::model::Health;
    use crate::core::model::HealthEvidence;
    use crate::core::model::HealthRecord;
    use crate::core::model::MachineId;
    use crate::core::model::ObservationTimes;
    use crate::core::model::Phase;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn refused(number: u128) -> Missed {
        let detail = format!("10.0.0.{number}:22: connection refused");
        (MachineId::from_bits(number), Some(FailedAttempt { phase: Phase::Connect, detail, hint: None }))
    }

    fn no_key(number: u128) -> Missed {
        let (detail, hint) = ("there is no key".to_owned(), Some("Name a key.".to_owned()));
        (MachineId::from_bits(number), Some(FailedAttempt { phase: Phase::Authenticate, detail, hint }))
    }

    fn look(observed_from: Option<&str>, missed: Vec<Missed>) -> Look {
        let mut look = Look { observed_from: observed_from.map(str::to_owned), missed, ..Look::default() };
        let machine = |number: u128| {
            let address = Address { host: format!("10.0.0.{number}"), ..Address::default() };
            let id = MachineId::from_bits(number);
            (id, Machine { id, name: format!("web{number}"), address, ..Machine::default() })
        };
        look.snapshot.machines = (1..=5).map(machine).collect();
        let record = |number| {
            let (since, reason) = (Timestamp::ZERO, HealthEvidence::Answers.into());
            let record = HealthRecord { health: Health::Sick, since, last_seen: None, reason, outages: Vec::new() };
            (MachineId::from_bits(number), record)
        };
        look.snapshot.health = (1..=5).map(record).collect();
        let behind =
            (1..=5).map(|number| (MachineId::from_bits(number), Some(at(60 * u64::try_from(number).unwrap()))));
        look.snapshot.observed = Some(ObservationTimes { at: at(600), behind: behind.collect(), continuous: true });
        look
    }

    fn said(look: &Look) -> (Vec<String>, Vec<String>) {
        let shown: Vec<&Missed> = look.missed.iter().collect();
        (warnings(look, &shown, at(600)), hints(look, &shown).into_iter().collect())
    }

    #[test]
    fn machines_that_are_missed_for_the_same_reason_share_a_warning() {
        let (warnings, hints) =
            said(&look(None, vec![refused(1), no_key(3), refused(2), no_key(4), no_key(5), no_key(1)]));
        assert_eq!(
            warnings,
            [
                "4 hosts (web3, web4, web5, …): not observed now (authenticate: there is no key): shown as of at most 9 min ago",
                "web1, web2: not observed now (connect: connection refused): shown as of at most 9 min ago",
            ]
        );
        assert_eq!(hints, ["Name a key."]);
        let alone = said(&look(None, vec![refused(5)])).0;
        assert_eq!(alone, ["web5: not observed now (connect: 10.0.0.5:22: connection refused): shown as of 5 min ago"]);
    }

    #[test]
    fn advice_of_a_controller_elsewhere_names_its_host() {
        let (warnings, hints) = said(&look(Some("ctl"), vec![no_key(3)]));
        let warning = "web3: not observed now from ctl (authenticate: there is no key): shown as of 7 min ago";
        assert_eq!(
            (warnings, hints),
            (vec![warning.to_owned()], vec!["On ctl, where the controller runs: Name a key.".to_owned()])
        );
        let (warnings, hints) = said(&look(None, vec![no_key(3)]));
        let warning = "web3: not observed now (authenticate: there is no key): shown as of 7 min ago";
        assert_eq!((warnings, hints), (vec![warning.to_owned()], vec!["Name a key.".to_owned()]));
    }
}
