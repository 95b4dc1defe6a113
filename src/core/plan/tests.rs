use proptest::prelude::*;

use super::*;
use crate::core::model::ActiveState;
use crate::core::model::SubState;
use crate::core::unit::Hash;

fn hash(text: &str) -> Hash {
    Hash::of(text.as_bytes())
}

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

fn want(desired: DesiredState, file: &str) -> Wanted {
    Wanted { unit: Unit::new(hash(file), desired), install: false, strict: None }
}

fn there(file: &str, active: &str, launched: bool) -> UnitState {
    UnitState {
        load: LoadState::Loaded,
        active: active.parse().unwrap(),
        sub: SubState::DEAD,
        job: None,
        hash: hash(file),
        launched,
        restarts: 0,
        restarted: false,
    }
}

/// Returns the steps for one unit, as text.
fn plan(wanted: Option<Wanted>, observed: Option<UnitState>) -> Vec<String> {
    let unit = name("web.service");
    let wanted = wanted.map(|wanted| (unit.clone(), wanted)).into_iter().collect();
    let observed = observed.map(|state| (unit, state)).into_iter().collect();
    let steps = steps(&wanted, &observed, |_| false, |_| Some(Reason::NotSubmitted));
    steps.into_iter().map(|step| format!("{}: {}", step.action, step.reason)).collect()
}

