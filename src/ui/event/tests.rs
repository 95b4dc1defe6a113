use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::FailedAttempt;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::FilterReason;
use crate::core::model::ForeignUnits;
use crate::core::model::Health;
use crate::core::model::HealthEvidence;
use crate::core::model::LeaseRefusal;
use crate::core::model::Machine;
use crate::core::model::MachineVerb;
use crate::core::model::Outcome;
use crate::core::model::Phase;
use crate::core::model::PlacementError;
use crate::core::model::Reason;
use crate::core::model::RecipientKey;
use crate::core::model::StepEnd;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::Unloaded;
use crate::core::model::Verb;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;

#[test]
fn a_load_that_has_begun_names_the_image_that_is_pulled_first() {
    let file = UnitFile::parse("[Container]\nImage=docker.io/library/nginx:1\n").unwrap();
    let (action, reason) = (Action::Load { hash: file.hash(), install: false, strict: false }, Reason::NotThere);
    let kind = EventKind::StepEnded(StepEnd { action, reason, outcome: Outcome::Begun, overlap: None });
    let event = Event::new(Timestamp::ZERO, Some(core()), Some("web.container".parse().unwrap()), kind);
    let mut snapshot = snapshot();
    let said = |snapshot: &Snapshot| line(snapshot, &event);
    assert_eq!(said(&snapshot), "core-01 web.container: is being loaded (placed here)\n");
    snapshot.files.insert(file.hash(), Arc::new(file));
    let pulls = "core-01 web.container: pulls docker.io/library/nginx:1, and loads the unit after that\n";
    assert_eq!(said(&snapshot), pulls);
}

fn core() -> MachineId {
    MachineId::from_bits(0xa1 << 120)
}

fn snapshot() -> Snapshot {
    let machine = Machine { id: core(), name: "core-01".to_owned(), ..Machine::default() };
    Snapshot { machines: [(core(), machine)].into(), ..Snapshot::default() }
}

fn event(kind: EventKind) -> Event {
    Event::new(Timestamp::from_millis(5), None, None, kind)
}

fn ended(outcome: Outcome, overlap: Option<Duration>) -> EventKind {
    EventKind::StepEnded(StepEnd { action: Action::Stop, reason: Reason::WantedLoaded, outcome, overlap })
}

fn recipient() -> RecipientKey {
    format!("age1{}", "q".repeat(58)).parse().unwrap()
}

fn failed(active: ActiveState, lease_ended: bool) -> EventKind {
    EventKind::UnitFailed { active, sub: SubState::DEAD, lease_ended }
}

fn least_loaded(moved: Option<RemovalReason>) -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 1, next: Some(3) }, moved }
}

