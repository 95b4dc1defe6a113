use super::*;
use crate::core::health::evidence::Detour;
use crate::core::health::peers::Counsel;
use crate::core::model::MachineId;

const PATIENCE: Patience = Patience { down_after: Duration::from_secs(10), brake: BRAKE };

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn failure(kind: FailureKind) -> Failure {
    Failure { host: "core-01".to_owned(), phase: Phase::Connect, kind, detail: "no".to_owned(), hint: None }
}

/// What was seen of a machine that answered at second 0 and failed in these ways at these seconds.
fn seen(failures: &[(u64, FailureKind)]) -> Evidence {
    let mut evidence = Evidence::new(at(0));
    evidence.answer(at(0));
    for (second, kind) in failures {
        evidence.fail(at(*second), failure(*kind));
    }
    evidence
}

fn verdict(evidence: &Evidence, now: u64) -> Option<Verdict> {
    judge(evidence, PATIENCE, at(now)).map(|judgement| judgement.verdict)
}

#[test]
fn who_has_not_looked_has_no_verdict() {
    assert_eq!(judge(&Evidence::new(at(0)), PATIENCE, at(1000)), None);
}

#[test]
fn a_machine_that_answers_is_alive_however_long_ago_that_was() {
    assert_eq!(verdict(&seen(&[]), 1000), Some(Verdict::Alive));
}

#[test]
fn what_failures_mean_once_patience_is_over() {
    let table = [
        (FailureKind::Silent, Verdict::Down),
        (FailureKind::NoRoute, Verdict::Down),
        (FailureKind::Reset, Verdict::Down),
        (FailureKind::Stranger, Verdict::Down),
        (FailureKind::Refused, Verdict::SshdDown),
        (FailureKind::Throttled, Verdict::Throttled),
        (FailureKind::HostKey, Verdict::Sick),
        (FailureKind::Denied, Verdict::Sick),
        (FailureKind::Sick, Verdict::Sick),
        (FailureKind::Local, Verdict::Unreachable),
    ];
    for (kind, expected) in table {
        let evidence = seen(&[(1, kind), (9, kind)]);
        assert_eq!(verdict(&evidence, 9), Some(Verdict::Suspect), "{kind:?} within patience");
        assert_eq!(verdict(&evidence, 10), Some(expected), "{kind:?} after it");
    }
}

#[test]
fn time_alone_ends_the_suspicion_and_the_judge_says_when() {
    let evidence = seen(&[(1, FailureKind::Silent), (5, FailureKind::Silent)]);
    assert_eq!(judge(&evidence, PATIENCE, at(5)).unwrap().again, Some(at(10)));
}

#[test]
fn one_failed_trip_condemns_nobody() {
    assert_eq!(verdict(&seen(&[(1, FailureKind::Silent)]), 1000), Some(Verdict::Suspect));
}

#[test]
fn a_host_that_was_up_a_moment_ago_is_not_dead() {
    let evidence = seen(&[(1, FailureKind::Silent), (9, FailureKind::Refused), (11, FailureKind::Silent)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::SshdDown));
    assert_eq!(verdict(&evidence, 20), Some(Verdict::Down));
}

#[test]
fn an_answer_clears_everything() {
    let mut evidence = seen(&[(1, FailureKind::Silent), (9, FailureKind::Silent)]);
    evidence.answer(at(11));
    assert_eq!(verdict(&evidence, 12), Some(Verdict::Alive));
}

#[test]
fn silence_while_we_were_away_ourselves_does_not_count() {
    let mut evidence = seen(&[(1, FailureKind::Silent), (2, FailureKind::Silent)]);
    evidence.resume(at(60));
    assert_eq!(verdict(&evidence, 61), Some(Verdict::Suspect));
    assert_eq!(verdict(&evidence, 70), Some(Verdict::Down));
}

#[test]
fn only_the_first_and_the_latest_failures_are_kept() {
    let many: Vec<_> = (1..100).map(|second| (second, FailureKind::Silent)).collect();
    let evidence = seen(&many);
    let kept: Vec<u64> = evidence.failures.iter().map(|(at, _)| at.as_millis() / 1000).collect();
    assert_eq!(kept, [1, 96, 97, 98, 99]);
}

