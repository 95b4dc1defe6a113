//! The store behind the API: it keeps the contract of a store, without leases, and within what a client may change.

use muster::api::Api;
use muster::core::model::Event;
use muster::core::model::EventKind;
use muster::core::model::Timestamp;
use muster::core::model::Verb;
use muster::store;
use muster::store::Credentials;
use muster::store::Op;
use muster::store::Precondition;
use muster::store::SharedStore;
use muster::store::StoreError;
use muster::store::layout;
use muster::store::layout::Key;

use super::Served;
use crate::control::keys;
use crate::store::contract;

async fn through_api(served: &Served) -> SharedStore {
    let location = format!("unix:{}", served.socket.display());
    store::open_existing(&location, &Credentials::default()).await.unwrap()
}

#[tokio::test]
async fn the_store_behind_the_api_keeps_the_contract() {
    let served = Served::start().await;
    contract::without_leases(&through_api(&served).await, &format!("{}contract/", keys().prefixes()[1])).await;
}

#[tokio::test]
async fn a_client_cannot_lead_nor_write_what_a_leader_writes() {
    let served = Served::start().await;
    let store = through_api(&served).await;
    assert!(!store.can_lead());
    assert!(matches!(store.grant(std::time::Duration::from_secs(5)).await, Err(StoreError::Refused { .. })));
    let unit: muster::core::unit::UnitName = "web.service".parse().unwrap();
    for key in [
        Key::Cluster,
        Key::Alerts("pager".to_owned()),
        Key::Epoch,
        Key::Leader,
        Key::Placement(unit.clone()),
        Key::Serial,
    ] {
        let key = keys().key(&key);
        let error = store.commit(vec![], vec![Op::put(&key, "1")]).await.unwrap_err().to_string();
        assert!(error.contains("a client of the API cannot change"), "{error}");
        let error = store.commit(vec![], vec![Op::Delete(key)]).await.unwrap_err().to_string();
        assert!(error.contains("a client of the API cannot change"), "{error}");
    }
    // A record that nothing can read would block its unit.
    let key = keys().key(&Key::Unit(unit.clone()));
    let error = store.commit(vec![], vec![Op::put(&key, "{}")]).await.unwrap_err().to_string();
    assert!(error.contains("the record ") && error.contains("missing field"), "{error}");
    let key = keys().key(&Key::File(muster::core::unit::Hash::of(b"[Service]\n")));
    assert!(
        store.commit(vec![], vec![Op::put(&key, "[Service]\nExecStart=/bin/evil\n")]).await.is_err(),
        "another file"
    );
    let other = muster::store::layout::Keyspace::new("other").unwrap().key(&Key::Unit(unit));
    let error = store.get(&other).await.unwrap_err().to_string();
    assert!(error.contains("this controller has the cluster with the token"), "{error}");
    assert!(store.commit(vec![Precondition::Absent(other)], vec![]).await.is_err());
}

#[tokio::test]
async fn the_event_log_has_the_name_that_the_api_knows_and_the_present_time() {
    let served = Served::start().await;
    let store = through_api(&served).await;
    let unit = "web.service".parse().unwrap();
    let forged = Event::new(Timestamp::from_millis(1), None, Some(unit), EventKind::UnitRequested(Verb::Start))
        .by("mallory@moon");
    let key = keys().key(&Key::Event("000000000000001-00000-abc".to_owned()));
    store.commit(vec![], vec![Op::put(key.clone(), serde_json::to_vec(&forged).unwrap())]).await.unwrap();
    let events = layout::read_events(&*store, &keys()).await.unwrap();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    let actor = event.subject.actor.as_deref().unwrap();
    assert!(actor.ends_with(" (API)") && !actor.contains("mallory"), "{actor}");
    assert!(event.at > Timestamp::from_millis(1_000_000_000_000), "{event:?}");
    // The log cannot be shortened.
    let kept = store.list(&keys().events()).await.unwrap().entries[0].key.clone();
    assert!(store.commit(vec![], vec![Op::Delete(kept)]).await.is_err());
}

/// The API is shared by the threads of its clients.
const _: fn() = || {
    const fn shared<T: Send + Sync>() {}
    shared::<Api>();
};
