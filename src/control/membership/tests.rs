use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::join::MembershipView;
use super::join::decide;
use super::join::register;
use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::ClusterOfHost;
use crate::core::model::DesiredState;
use crate::core::model::FailoverOverride;
use crate::core::model::Failure;
use crate::core::model::Grant;
use crate::core::model::HealthEvidence;
use crate::core::model::HealthRecord;
use crate::core::model::Observation;
use crate::core::model::Ownership;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::Podman;
use crate::core::model::Refused;
use crate::core::model::Report;
use crate::core::model::Unit;
use crate::core::model::UnitState;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::core::unit::UnitFile;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Facts;
use crate::remote::Progress;
use crate::remote::Remote;
use crate::remote::Sink;
use crate::remote::Target;
use crate::runner::Clock;
use crate::runner::SecretSource;
use crate::store::Entry;
use crate::store::LeaseId;
use crate::store::Listing;
use crate::store::MemoryStore;
use crate::store::Op;
use crate::store::Revision;
use crate::store::Store;
use crate::store::Watch;
use crate::store::layout::Keyspace;
use crate::store::leader_election::LeaderKind;

/// Hosts that report their machine-ids, by the host names of their addresses.
#[derive(Default)]
struct Hosts {
    machines: BTreeMap<&'static str, u128>,
    /// The cluster to which each host belongs.
    owners: Mutex<BTreeMap<String, Option<String>>>,
    /// The highest epoch that the hosts have seen.
    seen: u64,
    /// A future that runs once, while the first host is being asked.
    meanwhile: Mutex<Option<futures_util::future::BoxFuture<'static, ()>>>,
    /// The unit of muster that each host has.
    unit: Option<UnitName>,
}

impl std::fmt::Debug for Hosts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hosts")
    }
}

#[async_trait::async_trait]
impl Remote for Hosts {
    async fn visit(&self, target: &Target, visit: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        let mut owners = self.owners.lock().unwrap();
        let owner = owners.entry(target.address.host.clone()).or_default();
        let cluster = visit.cluster.as_deref().map(|cluster| cluster.name.clone());
        let taken_from = owner.clone().filter(|_| visit.ownership == Ownership::TakeOver && *owner != cluster);
        let taken_from = taken_from.map(|cluster| Box::new(ClusterOfHost(cluster)));
        let refused = match visit.ownership {
            Ownership::Check => unreachable!(),
            Ownership::Join | Ownership::Leave if owner.is_some() && *owner != cluster => {
                owner.clone().map(Refused::OtherCluster)
            }
            Ownership::Join | Ownership::TakeOver => {
                *owner = cluster;
                None
            }
            Ownership::Leave => {
                *owner = None;
                None
            }
        };
        let epoch = if visit.ownership == Ownership::TakeOver { 0 } else { self.seen };
        let state =
            json!({"load": "loaded", "active": "active", "sub": "running", "hash": "0".repeat(40), "launched": true});
        let state: UnitState = serde_json::from_value(state).unwrap();
        let units = self.unit.iter().map(|unit| (unit.clone(), state.clone()));
        let (units, foreign) = units.partition(|_| visit.ownership != Ownership::Leave);
        let seen = Observation::new(visit.machine.unwrap_or_default(), String::new(), Duration::ZERO, epoch, 0);
        let observation = Some(Observation { units: Some(units), foreign, taken_from, ..seen });
        Ok(Report { outcomes: Vec::new(), refused, observation })
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        let Some(id) = self.machines.get(target.address.host.as_str()) else { return std::future::pending().await };
        Ok(Facts { machine: MachineId::from_bits(*id), os: String::new(), systemd: 252, podman: Podman::default() })
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
        name: "default".to_owned(),
        store: Arc::new(MemoryStore::new()),
        keys: Keyspace::new("default").unwrap(),
        remote: Arc::new(hosts),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    }
}

/// Hosts at `a` to `d`; the one at `d` is a clone of the one at `a`, and a host elsewhere never answers.
fn four() -> Hosts {
    Hosts { machines: BTreeMap::from([("a", 0xa), ("b", 0xb), ("c", 0xc), ("d", 0xa)]), ..Hosts::default() }
}

