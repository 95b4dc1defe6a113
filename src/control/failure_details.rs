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

/// How many lines of the journal are shown for a unit.
const LINES: usize = 3;

/// How many messages are read for it. Podman logs several about each container that ends.
const MESSAGES: usize = 12;

/// How long a host may take to answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The ids of systemd's messages that a process of a unit has exited, and that the unit is about to be restarted
/// (sd-messages.h).
const EXITED: &str = "98e322203f7a4ed290d09fe03c09fe15";
const RESTARTED: &str = "5eb03494b6584870a536b337290809b3";

/// What a line of the journal begins with.
const JOURNAL: &str = "journal: ";

/// How many bytes of an answer are kept.
const BYTES: usize = 16 << 10;

/// Adds to each problem of a unit what its host says about it. A host that does not answer adds nothing.
pub(super) async fn add(context: &ClusterContext, snapshot: &Snapshot, problems: &mut [Problem]) {
    let asked = problems.iter().enumerate();
    let asked = asked.filter(|(_, problem)| !problem.unreachable && may_have_failed(snapshot, problem));
    let asked = asked.filter_map(|(index, problem)| {
        let machine = snapshot.machines.get(problem.machine.as_ref()?)?;
        let restarts = problem.kind == TroubleKind::Restarting;
        Some((index, ask(context, runner::target(machine), problem.failed_unit()?.clone(), restarts)))
    });
    let asked: Vec<_> = asked.take(UNITS).map(|(index, answer)| answer.map(move |answer| (index, answer))).collect();
    let answers: Vec<_> = stream::iter(asked).buffer_unordered(UNITS).collect().await;
    for (index, answer) in answers {
        if let Some((problem, answer)) = problems.get_mut(index).zip(answer) {
            let told = details(&answer, problem.kind == TroubleKind::Restarting);
            problem.details = without_repetitions(told, &problem.what);
        }
    }
}

/// Reports whether a problem may be the fault of the unit's own process. A unit that has not left a machine, has not stopped or
/// fits nowhere runs. What the host says about a unit that could not be loaded is about an earlier unit of this name.
fn may_have_failed(snapshot: &Snapshot, problem: &Problem) -> bool {
    use TroubleKind::{JobFailed, NotActive, Restarting, StepFailed, StillChanging, TimedOut};
    let runs_well = || {
        let (unit, machine) = problem.unit.as_ref().zip(problem.machine)?;
        let state = snapshot.states.get(unit)?.get(&machine)?;
        Some(state.is_well(snapshot.file(unit).is_some_and(|file| file.is_oneshot())))
    };
    match problem.kind {
        NotActive | Restarting | JobFailed | StepFailed | StillChanging => true,
        TimedOut => runs_well() != Some(true),
        _ => false,
    }
}

