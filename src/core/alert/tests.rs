//! The ledger, look by look.

use std::time::Duration;

use super::*;
use crate::core::explain::TroubleKind;
use crate::core::model::Health;
use crate::core::model::Timestamp;
use crate::core::unit::Glob;

/// A receiver with its ledger. Time is in seconds.
struct Case {
    ledger: Ledger,
    rules: Rules,
    pace: Pace,
}

fn rules() -> Rules {
    Rules { selector: Selector::default(), min_duration: None, clears: true, remind: None }
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + second * 1000)
}

impl Case {
    fn new(rules: Rules) -> Self {
        Self { ledger: Ledger::default(), rules, pace: Pace::CONTROLLER }
    }

    /// Looks at the problems at a second. Returns the message that is due.
    fn look(&mut self, second: u64, troubles: &[Trouble]) -> Option<Message> {
        self.ledger.look(troubles, &self.rules, self.pace, at(second));
        self.ledger.next(&self.rules, self.pace, "default", at(second))
    }

    /// Looks every two seconds from one second to another, and delivers each message. Returns each with its second.
    fn looks(&mut self, seconds: std::ops::Range<u64>, troubles: &[Trouble]) -> Vec<String> {
        let mut said = Vec::new();
        for second in seconds.step_by(2) {
            if let Some(message) = self.look(second, troubles) {
                self.ledger.sent(at(second));
                said.push(format!("{second}: {}", without_ids(&message)));
            }
        }
        said
    }

    /// Goes on in another process, with what the store has.
    fn other_leader(&self) -> Self {
        let stored = serde_json::to_string(&self.ledger.stored(&self.rules, self.pace)).unwrap();
        Self { ledger: serde_json::from_str(&stored).unwrap(), rules: self.rules.clone(), pace: self.pace }
    }
}

/// Returns the status and the text of a message without the ids.
fn without_ids(message: &Message) -> String {
    let mut text = message.text();
    for notice in &message.incidents {
        text = text.replace(&format!(" [{}]", notice.id), "");
    }
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("(message ")).collect();
    format!("{}: {}", message.status.word(), lines.join(" / "))
}

fn machine(name: &str) -> Trouble {
    Trouble {
        kind: "machine down",
        machine: Some(name.to_owned()),
        unit: None,
        text: format!("{name} is down: connect: no answer"),
        shared: Some("down: connect: no answer".to_owned()),
        unreachable: true,
    }
}

fn unit(name: &str, kind: &'static str, machine: Option<&str>) -> Trouble {
    Trouble {
        kind,
        machine: machine.map(str::to_owned),
        unit: Some(name.parse().unwrap()),
        text: format!("Unit {name}: it does not run"),
        shared: None,
        unreachable: kind == "machine unavailable",
    }
}

#[test]
fn an_incident_has_one_alert_and_one_all_clear() {
    let mut case = Case::new(rules());
    let down = [machine("web1"), unit("a.service", "machine unavailable", Some("web1"))];
    // 10 s with the problem, and 3 s in which others may come.
    assert_eq!(case.looks(0..300, &down), ["14: problem: web1 is down: connect: no answer"]);
    assert_eq!(case.ledger.open().count(), 1);
    // A minute without the problem.
    let ended = "364: clear: ended after 5 min: web1 is down: connect: no answer";
    assert_eq!(case.looks(300..900, &[]), [ended]);
    assert!(case.ledger.is_empty());
}

#[test]
fn a_restart_is_no_alert_and_a_crash_loop_is_one() {
    let mut case = Case::new(rules());
    let down = [unit("a.service", "not active", Some("web1"))];
    assert!(case.looks(0..4, &down).is_empty() && case.looks(4..200, &[]).is_empty());
    assert!(case.ledger.is_empty());
    // Six seconds of every thirty.
    let mut said = Vec::new();
    for round in 10..20 {
        let start = round * 30;
        said.extend(case.looks(start..start + 6, &down));
        said.extend(case.looks(start + 6..start + 30, &[]));
    }
    said.extend(case.looks(600..900, &[]));
    // It was seen for 4 s of each round.
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("problem: Unit a.service: it does not run"), "{said:?}");
    assert!(said[1].contains("clear: ended after"), "{said:?}");
}