/// A host of this name, at `host` or `host:port`.
fn candidate(name: &str, address: &str) -> Candidate {
    let address = format!("ssh://{address}").parse().unwrap();
    let target = Target { name: name.to_owned(), address, ..Target::default() };
    Candidate { target, metadata: BTreeMap::new() }
}

/// Joins hosts, and returns the outcome of each as text.
async fn outcomes(context: &ClusterContext, hosts: &[(&str, &str)]) -> Vec<String> {
    let candidates: Vec<_> = hosts.iter().map(|(name, address)| candidate(name, address)).collect();
    let joined = join(context, &candidates, false).await.unwrap();
    let text = |joined: &Joined| match joined {
        Joined::New(machine) => format!("{} new", machine.name),
        Joined::Changed(machine, _) => format!("{} changed", machine.name),
        Joined::Known(machine) => format!("{} known", machine.name),
        Joined::Refused(JoinError::Duplicate { name, other, joined, .. }) => {
            format!("{name} refused: {other} {}", if *joined { "has joined" } else { "joins" })
        }
        Joined::Refused(error) => format!("refused: {error}"),
    };
    joined.joined.iter().map(text).collect()
}

/// Returns the name of each machine in the store, ordered by machine-id, and whether it is cordoned.
async fn names(context: &ClusterContext) -> Vec<String> {
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    let name = |machine: &Machine| format!("{}{}", machine.name, if machine.cordoned { " cordoned" } else { "" });
    snapshot.machines.values().map(name).collect()
}

#[tokio::test]
async fn hosts_join_once_and_a_clone_is_refused() {
    let context = context(four());
    let hosts = [("web1", "a"), ("web2", "b"), ("clone", "d")];
    assert_eq!(outcomes(&context, &hosts).await, ["web1 new", "web2 new", "clone refused: web1 joins"]);
    assert_eq!(outcomes(&context, &hosts).await, ["web1 known", "web2 known", "clone refused: web1 joins"]);
    assert_eq!(outcomes(&context, &hosts[2..]).await, ["clone refused: web1 has joined"]);
    assert_eq!(names(&context).await, ["web1", "web2"]);
}

#[tokio::test]
async fn a_host_with_a_new_machine_id_does_not_join_beside_the_machine_that_it_was() {
    let context = one().await;
    let reinstalled = Arc::new(Hosts { machines: BTreeMap::from([("a", 0xe), ("b", 0xa)]), ..Hosts::default() });
    let context = ClusterContext { remote: reinstalled, ..context };
    let (new, old) = (MachineId::from_bits(0xe), MachineId::from_bits(0xa));
    let refused =
        format!("refused: web1: its machine-id is {new}, and web1 with the machine-id {old} has joined at its address");
    assert_eq!(outcomes(&context, &[("web1", "a")]).await, [refused]);
    assert_eq!(names(&context).await, ["web1"]);
    // A host may take the address of a machine that has another one now.
    assert_eq!(outcomes(&context, &[("web1", "b"), ("web2", "a")]).await, ["web1 changed", "web2 new"]);
}

#[tokio::test]
async fn a_host_of_another_cluster_joins_only_if_it_is_taken_over() {
    let hosts = four();
    hosts.owners.lock().unwrap().insert("b".to_owned(), Some("other in sqlite:there".to_owned()));
    let context = context(hosts);
    let both = [("web1", "a"), ("web2", "b")];
    let refused = "refused: web2: it belongs to another cluster: other in sqlite:there";
    assert_eq!(outcomes(&context, &both).await, ["web1 new", refused]);
    assert_eq!(names(&context).await, ["web1"]);
    let join = join(&context, &both.map(|(name, address)| candidate(name, address)), true).await.unwrap();
    assert!(matches!(join.joined[..], [Joined::Known(_), Joined::New(_)]), "{join:?}");
    assert_eq!(join.taken_from, [(MachineId::from_bits(0xb), "other in sqlite:there".to_owned())].into());
}

