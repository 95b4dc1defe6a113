//! Machines and controllers that die, hang and are cut off: each unit keeps running, and runs once.

use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;
use muster::lab::LabError;

use super::Said;
use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::main_pid;
use super::daemon::really_on;
use super::daemon::runs_away_from;
use super::daemon::seen;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;

/// An operation on a host of a lab.
type Act = fn(&Lab, &str) -> Result<(), LabError>;

const LIMIT: Duration = Duration::from_secs(30);

const ALL: [&str; 3] = ["core-01", "core-02", "core-03"];

/// The output of a sweep that had nothing to do and found no problem.
const QUIET: Said = Said { code: Some(0), out: String::new(), err: String::new() };

fn sleeper(lab: &Lab, name: &str) -> String {
    unit_file(lab, name, "[Service]\nExecStart=/bin/sleep infinity\n")
}

/// Starts a unit and returns the host on which it runs.
fn start(lab: &Lab, name: &str) -> String {
    muster(lab, &["start", &sleeper(lab, name)]).ok();
    runs_away_from(lab, name, "", LIMIT)
}

fn others(host: &str) -> Vec<&'static str> {
    ALL.into_iter().filter(|other| *other != host).collect()
}

/// Waits until a unit runs on this host only.
fn alone_on(lab: &Lab, unit: &str, host: &str) {
    until(&format!("{unit} runs on {host} alone"), LIMIT, || really_on(lab, unit, &ALL), |on| *on == [host]);
}

#[test]
fn a_unit_survives_a_power_cut_a_freeze_and_a_cut_cable_and_runs_once_afterwards() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let controller = Daemon::controller(&lab, 4);
    let mut at = start(&lab, "web.service");
    let sweep = || muster(&lab, &["sweep"]);
    assert_eq!(sweep(), QUIET, "a sweep beside a controller without a problem");
    let faults: [(&str, Act, Act); 3] =
        [("power cut", Lab::kill, Lab::boot), ("freeze", Lab::freeze, Lab::thaw), ("cut cable", Lab::cut, Lab::heal)];
    for (what, fault, mend) in faults {
        fault(&lab, &at).unwrap();
        let began = Instant::now();
        let next = runs_away_from(&lab, "web.service", &at, LIMIT);
        eprintln!("{what}: ran elsewhere after {:.1} s", began.elapsed().as_secs_f64());
        assert_eq!(really_on(&lab, "web.service", &others(&at)), [next.as_str()]);
        let swept = sweep();
        assert!(swept.code == Some(1) && swept.out.starts_with(&format!("{at} is down: ")), "{swept:#?}");
        let pid = main_pid(&lab, &next, "web.service");
        mend(&lab, &at).unwrap();
        let began = Instant::now();
        alone_on(&lab, "web.service", &next);
        eprintln!("{what}: ran once {:.1} s after it was mended", began.elapsed().as_secs_f64());
        let listed = || muster(&lab, &["list-machines", "--no-legend"]).ok().lines().count();
        until("all machines are listed again", LIMIT, listed, |count| *count == 3);
        until("its file is gone", LIMIT, || ssh(&lab, &at, "ls -A /run/fleet/units 2>/dev/null | wc -l"), |n| n == "0");
        assert_eq!(main_pid(&lab, &next, "web.service"), pid, "a unit that runs as desired is not restarted");
        assert_eq!(seen(&lab, "web.service"), [(next.clone(), "active/running".to_owned())]);
        at = next;
    }
    drop(controller);
}

#[test]
fn one_sweep_repairs_a_power_cut_and_prints_nothing_without_a_problem() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let sweep = || muster(&lab, &["sweep", "--down-after", "4"]);
    assert_eq!(sweep(), QUIET, "there is nothing to do and no problem");
    let at = start(&lab, "web.service");
    assert_eq!(sweep(), QUIET);

    lab.kill(&at).unwrap();
    let began = Instant::now();
    let mut first = Daemon::start(&lab, &["sweep", "--down-after", "4"]);
    first.says("suspect");
    // A second sweep, from cron in the same minute, does not disturb the first.
    let second = muster(&lab, &["sweep"]);
    assert_eq!((second.code, second.out.as_str()), (Some(3), ""), "{second:#?}");
    assert!(second.err.contains("a sweep on ") && second.err.contains("--lock-wait"), "{second:#?}");
    assert_eq!(first.ended(LIMIT).code(), Some(1), "a machine is still down: {}", first.said());
    eprintln!("sweep: done {:.1} s after the power cut", began.elapsed().as_secs_f64());
    assert!(first.said().contains(&format!("{at} is down: ")), "{}", first.said());
    let next = runs_away_from(&lab, "web.service", &at, LIMIT);
    assert_eq!(really_on(&lab, "web.service", &others(&at)), [next.as_str()]);
    let again = sweep();
    assert!(
        again.code == Some(1) && again.out.starts_with(&format!("{at} is down: ")),
        "only what is wrong: {again:#?}"
    );
    assert_eq!(again.out.lines().count(), 1, "{again:#?}");

    lab.boot(&at).unwrap();
    let back = sweep();
    assert!(back.code == Some(0) && back.out.contains(&format!("{at}: alive")), "{back:#?}");
    assert_eq!(sweep(), QUIET);
    assert_eq!(seen(&lab, "web.service"), [(next, "active/running".to_owned())]);
}

