//! `muster audit`: what operators asked for, from the event log.

use std::time::Duration;

use super::Context;
use super::duration;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::core::model::Actor;
use crate::core::model::Event;
use crate::runner::Clock;
use crate::store::layout;
use crate::ui;

#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    /// Only requests within this time, such as 2h or 7d [default: all that the event log still has]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// Only requests of this operator: a user, or USER@HOST
    #[arg(long, value_name = "OPERATOR")]
    by: Option<String>,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster audit`.
pub(super) async fn audit(context: &Context, args: &AuditArgs) -> CommandResult {
    let (store, keys) = (context.known_store().await?, context.keys()?);
    let snapshot = layout::read(&*store, &keys).await?;
    let now = Clock::start().now();
    let mut events = layout::read_events(&*store, &keys).await?;
    events.retain(|event| {
        let is_recent = args.since.is_none_or(|since| now.since(event.at) <= since);
        is_recent && operator(event).is_some_and(|by| args.by.as_deref().is_none_or(|wanted| is_by(by, wanted)))
    });
    if args.output.is_some() {
        ui::json(&events.iter().map(|event| ui::event::json(&snapshot, event)).collect::<Vec<_>>());
    } else {
        let lines = events.iter().map(|event| format!("{} {}", ui::time(event.at), ui::line(&snapshot, event)));
        ui::result(&lines.collect::<String>());
    }
    Ok(ExitStatus::Done)
}

/// Returns the operator that asked for an event.
fn operator(event: &Event) -> Option<&str> {
    matches!(event.actor(), Actor::Operator(_)).then_some(event.subject.actor.as_deref()).flatten()
}

/// Reports whether an operator is the one that is wanted: `alice` is `alice@desk`, also through the API.
fn is_by(operator: &str, wanted: &str) -> bool {
    let at = operator.split(' ').next().unwrap_or_default();
    at == wanted || at.split('@').next() == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_named_by_the_user_or_with_the_host() {
        for operator in ["alice@desk", "alice@desk (API)"] {
            assert!(is_by(operator, "alice") && is_by(operator, "alice@desk"), "{operator}");
            assert!(!is_by(operator, "ali") && !is_by(operator, "alice@lap") && !is_by(operator, "desk"), "{operator}");
        }
    }
}
