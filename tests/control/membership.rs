//! A machine that leaves, with two hosts that are folders.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use muster::control::membership;
use muster::control::progress;
use muster::core::model::MachineId;
use muster::runner::ClusterContext;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;
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
use crate::store::soon;
use crate::wire::visit::MACHINE;

#[tokio::test]
async fn a_machine_leaves_once_its_units_run_elsewhere() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, fleet) = two_hosts(&store, &["web.service"]).await;
    let (first, other): (MachineId, MachineId) = (MACHINE.parse().unwrap(), OTHER.parse().unwrap());
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let left = soon(membership::leave(&context, "core-01", false, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(machine, problems)) = left else { panic!("{left:?}") };
    assert_eq!((machine.id, problems.len()), (first, 0), "{problems:?}");
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert_eq!(snapshot.machines.keys().collect::<Vec<_>>(), [&other]);
    assert!(!snapshot.health.contains_key(&first));
    let members = store.list(&keys().members()).await.unwrap().entries;
    assert_eq!(members.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), [keys().key(&Key::Member(other))]);
    assert_eq!(snapshot.placements["web.service"].machine, other);
    assert!(snapshot.states["web.service"][&other].runs() && !snapshot.states["web.service"].contains_key(&first));
    assert_eq!(fleet.0["core-01"].file("web.service"), None);
    assert_eq!(fleet.0["core-02"].asked(), ["start web.service"]);
}

/// What systemd says of a unit that fails a moment after it was started.
const FAILED: &str = "web.service loaded failed failed A server\n";

/// What the host says of it then.
const LAST_WORDS: &str =
    "Result=exit-code\nExecMainCode=1\nExecMainStatus=3\nNRestarts=0\n\n{\"MESSAGE\":\"no such database\"}\n";

/// Takes the first machine out of the cluster. Its unit fails on the other one a moment after it was started. Returns the
/// problems and whether the unit was called launched.
async fn leave_with_a_unit_that_fails(context: &ClusterContext, fleet: &Fleet) -> (Vec<String>, bool) {
    let settle = Duration::from_secs(2);
    let timeouts = progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle, block: true };
    let mut is_launched = false;
    let mut on_progress =
        |progress: progress::Progress<'_>| is_launched |= matches!(progress, progress::Progress::Reached(..));
    let fails = async {
        fleet.0["core-02"].is_asked().await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        fleet.0["core-02"].report(FAILED, LAST_WORDS);
    };
    let leave = membership::leave(context, "core-01", false, timeouts, &mut on_progress);
    let (left, ()) = soon(async { tokio::join!(leave, fails) }).await;
    let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{left:?}") };
    (problems.iter().map(ToString::to_string).collect(), is_launched)
}

const FAILS_THERE: &str = "Unit web.service: failed (failed) on core-02\n  exit code 3\n  journal: no such database";

#[tokio::test]
async fn a_unit_that_fails_where_it_has_moved_is_named_and_not_called_launched() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, fleet) = two_hosts(&store, &["web.service"]).await;
    let (problems, is_launched) = leave_with_a_unit_that_fails(&context, &fleet).await;
    assert_eq!((problems, is_launched), (vec![FAILS_THERE.to_owned()], false));
    assert_eq!(layout::read(&*store, &keys()).await.unwrap().machines.len(), 1);
}

#[tokio::test]
async fn a_controller_changes_nothing_about_a_unit_that_fails_where_it_has_moved() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, fleet) = two_hosts(&store, &["web.service"]).await;
    let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
    let stop = leader.stop.clone();
    let (_, leading) = lead_on(leader).await;
    let (problems, is_launched) = leave_with_a_unit_that_fails(&context, &fleet).await;
    stop.cancel();
    soon(leading).await.unwrap();
    assert_eq!((problems, is_launched), (vec![FAILS_THERE.to_owned()], false));
}

