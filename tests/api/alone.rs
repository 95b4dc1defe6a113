//! The API of a process that is alone: while no controller leads, it looks at the machines, and carries out what clients ask for.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::Request;
use muster::api::Api;
use muster::api::carrying_out::CarryingOut;
use muster::control::read_model::ReadModel;
use muster::http::connections::Client;
use muster::http::connections::Transport;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use tower::ServiceExt as _;

use super::supervision;
use crate::control::Folder;
use crate::control::context;
use crate::control::found;
use crate::store::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_controller_machines_are_looked_at_and_a_change_is_carried_out() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let cluster = context(&store, &folder);
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    // A page follows the changes.
    let follower = view.clone();
    let looking = cluster.clone();
    let looks = tokio::spawn(async move { model.run_and_look(&looking).await });
    assert!(follower.until(Duration::from_secs(20), |it| it.snapshot().observed.is_some()).await);
    assert!(folder.has_no_leader() && folder.visits() > 0, "a look changes no host");

    let carrying_out = CarryingOut::new(Duration::from_secs(5), Duration::ZERO);
    let api = Api::new(
        cluster.clone(),
        view,
        supervision(),
        tokio::sync::watch::channel(Arc::default()).1,
        cluster.stop.clone(),
    );
    let router = muster::api::router(Arc::new(api.that_carries_out(carrying_out.clone())));
    let request = Request::post("/api/v1/units/web.service/start").body(Body::empty()).unwrap();
    let answer =
        router.layer(Extension(Client::User(0))).layer(Extension(Transport::Plain)).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 202);
    soon(carrying_out.end()).await;
    assert!(folder.file("web.service").is_some());
    assert_eq!(folder.asked(), ["start web.service"]);
    looks.abort();
}
