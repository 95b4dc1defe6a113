//! The values of the core: identities, records, states, steps, visits and reports. This module must not decide
//! anything: rules are in the modules that use the values.

mod cluster;
mod event;
mod failover_override;
mod failure;
mod foreign_units;
mod health;
mod health_reason;
mod lease;
mod machine;
mod observed;
mod placement;
mod secret;
mod snapshot;
mod state;
mod step;
mod time;
mod unit;
mod verb;
mod version;
mod visit;

pub use super::machine_id::MachineId;
pub use cluster::*;
pub use event::*;
pub use failover_override::*;
pub use failure::*;
pub use foreign_units::*;
pub use health::*;
pub use health_reason::*;
pub use lease::*;
pub use machine::*;
pub use observed::*;
pub use placement::*;
pub use secret::*;
pub use snapshot::*;
pub use state::*;
pub use step::*;
pub use time::*;
pub use unit::*;
pub use verb::*;
pub use version::*;
pub use visit::*;
