//! A rehearsal on the real hosts: they are looked at and left as they are, and nothing is written.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Clock;
use super::sleep_until;
use super::target;
use super::visit;
use crate::core::pass::Input;
use crate::core::pass::Output;
use crate::core::pass::Pass;
use crate::core::rehearsal::Imagined;
use crate::core::rehearsal::Script;
use crate::core::report::Visit;
use crate::remote::SharedRemote;

/// Plays a pass until it has settled and returns what it would do; nothing if it was stopped.
///
/// Each host is looked at until it answers once; from then on it is imagined.
pub async fn rehearse(
    pass: &mut Pass,
    remote: &SharedRemote,
    clock: Clock,
    stop: &CancellationToken,
) -> Option<Script> {
    let (mut script, mut hosts) = (Script::default(), Imagined::default());
    let mut trips = JoinSet::new();
    let mut inputs = VecDeque::from([Input::Tick]);
    loop {
        while let Some(input) = inputs.pop_front() {
            for output in pass.handle(input, clock.now()) {
                match output {
                    Output::Commit(writes) => {
                        script.note_writes(pass.snapshot(), &writes);
                        inputs.push_back(Input::Committed(true));
                    }
                    Output::Visit { machine, visit, .. } if hosts.knows(machine) => {
                        script.note_visit(machine, &visit);
                        inputs.push_back(Input::Visited(machine, hosts.visit(machine, &visit, clock.now())));
                    }
                    Output::Visit { machine, visit, .. } => {
                        let Some(known) = pass.snapshot().machines.get(&machine) else { continue };
                        let (target, remote) = (target(known), remote.clone());
                        let look = Visit { peek: true, steps: Vec::new(), expires: None, ..visit };
                        trips.spawn(async move {
                            let trip = AssertUnwindSafe(visit::visit(&*remote, &target, &look, false));
                            let report = trip.catch_unwind().await.unwrap_or_else(|_| Err(visit::broken(&target)));
                            (machine, report)
                        });
                    }
                    Output::Deposed => return Some(script),
                }
            }
        }
        if trips.is_empty() && pass.is_settled() {
            return Some(script);
        }
        let wake = pass.wake_at().map(|at| clock.instant(at));
        let input = tokio::select! {
            Some(Ok((machine, report))) = trips.join_next() => {
                let seen = report.as_ref().ok().and_then(|report| report.observation.as_ref());
                if let Some(units) = seen.and_then(|seen| seen.units.clone()) {
                    hosts.learn(machine, units);
                }
                Input::Visited(machine, report)
            }
            () = sleep_until(wake) => Input::Tick,
            () = stop.cancelled() => return None,
        };
        inputs.push_back(input);
    }
}
