//! The contract of a store. Each rule runs against each back end, under a prefix of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use muster::control::secrets;
use muster::control::secrets::SecretContext;
use muster::core::model::Recipient;
use muster::core::model::Timestamp;
use muster::runner::Clock;
use muster::secret::Accepted;
use muster::secret::Identity;
use muster::secret::RECIPIENT_LIMIT;
use muster::secret::VALUE_LIMIT;
use muster::secret::fetch;
use muster::store::COMMIT_BYTES;
use muster::store::COMMIT_LIMIT;
use muster::store::Op;
use muster::store::Precondition;
use muster::store::SharedStore;
use muster::store::StoreError;
use muster::store::Watch;
use muster::store::WatchEvent;
use muster::store::layout;
use muster::store::layout::Key;
use muster::store::layout::Keyspace;
use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use super::soon;

/// Makes a test of each rule for memory and sqlite, and one function that runs all rules for stores that are slow to start.
macro_rules! rules {
    ($($rule:ident)*) => {
        mod memory {
            $(#[tokio::test]
            async fn $rule() {
                super::$rule(std::sync::Arc::new(muster::store::MemoryStore::new()), "/t/").await;
            })*
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $rule() {
                let folder = tempfile::tempdir().unwrap();
                let store = muster::store::SqliteStore::open(&folder.path().join("db")).await.unwrap();
                super::$rule(std::sync::Arc::new(store), "/t/").await;
            })*
        }

        /// Runs the rules that need no lease and no other prefix against one store, under a prefix of its own.
        pub(crate) async fn without_leases(store: &SharedStore, at: &str) {
            $(
                let rule = stringify!($rule);
                if !rule.contains("lease") && !rule.contains("largest_secret") {
                    $rule(store.clone(), &format!("{at}{rule}/")).await;
                }
            )*
        }

        /// Runs every rule against one store.
        pub(crate) async fn all(store: &SharedStore) {
            $(
                eprintln!("{}", stringify!($rule));
                $rule(store.clone(), concat!("/", stringify!($rule), "/")).await;
            )*
        }
    };
}

rules! {
    a_commit_sets_and_removes_at_one_revision
    a_failed_precondition_changes_nothing
    a_commit_that_changes_nothing_keeps_the_revision
    a_list_has_the_keys_of_the_prefix_in_order
    the_created_revision_tells_a_key_from_one_that_was_created_again
    a_commit_that_is_too_large_is_rejected
    a_commit_that_changes_a_key_twice_is_rejected
    values_keep_all_their_bytes
    a_watch_delivers_later_changes_in_order
    a_watch_delivers_its_prefix_only
    a_cancelled_wait_loses_nothing
    a_watch_from_a_revision_in_the_future_is_compacted
    an_expired_lease_removes_its_keys
    a_lease_that_is_kept_alive_does_not_expire
    a_revoked_lease_removes_its_keys_at_once
    a_lease_that_has_ended_accepts_no_keys
    a_key_set_without_its_lease_outlives_it
    of_many_commits_that_create_a_key_one_succeeds
    the_largest_secret_for_the_most_recipients_is_set_fetched_and_removed
}

async fn put(store: &SharedStore, key: &str, value: &str) -> i64 {
    store.commit(vec![], vec![Op::put(key, value)]).await.unwrap().unwrap()
}

async fn value(store: &SharedStore, key: &str) -> Option<Vec<u8>> {
    store.get(key).await.unwrap().map(|entry| entry.value)
}

fn leased(key: &str, lease: muster::store::LeaseId) -> Op {
    Op::Put { key: key.to_owned(), value: b"held".to_vec(), lease: Some(lease) }
}

/// Reads events from a watch until there are `count`.
async fn read_events(watch: &mut Box<dyn Watch>, count: usize) -> Vec<WatchEvent> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = soon(watch.next()).await.unwrap();
        assert!(!more.is_empty());
        all.extend(more);
    }
    all
}

async fn a_commit_sets_and_removes_at_one_revision(store: SharedStore, at: &str) {
    let (a, b, c) = (format!("{at}a"), format!("{at}b"), format!("{at}c"));
    let first = put(&store, &a, "1").await;
    let second =
        store.commit(vec![], vec![Op::put(&b, "2"), Op::Delete(a.clone()), Op::put(&c, "3")]).await.unwrap().unwrap();
    assert!(second > first);
    let listing = store.list(at).await.unwrap();
    assert_eq!(listing.revision, second);
    let seen: Vec<_> = listing.entries.iter().map(|entry| (&entry.key, entry.created, entry.modified)).collect();
    assert_eq!(seen, [(&b, second, second), (&c, second, second)]);
    assert_eq!(store.get(&a).await.unwrap(), None);
    let third = put(&store, &b, "4").await;
    let entry = store.get(&b).await.unwrap().unwrap();
    assert_eq!((entry.value.as_slice(), entry.created, entry.modified), (&b"4"[..], second, third));
}