fn seen_in(phases: &[(u64, Phase)]) -> Evidence {
    let mut evidence = seen(&[]);
    for (second, phase) in phases {
        evidence.fail(at(*second), Failure { phase: *phase, ..failure(FailureKind::Silent) });
    }
    evidence
}

#[test]
fn a_host_that_lets_us_in_and_does_nothing_is_sick_and_not_dead() {
    assert_eq!(verdict(&seen_in(&[(1, Phase::Run), (9, Phase::Run)]), 12), Some(Verdict::Sick));
    assert_eq!(verdict(&seen_in(&[(1, Phase::Run), (9, Phase::Authenticate)]), 12), Some(Verdict::Sick));
}

#[test]
fn a_connection_that_was_open_before_proves_nothing_when_it_dies() {
    assert_eq!(verdict(&seen_in(&[(1, Phase::Run), (9, Phase::Connect)]), 12), Some(Verdict::Down));
}

#[test]
fn a_host_that_opens_the_door_and_says_nothing_is_given_twice_the_time() {
    let evidence = seen_in(&[(1, Phase::Run), (9, Phase::KeyExchange)]);
    assert_eq!(verdict(&evidence, 19), Some(Verdict::Suspect));
    assert_eq!(verdict(&evidence, 20), Some(Verdict::Down));
}

#[test]
fn the_brake_is_on_when_more_than_its_share_went_silent() {
    assert!(!PATIENCE.is_brake_on(1, 2) && !PATIENCE.is_brake_on(1, 3) && !PATIENCE.is_brake_on(5, 10));
    assert!(PATIENCE.is_brake_on(2, 3) && PATIENCE.is_brake_on(6, 10) && PATIENCE.is_brake_on(1, 1));
}

/// What the neighbours numbered from 1 said when asked at this second; `None` for whoever has not answered yet.
fn advised(mut evidence: Evidence, second: u64, answers: &[Option<bool>]) -> Evidence {
    for (number, reached) in (1..).zip(answers) {
        let neighbour = MachineId::from_bits(number);
        evidence.counsel.ask(neighbour, at(second));
        if reached.is_some() {
            evidence.counsel.hear(neighbour, &format!("core-0{number}"), *reached);
        }
    }
    evidence
}

fn silent() -> Evidence {
    seen(&[(1, FailureKind::Silent), (9, FailureKind::Silent)])
}

#[test]
fn what_neighbours_say_of_a_silent_machine() {
    let (yes, no) = (Some(true), Some(false));
    let table: [(&[Option<bool>], Verdict, &str); 6] = [
        (&[yes, yes], Verdict::PathFault, "2 of 2 neighbours reach its sshd: core-01, core-02"),
        (&[no, yes], Verdict::PathFault, "1 of 2 neighbours reaches its sshd: core-02"),
        (&[yes, None], Verdict::PathFault, "1 of 1 neighbours reaches its sshd: core-01"),
        (&[no, no], Verdict::Down, "none of 2 neighbours reaches its sshd: core-01, core-02"),
        (&[no], Verdict::Down, "the neighbour that was asked does not reach its sshd: core-01"),
        (&[], Verdict::Down, "connect: no"),
    ];
    for (answers, expected, words) in table {
        let evidence = advised(silent(), 5, answers);
        assert_eq!(verdict(&evidence, 9), Some(Verdict::Suspect), "within patience");
        let judgement = judge(&evidence, PATIENCE, at(12)).unwrap();
        assert_eq!(judgement.verdict, expected, "{answers:?}");
        assert!(judgement.why.ends_with(words), "{}", judgement.why);
    }
}

#[test]
fn an_answer_on_its_way_is_waited_for_and_no_longer_than_one_takes() {
    let evidence = advised(silent(), 9, &[None, Some(false)]);
    let judgement = judge(&evidence, PATIENCE, at(10)).unwrap();
    assert_eq!((judgement.verdict, judgement.again), (Verdict::Suspect, Some(at(13))));
    assert_eq!(verdict(&evidence, 13), Some(Verdict::Down));
    // Asked long after the time was up, nobody is waited for.
    assert_eq!(verdict(&advised(silent(), 30, &[None, None]), 31), Some(Verdict::Down));
    // Two have spoken: that is enough.
    assert_eq!(verdict(&advised(silent(), 9, &[Some(false), Some(false), None]), 10), Some(Verdict::Down));
}

