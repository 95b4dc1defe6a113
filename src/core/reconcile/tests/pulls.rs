use super::*;
use crate::core::model::PULL_LIMIT;
use crate::core::model::Pull;
use crate::core::model::StepEnd;

const WEB: &str = "web.container";

const PULL: Duration = Duration::from_mins(2);

/// Adds a container of an image to a snapshot, or replaces its file.
fn want_image(image: &str, more: &str) -> impl FnOnce(&mut Snapshot) {
    let text = format!("[Container]\nImage=docker.io/library/{image}\n{more}\n");
    move |snapshot| {
        let file = Arc::new(UnitFile::parse(&text).unwrap());
        snapshot.units.insert(unit(WEB), Unit::new(file.hash(), DesiredState::Launched));
        snapshot.files.insert(file.hash(), file);
    }
}

/// Returns a stage with machines that have no images and take two minutes to pull one.
fn stage(machines: u32, image: &str, more: &str) -> Stage {
    let mut stage = Stage::new(machines, |_| {});
    stage.learn(want_image(image, more));
    stage.pull_time = Some(PULL);
    stage
}

fn runs_on(stage: &Stage, machine: u32) -> bool {
    let unit = stage.hosts.get(&id(machine)).and_then(|host| host.units.get(&unit(WEB)));
    unit.is_some_and(|unit| unit.state.runs())
}

fn pull(stage: &Stage) -> Option<Pull> {
    stage.placement(WEB).pull
}

/// Returns the outcomes of the loads that were logged, as text.
fn loads(stage: &Stage) -> Vec<String> {
    let outcomes = stage.log.iter().filter_map(|kind| match kind {
        EventKind::StepEnded(StepEnd { action: Action::Load { .. }, outcome, .. }) => Some(format!("{outcome:?}")),
        _ => None,
    });
    outcomes.collect()
}

#[test]
fn a_container_is_loaded_once_its_image_has_been_pulled_and_the_host_is_asked_each_second() {
    let mut stage = Stage::new(1, |_| {});
    stage.pull_time = Some(PULL);
    assert_eq!(stage.learn(want_image("nginx:1", "")), ["load web on m1", "start web on m1"]);
    let began = stage.now;
    assert!(stage.reconciler.is_pulling() && !runs_on(&stage, 1));
    assert_eq!(pull(&stage).unwrap().since, began);
    let asked = stage.seconds(119);
    assert_eq!(asked.iter().filter(|step| step.starts_with("load")).count(), 119);
    assert!(!runs_on(&stage, 1) && pull(&stage).unwrap().since == began);
    stage.wait(SECOND);
    assert!(runs_on(&stage, 1) && !stage.reconciler.is_pulling());
    assert_eq!(pull(&stage), None);
    assert_eq!(loads(&stage), ["Begun", "Done"], "the pull is logged once");
    assert!(stage.is_at_rest());
}

#[test]
fn a_container_that_is_replaced_runs_on_until_its_new_image_has_been_pulled() {
    let mut stage = stage(1, "nginx:1", "");
    let before = stage.hosts[&id(1)].units[&unit(WEB)].state.hash;
    assert_eq!(stage.learn(want_image("nginx:2", "")), ["unload web on m1", "load web on m1", "start web on m1"]);
    for _ in 0..119 {
        stage.wait(SECOND);
        assert!(runs_on(&stage, 1) && stage.hosts[&id(1)].units[&unit(WEB)].state.hash == before);
    }
    stage.wait(SECOND);
    assert!(runs_on(&stage, 1) && stage.hosts[&id(1)].units[&unit(WEB)].state.hash != before);
    assert_eq!(loads(&stage)[1..], ["Begun", "Done"]);
}

#[test]
fn a_pull_that_fails_is_a_failed_load_and_the_container_is_placed_elsewhere() {
    let mut stage = Stage::new(2, |_| {});
    (stage.pull_time, stage.pull_error) = (Some(PULL), Some("manifest unknown".to_owned()));
    stage.learn(want_image("nginx:1", ""));
    stage.seconds(120);
    let placement = stage.placement(WEB);
    assert_eq!(placement.machine, id(2));
    assert_eq!(placement.failed_loads[0].said, "manifest unknown");
    stage.pull_error = None;
    stage.seconds(121);
    assert!(runs_on(&stage, 2) && pull(&stage).is_none());
}