#[tokio::test]
async fn a_join_names_the_units_of_the_host_that_this_cluster_does_not_know() {
    let unit: UnitName = "web.service".parse().unwrap();
    let context = context(Hosts { unit: Some(unit.clone()), ..four() });
    let hosts = [candidate("web1", "a")];
    let joined = join(&context, &hosts, true).await.unwrap();
    assert_eq!(joined.unknown, [(MachineId::from_bits(0xa), [unit.clone()].into())].into());
    let record = Unit::new(crate::core::unit::Hash::of(b""), crate::core::model::DesiredState::Launched);
    context.store.commit(vec![], vec![context.keys.put(&Key::Unit(unit), &record)]).await.unwrap();
    assert_eq!(join(&context, &hosts, true).await.unwrap().unknown, BTreeMap::new());
}

#[tokio::test]
async fn a_drain_during_a_join_is_kept() {
    let mut hosts = four();
    let joining = context(four());
    outcomes(&joining, &[("web1", "a"), ("web2", "b")]).await;
    let drains = joining.clone();
    hosts.meanwhile = Mutex::new(Some(Box::pin(async move {
        set_scheduling_mode(&drains, "web1", SchedulingMode::Drained(None)).await.unwrap();
    })));
    let context = ClusterContext { remote: Arc::new(hosts), ..joining };
    let hosts = [("web1", "root@a"), ("web2", "root@b"), ("web3", "c")];
    assert_eq!(outcomes(&context, &hosts).await, ["web1 changed", "web2 changed", "web3 new"]);
    assert_eq!(names(&context).await, ["web1 cordoned", "web2", "web3"]);
}

#[tokio::test]
async fn a_record_that_another_process_writes_after_it_was_read_is_not_overwritten() {
    let context = context(four());
    outcomes(&context, &[("web1", "a")]).await;
    let view = MembershipView::read(&context).await.unwrap();
    set_scheduling_mode(&context, "web1", SchedulingMode::Cordoned).await.unwrap();
    let candidates = [candidate("web1", "root@a")];
    let answers = [context.remote.facts(&candidates[0].target).await];
    let mut joined = [None];
    let decided = decide(&view, &candidates, &answers, &mut joined);
    register(&context, &view, decided).await.unwrap();
    assert!(joined[0].is_none(), "{joined:?}");
    assert_eq!(names(&context).await, ["web1 cordoned"]);
}

#[tokio::test]
async fn a_host_with_a_new_name_at_its_old_address_is_renamed() {
    let context = context(four());
    outcomes(&context, &[("web1", "a"), ("web2", "b:22")]).await;
    assert_eq!(outcomes(&context, &[("www1", "a:22"), ("www2", "root@b")]).await, ["www1 changed", "www2 changed"]);
    assert_eq!(names(&context).await, ["www1", "www2"]);
    // Two hosts may exchange their names.
    assert_eq!(outcomes(&context, &[("www2", "a"), ("www1", "b")]).await, ["www2 changed", "www1 changed"]);
    assert_eq!(names(&context).await, ["www2", "www1"]);
}

#[tokio::test]
async fn a_new_name_at_another_address_or_beside_the_old_name_is_refused() {
    let context = context(four());
    outcomes(&context, &[("web1", "a")]).await;
    for address in ["a:2222", "d"] {
        assert_eq!(outcomes(&context, &[("www1", address)]).await, ["www1 refused: web1 has joined"], "{address}");
    }
    assert_eq!(
        outcomes(&context, &[("alias", "a"), ("web1", "a")]).await,
        ["alias refused: web1 has joined", "web1 known"]
    );
    assert_eq!(names(&context).await, ["web1"]);
}

