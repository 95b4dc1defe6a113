//! The commands that explain and predict, on real hosts: their output is true, and they change nothing.

use super::daemon::legend;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;

const UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

#[test]
fn a_plan_predicts_a_drain_and_changes_nothing() {
    let Some(lab) = lab(2) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    say(&["start", &unit_file(&lab, "web.service", UNIT)]);
    let mut hosts: Vec<_> = lab.hosts().iter().collect();
    hosts.sort_by_key(|host| host.machine);
    let [from, to] = hosts[..] else { panic!("two hosts") };
    let traces = || {
        hosts.iter().map(|host| ssh(&lab, &host.name, "cd /run/muster && stat -c '%n %Y %s' * */*; cat epoch || true"))
    };
    // A sweep observes all machines first.
    say(&["sweep"]);
    let before: Vec<String> = traces().collect();
    assert_eq!(say(&["plan", "--detailed-exitcode"]), "Nothing to do.\n");
    assert_eq!(say(&["lock", "show", "-o", "json"]), "null\n", "there is no leader");

    say(&["drain", &from.name, "--no-block"]);
    let events = say(&["events"]);
    let plan = muster(&lab, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(4), "{plan:#?}");
    let words: Vec<Vec<&str>> = plan.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1][..3], ["web.service", &from.name, &to.name], "{}", plan.out);
    let steps: Vec<&[&str]> = words[4..].iter().map(|words| &words[..3]).collect();
    let expected =
        [[&to.name, "load", "web.service"], [&to.name, "start", "web.service"], [&from.name, "unload", "web.service"]];
    assert_eq!(steps, expected, "{}", plan.out);
    assert_eq!((traces().collect::<Vec<_>>(), say(&["events"])), (before, events), "a plan changes nothing");
    let on = || really_on(&lab, "web.service", &[&from.name, &to.name]);
    assert_eq!(on(), [from.name.as_str()]);

    assert_eq!(
        say(&["drain", &from.name]),
        format!("Unit web.service launched on {}\n{} drained\n", legend(to), from.name)
    );
    assert_eq!(on(), [to.name.as_str()]);
    assert_eq!(say(&["plan", "--detailed-exitcode"]), "Nothing to do.\n");
}

#[test]
fn a_unit_and_a_machine_are_explained_before_and_after_a_power_cut() {
    let Some(lab) = lab(3) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    say(&["start", &unit_file(&lab, "web.service", UNIT)]);
    say(&["sweep"]);
    let mut hosts: Vec<_> = lab.hosts().iter().collect();
    hosts.sort_by_key(|host| host.machine);
    let why = say(&["why", "web"]);
    for part in
        ["launched", &hosts[0].name, "fewest units: 0, and the next machine has 0 too", "active (running)", "started"]
    {
        assert!(why.contains(part), "no {part:?} in {why}");
    }
    assert!(!why.contains("Not running"), "{why}");
    let shown = say(&["machine", "show", &hosts[0].name]);
    for part in [&hosts[0].machine.to_string(), "Debian", "alive", "answers", "web.service"] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let told = say(&["simulate", "--down", &hosts[0].name]);
    for part in [&format!("{} would be down: ", hosts[0].name), "web.service", &hosts[1].name] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    let told = say(&["simulate", "--down", &hosts[0].name, &hosts[1].name]);
    assert!(
        told.contains("2 of 3 machines are silent at the same time") && told.contains("Nothing would move."),
        "{told}"
    );
    for json in [&["why", "web"][..], &["machine", "show", "core-01"], &["simulate", "--down", "core-01"], &["plan"]] {
        let text = say(&[json, &["-o", "json"]].concat());
        assert!(serde_json::from_str::<serde_json::Value>(&text).unwrap().is_object(), "{text}");
    }
}

#[test]
fn a_start_that_waits_for_another_unit_is_shown_as_queued() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    say(&["join"]);
    let slow = unit_file(&lab, "slow.service", "[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n");
    let waits = "[Unit]\nDescription=start the engine\nAfter=slow.service\n";
    let waits = unit_file(&lab, "waits.service", &format!("{waits}{UNIT}"));
    // Its description begins like a job.
    let runs = unit_file(&lab, "runs.service", &format!("[Unit]\nDescription=stop words\n{UNIT}"));
    say(&["start", "--no-block", &slow, &waits, &runs]);
    say(&["sweep"]);
    let shown = say(&["list-units", "--no-legend", "--fields=unit,active,sub"]);
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let expected = [
        ["runs.service", "active", "running"],
        ["slow.service", "activating", "start"],
        ["waits.service", "inactive", "start-queued"],
    ];
    assert_eq!(rows, expected, "{shown}");
    let why = say(&["why", "waits"]);
    assert!(why.contains("inactive (dead), start queued") && !why.contains("Not running"), "{why}");
}
