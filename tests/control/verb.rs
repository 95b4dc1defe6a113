//! Commands for units on a machine that is out of reach or slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use muster::control::progress::Progress;
use muster::control::progress::Timeouts;
use muster::control::verb;
use muster::core::command::LocalFile;
use muster::core::command::UnitCommand;
use muster::core::model::DesiredState;
use muster::core::model::Grant;
use muster::core::model::ObservationTimes;
use muster::core::model::Unit;
use muster::core::model::Verb;
use muster::core::unit::Contents;
use muster::core::unit::UnitFile;
use muster::runner::ClusterContext;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout::Key;
use muster::store::leader_election;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use super::Folder;
use super::OTHER;
use super::context;
use super::found;
use super::keys;
use super::lead_on;
use super::swept;
use super::two_hosts;
use super::want;
use crate::store::soon;
use crate::wire::quadlet::NGINX;
use crate::wire::quadlet::end_pull;
use crate::wire::quadlet::give_podman;
use crate::wire::visit::MACHINE;

#[tokio::test]
async fn a_unit_that_is_destroyed_on_a_lost_machine_is_named_with_what_follows() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    swept(&context(&store, &Arc::new(Folder::new()))).await;

    // Another host has the address of the machine now.
    let context = context(&store, &Arc::new(Folder::of("00000000000000000000000000000001")));
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let destroy = [UnitCommand {
        verb: Verb::Destroy,
        unit: "web.service".parse().unwrap(),
        file: None,
        replace: false,
        edits: None,
    }];
    let problems = soon(verb::execute(&context, Verb::Destroy, &destroy, timeouts, &mut |_| ())).await.unwrap();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "core-01 is down: run: machine 00000000000000000000000000000001 answers at its address",
            "Unit web.service: still on core-01, which is down: it is unloaded there as soon as core-01 answers",
        ]
    );
}

#[tokio::test]
async fn a_command_ends_when_its_own_time_is_over_and_names_the_machine_that_goes_on() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;

    let limit = Duration::from_millis(300);
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: Some(limit), settle: Duration::ZERO, block: true };
    let stop = [UnitCommand {
        verb: Verb::Stop,
        unit: "web.service".parse().unwrap(),
        file: None,
        replace: false,
        edits: None,
    }];
    for (observes, why) in [(true, "core-01 has not answered yet"), (false, "core-01 goes on with the stop")] {
        folder.hang(if observes { |visit| visit.steps.is_empty() } else { |visit| !visit.steps.is_empty() });
        let began = Instant::now();
        let problems = soon(verb::execute(&context, Verb::Stop, &stop, timeouts, &mut |_| ())).await.unwrap();
        let took = began.elapsed();
        assert!(took >= limit && took < limit * 10, "{took:?}");
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let what = format!("timed out waiting for it to be stopped: {why}");
        assert_eq!(problems, [format!("Unit web.service: {what}")]);
        let leader = leader_election::current_leader(&store, &context.keys).await.unwrap();
        assert!(leader.is_none(), "the next command can lead at once: {leader:?}");
    }
}

#[tokio::test]
async fn a_start_that_changes_nothing_does_not_wait_for_a_controller_that_keeps_leases() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    let asked = folder.asked();
    let (length, stop, slack) = (Duration::from_secs(20), Duration::from_secs(10), Duration::ZERO);
    let units = ["web.service".parse().unwrap()].into();
    let (until, stopped_for_sure_at) = (None, None);
    let grant = Grant { epoch: 1, length, stop, slack, units, unknown: false, until, stopped_for_sure_at };
    let times = ObservationTimes { at: context.clock.now(), behind: BTreeMap::new(), continuous: true };
    let machine = MACHINE.parse().unwrap();
    let records = vec![keys().put(&Key::Lease(machine), &grant), keys().put(&Key::Observed, &times)];
    store.commit(vec![], records).await.unwrap();
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let start = [UnitCommand {
        verb: Verb::Start,
        unit: "web.service".parse().unwrap(),
        file: None,
        replace: false,
        edits: None,
    }];
    let began = Instant::now();
    let problems = soon(verb::execute(&context, Verb::Start, &start, timeouts, &mut |_| ())).await.unwrap();
    assert!(problems.is_empty() && began.elapsed() < Duration::from_secs(5), "{problems:?} {:?}", began.elapsed());
    assert_eq!(folder.asked(), asked);
}

const GLOBAL: &str = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n";

