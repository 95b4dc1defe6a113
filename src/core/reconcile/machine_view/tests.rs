use super::*;
use crate::core::model::Action;
use crate::core::model::Reason;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn start(unit: &str) -> Step {
    Step { unit: unit.parse().unwrap(), action: Action::Start { count: 0 }, reason: Reason::WantedLaunched }
}

fn refuse(view: &mut MachineView, now: u64) {
    view.conclude(&[start("a.service")], &[Outcome::Failed("no".to_owned())], at(now));
}

#[test]
fn a_refused_step_is_tried_again_after_doubling_delays() {
    let mut view = MachineView::new(at(0));
    let unit = "a.service".parse().unwrap();
    let mut waits = Vec::new();
    for now in (0..8).map(|round| round * 1000) {
        refuse(&mut view, now);
        waits.push(view.backoffs[&unit].until.since(at(now)).as_secs());
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(view.is_backing_off(&unit, at(7059)) && !view.is_backing_off(&unit, at(7060)));
}

#[test]
fn a_step_that_is_done_ends_its_backoff() {
    let mut view = MachineView::new(at(0));
    refuse(&mut view, 0);
    view.conclude(&[start("a.service")], &[Outcome::Done], at(2));
    assert!(view.backoffs.is_empty());
}

#[test]
fn a_unit_that_needs_no_step_has_no_backoff() {
    let mut view = MachineView::new(at(0));
    refuse(&mut view, 0);
    view.update_backoffs(&[], &[], at(1));
    assert!(view.backoffs.is_empty());
}

#[test]
fn the_first_failed_step_of_a_unit_is_its_backoff() {
    let mut view = MachineView::new(at(0));
    let steps = [start("a.service"), start("a.service")];
    let outcomes = [Outcome::Failed("first".to_owned()), Outcome::Failed("second".to_owned())];
    view.conclude(&steps, &outcomes, at(0));
    assert_eq!(view.backoffs.values().next().unwrap().said, "first");
}
