//! Machine lookup: finds the machine that a user named by its name, its machine-id or its address.
//!
//! Every command that takes a machine must use [`find_machine`], so that one text means the same machine everywhere.
//! The lookup reads the snapshot only and resolves no host names.

use super::model::Address;
use super::model::Machine;
use super::model::MachineId;
use super::model::Snapshot;

/// The fewest digits of a machine-id that name a machine.
const FEWEST_DIGITS: usize = 4;

/// The port of an address without a port.
const SSH_PORT: u16 = 22;

/// How many machines or similar names an error lists.
const LISTED: usize = 5;

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILARITY: f64 = 0.5;

/// The text does not name exactly one machine. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FindMachineError {
    /// No machine has this name, machine-id or address.
    #[error("no machine is called {text:?}")]
    Unknown {
        /// The text.
        text: String,
        /// The names of machines that are spelt like it, the most similar first.
        similar: Vec<String>,
    },
    /// Several machines match.
    #[error("{text:?} is {} {} machines: {}", key.phrase(), machines.len(), list(machines))]
    Ambiguous {
        /// The text.
        text: String,
        /// Which property they share.
        key: MachineKey,
        /// The machines, by their machine-ids.
        machines: Vec<MachineSummary>,
    },
}

/// A property of a machine by which it can be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineKey {
    /// Its name in the inventory.
    Name,
    /// The beginning of its machine-id.
    Id,
    /// Its address.
    Address,
}

impl MachineKey {
    fn matches(self, machine: &Machine, text: &str) -> bool {
        match self {
            Self::Name => machine.name == text,
            Self::Id => is_id_prefix(machine.id, text),
            Self::Address => is_address(machine, text),
        }
    }

    const fn phrase(self) -> &'static str {
        match self {
            Self::Name => "the name of",
            Self::Id => "the beginning of the machine-ids of",
            Self::Address => "the address of",
        }
    }
}

/// A machine that a text may mean, as an error lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineSummary {
    /// Its name.
    pub name: String,
    /// Its machine-id.
    pub id: MachineId,
    /// Its address.
    pub address: Address,
}

/// Finds a machine by its name, by at least four digits of its machine-id, or by its address: `ssh://…`, or an IP
/// address or host name with or without a port. The first of these properties that matches any machine counts; it must
/// match only one.
pub fn find_machine<'a>(snapshot: &'a Snapshot, text: &str) -> Result<&'a Machine, FindMachineError> {
    for key in [MachineKey::Name, MachineKey::Id, MachineKey::Address] {
        let found: Vec<&Machine> = snapshot.machines.values().filter(|machine| key.matches(machine, text)).collect();
        match found.as_slice() {
            [] => {}
            [machine] => return Ok(machine),
            several => {
                let machines = several.iter().map(|machine| MachineSummary::of(machine)).collect();
                return Err(FindMachineError::Ambiguous { text: bounded(text), key, machines });
            }
        }
    }
    Err(FindMachineError::Unknown { text: bounded(text), similar: similar_names(snapshot, text) })
}

/// Reports whether a text is the beginning of a machine-id. It has at least four digits and may end in `...`, as fleet
/// prints machine-ids.
pub fn is_id_prefix(id: MachineId, text: &str) -> bool {
    let digits = text.strip_suffix("...").unwrap_or(text);
    digits.len() >= FEWEST_DIGITS && id.to_string().starts_with(&digits.to_ascii_lowercase())
}

/// Reports whether a text is an address of a machine, with or without its port.
fn is_address(machine: &Machine, text: &str) -> bool {
    let host = |text: &str| machine.address.host.eq_ignore_ascii_case(text) || machine.ip.eq_ignore_ascii_case(text);
    if host(text) {
        return true;
    }
    let url = if text.contains("://") { text.to_owned() } else { format!("ssh://{text}") };
    let Ok(address) = url.parse::<Address>() else { return false };
    let port = |address: &Address| address.port.unwrap_or(SSH_PORT);
    let same_user = address.user.is_none() || address.user == machine.address.user;
    let same_port = address.port.is_none() || port(&address) == port(&machine.address);
    host(&address.host) && same_port && same_user
}

/// Returns the names that are spelt like a text, the most similar first.
fn similar_names(snapshot: &Snapshot, text: &str) -> Vec<String> {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&bounded(text), name);
    let names = snapshot.machines.values().map(|machine| machine.name.as_str());
    let mut scored: Vec<(f64, &str)> = names.map(|name| (likeness(name), name)).collect();
    scored.retain(|(score, _)| *score >= SIMILARITY);
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(LISTED).map(|(_, name)| name.to_owned()).collect()
}

/// Cuts a text that a user typed, for an error.
fn bounded(text: &str) -> String {
    text.chars().take(80).collect()
}

impl MachineSummary {
    fn of(machine: &Machine) -> Self {
        Self { name: machine.name.clone(), id: machine.id, address: machine.address.clone() }
    }
}

/// Lists machines: each with its name, the beginning of its machine-id and its address.
fn list(machines: &[MachineSummary]) -> String {
    let text = |MachineSummary { name, id, address }: &MachineSummary| format!("{name} ({}..., {address})", id.short());
    let listed: Vec<String> = machines.iter().take(LISTED).map(text).collect();
    let others = machines.len().saturating_sub(LISTED);
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    format!("{}{others}", listed.join(", "))
}

#[cfg(test)]
mod tests;