/// Starts a global unit, which fails on the second host a moment after that. Returns the problems.
async fn start_a_global_unit(context: &ClusterContext, fleet: &Fleet) -> Vec<String> {
    let settle = Duration::from_secs(2);
    let timeouts = Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle, block: true };
    let unit = "agent.service".parse().unwrap();
    let file = Arc::new(UnitFile::parse(GLOBAL).unwrap());
    let file = Some(LocalFile { file, path: "agent.service".to_owned(), template: false, contents: Contents::new() });
    let start = [UnitCommand { verb: Verb::Start, unit, file, replace: false, edits: None }];
    let fails = async {
        fleet.0["core-02"].is_asked().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let listed = "agent.service loaded failed failed An agent\n";
        fleet.0["core-02"].report(listed, "ExecMainCode=1\nExecMainStatus=7\n\n{\"MESSAGE\":\"no disk\"}\n");
    };
    let mut on_progress = |_: Progress<'_>| ();
    let started = Box::pin(verb::execute(context, Verb::Start, &start, timeouts, &mut on_progress));
    let (problems, ()) = soon(async { tokio::join!(started, fails) }).await;
    problems.unwrap().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_global_unit_that_fails_on_one_machine_is_named_with_and_without_a_controller() {
    for has_controller in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let (context, fleet) = two_hosts(&store, &[]).await;
        let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
        let stop = leader.stop.clone();
        let leading = if has_controller { Some(lead_on(leader).await.1) } else { None };
        let problems = start_a_global_unit(&context, &fleet).await;
        let expected = "Unit agent.service: failed (failed) on core-02\n  exit code 7\n  journal: no disk";
        assert_eq!(problems, [expected], "{has_controller}");
        stop.cancel();
        if let Some(leading) = leading {
            soon(leading).await.unwrap();
        }
    }
}

/// Returns what a verb tells the operator: results and warnings.
async fn told(context: &ClusterContext, verb: Verb, unit: &str, text: Option<&str>) -> Vec<String> {
    let timeouts = Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let file = text.map(|text| Arc::new(UnitFile::parse(text).unwrap()));
    let file = file.map(|file| LocalFile { file, path: unit.to_owned(), template: false, contents: Contents::new() });
    let command = [UnitCommand { verb, unit: unit.parse().unwrap(), file, replace: false, edits: None }];
    let mut told = Vec::new();
    let mut on_progress = |progress: Progress<'_>| match progress {
        Progress::Warning(text) => told.push(text.to_owned()),
        Progress::Reached(unit, state, machine) => {
            told.push(format!("{unit} {state} {}", machine.map_or("-", |machine| &machine.name)));
        }
        Progress::Destroyed(unit) => told.push(format!("{unit} destroyed")),
        Progress::Triggered(unit, verb, _) => told.push(format!("{unit} triggered {verb}")),
        Progress::Event(..) => {}
    };
    let problems = soon(verb::execute(context, verb, &command, timeouts, &mut on_progress)).await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    told
}

