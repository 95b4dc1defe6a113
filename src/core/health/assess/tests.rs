use super::*;
use crate::core::health::evidence::Relay;
use crate::core::health::peers::PeerProbes;
use crate::core::model::MachineId;

const DETECTION: DetectionConfig = DetectionConfig { down_after: Duration::from_secs(10), brake: BRAKE };

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn failure(kind: FailureKind) -> Failure {
    Failure { host: "core-01".to_owned(), phase: Phase::Connect, kind, detail: "no".to_owned(), hint: None }
}

/// Makes the evidence of a machine that answered at second 0 and failed in these ways at these seconds.
fn seen(failures: &[(u64, FailureKind)]) -> Evidence {
    let mut evidence = Evidence::new(at(0));
    evidence.answer(at(0));
    for (second, kind) in failures {
        evidence.fail(at(*second), failure(*kind));
    }
    evidence
}

fn health(evidence: &Evidence, now: u64) -> Option<Health> {
    assess(evidence, DETECTION, at(now)).map(|assessment| assessment.health)
}

#[test]
fn a_machine_without_a_finished_visit_has_no_health() {
    assert_eq!(assess(&Evidence::new(at(0)), DETECTION, at(1000)), None);
}

#[test]
fn a_machine_that_answers_is_alive_however_long_ago_that_was() {
    assert_eq!(health(&seen(&[]), 1000), Some(Health::Alive));
}

#[test]
fn each_kind_of_failure_leads_to_its_health_after_the_detection_time() {
    let table = [
        (FailureKind::Silent, Health::Down),
        (FailureKind::NoRoute, Health::Down),
        (FailureKind::Reset, Health::Down),
        (FailureKind::WrongMachine, Health::Down),
        (FailureKind::Refused, Health::SshdDown),
        (FailureKind::Throttled, Health::Throttled),
        (FailureKind::HostKey, Health::Sick),
        (FailureKind::Denied, Health::Sick),
        (FailureKind::Sick, Health::Sick),
        (FailureKind::Path, Health::Down),
        (FailureKind::Local, Health::Unreachable),
    ];
    for (kind, expected) in table {
        let evidence = seen(&[(1, kind), (9, kind)]);
        assert_eq!(health(&evidence, 9), Some(Health::Suspect), "{kind:?} within detection");
        assert_eq!(health(&evidence, 10), Some(expected), "{kind:?} after detection");
    }
}

#[test]
fn time_alone_ends_a_suspicion_and_the_assessment_says_when() {
    let evidence = seen(&[(1, FailureKind::Silent), (5, FailureKind::Silent)]);
    assert_eq!(assess(&evidence, DETECTION, at(5)).unwrap().again, Some(at(10)));
}

#[test]
fn one_failed_visit_is_a_suspicion_at_most() {
    assert_eq!(health(&seen(&[(1, FailureKind::Silent)]), 1000), Some(Health::Suspect));
}

#[test]
fn a_host_that_was_up_recently_is_not_down() {
    let evidence = seen(&[(1, FailureKind::Silent), (9, FailureKind::Refused), (11, FailureKind::Silent)]);
    assert_eq!(health(&evidence, 12), Some(Health::SshdDown));
    assert_eq!(health(&evidence, 20), Some(Health::Down));
}

#[test]
fn an_answer_clears_everything() {
    let mut evidence = seen(&[(1, FailureKind::Silent), (9, FailureKind::Silent)]);
    evidence.answer(at(11));
    assert_eq!(health(&evidence, 12), Some(Health::Alive));
}

#[test]
fn stalls_of_the_leaders_process_do_not_count_as_silence() {
    let mut evidence = seen(&[(1, FailureKind::Silent), (2, FailureKind::Silent)]);
    evidence.stalled(Duration::from_secs(50), at(60));
    assert_eq!(health(&evidence, 59), Some(Health::Suspect));
    assert_eq!(health(&evidence, 60), Some(Health::Down), "ten seconds are left of the sixty");
    let mut evidence = seen(&[(1, FailureKind::Silent), (2, FailureKind::Silent)]);
    evidence.stalled(Duration::from_secs(500), at(60));
    assert_eq!((health(&evidence, 69), health(&evidence, 70)), (Some(Health::Suspect), Some(Health::Down)));
}

#[test]
fn only_the_first_and_the_latest_failures_are_kept() {
    let many: Vec<_> = (1..100).map(|second| (second, FailureKind::Silent)).collect();
    let evidence = seen(&many);
    let kept: Vec<u64> = evidence.failures.iter().map(|failed| failed.at.as_millis() / 1000).collect();
    assert_eq!(kept, [1, 96, 97, 98, 99]);
}

