//! Commands for units on a machine that is out of reach.

use std::sync::Arc;
use std::time::Duration;

use muster::control::progress::Timeouts;
use muster::control::verb;
use muster::core::command::UnitCommand;
use muster::core::model::Verb;
use muster::store::MemoryStore;
use muster::store::SharedStore;

use super::Folder;
use super::context;
use super::found;
use super::swept;
use crate::store::soon;

#[tokio::test]
async fn a_unit_that_is_destroyed_on_a_lost_machine_is_named_with_what_follows() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    found(&store, &["web.service"]).await;
    swept(&context(&store, &Arc::new(Folder::new()))).await;

    // Another host has the address of the machine now.
    let context = context(&store, &Arc::new(Folder::of("00000000000000000000000000000001")));
    let timeouts = Timeouts { lock_wait: Duration::ZERO, wait: None, settle: Duration::ZERO, block: true };
    let destroy =
        [UnitCommand { verb: Verb::Destroy, unit: "web.service".parse().unwrap(), file: None, replace: false }];
    let problems = soon(verb::execute(&context, Verb::Destroy, &destroy, timeouts, &mut |_| ())).await.unwrap();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "core-01 is down: run: machine 00000000000000000000000000000001 answers at its address",
            "Unit web.service: still on core-01, which is down: it is unloaded there as soon as core-01 answers",
        ]
    );
}