#[test]
fn every_kind_of_event_has_its_text_and_says_whether_it_is_trouble() {
    let attempt = || FailedAttempt { phase: Phase::Connect, detail: "no answer".to_owned(), hint: None };
    let reason = || HealthEvidence::VisitFailed(attempt()).into();
    let health = |to| EventKind::HealthChanged { from: Some(Health::Suspect), to, reason: reason() };
    let answers = |from| EventKind::HealthChanged { from, to: Health::Alive, reason: HealthEvidence::Answers.into() };
    let failure = Failure {
        host: "core-01".to_owned(),
        phase: Phase::Connect,
        kind: FailureKind::Silent,
        detail: "no answer within 4 s".to_owned(),
        hint: None,
    };
    let misfit = RemovalReason::Misfit { machine: core(), filter_reason: FilterReason::Cordoned };
    let table = [
        (health(Health::Down), "down: connect: no answer", true),
        (health(Health::Alive), "alive: connect: no answer", false),
        (answers(None), "alive", false),
        (answers(Some(Health::Down)), "alive again", false),
        (EventKind::UnitPlaced(least_loaded(None)), "placed: fewest units: 1, and the next machine has 3", false),
        (
            EventKind::UnitPlaced(least_loaded(Some(misfit))),
            "placed: core-01: cordoned; fewest units: 1, and the next machine has 3",
            false,
        ),
        (EventKind::UnitRemoved(RemovalReason::WantedInactive), "taken off: wanted inactive", false),
        (EventKind::UnitRequested(Verb::Restart), "restart asked for by op@desk", false),
        (EventKind::MachineRequested(MachineVerb::Drain), "drain asked for by op@desk", false),
        (failed(ActiveState::Failed, false), "failed", true),
        (failed(ActiveState::Inactive, false), "does not run: inactive (dead)", true),
        (failed(ActiveState::Inactive, true), "stopped, because its lease had ended", true),
        (EventKind::UnitRestarted, "ended, and systemd starts it again", true),
        (EventKind::UnitRecovered, "runs again", false),
        (
            EventKind::UnitUnschedulable(PlacementError::InvalidRequirements(None)),
            "no machine for it: its file is missing",
            true,
        ),
        (ended(Outcome::Done, None), "stopped (its desired state is loaded)", false),
        (ended(Outcome::Begun, None), "is being stopped (its desired state is loaded)", false),
        (ended(Outcome::Failed("it hangs".to_owned()), None), "stop failed: it hangs", true),
        (
            ended(Outcome::Lost(failure), None),
            "stop has an unknown outcome, and the machine is observed again: connect: no answer within 4 s",
            false,
        ),
        (
            ended(Outcome::Done, Some(Duration::from_millis(2001))),
            "stopped (its desired state is loaded); two copies ran for at most 3 s",
            false,
        ),
        (
            EventKind::UnknownUnitsUnloaded(Unloaded {
                count: 300,
                done: 299,
                first: vec!["a.service".parse().unwrap()],
            }),
            "unload of 300 units that the cluster does not know (a.service, …): 299 done",
            true,
        ),
        (
            EventKind::ForeignUnitsFound(ForeignUnits {
                count: 2,
                names: ["web.service", "db.service"].map(|name| name.parse().unwrap()).into(),
            }),
            "/run/fleet/units has 2 unit files that muster did not write: db.service, web.service; muster leaves them alone",
            true,
        ),
        (EventKind::LeaseEnded, "its lease has ended: no strict unit runs there", false),
        (EventKind::LeaseRegained, "its lease had ended, and it has one again", false),
        (
            EventKind::LeaseRefused(LeaseRefusal::Unwritable),
            "would not hold a lease: /run cannot be written: is it full?",
            true,
        ),
        (EventKind::FenceBegun, "runs its fence command: it may still run strict units", false),
        (EventKind::FenceCancelled, "answers again: its fence command is not run", false),
        (EventKind::FenceSucceeded, "its fence command succeeded: nothing runs there", false),
        (EventKind::FenceVoid, "its fence command succeeded, but it has answered since: that proves nothing", false),
        (EventKind::FenceFailed { why: "exit status 1".to_owned() }, "its fence command failed: exit status 1", true),
        (
            EventKind::FailoverOverridden,
            "failover forced by op@desk: its units move unless it is alive, whatever the failover policy says",
            false,
        ),
        (
            EventKind::LeadershipTaken { from: "a sweep on desk".to_owned(), why: "it hangs".to_owned() },
            "leadership was taken from a sweep on desk by op@desk: it hangs",
            true,
        ),
        (EventKind::Unreadable { why: "no JSON".to_owned() }, "an event that cannot be parsed: no JSON", true),
    ];
    for (kind, expected, trouble) in table {
        let event = event(kind).by("op@desk");
        assert_eq!(text(&snapshot(), &event), expected);
        assert_eq!(event.kind.is_trouble(), trouble, "{expected}");
    }
}

#[test]
fn a_change_of_secrets_names_the_secret_or_the_recipient_and_the_operator() {
    let table = [
        (EventKind::SecretSet("db".parse().unwrap()), "secret db set by op@desk", false),
        (EventKind::SecretRemoved("db".parse().unwrap()), "secret db removed by op@desk", false),
        (
            EventKind::RecipientAdded { name: "alice".to_owned(), key: recipient() },
            "recipient alice (age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq) added by op@desk",
            false,
        ),
        (
            EventKind::RecipientRemoved { name: "alice".to_owned(), key: recipient() },
            "recipient alice (age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq) removed by op@desk",
            false,
        ),
    ];
    for (kind, expected, trouble) in table {
        let event = event(kind).by("op@desk");
        assert_eq!((text(&snapshot(), &event).as_str(), event.kind.is_trouble()), (expected, trouble));
    }
}

