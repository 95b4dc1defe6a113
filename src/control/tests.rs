//! The event log is pruned by every process that leads.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::controller;
use super::controller::ControllerStatus;
use super::sweep;
use super::sweep::SweepResult;
use super::timing;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::Timing;
use crate::remote::ssh;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::runner::LeaderSettings;
use crate::runner::SecretSource;
use crate::runner::Supervision;
use crate::store::COMMIT_LIMIT;
use crate::store::MemoryStore;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::layout::Keyspace;

/// Returns a context whose store has seven events more than are kept, from the time 0 on.
async fn context() -> ClusterContext {
    let context = ClusterContext {
        name: "default".to_owned(),
        store: Arc::new(MemoryStore::new()),
        keys: Keyspace::new("default").unwrap(),
        remote: Arc::new(ssh::Ssh::new(ssh::Options::default())),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    };
    let event = |at: usize| {
        let at = Timestamp::from_millis(at.try_into().unwrap());
        Write::Log(Event::new(at, None, None, EventKind::LeaseEnded))
    };
    let events: Vec<Write> = (0..EVENTS_KEPT + 7).map(event).collect();
    for portion in events.chunks(COMMIT_LIMIT) {
        context.store.commit(vec![], context.keys.ops(portion)).await.unwrap();
    }
    context
}

/// Checks that the seven oldest events are gone.
async fn assert_pruned(context: &ClusterContext) {
    let kept = layout::read_events(&*context.store, &context.keys).await.unwrap();
    assert_eq!((kept.len(), kept[0].at.as_millis()), (EVENTS_KEPT, 7));
}

fn patient() -> Timing {
    timing(DetectionConfig { down_after: Duration::ZERO, brake: BRAKE })
}

#[tokio::test]
async fn a_sweep_prunes_the_event_log() {
    let context = context().await;
    let options = sweep::SweepOptions { timing: patient(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let swept = sweep::sweep(&context, options, FailoverPolicy::default(), &mut |_, _| ()).await.unwrap();
    assert!(matches!(swept, SweepResult::NoMachines), "no machine has joined");
    assert_pruned(&context).await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_prunes_the_event_log_as_soon_as_it_leads() {
    let context = context().await;
    let mut on_status = |status: ControllerStatus<'_>| {
        assert!(matches!(status, ControllerStatus::Leads(_) | ControllerStatus::NoMachines), "{status:?}");
        context.stop.cancel();
    };
    let failover_policy = FailoverPolicy::default();
    let settings = LeaderSettings {
        timing: patient(),
        failover_policy,
        fence_commands: Arc::default(),
        receivers: std::collections::BTreeMap::default(),
    };
    controller::control(&context, &Supervision::fixed(settings), &mut on_status, &mut |_, _| ()).await;
    assert_pruned(&context).await;
}
