//! Sweeps that lose leadership, and sweeps beside a controller.

use std::sync::Arc;
use std::time::Duration;

use muster::control::membership;
use muster::control::membership::SchedulingMode;
use muster::control::problems;
use muster::control::problems::Problem;
use muster::control::problems::folding;
use muster::control::sweep;
use muster::control::sweep::SweepOptions;
use muster::control::sweep::SweepResult;
use muster::control::sweep::Swept;
use muster::core::health::failover::FailoverPolicy;
use muster::core::model::DesiredState;
use muster::core::model::EventKind;
use muster::core::model::MachineId;
use muster::core::model::ObservationTimes;
use muster::core::model::Timestamp;
use muster::core::model::Unit;
use muster::core::model::Write;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::runner::ClusterContext;
use muster::store::MemoryStore;
use muster::store::Op;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::layout::Key;
use muster::store::leader_election;
use muster::store::leader_election::LeaderKind;

use super::Folder;
use super::MACHINE;
use super::context;
use super::found;
use super::keys;
use super::lead_on;
use super::swept;
use super::timing;
use super::want;
use crate::store::soon;

#[tokio::test]
async fn a_sweep_that_loses_leadership_changes_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::gated());
    let context = context(&store, &folder);
    let options = SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let sweep =
        async || soon(sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
    let relieve = async {
        folder.is_visited().await;
        let old = leader_election::depose(&store, &keys(), "it hangs", "op@desk").await.unwrap().unwrap();
        assert_eq!(old.kind, LeaderKind::Sweep);
        folder.open();
    };
    let (swept, ()) = tokio::join!(sweep(), relieve);
    assert!(matches!(swept, SweepResult::Deposed), "{swept:?}");
    assert_eq!((folder.visits(), folder.file("web.service")), (1, None));
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert!(snapshot.placements.is_empty() && snapshot.health.is_empty() && snapshot.states.is_empty());

    // The next sweep starts the unit.
    let swept = sweep().await;
    assert!(matches!(&swept, SweepResult::Found(Swept { problems: found, .. }) if found.is_empty()), "{swept:?}");
    assert_eq!(folder.asked(), ["start web.service"]);
    let events = layout::read_events(&*store, &keys()).await.unwrap();
    let first = events.first().unwrap();
    assert_eq!(first.subject.actor.as_deref(), Some("op@desk"));
    let EventKind::LeadershipTaken { from, why } = &first.kind else { panic!("{first:?}") };
    assert!(from.starts_with("a sweep on ") && why == "it hangs", "{from}: {why}");
}

#[tokio::test]
async fn a_sweep_beside_a_controller_reports_its_problems_and_changes_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let leader = context(&store, &folder);
    let stop = leader.stop.clone();
    let (epoch, leading) = lead_on(leader).await;
    let long = Duration::from_mins(1);
    let sweep = async |settle| {
        let options = SweepOptions { timing: timing(), settle, lock_wait: long };
        let context = context(&store, &Arc::new(Folder::gated()));
        soon(sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| {
            panic!("the sweep logged an event")
        }))
        .await
        .unwrap()
    };
    // The sweep waits for the unit that the controller starts.
    let swept = sweep(long).await;
    assert!(matches!(&swept, SweepResult::Found(Swept { problems: found, .. }) if found.is_empty()), "{swept:?}");
    assert_eq!(folder.asked(), ["start web.service"]);

    let text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=disk=ssd\n";
    store.commit(Vec::new(), want("picky.service", text)).await.unwrap();
    let SweepResult::Found(Swept { problems: found, .. }) = sweep(Duration::ZERO).await else {
        panic!("the machine is reached")
    };
    assert_eq!(serde_json::to_value(&found).unwrap()[0]["kind"], "unschedulable");
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["Unit picky.service: no machine fits: no metadata disk=ssd (1 machine)"]);
    let holder = leader_election::current_leader(&store, &keys()).await.unwrap().unwrap();
    assert_eq!((holder.kind, holder.epoch), (LeaderKind::Controller, epoch));
    stop.cancel();
    soon(leading).await.unwrap();
}

#[tokio::test]
async fn a_sweep_names_each_record_that_it_cannot_read() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let broken = keys().key(&Key::Unit("bad.service".parse().unwrap()));
    store.commit(Vec::new(), vec![Op::put(broken.clone(), "garbage")]).await.unwrap();
    let context = context(&store, &Arc::new(Folder::new()));
    let options = SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let swept = soon(sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
    let SweepResult::Found(Swept { problems: found, .. }) = swept else { panic!("{swept:?}") };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    let expected = format!("the record {broken} of the store cannot be parsed and is ignored: ");
    assert!(found.len() == 1 && found[0].starts_with(&expected), "{found:?}");
}