#[tokio::test]
async fn a_machine_leaves_although_a_failed_unit_fits_on_no_other() {
    for has_controller in [false, true] {
        let store: SharedStore = Arc::new(MemoryStore::new());
        found(&store, &["web.service"]).await;
        let folder = Arc::new(Folder::new());
        let context = context(&store, &folder);
        swept(&context).await;
        folder.report(FAILED, "");
        swept(&context).await;
        let leader = ClusterContext { stop: CancellationToken::new(), ..context.clone() };
        let stop = leader.stop.clone();
        let leading = if has_controller { Some(lead_on(leader).await.1) } else { None };
        let timeouts =
            progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
        let left = soon(membership::leave(&context, "core-01", false, timeouts, &mut |_| ())).await;
        let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{has_controller} {left:?}") };
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["Unit web.service: no machine fits: cordoned (1 machine)"], "{has_controller}");
        assert_eq!(folder.file("web.service"), None);
        stop.cancel();
        if let Some(leading) = leading {
            soon(leading).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_drain_says_which_units_it_stopped_at_its_deadline() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    assert!(folder.file("web.service").is_some());
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let deadline = Some(Duration::from_millis(100));
    let drained = soon(membership::drain(&context, "core-01", deadline, timeouts, &mut |_| ())).await.unwrap();
    assert!(drained.is_empty && folder.file("web.service").is_none(), "{drained:?}");
    let problems: Vec<String> = drained.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["Unit web.service: stopped at the deadline: no machine fits: cordoned (1 machine)"]);
}

#[tokio::test]
async fn a_drain_that_is_cancelled_meanwhile_does_not_say_that_the_machine_is_drained() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, _fleet) = two_hosts(&store, &["web.service"]).await;
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let mut cancelled = 0;
    let mut cancel = |_: progress::Progress<'_>| {
        let open = membership::SchedulingMode::Open;
        cancelled += membership::set_scheduling_mode(&context, "core-01", open).now_or_never().map_or(0, |_| 1);
    };
    let drained = soon(membership::drain(&context, "core-01", None, timeouts, &mut cancel)).await;
    let error = drained.unwrap_err().to_string();
    assert!(error.starts_with("the drain of core-01 was cancelled meanwhile") && cancelled > 0, "{error}");
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_answers_leaves_no_unit_there() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    swept(&context).await;
    assert!(folder.file("web.service").is_some());
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let kept = soon(membership::leave(&context, "core-01", false, timeouts, &mut |_| ())).await;
    assert!(matches!(kept, Ok(membership::Left::Kept(..))) && folder.file("web.service").is_some(), "{kept:?}");
    let left = soon(membership::leave(&context, "core-01", true, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["Unit web.service: stopped: no machine fits: cordoned (1 machine)"]);
    assert!(folder.file("web.service").is_none());
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_does_not_answer_asks_it_no_more_than_needed() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    swept(&context(&store, &Arc::new(Folder::new()))).await;

    // Another host has the address of the machine now.
    let folder = Arc::new(Folder::of(OTHER));
    let context = context(&store, &folder);
    let timeouts = progress::Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let left = soon(membership::leave(&context, "core-01", true, timeouts, &mut |_| ())).await;
    let Ok(membership::Left::Removed(_, problems)) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert_eq!(problems[0], format!("core-01 is down: run: machine {OTHER} answers at its address"));
    assert!(problems[1].starts_with("Unit web.service: no machine fits: "), "{problems:?}");
    let unreleased =
        "core-01 does not answer and could not be told that it has left: until its next boot it refuses other clusters";
    assert_eq!(problems[2], unreleased);
    assert_eq!(folder.visits(), 2);
    assert!(layout::read(&*store, &keys()).await.unwrap().machines.is_empty());
}

#[tokio::test]
async fn a_drain_of_a_machine_that_cannot_be_managed_says_where_its_units_are_placed_now() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let (context, fleet) = two_hosts(&store, &["web.service"]).await;
    fleet.0["core-01"].belong("f00d", "other");
    let timeouts =
        progress::Timeouts { lock_wait: Duration::from_secs(5), wait: None, settle: Duration::ZERO, block: true };
    let drained = soon(membership::drain(&context, "core-01", None, timeouts, &mut |_| ())).await.unwrap();
    let problems: Vec<String> = drained.problems.iter().map(ToString::to_string).collect();
    assert!(
        problems[0].starts_with("core-01 is sick: run: it belongs to another cluster: other (f00d)"),
        "{problems:?}"
    );
    let moved = "Unit web.service: it may still run on core-01, which is sick; it is placed on core-02 now";
    assert_eq!(problems[1..], [moved]);
}