#[tokio::test]
async fn a_command_that_stops_a_unit_names_the_former_machine_where_it_still_ran() {
    for (verb, expected) in [
        (Verb::Stop, ["web.service loaded core-01", "Unit web.service was also stopped and removed on core-02"]),
        (Verb::Unload, ["web.service inactive -", "Unit web.service was stopped and removed on core-01 and core-02"]),
        (Verb::Destroy, ["web.service destroyed", "Unit web.service was stopped and removed on core-01 and core-02"]),
    ] {
        for has_controller in [false, true] {
            let store: SharedStore = Arc::new(MemoryStore::new());
            let (context, fleet) = two_hosts(&store, &["web.service"]).await;
            fleet.0["core-01"].report("web.service loaded inactive dead web\n", "");
            // The machine was down when the unit moved, and has come back.
            let text = "[Service]\nExecStart=/bin/sleep infinity\n";
            fleet.0["core-02"].run("web.service", text);
            let hash = UnitFile::parse(text).unwrap().hash();
            let state = json!({"load": "loaded", "active": "active", "sub": "running", "hash": hash, "launched": true});
            let key = Key::State("web.service".parse().unwrap(), OTHER.parse().unwrap());
            store.commit(vec![], vec![keys().put(&key, &state)]).await.unwrap();
            let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
            let stop = leader.stop.clone();
            let leading = if has_controller { Some(lead_on(leader).await.1) } else { None };
            let told = told(&context, verb, "web.service", None).await;
            assert!(has_controller || told == expected, "{told:?}");
            assert!(told[0] == expected[0], "{told:?}");
            stop.cancel();
            if let Some(leading) = leading {
                soon(leading).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_global_unit_that_fits_no_machine_is_not_called_triggered() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, _fleet) = two_hosts(&store, &[]).await;
    let on_ssd = format!("{GLOBAL}MachineMetadata=disk=ssd\n");
    for (verb, unit, text, expected) in [
        (Verb::Load, "none.service", on_ssd.as_str(), "Unit none.service: it is global, and no machine fits it now"),
        (Verb::Start, "all.service", GLOBAL, "all.service triggered start"),
    ] {
        let told = told(&context, verb, unit, Some(text)).await;
        assert_eq!(told.last().unwrap(), expected, "{told:?}");
    }
}

#[tokio::test]
async fn a_stop_of_a_unit_that_runs_nowhere_and_fits_on_no_machine_succeeds() {
    for has_controller in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let (context, _fleet) = two_hosts(&store, &[]).await;
        let text = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineMetadata=disk=ssd\n";
        told(&context, Verb::Submit, "none.service", Some(text)).await;
        let unit = Unit::new(UnitFile::parse(text).unwrap().hash(), DesiredState::Launched);
        let launched = keys().put(&Key::Unit("none.service".parse().unwrap()), &unit);
        store.commit(vec![], vec![launched]).await.unwrap();
        let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
        let stop = leader.stop.clone();
        let leading = if has_controller { Some(lead_on(leader).await.1) } else { None };
        let told = told(&context, Verb::Stop, "none.service", None).await;
        assert_eq!(told[0], "none.service inactive -", "{told:?}");
        stop.cancel();
        if let Some(leading) = leading {
            soon(leading).await.unwrap();
        }
    }
}

#[tokio::test]
async fn of_two_units_with_one_service_only_one_is_taken_also_at_the_same_time() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, _fleet) = two_hosts(&store, &[]).await;
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let submit = async |names: &[&str]| {
        let file = Arc::new(UnitFile::parse("[Container]\nImage=a\n[Service]\nExecStart=/bin/true\n").unwrap());
        let command = |name: &&str| {
            let file =
                LocalFile { file: file.clone(), path: (*name).to_owned(), template: false, contents: Contents::new() };
            UnitCommand {
                verb: Verb::Submit,
                unit: name.parse().unwrap(),
                file: Some(file),
                replace: false,
                edits: None,
            }
        };
        let commands: Vec<UnitCommand> = names.iter().map(command).collect();
        let done = soon(verb::execute(&context, Verb::Submit, &commands, timeouts, &mut |_| ())).await;
        done.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let refused = "systemd would know it as a.service, as it knows a.";
    let said = submit(&["a.container", "a.service"]).await;
    assert!(said.contains(refused), "{said}");
    let (one, other) = tokio::join!(submit(&["a.service"]), submit(&["a.container"]));
    assert!(
        one.is_empty() != other.is_empty() && [&one, &other].iter().any(|said| said.contains(refused)),
        "{one} {other}"
    );
}

#[tokio::test]
async fn a_restart_does_not_fail_because_an_old_copy_on_another_machine_cannot_be_removed() {
    for has_controller in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let (context, fleet) = two_hosts(&store, &["web.service"]).await;
        // The copy was not removed when the unit left the machine.
        let text = "[Service]\nExecStart=/bin/sleep infinity\n";
        fleet.0["core-02"].run("web.service", text);
        fleet.0["core-02"].refuse("stop");
        let hash = UnitFile::parse(text).unwrap().hash();
        let state = json!({"load": "loaded", "active": "active", "sub": "running", "hash": hash, "launched": true});
        let other = OTHER.parse().unwrap();
        let state = keys().put(&Key::State("web.service".parse().unwrap(), other), &state);
        store.commit(vec![], vec![state]).await.unwrap();
        let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
        let stop = leader.stop.clone();
        let leading = if has_controller { Some(lead_on(leader).await.1) } else { None };
        let wait = Some(Duration::from_secs(20));
        let timeouts =
            Timeouts { lock_wait: Duration::from_secs(5), wait, settle: Duration::from_secs(2), block: true };
        let unit = "web.service".parse().unwrap();
        let restart = [UnitCommand { verb: Verb::Restart, unit, file: None, replace: false, edits: None }];
        let mut warnings = Vec::new();
        let mut on_progress = |progress: Progress<'_>| {
            if let Progress::Warning(text) = progress {
                warnings.push(text.to_owned());
            }
        };
        let problems =
            soon(verb::execute(&context, Verb::Restart, &restart, timeouts, &mut on_progress)).await.unwrap();
        assert!(problems.is_empty(), "{has_controller} {problems:?}");
        let warned = warnings.iter().any(|text| text.starts_with("Unit web.service: unload failed on core-02: "));
        assert!(warned || has_controller, "{warnings:?}");
        stop.cancel();
        if let Some(leading) = leading {
            soon(leading).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_start_of_a_unit_that_runs_as_far_as_the_store_knows_says_that_its_machine_does_not_answer() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    folder.belong("f00d", "other");
    let start = [UnitCommand {
        verb: Verb::Start,
        unit: "web.service".parse().unwrap(),
        file: None,
        replace: false,
        edits: None,
    }];
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let problems = soon(verb::execute(&context, Verb::Start, &start, timeouts, &mut |_| ())).await.unwrap();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        problems[0].starts_with("core-01 is sick: run: it belongs to another cluster: other (f00d) ("),
        "{problems:?}"
    );
    let placed = "Unit web.service: placed on core-01, which is sick, and fits on no other machine";
    assert_eq!(problems[1..], [placed]);
}

