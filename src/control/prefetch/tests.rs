use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn id(number: u32) -> MachineId {
    MachineId::from_bits(u128::from(number))
}

fn cluster() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for number in 1..=3 {
        let disk = if number == 1 { "hdd" } else { "ssd" };
        let metadata = [("disk".to_owned(), disk.to_owned())].into();
        let machine = Machine { id: id(number), name: format!("m{number}"), metadata, ..Machine::default() };
        snapshot.machines.insert(machine.id, machine);
    }
    snapshot
}

fn add(snapshot: &mut Snapshot, name: &str, more: &str, home: Option<u32>) -> (UnitName, ImagePull) {
    let (name, text): (UnitName, _) = (name.parse().unwrap(), format!("[Container]\nImage=nginx\n{more}\n"));
    let file = Arc::new(UnitFile::parse(&text).unwrap());
    let pull = ImagePull::of(&name, &file).unwrap();
    assume(snapshot, &name, file);
    if let Some(machine) = home.map(id) {
        let reason = PlacementReason { choice: ChoiceReason::RunsThere, moved: None };
        let (since, failed_loads) = (Timestamp::ZERO, Vec::new());
        let placement = Placement { machine, epoch: 1, reason, since, failed_loads, pull: None };
        snapshot.placements.insert(name.clone(), placement);
    }
    (name, pull)
}

/// Returns the machines that pull, each with the units, and the units without a machine.
fn planned(snapshot: &Snapshot, units: &[(UnitName, ImagePull)], targets: &Targets) -> Vec<String> {
    let (pulls, refused) = plan(snapshot, &units.iter().cloned().collect(), targets, NOW);
    let line = |prefetch: &Prefetch| {
        let units: Vec<&str> = prefetch.units.iter().map(UnitName::as_str).collect();
        format!("{}: {}", snapshot.name_of(prefetch.machine), units.join(" "))
    };
    pulls.iter().map(line).chain(refused.iter().map(|unit| format!("-: {unit}"))).collect()
}

#[test]
fn an_image_is_pulled_where_its_unit_is_or_wherever_the_unit_fits() {
    let mut snapshot = cluster();
    let web = add(&mut snapshot, "web.container", "", Some(2));
    let new = add(&mut snapshot, "new.container", "[X-Fleet]\nMachineMetadata=disk=ssd", None);
    let moved = add(&mut snapshot, "moved.container", "[X-Fleet]\nMachineMetadata=disk=ssd", Some(1));
    let all = [web.clone(), new, moved];
    let home = ["m2: moved.container new.container web.container", "m3: moved.container new.container"];
    assert_eq!(planned(&snapshot, &all, &Targets::Home), home);
    let fitting = ["m1: web.container", "m2: web.container", "m3: web.container"];
    assert_eq!(planned(&snapshot, std::slice::from_ref(&web), &Targets::Fitting), fitting);
    assert_eq!(planned(&snapshot, &[web], &Targets::Named([id(1)].into())), ["m1: web.container"]);
    let global = add(&mut snapshot, "agent.container", "[X-Fleet]\nGlobal=true\nMachineMetadata=disk=ssd", None);
    assert_eq!(planned(&snapshot, &[global], &Targets::Home), ["m2: agent.container", "m3: agent.container"]);
    let none = add(&mut snapshot, "none.container", "[X-Fleet]\nMachineMetadata=disk=nvme", None);
    assert_eq!(planned(&snapshot, &[none], &Targets::Home), ["-: none.container"]);
}
