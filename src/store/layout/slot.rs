//! The places that a cluster's keys name.

use super::Keys;
use crate::core::model::MachineId;
use crate::core::unit::Hash;
use crate::core::unit::UnitName;

/// A place in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// How many machines the cluster starts with, in decimal.
    Size,
    /// A machine in the registry: `name=ssh://address`.
    Member(MachineId),
    /// A [`crate::core::model::Machine`].
    Machine(MachineId),
    /// A [`crate::core::model::HealthRecord`].
    Health(MachineId),
    /// A [`crate::core::model::FailoverOverride`].
    FailoverOverride(MachineId),
    /// The text of a unit file.
    File(Hash),
    /// A [`crate::core::model::Unit`].
    Unit(UnitName),
    /// A [`crate::core::model::Placement`].
    Placement(UnitName),
    /// A [`crate::core::model::UnitState`].
    State(UnitName, MachineId),
    /// A [`crate::core::model::Grant`].
    Lease(MachineId),
    /// The machines that vote, as a list.
    Voters,
    /// Who leads, held by a lease.
    Leader,
    /// The highest epoch there has been, in decimal.
    Epoch,
    /// A [`crate::core::model::Event`], under a name that sorts by time.
    Event(String),
}

impl Keys {
    /// Returns the key of a place.
    pub fn key(&self, slot: &Slot) -> String {
        let (registry, cluster, events) = (&self.registry, &self.cluster, &self.events);
        match slot {
            Slot::Size => format!("{registry}_config/size"),
            Slot::Member(id) => format!("{registry}members/{id}"),
            Slot::Machine(id) => format!("{cluster}machines/{id}"),
            Slot::Health(id) => format!("{cluster}health/{id}"),
            Slot::FailoverOverride(id) => format!("{cluster}failover_overrides/{id}"),
            Slot::File(hash) => format!("{cluster}files/{hash}"),
            Slot::Unit(name) => format!("{cluster}units/{name}"),
            Slot::Placement(name) => format!("{cluster}placements/{name}"),
            Slot::State(name, id) => format!("{cluster}states/{name}/{id}"),
            Slot::Lease(id) => format!("{cluster}leases/{id}"),
            Slot::Voters => format!("{cluster}voters"),
            Slot::Leader => format!("{cluster}leader"),
            Slot::Epoch => format!("{cluster}epoch"),
            Slot::Event(name) => format!("{events}{name}"),
        }
    }

    /// Says whether only a leader writes the key.
    pub fn is_leaders(&self, key: &str) -> bool {
        let leaders = |slot| {
            matches!(
                slot,
                Slot::Placement(_)
                    | Slot::State(..)
                    | Slot::Health(_)
                    | Slot::Lease(_)
                    | Slot::Voters
                    | Slot::Leader
                    | Slot::Epoch
                    | Slot::Event(_)
            )
        };
        self.slot(key).ok().flatten().is_some_and(leaders)
    }

    /// Returns the place that a key names: `None` for a key of another cluster or a kind that is not known, and why
    /// for one of a known kind whose name cannot be read.
    pub fn slot(&self, key: &str) -> Result<Option<Slot>, String> {
        if let Some(rest) = key.strip_prefix(&self.registry) {
            return Ok(registered(rest));
        }
        if let Some(name) = key.strip_prefix(&self.events) {
            return Ok(Some(Slot::Event(name.to_owned())));
        }
        let Some(rest) = key.strip_prefix(&self.cluster) else {
            return Ok(None);
        };
        let Some((kind, name)) = rest.split_once('/') else {
            return Ok(match rest {
                "leader" => Some(Slot::Leader),
                "epoch" => Some(Slot::Epoch),
                "voters" => Some(Slot::Voters),
                _ => None,
            });
        };
        Ok(Some(match kind {
            "machines" => Slot::Machine(machine(name)?),
            "health" => Slot::Health(machine(name)?),
            "failover_overrides" => Slot::FailoverOverride(machine(name)?),
            "leases" => Slot::Lease(machine(name)?),
            "files" => Slot::File(name.parse().map_err(|error| format!("{error}"))?),
            "units" => Slot::Unit(unit(name)?),
            "placements" => Slot::Placement(unit(name)?),
            "states" => {
                let (name, id) = name.rsplit_once('/').ok_or("the machine is missing")?;
                Slot::State(unit(name)?, machine(id)?)
            }
            _ => return Ok(None),
        }))
    }
}

fn registered(rest: &str) -> Option<Slot> {
    if rest == "_config/size" {
        return Some(Slot::Size);
    }
    // etcd servers that form a cluster register under names of their own: those are not machines, nor are they wrong.
    rest.strip_prefix("members/").and_then(|id| id.parse().ok()).map(Slot::Member)
}

fn machine(text: &str) -> Result<MachineId, String> {
    let id: MachineId = text.parse().map_err(|error| format!("{error}"))?;
    // One machine has one key: only the spelling that we write is it.
    if id.to_string() == text { Ok(id) } else { Err(format!("{text} is not how a machine-id is written")) }
}

fn unit(text: &str) -> Result<UnitName, String> {
    text.parse().map_err(|error| format!("{error}"))
}
