use proptest::prelude::*;

use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::FailedAttempt;
use crate::core::model::FailureKind;
use crate::core::model::FilterReason;
use crate::core::model::FilterSummary;
use crate::core::model::HealthEvidence;
use crate::core::model::PeerReports;
use crate::core::model::Phase;
use crate::core::unit::Hash;
use crate::core::unit::Pin;

fn any_machine() -> impl Strategy<Value = MachineId> {
    any::<u128>().prop_map(MachineId::from_bits)
}

fn any_unit() -> impl Strategy<Value = UnitName> {
    "[a-z]{1,8}\\.service".prop_map(|name| name.parse().unwrap())
}

fn any_pin() -> impl Strategy<Value = Pin> {
    prop_oneof![any_machine().prop_map(Pin::Whole), any::<u32>().prop_map(Pin::Short)]
}

fn any_health() -> impl Strategy<Value = Health> {
    let all = [Health::Alive, Health::Suspect, Health::PathFault, Health::SshdDown, Health::Sick, Health::Down];
    prop::sample::select(all.to_vec())
}

fn any_filter_reason() -> impl Strategy<Value = FilterReason> {
    prop_oneof![
        any_health().prop_map(FilterReason::Health),
        Just(FilterReason::Cordoned),
        any_pin().prop_map(FilterReason::NotPinned),
        (".{0,9}", prop::collection::btree_set(".{0,9}", 0..3))
            .prop_map(|(key, wanted)| FilterReason::Metadata { key, wanted }),
        any::<usize>().prop_map(FilterReason::Flapping),
        any_unit().prop_map(FilterReason::PeerMissing),
        any_unit().prop_map(FilterReason::Conflict),
    ]
}

fn any_removal() -> impl Strategy<Value = RemovalReason> {
    prop_oneof![
        Just(RemovalReason::NotSubmitted),
        Just(RemovalReason::WantedInactive),
        Just(RemovalReason::Global),
        any_machine().prop_map(RemovalReason::MachineLeft),
        any_machine().prop_map(RemovalReason::Drained),
        (any_machine(), any_health(), any::<Option<String>>())
            .prop_map(|(machine, health, forced_by)| RemovalReason::Unhealthy { machine, health, forced_by }),
        (any_machine(), any_filter_reason())
            .prop_map(|(machine, filter_reason)| RemovalReason::Misfit { machine, filter_reason }),
    ]
}

fn any_placement() -> impl Strategy<Value = PlacementReason> {
    let choice = prop_oneof![
        any_pin().prop_map(ChoiceReason::Pinned),
        any_unit().prop_map(ChoiceReason::With),
        any_unit().prop_map(ChoiceReason::Replaces),
        Just(ChoiceReason::RunsThere),
        Just(ChoiceReason::FoundThere),
        (any::<usize>(), any::<Option<usize>>()).prop_map(|(units, next)| ChoiceReason::LeastLoaded { units, next }),
    ];
    (choice, prop::option::of(any_removal())).prop_map(|(choice, moved)| PlacementReason { choice, moved })
}

fn any_refusal() -> impl Strategy<Value = PlacementError> {
    let counts = prop::collection::btree_map(any_filter_reason(), any::<usize>(), 0..4);
    let nowhere = (counts, any::<usize>(), prop::collection::vec(any_unit(), 0..3));
    let leaf = prop_oneof![
        (any::<usize>(), any::<u32>()).prop_map(|(joined, size)| PlacementError::ClusterIncomplete { joined, size }),
        any::<Option<String>>().prop_map(PlacementError::InvalidRequirements),
        Just(PlacementError::Global),
        any_unit().prop_map(PlacementError::PeerNotPlaced),
        any_pin().prop_map(PlacementError::NoSuchMachine),
        any_unit().prop_map(PlacementError::Circular),
        nowhere.prop_map(|(counts, conflicting, conflicts)| {
            PlacementError::Unschedulable(FilterSummary { counts, conflicting, conflicts })
        }),
        any::<String>().prop_map(PlacementError::Abridged),
    ];
    leaf.prop_recursive(3, 6, 1, |inner| {
        let inner = inner.prop_map(Box::new);
        prop_oneof![
            (any_unit(), inner.clone()).prop_map(|(unit, why)| PlacementError::CannotDisplace { unit, why }),
            (".{0,9}", any_filter_reason(), inner).prop_map(|(machine, filter_reason, why)| PlacementError::Stays {
                machine,
                filter_reason,
                why
            }),
        ]
    })
}

