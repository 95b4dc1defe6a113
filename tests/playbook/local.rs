//! Hosts and a cluster for playbooks: each host is a local shell in a folder of its own, the cluster notes what it is asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::core::model::Report;
use muster::core::model::Visit;
use muster::inventory::Inventory;
use muster::inventory::Vars;
use muster::playbook::cluster::Cluster;
use muster::playbook::cluster::Fulfilled;
use muster::playbook::cluster::JoinOrder;
use muster::playbook::cluster::Unfulfilled;
use muster::playbook::cluster::UnitOrder;
use muster::playbook::drive::Crew;
use muster::playbook::lines;
use muster::playbook::lines::Event;
use muster::playbook::parse;
use muster::playbook::record::Record;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Facts;
use muster::remote::Progress;
use muster::remote::Remote;
use muster::remote::Sink;
use muster::remote::Target;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

/// Hosts that are local shells; those named are out of reach.
#[derive(Debug, Default)]
pub(super) struct Shells {
    pub(super) unreachable: BTreeSet<String>,
    /// Which commands were run, as `host: root?`.
    pub(super) ran: Mutex<Vec<(String, bool)>>,
}

#[async_trait::async_trait]
impl Remote for Shells {
    async fn visit(&self, _: &Target, _: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        panic!("playbooks run commands")
    }

    async fn facts(&self, _: &Target) -> Result<Facts, Failure> {
        panic!("playbooks run commands")
    }

    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        if self.unreachable.contains(&target.name) {
            return Err(Failure {
                host: target.name.clone(),
                phase: Phase::Connect,
                kind: FailureKind::Refused,
                detail: "connection refused".to_owned(),
                hint: None,
            });
        }
        self.ran.lock().unwrap().push((target.name.clone(), command.root));
        let mut child = tokio::process::Command::new("sh");
        child.arg("-c").arg(&command.line).env("HOST", &target.name);
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let content = command.stdin.clone();
        // A command that does not read its stdin is no failure.
        let feed = tokio::spawn(async move { drop(stdin.write_all(&content).await) });
        let output = child.wait_with_output().await.unwrap();
        feed.await.unwrap();
        sink.stdout(&output.stdout);
        sink.stderr(&output.stderr);
        Ok(Exit::Code(u32::try_from(output.status.code().unwrap()).unwrap()))
    }

    async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        panic!("playbooks do not interact")
    }

    async fn probe(&self, _: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        panic!("playbooks do not probe")
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

/// A cluster that notes what it is asked and knows no unit called `bad.service`.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    pub(super) asked: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Cluster for Notebook {
    async fn units(&self, orders: &[UnitOrder], check: bool) -> Vec<Result<Fulfilled, Unfulfilled>> {
        let names: Vec<String> = orders
            .iter()
            .map(|order| {
                let file = order.file.as_ref().map_or(String::new(), |file| format!(" {:?}", file.text()));
                format!("{} {:?}{file}", order.name, order.goal)
            })
            .collect();
        self.asked.lock().unwrap().push(format!("units{} {}", if check { "?" } else { "" }, names.join(", ")));
        let one = |order: &UnitOrder| {
            if order.name.as_str() == "bad.service" {
                return Err(Unfulfilled::Failed("unit bad.service does not exist".to_owned()));
            }
            Ok(Fulfilled { changed: true, what: format!("{} is as wanted", order.name) })
        };
        orders.iter().map(one).collect()
    }

    async fn join(&self, orders: &[JoinOrder], check: bool) -> Vec<Result<Fulfilled, Unfulfilled>> {
        let names: Vec<String> =
            orders.iter().map(|order| format!("{}{:?}", order.target.address, order.metadata)).collect();
        self.asked.lock().unwrap().push(format!("join{} {}", if check { "?" } else { "" }, names.join(", ")));
        let one = |order: &JoinOrder| {
            if order.target.name == "h3" {
                return Err(Unfulfilled::Unreachable("h3: connect: connection refused".to_owned()));
            }
            Ok(Fulfilled { changed: true, what: "joined".to_owned() })
        };
        orders.iter().map(one).collect()
    }
}

/// A folder with an inventory of three hosts, `h1` to `h3`, and whatever a test puts there.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    pub(super) shells: Shells,
    pub(super) cluster: Notebook,
    pub(super) extra: Vars,
    pub(super) check: bool,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            shells: Shells::default(),
            cluster: Notebook::default(),
            extra: Vars::new(),
            check: false,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a playbook and returns what was printed, and the exit code. `DIR` in it is the stage's folder.
    pub(super) async fn play(&self, text: &str) -> (String, u8) {
        let mut printed = String::new();
        let code = self.run(text, &mut |event| printed.push_str(&lines::lines(event))).await;
        (printed, code)
    }

    /// Runs a playbook and returns what is written down of it, and the exit code.
    pub(super) async fn record(&self, text: &str) -> (Value, u8) {
        let mut record = Record::default();
        let code = self.run(text, &mut |event| record.note(event)).await;
        (record.into_json(), code)
    }

    async fn run(&self, text: &str, tell: &mut (dyn FnMut(&Event<'_>) + Send)) -> u8 {
        let text = text.replace("DIR", &self.folder.path().display().to_string());
        let inventory = self.inventory("[web]\nh1 muster_metadata=\"{'disk': 'ssd'}\"\nh2\nh3\n");
        let playbook = parse::read(&self.path("play.yaml"), &text).unwrap_or_else(|fault| panic!("{fault}"));
        let names = |pattern: &str| inventory.select(pattern).unwrap().iter().map(|host| host.name.clone()).collect();
        let hosts = playbook.plays.iter().map(|play| names(&play.hosts)).collect();
        let targets = inventory.hosts.values().map(|host| (host.name.clone(), host.target().unwrap()));
        let targets: BTreeMap<String, Target> = targets.collect();
        let crew = Crew {
            inventory: &inventory,
            targets,
            remote: &self.shells,
            cluster: Some(&self.cluster),
            extra: self.extra.clone(),
            check: self.check,
            // One at a time, so that the order of lines is fixed.
            forks: 1,
        };
        crew.play(&playbook, hosts, tell).await
    }

    fn inventory(&self, text: &str) -> Inventory {
        self.write("hosts", text);
        Inventory::load(&[self.path("hosts")]).unwrap()
    }

    pub(super) fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