/// Returns the command that starts a container of an image that its host does not have.
fn start_container() -> [UnitCommand; 1] {
    let file = LocalFile {
        file: Arc::new(UnitFile::parse(NGINX).unwrap()),
        path: "web.container".to_owned(),
        template: false,
        contents: Contents::new(),
    };
    [UnitCommand {
        verb: Verb::Start,
        unit: "web.container".parse().unwrap(),
        file: Some(file),
        replace: false,
        edits: None,
    }]
}

#[tokio::test]
async fn a_start_waits_for_the_image_however_long_that_takes_with_a_controller_and_without_one() {
    for has_controller in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &[]).await;
        let folder = Arc::new(Folder::new());
        give_podman(&folder.host, Some("2"));
        let context = context(&store, &folder);
        let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
        let leading = if has_controller { Some(lead_on(leader.clone()).await.1) } else { None };
        let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
        let mut told = Vec::new();
        let mut on_progress = |progress: Progress<'_>| {
            if let Progress::Event(snapshot, event) = progress {
                told.push(muster::ui::event::text(snapshot, event));
            }
        };
        let (began, start) = (Instant::now(), start_container());
        let started = verb::execute(&context, Verb::Start, &start, timeouts, &mut on_progress);
        assert_eq!(soon(started).await.unwrap(), [], "{has_controller}");
        assert!(began.elapsed() >= Duration::from_secs(2));
        let pulls = "pulls docker.io/library/nginx:1.29, and loads the unit after that";
        assert_eq!(told.iter().filter(|text| *text == pulls).count(), 1, "{told:?}");
        assert_eq!(folder.asked(), ["start web.service"]);
        leader.stop.cancel();
        if let Some(leading) = leading {
            soon(leading).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_start_whose_own_time_is_over_names_the_pull_which_goes_on() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let folder = Arc::new(Folder::new());
    give_podman(&folder.host, None);
    let context = context(&store, &folder);
    let wait = Some(Duration::from_secs(1));
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait, settle: Duration::ZERO, block: true };
    let start = start_container();
    let problems = soon(verb::execute(&context, Verb::Start, &start, timeouts, &mut |_| ())).await.unwrap();
    let what = "timed out waiting for it to be launched: core-01 has been pulling docker.io/library/nginx:1.29 for";
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(problems.len() == 1 && problems[0].starts_with(&format!("Unit web.container: {what} ")), "{problems:?}");
    let timeouts = Timeouts { wait: None, ..timeouts };
    // A unit that waits for its image is stopped.
    let [UnitCommand { unit, .. }] = start_container();
    let stop = [UnitCommand { verb: Verb::Stop, unit, file: None, replace: false, edits: None }];
    let began = Instant::now();
    assert_eq!(soon(verb::execute(&context, Verb::Stop, &stop, timeouts, &mut |_| ())).await.unwrap(), []);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    end_pull(&folder.host, false);
    assert_eq!(soon(verb::execute(&context, Verb::Start, &start, timeouts, &mut |_| ())).await.unwrap(), []);
    assert_eq!(folder.asked(), ["start web.service"]);
}

#[tokio::test]
async fn a_unit_that_needs_one_with_a_new_secret_starts_again_with_it() {
    const FILE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
    const NEW: &str = "[Service]\nExecStart=/bin/sleep 9\n";
    const NEEDS: &str = "[Unit]\nRequires=db.service\n[Service]\nExecStart=/bin/sleep infinity\n";
    for sweeps in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &[]).await;
        store.commit(vec![], [want("db.service", FILE), want("web.service", NEEDS)].concat()).await.unwrap();
        let folder = Arc::new(Folder::new());
        let context = context(&store, &folder);
        swept(&context).await;
        std::fs::write(folder.host.path("needing"), "db.service\n  web.service\n").unwrap();
        // `secret set` gives the unit a file that names the new version.
        store.commit(vec![], want("db.service", NEW)).await.unwrap();
        let before = folder.asked().len();
        if sweeps {
            swept(&context).await;
        } else {
            let warning = "WARNING: Unit web.service needs db.service, so it stops and starts with it.";
            let expected = [warning, "db.service launched core-01", "web.service launched core-01"];
            assert_eq!(told(&context, Verb::Start, "db.service", None).await, expected);
        }
        assert_eq!(folder.file("db.service").unwrap(), NEW);
        assert_eq!(folder.asked()[before..], ["start db.service", "start web.service"], "{sweeps}");
    }
}
