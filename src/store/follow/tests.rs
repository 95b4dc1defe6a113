use std::sync::Arc;

use super::*;
use crate::store::Op;
use crate::store::flaky::FlakyStore;

async fn put(store: &FlakyStore, key: &str) {
    store.memory.commit(vec![], vec![Op::put(key, "")]).await.unwrap();
}

fn keys(update: Update) -> Vec<String> {
    match update {
        Update::Reset(listing) => listing.entries.into_iter().map(|entry| format!("= {}", entry.key)).collect(),
        Update::Events(changes) => changes.iter().map(|change| format!("+ {}", change.key())).collect(),
        Update::Unavailable(_) => vec!["unavailable".to_owned()],
    }
}

fn follow(store: &FlakyStore) -> Follower {
    Follower::new(Arc::new(store.clone()), vec!["/a/".to_owned(), "/b/".to_owned()])
}

#[tokio::test(start_paused = true)]
async fn all_entries_come_first_and_then_the_changes_under_each_prefix() {
    let store = FlakyStore::default();
    put(&store, "/a/1").await;
    put(&store, "/b/1").await;
    put(&store, "/c/1").await;
    let mut follower = follow(&store);
    assert_eq!(keys(follower.next().await), ["= /a/1", "= /b/1"]);
    put(&store, "/b/2").await;
    assert_eq!(keys(follower.next().await), ["+ /b/2"]);
    put(&store, "/c/2").await;
    put(&store, "/a/2").await;
    assert_eq!(keys(follower.next().await), ["+ /a/2"]);
}

#[tokio::test(start_paused = true)]
async fn following_continues_where_it_was_when_the_store_is_back() {
    let store = FlakyStore::default();
    let mut follower = follow(&store);
    assert!(keys(follower.next().await).is_empty());
    store.set_unavailable(true);
    put(&store, "/a/1").await;
    for _ in 0..3 {
        assert_eq!(keys(follower.next().await), ["unavailable"]);
    }
    store.set_unavailable(false);
    assert!(keys(follower.next().await).is_empty(), "it is available again, which is told although nothing may change");
    assert_eq!(keys(follower.next().await), ["+ /a/1"]);
}

#[tokio::test(start_paused = true)]
async fn compacted_changes_are_listed_again() {
    let store = FlakyStore::default();
    let mut follower = follow(&store);
    follower.next().await;
    store.set_unavailable(true);
    put(&store, "/a/1").await;
    assert_eq!(keys(follower.next().await), ["unavailable"]);
    put(&store, "/b/1").await;
    store.memory.compact();
    store.set_unavailable(false);
    assert_eq!(keys(follower.next().await), ["= /a/1", "= /b/1"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_unavailable_is_asked_less_and_less_often() {
    let store = FlakyStore::default();
    store.set_unavailable(true);
    let mut follower = follow(&store);
    let began = Instant::now();
    let mut times = Vec::new();
    for _ in 0..8 {
        follower.next().await;
        times.push(began.elapsed().as_millis());
    }
    assert_eq!(times, [0, 200, 600, 1400, 3000, 6200, 11200, 16200]);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_loses_nothing() {
    let store = FlakyStore::default();
    let mut follower = follow(&store);
    follower.next().await;
    for n in 0..5 {
        assert!(tokio::time::timeout(Duration::from_millis(1), follower.next()).await.is_err());
        put(&store, &format!("/a/{n}")).await;
        assert_eq!(keys(follower.next().await), [format!("+ /a/{n}")]);
    }
    assert_eq!(store.list("/a/").await.unwrap().entries.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_keeps_the_listing_that_is_in_progress() {
    let store = FlakyStore::default();
    put(&store, "/a/1").await;
    store.set_list_delay(Duration::from_secs(1));
    let mut follower = follow(&store);
    let mut cancelled = 0;
    let update = loop {
        match tokio::time::timeout(Duration::from_millis(300), follower.next()).await {
            Ok(update) => break update,
            Err(_) => cancelled += 1,
        }
        assert!(cancelled < 10, "two lists of a second each take no longer because of cancelled calls");
    };
    assert_eq!((keys(update), cancelled), (vec!["= /a/1".to_owned()], 6));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_prefix_is_not_listed_again_after_a_compaction() {
    let store = FlakyStore::default();
    let mut follower = follow(&store);
    assert!(keys(follower.next().await).is_empty());
    put(&store, "/c/1").await;
    assert!(tokio::time::timeout(Duration::from_millis(1), follower.next()).await.is_err());
    store.memory.compact();
    store.set_unavailable(true);
    put(&store, "/a/1").await;
    assert_eq!(keys(follower.next().await), ["unavailable"]);
    store.set_unavailable(false);
    assert!(keys(follower.next().await).is_empty(), "it is available again, which is told although nothing may change");
    assert_eq!(keys(follower.next().await), ["+ /a/1"]);
}