async fn ask(context: &ClusterContext, target: Target, unit: UnitName, restarts: bool) -> Option<String> {
    let script = script(&remote::quote(&unit.of_systemd()).ok()?, restarts);
    let command = Command { script, run_as: Some(RunAs::root()), limit: Some(LIMIT), ..Command::default() };
    let mut answer = CapturedOutput::with_limit(BYTES);
    context.remote.exec(&target, &command, &mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Returns the script that asks a host about a unit: its properties, and the words of its last run. journald is first
/// given up to two seconds to read what waits for it. It may read the words of a short run after systemd has forgotten the
/// number of the run, so words since its start (to the second) count too. Lines of systemd would fill the last ones, so they
/// count only if the unit has said nothing. About a unit that systemd starts again and again, it asks for the words of any run,
/// and for the latest ends of its process, because systemd has forgotten them while the next process runs.
fn script(unit: &str, restarts: bool) -> String {
    let show = format!("systemctl show --property=Result,ExecMainCode,ExecMainStatus,NRestarts -- {unit}");
    let journal = "journalctl --quiet --no-pager --output";
    let read = format!("{journal} json --output-fields=MESSAGE,PODMAN_EVENT --lines {MESSAGES}");
    let of_unit = format!("{read} _SYSTEMD_UNIT={unit}");
    let property = |name: &str| format!("$(systemctl show --property={name} --value -- {unit})");
    let (ends, words) = if restarts {
        let ends =
            format!("{journal} cat --boot --lines 2 _PID=1 UNIT={unit} MESSAGE_ID={EXITED} MESSAGE_ID={RESTARTED}; ");
        (ends, format!("words=$({of_unit})"))
    } else {
        let (run, start) = (property("InvocationID"), property("InactiveExitTimestamp"));
        let of_run = format!("words=$({of_unit} _SYSTEMD_INVOCATION_ID={run})");
        (String::new(), format!("{of_run}\n[ -n \"$words\" ] || words=$({of_unit} --since \"{start}\")"))
    };
    format!(
        "timeout 2 journalctl --sync\n{show}; {ends}echo; {words}\n\
         [ -n \"$words\" ] || words=$({read} --unit {unit})\n\
         printf '%s\\n' \"$words\""
    )
}

/// Returns the details in an answer: properties of systemd, messages of systemd about the ends of the process, an empty line
/// and lines of the journal.
fn details(answer: &str, restarts: bool) -> Vec<String> {
    let (properties, journal) = answer.split_once("\n\n").unwrap_or((answer, ""));
    let property = |name: &str| {
        let mut values = properties.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.next().unwrap_or_default()
    };
    let mut ended = Vec::new();
    // The codes of waitid(2): 1 is an exit, 2 a signal and 3 a signal with a core dump.
    match (property("ExecMainCode"), property("ExecMainStatus")) {
        ("1", "0") if !restarts => {}
        ("1", status) => ended.push(format!("exit code {status}")),
        ("2" | "3", status) => ended.push(format!("signal {status}")),
        _ if restarts => ended.extend(last_end(properties)),
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
    let journal = words(journal).into_iter().map(|line| format!("{JOURNAL}{line}"));
    ended.into_iter().chain(journal).map(|line| sanitize::truncate(&line, sanitize::MESSAGE_LIMIT)).collect()
}

/// Returns the last words of a unit in entries of the journal (systemd.journal-fields(7)). What Podman logs about a container, such as
/// `container died`, is none of them.
fn words(entries: &str) -> Vec<String> {
    let entries = entries.lines().filter_map(|entry| serde_json::from_str::<serde_json::Value>(entry).ok());
    let messages = entries.filter(|entry| entry.get("PODMAN_EVENT").is_none()).filter_map(|entry| message(&entry));
    let lines = messages.flat_map(|message| message.lines().map(str::to_owned).collect::<Vec<_>>());
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    lines.split_off(lines.len().saturating_sub(LINES))
}

/// Returns the message of an entry. journalctl(1) writes one that is not UTF-8 as an array of its bytes.
fn message(entry: &serde_json::Value) -> Option<String> {
    let message = entry.get("MESSAGE")?;
    let bytes =
        || message.as_array()?.iter().map(|byte| u8::try_from(byte.as_u64()?).ok()).collect::<Option<Vec<u8>>>();
    message.as_str().map(str::to_owned).or_else(|| Some(String::from_utf8_lossy(&bytes()?).into_owned()))
}

/// Leaves out the lines of the journal that the problem says already, and those that repeat.
fn without_repetitions(details: Vec<String>, what: &str) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for detail in details {
        let is_said = detail.strip_prefix(JOURNAL).is_some_and(|line| what.contains(line));
        if !is_said && !kept.contains(&detail) {
            kept.push(detail);
        }
    }
    kept
}

/// Returns how the last process of a unit ended, from the messages of systemd: `UNIT: Main process exited, code=exited,
/// status=3/NOTIMPLEMENTED` if it failed, and `UNIT: Scheduled restart job, …` afterwards. A process that ended with success
/// has only the second one.
fn last_end(messages: &str) -> Option<String> {
    let messages: Vec<&str> = messages.lines().filter(|line| line.contains(": ")).collect();
    let is_exit = |line: &&str| line.contains(" process exited, code=");
    let failed = match messages.as_slice() {
        [.., last] if is_exit(last) => last,
        [.., before, _] if is_exit(before) => before,
        [] => return None,
        _ => return Some("exit code 0".to_owned()),
    };
    let status: String = failed.split_once("status=")?.1.chars().take_while(char::is_ascii_digit).collect();
    let kind = if failed.contains("code=exited") { "exit code" } else { "signal" };
    Some(format!("{kind} {status}")).filter(|_| !status.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::MachineId;
    use crate::core::model::Write;

    #[test]
    fn an_answer_becomes_the_result_and_the_lines_of_the_journal() {
        let answer = "Result=exit-code\nNRestarts=0\nExecMainCode=1\nExecMainStatus=203\n\n\
                      {\"MESSAGE\":\"zero\"}\n{\"MESSAGE\":\"one\\n\\n\"}\n{\"MESSAGE\":[116,119,111,255]}\n\
                      {\"MESSAGE\":\"container died 1f2e\",\"PODMAN_EVENT\":\"died\"}\n{\"MESSAGE\":null}\nnoise\n\
                      {\"MESSAGE\":\"three\\u001b[31m\"}\n";
        let shown = ["exit code 203", "journal: one", "journal: two\u{fffd}", "journal: three\u{fffd}[31m"];
        assert_eq!(details(answer, false), shown);
        let killed = "Result=watchdog\nNRestarts=7\nExecMainCode=3\nExecMainStatus=6\n\n";
        assert_eq!(details(killed, false), ["signal 6, result watchdog, systemd has restarted it 7 times"]);
        // A timer has no processes.
        assert_eq!(details("Result=success\n\n", false), [""; 0]);
        assert_eq!(details("", false), [""; 0]);
    }

    #[test]
    fn a_unit_that_is_restarted_again_and_again_has_the_end_of_its_last_process() {
        let answer = |code: &str, messages: &str| {
            format!(
                "Result=success\nNRestarts=4\nExecMainCode={code}\nExecMainStatus=0\n{messages}\n{{\"MESSAGE\":\"last words\"}}\n"
            )
        };
        let first = |code: &str, messages: &str| {
            let details = details(&answer(code, messages), true);
            assert_eq!(details[1..], ["journal: last words"]);
            details[0].strip_suffix("systemd has restarted it 4 times").unwrap().to_owned()
        };
        let exited = "a.service: Main process exited, code=exited, status=3/NOTIMPLEMENTED\n";
        let killed = "a.service: Main process exited, code=killed, status=9/KILL\n";
        let again = "a.service: Scheduled restart job, restart counter is at 4.\n";
        assert_eq!(first("1", ""), "exit code 0, ", "it waits for its restart");
        assert_eq!(first("0", &format!("{exited}{again}")), "exit code 3, ");
        assert_eq!(first("0", &format!("{again}{killed}")), "signal 9, ");
        assert_eq!(first("0", &format!("{again}{again}")), "exit code 0, ");
        assert_eq!(first("0", ""), "", "the journal has lost it");
    }

    #[test]
    fn only_a_unit_that_may_have_failed_is_asked_about() {
        use TroubleKind::{Draining, LoadFailed, NotActive, TimedOut, Unschedulable};
        let (unit, machine): (UnitName, _) = ("a.service".parse().unwrap(), MachineId::from_bits(1));
        let state = |active: &str| {
            let (sub, hash) = ("x", "0".repeat(40));
            let state =
                serde_json::json!({"load": "loaded", "active": active, "sub": sub, "hash": hash, "launched": true});
            Write::State(unit.clone(), machine, serde_json::from_value(state).unwrap())
        };
        let asked = |kind, active| {
            let mut snapshot = Snapshot::default();
            snapshot.apply(state(active));
            may_have_failed(&snapshot, &Problem::of_unit(kind, &unit, Some(machine), String::new()))
        };
        assert!(asked(NotActive, "failed") && asked(TimedOut, "failed"));
        assert!(!asked(TimedOut, "active") && !asked(Unschedulable, "active"));
        assert!(!asked(Draining, "active") && !asked(LoadFailed, "failed"));
    }

    #[test]
    fn what_the_problem_says_is_not_said_again() {
        let lines = |lines: &[&str]| lines.iter().map(|line| format!("journal: {line}")).collect::<Vec<_>>();
        let fatal = "bad.service: Unit configuration has fatal error, unit will not be started.";
        let what = format!("start failed on core-04: bad file; {fatal}");
        assert_eq!(without_repetitions(lines(&[fatal, "more", fatal, "more"]), &what), lines(&["more"]));
        assert_eq!(without_repetitions(vec!["exit code 4".to_owned()], "exit code 4"), ["exit code 4"]);
    }

    #[test]
    fn a_host_is_asked_for_the_words_of_the_last_run_or_of_any_run_of_a_unit_that_is_restarted() {
        let (once, again) = (script("a.service", false), script("a.service", true));
        assert!(once.contains("--lines 12 _SYSTEMD_UNIT=a.service _SYSTEMD_INVOCATION_ID=$("), "{once}");
        assert!(once.contains("|| words=$(journalctl ") && once.contains("--lines 12 _SYSTEMD_UNIT=a.service --since"));
        assert!(again.contains("_PID=1 UNIT=a.service MESSAGE_ID="), "{again}");
        assert!(again.contains("--lines 12 _SYSTEMD_UNIT=a.service)"), "{again}");
        assert!([once, again].iter().all(|script| script.contains("|| words=$(journalctl ")));
    }
}