async fn a_failed_precondition_changes_nothing(store: SharedStore, at: &str) {
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let first = put(&store, &a, "1").await;
    let second = put(&store, &a, "2").await;
    let fails = [
        Precondition::Absent(a.clone()),
        Precondition::Created(a.clone(), second),
        Precondition::Modified(a.clone(), first),
        Precondition::Created(b.clone(), first),
        Precondition::Modified(b.clone(), second),
    ];
    for precondition in fails {
        let holds = Precondition::Created(a.clone(), first);
        let outcome = store.commit(vec![holds, precondition.clone()], vec![Op::put(&b, "x")]).await.unwrap();
        assert_eq!(outcome, None, "{precondition:?}");
    }
    assert_eq!(value(&store, &b).await, None);
    let all_hold = vec![
        Precondition::Created(a.clone(), first),
        Precondition::Modified(a, second),
        Precondition::Absent(b.clone()),
    ];
    assert!(store.commit(all_hold, vec![Op::put(&b, "x")]).await.unwrap().is_some());
}

async fn a_commit_that_changes_nothing_keeps_the_revision(store: SharedStore, at: &str) {
    let first = put(&store, &format!("{at}a"), "1").await;
    assert_eq!(store.commit(vec![], vec![]).await.unwrap(), Some(first));
    assert_eq!(store.commit(vec![], vec![Op::Delete(format!("{at}none"))]).await.unwrap(), Some(first));
    assert_eq!(store.list(at).await.unwrap().revision, first);
}

async fn a_list_has_the_keys_of_the_prefix_in_order(store: SharedStore, at: &str) {
    let names = ["a/2", "a/10", "a0", "a", "a/ü", "A/1", "b/1", "a/"];
    let ops = names.iter().map(|name| Op::put(format!("{at}{name}"), "")).collect();
    store.commit(vec![], ops).await.unwrap();
    let listing = store.list(&format!("{at}a/")).await.unwrap();
    let keys: Vec<_> = listing.entries.iter().map(|entry| entry.key.strip_prefix(at).unwrap()).collect();
    assert_eq!(keys, ["a/", "a/10", "a/2", "a/ü"]);
    assert_eq!(store.list(at).await.unwrap().entries.len(), names.len());
    assert!(store.list(&format!("{at}nothing/")).await.unwrap().entries.is_empty());
}

async fn the_created_revision_tells_a_key_from_one_that_was_created_again(store: SharedStore, at: &str) {
    let a = format!("{at}a");
    let first = put(&store, &a, "1").await;
    store.commit(vec![], vec![Op::Delete(a.clone())]).await.unwrap();
    let again = put(&store, &a, "1").await;
    assert_eq!(store.commit(vec![Precondition::Created(a.clone(), first)], vec![]).await.unwrap(), None);
    assert!(store.commit(vec![Precondition::Created(a, again)], vec![]).await.unwrap().is_some());
}

