use proptest::prelude::*;

use super::*;

fn state(active: ActiveState, launched: bool) -> UnitState {
    let hash = Hash::of(b"");
    UnitState {
        load: LoadState::Loaded,
        active,
        sub: SubState::DEAD,
        job: None,
        hash,
        launched,
        restarts: 0,
        restarted: false,
    }
}

#[test]
fn each_active_state_says_whether_a_unit_runs_and_changes_and_is_well() {
    // The state; whether the unit runs; whether it is changing; and whether it is well as a service, as a oneshot, and
    // as a oneshot that was not started.
    let table = [
        (ActiveState::Active, true, false, [true, true, true]),
        (ActiveState::Reloading, true, true, [true, true, true]),
        (ActiveState::Inactive, false, false, [false, true, false]),
        (ActiveState::Failed, false, false, [false, false, false]),
        (ActiveState::Activating, true, true, [true, true, true]),
        (ActiveState::Deactivating, true, true, [false, false, false]),
        (ActiveState::Maintenance, false, false, [false, false, false]),
        (ActiveState::Refreshing, true, true, [true, true, true]),
    ];
    assert_eq!(table.map(|(active, ..)| active), ActiveState::ALL);
    for (active, runs, changes, well) in table {
        let launched = state(active, true);
        assert_eq!((launched.runs(), launched.is_changing()), (runs, changes), "{active}");
        assert_eq!(
            [launched.is_well(false), launched.is_well(true), state(active, false).is_well(true)],
            well,
            "{active}"
        );
    }
}

#[test]
fn a_queued_job_counts_as_the_state_that_it_leads_to() {
    let runs_changes_well = |active, job| {
        let state = UnitState { job: Some(job), ..state(active, true) };
        (state.runs(), state.is_changing(), state.is_well(false))
    };
    for job in [JobType::Start, JobType::Restart, JobType::ReloadOrStart] {
        assert_eq!(runs_changes_well(ActiveState::Inactive, job), (true, true, true), "{job}");
        assert_eq!(runs_changes_well(ActiveState::Failed, job), (true, true, true), "{job}");
    }
    assert_eq!(runs_changes_well(ActiveState::Active, JobType::Stop), (true, true, false));
    assert_eq!(runs_changes_well(ActiveState::Inactive, JobType::Stop), (false, true, false));
    assert_eq!(runs_changes_well(ActiveState::Active, JobType::Reload), (true, true, true));
    assert_eq!(runs_changes_well(ActiveState::Failed, JobType::TryRestart), (false, true, false));
    for job in [JobType::Nop, JobType::VerifyActive] {
        assert_eq!(runs_changes_well(ActiveState::Inactive, job), (false, false, false), "{job}");
    }
    let queued = UnitState { job: Some(JobType::Start), ..state(ActiveState::Inactive, true) };
    assert_eq!(queued.to_string(), "inactive (dead), start queued");
    assert_eq!(state(ActiveState::Inactive, true).to_string(), "inactive (dead)");
    let starting = UnitState { active: ActiveState::Activating, sub: "start".parse().unwrap(), ..queued };
    assert_eq!(starting.to_string(), "activating (start)", "the job has begun");
}

#[test]
fn a_unit_that_systemd_restarts_is_not_well_before_and_after_the_restart() {
    let running = state(ActiveState::Active, true);
    let restarted = UnitState { restarted: true, sub: SubState::RUNNING, ..running.clone() };
    let waits = UnitState { active: ActiveState::Activating, sub: "auto-restart".parse().unwrap(), ..running };
    for state in [&restarted, &waits] {
        assert!(state.is_restarting() && !state.is_well(false) && !state.is_changing() && state.runs(), "{state}");
    }
    assert_eq!(restarted.to_string(), "active (running), restarted by systemd a moment ago");
}

#[test]
fn every_state_has_one_word_in_reports_and_records() {
    for load in LoadState::ALL {
        assert_eq!(load.to_string().parse(), Ok(load));
        assert_eq!(serde_json::to_value(load).unwrap(), load.as_str());
    }
    for job in JobType::ALL {
        assert_eq!(job.to_string().parse(), Ok(job));
        assert_eq!(serde_json::to_value(job).unwrap(), job.as_str());
    }
    for active in ActiveState::ALL {
        assert_eq!(active.to_string().parse(), Ok(active));
        assert_eq!(serde_json::to_value(active).unwrap(), active.as_str());
    }
}

#[test]
fn a_word_that_is_no_state_is_an_error_that_names_it() {
    assert_eq!(
        "banana".parse::<ActiveState>().unwrap_err().to_string(),
        "invalid ActiveState \"banana\": expected active, reloading, inactive, failed, activating, deactivating, \
         maintenance, refreshing"
    );
    assert_eq!(
        "Loaded".parse::<LoadState>().unwrap_err().to_string(),
        "invalid LoadState \"Loaded\": expected stub, loaded, not-found, bad-setting, error, merged, masked"
    );
    for bad in ["", "Running", "run ning", "läuft", "run\u{1b}[2Jning", &"x".repeat(65)] {
        let error = bad.parse::<SubState>().unwrap_err().to_string();
        assert!(error.starts_with("invalid SubState \"") && !error.chars().any(char::is_control), "{error:?}");
        assert!(error.chars().count() < 200, "{error}");
        assert!(serde_json::from_value::<SubState>(bad.into()).is_err(), "{bad:?}");
    }
}

fn any_unit_state() -> impl Strategy<Value = UnitState> {
    let (load, active) = (prop::sample::select(&LoadState::ALL[..]), prop::sample::select(&ActiveState::ALL[..]));
    let job = prop::option::of(prop::sample::select(&JobType::ALL[..]));
    (load, active, "[a-z0-9-]{1,64}", job, any::<bool>(), any::<u64>()).prop_map(
        |(load, active, sub, job, launched, restarts)| {
            let (sub, hash) = (sub.parse().unwrap(), Hash::of(b""));
            let restarted = launched && restarts == 0;
            UnitState { load, active, sub, job, hash, launched, restarts, restarted }
        },
    )
}

proptest! {
    #[test]
    fn a_record_of_a_state_is_read_back_as_it_was(state in any_unit_state()) {
        let record = serde_json::to_vec(&state).unwrap();
        prop_assert_eq!(serde_json::from_slice::<UnitState>(&record).unwrap(), state);
    }
}
