//! `muster top` on a terminal, with a store in a file and no hosts.

use std::time::Duration;

use muster::core::model::DesiredState;
use muster::core::model::Machine;
use muster::core::model::Unit;
use muster::store::layout;
use muster::store::layout::Key;
use rustix::process::Pid;
use rustix::process::Signal;

use super::Desk;
use super::machine;
use super::unit;
use crate::hosts::until;
use crate::pty::Pty;

/// A cluster with a machine that does not answer and a submitted unit.
async fn cluster() -> Desk {
    let desk = Desk::new();
    desk.muster(&["submit", desk.write("a.service", unit("a"))]).ok();
    machine(&desk, 1).await;
    desk
}

fn top(desk: &Desk) -> Pty {
    Pty::run(&desk.command(&["top"]), (100, 20))
}

/// Checks that a program has left the terminal as it was.
fn restored(pty: &Pty) {
    pty.until_whole_screen(false);
    until("the terminal is restored", Duration::from_secs(10), || pty.is_restored(), |is_restored| *is_restored);
}

#[test]
fn without_a_terminal_top_names_the_lists() {
    Desk::new().fails(&["top"], 2, &["top needs a terminal: stdin or stdout is none", "`muster list-units`"]);
    let desk = Desk::empty();
    let (code, text) = top(&desk).end();
    assert!(code == Some(2) && text.contains("does not exist"), "without a store: {text}");
}

#[tokio::test]
async fn the_screen_follows_the_store_and_the_terminal_is_restored() {
    let desk = cluster().await;
    let mut pty = top(&desk);
    let picture = pty.shows("core-01");
    assert!(picture.contains("0 of 1 machine alive, 1 unit") && picture.contains("no process leads"), "{picture}");
    pty.until_whole_screen(true);
    assert!(!pty.is_restored());
    pty.keys("2");
    pty.shows("a.service  inactive");
    desk.muster(&["submit", desk.write("late.service", unit("late"))]).ok();
    pty.shows("late.service");
    pty.keys("/late");
    pty.until("the filter", |picture| picture.contains("1 of 2") && !picture.contains("a.service"));
    pty.keys("\r\r");
    pty.shows("[Why] File  Events");
    pty.keys("\t");
    pty.shows("ExecStart=/bin/sleep infinity");
    pty.resize((60, 12));
    pty.until("a smaller screen", |picture| picture.contains("[File]") && picture.lines().count() == 12);
    pty.keys("\x1b");
    pty.shows("[2 Units]");
    pty.resize((30, 5));
    pty.shows("too small: 30×5");
    pty.keys("q");
    restored(&pty);
    assert_eq!(pty.end().0, Some(0));
}

#[tokio::test]
async fn a_signal_ends_top_and_restores_the_terminal() {
    let desk = cluster().await;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let pty = top(&desk);
        pty.shows("core-01");
        rustix::process::kill_process(Pid::from_child(&pty.child), signal).unwrap();
        restored(&pty);
        assert_eq!(pty.end().0, Some(130), "{signal:?}");
    }
}

#[tokio::test]
async fn a_cordon_is_stored_only_after_a_yes() {
    let desk = cluster().await;
    let (store, keys) = desk.store().await;
    let is_cordoned = async || {
        let snapshot = layout::read(&*store, &keys).await.unwrap();
        snapshot.machines.values().all(|machine: &Machine| machine.cordoned)
    };
    let mut pty = top(&desk);
    pty.shows("core-01");
    pty.keys("c");
    pty.shows("cordon core-01?");
    pty.keys("n");
    pty.until("no question", |picture| !picture.contains("cordon core-01?"));
    assert!(!is_cordoned().await);
    pty.keys("c");
    let question = pty.shows("y do it");
    assert!(question.contains("No unit would be moved, started or stopped"), "{question}");
    pty.keys("y");
    pty.shows("core-01 cordoned: takes no new units");
    pty.shows("SCHEDULING");
    assert!(is_cordoned().await);
    pty.keys("4");
    pty.shows("cordon asked for by ");
    pty.keys("q");
    assert_eq!(pty.end().0, Some(0));
}

#[tokio::test]
async fn a_plan_and_what_follows_from_a_death_are_those_of_the_commands() {
    let desk = cluster().await;
    let (store, keys) = desk.store().await;
    let snapshot = layout::read(&*store, &keys).await.unwrap();
    let (name, record) = snapshot.units.iter().next().unwrap();
    let launched = Unit { desired: DesiredState::Launched, ..*record };
    store.commit(vec![], vec![keys.put(&Key::Unit(name.clone()), &launched)]).await.unwrap();
    let mut pty = top(&desk);
    pty.shows("core-01");
    pty.keys("x");
    let picture = pty.shows("if core-01 died");
    let simulated = desk.muster(&["simulate", "--down", "core-01"]).ok();
    let line = simulated.lines().find(|line| line.contains("core-01 would be")).unwrap();
    assert!(picture.contains(line.split(':').next().unwrap()), "{line} in {picture}");
    // An escape with a key right after it would be one key.
    pty.keys("q");
    pty.until("no text", |picture| !picture.contains("died"));
    pty.keys("2T");
    pty.shows("stop a.service?");
    pty.keys("n");
    pty.until("no question", |picture| !picture.contains("stop a.service?"));
    pty.keys("q");
    assert_eq!(pty.end().0, Some(0));
}
