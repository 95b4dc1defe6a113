//! Tests of what a leader records about its observations.

use super::*;
use crate::core::model::ObservationTimes;

#[test]
fn a_leader_that_publishes_says_every_two_seconds_which_machines_it_has_not_observed() {
    let mut stage = Stage::new(2, |_| {});
    let times = |stage: &Stage| stage.reconciler.snapshot().observed.clone();
    assert_eq!(times(&stage), None, "an operation on some units publishes nothing");
    stage.next_leader(|_| {});
    stage.reconciler.next_publication = Some(Timestamp::ZERO);
    stage.run(Input::Tick);
    let (began, heard) = (stage.now, stage.now);
    assert_eq!(times(&stage), Some(ObservationTimes { at: began, behind: BTreeMap::new() }));
    stage.silent.insert(id(2));
    stage.seconds(1);
    assert_eq!(times(&stage).unwrap().at, began);
    stage.seconds(3);
    let behind = [(id(2), Some(heard))].into();
    assert_eq!(times(&stage), Some(ObservationTimes { at: began + SECOND * 4, behind }));
    let snapshot = stage.reconciler.snapshot();
    assert!(snapshot.is_current(id(1), stage.now) && snapshot.is_current(id(2), stage.now));
    assert!(snapshot.is_current(id(1), stage.now + SECOND * 4) && !snapshot.is_current(id(2), stage.now + SECOND));
    // The next leader knows of its predecessor when the machine was observed.
    stage.next_leader(|_| {});
    stage.reconciler.next_publication = Some(Timestamp::ZERO);
    stage.seconds(9);
    assert_eq!(times(&stage).unwrap().of(id(2)), Some(heard));
}
