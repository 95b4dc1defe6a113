//! Playbooks beside a controller.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster::control::sweep::SweepOptions;
use muster::core::health::failover::FailoverPolicy;
use muster::core::model::Timestamp;
use muster::inventory::Inventory;
use muster::playbook::callback::json::JsonCallback;
use muster::playbook::cluster::ApplicationRequest;
use muster::playbook::cluster::Cluster as _;
use muster::playbook::cluster::RequestError;
use muster::playbook::cluster::Swept;
use muster::playbook::cluster_client::ClusterClient;
use muster::playbook::executor::Executor;
use muster::playbook::parse;
use muster::playbook::parse::Gathering;
use muster::playbook::parse::Options;
use muster::playbook::running::Running;
use muster::playbook::tags::Selection;
use muster::runner::ClusterContext;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use muster::store::layout::Key;
use muster::store::leader_election;
use muster::store::leader_election::LeaderKind;
use serde_json::Value;

use super::Folder;
use super::context;
use super::found;
use super::keys;
use super::lead_on;
use super::timing;
use crate::store::etcd::plain;
use crate::store::server::Server;
use crate::store::server::installed;
use crate::store::soon;

/// Runs a playbook of one task. Returns whether it changed anything, and its message.
async fn play(cluster_client: &ClusterClient, here: &Path, task: &str) -> (bool, String) {
    std::fs::write(here.join("hosts"), "core-01\n").unwrap();
    let inventory = Inventory::load(&[here.join("hosts")]).unwrap();
    let text = format!("- hosts: core-01\n  tasks:\n    - {task}\n");
    let options = Options { gathering: Gathering::Explicit, ..Options::default() };
    let playbook = parse::read(&here.join("play.yaml"), &text, &parse::read_file, &options).unwrap();
    let remote = &*cluster_client.cluster.remote;
    let executor = Executor {
        inventory: Arc::new(inventory.clone()),
        remote,
        cluster: Some(cluster_client),
        extra: Arc::default(),
        choose: &|_, _| Vec::new(),
        check: false,
        diff: false,
        password: None,
        environment: std::collections::BTreeMap::new(),
        options: &options,
        forks: 1,
        selection: Selection::new(&[], &[]),
        step: None,
        limit: None,
        verbosity: 0,
        running: Running::default(),
    };
    let mut document = JsonCallback::default();
    let code = soon(
        executor
            .play(&playbook, vec![vec!["core-01".to_owned()]], &mut |event| document.handle(event, Timestamp::ZERO)),
    )
    .await;
    let document: Value = document.into_json();
    assert_eq!(code, 0, "{document:#}");
    let result = &document["plays"][0]["tasks"][0]["hosts"]["core-01"];
    (result["changed"].as_bool().unwrap(), result["msg"].as_str().unwrap().to_owned())
}

/// Returns a client that waits for nothing.
fn client(cluster: ClusterContext) -> ClusterClient {
    let (lock, settle) = (Duration::ZERO, Duration::ZERO);
    let sweep = SweepOptions { timing: timing(), settle, lock_wait: lock };
    ClusterClient { cluster, lock, settle, sweep, failover_policy: FailoverPolicy::default() }
}

#[tokio::test]
async fn a_sweep_of_a_playbook_repairs_and_says_what_it_could_not() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    let folder = Arc::new(Folder::new());
    let client = client(context(&store, &folder));
    let looked = soon(client.sweep(true)).await.unwrap();
    assert_eq!((looked.changed, looked.problems.len(), folder.asked().len()), (false, 1, 0), "{looked:?}");
    let swept = soon(client.sweep(false)).await.unwrap();
    assert_eq!(swept, Swept { changed: true, problems: Vec::new() });
    assert_eq!(folder.asked(), ["start web.service"]);
    let swept = soon(client.sweep(false)).await.unwrap();
    assert_eq!(swept, Swept { changed: false, problems: Vec::new() });
}