#[tokio::test]
async fn an_interrupt_while_hosts_are_being_asked_changes_nothing() {
    let mut hosts = four();
    let stop = CancellationToken::new();
    let stops = stop.clone();
    hosts.meanwhile = Mutex::new(Some(Box::pin(async move { stops.cancel() })));
    let context = ClusterContext { stop, ..context(hosts) };
    let candidates = [candidate("web1", "a"), candidate("silent", "nowhere")];
    let ended = join(&context, &candidates, false).await;
    assert!(matches!(ended, Err(MembershipError::Stopped)), "{ended:?}");
    assert!(names(&context).await.is_empty());
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_left_as_it_is() {
    let context = context(four());
    let key = context.keys.key(&Key::Machine(MachineId::from_bits(0xa)));
    context.store.commit(vec![], vec![Op::put(key.clone(), "newer")]).await.unwrap();
    let outcomes = outcomes(&context, &[("web1", "a"), ("web2", "b")]).await;
    assert!(outcomes[0].starts_with("refused: web1: the record of machine 0000"), "{outcomes:?}");
    assert_eq!(outcomes[1], "web2 new");
    assert_eq!(context.store.get(&key).await.unwrap().unwrap().value, b"newer");
}

#[tokio::test]
async fn no_host_joins_a_cluster_whose_identity_cannot_be_read() {
    let hosts = Arc::new(four());
    let context = ClusterContext { remote: hosts.clone(), ..context(four()) };
    let key = context.keys.key(&Key::Cluster);
    context.store.commit(vec![], vec![Op::put(key.clone(), "newer")]).await.unwrap();
    let error = join(&context, &[candidate("web1", "a")], true).await.unwrap_err();
    assert!(matches!(&error, MembershipError::NoIdentity { key: named, .. } if *named == key), "{error}");
    assert!(hosts.owners.lock().unwrap().is_empty() && names(&context).await.is_empty());
    assert_eq!(context.store.get(&key).await.unwrap().unwrap().value, b"newer");
}

#[tokio::test]
async fn a_host_that_has_seen_a_later_leader_joins_only_by_a_take_over() {
    let context = context(Hosts { seen: u64::MAX, ..four() });
    let refused = outcomes(&context, &[("web1", "a")]).await;
    let start =
        format!("refused: web1: it has seen a leader with epoch {}, and would refuse the next leader", u64::MAX);
    assert!(refused[0].starts_with(&start), "{refused:?}");
    assert!(names(&context).await.is_empty());
    let joined = join(&context, &[candidate("web1", "a")], true).await.unwrap();
    assert!(matches!(joined.joined[..], [Joined::New(_)]), "{joined:?}");
}

#[tokio::test]
async fn a_host_whose_clock_is_far_behind_the_epoch_stores_nothing() {
    let context = one().await;
    let far = Op::put(context.keys.key(&Key::Epoch), u64::MAX.to_string());
    context.store.commit(vec![], vec![far]).await.unwrap();
    let error = drain(&context, "web1", None, NOW, &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, MembershipError::Store(StoreError::EpochAhead { .. })), "{error}");
    let error = leave(&context, "web1", true, NOW, &mut |_| ()).await.unwrap_err();
    assert!(matches!(error, MembershipError::Store(StoreError::EpochAhead { .. })), "{error}");
    assert_eq!(names(&context).await, ["web1"]);
}

/// Returns a context with the machine `web1`, whose machine-id ends in `a`.
async fn one() -> ClusterContext {
    let context = context(four());
    outcomes(&context, &[("web1", "a")]).await;
    context
}

#[tokio::test]
async fn a_host_that_has_left_joins_another_cluster() {
    let hosts = Arc::new(four());
    let (remote, first) = (hosts.clone(), context(four()));
    let first = ClusterContext { remote, ..first };
    let second = ClusterContext { name: "second".to_owned(), remote: hosts, ..context(four()) };
    assert_eq!(outcomes(&first, &[("web1", "a")]).await, ["web1 new"]);
    let refused = "refused: web1: it belongs to another cluster: default";
    assert_eq!(outcomes(&second, &[("web1", "a")]).await, [refused]);
    leave(&first, "web1", false, NOW, &mut |_| ()).await.unwrap();
    assert_eq!(outcomes(&second, &[("web1", "a")]).await, ["web1 new"]);
}

const NOW: Timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: false };

