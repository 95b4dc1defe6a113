//! The details of units that failed: the result that systemd reports, and the last lines of the journal. Hosts are asked
//! after the outcome is known, so this module changes nothing and decides nothing.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream;

use super::problems::Problem;
use crate::core::explain::TroubleKind;
use crate::core::model::Snapshot;
use crate::core::sanitize;
use crate::core::unit::UnitName;
use crate::remote;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::RunAs;
use crate::remote::Target;
use crate::runner;
use crate::runner::ClusterContext;

/// How many units hosts are asked about.
const UNITS: usize = 20;

/// How many lines of the journal are read for a unit.
const LINES: usize = 3;

/// How long a host may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// How many bytes of an answer are kept.
const BYTES: usize = 16 << 10;

/// Adds to each problem of a unit what its host says about it. A host that does not answer adds nothing.
pub(super) async fn add(context: &ClusterContext, snapshot: &Snapshot, problems: &mut [Problem]) {
    // What the host says about a unit of this name that could not be loaded is about another unit. A unit that has not left
    // a machine runs there.
    let is_other = |kind| matches!(kind, TroubleKind::LoadFailed | TroubleKind::StillElsewhere);
    let asked = problems.iter().enumerate();
    let asked = asked.filter(|(_, problem)| !problem.unreachable && !is_other(problem.kind));
    let asked = asked.filter_map(|(index, problem)| {
        let machine = snapshot.machines.get(problem.machine.as_ref()?)?;
        Some((index, ask(context, runner::target(machine), problem.unit.clone()?)))
    });
    let asked: Vec<_> = asked.take(UNITS).map(|(index, answer)| answer.map(move |answer| (index, answer))).collect();
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(UNITS).collect().await;
    for (index, answer) in answers {
        if let Some((problem, answer)) = problems.get_mut(index).zip(answer) {
            problem.details = details(&answer);
        }
    }
}

async fn ask(context: &ClusterContext, target: Target, unit: UnitName) -> Option<String> {
    let unit = remote::quote(unit.as_str()).ok()?;
    let script = format!(
        "systemctl show --property=Result,ExecMainCode,ExecMainStatus,NRestarts -- {unit}; echo; \
         journalctl --quiet --no-pager --lines {LINES} --output cat --unit {unit}"
    );
    let command = Command { script, run_as: Some(RunAs::root()), limit: Some(LIMIT), ..Command::default() };
    let mut answer = CapturedOutput::with_limit(BYTES);
    context.remote.exec(&target, &command, &mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Returns the details in an answer: properties of systemd, an empty line and lines of the journal.
fn details(answer: &str) -> Vec<String> {
    let (properties, journal) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let property = |name: &str| {
        let mut values = properties.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_default()
    };
    let mut ended = Vec::new();
    // The codes of waitid(2): 1 is an exit, 2 a signal and 3 a signal with a core dump.
    match (property("ExecMainCode"), property("ExecMainStatus")) {
        ("1", status) if status != "0" => ended.push(format!("exit code {status}")),
        ("2" | "3", status) => ended.push(format!("signal {status}")),
        _ => {}
    }
    if !matches!(property("Result"), "" | "success" | "exit-code" | "signal" | "core-dump") {
        ended.push(format!("result {}", property("Result")));
    }
    match property("NRestarts") {
        "" | "0" => {}
        "1" => ended.push("systemd has restarted it once".to_owned()),
        times => ended.push(format!("systemd has restarted it {times} times")),
    }
    let ended = Some(ended.join(", ")).filter(|text| !text.is_empty());
    let journal = journal.lines().filter(|line| !line.is_empty()).take(LINES).map(|line| format!("journal: {line}"));
    ended.into_iter().chain(journal).map(|line| sanitize::truncate(&line, sanitize::MESSAGE_LIMIT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_the_result_and_the_lines_of_the_journal() {
        let answer = "Result=exit-code\nNRestarts=0\nExecMainCode=1\nExecMainStatus=203\n\none\ntwo\u{1b}[31m\n";
        assert_eq!(details(answer), ["exit code 203", "journal: one", "journal: two\u{fffd}[31m"]);
        let killed = "Result=watchdog\nNRestarts=7\nExecMainCode=3\nExecMainStatus=6\n\n";
        assert_eq!(details(killed), ["signal 6, result watchdog, systemd has restarted it 7 times"]);
        // A timer has no processes.
        assert_eq!(details("Result=success\n\n"), [""; 0]);
        assert_eq!(details(""), [""; 0]);
    }
}
