use std::sync::Arc;

use super::*;
use crate::core::model::EventKind;
use crate::store::Store;
use crate::store::flaky::Flaky;
use crate::store::layout::prune_events;

fn keys() -> Keys {
    Keys::new("default").unwrap()
}

fn shared(store: &Flaky) -> SharedStore {
    Arc::new(store.clone())
}

async fn lead(store: &Flaky) -> Leadership {
    take(&shared(store), &keys(), Kind::Controller).await.unwrap().unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_the_others_are_told_who() {
    let store = Flaky::default();
    let first = lead(&store).await;
    let holder = take(&shared(&store), &keys(), Kind::Verb).await.unwrap().unwrap_err();
    assert_eq!((holder.kind, holder.pid, holder.epoch), (Kind::Controller, std::process::id(), first.epoch()));
    first.release().await;
    assert!(lead(&store).await.epoch() > first.epoch());
}

#[tokio::test(start_paused = true)]
async fn who_leads_no_more_removes_no_events() {
    let (store, keys) = (Flaky::default(), keys());
    let events: Vec<Change> = (0..9).map(|at| Change::put(keys.key(&Slot::Event(format!("{at}"))), "{}")).collect();
    store.commit(vec![], events).await.unwrap();
    let count = async || store.list(&keys.events()).await.unwrap().entries.len();
    let first = lead(&store).await;
    assert!(prune_events(&first, &keys, 5).await.unwrap());
    assert_eq!(count().await, 5);
    first.release().await;
    assert!(!prune_events(&first, &keys, 2).await.unwrap());
    assert_eq!(count().await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_made_anew_counts_on_from_the_time_of_day() {
    let old = lead(&Flaky::default()).await;
    let new = lead(&Flaky::default()).await;
    assert!(old.epoch() > 1_700_000_000 && new.epoch() >= old.epoch());
}

#[tokio::test(start_paused = true)]
async fn the_lead_is_kept_for_as_long_as_the_store_answers() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    assert!(tokio::time::timeout(TTL * 20, lead.lost()).await.is_err());
    assert!(lead.is_valid());
    assert!(lead.commit(vec![Change::put("/a", "1")]).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hears_nothing_stops_before_another_can_begin() {
    let store = Flaky::default();
    let first = lead(&store).await;
    store.set_away(true);
    first.lost().await;
    assert!(!first.is_valid());
    store.set_away(false);
    // It has stopped, and the store has not yet given the lead away.
    assert!(store.get(&keys().key(&Slot::Leader)).await.unwrap().is_some());
    assert!(!first.commit(vec![Change::put("/a", "late")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_of_the_store_costs_nobody_the_lead() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    store.set_away(true);
    tokio::time::sleep(TTL / 2).await;
    store.set_away(false);
    assert!(tokio::time::timeout(TTL * 3, lead.lost()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_commit_waits_for_a_store_that_is_away_for_a_moment() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    store.set_away(true);
    let back = async {
        tokio::time::sleep(TTL / 3).await;
        store.set_away(false);
    };
    let (taken, ()) = tokio::join!(lead.commit(vec![Change::put("/a", "1")]), back);
    assert!(taken.unwrap());
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"1");
}

#[tokio::test(start_paused = true)]
async fn a_commit_ends_with_the_lead_while_the_store_is_away() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    store.set_away(true);
    let error = lead.commit(vec![Change::put("/a", "1")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }) && !lead.is_valid(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_made_once() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    store.lose_an_answer();
    assert!(lead.commit(vec![Change::put("/a", "1")]).await.unwrap());
    let entry = store.get("/a").await.unwrap().unwrap();
    assert_eq!(entry.created, entry.modified);
    assert!(lead.commit(vec![Change::put("/a", "2")]).await.unwrap());
    store.lose_an_answer();
    assert!(lead.commit(vec![Change::Delete("/a".to_owned())]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_the_same_leader_that_arrives_late_is_not_taken() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    let checks = vec![lead.guard.clone(), Check::Modified(lead.counter.clone(), *lead.head.lock().await)];
    assert!(lead.commit(vec![Change::put("/a", "new")]).await.unwrap());
    assert_eq!(store.commit(checks, vec![Change::put("/a", "old")]).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn who_lost_the_lead_and_an_answer_finds_out_both() {
    let store = Flaky::default();
    let first = lead(&store).await;
    store.revoke(first.lease).await.unwrap();
    let second = lead(&store).await;
    store.lose_an_answer();
    assert!(!first.commit(vec![Change::put("/a", "1")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap(), None);
    assert!(second.commit(vec![Change::put("/a", "2")]).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn whoever_lost_the_lead_writes_nothing_more() {
    let store = Flaky::default();
    let first = lead(&store).await;
    store.revoke(first.lease).await.unwrap();
    let second = lead(&store).await;
    assert!(first.is_valid(), "it does not know yet");
    assert!(!first.commit(vec![Change::put("/a", "1")]).await.unwrap());
    assert!(second.commit(vec![Change::put("/a", "2")]).await.unwrap());
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"2");
}

#[tokio::test(start_paused = true)]
async fn more_than_a_commit_holds_goes_in_several() {
    let store = Flaky::default();
    let lead = lead(&store).await;
    let mut changes: Vec<_> = (0..300).map(|n| Change::put(format!("/many/{n:03}"), "")).collect();
    changes.extend((0..3).map(|n| Change::put(format!("/large/{n}"), vec![0; COMMIT_BYTES - 100])));
    assert!(lead.commit(changes).await.unwrap());
    assert_eq!(store.list("/many/").await.unwrap().entries.len(), 300);
    assert_eq!(store.list("/large/").await.unwrap().entries.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_is_dropped_is_free_at_once() {
    let store = Flaky::default();
    drop(lead(&store).await);
    let taken = take_within(&shared(&store), &keys(), Kind::Verb, TTL / 10).await.unwrap();
    assert!(taken.is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_is_relieved_hears_of_it_and_writes_nothing_more() {
    let (store, keys) = (Flaky::default(), keys());
    let first = lead(&store).await;
    let old = take_over(&shared(&store), &keys, "it hangs", "op@desk").await.unwrap().unwrap();
    assert_eq!((old.kind, old.epoch), (Kind::Controller, first.epoch()));
    assert!(first.is_valid(), "it does not know yet");
    assert!(!first.commit(vec![Change::put("/a", "1")]).await.unwrap());
    let heard = tokio::time::timeout(TTL / 2, first.lost()).await;
    assert!(heard.is_ok() && !first.is_valid());
    assert_eq!(holder(&shared(&store), &keys).await.unwrap(), None);
    assert!(lead(&store).await.epoch() > first.epoch());
    let events = crate::store::layout::read_events(&store, &keys).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].subject.actor.as_deref(), Some("op@desk"));
    let EventKind::LeadershipTaken { from, why } = &events[0].kind else { panic!("{events:?}") };
    assert!(from.starts_with("a controller on ") && why == "it hangs", "{from}: {why}");
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_nobody_has_is_taken_from_nobody() {
    let store = Flaky::default();
    assert_eq!(take_over(&shared(&store), &keys(), "it hangs", "op@desk").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_holder_of_an_older_muster_is_relieved_too() {
    let (store, keys) = (Flaky::default(), keys());
    let record = r#"{"kind":"controller","host":"core-01","pid":7,"since":1,"epoch":9}"#;
    store.commit(vec![], vec![Change::put(keys.key(&Slot::Leader), record)]).await.unwrap();
    let old = take_over(&shared(&store), &keys, "it is gone", "op@desk").await.unwrap().unwrap();
    assert_eq!((old.host.as_str(), old.lease), ("core-01", None));
    assert!(lead(&store).await.epoch() > 9);
}
