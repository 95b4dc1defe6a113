//! The sweep, when somebody relieves it half-way.

use std::sync::Arc;
use std::time::Duration;

use muster::control::sweep;
use muster::control::sweep::Swept;
use muster::control::sweep::Waits;
use muster::core::caution::Caution;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout;
use muster::store::lead;
use muster::store::lead::Kind;

use super::Folder;
use super::found;
use super::keys;
use super::office;
use super::tempo;
use crate::store::soon;

#[tokio::test]
async fn one_that_loses_the_lead_on_the_way_does_nothing_about_what_it_sees() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::gated());
    let office = office(&store, &folder);
    let waits = Waits { tempo: tempo(), settle: Duration::ZERO, lock_wait: Duration::ZERO };
    let sweep = async || soon(sweep::sweep(&office, waits, Caution::default(), &mut |_, _| ())).await.unwrap();
    let relieve = async {
        folder.is_visited().await;
        let old = lead::take_over(&store, &keys(), "it hangs", "op@desk").await.unwrap().unwrap();
        assert_eq!(old.kind, Kind::Sweep);
        folder.open();
    };
    let (swept, ()) = tokio::join!(sweep(), relieve);
    assert!(matches!(swept, Swept::Deposed), "{swept:?}");
    assert_eq!((folder.visits(), folder.file("web.service")), (1, None));
    let snapshot = layout::read(&*store, &keys()).await.unwrap();
    assert!(snapshot.placements.is_empty() && snapshot.health.is_empty() && snapshot.states.is_empty());

    // It is the next one's.
    let swept = sweep().await;
    assert!(matches!(&swept, Swept::Found(found) if found.is_empty()), "{swept:?}");
    assert_eq!(folder.asked(), ["start web.service"]);
    let events = layout::read_events(&*store, &keys()).await.unwrap();
    let first = &events.first().unwrap().what;
    assert!(first.starts_with("the lead was taken from a sweep on ") && first.ends_with("by op@desk: it hangs"));
}