#[test]
fn a_rack_is_one_message_that_counts_what_it_does_not_name() {
    let mut case = Case::new(rules());
    let rack: Vec<Trouble> = (100..600).map(|number| machine(&format!("web{number}"))).collect();
    let text = "14: problem: web100, web101, web102, web103, web104 and 95 more machines are down: connect: no answer \
                / and 400 more";
    assert_eq!(case.looks(0..120, &rack), [text]);
    let many: Vec<Trouble> =
        (0..30).map(|number| unit(&format!("u{number}.service"), "not active", Some("core"))).collect();
    let said = case.looks(120..150, &[rack, many].concat());
    assert!(said.len() == 1 && said[0].ends_with("/ and 10 more"), "{said:?}");
}

#[test]
fn a_receiver_gets_one_message_of_a_status_in_half_a_minute() {
    let mut case = Case::new(rules());
    let names: Vec<String> = (0..60).map(|number| format!("u{number}.service")).collect();
    let mut said = Vec::new();
    for second in (0..240).step_by(2) {
        let count = usize::try_from(second / 4).unwrap();
        let troubles: Vec<Trouble> = names.iter().take(count).map(|name| unit(name, "not active", None)).collect();
        if let Some(message) = case.look(second, &troubles) {
            case.ledger.sent(at(second));
            said.push((second, message.incidents.len()));
        }
    }
    assert!(said.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 30), "{said:?}");
    assert_eq!(said.len(), 8, "{said:?}");
}

#[test]
fn a_new_leader_repeats_no_alert_and_loses_none() {
    let mut first = Case::new(rules());
    let down = [machine("web1")];
    let sent = first.looks(0..20, &down);
    assert_eq!(sent.len(), 1);
    let mut second = first.other_leader();
    assert!(second.looks(20..200, &down).is_empty(), "it was told");
    let mut third = second.other_leader();
    let ended = "264: clear: ended after 3 min: web1 is down: connect: no answer";
    assert_eq!(third.looks(200..400, &[])[..], [ended]);
    // The second leader has not taken part since, and has the same records.
    assert!(third.other_leader().ledger.is_empty());
}

#[test]
fn a_message_that_a_killed_leader_may_have_sent_is_sent_again_after_its_time_limit_with_the_same_id() {
    let mut first = Case::new(rules());
    let down = [machine("web1")];
    let message = (0..20).step_by(2).find_map(|second| first.look(second, &down)).unwrap();
    assert_eq!(message.at, at(14));
    let mut second = first.other_leader();
    let again = (16..60).step_by(2).find_map(|now| Some((now, second.look(now, &down)?)));
    assert_eq!(again, Some((30, message)));
    second.ledger.sent(at(30));
    assert!(second.looks(32..300, &down).is_empty());
    // The clock of the first leader was an hour ahead.
    let mut ahead = Case::new(rules());
    let message = (3600..3620).step_by(2).find_map(|second| ahead.look(second, &down)).unwrap();
    assert_eq!(ahead.other_leader().look(0, &down), Some(message));
}

#[test]
fn a_message_that_fails_is_sent_again_after_longer_and_longer_delays_and_its_all_clear_follows_it() {
    let mut case = Case::new(rules());
    let down = [machine("web1")];
    let mut tries = Vec::new();
    for second in (0..3000).step_by(2) {
        let troubles = if second < 1000 { &down[..] } else { &[] };
        if let Some(message) = case.look(second, troubles) {
            tries.push((second, message.status));
            match second {
                ..2500 => case.ledger.failed(at(second)),
                _ => case.ledger.sent(at(second)),
            }
        }
    }
    let seconds: Vec<u64> = tries.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [14, 24, 44, 84, 164, 324, 644, 1244, 1844, 2444]);
    assert!(tries.iter().all(|(_, status)| *status == Status::Problem));
    let said = case.looks(3044..3200, &[]);
    assert!(said[0].contains("problem: web1 is down"), "{said:?}");
    assert!(said.len() == 2 && said[1].contains("clear: ended after 16 min: web1"), "{said:?}");
}

#[test]
fn a_problem_that_stands_is_told_again_and_its_end_only_if_that_is_asked_for() {
    let hour = Duration::from_hours(1);
    let mut case = Case::new(Rules { remind: Some(hour), clears: false, ..rules() });
    let said = case.looks(0..8000, &[machine("web1")]);
    let text = "web1 is down: connect: no answer";
    assert_eq!(
        said,
        [format!("14: problem: {text}"), format!("3618: reminder: {text}"), format!("7222: reminder: {text}")]
    );
    assert!(case.looks(8000..9000, &[]).is_empty() && case.ledger.is_empty());
}

