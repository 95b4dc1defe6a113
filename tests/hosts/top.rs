//! `top` on real hosts: a shell, a journal, a restart.

use std::time::Duration;

use super::bare;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;
use crate::pty::Pty;

#[test]
fn top_opens_a_shell_follows_a_journal_and_restarts_a_unit() {
    let Some(lab) = lab(2) else { return };
    muster(&lab, &["join"]).ok();
    let text = "[Service]\nExecStart=/bin/sh -c 'echo hello from the unit; exec sleep 1000000'\n[X-Fleet]\n";
    muster(&lab, &["start", &unit_file(&lab, "web.service", text)]).ok();
    let mut command = bare();
    command.env("MUSTER_CONFIG", lab.config()).arg("top");
    let mut pty = Pty::run(&command, (110, 30));
    pty.shows("core-02");
    pty.keys("r");
    pty.shows("every machine was observed");
    pty.until("both are observed", |picture| picture.matches("  now  ").count() == 2);

    pty.keys("2s");
    pty.until_whole_screen(false);
    pty.keys("echo $((40+2))-is-the-answer; exit 3\r");
    pty.shows("the shell on core-0");
    pty.until_whole_screen(true);
    pty.shows("web.service");

    pty.keys("l");
    pty.shows("hello from the unit");
    pty.keys("\x1b");
    let host = if ssh(&lab, "core-01", "systemctl is-active web; true") == "active" { "core-01" } else { "core-02" };
    let pid = || ssh(&lab, host, "systemctl show -P MainPID web");
    let before = pid();
    pty.keys("R");
    let plan = pty.shows("restart web.service?");
    assert!(plan.contains(&format!("{host} restart")) || plan.contains("restart"), "{plan}");
    pty.keys("y");
    until("it has another process", Duration::from_secs(20), pid, |now| *now != before && now != "0");
    pty.shows("Unit web.service launched on");
    pty.keys("q");
    assert_eq!(pty.end().0, Some(0));
}
