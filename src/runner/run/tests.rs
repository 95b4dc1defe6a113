use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::model::EventKind;
use crate::core::model::Timestamp;
use crate::remote::ssh;
use crate::runner::Clock;
use crate::store::MemoryStore;
use crate::store::SharedStore;
use crate::store::leader_election;
use crate::store::leader_election::LeaderKind;

/// Returns a write that logs an event of this time.
fn log(at: usize) -> Write {
    let at = Timestamp::ZERO + Duration::from_millis(at.try_into().unwrap());
    Write::Log(Event::new(at, None, None, EventKind::LeaseEnded))
}

#[tokio::test(start_paused = true)]
async fn a_run_that_goes_on_keeps_the_newest_events_and_prunes_the_others() {
    const PORTION: usize = 100;
    let store: SharedStore = Arc::new(MemoryStore::new());
    let keys = Keyspace::new("default").unwrap();
    let context = RunContext {
        leadership: Arc::new(
            leader_election::try_campaign(&store, &keys, LeaderKind::Controller).await.unwrap().unwrap(),
        ),
        keys: keys.clone(),
        remote: Arc::new(ssh::Ssh::new(ssh::Options::default())),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        deadline: None,
        stop: CancellationToken::new(),
        supervision: None,
    };
    let mut runner = Runner::new(&context);
    // The last portion makes the run prune the log once more.
    let all = (EVENTS_KEPT / EVENTS_BETWEEN_PRUNES + 2) * EVENTS_BETWEEN_PRUNES;
    for first in (0..all).step_by(PORTION) {
        let writes: Vec<Write> = (first..first + PORTION).map(log).collect();
        runner.commit(&Snapshot::default(), &writes, &mut |_, _| ());
        assert!(next_commit(&mut runner.commit).await.unwrap());
        let count = store.list(&keys.events()).await.unwrap().entries.len();
        assert!(count < EVENTS_KEPT + EVENTS_BETWEEN_PRUNES, "{count} after {first}");
    }
    let kept = layout::read_events(&*store, &keys).await.unwrap();
    let times: Vec<usize> = kept.iter().map(|event| event.at.as_millis().try_into().unwrap()).collect();
    assert_eq!(times, (all - EVENTS_KEPT..all).collect::<Vec<_>>());
}