#[test]
fn a_replacement_whose_image_cannot_be_pulled_leaves_the_earlier_version_alone() {
    let mut stage = stage(2, "nginx:1", "");
    stage.pull_error = Some("manifest unknown".to_owned());
    stage.learn(want_image("nginx:2", ""));
    stage.pull_time = Some(SECOND / 2);
    stage.seconds(600);
    assert!(runs_on(&stage, 1) && stage.placement(WEB).machine == id(1));
    let backoff = stage.reconciler.backoffs().next().unwrap().1;
    assert_eq!(backoff.said, "manifest unknown");
    assert!(!stage.reconciler.is_pulling(), "a command does not wait for what may fail again");
    assert!((10..20).contains(&backoff.times), "the registry is asked less and less often: {}", backoff.times);
}

#[test]
fn a_container_of_either_class_runs_on_a_drained_machine_until_the_next_one_has_its_image() {
    for (class, gap) in [("available", false), ("strict", true)] {
        let mut stage = stage(2, "nginx:1", &format!("[X-Muster]\nClass={class}"));
        stage.seconds(2);
        assert!(runs_on(&stage, 1), "{class}");
        stage.learn(drain(None));
        for _ in 0..118 {
            assert!(stage.wait(SECOND).iter().all(|step| step.ends_with("on m2")), "{class}");
            assert!(runs_on(&stage, 1) && !runs_on(&stage, 2), "{class}");
        }
        let done: Vec<String> = stage.seconds(10).into_iter().filter(|step| !step.starts_with("load")).collect();
        let stop = done.iter().position(|step| step == "unload web on m1").unwrap();
        let start = done.iter().rposition(|step| step == "start web on m2").unwrap();
        assert_eq!(stop < start, gap, "{class}: {done:?}");
        assert!(runs_on(&stage, 2) && !runs_on(&stage, 1), "{class}");
        let overlap = stage.log.iter().find_map(|kind| match kind {
            EventKind::StepEnded(StepEnd { action: Action::Unload, overlap, .. }) => Some(*overlap),
            _ => None,
        });
        assert!(overlap.unwrap().unwrap_or_default() < SECOND * 5, "{class}: the pull is no overlap: {overlap:?}");
    }
}

#[test]
fn a_container_that_moves_to_another_live_machine_stops_only_when_its_image_is_there() {
    for class in ["available", "strict"] {
        let mut stage = stage(2, "nginx:1", &format!("[X-Muster]\nClass={class}"));
        stage.seconds(2);
        stage.learn(|snapshot| set(snapshot, 2, "disk", "ssd"));
        stage.learn(want_image("nginx:2", &format!("[X-Muster]\nClass={class}\n[X-Fleet]\nMachineMetadata=disk=ssd")));
        assert_eq!(stage.placement(WEB).machine, id(2));
        for _ in 0..118 {
            stage.wait(SECOND);
            assert!(runs_on(&stage, 1), "{class}");
        }
        stage.seconds(10);
        assert!(runs_on(&stage, 2) && !runs_on(&stage, 1), "{class}");
    }
}

#[test]
fn a_container_leaves_its_machine_without_the_image_at_the_deadline_of_a_drain_and_when_no_pull_can_last_longer() {
    let mut stage = stage(2, "nginx:1", "[X-Muster]\nClass=strict");
    stage.seconds(2);
    let by = stage.now + SECOND * 30;
    stage.learn(drain(Some(by)));
    stage.seconds(29);
    assert!(runs_on(&stage, 1));
    stage.seconds(2);
    assert!(!runs_on(&stage, 1));

    let mut stage = self::stage(2, "nginx:1", "[X-Muster]\nClass=strict");
    stage.seconds(2);
    stage.pull_time = Some(PULL_LIMIT * 4);
    stage.learn(drain(None));
    (0..31 * 60).for_each(|_| drop(stage.wait(SECOND)));
    assert!(runs_on(&stage, 1));
    (0..2 * 60).for_each(|_| drop(stage.wait(SECOND)));
    assert!(!runs_on(&stage, 1), "the pull must have ended");
    assert!(
        loads(&stage).iter().any(|it| it.contains("its image was not pulled within 30 min")),
        "{:?}",
        loads(&stage)
    );
}

