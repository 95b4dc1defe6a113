use std::sync::Arc;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::model::Report;
use crate::core::model::Visit;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Progress;
use crate::remote::Remote;
use crate::remote::Sink;
use crate::runner::Clock;
use crate::store::MemoryStore;
use crate::store::layout::Keys;

/// The way to hosts that say which machine they are, each by the host name of its address.
#[derive(Default)]
struct Hosts {
    machines: BTreeMap<&'static str, u128>,
    /// Done once, while a host is being asked.
    meanwhile: Mutex<Option<futures_util::future::BoxFuture<'static, ()>>>,
}

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hosts")
    }
}

#[async_trait::async_trait]
impl Remote for Hosts {
    async fn visit(&self, _: &Target, _: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        unreachable!()
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        let Some(id) = self.machines.get(target.address.host.as_str()) else { return std::future::pending().await };
        Ok(Facts { machine: MachineId::from_bits(*id), os: String::new(), systemd: 252 })
    }

    async fn exec(&self, _: &Target, _: &Command, _: &mut dyn Sink) -> Result<Exit, Failure> {
        unreachable!()
    }

    async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        unreachable!()
    }

    async fn probe(&self, _: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        unreachable!()
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

fn context(hosts: Hosts) -> ClusterContext {
    ClusterContext {
        store: Arc::new(MemoryStore::new()),
        keys: Keys::new("default").unwrap(),
        remote: Arc::new(hosts),
        clock: Clock::start(),
        stop: CancellationToken::new(),
    }
}

/// Hosts at `a` to `d`; the one at `d` is a clone of the one at `a`, and whoever is elsewhere never answers.
fn four() -> Hosts {
    Hosts { machines: BTreeMap::from([("a", 0xa), ("b", 0xb), ("c", 0xc), ("d", 0xa)]), ..Hosts::default() }
}

/// A host of this name, at `host` or `host:port`.
fn candidate(name: &str, address: &str) -> Candidate {
    let address = format!("ssh://{address}").parse().unwrap();
    let target = Target { name: name.to_owned(), address, ..Target::default() };
    Candidate { target, metadata: BTreeMap::new(), fence_command: None }
}

/// Joins hosts, and returns one word for each.
async fn told(context: &ClusterContext, hosts: &[(&str, &str)]) -> Vec<String> {
    let candidates: Vec<_> = hosts.iter().map(|(name, address)| candidate(name, address)).collect();
    let joined = join(context, &candidates).await.unwrap();
    let word = |joined: &Joined| match joined {
        Joined::New(machine) => format!("{} new", machine.name),
        Joined::Changed(machine) => format!("{} changed", machine.name),
        Joined::Known(machine) => format!("{} known", machine.name),
        Joined::Refused(JoinError::Duplicate { name, other, joined, .. }) => {
            format!("{name} refused: {other} {}", if *joined { "has joined" } else { "joins" })
        }
        Joined::Refused(error) => format!("refused: {error}"),
    };
    joined.iter().map(word).collect()
}

/// Returns what the store calls each machine, by its identity, and whether it is cordoned.
async fn names(context: &ClusterContext) -> Vec<String> {
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    let name = |machine: &Machine| format!("{}{}", machine.name, if machine.cordoned { " cordoned" } else { "" });
    snapshot.machines.values().map(name).collect()
}

#[tokio::test]
async fn hosts_join_once_and_a_clone_is_refused() {
    let context = context(four());
    let hosts = [("web1", "a"), ("web2", "b"), ("clone", "d")];
    assert_eq!(told(&context, &hosts).await, ["web1 new", "web2 new", "clone refused: web1 joins"]);
    assert_eq!(told(&context, &hosts).await, ["web1 known", "web2 known", "clone refused: web1 joins"]);
    assert_eq!(told(&context, &hosts[2..]).await, ["clone refused: web1 has joined"]);
    assert_eq!(names(&context).await, ["web1", "web2"]);
}

#[tokio::test]
async fn what_was_said_of_a_machine_while_it_was_being_asked_still_holds() {
    let mut hosts = four();
    let office_of_join = context(four());
    told(&office_of_join, &[("web1", "a"), ("web2", "b")]).await;
    let drains = office_of_join.clone();
    hosts.meanwhile = Mutex::new(Some(Box::pin(async move {
        set_duty(&drains, "web1", SchedulingMode::Drained(None)).await.unwrap();
    })));
    let context = ClusterContext { remote: Arc::new(hosts), ..office_of_join };
    let hosts = [("web1", "root@a"), ("web2", "root@b"), ("web3", "c")];
    assert_eq!(told(&context, &hosts).await, ["web1 changed", "web2 changed", "web3 new"]);
    assert_eq!(names(&context).await, ["web1 cordoned", "web2", "web3"]);
}

#[tokio::test]
async fn a_record_that_is_written_between_reading_and_writing_is_read_again() {
    let context = context(four());
    told(&context, &[("web1", "a")]).await;
    let roll = MembershipView::read(&context).await.unwrap();
    set_duty(&context, "web1", SchedulingMode::Cordoned).await.unwrap();
    let candidates = [candidate("web1", "root@a")];
    let answers = [context.remote.facts(&candidates[0].target).await];
    let mut joined = [None];
    let decided = decide(&roll, &candidates, &answers, &mut joined);
    register(&context, &roll, decided).await.unwrap();
    assert!(joined[0].is_none(), "{joined:?}");
    assert_eq!(names(&context).await, ["web1 cordoned"]);
}

#[tokio::test]
async fn a_new_name_at_the_old_address_is_a_new_name() {
    let context = context(four());
    told(&context, &[("web1", "a"), ("web2", "b:22")]).await;
    assert_eq!(told(&context, &[("www1", "a:22"), ("www2", "root@b")]).await, ["www1 changed", "www2 changed"]);
    assert_eq!(names(&context).await, ["www1", "www2"]);
    // Names that were exchanged are new names, too.
    assert_eq!(told(&context, &[("www2", "a"), ("www1", "b")]).await, ["www2 changed", "www1 changed"]);
    assert_eq!(names(&context).await, ["www2", "www1"]);
}

#[tokio::test]
async fn a_new_name_elsewhere_or_beside_the_old_one_is_refused() {
    let context = context(four());
    told(&context, &[("web1", "a")]).await;
    for address in ["a:2222", "d"] {
        assert_eq!(told(&context, &[("www1", address)]).await, ["www1 refused: web1 has joined"], "{address}");
    }
    assert_eq!(
        told(&context, &[("alias", "a"), ("web1", "a")]).await,
        ["alias refused: web1 has joined", "web1 known"]
    );
    assert_eq!(names(&context).await, ["web1"]);
}

#[tokio::test]
async fn who_stops_it_while_hosts_are_being_asked_has_changed_nothing() {
    let mut hosts = four();
    let stop = CancellationToken::new();
    let stops = stop.clone();
    hosts.meanwhile = Mutex::new(Some(Box::pin(async move { stops.cancel() })));
    let context = ClusterContext { stop, ..context(hosts) };
    let candidates = [candidate("web1", "a"), candidate("silent", "nowhere")];
    let ended = join(&context, &candidates).await;
    assert!(matches!(ended, Err(MembershipError::Stopped)), "{ended:?}");
    assert!(names(&context).await.is_empty());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_as_it_is() {
    let context = context(four());
    let key = context.keys.key(&Slot::Machine(MachineId::from_bits(0xa)));
    context.store.commit(vec![], vec![Change::put(key.clone(), "newer")]).await.unwrap();
    let told = told(&context, &[("web1", "a"), ("web2", "b")]).await;
    assert!(told[0].starts_with("refused: web1: the record of machine 0000"), "{told:?}");
    assert_eq!(told[1], "web2 new");
    assert_eq!(context.store.get(&key).await.unwrap().unwrap().value, b"newer");
}
