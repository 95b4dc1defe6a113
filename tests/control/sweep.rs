//! The sweep, when somebody relieves it half-way, and beside a controller.

use std::sync::Arc;
use std::time::Duration;

use muster::control::sweep;
use muster::control::sweep::SweepResult;
use muster::control::sweep::Timeouts;
use muster::core::health::failover::FailoverPolicy;
use muster::core::model::EventKind;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::leader_election;
use muster::store::leader_election::Kind;

use super::Folder;
use super::context;
use super::found;
use super::keys;
use super::lead_on;
use super::timing;
use super::want;
use crate::store::soon;

#[tokio::test]
async fn one_that_loses_the_lead_on_the_way_does_nothing_about_what_it_sees() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::gated());
    let context = context(&store, &folder);
    let timeouts = Timeouts { timing: timing(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let sweep =
        async || soon(sweep::sweep(&context, timeouts, FailoverPolicy::default(), &mut |_, _| ())).await.unwrap();
    let relieve = async {
        folder.is_visited().await;
        let old = leader_election::take_over(&store, &keys(), "it hangs", "op@desk").await.unwrap().unwrap();
        assert_eq!(old.kind, Kind::Sweep);
        folder.open();
    };
    let (swept, ()) = tokio::join!(sweep(), relieve);
    assert!(matches!(swept, SweepResult::Deposed), "{swept:?}");
    assert_eq!((folder.visits(), folder.file("web.service")), (1, None));
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert!(snapshot.placements.is_empty() && snapshot.health.is_empty() && snapshot.states.is_empty());

    // It is the next one's.
    let swept = sweep().await;
    assert!(matches!(&swept, SweepResult::Found(found) if found.is_empty()), "{swept:?}");
    assert_eq!(folder.asked(), ["start web.service"]);
    let events = layout::read_events(&*store, &keys()).await.unwrap();
    let first = events.first().unwrap();
    assert_eq!(first.subject.actor.as_deref(), Some("op@desk"));
    let EventKind::LeadershipTaken { from, why } = &first.kind else { panic!("{first:?}") };
    assert!(from.starts_with("a sweep on ") && why == "it hangs", "{from}: {why}");
}

#[tokio::test]
async fn beside_a_controller_it_tells_what_that_one_has_found_and_does_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let leader = context(&store, &folder);
    let stop = leader.stop.clone();
    let (epoch, leading) = lead_on(leader).await;
    let long = Duration::from_mins(1);
    let sweep = async |settle| {
        let timeouts = Timeouts { timing: timing(), settle, lock_wait: long };
        let context = context(&store, &Arc::new(Folder::gated()));
        soon(sweep::sweep(&context, timeouts, FailoverPolicy::default(), &mut |_, _| panic!("it did something")))
            .await
            .unwrap()
    };
    // It timeouts for what the controller is at.
    let swept = sweep(long).await;
    assert!(matches!(&swept, SweepResult::Found(found) if found.is_empty()), "{swept:?}");
    assert_eq!(folder.asked(), ["start web.service"]);

    let text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\nMachineMetadata=disk=ssd\n";
    store.commit(Vec::new(), want("picky.service", text)).await.unwrap();
    let SweepResult::Found(found) = sweep(Duration::ZERO).await else { panic!("it was not blind") };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["Unit picky.service: no machine for it: 1 machine: metadata disk=ssd not matched"]);
    let holder = leader_election::holder(&store, &keys()).await.unwrap().unwrap();
    assert_eq!((holder.kind, holder.epoch), (Kind::Controller, epoch));
    stop.cancel();
    soon(leading).await.unwrap();
}