async fn a_commit_that_is_too_large_is_rejected(store: SharedStore, at: &str) {
    let many = |count: usize| (0..count).map(|n| Op::put(format!("{at}{n}"), "")).collect::<Vec<_>>();
    assert!(store.commit(vec![], many(COMMIT_LIMIT)).await.unwrap().is_some());
    let refused = store.commit(vec![], many(COMMIT_LIMIT + 1)).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let refused = store.commit(vec![], vec![Op::put(format!("{at}big"), vec![0; COMMIT_BYTES + 1])]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let key = format!("{at}big");
    let fits = vec![1; COMMIT_BYTES - key.len()];
    store.commit(vec![], vec![Op::put(&key, fits.clone())]).await.unwrap().unwrap();
    assert_eq!(value(&store, &key).await, Some(fits));
}

async fn a_commit_that_changes_a_key_twice_is_rejected(store: SharedStore, at: &str) {
    let a = format!("{at}a");
    let refused = store.commit(vec![], vec![Op::put(&a, "1"), Op::Delete(a.clone())]).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    assert_eq!(value(&store, &a).await, None);
}

async fn values_keep_all_their_bytes(store: SharedStore, at: &str) {
    let all: Vec<u8> = (0..=255).collect();
    for (name, bytes) in [("empty", vec![]), ("all", all)] {
        let key = format!("{at}{name}");
        store.commit(vec![], vec![Op::put(&key, bytes.clone())]).await.unwrap();
        assert_eq!(value(&store, &key).await, Some(bytes.clone()));
    }
}

async fn a_watch_delivers_later_changes_in_order(store: SharedStore, at: &str) {
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let before = put(&store, &a, "before").await;
    let early = put(&store, &a, "early").await;
    let mut watch = store.watch(at, before).await.unwrap();
    let late = store.commit(vec![], vec![Op::put(&b, "late"), Op::Delete(a.clone())]).await.unwrap().unwrap();
    let seen = read_events(&mut watch, 3).await;
    let [WatchEvent::Put(first), second, third] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&first.key, first.value.as_slice(), first.created, first.modified), (&a, &b"early"[..], before, early));
    // The changes of one commit come together, in any order.
    let mut together = vec![(second.key(), second.revision()), (third.key(), third.revision())];
    together.sort_unstable();
    assert_eq!(together, [(a.as_str(), late), (b.as_str(), late)]);
    assert!(seen.contains(&WatchEvent::Delete { key: a, revision: late }));
    assert_eq!(watch.revision(), late);
}

async fn a_watch_delivers_its_prefix_only(store: SharedStore, at: &str) {
    let before = put(&store, &format!("{at}x/a"), "1").await;
    let mut watch = store.watch(&format!("{at}y/"), before).await.unwrap();
    put(&store, &format!("{at}x/b"), "2").await;
    put(&store, &format!("{at}y"), "3").await;
    put(&store, &format!("{at}y/c"), "4").await;
    let seen = read_events(&mut watch, 1).await;
    assert_eq!(seen.iter().map(WatchEvent::key).collect::<Vec<_>>(), [format!("{at}y/c")]);
}

async fn a_cancelled_wait_loses_nothing(store: SharedStore, at: &str) {
    let before = put(&store, &format!("{at}a"), "1").await;
    let mut watch = store.watch(at, before).await.unwrap();
    let mut seen = Vec::new();
    for n in 0..20 {
        let key = format!("{at}{n:02}");
        let commit = put(&store, &key, "");
        // The wait is cancelled where the commit happens to leave it.
        tokio::select! {
            _ = commit => {}
            more = watch.next() => seen.extend(more.unwrap()),
        }
        put(&store, &key, "").await;
    }
    let last = put(&store, &format!("{at}last"), "").await;
    while seen.last().map(WatchEvent::revision) != Some(last) {
        seen.extend(soon(watch.next()).await.unwrap());
    }
    for n in 0..20 {
        assert!(seen.iter().any(|change| change.key() == format!("{at}{n:02}")), "{n} was lost");
    }
}

async fn a_watch_from_a_revision_in_the_future_is_compacted(store: SharedStore, at: &str) {
    let now = put(&store, &format!("{at}a"), "1").await;
    let outcome = match store.watch(at, now + 1000).await {
        Ok(mut watch) => soon(watch.next()).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(StoreError::Compacted(_))), "{outcome:?}");
}

async fn an_expired_lease_removes_its_keys(store: SharedStore, at: &str) {
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let lease = store.grant(Duration::from_secs(1)).await.unwrap();
    let made = store.commit(vec![], vec![leased(&a, lease), Op::put(&b, "stays")]).await.unwrap().unwrap();
    let mut watch = store.watch(at, made).await.unwrap();
    let seen = read_events(&mut watch, 1).await;
    assert!(matches!(seen.as_slice(), [WatchEvent::Delete { key, .. }] if *key == a), "{seen:?}");
    assert_eq!(value(&store, &a).await, None);
    assert!(value(&store, &b).await.is_some());
    assert_eq!(store.commit(vec![Precondition::Created(a, made)], vec![Op::put(b, "x")]).await.unwrap(), None);
}

async fn a_lease_that_is_kept_alive_does_not_expire(store: SharedStore, at: &str) {
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let kept = store.grant(Duration::from_secs(2)).await.unwrap();
    let left = store.grant(Duration::from_secs(2)).await.unwrap();
    let made = store.commit(vec![], vec![leased(&a, kept), leased(&b, left)]).await.unwrap().unwrap();
    let mut watch = store.watch(at, made).await.unwrap();
    // The lease that is not kept alive shows when both would have expired.
    let gone = soon(async {
        loop {
            tokio::select! {
                seen = watch.next() => break seen.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(500)) => store.keep_alive(kept).await.unwrap(),
            }
        }
    })
    .await;
    assert!(matches!(gone.as_slice(), [WatchEvent::Delete { key, .. }] if *key == b), "{gone:?}");
    store.keep_alive(kept).await.unwrap();
    assert!(value(&store, &a).await.is_some());
}