fn any_step() -> impl Strategy<Value = StepEnd> {
    let load = (any::<bool>(), any::<bool>());
    let action = prop_oneof![
        Just(Action::Unload),
        any::<bool>().prop_map(|strict| Action::Adopt { hash: Hash::of(b""), strict }),
        load.prop_map(|(install, strict)| Action::Load { hash: Hash::of(b""), install, strict }),
        Just(Action::Stop),
        any::<u64>().prop_map(|count| Action::Start { count }),
        any::<u64>().prop_map(|count| Action::Restart { count }),
    ];
    let reason = prop_oneof![any_machine().prop_map(Reason::PlacedElsewhere), Just(Reason::NotThere)];
    let lost = (any::<String>(), any::<Option<String>>()).prop_map(|(detail, hint)| {
        let (host, phase, kind) = ("core-01".to_owned(), Phase::KeyExchange, FailureKind::Throttled);
        Outcome::Lost(Failure { host, phase, kind, detail, hint })
    });
    let outcome =
        prop_oneof![Just(Outcome::Done), Just(Outcome::Begun), any::<String>().prop_map(Outcome::Failed), lost,];
    let overlap = prop::option::of((0..u64::MAX / 1000).prop_map(Duration::from_millis));
    (action, reason, outcome, overlap).prop_map(|(action, reason, outcome, overlap)| StepEnd {
        action,
        reason,
        outcome,
        overlap,
    })
}

fn any_reason() -> impl Strategy<Value = HealthReason> {
    let names = || prop::collection::vec(any::<String>(), 0..3);
    (any::<String>(), names(), names(), any::<bool>(), prop::option::of(any::<String>())).prop_map(
        |(detail, reaching, not_reaching, asked, forced_by)| {
            let attempt = FailedAttempt { phase: Phase::Connect, detail, hint: None };
            let peers = PeerReports { reaching, not_reaching };
            let evidence = HealthEvidence::NoAnswer { seconds: 8, attempt, peers, asked };
            HealthReason { forced_by, ..evidence.into() }
        },
    )
}

fn any_kind() -> impl Strategy<Value = EventKind> {
    let lease = [LeaseRefusal::TooLate, LeaseRefusal::Unwritable, LeaseRefusal::NotStarted];
    let plain = [
        EventKind::StoreRestored,
        EventKind::UnitRequested(Verb::Restart),
        EventKind::MachineRequested(MachineVerb::Drain),
        EventKind::UnitFailed { active: ActiveState::Failed, sub: SubState::FAILED, lease_ended: false },
        EventKind::UnitRestarted,
        EventKind::UnitRecovered,
        EventKind::LeaseEnded,
        EventKind::LeaseRegained,
        EventKind::FenceBegun,
        EventKind::FenceCancelled,
        EventKind::FenceSucceeded,
        EventKind::FenceVoid,
        EventKind::FailoverOverridden,
    ];
    prop_oneof![
        (prop::option::of(any_health()), any_health(), any_reason())
            .prop_map(|(from, to, reason)| EventKind::HealthChanged { from, to, reason }),
        any_placement().prop_map(EventKind::UnitPlaced),
        any_removal().prop_map(EventKind::UnitRemoved),
        any_refusal().prop_map(EventKind::UnitUnschedulable),
        any_step().prop_map(EventKind::StepEnded),
        (any::<usize>(), prop::collection::vec(any_unit(), 0..3))
            .prop_map(|(count, first)| EventKind::UnknownUnitsUnloaded(Unloaded { count, done: count / 2, first })),
        prop::collection::btree_set(any_unit(), 0..3)
            .prop_map(|names| EventKind::ForeignUnitsFound(ForeignUnits { count: names.len() + 1, names })),
        prop::sample::select(lease.to_vec()).prop_map(EventKind::LeaseRefused),
        prop::sample::select(plain.to_vec()),
        any::<String>().prop_map(|why| EventKind::FenceFailed { why }),
        any::<(String, String)>().prop_map(|(from, why)| EventKind::LeadershipTaken { from, why }),
        any::<String>().prop_map(|why| EventKind::Unreadable { why }),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let subject = (prop::option::of(any_machine()), prop::option::of(any_unit()), any::<Option<String>>());
    (any::<u64>(), subject, any_kind()).prop_map(|(at, (machine, unit, actor), kind)| Event {
        at: Timestamp::from_millis(at),
        subject: Subject { machine, unit, actor },
        kind,
    })
}

/// The characters that an event may keep of each text in these tests.
const LIMIT: usize = 4096;

proptest! {
    #[test]
    fn a_record_of_an_event_is_read_back_as_it_was(event in any_event()) {
        let record = serde_json::to_vec(&event).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Event>(&record).unwrap(), event);
    }

    #[test]
    fn an_event_that_was_cut_is_not_cut_again_and_keeps_its_kind(event in any_event()) {
        let bounded = event.clone().bounded(LIMIT);
        prop_assert_eq!(std::mem::discriminant(&bounded.kind), std::mem::discriminant(&event.kind));
        prop_assert_eq!(bounded.clone().bounded(LIMIT), bounded);
    }
}

#[test]
fn a_placement_error_that_is_too_long_to_be_stored_keeps_the_beginning_of_its_text() {
    let long = PlacementError::InvalidRequirements(Some("x".repeat(LIMIT * 2)));
    let PlacementError::Abridged(text) = long.bounded(LIMIT) else { panic!("it is whole") };
    assert!(text.starts_with("xxx") && text.ends_with('…') && text.chars().count() == LIMIT, "{}", text.len());
    let short = PlacementError::InvalidRequirements(Some("it conflicts with itself".to_owned()));
    assert_eq!(short.clone().bounded(LIMIT), short);
}