#[tokio::test]
async fn an_application_task_makes_the_cluster_as_the_folder_is() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let folder = Arc::new(Folder::new());
    let client = client(context(&store, &folder));
    let here = tempfile::tempdir().unwrap();
    let here = here.path();
    let write = |name: &str, text: &str| std::fs::write(here.join("shop").join(name), text).unwrap();
    std::fs::create_dir(here.join("shop")).unwrap();
    write("web.service", "[Service]\nExecStart=/bin/sleep 1\n");
    write("db.service", "[Service]\nExecStart=/bin/sleep 2\n");
    let request = ApplicationRequest::Present { folders: vec![here.join("shop")], prune: false, vars: Arc::default() };

    let predicted = soon(client.applications(&request, true)).await.unwrap();
    assert_eq!((predicted.changed, folder.asked().len()), (true, 0));
    assert_eq!(predicted.units["new"], ["db.service", "web.service"]);
    assert!(predicted.difference.contains("--- /dev/null\n+++ db.service (folder)\n"), "{}", predicted.difference);
    assert_eq!(play(&client, here, "application: path=shop").await, (true, "Application shop: 2 new".to_owned()));
    assert!(folder.file("db.service").is_some() && folder.file("web.service").is_some(), "{:?}", folder.asked());
    assert_eq!(
        play(&client, here, "application: path=shop").await,
        (false, "Application shop: 2 unchanged".to_owned())
    );

    std::fs::remove_file(here.join("shop/db.service")).unwrap();
    let kept = "Application shop: 1 unchanged, 1 not in the folder (`prune: true` destroys db.service)";
    assert_eq!(play(&client, here, "application: path=shop").await, (false, kept.to_owned()));
    let pruned = "Application shop: 1 unchanged, 1 destroyed";
    assert_eq!(play(&client, here, "application: path=shop prune=true").await, (true, pruned.to_owned()));
    assert_eq!((folder.file("db.service"), folder.file("web.service").is_some()), (None, true));

    let absent = "application: {name: shop, state: absent}";
    assert_eq!(play(&client, here, absent).await, (true, "Application shop: 1 destroyed".to_owned()));
    assert_eq!(folder.file("web.service"), None);
    assert_eq!(play(&client, here, absent).await, (false, "Application shop: no units".to_owned()));

    write("other.service", "[Service]\nExecStart\n");
    let refused = soon(client.applications(&request, false)).await.unwrap_err();
    let RequestError::Failed(why) = refused else { panic!("{refused:?}") };
    assert!(why.contains("shop/other.service:2:1: "), "{why}");
}

#[tokio::test]
async fn a_unit_task_waits_until_the_controller_has_started_the_unit() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    found(&store, &[]).await;
    let folder = Arc::new(Folder::new());
    let leader = context(&store, &folder);
    let stop = leader.stop.clone();
    let (epoch, leading) = lead_on(leader).await;
    let cluster_client = client(context(&store, &folder));
    let here = tempfile::tempdir().unwrap();
    let here = here.path();

    let web = "unit: {name: web, src: web.service}";
    for text in ["[Service]\nExecStart=/bin/sleep 1\n", "[Service]\nExecStart=/bin/sleep 2\n"] {
        std::fs::write(here.join("web.service"), text).unwrap();
        let (changed, what) = play(&cluster_client, here, web).await;
        // The task has waited: the file is there now, not soon.
        assert_eq!(folder.file("web.service").as_deref(), Some(text));
        assert_eq!((changed, what.as_str()), (true, "Unit web.service launched on 3f2f3dd0.../192.0.2.1"));
    }
    assert_eq!(folder.asked(), ["start web.service", "start web.service"]);
    assert!(!play(&cluster_client, here, web).await.0);
    assert!(play(&cluster_client, here, "unit: {name: web, state: absent}").await.0);
    assert_eq!(folder.file("web.service"), None);

    // The controller did all of it: no other process has led.
    let holder = leader_election::current_leader(&store, &keys()).await.unwrap().unwrap();
    assert_eq!((holder.kind, holder.epoch, folder.epoch()), (LeaderKind::Controller, epoch, epoch));
    let counter = store.get(&keys().key(&Key::Epoch)).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(counter.value).unwrap(), epoch.to_string());
    stop.cancel();
    soon(leading).await.unwrap();
}