async fn a_revoked_lease_removes_its_keys_at_once(store: SharedStore, at: &str) {
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let keys: Vec<_> = (0..3).map(|n| format!("{at}{n}")).collect();
    store.commit(vec![], keys.iter().map(|key| leased(key, lease)).collect()).await.unwrap();
    store.revoke(lease).await.unwrap();
    assert!(store.list(at).await.unwrap().entries.is_empty());
    store.revoke(lease).await.unwrap();
}

async fn a_lease_that_has_ended_accepts_no_keys(store: SharedStore, at: &str) {
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    store.revoke(lease).await.unwrap();
    let (a, b) = (format!("{at}a"), format!("{at}b"));
    let outcome = store.commit(vec![], vec![Op::put(&b, ""), leased(&a, lease)]).await;
    assert!(matches!(outcome, Err(StoreError::LeaseExpired(id)) if id == lease), "{outcome:?}");
    assert!(store.list(at).await.unwrap().entries.is_empty());
    let outcome = store.keep_alive(lease).await;
    assert!(matches!(outcome, Err(StoreError::LeaseExpired(id)) if id == lease), "{outcome:?}");
    let next = store.grant(Duration::from_mins(1)).await.unwrap();
    assert_ne!(next, lease, "the id of a lease is not used again");
}

async fn a_key_set_without_its_lease_outlives_it(store: SharedStore, at: &str) {
    let a = format!("{at}a");
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    store.commit(vec![], vec![leased(&a, lease)]).await.unwrap();
    put(&store, &a, "for good").await;
    store.revoke(lease).await.unwrap();
    assert!(value(&store, &a).await.is_some());
}

async fn of_many_commits_that_create_a_key_one_succeeds(store: SharedStore, at: &str) {
    let key = format!("{at}a");
    let tries = (0..16).map(|n| {
        let (store, key) = (store.clone(), key.clone());
        async move { store.commit(vec![Precondition::Absent(key.clone())], vec![Op::put(key, format!("{n}"))]).await }
    });
    let outcomes = futures_util::future::join_all(tries).await;
    let made = outcomes.into_iter().filter(|outcome| outcome.as_ref().unwrap().is_some()).count();
    assert_eq!(made, 1);
}

async fn the_largest_secret_for_the_most_recipients_is_set_fetched_and_removed(store: SharedStore, _at: &str) {
    let keys = Keyspace::new("secrets").unwrap();
    let identities: Vec<Identity> = (0..RECIPIENT_LIMIT).map(|_| Identity::generate()).collect();
    let (added_at, added_by) = (Timestamp::from_millis(0), "u".repeat(200));
    let mut accepted = Accepted::default();
    let mut recipients = BTreeMap::new();
    for key in identities.iter().flat_map(Identity::public_keys) {
        accepted.insert(key.clone());
        recipients.insert(key, Recipient { name: "n".repeat(64), added_at, added_by: added_by.clone() });
    }
    store.commit(vec![], vec![keys.put(&Key::SecretRecipients, &recipients)]).await.unwrap().unwrap();
    let (clock, operator) = (Clock::start(), added_by);
    let context = SecretContext { store: store.clone(), keys: keys.clone(), clock, operator };
    let value: SecretSlice<u8> = (0..=255).cycle().take(VALUE_LIMIT).collect::<Vec<u8>>().into();
    let name = "n".repeat(255).parse().unwrap();
    let record = secrets::set(&context, &name, &value, &accepted).await.unwrap();
    for identity in [identities.first().unwrap(), identities.last().unwrap()] {
        let fetched = fetch(&*store, &keys, identity, &name).await.unwrap();
        assert_eq!(fetched.version, record.version);
        assert!(fetched.value.expose_secret() == value.expose_secret());
    }
    let listing = layout::list(&*store, &keys).await.unwrap();
    assert!(listing.entries.iter().all(|entry| entry.value.len() < 64 * 1024), "a snapshot has no values");
    assert_eq!(layout::snapshot(&keys, &listing).secrets, [(name.clone(), record)].into());
    secrets::remove(&context, &[name], false).await.unwrap();
    assert!(store.list(&keys.secret_values()).await.unwrap().entries.is_empty());
}