/// Stores a placement of `web.service` on `web1`, a lease for it, and a failover override.
async fn occupy(context: &ClusterContext) -> MachineId {
    let id = MachineId::from_bits(0xa);
    let web: UnitName = "web.service".parse().unwrap();
    let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
    let placement =
        Placement { machine: id, epoch: 1, reason, since: Timestamp::ZERO, failed_loads: Vec::new(), pull: None };
    let grant = Grant {
        epoch: 1,
        length: Duration::from_secs(20),
        stop: Duration::from_secs(10),
        slack: Duration::ZERO,
        units: BTreeSet::from([web.clone()]),
        unknown: false,
        until: None,
        stopped_for_sure_at: None,
    };
    let order = FailoverOverride { given: Timestamp::ZERO, until: Timestamp::ZERO, by: "op@desk".to_owned() };
    let mut changes = context.keys.ops(&[Write::Place(web, placement), Write::Lease(id, grant)]);
    changes.push(context.keys.put(&Key::FailoverOverride(id), &order));
    context.store.commit(vec![], changes).await.unwrap();
    id
}

#[tokio::test]
async fn a_leave_that_does_not_block_drains_a_machine_with_units_and_removes_one_without() {
    let context = one().await;
    occupy(&context).await;
    let left = leave(&context, "web1", false, NOW, &mut |_| ()).await.unwrap();
    assert!(matches!(left, Left::Draining(_)), "{left:?}");
    assert_eq!(names(&context).await, ["web1 cordoned"]);

    let unplaced = context.keys.ops(&[Write::Unplace("web.service".parse().unwrap())]);
    context.store.commit(vec![], unplaced).await.unwrap();
    let left = leave(&context, "web1", false, NOW, &mut |_| ()).await.unwrap();
    assert!(matches!(&left, Left::Removed(_, problems) if problems.is_empty()), "{left:?}");
    assert_eq!(names(&context).await, [""; 0]);
}

#[tokio::test]
async fn a_forced_leave_keeps_the_lease_and_removes_the_other_records() {
    let context = one().await;
    let id = occupy(&context).await;
    let left = leave(&context, "web1", true, NOW, &mut |_| ()).await.unwrap();
    assert!(matches!(left, Left::Removed(..)), "{left:?}");
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    assert!(snapshot.machines.is_empty() && snapshot.failover_overrides.is_empty());
    assert_eq!(snapshot.leases.keys().collect::<Vec<_>>(), [&id], "strict units may still run there");
    assert_eq!(context.store.get(&context.keys.key(&Key::Member(id))).await.unwrap(), None);
}

#[tokio::test]
async fn a_leave_names_the_units_that_go_on_and_belong_to_no_cluster() {
    let unit: UnitName = "other.service".parse().unwrap();
    let context = context(Hosts { unit: Some(unit), ..four() });
    outcomes(&context, &[("web1", "a")]).await;
    let left = leave(&context, "web1", false, NOW, &mut |_| ()).await.unwrap();
    let Left::Removed(machine, problems) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["web1: other.service goes on there, and belongs to no cluster now"]);
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    let state: UnitState = serde_json::from_value(json!({"load": "loaded", "active": "active", "sub": "running",
        "hash": "0".repeat(40), "launched": true}))
    .unwrap();
    let there: Foreign = ["a.service", "b.service"].iter().map(|unit| (unit.parse().unwrap(), state.clone())).collect();
    let several = ownerless(&snapshot, &machine, &there).unwrap();
    assert_eq!(several.to_string(), "web1: 2 units go on there: a.service, b.service; they belong to no cluster now");
    assert!(ownerless(&snapshot, &machine, &Foreign::new()).is_none());
    let (length, stop, slack) = (Duration::from_secs(20), Duration::from_secs(10), Duration::ZERO);
    let lease = |units: &[&str]| Grant {
        units: units.iter().map(|unit| unit.parse().unwrap()).collect(),
        ..Grant {
            epoch: 1,
            length,
            stop,
            slack,
            units: BTreeSet::new(),
            unknown: false,
            until: None,
            stopped_for_sure_at: None,
        }
    };
    for (leased, expected) in [
        (
            &["b.service"][..],
            "web1: a.service goes on there, and belongs to no cluster now; b.service stops there when the lease ends, within 32 s",
        ),
        (&["a.service", "b.service"], "web1: a.service, b.service stop there when the lease ends, within 32 s"),
    ] {
        let snapshot = Snapshot { leases: [(machine.id, lease(leased))].into(), ..snapshot.clone() };
        assert_eq!(ownerless(&snapshot, &machine, &there).unwrap().to_string(), expected);
    }
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_does_not_answer_waits_for_nothing() {
    let context = one().await;
    let id = occupy(&context).await;
    record_health(&context, id, Health::Down).await;
    let timeouts = Timeouts { block: true, ..NOW };
    let left = leave(&context, "web1", true, timeouts, &mut |_| ()).now_or_never().unwrap().unwrap();
    let Left::Removed(_, problems) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "Unit web.service: it may still run on web1, which is down",
        "web1 does not answer and could not be told that it has left: until its next boot it refuses other clusters",
    ];
    assert_eq!(problems, expected);
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    assert!(snapshot.machines.is_empty() && snapshot.leases.contains_key(&id), "strict units may still run there");
}

