//! A visit carried out: the script there, the report back.

use std::time::Duration;

use crate::core::lease;
use crate::core::model::Action;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::model::Report;
use crate::core::model::Visit;
use crate::remote::Remote;
use crate::remote::Target;
use crate::remote::report;
use crate::remote::script;

/// How long a look may take on a host that is well.
const LOOK_LIMIT: Duration = Duration::from_secs(3);

/// How long steps may take: systemd needs about 5 ms for a unit, and a stop is waited for.
const STEPS_LIMIT: Duration = Duration::from_secs(30);
const UNIT_LIMIT: Duration = Duration::from_millis(50);

/// Makes a visit. Whatever does not come back as a report that parses is a failure, and what was done is not known.
pub async fn visit(remote: &dyn Remote, target: &Target, visit: &Visit, quick: bool) -> Result<Report, Failure> {
    let failure =
        |kind, detail: String| Failure { host: target.name.clone(), phase: Phase::Run, kind, detail, hint: None };
    let nonce = getrandom::u64().map_err(|error| failure(FailureKind::Local, format!("no randomness: {error}")))?;
    let script = script::write(visit, nonce, quick, "")
        .map_err(|error| failure(FailureKind::Local, format!("a unit cannot be sent: {error}")))?;
    let printed = remote.script(target, &script.text, &script.end, limit(visit)).await?;
    report::read(&printed, &script.mark, &visit.steps)
        .map_err(|error| failure(FailureKind::Sick, format!("its report makes no sense: {error}")))
}

fn limit(visit: &Visit) -> Duration {
    if visit.steps.is_empty() {
        return if visit.lease.is_some() { lease::RENEWAL_TIMEOUT } else { LOOK_LIMIT };
    }
    let stops = visit.steps.iter().any(|step| matches!(step.action, Action::Stop | Action::Unload));
    let units = u32::try_from(visit.steps.len()).unwrap_or(u32::MAX);
    let limit = STEPS_LIMIT.saturating_add(UNIT_LIMIT.saturating_mul(units));
    // Stops and unloads wait one after the other.
    if stops { limit.saturating_add(script::STOP_PATIENCE * 2) } else { limit }
}