/// The name of a case, the assignment, the observed state and the expected steps.
type Case = (&'static str, Option<Wanted>, Option<UnitState>, &'static [&'static str]);

#[test]
fn one_unit_takes_exactly_the_steps_that_it_needs() {
    use DesiredState::Launched;
    use DesiredState::Loaded;
    let table: Vec<Case> = vec![
        ("nothing wanted, nothing there", None, None, &[]),
        ("to be loaded", Some(want(Loaded, "a")), None, &["load: placed here"]),
        (
            "to be launched",
            Some(want(Launched, "a")),
            None,
            &["load: placed here", "start: its desired state is launched"],
        ),
        ("as wanted", Some(want(Launched, "a")), Some(there("a", "active", true)), &[]),
        ("failed by itself: systemd's business", Some(want(Launched, "a")), Some(there("a", "failed", true)), &[]),
        (
            "runs and was not started by muster: adopted by a start that changes nothing",
            Some(want(Launched, "a")),
            Some(there("a", "active", false)),
            &["start: its desired state is launched"],
        ),
        (
            "another file",
            Some(want(Launched, "b")),
            Some(there("a", "active", true)),
            &[
                "unload: its file differs from the submitted one",
                "load: its file differs from the submitted one",
                "start: its desired state is launched",
            ],
        ),
        (
            "to be stopped",
            Some(want(Loaded, "a")),
            Some(there("a", "active", true)),
            &["stop: its desired state is loaded"],
        ),
        ("started by its timer", Some(want(Loaded, "a")), Some(there("a", "active", false)), &[]),
        ("does not belong here", None, Some(there("a", "active", true)), &["unload: not submitted"]),
    ];
    for (case, wanted, observed, expected) in table {
        assert_eq!(plan(wanted, observed), expected, "{case}");
    }
}

#[test]
fn a_file_that_systemd_does_not_know_is_loaded_again() {
    let mut state = there("a", "inactive", false);
    state.load = LoadState::NotFound;
    assert_eq!(plan(Some(want(DesiredState::Loaded, "a")), Some(state)), ["load: placed here"]);
}

#[test]
fn a_unit_that_runs_without_its_file_gets_it_back_and_is_not_stopped() {
    let mut state = there("a", "active", true);
    state.hash = Hash::NONE;
    let expected = ["load: its file was gone", "start: its desired state is launched"];
    assert_eq!(plan(Some(want(DesiredState::Launched, "a")), Some(state.clone())), expected);
    assert_eq!(plan(None, Some(state)), ["unload: not submitted"]);
}

#[test]
fn a_restart_is_carried_out_once() {
    let mut wanted = want(DesiredState::Launched, "a");
    wanted.unit.restarts = 3;
    let mut state = there("a", "active", true);
    assert_eq!(plan(Some(wanted), Some(state.clone())), ["restart: an operator asked for it"]);
    // The start of a unit that has ended disturbs no unit that runs.
    wanted.unit.revive = true;
    assert_eq!(plan(Some(wanted), Some(state.clone())), ["start: an operator asked for it"]);
    state.restarts = 3;
    assert!(plan(Some(wanted), Some(state)).is_empty());
}

#[test]
fn a_unit_that_reloads_goes_on_where_its_earlier_file_is() {
    let mut wanted = want(DesiredState::Launched, "b");
    (wanted.unit.restarts, wanted.unit.reload) = (1, Some(Hash::of(b"a")));
    let reloads = ["load: files that go with it have changed", "reload: files that go with it have changed"];
    assert_eq!(plan(Some(wanted), Some(there("a", "active", true))), reloads);
    // The new file was written and the reload was not carried out.
    let mut written = there("b", "active", true);
    assert_eq!(plan(Some(wanted), Some(written.clone())), reloads[1..]);
    written.restarts = 1;
    assert!(plan(Some(wanted), Some(written)).is_empty());
    // Another file, or no process that could reload.
    let replaced = ["unload", "load"].map(|action| format!("{action}: its file differs from the submitted one"));
    let started = "start: its desired state is launched".to_owned();
    let replaced: Vec<String> = replaced.into_iter().chain([started]).collect();
    assert_eq!(plan(Some(wanted), Some(there("c", "active", true))), replaced);
    assert_eq!(plan(Some(wanted), Some(there("a", "inactive", false))), [reloads[0], &replaced[2]]);
}

#[test]
fn a_unit_without_a_removal_reason_is_left_alone() {
    let observed = [(name("web.service"), there("a", "active", true))].into();
    assert!(steps(&BTreeMap::new(), &observed, |_| false, |_| None).is_empty());
}

#[test]
fn a_unit_of_another_program_is_adopted_with_the_submitted_file_and_else_left_alone() {
    let plan = |wanted: Option<Wanted>| {
        let observed = [(name("web.service"), there("a", "active", false))].into();
        let wanted = wanted.map(|wanted| (name("web.service"), wanted)).into_iter().collect();
        let steps = steps(&wanted, &observed, |_| true, |_| Some(Reason::NotSubmitted));
        steps.iter().map(|step| format!("{}: {}", step.action, step.reason)).collect::<Vec<_>>()
    };
    let adopted = "adopt: found here with the submitted file";
    assert_eq!(plan(Some(want(DesiredState::Launched, "a"))), [adopted, "start: its desired state is launched"]);
    assert_eq!(plan(Some(want(DesiredState::Loaded, "a"))), [adopted]);
    assert_eq!(plan(None), [""; 0]);
}

#[test]
fn units_are_unloaded_first_and_started_last() {
    let wanted =
        [(name("a.service"), want(DesiredState::Launched, "a")), (name("b.service"), want(DesiredState::Loaded, "b"))];
    let observed = [(name("b.service"), there("b", "active", true)), (name("z.service"), there("z", "active", true))];
    let steps = steps(&wanted.into(), &observed.into(), |_| false, |_| Some(Reason::WantedInactive));
    let order: Vec<String> = steps.iter().map(|step| format!("{} {}", step.action, step.unit)).collect();
    assert_eq!(order, ["unload z.service", "load a.service", "stop b.service", "start a.service"]);
}

/// Carries out steps on a simulated host.
fn apply(steps: &[Step], observed: &mut BTreeMap<UnitName, UnitState>) {
    for step in steps {
        let state = observed.get_mut(&step.unit);
        match (step.action, state) {
            (Action::Unload, _) => drop(observed.remove(&step.unit)),
            (Action::Load { hash, .. }, _) => {
                let state = UnitState { hash, ..there("", "inactive", false) };
                observed.insert(step.unit.clone(), state);
            }
            (Action::Adopt { .. }, _) => panic!("nothing is foreign"),
            (Action::Stop, Some(state)) => {
                state.launched = false;
                state.active = ActiveState::Inactive;
            }
            (Action::Start { count } | Action::Restart { count } | Action::Reload { count }, Some(state)) => {
                state.launched = true;
                state.restarts = count;
                state.active = ActiveState::Active;
            }
            (_, None) => panic!("{step:?} on a unit that is not there"),
        }
    }
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    (0..2_u8, any::<bool>(), 0..3_u64).prop_map(|(file, launch, restarts)| {
        let desired = if launch { DesiredState::Launched } else { DesiredState::Loaded };
        Wanted { unit: Unit { restarts, ..Unit::new(hash(&file.to_string()), desired) }, install: false, strict: None }
    })
}

fn any_state() -> impl Strategy<Value = UnitState> {
    let active = prop::sample::select(vec!["active", "inactive", "failed", "activating"]);
    let load = prop::sample::select(vec![LoadState::Loaded, LoadState::NotFound]);
    (0..2_u8, active, load, any::<bool>(), 0..3_u64).prop_map(|(file, active, load, launched, restarts)| UnitState {
        load,
        restarts,
        ..there(&file.to_string(), active, launched)
    })
}

fn any_units<T: std::fmt::Debug>(unit: impl Strategy<Value = T>) -> impl Strategy<Value = BTreeMap<UnitName, T>> {
    let names = prop::sample::select(vec!["a.service", "b.socket", "c@1.service", "d.timer"]);
    prop::collection::btree_map(names.prop_map(name), unit, 0..4)
}

proptest! {
    #[test]
    fn a_plan_after_its_apply_is_empty(wanted in any_units(any_wanted()), observed in any_units(any_state())) {
        let mut host = observed;
        apply(&steps(&wanted, &host, |_| false, |_| Some(Reason::NotSubmitted)), &mut host);
        prop_assert_eq!(steps(&wanted, &host, |_| false, |_| Some(Reason::NotSubmitted)), vec![]);
        prop_assert!(host.keys().eq(wanted.keys()));
    }

    #[test]
    fn units_that_run_as_desired_get_no_steps(wanted in any_units(any_wanted()), observed in any_units(any_state())) {
        for step in steps(&wanted, &observed, |_| false, |_| Some(Reason::NotSubmitted)) {
            let (Some(wanted), Some(state)) = (wanted.get(&step.unit), observed.get(&step.unit)) else { continue };
            let same = state.hash == wanted.unit.hash && state.load == LoadState::Loaded;
            let well = same && state.launched && state.runs() && state.restarts >= wanted.unit.restarts;
            prop_assert!(!(well && wanted.unit.desired == DesiredState::Launched), "{:?}", step);
        }
    }
}

#[test]
fn a_target_and_a_slice_get_another_file_without_a_stop() {
    let plan = |unit: &str, wanted: Wanted, state: UnitState, foreign: bool| {
        let (wanted, observed) = ([(name(unit), wanted)].into(), [(name(unit), state)].into());
        let steps = steps(&wanted, &observed, |_| foreign, |_| None);
        steps.into_iter().map(|step| format!("{}: {}", step.action, step.reason)).collect::<Vec<_>>()
    };
    let (load, start) = ("load: its file differs from the submitted one", "start: its desired state is launched");
    for unit in ["shop.target", "shop.slice"] {
        let state = |file| there(file, "active", true);
        assert_eq!(plan(unit, want(DesiredState::Launched, "b"), state("a"), false), [load, start]);
        assert_eq!(plan(unit, want(DesiredState::Launched, "a"), state("a"), false), [""; 0]);
        let stop = "stop: its desired state is loaded";
        assert_eq!(plan(unit, want(DesiredState::Loaded, "b"), state("a"), false), [load, stop]);
        assert_eq!(plan(unit, want(DesiredState::Loaded, "b"), there("a", "inactive", false), false), [load]);
        // The host refuses to change a file of another program, and says so.
        let unload = "unload: its file differs from the submitted one";
        assert_eq!(plan(unit, want(DesiredState::Launched, "b"), state("a"), true), [unload, load, start]);
    }
}
