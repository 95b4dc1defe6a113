//! The tests of etcd alone: servers that are down, silent or compacted, TLS, users, long lists.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use muster::store::Credentials;
use muster::store::Op;
use muster::store::SharedStore;
use muster::store::StoreError;
use muster::store::open;
use secrecy::SecretString;

use super::contract;
use super::server::Certificates;
use super::server::Server;
use super::server::installed;
use super::soon;

async fn connect(text: &str, credentials: &Credentials) -> SharedStore {
    let store = open(text, credentials).await.unwrap();
    soon(async {
        while store.get("/ready").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    store
}

/// Returns a store on a server, once the server answers.
pub(crate) async fn plain(server: &Server) -> SharedStore {
    connect(&format!("etcd://{}", server.address()), &Credentials::default()).await
}

fn put(key: &str, value: impl Into<Vec<u8>>) -> Vec<Op> {
    vec![Op::put(key, value)]
}

#[tokio::test]
async fn etcd_keeps_the_contract() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    contract::all(&plain(&server).await).await;
}

#[tokio::test]
async fn a_prefix_keeps_clusters_apart() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let all = plain(&server).await;
    let text = format!("etcd://{}/team/one", server.address());
    let one = open(&text, &Credentials::default()).await.unwrap();
    let mut watch = one.watch("/", one.list("/").await.unwrap().revision).await.unwrap();
    all.commit(vec![], put("/team/two/a", "2")).await.unwrap();
    one.commit(vec![], put("/a", "1")).await.unwrap();
    assert_eq!(soon(watch.next()).await.unwrap()[0].key(), "/a");
    assert_eq!(one.list("/").await.unwrap().entries[0].key, "/a");
    assert_eq!(all.get("/team/one/a").await.unwrap().unwrap().value, b"1");
}

#[tokio::test]
async fn a_long_list_is_read_in_pages_at_one_revision() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    for commit in 0..20 {
        let keys = (0..125).map(|n| Op::put(format!("/many/{commit:03}/{n:03}"), "x")).collect();
        store.commit(vec![], keys).await.unwrap();
    }
    let writer = store.clone();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let writing = tokio::spawn(async move {
        while !stopped.is_cancelled() {
            writer.commit(vec![], put("/many/aaa", "1")).await.unwrap();
            writer.commit(vec![], vec![Op::Delete("/many/aaa".to_owned()), Op::put("/many/zzz", "1")]).await.unwrap();
            writer.commit(vec![], vec![Op::Delete("/many/zzz".to_owned())]).await.unwrap();
        }
    });
    for _ in 0..10 {
        let listing = store.list("/many/").await.unwrap();
        let steady = listing.entries.iter().filter(|entry| entry.key.matches('/').count() == 3).count();
        assert_eq!(steady, 2500);
        // The writer never has both keys at once.
        assert!(listing.entries.len() <= 2501, "{}", listing.entries.len());
        assert!(listing.entries.iter().all(|entry| entry.modified <= listing.revision));
        assert!(listing.entries.is_sorted_by(|a, b| a.key < b.key));
    }
    stop.cancel();
    writing.await.unwrap();
}

#[tokio::test]
async fn large_values_are_listed_in_smaller_pages() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    for n in 0..80 {
        store.commit(vec![], put(&format!("/large/{n:02}"), vec![7; 1_000_000])).await.unwrap();
    }
    let listing = store.list("/large/").await.unwrap();
    assert_eq!(listing.entries.len(), 80);
    assert!(listing.entries.iter().all(|entry| entry.value.len() == 1_000_000));
    // Changes that are too large for one message of a watch are to be listed.
    let missed = match store.watch("/large/", 1).await {
        Ok(mut watch) => soon(watch.next()).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(missed, Err(StoreError::Compacted(1))), "{missed:?}");
}