/// A visit that failed: the phases that it reported and when, when it ended, in which phase, and how.
type Visit<'a> = (&'a [(u64, Phase)], u64, Phase, FailureKind);

/// Makes the evidence of a machine that answered at second 0 and of these visits.
fn visited(visits: &[Visit<'_>]) -> Evidence {
    let mut evidence = seen(&[]);
    for (progress, end, phase, kind) in visits {
        for (second, phase) in *progress {
            evidence.progress(*phase, at(*second));
        }
        evidence.fail(at(*end), Failure { phase: *phase, ..failure(*kind) });
    }
    evidence
}

use FailureKind::Silent;
use Phase::Authenticate;
use Phase::Connect;
use Phase::KeyExchange;
use Phase::Run;
use Phase::Shell;

/// A connection that was open before and has ended.
const DIED: Visit<'_> = (&[], 3, Run, Silent);

#[test]
fn a_machine_whose_login_hangs_is_sick_and_never_down() {
    let mut evidence = visited(&[DIED, (&[(4, KeyExchange), (4, Authenticate)], 24, Authenticate, Silent)]);
    for second in 24..200 {
        assert_eq!(health(&evidence, second), Some(Health::Sick), "after {second} s");
    }
    for attempt in 1..9 {
        let begins = attempt * 25;
        evidence.progress(KeyExchange, at(begins));
        evidence.progress(Authenticate, at(begins));
        let during = (begins..begins + 20).map(|second| health(&evidence, second));
        assert!(during.into_iter().all(|health| health == Some(Health::Sick)));
        evidence.fail(at(begins + 20), Failure { phase: Authenticate, ..failure(Silent) });
        assert!((begins + 20..begins + 25).all(|second| health(&evidence, second) == Some(Health::Sick)));
    }
}

#[test]
fn a_machine_that_hangs_after_the_greeting_of_its_sshd_is_sick_in_every_phase() {
    let table: [Visit<'_>; 4] = [
        (&[(4, KeyExchange)], 10, KeyExchange, Silent),
        (&[(4, KeyExchange), (4, Authenticate)], 24, Authenticate, Silent),
        (&[(4, KeyExchange), (4, Authenticate), (5, Shell)], 20, Shell, Silent),
        (&[(4, KeyExchange), (4, Authenticate), (5, Shell), (5, Run)], 8, Run, Silent),
    ];
    for visit in table {
        assert_eq!(health(&visited(&[DIED, visit]), 40), Some(Health::Sick), "{visit:?}");
    }
}

#[test]
fn a_sick_machine_that_falls_silent_is_down_after_the_detection_time() {
    let hung: Visit<'_> = (&[(4, KeyExchange), (4, Authenticate)], 24, Authenticate, Silent);
    let evidence = visited(&[DIED, hung, (&[], 29, Connect, Silent)]);
    assert_eq!(health(&evidence, 33), Some(Health::Sick), "its sshd spoke until second 24");
    assert_eq!(health(&evidence, 34), Some(Health::Down));
    assert!(evidence.is_silent());
}

#[test]
fn a_login_under_way_is_proof_of_life_while_it_lasts() {
    let mut evidence = visited(&[DIED, (&[], 8, Connect, Silent)]);
    assert_eq!(health(&evidence, 10), Some(Health::Down));
    evidence.progress(KeyExchange, at(11));
    assert!((11..30).all(|second| health(&evidence, second) == Some(Health::Suspect)) && !evidence.is_silent());
    evidence.progress(Authenticate, at(11));
    assert!((11..30).all(|second| health(&evidence, second) == Some(Health::Suspect)));
}

#[test]
fn a_sign_of_life_during_a_long_script_counts_from_its_own_time() {
    let long: Visit<'_> = (&[(20, Run), (21, Run), (22, Run)], 26, Run, Silent);
    let evidence = visited(&[long, (&[], 30, Connect, Silent)]);
    assert_eq!(health(&evidence, 31), Some(Health::Suspect), "it spoke at second 22");
    assert_eq!(health(&evidence, 32), Some(Health::Down));
    assert!(evidence.is_silent());
}

#[test]
fn an_answer_of_another_machine_at_the_address_is_no_proof_of_life() {
    let strange: Visit<'_> = (&[(4, KeyExchange), (4, Authenticate), (5, Run)], 6, Run, FailureKind::WrongMachine);
    let evidence = visited(&[DIED, strange]);
    assert_eq!(health(&evidence, 9), Some(Health::Suspect));
    assert_eq!(health(&evidence, 10), Some(Health::Down));
}

#[test]
fn a_path_that_fails_counts_as_silence() {
    let path: Visit<'_> = (&[], 8, Connect, FailureKind::Path);
    let evidence = visited(&[DIED, path]);
    assert_eq!((health(&evidence, 9), health(&evidence, 10)), (Some(Health::Suspect), Some(Health::Down)));
    assert!(evidence.is_silent() && evidence.needs_peer_probe());
}

#[test]
fn only_machines_without_a_sign_of_life_are_silent() {
    let silent = |kind| seen(&[(1, kind), (9, kind)]).is_silent();

    let quiet = [Silent, FailureKind::NoRoute, FailureKind::Reset, FailureKind::Path, FailureKind::WrongMachine];
    let loud = [
        FailureKind::Refused,
        FailureKind::Throttled,
        FailureKind::HostKey,
        FailureKind::Denied,
        FailureKind::Sick,
        FailureKind::Local,
    ];
    assert!(quiet.into_iter().all(silent) && !loud.into_iter().any(silent));
    assert!(!seen(&[]).is_silent());
}

#[test]
fn the_end_of_an_open_connection_is_no_proof_of_life() {
    assert_eq!(health(&visited(&[DIED, (&[], 9, Connect, Silent)]), 12), Some(Health::Down));
}

#[test]
fn a_host_that_accepts_a_connection_and_says_nothing_gets_twice_the_time() {
    let evidence = visited(&[DIED, (&[], 9, KeyExchange, Silent)]);
    assert_eq!(health(&evidence, 19), Some(Health::Suspect));
    assert_eq!(health(&evidence, 20), Some(Health::Down));
}

#[test]
fn the_brake_is_on_when_more_machines_than_its_share_are_silent() {
    assert!(!DETECTION.is_brake_on(1, 2) && !DETECTION.is_brake_on(1, 3) && !DETECTION.is_brake_on(5, 10));
    assert!(DETECTION.is_brake_on(2, 3) && DETECTION.is_brake_on(6, 10) && DETECTION.is_brake_on(1, 1));
}

/// Adds the reports of the peers, numbered from 1, that were asked at this second; `None` for a peer that has not
/// answered yet.
fn advised(mut evidence: Evidence, second: u64, answers: &[Option<bool>]) -> Evidence {
    for (number, reached) in (1..).zip(answers) {
        let peer = MachineId::from_bits(number);
        evidence.peers.ask(peer, at(second));
        if reached.is_some() {
            evidence.peers.record(peer, &format!("core-0{number}"), *reached);
        }
    }
    evidence
}

fn silent() -> Evidence {
    seen(&[(1, FailureKind::Silent), (9, FailureKind::Silent)])
}

#[test]
fn peer_reports_decide_the_health_of_a_silent_machine() {
    let (yes, no) = (Some(true), Some(false));
    let table: [(&[Option<bool>], Health, &str); 6] = [
        (&[yes, yes], Health::PathFault, "2 of 2 peers reach its sshd: core-01, core-02"),
        (&[no, yes], Health::PathFault, "1 of 2 peers reaches its sshd: core-02"),
        (&[yes, None], Health::PathFault, "1 of 1 peers reaches its sshd: core-01"),
        (&[no, no], Health::Down, "none of 2 peers reaches its sshd: core-01, core-02"),
        (&[no], Health::Down, "the peer that was asked does not reach its sshd: core-01"),
        (&[], Health::Down, "connect: no"),
    ];
    for (answers, expected, words) in table {
        let evidence = advised(silent(), 5, answers);
        assert_eq!(health(&evidence, 9), Some(Health::Suspect), "within detection");
        let assessment = assess(&evidence, DETECTION, at(12)).unwrap();
        assert_eq!(assessment.health, expected, "{answers:?}");
        assert!(assessment.reason.to_string().ends_with(words), "{}", assessment.reason);
    }
}

#[test]
fn an_awaited_answer_delays_the_assessment_for_as_long_as_an_answer_may_take() {
    let evidence = advised(silent(), 9, &[None, Some(false)]);
    let assessment = assess(&evidence, DETECTION, at(10)).unwrap();
    assert_eq!((assessment.health, assessment.again), (Health::Suspect, Some(at(13))));
    assert_eq!(health(&evidence, 13), Some(Health::Down));
    // A peer that is asked long after the detection time is not awaited.
    assert_eq!(health(&advised(silent(), 30, &[None, None]), 31), Some(Health::Down));
    // Two reports are enough.
    assert_eq!(health(&advised(silent(), 9, &[Some(false), Some(false), None]), 10), Some(Health::Down));
}

#[test]
fn a_report_ages_and_the_assessment_says_when() {
    let evidence = advised(silent(), 9, &[Some(true)]);
    let assessment = assess(&evidence, DETECTION, at(11)).unwrap();
    assert_eq!((assessment.health, assessment.again), (Health::PathFault, Some(at(24))));
    assert_eq!(health(&evidence, 24), Some(Health::Down));
}

#[test]
fn the_latest_report_of_a_peer_counts() {
    let evidence = advised(advised(silent(), 5, &[Some(true)]), 10, &[Some(false)]);
    assert_eq!(health(&evidence, 12), Some(Health::Down));
    let evidence = advised(advised(silent(), 5, &[Some(false)]), 10, &[Some(true)]);
    assert_eq!(health(&evidence, 12), Some(Health::PathFault));
}

#[test]
fn reports_that_were_not_requested_and_failed_probes_do_not_count() {
    let mut evidence = silent();
    evidence.peers.record(MachineId::from_bits(1), "core-01", Some(true));
    assert_eq!(health(&evidence, 12), Some(Health::Down));
    let mut evidence = advised(silent(), 9, &[None]);
    evidence.peers.record(MachineId::from_bits(1), "core-01", None);
    assert_eq!(health(&evidence, 10), Some(Health::Down));
}

#[test]
fn peers_that_reach_another_machine_at_the_address_prove_nothing() {
    let evidence = advised(seen(&[(1, FailureKind::WrongMachine), (9, FailureKind::WrongMachine)]), 9, &[Some(true)]);
    assert_eq!(health(&evidence, 12), Some(Health::Down));
    // Peers have found the address silent before the other machine came to it.
    let evidence = advised(seen(&[(1, FailureKind::Silent), (9, FailureKind::WrongMachine)]), 8, &[Some(false)]);
    let assessment = assess(&evidence, DETECTION, at(12)).unwrap();
    assert_eq!(
        (assessment.health, assessment.reason.to_string()),
        (Health::Down, "no answer for 12 s; connect: no".to_owned())
    );
    // A machine that rejects the login is up, whatever peers report.
    let evidence = advised(seen(&[(1, FailureKind::Denied), (9, FailureKind::Denied)]), 9, &[Some(true)]);
    assert_eq!(health(&evidence, 12), Some(Health::Sick));
    // A refused connection may come from a firewall.
    let evidence = advised(seen(&[(1, FailureKind::Refused), (9, FailureKind::Refused)]), 9, &[Some(true)]);
    assert_eq!(health(&evidence, 12), Some(Health::PathFault));
}

#[test]
fn a_machine_that_answers_through_a_relay_has_a_path_fault() {
    let peer = MachineId::from_bits(1);
    let mut evidence = advised(silent(), 9, &[Some(true), Some(true)]);
    evidence.relay = Some(Relay { through: peer, name: "core-01".to_owned(), works: false });
    evidence.answer_through(peer, at(12));
    let assessment = assess(&evidence, DETECTION, at(500)).unwrap();
    assert_eq!(assessment.health, Health::PathFault);
    assert_eq!(assessment.reason.to_string(), "reached through core-01; directly: connect: no");
    assert!(evidence.answers() && !evidence.answers_directly());
    evidence.answer_through(peer, at(600));
    evidence.fail_through(peer, &failure(FailureKind::Silent), at(601));
    // Reports from before the relay failed do not count, and the silence begins with the last answer.
    assert_eq!(health(&evidence, 601), Some(Health::Suspect));
    assert_eq!(health(&evidence, 610), Some(Health::Down));
    evidence.answer(at(611));
    assert_eq!(health(&evidence, 612), Some(Health::Alive));
}

#[test]
fn a_round_asks_two_peers_and_a_third_after_a_probe_without_a_report() {
    let mut peers = PeerProbes::new();
    let every = Duration::from_secs(5);
    let peer = MachineId::from_bits;
    assert_eq!(peers.begin_round(every, at(0)), 2);
    peers.ask(peer(1), at(0));
    assert_eq!(peers.wanted(every, at(0)), 1);
    peers.ask(peer(2), at(0));
    assert_eq!(peers.wanted(every, at(1)), 0);
    peers.record(peer(1), "core-01", None);
    assert_eq!(peers.wanted(every, at(2)), 1);
    peers.ask(peer(3), at(2));
    peers.record(peer(2), "core-02", None);
    assert_eq!(peers.wanted(every, at(3)), 0, "three are enough for one round");
    assert_eq!(peers.next_round(every), Some(at(5)));
    assert_eq!(peers.begin_round(every, at(5)), 2);
}
