//! The route to one machine: direct, or through a relay while the machine has a path fault.
//!
//! A route serves a command that an operator runs on a machine. Nothing here assesses health.

use crate::core::health::peers::ANSWER_LIMIT;
use crate::core::health::peers::LOOK_LIMIT;
use crate::core::model::Health;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::remote::Connection;
use crate::remote::SharedRemote;
use crate::remote::Target;
use crate::remote::ssh_config::is_kept;

/// How many relays are probed before the direct path is tried after all.
const RELAYS_PROBED: usize = 3;

/// Returns how SSH reaches a machine directly.
pub fn target(machine: &Machine) -> Target {
    Target {
        password: None,
        name: machine.name.clone(),
        address: machine.address.clone(),
        identity_files: machine.identity_files.clone(),
        jump: machine.jump.clone(),
        // Records of the store are input: an option that would run a program here is left out.
        options: machine.ssh_options.iter().filter(|option| is_kept(option)).cloned().collect(),
        config_file: None,
        connection: Connection::Ssh,
        forwards_agent: false,
        through: None,
    }
}

/// Returns how SSH reaches a machine now, and the machine that serves as the relay if there is one.
pub async fn route<'a>(
    remote: &SharedRemote,
    snapshot: &'a Snapshot,
    machine: &Machine,
) -> (Target, Option<&'a Machine>) {
    let direct = target(machine);
    // The first relay nearly always reaches the machine, so the probes are not made at the same time.
    for relay in relays(snapshot, machine).into_iter().take(RELAYS_PROBED) {
        let via = target(relay);
        let probe = remote.probe(&via, &direct, LOOK_LIMIT);
        if let Ok(Ok(true)) = tokio::time::timeout(ANSWER_LIMIT, probe).await {
            return (direct.through(via), Some(relay));
        }
    }
    (direct, None)
}

/// Returns the alive machines that may serve as relays to a machine with a path fault, in an order that differs from
/// machine to machine. For a machine without a path fault it returns none.
fn relays<'a>(snapshot: &'a Snapshot, machine: &Machine) -> Vec<&'a Machine> {
    let is = |other: &Machine, health| snapshot.health.get(&other.id).is_some_and(|record| record.health == health);
    if !is(machine, Health::PathFault) {
        return Vec::new();
    }
    let mut alive: Vec<&Machine> = snapshot.machines.values().filter(|other| is(other, Health::Alive)).collect();
    alive.sort_by_key(|other| machine.id.mixed_with(other.id));
    alive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_run_programs_or_write_files_are_not_taken_from_the_store() {
        let ssh_options =
            ["ConnectTimeout=3", "ProxyCommand=touch /tmp/x", "UserKnownHostsFile /etc/x", "HostKeyAlias a", "", "="];
        let machine = Machine { ssh_options: ssh_options.map(str::to_owned).to_vec(), ..Machine::default() };
        assert_eq!(target(&machine).options, ["ConnectTimeout=3", "HostKeyAlias a"]);
    }
}