#[tokio::test]
async fn a_forced_leave_of_a_machine_that_another_cluster_took_over_names_that_cluster() {
    let hosts = four();
    let context = context(hosts);
    outcomes(&context, &[("web1", "a")]).await;
    let id = occupy(&context).await;
    let taken = Hosts { machines: BTreeMap::from([("a", 0xa)]), ..Hosts::default() };
    taken.owners.lock().unwrap().insert("a".to_owned(), Some("other in sqlite:there".to_owned()));
    let context = ClusterContext { remote: Arc::new(taken), ..context };
    record_health(&context, id, Health::Sick).await;
    let left = leave(&context, "web1", true, NOW, &mut |_| ()).await.unwrap();
    let Left::Removed(_, problems) = left else { panic!("{left:?}") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "Unit web.service: it may still run on web1, which belongs to another cluster",
        "web1: it belongs to another cluster: other in sqlite:there; that cluster decides what runs there",
    ];
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn a_machine_that_was_drained_leaves_without_its_lease() {
    let context = one().await;
    let id = occupy(&context).await;
    let machine = set_scheduling_mode(&context, "web1", SchedulingMode::Drained(None)).await.unwrap();
    remove(&context, &machine, true).await.unwrap();
    let snapshot = layout::read(&*context.store, &context.keys).await.unwrap();
    assert!(snapshot.machines.is_empty() && !snapshot.leases.contains_key(&id));
    // As if another process had removed the machine meanwhile.
    remove(&context, &machine, true).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_was_uncordoned_meanwhile_does_not_leave() {
    let context = one().await;
    let machine = set_scheduling_mode(&context, "web1", SchedulingMode::Drained(None)).await.unwrap();
    set_scheduling_mode(&context, "web1", SchedulingMode::Open).await.unwrap();
    let error = remove(&context, &machine, true).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the drain of web1 was cancelled meanwhile, by `muster uncordon` or `muster cordon`: it keeps the units that have not left it"
    );
    assert_eq!(names(&context).await, ["web1"]);
}

#[tokio::test]
async fn an_address_of_two_machines_cordons_neither() {
    let context = context(four());
    for (bits, name, address) in [(0xa, "web1", "ssh://10.0.0.5:2201"), (0xb, "web2", "ssh://10.0.0.5:2202")] {
        let (id, address) = (MachineId::from_bits(bits), address.parse().unwrap());
        let machine = Machine { id, name: name.to_owned(), address, ..Machine::default() };
        context.store.commit(vec![], vec![context.keys.put(&Key::Machine(id), &machine)]).await.unwrap();
    }
    let refused = set_scheduling_mode(&context, "10.0.0.5", SchedulingMode::Cordoned).await;
    assert!(matches!(refused, Err(MembershipError::Machine(FindMachineError::Ambiguous { .. }))), "{refused:?}");
    let refused = leave(&context, "10.0.0.5", true, NOW, &mut |_| ()).await;
    assert!(matches!(refused, Err(MembershipError::Machine(FindMachineError::Ambiguous { .. }))), "{refused:?}");
    assert_eq!(names(&context).await, ["web1", "web2"]);
    set_scheduling_mode(&context, "10.0.0.5:2202", SchedulingMode::Cordoned).await.unwrap();
    assert_eq!(names(&context).await, ["web1", "web2 cordoned"]);
}

#[tokio::test]
async fn what_an_operator_asks_for_a_machine_is_an_event_with_the_operator() {
    let context = context(four());
    assert_eq!(outcomes(&context, &[("web1", "a")]).await.len(), 1);
    for mode in [SchedulingMode::Cordoned, SchedulingMode::Open] {
        set_scheduling_mode(&context, "web1", mode).await.unwrap();
    }
    drain(&context, "web1", None, NOW, &mut |_| ()).await.unwrap();
    leave(&context, "web1", false, NOW, &mut |_| ()).await.unwrap();
    let events = layout::read_events(&*context.store, &context.keys).await.unwrap();
    let mut asked = Vec::new();
    for event in events {
        let (machine, actor) = (event.subject.machine, event.subject.actor);
        assert_eq!((machine, actor.as_deref()), (Some(MachineId::from_bits(0xa)), Some(&*context.operator)));
        asked.extend(if let EventKind::MachineRequested(verb) = event.kind { Some(verb.to_string()) } else { None });
    }
    asked.sort();
    assert_eq!(asked, ["cordon", "drain", "join", "leave", "uncordon"]);
}

/// A store in which another process is always faster: no check holds.
#[derive(Debug)]
struct Busy(MemoryStore);

#[async_trait::async_trait]
impl Store for Busy {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.0.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.0.list(prefix).await
    }

    async fn commit(&self, _: Vec<Precondition>, _: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        Ok(None)
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.0.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.0.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.0.watch(prefix, after).await
    }
}

