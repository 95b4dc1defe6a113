use std::sync::Arc;

use super::*;
use crate::core::model::EventKind;
use crate::store::COMMIT_BYTES;
use crate::store::Store;
use crate::store::flaky::FlakyStore;

fn keyspace() -> Keyspace {
    Keyspace::new("default").unwrap()
}

fn shared(store: &FlakyStore) -> SharedStore {
    Arc::new(store.clone())
}

async fn elect(store: &FlakyStore) -> Leadership {
    try_campaign(&shared(store), &keyspace(), LeaderKind::Controller).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_candidate_is_elected_and_the_others_get_its_record() {
    let store = FlakyStore::default();
    let first = elect(&store).await;
    let record = try_campaign(&shared(&store), &keyspace(), LeaderKind::Command).await.unwrap().unwrap_err();
    assert_eq!((record.kind, record.pid, record.epoch), (LeaderKind::Controller, std::process::id(), first.epoch()));
    first.resign().await;
    assert!(elect(&store).await.epoch() > first.epoch());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_has_ended_on_this_host_is_replaced_at_once() {
    let (store, keyspace) = (FlakyStore::default(), keyspace());
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let process = ProcessIdentity::of(child.id()).map(Box::new);
    let lease = store.grant(LEASE_DURATION).await.unwrap();
    let record = LeaderRecord { process, ..LeaderRecord::new(LeaderKind::Controller, 7, lease) };
    let put = Op::Put { key: keyspace.key(&Key::Leader), value: encode(&record), lease: Some(lease) };
    store.commit(vec![], vec![put]).await.unwrap();
    let holder = try_campaign(&shared(&store), &keyspace, LeaderKind::Controller).await.unwrap().unwrap_err();
    assert_eq!(holder, record);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(elect(&store).await.epoch() > 7);
    assert!(matches!(store.keep_alive(lease).await, Err(StoreError::LeaseExpired(_))), "its lease has ended, too");
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_prunes_no_events() {
    let (store, keyspace) = (FlakyStore::default(), keyspace());
    let ops: Vec<Op> = (0..9).map(|at| Op::put(keyspace.key(&Key::Event(format!("{at}"))), "{}")).collect();
    store.commit(vec![], ops).await.unwrap();
    let count = async || store.list(&keyspace.events()).await.unwrap().entries.len();
    let first = elect(&store).await;
    assert!(first.prune_events(&keyspace, 5).await.unwrap());
    assert_eq!(count().await, 5);
    first.resign().await;
    assert!(!first.prune_events(&keyspace, 2).await.unwrap());
    assert_eq!(count().await, 5);
}

#[tokio::test(start_paused = true)]
async fn epochs_of_a_rebuilt_store_start_at_the_time_of_day() {
    let old = elect(&FlakyStore::default()).await;
    let new = elect(&FlakyStore::default()).await;
    assert!(old.epoch() > 1_700_000_000 && new.epoch() >= old.epoch());
}

#[tokio::test(start_paused = true)]
async fn an_epoch_far_ahead_of_the_clock_reaches_no_host_and_can_be_reset() {
    for (far, refused) in [(u64::MAX, true), (9_223_372_036_854_775_806, true), (epoch_of_clock() + 3600, false)] {
        let (store, keyspace) = (FlakyStore::default(), keyspace());
        store.commit(vec![], vec![Op::put(keyspace.key(&Key::Epoch), far.to_string())]).await.unwrap();
        let taken = try_campaign(&shared(&store), &keyspace, LeaderKind::Sweep).await;
        assert_eq!(matches!(taken, Err(StoreError::EpochAhead { epoch, .. }) if epoch == far), refused);
        if refused {
            assert!(store.get(&keyspace.key(&Key::Leader)).await.unwrap().is_none());
            assert_eq!(reset_epoch(&shared(&store), &keyspace).await.unwrap(), Some(far));
            assert!(elect(&store).await.epoch() <= epoch_of_clock() + 1);
        }
        assert_eq!(reset_epoch(&shared(&store), &keyspace).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn leadership_lasts_while_the_store_answers() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    assert!(tokio::time::timeout(LEASE_DURATION * 20, lead.wait_until_lost()).await.is_err());
    assert!(lead.is_valid());
    assert!(lead.commit(vec![Op::put("/a", "1")]).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_answers_stops_before_another_can_be_elected() {
    let store = FlakyStore::default();
    let first = elect(&store).await;
    store.set_unavailable(true);
    first.wait_until_lost().await;
    assert!(!first.is_valid());
    store.set_unavailable(false);
    // The leader has stopped, and in the store its lease has not ended yet.
    assert!(store.get(&keyspace().key(&Key::Leader)).await.unwrap().is_some());
    assert!(!first.commit(vec![Op::put("/a", "late")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn leadership_survives_a_store_that_is_unavailable_for_half_a_lease() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    store.set_unavailable(true);
    tokio::time::sleep(LEASE_DURATION / 2).await;
    store.set_unavailable(false);
    assert!(tokio::time::timeout(LEASE_DURATION * 3, lead.wait_until_lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_retried_while_the_store_is_unavailable() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    store.set_unavailable(true);
    let back = async {
        tokio::time::sleep(LEASE_DURATION / 3).await;
        store.set_unavailable(false);
    };
    let (taken, ()) = tokio::join!(lead.commit(vec![Op::put("/a", "1")]), back);
    assert!(taken.unwrap());
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"1");
}

#[tokio::test(start_paused = true)]
async fn a_commit_to_an_unavailable_store_fails_when_leadership_ends() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    store.set_unavailable(true);
    let error = lead.commit(vec![Op::put("/a", "1")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }) && !lead.is_valid(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_made_once() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    store.lose_next_answer();
    assert!(lead.commit(vec![Op::put("/a", "1")]).await.unwrap());
    let entry = store.get("/a").await.unwrap().unwrap();
    assert_eq!(entry.created, entry.modified);
    assert!(lead.commit(vec![Op::put("/a", "2")]).await.unwrap());
    store.lose_next_answer();
    assert!(lead.commit(vec![Op::Delete("/a".to_owned())]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_late_is_rejected() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    let preconditions =
        vec![lead.guard.clone(), Precondition::Modified(lead.epoch_key.clone(), *lead.head.lock().await)];
    assert!(lead.commit(vec![Op::put("/a", "new")]).await.unwrap());
    assert_eq!(store.commit(preconditions, vec![Op::put("/a", "old")]).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_whose_answer_was_lost_learns_that_it_lost_leadership() {
    let store = FlakyStore::default();
    let first = elect(&store).await;
    store.revoke(first.lease).await.unwrap();
    let second = elect(&store).await;
    store.lose_next_answer();
    assert!(!first.commit(vec![Op::put("/a", "1")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
    assert!(second.commit(vec![Op::put("/a", "2")]).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_former_leader_writes_nothing() {
    let store = FlakyStore::default();
    let first = elect(&store).await;
    store.revoke(first.lease).await.unwrap();
    let second = elect(&store).await;
    assert!(first.is_valid(), "it does not know yet");
    assert!(!first.commit(vec![Op::put("/a", "1")]).await.unwrap());
    assert!(second.commit(vec![Op::put("/a", "2")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"2");
}

#[tokio::test(start_paused = true)]
async fn more_operations_than_a_commit_may_have_go_into_several() {
    let store = FlakyStore::default();
    let lead = elect(&store).await;
    let mut ops: Vec<_> = (0..300).map(|n| Op::put(format!("/many/{n:03}"), "")).collect();
    ops.extend((0..3).map(|n| Op::put(format!("/large/{n}"), vec![0; COMMIT_BYTES - 100])));
    assert!(lead.commit(ops).await.unwrap());
    assert_eq!(store.list("/many/").await.unwrap().entries.len(), 300);
    assert_eq!(store.list("/large/").await.unwrap().entries.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn dropping_leadership_ends_it_at_once() {
    let store = FlakyStore::default();
    drop(elect(&store).await);
    let taken = campaign(&shared(&store), &keyspace(), LeaderKind::Command, LEASE_DURATION / 10).await.unwrap();
    assert!(taken.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deposed_leader_learns_of_it_and_writes_nothing() {
    let (store, keyspace) = (FlakyStore::default(), keyspace());
    let first = elect(&store).await;
    let old = depose(&shared(&store), &keyspace, "it hangs", "op@desk").await.unwrap().unwrap();
    assert_eq!((old.kind, old.epoch), (LeaderKind::Controller, first.epoch()));
    assert!(first.is_valid(), "it does not know yet");
    assert!(!first.commit(vec![Op::put("/a", "1")]).await.unwrap());
    let heard = tokio::time::timeout(LEASE_DURATION / 2, first.wait_until_lost()).await;
    assert!(heard.is_ok() && !first.is_valid());
    assert_eq!(current_leader(&shared(&store), &keyspace).await.unwrap(), None);
    assert!(elect(&store).await.epoch() > first.epoch());
    let events = crate::store::layout::read_events(&store, &keyspace).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].subject.actor.as_deref(), Some("op@desk"));
    let EventKind::LeadershipTaken { from, why } = &events[0].kind else { panic!("{events:?}") };
    assert!(from.starts_with("a controller on ") && why == "it hangs", "{from}: {why}");
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_depose_returns_none() {
    let store = FlakyStore::default();
    assert_eq!(depose(&shared(&store), &keyspace(), "it hangs", "op@desk").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_record_cannot_be_read_is_deposed_too() {
    let (store, keyspace) = (FlakyStore::default(), keyspace());
    store.commit(vec![], vec![Op::put(keyspace.key(&Key::Leader), "{}")]).await.unwrap();
    let old = depose(&shared(&store), &keyspace, "it is gone", "op@desk").await.unwrap().unwrap();
    assert_eq!((old.host.as_str(), old.lease), ("an unknown host", None));
    assert_eq!(current_leader(&shared(&store), &keyspace).await.unwrap(), None);
    elect(&store).await;
}
