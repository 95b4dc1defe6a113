//! Clients that were written for fleet, unchanged.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use muster::store::MemoryStore;
use muster::store::SharedStore;
use tokio_util::sync::CancellationToken;

use super::Served;
use crate::control::Folder;
use crate::control::context;
use crate::control::found;
use crate::control::lead_on;
use crate::store::skip;

/// The client of 2015, and the version of the library that it stands on with which this was tried.
const PACKAGES: [&str; 2] = ["fleet==0.1.3", "google-api-python-client==2.202.0"];

/// Returns the Python that has the client, after it was installed beside the tests once; `None` if it cannot be.
fn python() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fleet-client");
    let (python, complete) = (folder.join("bin/python"), folder.join("complete"));
    if complete.exists() {
        return Some(python);
    }
    let run = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        && run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES));
    if made {
        fs::write(complete, "").unwrap();
    }
    made.then_some(python)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_of_fleet_works() {
    let Some(python) = tokio::task::spawn_blocking(python).await.unwrap() else {
        return skip("the Python packages of fleet's client cannot be installed (python3-venv, pip)");
    };
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &[]).await;
    let cluster = context(&store, &Arc::new(Folder::new()));
    let (_, leading) = lead_on(cluster.clone()).await;
    let stop: CancellationToken = cluster.stop.clone();
    let served = Served::serve(cluster);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/client.py");
    let mut client = Command::new(python);
    client.arg(script).arg(&served.socket);
    let output = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    stop.cancel();
    leading.await.unwrap();
}
