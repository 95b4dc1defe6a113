//! One line for each cause: the problems of a sweep for a reader who wants to know what to do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Problem;
use crate::core::model::Event;
use crate::core::model::MachineId;

/// How many machines or units a line names.
const NAMED: usize = 5;

/// Returns the problems as lines, one for each cause. Each advice is in one line only.
pub fn lines(problems: &[Problem]) -> Vec<String> {
    with_advice_once(problems, whole_lines(problems))
}

/// Returns the lines without the advice that an earlier line has.
pub fn with_advice_once(problems: &[Problem], mut lines: Vec<String>) -> Vec<String> {
    let all: BTreeSet<&str> =
        problems.iter().map(|it| it.advice.as_str()).filter(|advice| !advice.is_empty()).collect();
    for advice in all {
        for line in lines.iter_mut().filter(|line| line.contains(advice)).skip(1) {
            *line = line.replace(advice, "");
        }
    }
    lines
}

/// Returns the problems as lines, one for each cause, with all of the advice. Machines with the same trouble share a line, and
/// so do the machines on which a global unit has the same trouble. The units of a machine that cannot be reached are named in
/// its line.
pub fn whole_lines(problems: &[Problem]) -> Vec<String> {
    let of_machines = problems.iter().filter(|problem| problem.trouble.is_some() && problem.unit.is_none());
    let mut units_on: BTreeMap<MachineId, Vec<&str>> =
        of_machines.filter_map(|it| Some((it.machine?, Vec::new()))).collect();
    let mut told: Vec<&Problem> = Vec::new();
    for problem in problems {
        let there = problem.machine.filter(|_| problem.unreachable && problem.unit.is_some());
        match there.and_then(|machine| units_on.get_mut(&machine)).zip(problem.unit.as_ref()) {
            Some((units, unit)) => units.push(unit.as_str()),
            None => told.push(problem),
        }
    }
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for problem in told {
        let Some((name, trouble)) = &problem.trouble else {
            lines.push(Line::Other(problem));
            continue;
        };
        let units = problem.machine.filter(|_| problem.unit.is_none()).and_then(|machine| units_on.get(&machine));
        let at = *causes.entry(trouble).or_insert_with(|| {
            lines.push(Line::Machines { names: Vec::new(), first: problem, trouble, units: Vec::new() });
            lines.len() - 1
        });
        if let Some(Line::Machines { names, units: all, .. }) = lines.get_mut(at) {
            names.push(name);
            all.extend(units.into_iter().flatten());
        }
    }
    for line in &mut lines {
        if let Line::Machines { names, units, .. } = line {
            names.sort_unstable();
            units.sort_unstable();
        }
    }
    lines.iter().map(Line::text).collect()
}

/// Reports whether a problem says what an event has said: it is about the same unit, or the same machine.
pub fn covers(problems: &[Problem], event: &Event) -> bool {
    let subject = &event.subject;
    problems.iter().any(|problem| match (&subject.unit, &problem.unit) {
        // The problem of a timer is about the unit that it starts.
        (Some(unit), Some(of)) => unit == of || problem.what.starts_with(&format!("{unit}, which it starts, ")),
        (None, None) => subject.machine.is_some() && subject.machine == problem.machine,
        _ => false,
    })
}

enum Line<'a> {
    Machines { names: Vec<&'a str>, first: &'a Problem, trouble: &'a str, units: Vec<&'a str> },
    Other(&'a Problem),
}

impl Line<'_> {
    fn text(&self) -> String {
        match self {
            Self::Other(problem) => problem.to_string(),
            Self::Machines { names, first, trouble, units } => {
                let there = match units.as_slice() {
                    [] => String::new(),
                    [unit] => format!("; the state of {unit} there is unknown"),
                    units => format!("; the states of {} there are unknown", listed(units, "units")),
                };
                match names.as_slice() {
                    [_] => format!("{first}{there}"),
                    names if first.unit.is_some() => format!("{trouble} on {}", listed(names, "machines")),
                    names => format!("{} are {trouble}{there}", listed(names, "machines")),
                }
            }
        }
    }
}

