use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::core::reconcile::Timing;
use crate::core::reconcile::assignments::Scope;
use crate::remote::ssh;
use crate::runner::Clock;
use crate::runner::SecretSource;
use crate::store::MemoryStore;
use crate::store::SharedStore;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;

/// Returns a write that logs an event of this time.
fn log(at: usize) -> Write {
    let at = Timestamp::ZERO + Duration::from_millis(at.try_into().unwrap());
    Write::Log(Event::new(at, None, None, EventKind::LeaseEnded))
}

/// Returns a store, and the run of a leader that it has.
async fn led() -> (SharedStore, RunContext) {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let keys = Keyspace::new("default").unwrap();
    let leadership = leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap();
    let context = RunContext {
        leadership: Arc::new(leadership),
        keys,
        remote: Arc::new(ssh::Ssh::new(ssh::Options::default())),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        deadline: None,
        stop: CancellationToken::new(),
        supervision: None,
    };
    (store, context)
}

#[tokio::test(start_paused = true)]
async fn the_events_of_a_leader_that_was_deposed_are_not_told() {
    for is_deposed in [false, true] {
        let (store, context) = led().await;
        if is_deposed {
            leader_election::depose(&store, &context.keys, "it hangs", "op").await.unwrap();
        }
        let mut runner = Runner::new(&context);
        runner.commit(&[log(1)]);
        let second = Duration::from_secs(1);
        let timing = Timing {
            poll_interval: second,
            full_poll_interval: second,
            retry_interval: second,
            start_deadline: second,
            detection: DetectionConfig { down_after: second, brake: BRAKE },
            lease: None,
        };
        let mut reconciler = Reconciler::new(1, Scope::All, timing, Snapshot::default());
        runner.wait(&mut reconciler, None).await.unwrap();
        let mut told = 0;
        runner.tell(reconciler.snapshot(), &mut |_, _| told += 1);
        assert_eq!(told, usize::from(!is_deposed));
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_keeps_the_newest_events_and_prunes_the_others() {
    const PORTION: usize = 100;
    let (store, context) = led().await;
    let keys = context.keys.clone();
    let mut runner = Runner::new(&context);
    // The last portion makes the run prune the log once more.
    let all = (EVENTS_KEPT / EVENTS_BETWEEN_PRUNES + 2) * EVENTS_BETWEEN_PRUNES;
    for first in (0..all).step_by(PORTION) {
        let writes: Vec<Write> = (first..first + PORTION).map(log).collect();
        runner.commit(&writes);
        assert!(next_commit(&mut runner.commit).await.unwrap());
        let count = store.list(&keys.events()).await.unwrap().entries.len();
        assert!(count < EVENTS_KEPT + EVENTS_BETWEEN_PRUNES, "{count} after {first}");
    }
    let kept = layout::read_events(&*store, &keys).await.unwrap();
    let times: Vec<usize> = kept.iter().map(|event| event.at.as_millis().try_into().unwrap()).collect();
    assert_eq!(times, (all - EVENTS_KEPT..all).collect::<Vec<_>>());
}