#[tokio::test]
async fn a_watch_delivers_the_changes_of_a_commit_together() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    let first = store.commit(vec![], put("/first", "")).await.unwrap().unwrap();
    // The changes are several times larger than a fragment of etcd's.
    for _ in 0..8 {
        let changes = (0..100).map(|n| Op::put(format!("/many/{n:02}"), vec![7; 9000])).collect();
        store.commit(vec![], changes).await.unwrap();
    }
    let mut watch = store.watch("/many/", first).await.unwrap();
    let mut seen = 0;
    while seen < 800 {
        let mut revisions = BTreeMap::new();
        for change in soon(watch.next()).await.unwrap() {
            *revisions.entry(change.revision()).or_insert(0) += 1;
            seen += 1;
        }
        assert!(revisions.values().all(|count| *count == 100), "{revisions:?}");
    }
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_compacted() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    let mut last = 0;
    for n in 0..10 {
        last = store.commit(vec![], put("/a", n.to_string())).await.unwrap().unwrap();
    }
    server.ctl(&["compact", &last.to_string()]);
    let outcome = match store.watch("/", last - 5).await {
        Ok(mut watch) => soon(watch.next()).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(matches!(outcome, Err(StoreError::Compacted(_))), "{outcome:?}");
    assert!(store.watch("/", last).await.is_ok());
}

#[tokio::test]
async fn a_quiet_watch_learns_the_revision_from_progress_notifications() {
    if !installed() {
        return;
    }
    let server = Server::start(&["--experimental-watch-progress-notify-interval=100ms"]);
    let store = plain(&server).await;
    let first = store.commit(vec![], put("/quiet/a", "1")).await.unwrap().unwrap();
    let mut watch = store.watch("/quiet/", first).await.unwrap();
    let last = store.commit(vec![], put("/other/a", "1")).await.unwrap().unwrap();
    soon(async {
        while watch.revision() < last {
            let quiet = tokio::time::timeout(Duration::from_millis(100), watch.next()).await;
            assert!(quiet.is_err(), "{quiet:?}");
        }
    })
    .await;
    assert_eq!(watch.revision(), last);
    server.ctl(&["compact", &last.to_string()]);
    let mut watch = store.watch("/quiet/", watch.revision()).await.unwrap();
    let new = store.commit(vec![], put("/quiet/a", "2")).await.unwrap().unwrap();
    assert_eq!(soon(watch.next()).await.unwrap()[0].revision(), new);
    assert_eq!(watch.revision(), new);
}

#[tokio::test]
async fn a_store_is_unavailable_while_its_server_restarts() {
    if !installed() {
        return;
    }
    let mut server = Server::start(&[]);
    let store = plain(&server).await;
    let revision = store.commit(vec![], put("/a", "1")).await.unwrap().unwrap();
    let mut watch = store.watch("/", revision).await.unwrap();
    server.kill();
    let ended = soon(watch.next()).await;
    assert!(matches!(ended, Err(StoreError::Unavailable { .. })), "{ended:?}");
    let asked = Instant::now();
    let error = store.commit(vec![], put("/a", "2")).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains(&server.address()), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(1), "no process listens, and the error comes at once");
    server.run();
    soon(async {
        while store.get("/a").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"1");
    assert!(store.watch("/", revision).await.is_ok());
}

#[tokio::test]
async fn a_silent_server_is_unavailable_within_the_deadline() {
    if !installed() {
        return;
    }
    let server = Server::start(&[]);
    let store = plain(&server).await;
    server.freeze();
    let asked = Instant::now();
    let error = store.commit(vec![], put("/a", "1")).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { detail, .. } if detail.contains("no answer")), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    server.thaw();
}