#[test]
fn a_container_of_a_dead_machine_waits_for_nothing_but_its_image() {
    let mut stage = stage(4, "nginx:1", "");
    stage.seconds(2);
    stage.silent.insert(id(1));
    stage.seconds(20);
    assert!(stage.placement(WEB).machine != id(1) && stage.reconciler.is_pulling());
    stage.seconds(121);
    assert!((2..=4).any(|machine| runs_on(&stage, machine)));
}

#[test]
fn the_next_leader_goes_on_with_a_pull_and_a_stop_ends_the_wait() {
    let mut stage = Stage::new(1, |_| {});
    stage.pull_time = Some(PULL);
    stage.learn(want_image("nginx:1", ""));
    let began = pull(&stage).unwrap();
    stage.seconds(60);
    stage.next_leader(|_| {});
    stage.seconds(2);
    assert!(stage.reconciler.is_pulling() && pull(&stage) == Some(began));
    stage.learn(|snapshot| snapshot.units.get_mut(&unit(WEB)).unwrap().desired = DesiredState::Inactive);
    stage.seconds(2);
    assert!(!stage.reconciler.is_pulling() && stage.is_at_rest());
}

/// Wants a container of the image of `app.image`, which machines pull.
fn want_with_image_file(image: &str, more: &str) -> impl FnOnce(&mut Snapshot) {
    let files = [
        ("app.image", format!("[Image]\nImage=docker.io/library/{image}\n")),
        (WEB, format!("[Container]\nImage=app.image\nVolume=data.volume:/data\n{more}\n")),
        ("data.volume", "[Volume]\n".to_owned()),
    ];
    move |snapshot| files.iter().for_each(|(name, text)| want(snapshot, name, text))
}

#[test]
fn a_container_waits_for_the_files_that_it_names_and_for_no_others() {
    let mut stage = Stage::new(1, |_| {});
    stage.pull_time = Some(PULL);
    let first = stage.learn(want_with_image_file("nginx:1", ""));
    assert_eq!(first, ["load app on m1", "load data on m1", "start app on m1", "start data on m1"]);
    let waiting = stage.seconds(119);
    assert!(!waiting.iter().any(|step| step.contains("web")), "{waiting:?}");
    let done = stage.wait(SECOND);
    assert_eq!(done, ["load app on m1", "start app on m1", "load web on m1", "start web on m1"]);
    assert!(runs_on(&stage, 1) && stage.is_at_rest());
    // A volume is loaded in the same visit.
    let both = stage.learn(|snapshot| {
        want(snapshot, "b.volume", "[Volume]\n");
        want(snapshot, "a.pod", "[Pod]\nVolume=b.volume:/b\n");
    });
    assert_eq!(both, ["load a on m1", "load b on m1", "start a on m1", "start b on m1"]);
    assert!(stage.is_at_rest());
}

#[test]
fn a_container_that_is_replaced_together_with_its_image_file_runs_on_while_the_image_is_pulled() {
    let mut stage = Stage::new(1, |_| {});
    stage.learn(want_with_image_file("nginx:1", ""));
    stage.pull_time = Some(PULL);
    stage.learn(want_with_image_file("nginx:2", "Exec=serve"));
    for _ in 0..119 {
        let steps = stage.wait(SECOND);
        assert!(runs_on(&stage, 1) && !steps.iter().any(|step| step.contains("web")), "{steps:?}");
    }
    let steps = stage.seconds(2);
    assert_eq!(steps[3..], ["unload web on m1", "load web on m1", "start web on m1"], "{steps:?}");
    // A stop waits for nothing.
    stage.learn(want_with_image_file("nginx:3", "Exec=more"));
    let steps = stage.learn(|snapshot| snapshot.units.get_mut(&unit(WEB)).unwrap().desired = DesiredState::Inactive);
    assert!(steps.contains(&"unload web on m1".to_owned()) && !runs_on(&stage, 1), "{steps:?}");
}
