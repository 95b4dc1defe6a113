use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::control::LEASE;
use crate::control::leasing;
use crate::core::health::BRAKE;
use crate::core::health::DetectionConfig;
use crate::core::health::failover::FailoverPolicy;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Grant;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Timestamp;
use crate::core::model::Visit;
use crate::core::model::Write;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Facts;
use crate::remote::Progress;
use crate::remote::Remote;
use crate::remote::Sink;
use crate::remote::Target;
use crate::runner::Clock;
use crate::runner::LeaderSettings;
use crate::runner::SecretSource;
use crate::store::MemoryStore;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;

/// Hosts that never answer.
#[derive(Debug)]
struct Nowhere;

fn silence(target: &Target) -> Failure {
    let (host, detail) = (target.name.clone(), "no answer".to_owned());
    Failure { host, phase: Phase::Connect, kind: FailureKind::Silent, detail, hint: None }
}

#[async_trait::async_trait]
impl Remote for Nowhere {
    async fn visit(&self, target: &Target, _: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        Err(silence(target))
    }

    async fn facts(&self, target: &Target) -> Result<Facts, Failure> {
        Err(silence(target))
    }

    async fn exec(&self, target: &Target, _: &Command, _: &mut dyn Sink) -> Result<Exit, Failure> {
        Err(silence(target))
    }

    async fn interact(&self, target: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        Err(silence(target))
    }

    async fn probe(&self, via: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        Err(silence(via))
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

fn context() -> ClusterContext {
    context_on(Arc::new(MemoryStore::new()))
}

/// Returns the handles of a cluster whose hosts never answer.
pub(in crate::control) fn context_on(store: crate::store::SharedStore) -> ClusterContext {
    ClusterContext {
        name: "default".to_owned(),
        store,
        keys: Keyspace::new("default").unwrap(),
        remote: Arc::new(Nowhere),
        clock: Clock::start(),
        fence_commands: Arc::default(),
        secrets: SecretSource::default(),
        operator: "op@desk".to_owned(),
        stop: CancellationToken::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_does_not_stand_by_for_its_own_lost_leadership() {
    let context = context();
    let (store, keys) = (&context.store, &context.keys);
    let leadership = leader_election::try_campaign(store, keys, LeaderKind::Controller).await.unwrap().unwrap();
    let own = Some(leadership.epoch());
    let holder = campaign(&context, &Pulse::default(), None, &mut |_| ()).await.unwrap().unwrap_err();
    assert_eq!(Some(holder.epoch), own, "another process would stand by");
    let mut ignore = |_: ControllerStatus<'_>| ();
    let pulse = Pulse::default();
    let mut waits = std::pin::pin!(campaign(&context, &pulse, own, &mut ignore));
    assert!(tokio::time::timeout(Duration::from_mins(1), &mut waits).await.is_err());
    leadership.resign().await;
    assert!(waits.await.unwrap().is_ok());
}

#[test]
fn the_same_error_of_the_store_is_reported_again_after_a_while_and_another_one_at_once() {
    let (mut reported, start) = (Reported::default(), Instant::now());
    let mut is_due = |error, seconds| reported.is_due(error, start + Duration::from_secs(seconds));
    assert!(is_due("no route", 0) && !is_due("no route", 1) && !is_due("no route", 299));
    assert!(is_due("no route", 300) && !is_due("no route", 301));
    assert!(is_due("its file is gone", 302) && is_due("no route", 303));
}

/// Stops a controller as soon as it leads machines with these leases, and returns the machines and the time that it reports.
async fn abandoned(leases: &[Grant]) -> Vec<(usize, Duration)> {
    let context = context();
    let (store, keys, stop) = (&context.store, &context.keys, context.stop.clone());
    for (number, grant) in (1..).zip(leases) {
        let machine = Machine { id: MachineId::from_bits(number), systemd: 252, ..Machine::default() };
        let mut changes = keys.ops(&[Write::Lease(machine.id, grant.clone())]);
        changes.push(keys.put(&Key::Machine(machine.id), &machine));
        assert!(store.commit(Vec::new(), changes).await.unwrap().is_some());
    }
    let timing = leasing(DetectionConfig { down_after: Duration::from_secs(8), brake: BRAKE }, LEASE).unwrap();
    let mut told = Vec::new();
    let mut on_status = |status: ControllerStatus<'_>| match status {
        ControllerStatus::Leads(_) => stop.cancel(),
        ControllerStatus::NoMachines => {}
        ControllerStatus::Abandons(machines, length) => told.push((machines, length)),
        other => panic!("{other:?}"),
    };
    let failover_policy = FailoverPolicy::default();
    let settings = LeaderSettings {
        timing,
        failover_policy,
        fence_commands: Arc::default(),
        receivers: std::collections::BTreeMap::default(),
    };
    control(&context, &Supervision::fixed(settings), &mut on_status, &mut |_, _| {}).await;
    told
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_stopped_reports_how_many_machines_lose_their_leases_and_how_soon() {
    let grant = |seconds, stopped_for_sure_at| {
        let length = Duration::from_secs(seconds);
        Grant {
            epoch: 1,
            length,
            stop: Duration::from_secs(10),
            slack: Duration::ZERO,
            units: BTreeSet::new(),
            unknown: false,
            until: None,
            stopped_for_sure_at,
        }
    };
    let ended = Some(Timestamp::from_millis(5));
    assert_eq!(abandoned(&[]).await, []);
    assert_eq!(abandoned(&[grant(18, None), grant(24, None)]).await, [(2, Duration::from_secs(24))]);
    assert_eq!(abandoned(&[grant(18, None), grant(24, ended)]).await, [(1, Duration::from_secs(18))]);
    assert_eq!(abandoned(&[grant(24, ended)]).await, [], "a lease that no process renews ends by itself");
}
