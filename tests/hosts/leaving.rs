//! Machines that are drained, and machines that leave.

use std::time::Duration;

use super::daemon::Daemon;
use super::daemon::really_on;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;

const UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_machine_is_drained_of_global_units_too_before_it_leaves() {
    let Some(lab) = lab(2) else { return };
    let both = ["core-01", "core-02"];
    let say = |args: &[&str]| muster(&lab, args).ok();
    let agents = || really_on(&lab, "agent.service", &both);
    say(&["join"]);
    say(&["start", &unit_file(&lab, "agent.service", &format!("{UNIT}[X-Fleet]\nGlobal=true\n"))]);
    say(&["start", &unit_file(&lab, "web.service", UNIT)]);
    assert_eq!(agents(), both);

    assert!(say(&["drain", "core-01"]).ends_with("core-01 drained\n"));
    assert_eq!(
        (agents(), really_on(&lab, "web.service", &both)),
        (vec!["core-02".to_owned()], vec!["core-02".to_owned()])
    );
    say(&["uncordon", "core-01"]);
    say(&["sweep"]);
    assert_eq!(agents(), both);

    // The same beside a controller, which carries it out.
    let controller = Daemon::controller(&lab, 4);
    assert!(say(&["leave", "core-02"]).ends_with("core-02 left\n"));
    assert_eq!(
        (agents(), really_on(&lab, "web.service", &both)),
        (vec!["core-01".to_owned()], vec!["core-01".to_owned()])
    );
    assert_eq!(ssh(&lab, "core-02", "ls -A /run/fleet/units"), "", "no unit remains there");
    assert_eq!(say(&["list-machines", "--no-legend"]).lines().count(), 1);
    say(&["join", "core-02"]);
    until("the global unit runs there again", LIMIT, agents, |on| *on == both);
    drop(controller);
}
