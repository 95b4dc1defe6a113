//! The binary, run as an operator runs it, in a home directory and a working folder of its own.

mod api;
mod applications;
mod bad_input;
mod beside_controller;
mod completions;
mod discovery;
mod doc;
mod edit;
mod exec;
mod fleetctl;
mod history;
mod inventory;
mod metrics;
mod notify;
mod output;
mod packaging;
mod page;
mod play;
mod reference;
mod scheduled;
mod secret;
mod service;
mod settings;
mod together;
mod top;
mod vault;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::store;
use muster::store::Credentials;
use muster::store::SharedStore;
use muster::store::layout::Key;
use muster::store::layout::Keyspace;

use crate::hosts::Said;
use crate::hosts::bare;
use crate::hosts::run;

/// A home directory and a working folder without settings, keys or clusters.
pub(super) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// Makes both, empty.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("home")).unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { folder }
    }

    /// Makes both, with a default store that a submitted unit has made.
    pub(super) fn new() -> Self {
        let desk = Self::empty();
        let file = desk.write("made.service", unit("made"));
        run(&mut desk.command(&["submit", file])).ok();
        run(&mut desk.command(&["destroy", file])).ok();
        fs::remove_file(desk.path(file)).unwrap();
        desk
    }

    /// Returns a path in the folder where muster is run.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// Returns a path in the home directory.
    pub(super) fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join("home").join(name)
    }

    /// Writes a file in the working folder, with folders as needed, and returns its name.
    pub(super) fn write<'a>(&self, name: &'a str, text: impl AsRef<[u8]>) -> &'a str {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        name
    }

    /// Prepares a run of muster.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = bare();
        command.env("MUSTER_LISTEN", "none").env("HOME", self.home("")).current_dir(self.path("")).args(args);
        command
    }

    /// Runs muster.
    pub(super) fn muster(&self, args: &[&str]) -> Said {
        run(&mut self.command(args))
    }

    /// Opens the default store and returns it with the keys of its cluster.
    pub(super) async fn store(&self) -> (SharedStore, Keyspace) {
        let text = format!("sqlite:{}", self.home(".local/state/muster/muster.db").display());
        (store::open(&text, &Credentials::default()).await.unwrap(), Keyspace::new("default").unwrap())
    }

    /// Runs muster, which must fail with this exit code, with these texts on stderr and nothing on stdout.
    #[track_caller]
    pub(super) fn fails(&self, args: &[&str], code: i32, parts: &[&str]) {
        let said = self.muster(args);
        assert!(said.code == Some(code) && said.out.is_empty(), "{args:?}: {said:#?}");
        for part in parts {
            assert!(said.err.contains(part), "{args:?}: no {part:?} in {said:#?}");
        }
    }
}

/// Adds a machine that does not answer to the cluster.
pub(super) async fn machine(desk: &Desk, number: u128) -> MachineId {
    let (store, keys) = desk.store().await;
    let id = MachineId::from_bits(number);
    let address = "ssh://root@127.0.0.1:1".parse().unwrap();
    let machine = Machine { id, name: format!("core-0{number}"), address, ..Machine::default() };
    store.commit(vec![], vec![keys.put(&Key::Machine(id), &machine)]).await.unwrap();
    id
}

/// A unit file with this description.
pub(super) fn unit(description: &str) -> String {
    format!("[Unit]\nDescription={description}\n\n[Service]\nExecStart=/bin/sleep infinity\n")
}