#[test]
fn an_opinion_ages_and_the_judge_says_when() {
    let evidence = advised(silent(), 9, &[Some(true)]);
    let judgement = judge(&evidence, PATIENCE, at(11)).unwrap();
    assert_eq!((judgement.verdict, judgement.again), (Verdict::PathFault, Some(at(24))));
    assert_eq!(verdict(&evidence, 24), Some(Verdict::Down));
}

#[test]
fn a_neighbour_that_takes_its_word_back_is_believed() {
    let evidence = advised(advised(silent(), 5, &[Some(true)]), 10, &[Some(false)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::Down));
    let evidence = advised(advised(silent(), 5, &[Some(false)]), 10, &[Some(true)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::PathFault));
}

#[test]
fn whoever_was_not_asked_has_no_say_and_a_neighbour_at_fault_none_either() {
    let mut evidence = silent();
    evidence.counsel.hear(MachineId::from_bits(1), "core-01", Some(true));
    assert_eq!(verdict(&evidence, 12), Some(Verdict::Down));
    let mut evidence = advised(silent(), 9, &[None]);
    evidence.counsel.hear(MachineId::from_bits(1), "core-01", None);
    assert_eq!(verdict(&evidence, 10), Some(Verdict::Down));
}

#[test]
fn what_neighbours_reach_at_the_address_is_not_a_machine_that_is_known_to_have_gone() {
    let evidence = advised(seen(&[(1, FailureKind::Stranger), (9, FailureKind::Stranger)]), 9, &[Some(true)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::Down));
    // And one that turns us away is up anyway.
    let evidence = advised(seen(&[(1, FailureKind::Denied), (9, FailureKind::Denied)]), 9, &[Some(true)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::Sick));
    // A reset may be a firewall's.
    let evidence = advised(seen(&[(1, FailureKind::Refused), (9, FailureKind::Refused)]), 9, &[Some(true)]);
    assert_eq!(verdict(&evidence, 12), Some(Verdict::PathFault));
}

#[test]
fn a_machine_that_answers_on_the_way_round_has_a_path_fault_until_it_does_not() {
    let neighbour = MachineId::from_bits(1);
    let mut evidence = advised(silent(), 9, &[Some(true), Some(true)]);
    evidence.detour = Some(Detour { through: neighbour, name: "core-01".to_owned(), works: false });
    evidence.answer_through(neighbour, at(12));
    let judgement = judge(&evidence, PATIENCE, at(500)).unwrap();
    assert_eq!(judgement.verdict, Verdict::PathFault);
    assert_eq!(judgement.why, "reached through core-01; directly: connect: no");
    assert!(evidence.answers() && !evidence.answers_directly());
    evidence.answer_through(neighbour, at(600));
    evidence.fail_through(neighbour, &failure(FailureKind::Silent));
    // What was said before it broke says nothing now, and the silence begins with the last answer.
    assert_eq!(verdict(&evidence, 601), Some(Verdict::Suspect));
    assert_eq!(verdict(&evidence, 610), Some(Verdict::Down));
    evidence.answer(at(611));
    assert_eq!(verdict(&evidence, 612), Some(Verdict::Alive));
}

#[test]
fn a_round_asks_two_and_makes_up_for_one_that_taught_nothing() {
    let mut counsel = Counsel::new();
    let every = Duration::from_secs(5);
    let neighbour = MachineId::from_bits;
    assert_eq!(counsel.wanted(every, at(0)), 2);
    counsel.ask(neighbour(1), at(0));
    assert_eq!(counsel.wanted(every, at(0)), 1);
    counsel.ask(neighbour(2), at(0));
    assert_eq!(counsel.wanted(every, at(1)), 0);
    counsel.hear(neighbour(1), "core-01", None);
    assert_eq!(counsel.wanted(every, at(2)), 1);
    counsel.ask(neighbour(3), at(2));
    counsel.hear(neighbour(2), "core-02", None);
    assert_eq!(counsel.wanted(every, at(3)), 0, "three are enough for one round");
    assert_eq!(counsel.next_round(every), Some(at(5)));
    assert_eq!(counsel.wanted(every, at(5)), 2);
}
