use super::*;

fn attempt() -> FailedAttempt {
    FailedAttempt { phase: Phase::Connect, detail: "silence".to_owned(), hint: None }
}

fn no_answer(reaching: &[&str], not_reaching: &[&str], asked: bool) -> HealthReason {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let peers = PeerReports { reaching: names(reaching), not_reaching: names(not_reaching) };
    HealthEvidence::NoAnswer { seconds: 8, attempt: attempt(), peers, asked }.into()
}

#[test]
fn every_reason_has_its_text() {
    let answers = || HealthReason::from(HealthEvidence::Answers);
    let through = HealthEvidence::AnswersThrough { relay: "core-02".to_owned(), direct: attempt() };
    let zone = FailoverBlock::ZoneBrake { zone: "zone=a".to_owned(), silent: 2, all: 3 };
    let login = FailedAttempt { phase: Phase::Authenticate, ..attempt() };
    let login = HealthEvidence::NoAnswer { seconds: 8, attempt: login, peers: PeerReports::default(), asked: false };
    let table: [(HealthReason, &str); 14] = [
        (login.into(), "no successful visit for 8 s; authenticate: silence"),
        (answers(), "answers"),
        (HealthEvidence::VisitFailed(attempt()).into(), "connect: silence"),
        (through.into(), "reached through core-02; directly: connect: silence"),
        (
            HealthEvidence::LoggingIn { phase: Phase::Authenticate, before: attempt() }.into(),
            "its sshd speaks again: authenticate; before: connect: silence",
        ),
        (no_answer(&[], &[], false), "no answer for 8 s; connect: silence"),
        (no_answer(&[], &[], true), "no answer for 8 s; connect: silence; its peers are asked"),
        (
            no_answer(&[], &["a"], false),
            "no answer for 8 s; connect: silence; the peer that was asked does not reach its sshd: a",
        ),
        (
            no_answer(&[], &["a", "b"], false),
            "no answer for 8 s; connect: silence; none of 2 peers reaches its sshd: a, b",
        ),
        (no_answer(&["a"], &["b"], false), "no answer for 8 s; connect: silence; 1 of 2 peers reaches its sshd: a"),
        (no_answer(&["a", "b"], &[], false), "no answer for 8 s; connect: silence; 2 of 2 peers reach its sshd: a, b"),
        (
            HealthReason { block: Some(zone), ..answers() },
            "2 of 3 machines of zone=a are silent at the same time: the path there may be at fault, and nothing is moved; \
             answers",
        ),
        (
            HealthReason { block: Some(FailoverBlock::Limit { moved: 3, minutes: 10 }), ..answers() },
            "the units of 3 machines were moved within 10 minutes: more are not moved now; answers",
        ),
        (
            HealthReason {
                forced_by: Some("root@desk".to_owned()),
                assessed: Some(Health::Sick),
                hold_down: Some(HoldDown { outages: 2, seconds: 60 }),
                ..answers()
            },
            "answers; failed over by order of root@desk; takes nothing new for 60 s: it went down 2 times within an hour",
        ),
    ];
    for (reason, text) in table {
        assert_eq!(reason.to_string(), text);
        let json = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<HealthReason>(&json).unwrap(), reason, "{json}");
    }
}

#[test]
fn every_text_of_a_reason_is_cut() {
    let mut reason = no_answer(&["a name"], &["another name"], false);
    reason.forced_by = Some("root@desk".to_owned());
    reason.block = Some(FailoverBlock::ZoneBrake { zone: "zone=a".to_owned(), silent: 1, all: 2 });
    assert!(reason.bounded(1).texts().all(|text| text.chars().count() <= 2));
}
