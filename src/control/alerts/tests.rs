//! Couriers with a store in memory, and commands as receivers. Time is real, except where a test lets it pass.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::core::alert::Rules;
use crate::core::alert::Selector;
use crate::core::explain::TroubleKind;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::notify::Channel;
use crate::notify::CommandReceiver;
use crate::store::MemoryStore;

/// The files of a test, and a store.
struct Ground {
    folder: tempfile::TempDir,
    context: ClusterContext,
    pulse: Pulse,
}

impl Ground {
    fn new() -> Self {
        let context = super::super::controller::tests::context_on(Arc::new(MemoryStore::new()));
        Self { folder: tempfile::tempdir().unwrap(), context, pulse: Pulse::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes the courier of a process. `then` is what the command does after it has written the message into a file.
    fn courier(&self, then: &str) -> Courier {
        Courier::new(&self.context, "pager", &receiver(&self.path("out"), then), Pace::CONTROLLER)
    }

    /// Returns the messages that the command has got.
    fn got(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.path("out")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn attend(&self, courier: &mut Courier, troubles: &[Trouble]) -> bool {
        courier.attend(troubles, &self.pulse).await.unwrap()
    }
}

fn receiver(out: &Path, then: &str) -> Arc<Receiver> {
    let command = format!("cat >> {}; {then}", out.display());
    let rules = Rules { selector: Selector::default(), min_duration: None, clears: true, remind: None };
    Arc::new(Receiver { channel: Channel::Command(CommandReceiver { command }), rules })
}

fn down() -> Vec<Trouble> {
    vec![Trouble {
        kind: "machine down",
        machine: Some("web1".to_owned()),
        unit: None,
        text: "web1 is down".to_owned(),
        shared: Some("down".to_owned()),
        unreachable: true,
    }]
}

/// Lets time pass.
async fn later(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

/// Attends until a message is due, and to it. Reports whether it was sent.
async fn alert(ground: &Ground, courier: &mut Courier) -> bool {
    for seconds in [0, 12, 4] {
        later(seconds).await;
        if ground.attend(courier, &down()).await {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_change_of_leader_neither_repeats_nor_loses_an_alert() {
    let ground = Ground::new();
    let mut first = ground.courier("true");
    assert!(alert(&ground, &mut first).await);
    assert_eq!(ground.got()[0]["status"], "problem");
    let mut second = ground.courier("true");
    for seconds in [0, 20, 20, 20] {
        later(seconds).await;
        assert!(!ground.attend(&mut second, &down()).await);
    }
    for seconds in [0, 61] {
        later(seconds).await;
        assert!(!ground.attend(&mut second, &[]).await);
    }
    later(4).await;
    assert!(ground.attend(&mut second, &[]).await);
    let got = ground.got();
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(got[1]["status"], "clear");
    assert_eq!(got[0]["incidents"][0]["id"], got[1]["incidents"][0]["id"]);
    // The first leader was deposed without noticing it. Its ledger is old, so it must take the other.
    for _ in 0..4 {
        later(61).await;
        assert!(!ground.attend(&mut first, &[]).await);
    }
    assert_eq!(ground.got().len(), 2);
}

#[tokio::test]
async fn a_leader_that_dies_while_it_sends_is_followed_by_one_that_sends_the_same_message_after_the_time_limit() {
    let ground = Ground::new();
    let mut first = ground.courier("sleep 300");
    tokio::select! {
        biased;
        sent = alert(&ground, &mut first) => panic!("{sent}"),
        () = async { while ground.got().is_empty() { tokio::task::yield_now().await; } } => {}
    }
    drop(first);
    let mut second = ground.courier("true");
    assert!(!ground.attend(&mut second, &down()).await);
    later(10).await;
    assert!(!ground.attend(&mut second, &down()).await, "the first may still send it");
    later(6).await;
    assert!(ground.attend(&mut second, &down()).await);
    let got = ground.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0], got[1], "the receiver can drop the second");
    later(60).await;
    assert!(!ground.attend(&mut second, &down()).await);
}

#[tokio::test]
async fn a_receiver_that_fails_gets_the_message_again_and_the_metrics_count_both() {
    let ground = Ground::new();
    let marker = ground.path("works");
    let mut courier = ground.courier(&format!("test -e {}", marker.display()));
    assert!(!alert(&ground, &mut courier).await);
    assert_eq!(ground.got().len(), 1);
    assert!(!ground.attend(&mut courier, &down()).await);
    assert_eq!(ground.got().len(), 1, "it waits");
    fs::write(marker, "").unwrap();
    later(11).await;
    assert!(ground.attend(&mut courier, &down()).await);
    let got = ground.got();
    assert_eq!(got[0]["id"], got[1]["id"]);
    let controller = crate::metrics::Controller {
        leader_epoch: None,
        stale: Duration::ZERO,
        instruments: ground.pulse.instruments(),
    };
    let state = crate::metrics::State { snapshot: &Snapshot::default(), troubles: &[] };
    let text = crate::metrics::of_controller(&controller, state);
    for line in ["{receiver=\"pager\",end=\"sent\"} 1", "{receiver=\"pager\",end=\"failed\"} 1"] {
        assert!(text.contains(&format!("muster_alert_messages_total{line}")), "{text}");
    }
}

#[tokio::test]
async fn sweeps_send_an_alert_once_and_its_all_clear_once() {
    let ground = Ground::new();
    let receivers = Receivers::from([("pager".to_owned(), receiver(&ground.path("out"), "true"))]);
    let id = MachineId::from_bits(1);
    let machine = Machine { id, name: "web1".to_owned(), ..Machine::default() };
    let snapshot = Snapshot { machines: [(id, machine)].into(), ..Snapshot::default() };
    let problem = Problem { machine: Some(id), ..Problem::general(TroubleKind::StoreRestored, "it was".to_owned()) };
    for problems in [&[problem.clone()][..], &[problem], &[], &[]] {
        after_sweep(&ground.context, &receivers, &snapshot, problems).await;
    }
    let got = ground.got();
    let statuses: Vec<&str> = got.iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["problem", "clear"]);
    assert_eq!(got[0]["incidents"][0]["kind"], "store restored");
    assert_eq!(got[0]["incidents"][0]["machine"], "web1");
}

#[tokio::test]
async fn a_damaged_ledger_is_replaced() {
    let ground = Ground::new();
    let key = ground.context.keys.key(&layout::Key::Alerts("pager".to_owned()));
    ground.context.store.commit(vec![], vec![crate::store::Op::put(key, "garbage")]).await.unwrap();
    let mut courier = ground.courier("true");
    assert!(alert(&ground, &mut courier).await);
    let ledgers = layout::read_ledgers(&*ground.context.store, &ground.context.keys).await.unwrap();
    assert_eq!(ledgers.len(), 1);
    assert_eq!(ledgers[0].1.open().count(), 1);
}
