//! The runner drives a reconciler: timers, visits in flight, fence commands, commits.
//!
//! The runner decides nothing. Every decision comes from [`crate::core::reconcile::Reconciler`], and every command that
//! changes hosts goes through [`run()`]. The runner must not import `control`, `playbook`, `ui` or `cli`.

mod clock;
mod context;
mod dry_run;
mod fence;
mod in_flight;
mod lease_only;
mod observe;
mod route;
mod run;
mod secret_source;
mod supervision;
mod turn;

pub use clock::Clock;
pub use context::ClusterContext;
pub use context::RunContext;
pub use dry_run::dry_run;
pub use fence::FENCE_VARIABLES;
pub use fence::FenceCommands;
pub use lease_only::lease_only;
pub use observe::observe;
pub use route::route;
pub use route::target;
pub use run::OnEvent;
pub use run::RunOutcome;
pub use run::StopCondition;
pub use run::run;
pub use secret_source::SecretSource;
pub use supervision::ClusterSummary;
pub use supervision::LeaderSettings;
pub use supervision::Pulse;
pub use supervision::Supervision;
pub use turn::sleep_until;
