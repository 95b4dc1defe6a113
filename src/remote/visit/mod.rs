//! A visit carried out in a shell: a [`Visit`] becomes a script, and what the script printed becomes a [`Report`].
//!
//! The text of both is private to this room. The caller brings the script to the shell of a host.

pub mod prefetch;
mod report;
mod script;

use std::time::Duration;

use script::Script;

use crate::core::lease;
use crate::core::model::Action;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::Visit;

pub use report::BadReport;
pub use script::ScriptError;

/// How long a visit without steps may take.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// How long steps may take. systemd needs about 5 ms for a unit, and the script waits for stops.
const STEPS_LIMIT: Duration = Duration::from_secs(30);
const UNIT_LIMIT: Duration = Duration::from_millis(50);

/// A longer report than this is parsed on a thread of its own, so that it delays no other visit.
const PARSED_AT_ONCE: usize = 256 << 10;

/// A visit as a shell is given it.
#[derive(Debug)]
pub struct VisitScript {
    steps: Vec<Step>,
    script: Script,
    limit: Duration,
}

impl VisitScript {
    /// Writes the script for a visit. `nonce` must be fresh for every visit and not be known to the host beforehand.
    ///
    /// With `quick`, a host on which nothing seems to have changed since this shell last looked says so and starts no
    /// process. `root` goes before every path: it is empty on hosts, and a folder where a test plays host.
    pub fn write(visit: &Visit, nonce: u64, quick: bool, root: &str) -> Result<Self, ScriptError> {
        let script = script::write(visit, nonce, quick, root)?;
        Ok(Self { steps: visit.steps.clone(), script, limit: limit(visit) })
    }

    /// Writes the script for a visit to the host called `host`.
    pub(super) fn to_host(host: &str, visit: &Visit, quick: bool) -> Result<Self, Failure> {
        let nonce = getrandom::u64().map_err(|error| failure(host, FailureKind::Local, "no randomness", &error))?;
        Self::write(visit, nonce, quick, "")
            .map_err(|error| failure(host, FailureKind::Local, "the visit cannot be sent", &error))
    }

    /// Returns the text for the shell.
    pub fn text(&self) -> &str {
        &self.script.text
    }

    /// Returns the line that ends the output of the script.
    pub fn end(&self) -> &str {
        &self.script.end
    }

    /// Returns how long the script may take.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Reads what the script printed.
    pub fn read(&self, printed: &[u8]) -> Result<Report, BadReport> {
        report::read(printed, &self.script.mark, &self.steps)
    }

    /// Reads what the script printed on the host called `host`. If the report does not parse, it is not known what was
    /// done.
    pub(super) async fn report(self, host: &str, printed: Vec<u8>) -> Result<Report, Failure> {
        let report = if printed.len() <= PARSED_AT_ONCE {
            self.read(&printed)
        } else {
            let read = tokio::task::spawn_blocking(move || self.read(&printed)).await;
            read.map_err(|error| failure(host, FailureKind::Local, "the report was not parsed", &error))?
        };
        report.map_err(|error| failure(host, FailureKind::Sick, "its report does not parse", &error))
    }
}

fn failure(host: &str, kind: FailureKind, what: &str, why: &impl std::fmt::Display) -> Failure {
    Failure { host: host.to_owned(), phase: Phase::Run, kind, detail: format!("{what}: {why}"), hint: None }
}

fn limit(visit: &Visit) -> Duration {
    if visit.steps.is_empty() {
        return if visit.lease.is_some() { lease::RENEWAL_TIMEOUT } else { LOOK_LIMIT };
    }
    let stops = visit.steps.iter().any(|step| matches!(step.action, Action::Stop | Action::Unload));
    let units = u32::try_from(visit.steps.len()).unwrap_or(u32::MAX);
    let limit = STEPS_LIMIT.saturating_add(UNIT_LIMIT.saturating_mul(units));
    // The script waits for stops first and for unloads after that.
    if stops { limit.saturating_add(script::STOP_LIMIT * 2) } else { limit }
}
