//! How long an action of a task may take: `timeout`, `async` and `poll`. This module waits for nothing.

use std::time::Duration;

use serde_json::Value;

use crate::playbook::background;
use crate::playbook::play::Background;
use crate::playbook::play::Task;
use crate::playbook::template;
use crate::playbook::template::Scope;

/// The time between two looks at a job, unless the task says another.
const POLL: Duration = Duration::from_secs(15);

/// How long an action may take.
pub(super) enum Limit {
    /// As long as it takes.
    None,
    /// This long, and the message if it takes longer.
    Seconds(Duration, String),
    /// This long, with so much time between two looks at it.
    Awaited(Duration, Duration),
    /// This long, in the background.
    Background(Duration),
}

/// Returns how long an action of a task may take.
pub(super) fn limit(task: &Task, scope: &Scope) -> Result<Limit, String> {
    if let Some(Background { limit, poll }) = &task.background {
        let poll = poll.as_ref().map_or(Ok(Some(POLL)), |poll| seconds("poll", poll, scope))?;
        let limit = seconds("async", limit, scope)?;
        if let Some(fault) = background::fault(task.module.name()).filter(|_| limit.is_some()) {
            return Err(fault);
        }
        match (limit, poll) {
            (Some(limit), Some(poll)) => return Ok(Limit::Awaited(limit, poll)),
            (Some(limit), None) => return Ok(Limit::Background(limit)),
            (None, _) => {}
        }
    }
    let Some(timeout) = &task.settings.timeout else { return Ok(Limit::None) };
    let late = |limit: Duration| format!("Timed out after {} second(s).", limit.as_secs_f64());
    Ok(seconds("timeout", timeout, scope)?.map_or(Limit::None, |limit| Limit::Seconds(limit, late(limit))))
}

/// Returns a number of seconds, or none for 0.
fn seconds(name: &str, value: &Value, scope: &Scope) -> Result<Option<Duration>, String> {
    let text = template::text_of(&scope.fill(value)?);
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.ok_or_else(|| format!("`{name}` must be a number of seconds, not {text}"))?;
    Ok(Some(seconds).filter(|seconds| !seconds.is_zero()))
}