#[test]
fn another_controller_takes_over_and_units_keep_running() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let at = start(&lab, "web.service");
    let global = unit_file(&lab, "agent.service", "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n");
    let mut first = Daemon::controller(&lab, 4);
    muster(&lab, &["start", &global]).ok();
    let everywhere = || really_on(&lab, "agent.service", &ALL);
    until("the global unit runs everywhere", LIMIT, everywhere, |on| *on == ALL);
    let look = "systemctl show --value --property MainPID,ActiveEnterTimestampMonotonic web.service agent.service";
    let pids = || ALL.map(|host| ssh(&lab, host, look));
    let before = pids();
    let second = Daemon::start(&lab, &["controller", "--down-after", "4"]);
    second.says("stands by: a controller on ");
    first.kill();
    let began = Instant::now();
    second.says("leads (epoch ");
    eprintln!("takeover: led {:.1} s after the first was killed", began.elapsed().as_secs_f64());
    // After the controller has carried out a command, it has observed all machines.
    let extra = sleeper(&lab, "extra.service");
    muster(&lab, &["start", &extra]).ok();
    assert_eq!(pids(), before, "{}", second.said());
    assert_eq!(seen(&lab, "web.service"), [(at, "active/running".to_owned())]);
    assert_eq!(seen(&lab, "agent.service").len(), 3);
    drop(second);
    // The same holds when no controller stood by.
    let mut third = Daemon::controller(&lab, 4);
    muster(&lab, &["stop", "extra.service"]).ok();
    assert_eq!(pids(), before, "{}", third.said());
    // A machine that returns gets its global unit too.
    lab.kill("core-02").unwrap();
    lab.boot("core-02").unwrap();
    until("the global unit runs everywhere again", LIMIT, everywhere, |on| *on == ALL);
    // A controller that is terminated ends its leadership at once.
    third.signal("TERM");
    assert_eq!(third.ended(LIMIT).code(), Some(0), "{}", third.said());
    let sweep = muster(&lab, &["sweep"]);
    assert_eq!(sweep.code, Some(0), "{sweep:#?}");
}

#[test]
fn a_sweep_finishes_a_start_that_was_interrupted() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let files: Vec<String> = (0..50).map(|number| sleeper(&lab, &format!("u{number:02}.service"))).collect();
    let args: Vec<&str> = std::iter::once("start").chain(files.iter().map(String::as_str)).collect();
    let mut verb = Daemon::start(&lab, &args);
    verb.says("Unit u49.service inactive");
    verb.signal("INT");
    let ended = verb.ended(LIMIT);
    assert_eq!(ended.code(), Some(130), "{}", verb.said());
    assert!(verb.said().contains("interrupted"), "{}", verb.said());
    let sweep = muster(&lab, &["sweep", "--lock-wait", "15"]);
    assert_eq!(sweep.code, Some(0), "{sweep:#?}");
    let count = |host: &&str| ssh(&lab, host, "systemctl is-active 'u*.service' | grep -c '^active$'").parse().unwrap();
    let counts: Vec<u32> = ALL.iter().map(count).collect();
    assert_eq!(counts.iter().sum::<u32>(), 50, "{counts:?}");
    assert_eq!(muster(&lab, &["sweep"]), Said { code: Some(0), out: String::new(), err: String::new() });
    let running = muster(&lab, &["list-units", "--no-legend", "--fields=unit,active,sub"]).ok();
    assert_eq!(running.lines().filter(|line| line.ends_with("active\trunning")).count(), 50, "{running}");
    // A sweep that reaches no machine judges none.
    for host in ALL {
        ssh(&lab, host, "systemctl stop ssh");
    }
    let blind = muster(&lab, &["sweep", "--down-after", "1"]);
    let line = "core-01, core-02 and core-03 are sshd down: connect: connection refused; the states of u00.service, ";
    assert!(blind.code == Some(3) && blind.out.contains(line), "{blind:#?}");
}

#[test]
fn a_failover_that_the_brake_blocks_happens_after_an_override() {
    let Some(lab) = lab(3) else { return };
    join(&lab);
    let at = start(&lab, "web.service");
    let also = others(&at)[0];
    let refused = muster(&lab, &["failover", "--force"]);
    assert!(refused.code == Some(1) && refused.err.contains("no machine is unreachable"), "{refused:#?}");
    lab.kill(&at).unwrap();
    lab.kill(also).unwrap();
    let held = muster(&lab, &["sweep", "--down-after", "4"]);
    let blocked = held.out.lines().find(|line| line.contains("are unreachable: 2 of 3 machines are silent"));
    assert!(blocked.is_some_and(|line| line.contains(&at) && line.contains("`muster failover --force`")), "{held:#?}");
    let said = muster(&lab, &["failover", "--force", &at]).ok();
    assert!(said.starts_with(&at) && said.lines().count() == 1, "{said}");
    let went_on = muster(&lab, &["sweep", "--down-after", "4"]);
    assert!(went_on.out.contains("failed over by order of "), "{went_on:#?}");
    let last = others(&at)[1];
    assert_eq!(really_on(&lab, "web.service", &[last]), [last]);
    assert!(
        went_on.out.contains(&format!("{also} is unreachable: ")),
        "the override does not name this one: {went_on:#?}"
    );
}
