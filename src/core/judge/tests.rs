use super::*;

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