#[tokio::test]
async fn attempts_to_change_a_busy_record_are_bounded() {
    let store = MemoryStore::new();
    let context = context(four());
    let address = "ssh://a".parse().unwrap();
    let machine = Machine { id: MachineId::from_bits(0xa), name: "web1".to_owned(), address, ..Machine::default() };
    store.commit(vec![], vec![context.keys.put(&Key::Machine(machine.id), &machine)]).await.unwrap();
    let context = ClusterContext { store: Arc::new(Busy(store)), ..context };
    let text = "other processes keep changing the record of the machine: gave up after 8 attempts";
    let error = set_scheduling_mode(&context, "web1", SchedulingMode::Cordoned).await.unwrap_err();
    assert_eq!(error.to_string(), text);
    let joined = outcomes(&context, &[("web2", "b"), ("web3", "c")]).await;
    let refused = |name| format!("refused: {name}: other processes keep changing its record: gave up after 8 attempts");
    assert_eq!(joined, [refused("web2"), refused("web3")]);
}

#[tokio::test]
async fn a_drain_of_a_machine_that_is_down_names_no_unit_that_has_moved() {
    let context = context(four());
    outcomes(&context, &[("web1", "a"), ("web2", "b")]).await;
    let (down, other) = (MachineId::from_bits(0xa), MachineId::from_bits(0xb));
    let web: UnitName = "web.service".parse().unwrap();
    let state =
        json!({"load": "loaded", "active": "active", "sub": "running", "hash": "0".repeat(40), "launched": true});
    let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
    let since = Timestamp::ZERO;
    let placement = Placement { machine: other, epoch: 1, reason, since, failed_loads: Vec::new(), pull: None };
    let reason = HealthEvidence::Answers.into();
    let record = HealthRecord { health: Health::Down, since, last_seen: None, reason, outages: Vec::new() };
    let mut changes = context.keys.ops(&[Write::Place(web.clone(), placement), Write::Health(down, record)]);
    changes.push(context.keys.put(&Key::State(web, down), &state));
    context.store.commit(vec![], changes).await.unwrap();
    let timeouts = Timeouts { block: true, ..NOW };
    let drained = drain(&context, "web1", None, timeouts, &mut |_| ()).now_or_never().unwrap().unwrap();
    assert!(drained.problems.is_empty() && drained.machine.draining, "{drained:?}");
}

/// Stores a machine's health.
async fn record_health(context: &ClusterContext, id: MachineId, health: Health) {
    let (since, last_seen, outages) = (Timestamp::ZERO, None, Vec::new());
    let record = HealthRecord { health, since, last_seen, reason: HealthEvidence::Answers.into(), outages };
    context.store.commit(vec![], context.keys.ops(&[Write::Health(id, record)])).await.unwrap();
}