#[tokio::test]
async fn a_sweep_names_the_units_of_a_machine_that_another_cluster_took_over_and_the_way_out() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let (context, options) = (
        context(&store, &folder),
        SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO },
    );
    let sweep = async || {
        let swept = soon(sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
        let SweepResult::Found(Swept { problems: found, .. }) = swept else { panic!("{swept:?}") };
        folding::lines(&found)
    };
    assert_eq!(sweep().await, [""; 0]);
    folder.belong("f00d", "other in sqlite:there");
    let taken = "core-01 is sick: run: it belongs to another cluster: other in sqlite:there (f00d) (`muster leave --force` \
                 forgets the machine, `muster failover --force` moves its units to other machines, and `muster join \
                 --take-over` takes it back.); the state of web.service there is unknown";
    assert_eq!(sweep().await, [taken]);
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert_eq!(
        folding::lines(&problems::stored_problems(&snapshot, &[], None, context.clock.now())),
        [taken],
        "beside a controller"
    );
}

#[tokio::test]
async fn a_sweep_beside_a_controller_that_observes_no_machine_says_so() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let context = context(&store, &Arc::new(Folder::new()));
    swept(&context).await;
    let _leadership =
        soon(leader_election::try_campaign(&store, &keys(), LeaderKind::Controller)).await.unwrap().unwrap();
    let machine: MachineId = MACHINE.parse().unwrap();
    let ago = |seconds: u64| Timestamp::from_millis(context.clock.now().as_millis() - seconds * 1000);
    for (published, observed, expected) in [
        (1, None, None),
        (1, Some(9), None),
        (1, Some(41), Some("core-01 has not been observed for 41 s")),
        (27, None, Some("the controller that leads has observed no machine for 27 s")),
    ] {
        let behind = observed.map(|observed| (machine, Some(ago(observed)))).into_iter().collect();
        let times = ObservationTimes { at: ago(published), behind, continuous: true };
        store.commit(vec![], keys().ops(&[Write::Observed(times)])).await.unwrap();
        let mut options = SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
        options.timing.detection.down_after = Duration::ZERO;
        let swept = soon(sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
        let SweepResult::Found(Swept { problems: found, .. }) = swept else { panic!("{swept:?}") };
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::from_iter(expected), "{published} {observed:?}");
    }
}

/// Makes a sweep, and returns the problems that it found.
async fn problems_of(context: &ClusterContext) -> Vec<Problem> {
    let options = SweepOptions { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let swept = soon(sweep::sweep(context, options, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
    if let SweepResult::Found(Swept { problems: found, .. }) = swept { found } else { panic!("{swept:?}") }
}

#[tokio::test]
async fn the_problem_of_a_timer_names_the_journal_of_the_job_that_failed() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let job: UnitName = "job.service".parse().unwrap();
    let file = UnitFile::parse("[Service]\nExecStart=/bin/false\n").unwrap();
    let mut units = layout::submit(&keys(), &job, &Unit::new(file.hash(), DesiredState::Loaded), &file);
    units.extend(want("job.timer", "[Timer]\nOnCalendar=daily\n\n[X-Fleet]\nMachineOf=job.service\n"));
    store.commit(Vec::new(), units).await.unwrap();
    let folder = Arc::new(Folder::new());
    let context = context(&store, &folder);
    problems_of(&context).await;
    folder.report("job.service loaded failed failed A job\njob.timer loaded active waiting A timer\n", "");
    let found = problems_of(&context).await;
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["Unit job.timer: job.service, which it starts, is failed (failed) on core-01"]);
    let commands = "`muster why job.timer` and `muster journal job.service` show more.";
    assert_eq!(found[0].commands().as_deref(), Some(commands));
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    let found = problems::stored_problems(&snapshot, &[], None, context.clock.now());
    assert_eq!(found[0].commands().as_deref(), Some(commands), "beside a controller");
}

#[tokio::test]
async fn a_unit_that_runs_on_a_machine_which_is_drained_is_no_trouble() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let context = context(&store, &Arc::new(Folder::new()));
    assert!(problems_of(&context).await.is_empty());
    let mode = SchedulingMode::Drained(None);
    membership::set_scheduling_mode(&context, "core-01", mode).await.unwrap();
    let found = problems_of(&context).await;
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["Unit web.service: still on core-01, which is drained: there is no other machine"]);
    assert!(found[0].is_drain());
}