/// Names the first few machines or units.
fn listed(names: &[&str], noun: &str) -> String {
    match names.split_last() {
        // The last name is not longer than "1 more".
        Some((last, others)) if (2..=NAMED + 1).contains(&names.len()) => format!("{} and {last}", others.join(", ")),
        _ if names.len() > NAMED => {
            let first: Vec<&str> = names.iter().take(NAMED).copied().collect();
            format!("{} and {} more {noun}", first.join(", "), names.len() - NAMED)
        }
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::explain::TroubleKind;
    use crate::core::model::Address;
    use crate::core::model::EventKind;
    use crate::core::model::Machine;
    use crate::core::model::Timestamp;
    use crate::core::unit::UnitName;

    fn machine(number: u128) -> MachineId {
        MachineId::from_bits(number)
    }

    fn troubled(number: u128, trouble: &str) -> Problem {
        let address = Address { host: format!("10.0.0.{number}"), ..Address::default() };
        let machine = Machine { id: machine(number), name: format!("web{number}"), address, ..Machine::default() };
        Problem::of_troubled(&machine, None, trouble)
    }

    fn sick(number: u128) -> Problem {
        troubled(number, "sick: there is no key")
    }

    fn unit(name: &str, at: Option<u128>, unreachable: bool) -> Problem {
        let unit: UnitName = name.parse().unwrap();
        Problem {
            unreachable,
            ..Problem::of_unit(TroubleKind::NotActive, &unit, at.map(machine), "it waits".to_owned())
        }
    }

    #[test]
    fn machines_with_the_same_trouble_share_a_line_that_counts_their_units() {
        let problems = [
            sick(1),
            troubled(7, "down: connect: 10.0.0.7:22: no answer"),
            sick(2),
            unit("a.service", Some(1), true),
            unit("b.service", Some(2), true),
            unit("c.service", Some(3), true),
            unit("d.service", Some(1), false),
            Problem::general(TroubleKind::Unsettled, "the cluster did not settle".to_owned()),
        ];
        assert_eq!(
            lines(&problems),
            [
                "web1 and web2 are sick: there is no key; the states of a.service and b.service there are unknown",
                "web7 is down: connect: 10.0.0.7:22: no answer",
                "Unit c.service: it waits",
                "Unit d.service: it waits",
                "the cluster did not settle",
            ]
        );
        let six: Vec<Problem> = (1..=6).map(sick).collect();
        assert_eq!(lines(&six), ["web1, web2, web3, web4, web5 and web6 are sick: there is no key"]);
        let many: Vec<Problem> = (1..=8).map(sick).collect();
        assert_eq!(lines(&many), ["web1, web2, web3, web4, web5 and 3 more machines are sick: there is no key"]);
        let refused = |number| troubled(number, &format!("sshd down: connect: 10.0.0.{number}:22: connection refused"));
        assert_eq!(lines(&[refused(4), refused(3)]), ["web3 and web4 are sshd down: connect: connection refused"]);
        let failed = |number: u128| {
            let problem = Problem { what: format!("failed on web{number}"), ..unit("g.service", Some(number), false) };
            Problem { trouble: Some((format!("web{number}"), "Unit g.service: failed".to_owned())), ..problem }
        };
        assert_eq!(lines(&[failed(1), failed(2)]), ["Unit g.service: failed on web1 and web2"]);
        assert_eq!(lines(&[failed(1)]), ["Unit g.service: failed on web1"]);
        assert!(lines(&[]).is_empty());
    }

    #[test]
    fn an_advice_is_given_once() {
        let unknown = |number: u128| {
            let advice = " (Compare the fingerprint.)".to_owned();
            Problem {
                advice,
                ..troubled(number, &format!("sick: key {number} is not known (Compare the fingerprint.)"))
            }
        };
        let problems = [unknown(1), sick(2), unknown(3)];
        let first = "web1 is sick: key 1 is not known (Compare the fingerprint.)";
        let second = "web2 is sick: there is no key";
        assert_eq!(lines(&problems), [first, second, "web3 is sick: key 3 is not known"]);
        assert_eq!(whole_lines(&problems)[2], "web3 is sick: key 3 is not known (Compare the fingerprint.)");
    }

    #[test]
    fn an_event_is_covered_by_a_problem_of_its_unit_or_of_its_machine() {
        let problems = [sick(1), unit("a.service", None, false)];
        let event = |at: Option<u128>, unit: Option<&str>| {
            let unit = unit.map(|name| name.parse().unwrap());
            Event::new(Timestamp::ZERO, at.map(machine), unit, EventKind::LeaseEnded)
        };
        assert!(covers(&problems, &event(Some(1), None)));
        assert!(
            covers(&problems, &event(None, Some("a.service"))) && covers(&problems, &event(Some(2), Some("a.service")))
        );
        assert!(!covers(&problems, &event(Some(2), None)) && !covers(&problems, &event(Some(1), Some("b.service"))));
        assert!(!covers(&problems, &event(None, None)));
        let what = "job.service, which it starts, is failed (failed) on web1".to_owned();
        let timer: UnitName = "job.timer".parse().unwrap();
        let timer = Problem::of_unit(TroubleKind::JobFailed, &timer, Some(machine(1)), what);
        assert!(covers(&[timer], &event(Some(1), Some("job.service"))));
    }
}