/// Submits units that `web1` reports to run.
async fn run_on_web1(context: &ClusterContext, units: &[(&str, &str)]) {
    for (name, options) in units {
        let (name, text): (UnitName, _) = (name.parse().unwrap(), format!("[Service]\nExecStart=/bin/true\n{options}"));
        let file = UnitFile::parse(&text).unwrap();
        let mut changes = layout::submit(&context.keys, &name, &Unit::new(file.hash(), DesiredState::Launched), &file);
        let state =
            json!({"load": "loaded", "active": "active", "sub": "running", "hash": file.hash(), "launched": true});
        changes.push(context.keys.put(&Key::State(name, MachineId::from_bits(0xa)), &state));
        context.store.commit(vec![], changes).await.unwrap();
    }
}

/// Places a unit on a machine.
async fn place(context: &ClusterContext, unit: &str, machine: MachineId) {
    let reason = PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None };
    let placement =
        Placement { machine, epoch: 1, reason, since: Timestamp::ZERO, failed_loads: Vec::new(), pull: None };
    let changes = context.keys.ops(&[Write::Place(unit.parse().unwrap(), placement)]);
    context.store.commit(vec![], changes).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_forced_leave_names_the_units_that_a_controller_has_placed_elsewhere_already() {
    let context = context(four());
    outcomes(&context, &[("web1", "a"), ("web2", "b")]).await;
    let (lost, other) = (MachineId::from_bits(0xa), MachineId::from_bits(0xb));
    run_on_web1(&context, &[("f1.service", ""), ("f2.service", ""), ("g.service", "[X-Fleet]\nGlobal=true\n")]).await;
    for unit in ["f1.service", "f2.service"] {
        place(&context, unit, lost).await;
    }
    record_health(&context, lost, Health::Suspect).await;
    let leadership =
        leader_election::try_campaign(&context.store, &context.keys, LeaderKind::Controller).await.unwrap().unwrap();
    let controller = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        place(&context, "f1.service", other).await;
        place(&context, "f2.service", other).await;
        record_health(&context, lost, Health::Down).await;
    };
    let timeouts = Timeouts { block: true, ..NOW };
    let ignore: &mut OnProgress<'_> = &mut |_| ();
    let (left, ()) = tokio::join!(leave(&context, "web1", true, timeouts, ignore), controller);
    leadership.resign().await;
    let Left::Removed(_, problems) = left.unwrap() else { panic!("the machine has not left") };
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = [
        "Unit f1.service: it may still run on web1, which is down; it is placed on web2 now",
        "Unit f2.service: it may still run on web1, which is down; it is placed on web2 now",
        "Unit g.service: it may still run on web1, which is down",
        "web1 does not answer and could not be told that it has left: until its next boot it refuses other clusters",
    ];
    assert_eq!(problems, expected);
}

#[tokio::test]
async fn a_leave_of_a_machine_that_is_down_names_the_units_that_moved_and_may_still_run_there() {
    let context = context(four());
    outcomes(&context, &[("web1", "a"), ("web2", "b")]).await;
    run_on_web1(&context, &[("f1.service", "")]).await;
    place(&context, "f1.service", MachineId::from_bits(0xb)).await;
    let taken = four();
    taken.owners.lock().unwrap().insert("a".to_owned(), Some("other in sqlite:there".to_owned()));
    for (hosts, force, state) in [(taken, false, "belongs to another cluster"), (four(), true, "is down")] {
        let context = ClusterContext { remote: Arc::new(hosts), ..context.clone() };
        outcomes(&context, &[("web1", "a")]).await;
        record_health(&context, MachineId::from_bits(0xa), Health::Down).await;
        let timeouts = Timeouts { block: true, ..NOW };
        let left = leave(&context, "web1", force, timeouts, &mut |_| ()).await.unwrap();
        let Left::Removed(_, problems) = left else { panic!("{left:?}") };
        let expected = format!("Unit f1.service: it may still run on web1, which {state}; it is placed on web2 now");
        assert_eq!(problems[0].to_string(), expected);
    }
}