#[test]
fn a_problem_must_be_there_for_as_long_as_the_receiver_or_its_kind_says() {
    let first = |rules: Rules, trouble: Trouble| {
        let mut case = Case::new(rules);
        (0..2000).step_by(2).find(|second| case.look(*second, std::slice::from_ref(&trouble)).is_some())
    };
    assert_eq!(first(rules(), unit("a.service", "not active", None)), Some(14));
    assert_eq!(first(rules(), unit("a.service", "not on machine", None)), Some(124));
    assert_eq!(first(rules(), unit("a.service", "pulling", None)), Some(904));
    let patient = Rules { min_duration: Some(Duration::from_mins(5)), ..rules() };
    assert_eq!(first(patient, machine("web1")), Some(304));
}

#[test]
fn a_sweep_tells_at_once_and_waits_for_what_is_under_way_until_a_later_sweep() {
    let sweep = |case: &Case| Case { pace: Pace::SWEEP, ..case.other_leader() };
    let mut first = Case { pace: Pace::SWEEP, ..Case::new(rules()) };
    let troubles = [machine("web1"), unit("a.service", "not on machine", Some("web2"))];
    let message = first.look(0, &troubles).unwrap();
    assert_eq!(without_ids(&message), "problem: web1 is down: connect: no answer");
    first.ledger.sent(at(1));
    let mut second = sweep(&first);
    let message = second.look(300, &troubles).unwrap();
    assert_eq!(without_ids(&message), "problem: Unit a.service: it does not run");
    second.ledger.sent(at(301));
    let mut third = sweep(&second);
    assert_eq!(third.look(600, &[]).map(|it| (it.status, it.incidents.len())), Some((Status::Clear, 2)));
}

#[test]
fn a_receiver_is_told_what_its_lists_select() {
    let globs = |texts: &[&str]| texts.iter().map(|text| Glob::parse(text).unwrap()).collect::<Vec<_>>();
    let all = [
        machine("web1"),
        machine("db1"),
        unit("a.service", "not active", Some("web1")),
        unit("b.timer", "unschedulable", None),
        Trouble { kind: "unsettled", machine: None, ..machine("x") },
    ];
    let selected = |selector: Selector| -> Vec<usize> {
        all.iter().enumerate().filter(|(_, trouble)| selector.selects(trouble)).map(|(index, _)| index).collect()
    };
    let none = Selector::default;
    assert_eq!(selected(none()), [0, 1, 2, 3, 4]);
    assert_eq!(selected(Selector { kinds: globs(&["machine *"]), ..none() }), [0, 1]);
    assert_eq!(selected(Selector { machines: globs(&["web*"]), ..none() }), [0, 2]);
    assert_eq!(selected(Selector { units: globs(&["*.timer", "*.service"]), ..none() }), [2, 3]);
    assert_eq!(selected(Selector { group_machines: Some(["db1".to_owned()].into()), ..none() }), [1]);
    assert_eq!(selected(Selector { group_machines: Some([].into()), ..none() }), [0_usize; 0]);
    assert_eq!(selected(Selector { units: globs(&["*"]), machines: globs(&["web1"]), ..none() }), [2]);
}

#[test]
fn the_ledger_is_bounded_and_says_how_many_problems_have_no_room() {
    let mut case = Case::new(rules());
    let many: Vec<Trouble> = (0..1500).map(|number| unit(&format!("u{number}.service"), "not active", None)).collect();
    let message = (0..20).step_by(2).find_map(|second| case.look(second, &many)).unwrap();
    assert_eq!((message.incidents.len(), message.omitted), (100, 1400));
    assert!(message.text().lines().count() <= 22);
    let stored = serde_json::to_vec(&case.ledger.stored(&case.rules, case.pace)).unwrap();
    assert!(stored.len() < 512 * 1024, "a commit takes a megabyte: {}", stored.len());
}

#[test]
fn the_problems_of_one_subject_are_one_incident_and_a_kind_is_a_word_of_the_settings() {
    let mut case = Case::new(rules());
    let global = |name| unit("g.service", "not active", Some(name));
    let said = case.looks(0..60, &[global("web1"), global("web2"), global("web3")]);
    assert_eq!(said, ["14: problem: Unit g.service: it does not run (and 2 more)"]);
    for health in Health::ALL {
        let kind = kind_of(TroubleKind::MachineUnavailable, Some(health), false);
        assert!(kind.is_none_or(|kind| KINDS.contains(&kind)), "{health}");
        assert_eq!(kind.is_none(), health == Health::Alive);
    }
    assert!(KINDS.is_sorted());
    assert_eq!(kind_of(TroubleKind::Draining, None, true), None);
    assert_eq!(kind_of(TroubleKind::MachineUnavailable, None, true), Some("machine unavailable"));
}