#[test]
fn the_end_of_a_step_says_what_was_done_and_why() {
    let (hash, install, strict) = (Hash::of(b"new"), false, false);
    let load = Action::Load { hash, install, strict };
    for (action, reason, expected) in [
        (load, Reason::NotThere, "loaded (placed here)".to_owned()),
        (load, Reason::FileGone, "loaded (its file was gone)".to_owned()),
        (load, Reason::HashDiffers, format!("loaded with its new file {}", hash.short())),
        (Action::Start { count: 0 }, Reason::WantedLaunched, "started".to_owned()),
        (Action::Start { count: 1 }, Reason::StartAsked, "started (an operator asked for it)".to_owned()),
        (Action::Restart { count: 1 }, Reason::RestartAsked, "restarted (an operator asked for it)".to_owned()),
        (Action::Unload, Reason::NotSubmitted, "unloaded (not submitted)".to_owned()),
        (Action::Adopt { hash, strict }, Reason::FoundHere, "adopted (found here with the submitted file)".to_owned()),
    ] {
        let end = StepEnd { action, reason, outcome: Outcome::Done, overlap: None };
        assert_eq!(text(&snapshot(), &event(EventKind::StepEnded(end))), expected);
    }
}

#[test]
fn every_reason_for_a_removal_has_its_text() {
    let other = MachineId::from_bits(0xb2 << 120);
    let table = [
        (RemovalReason::NotSubmitted, "not submitted"),
        (RemovalReason::WantedInactive, "wanted inactive"),
        (RemovalReason::Global, "global"),
        (RemovalReason::MachineLeft(other), "machine b2000000... left"),
        (RemovalReason::Drained(core()), "core-01 is drained"),
        (RemovalReason::Drained(other), "b2000000... is drained"),
        (
            RemovalReason::Unhealthy { machine: core(), health: Health::SshdDown, forced_by: None },
            "core-01 is sshd down",
        ),
        (
            RemovalReason::Unhealthy { machine: core(), health: Health::Sick, forced_by: Some("op@desk".to_owned()) },
            "core-01 is sick, and op@desk forced its failover",
        ),
        (
            RemovalReason::Misfit { machine: core(), filter_reason: FilterReason::Flapping(4) },
            "core-01: held down: it went \
          down 4 times within an hour",
        ),
    ];
    for (reason, expected) in table {
        assert_eq!(removal(&snapshot(), &reason), expected);
    }
}

#[test]
fn a_line_names_the_machine_and_the_unit_and_steers_no_terminal() {
    let mut failed = event(EventKind::FenceFailed { why: "\u{1b}[2J\nno".to_owned() });
    assert_eq!(line(&snapshot(), &failed), "its fence command failed: \u{fffd}[2J no\n");
    failed.subject.machine = Some(core());
    failed.subject.unit = Some("web.service".parse().unwrap());
    assert_eq!(line(&snapshot(), &failed), "core-01 web.service: its fence command failed: \u{fffd}[2J no\n");
}

#[test]
fn json_has_the_subject_the_kind_the_cause_and_the_text() {
    let reason =
        least_loaded(Some(RemovalReason::Unhealthy { machine: core(), health: Health::Down, forced_by: None }));
    let placed = Event::new(
        Timestamp::from_millis(5),
        Some(core()),
        Some("web.service".parse().unwrap()),
        EventKind::UnitPlaced(reason),
    );
    let expected = json!({
        "at": 5,
        "subject": {"machine": core(), "unit": "web.service"},
        "actor": "leader",
        "kind": "unit_placed",
        "cause": {
            "choice": {"least_loaded": {"units": 1, "next": 3}},
            "moved": {"unhealthy": {"machine": core(), "health": "down"}},
        },
        "trouble": false,
        "text": "placed: core-01 is down; fewest units: 1, and the next machine has 3",
    });
    assert_eq!(json(&snapshot(), &placed), expected);
    let taken = EventKind::LeadershipTaken { from: "a sweep".to_owned(), why: "it hangs".to_owned() };
    let expected = json!({
        "at": 5,
        "subject": {"actor": "op@desk"},
        "actor": {"operator": "op@desk"},
        "kind": "leadership_taken",
        "cause": {"from": "a sweep", "why": "it hangs"},
        "trouble": true,
        "text": "leadership was taken from a sweep by op@desk: it hangs",
    });
    assert_eq!(json(&snapshot(), &event(taken).by("op@desk")), expected);
    let shape = |kind| json(&snapshot(), &event(kind));
    assert_eq!(shape(EventKind::UnitRestarted)["actor"], "systemd");
    assert_eq!(shape(EventKind::FenceBegun)["kind"], "fence_begun");
    assert_eq!(shape(EventKind::FenceBegun).get("cause"), None);
    assert_eq!(shape(EventKind::UnitRemoved(RemovalReason::Drained(core())))["cause"], json!({"drained": core()}));
    let lost = ended(Outcome::Failed("no".to_owned()), None);
    assert_eq!(shape(lost)["cause"], json!({"action": "stop", "reason": "wanted_loaded", "outcome": {"failed": "no"}}));
}