#[tokio::test]
async fn one_of_three_servers_may_be_down_or_silent() {
    if !installed() {
        return;
    }
    let mut servers = Server::three();
    let all: Vec<_> = servers.iter().map(Server::address).collect();
    let text = format!("etcd://{}", all.join(","));
    let store = connect(&text, &Credentials::default()).await;
    servers[0].kill();
    let asked = Instant::now();
    for n in 0..20 {
        // The server may have been the leader, and the others elect a new one.
        if let Err(error) = store.commit(vec![], put("/a", n.to_string())).await {
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        }
    }
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let cold = connect(&text, &Credentials::default()).await;
    let asked = Instant::now();
    for n in 0..20 {
        cold.commit(vec![], put("/a", n.to_string())).await.unwrap();
        cold.get("/a").await.unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "a server that is down costs nothing: {:?}", asked.elapsed());
    servers[0].run();
    connect(&format!("etcd://{}", all[0]), &Credentials::default()).await;
    // Now the first server keeps its connections and does not answer.
    let cold = open(&text, &Credentials::default()).await.unwrap();
    cold.get("/a").await.unwrap();
    servers[0].freeze();
    let first = Instant::now();
    soon(async {
        while cold.get("/a").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(first.elapsed() < Duration::from_secs(5), "{:?}", first.elapsed());
    let after = Instant::now();
    for n in 0..20 {
        cold.commit(vec![], put("/a", n.to_string())).await.unwrap();
    }
    assert!(after.elapsed() < Duration::from_secs(2), "the silent server is not asked again: {:?}", after.elapsed());
    servers[0].thaw();
}

#[tokio::test]
async fn tls_with_a_client_certificate() {
    if !installed() {
        return;
    }
    let made = Certificates::new();
    let server = Server::start_tls(&[
        &format!("--cert-file={}", made.file("server.pem")),
        &format!("--key-file={}", made.file("server.key")),
        &format!("--trusted-ca-file={}", made.file("ca.pem")),
        "--client-cert-auth",
    ]);
    let text = format!("etcds://{}", server.address());
    let full = Credentials {
        ca_file: Some(made.file("ca.pem").into()),
        cert_file: Some(made.file("client.pem").into()),
        key_file: Some(made.file("client.key").into()),
        ..Credentials::default()
    };
    let store = connect(&text, &full).await;
    store.commit(vec![], put("/a", "1")).await.unwrap();
    store.watch("/", 1).await.unwrap();

    let anonymous = Credentials { cert_file: None, key_file: None, ..full.clone() };
    let error = open(&text, &anonymous).await.unwrap().get("/a").await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("certificate"), "{error}");
    let stranger = Credentials { ca_file: Some(Certificates::new().file("ca.pem").into()), ..full.clone() };
    let error = open(&text, &stranger).await.unwrap_err();
    assert!(error.to_string().contains("cannot read"), "the folder of the CA is gone: {error}");
    let other = Certificates::new();
    let stranger = Credentials { ca_file: Some(other.file("ca.pem").into()), ..full.clone() };
    let error = open(&text, &stranger).await.unwrap().get("/a").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let error = open(&text, &Credentials::default()).await.unwrap_err();
    assert!(error.to_string().contains("--etcd-ca-file"), "{error}");
    let error = open(&text, &Credentials { key_file: None, ..full }).await.unwrap_err();
    assert!(error.to_string().contains("belong together"), "{error}");
}

#[tokio::test]
async fn a_user_with_a_password_gets_a_new_token_when_it_expires() {
    if !installed() {
        return;
    }
    let server = Server::start(&["--auth-token-ttl=1"]);
    let ready = plain(&server).await;
    ready.commit(vec![], put("/muster/a", "1")).await.unwrap();
    for command in [
        &["user", "add", "root:root"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "muster:secret word"],
        &["role", "add", "muster"],
        &["role", "grant-permission", "muster", "readwrite", "/", "0"],
        &["user", "grant-role", "muster", "muster"],
        &["auth", "enable"],
    ] {
        server.ctl(command);
    }
    let error = ready.get("/muster/a").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("--etcd-username"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "secret word\n").unwrap();
    let text = format!("etcd://muster@{}", server.address());
    let credentials = Credentials { password_file: Some(file), ..Credentials::default() };
    let store = open(&text, &credentials).await.unwrap();
    store.commit(vec![], put("/muster/a", "2")).await.unwrap();
    let mut watch = store.watch("/muster/", 1).await.unwrap();
    soon(watch.next()).await.unwrap();
    let lease = store.grant(Duration::from_secs(30)).await.unwrap();
    // etcd removes a token one second after its last use, and looks once a second. Only time can show that.
    tokio::time::sleep(Duration::from_millis(3100)).await;
    store.watch("/muster/", 1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    store.keep_alive(lease).await.unwrap();
    store.get("/muster/a").await.unwrap();
    // A change of roles invalidates all tokens.
    server.ctl(&["--user=root:root", "role", "add", "another"]);
    store.commit(vec![], put("/muster/a", "3")).await.unwrap();

    let wrong = Credentials { password: Some(SecretString::from("wrong")), ..Credentials::default() };
    let error = open(&text, &wrong).await.unwrap().get("/muster/a").await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("password") && !error.to_string().contains("wrong"), "{error}");
    assert!(!format!("{wrong:?}").contains("wrong"), "the debug text does not show the password");
    let error = open(&text, &Credentials::default()).await.unwrap_err();
    assert!(error.to_string().contains("MUSTER_ETCD_PASSWORD"), "{error}");
}
