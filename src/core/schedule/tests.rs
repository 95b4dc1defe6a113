use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::core::model::ChoiceReason;
use crate::core::model::FailedLoad;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::Timestamp;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;

fn chosen() -> PlacementReason {
    PlacementReason { choice: ChoiceReason::LeastLoaded { units: 0, next: None }, moved: None }
}

/// A cluster for tests: machines by number, units by name and `[X-Fleet]`.
#[derive(Debug, Default)]
struct World {
    snapshot: Snapshot,
    requirements: RequirementsIndex,
    health_changes: BTreeMap<MachineId, Health>,
}

fn id(number: u128) -> MachineId {
    MachineId::from_bits(number << 96)
}

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

impl World {
    fn of(machines: u128) -> Self {
        (1..=machines).fold(Self::default(), |world, number| world.machine(number, &[]))
    }

    fn machine(mut self, number: u128, metadata: &[(&str, &str)]) -> Self {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let machine = Machine {
            id: id(number),
            name: format!("core-{number:02}"),
            address: "ssh://core".parse().unwrap(),
            ip: String::new(),
            metadata,
            cordoned: false,
            os: String::new(),
            systemd: 252,
            ..Machine::default()
        };
        self.snapshot.machines.insert(id(number), machine);
        self
    }

    fn cordon(mut self, number: u128) -> Self {
        self.snapshot.machines.get_mut(&id(number)).unwrap().cordoned = true;
        self
    }

    fn health(mut self, number: u128, health: Health) -> Self {
        self.health_changes.insert(id(number), health);
        self
    }

    fn unit(mut self, unit: &str, options: &str) -> Self {
        let file =
            Arc::new(UnitFile::parse(&format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{options}\n")).unwrap());
        let hash = file.hash();
        self.snapshot.files.insert(hash, file);
        self.snapshot.units.insert(name(unit), Unit::new(hash, DesiredState::Launched));
        self.requirements.renew(&self.snapshot);
        self
    }

    fn placed(self, unit: &str, options: &str, number: u128) -> Self {
        let mut world = self.unit(unit, options);
        let placement = Placement {
            machine: id(number),
            epoch: 1,
            reason: chosen(),
            since: Timestamp::ZERO,
            failed_loads: Vec::new(),
            pull: None,
        };
        world.snapshot.placements.insert(name(unit), placement);
        world
    }

    fn scheduler(&self) -> Scheduler<'_> {
        Scheduler::new(
            &self.snapshot,
            |id| self.health_changes.get(&id).copied().unwrap_or(Health::Alive),
            &self.requirements,
        )
    }

    /// Schedules every unit without a placement and returns one line for each result.
    fn place(&self) -> Vec<String> {
        let mut scheduler = self.scheduler();
        let all = self
            .requirements
            .iter()
            .filter(|(unit, needs)| !needs.global && !self.snapshot.placements.contains_key(*unit));
        let done = scheduler.schedule_all(all.map(|(unit, _)| unit));
        done.iter().flat_map(|(unit, placed)| describe(unit, placed)).collect()
    }
}

fn describe(unit: &UnitName, placed: &Result<Vec<ProposedPlacement>, PlacementError>) -> Vec<String> {
    match placed {
        Ok(placements) => placements
            .iter()
            .map(|placement| {
                format!(
                    "{} {}: {}",
                    placement.unit.stem(),
                    placement.machine.short().trim_start_matches('0'),
                    placement.reason
                )
            })
            .collect(),
        Err(refusal) => vec![format!("{} refused: {refusal}", unit.stem())],
    }
}

#[test]
fn units_go_to_the_least_loaded_machine_and_ties_to_the_lower_machine_id() {
    let world =
        World::of(2).placed("z1.service", "", 1).unit("a.service", "").unit("b.service", "").unit("c.service", "");
    assert_eq!(
        world.place(),
        [
            "a 2: fewest units: 0, and the next machine has 1",
            "b 1: fewest units: 1, and the next machine has 1 too",
            "c 2: fewest units: 1, and the next machine has 2",
        ]
    );
}

#[test]
fn only_machines_that_are_alive_and_not_cordoned_are_taken() {
    let world = World::of(5)
        .cordon(1)
        .health(2, Health::Down)
        .health(3, Health::Suspect)
        .health(4, Health::Suspect)
        .unit("a.service", "");
    assert_eq!(world.place(), ["a 5: no other machine fits"]);
    let world = world.health(5, Health::Unreachable);
    assert_eq!(
        world.place(),
        ["a refused: suspect (2 machines); unreachable (1 machine); down (1 machine); cordoned (1 machine)"]
    );
}

#[test]
fn nothing_is_placed_before_the_cluster_has_its_size() {
    let mut world = World::of(1).unit("a.service", "");
    world.snapshot.size = 3;
    assert_eq!(world.place(), ["a refused: 1 of 3 machines have joined: 2 more must"]);
    let world = world.machine(2, &[]).machine(3, &[]);
    assert_eq!(world.place(), ["a 1: fewest units: 0, and the next machine has 0 too"]);
}

#[test]
fn a_cluster_that_has_started_goes_on_when_a_machine_leaves() {
    let mut world = World::of(2).placed("a.service", "", 1).unit("b.service", "");
    world.snapshot.size = 3;
    assert_eq!(world.place(), ["b 2: fewest units: 0, and the next machine has 1"]);
}

#[test]
fn an_empty_cluster_has_its_own_message() {
    assert_eq!(World::of(0).unit("a.service", "").place(), ["a refused: no machine has joined"]);
}

#[test]
fn machine_id_pins_by_all_or_the_first_eight_digits() {
    let whole = format!("MachineID={}", id(2));
    let world = World::of(3)
        .placed("z.service", "", 2)
        .unit("a.service", &whole)
        .unit("b.service", "MachineID=00000003")
        .unit("c.service", "MachineID=00000009");
    assert_eq!(
        world.place(),
        [
            format!("a 2: MachineID={}", id(2)),
            "b 3: MachineID=00000003".into(),
            "c refused: no machine with the machine-id 00000009 has joined".into(),
        ]
    );
    assert_eq!(
        world.health(3, Health::Down).place()[1],
        "b refused: down (1 machine); not machine-id 00000003 (2 machines)"
    );
}

#[test]
fn the_same_metadata_key_means_or_and_different_keys_mean_and() {
    let world = World::default()
        .machine(1, &[("region", "us"), ("disk", "ssd")])
        .machine(2, &[("region", "eu")])
        .machine(3, &[("region", "eu"), ("disk", "ssd")])
        .unit("a.service", "MachineMetadata=region=eu")
        .unit("b.service", "MachineMetadata=region=eu\nMachineMetadata=region=us\nMachineMetadata=disk=ssd")
        .unit("c.service", "MachineMetadata=\"region=us\" \"disk=hdd\"")
        .unit("d.service", "MachineMetadata=region=asia\nMachineMetadata=region=africa");
    assert_eq!(
        world.place(),
        [
            "a 2: fewest units: 0, and the next machine has 0 too",
            "b 1: fewest units: 0, and the next machine has 0 too",
            "c refused: no metadata disk=hdd (3 machines)",
            "d refused: no metadata region=africa or asia (3 machines)",
        ]
    );
}

#[test]
fn peers_are_placed_together_in_one_round_whatever_their_names() {
    let world = World::of(3)
        .placed("x.service", "", 1)
        .unit("a-follower.service", "MachineOf=z-leader.service")
        .unit("z-leader.service", "")
        .unit("b.service", "MachineOf=a-follower.service");
    assert_eq!(
        world.place(),
        [
            "z-leader 2: fewest units: 0, and the next machine has 0 too",
            "a-follower 2: with z-leader.service",
            "b 2: with a-follower.service",
        ]
    );
}

#[test]
fn a_unit_waits_for_its_peer() {
    let world = World::of(2)
        .placed("l1.service", "", 1)
        .placed("l2.service", "", 2)
        .unit("a.service", "MachineOf=nowhere.service")
        .unit("b.service", "MachineOf=l1.service\nMachineOf=l2.service")
        .unit("c.service", "MachineOf=d.service")
        .unit("d.service", "MachineOf=c.service")
        .unit("e.service", "Global=true")
        .unit("f.service", "MachineOf=e.service");
    assert_eq!(
        world.place(),
        [
            "a refused: nowhere.service, which it must run with, is on no machine",
            "b refused: l1.service is not there (1 machine); l2.service is not there (1 machine)",
            "f 1: fewest units: 2, and the next machine has 2 too",
            "c refused: d.service, which it must run with, is on no machine",
            "d refused: c.service, which it must run with, is on no machine",
        ]
    );
}

#[test]
fn conflicts_hold_in_both_directions() {
    let world = World::of(2)
        .placed("old.service", "Conflicts=new*", 1)
        .unit("new.service", "")
        .unit("other.service", "Conflicts=old.service");
    assert_eq!(world.place(), ["new 2: no other machine fits", "other 2: no other machine fits"]);
}

#[test]
fn conflicting_instances_spread_and_the_rest_are_refused_with_the_conflicting_units() {
    let mut world = World::of(4);
    for number in 1..=6 {
        world = world.unit(&format!("web@{number}.service"), "Conflicts=%p@*.service");
    }
    let lines = world.place();
    assert_eq!(lines[3], "web@4 4: no other machine fits");
    assert_eq!(
        lines[4..],
        ["web@5", "web@6"].map(|unit| format!(
            "{unit} refused: conflicts with web@1.service, web@2.service, web@3.service … (4 machines)"
        ))
    );
}

#[test]
fn every_constraint_has_its_count_in_a_refusal() {
    let world = World::default()
        .machine(1, &[("region", "us")])
        .machine(2, &[])
        .machine(3, &[("region", "eu")])
        .placed("a.service", "", 3)
        .unit("b.service", "MachineMetadata=region=eu\nConflicts=a.*");
    assert_eq!(world.place(), ["b refused: no metadata region=eu (2 machines); conflicts with a.service (1 machine)"]);
}

#[test]
fn globals_count_where_they_run_and_the_first_of_two_that_conflict_wins() {
    let world = World::default()
        .machine(1, &[("disk", "ssd")])
        .machine(2, &[])
        .machine(3, &[])
        .cordon(3)
        .placed("p.service", "Conflicts=g2.service", 2)
        .unit("g1.service", "Global=true\nMachineMetadata=disk=ssd")
        .unit("g2.service", "Global=true\nConflicts=g3.service")
        .unit("g3.service", "Global=true")
        .unit("a.service", "");
    let scheduler = world.scheduler();
    let on = |number| scheduler.globals_on(id(number)).map(|unit| unit.stem().to_owned()).collect::<Vec<_>>();
    assert_eq!(on(1), ["g1", "g2"]);
    assert_eq!(on(2), ["g3"]);
    assert_eq!(on(3), ["g2"]);
    assert_eq!(on(9), Vec::<String>::new());
    assert_eq!(world.place(), ["a 1: fewest units: 2, and the next machine has 2 too"]);
}

#[test]
fn a_global_unit_runs_once_its_conflict_is_gone_and_is_never_placed() {
    let world = World::of(1).placed("p.service", "Conflicts=g.service", 1).unit("g.service", "Global=true");
    let mut scheduler = world.scheduler();
    assert_eq!(scheduler.globals_on(id(1)).count(), 0);
    assert_eq!(scheduler.remove(&name("p.service")), Some(id(1)));
    assert_eq!(scheduler.globals_on(id(1)).count(), 1);
    assert_eq!(scheduler.schedule(&name("p.service")).unwrap_err().to_string(), "conflicts with g.service (1 machine)");
    assert_eq!(scheduler.schedule(&name("g.service")), Err(PlacementError::Global));
    assert_eq!(scheduler.schedule(&name("unknown.service")), Err(PlacementError::InvalidRequirements(None)));
}

#[test]
fn a_unit_whose_data_are_on_a_machine_fits_on_no_other_unless_its_file_was_never_loaded_there() {
    let refusal = |options: &str, has_failed: bool| {
        let mut world = World::of(3).placed("db.service", options, 1).health(1, Health::Down);
        let home = world.snapshot.placements.get_mut(&name("db.service")).unwrap();
        let hash = world.snapshot.units[&name("db.service")].hash;
        let load = FailedLoad { machine: id(1), hash, said: "no Podman".to_owned(), at: Timestamp::ZERO };
        home.failed_loads.extend(has_failed.then_some(load));
        let mut scheduler = world.scheduler();
        scheduler.remove(&name("db.service"));
        scheduler.schedule(&name("db.service")).err().map(|error| error.to_string())
    };
    let stay = "[X-Muster]\nData=stay";
    let why = "down (1 machine); its data are on another machine (2 machines)";
    assert_eq!(refusal(stay, false).as_deref(), Some(why));
    assert_eq!((refusal(stay, true), refusal("[X-Muster]\nData=lost", false)), (None, None));
}

#[test]
fn a_unit_with_invalid_requirements_is_refused_with_the_error() {
    let world = World::of(1).unit("a.service", "MachineOf=b").unit("c.service", "");
    let mut scheduler = world.scheduler();
    let refusal = scheduler.schedule(&name("a.service")).unwrap_err().to_string();
    assert!(refusal.starts_with("MachineOf=b: unit name must contain"), "{refusal}");
    assert!(scheduler.schedule(&name("c.service")).is_ok());
}

#[test]
fn requirements_are_parsed_again_when_the_file_changes() {
    let mut world = World::of(1).unit("a.service", "Global=true");
    assert!(world.requirements.get(&name("a.service")).unwrap().global);
    world = world.unit("a.service", "");
    assert!(!world.requirements.get(&name("a.service")).unwrap().global);
    world.snapshot.units.clear();
    world.requirements.renew(&world.snapshot);
    assert_eq!(world.requirements.get(&name("a.service")), None);
}

#[test]
fn an_inactive_unit_neither_counts_nor_conflicts() {
    let mut world = World::of(2).placed("a.service", "Conflicts=*", 1).unit("b.service", "");
    world.snapshot.units.get_mut(&name("a.service")).unwrap().desired = DesiredState::Inactive;
    assert_eq!(world.place(), ["b 1: fewest units: 0, and the next machine has 0 too"]);
}

#[test]
fn a_replaced_unit_moves_to_another_machine() {
    let world = World::of(2).placed("old.service", "", 2).unit("new.service", "Replaces=old.*");
    assert_eq!(world.place(), ["new 2: in the place of old.service", "old 1: no other machine fits"]);
}

#[test]
fn replacing_is_refused_when_the_other_unit_fits_nowhere_else() {
    let world = World::default()
        .machine(1, &[])
        .machine(2, &[("disk", "ssd")])
        .placed("old.service", "MachineMetadata=disk=ssd", 2)
        .unit("new.service", "Replaces=old.service");
    assert_eq!(
        world.place(),
        ["new refused: old.service, which it replaces, fits nowhere else: no metadata disk=ssd (1 machine); \
          conflicts with new.service (1 machine)"]
    );
    let mut scheduler = world.scheduler();
    scheduler.schedule(&name("new.service")).unwrap_err();
    assert_eq!(scheduler.machine_of(&name("old.service")), Some(id(2)));
    assert_eq!(scheduler.machine_of(&name("new.service")), None);
}

#[test]
fn of_two_that_replace_each_other_the_first_stays() {
    let world = World::of(3).unit("a.service", "Replaces=b.service").unit("b.service", "Replaces=a.service");
    assert_eq!(
        world.place(),
        ["a 1: fewest units: 0, and the next machine has 0 too", "b refused: it and a.service replace each other"]
    );
}

#[test]
fn a_replaced_unit_does_not_return_beside_its_replacement() {
    let world = World::of(1).placed("new.service", "Replaces=old.service", 1).unit("old.service", "");
    assert_eq!(world.place(), ["old refused: conflicts with new.service (1 machine)"]);
}

#[test]
fn a_unit_that_no_longer_fits_its_machine_has_a_reason() {
    let world = World::of(2)
        .placed("a.service", "MachineMetadata=region=eu", 1)
        .placed("b.service", "MachineOf=a.service", 2)
        .placed("c.service", "Conflicts=c*", 2)
        .health(2, Health::Suspect)
        .cordon(1);
    let scheduler = world.scheduler();
    let filter_reason =
        |unit, number| scheduler.filter_reason(&name(unit), id(number)).map(|filter_reason| filter_reason.to_string());
    assert_eq!(filter_reason("a.service", 1).as_deref(), Some("no metadata region=eu"));
    assert_eq!(filter_reason("b.service", 2).as_deref(), Some("a.service is not there"));
    assert_eq!(filter_reason("c.service", 2), None);
}

/// Options of `[X-Fleet]`, chosen so that units refer to each other.
fn options() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => (0..12u8).prop_map(|n| format!("Conflicts=u{n:02}.service")),
        1 => Just("Conflicts=u0*".to_owned()),
        1 => (0..3u8).prop_map(|n| format!("MachineMetadata=zone={n}")),
        1 => (0..12u8).prop_map(|n| format!("MachineOf=u{n:02}.service")),
        1 => (1..6u8).prop_map(|n| format!("MachineID={n:08}")),
        1 => (0..12u8).prop_map(|n| format!("Replaces=u{n:02}.service")),
        1 => Just("Global=true".to_owned()),
    ]
}

fn worlds() -> impl Strategy<Value = World> {
    let machines = prop::collection::vec((0..3u8, 0..6u8), 0..6);
    let units = prop::collection::vec((options(), prop::option::weighted(0.3, 1..6u8)), 0..14);
    (machines, units).prop_map(|(machines, units)| {
        let mut world = World::default();
        for (number, (zone, fate)) in (1..).zip(machines) {
            world = world.machine(number, &[("zone", &zone.to_string())]);
            world = match fate {
                0 => world.cordon(number),
                1 => world.health(number, Health::Down),
                _ => world,
            };
        }
        for (number, (options, on)) in units.into_iter().enumerate() {
            let unit = format!("u{number:02}.service");
            world = match on.filter(|_| !options.contains("Global")) {
                Some(on) => world.placed(&unit, &options, on.into()),
                None => world.unit(&unit, &options),
            };
        }
        world
    })
}

/// Returns a machine's units, counted from scratch.
fn units_on<'w>(world: &'w World, scheduler: &Scheduler<'w>, machine: MachineId) -> Vec<&'w UnitName> {
    let placed = world.snapshot.units.keys().filter(|unit| scheduler.machine_of(unit) == Some(machine));
    placed.chain(scheduler.globals_on(machine)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_placement_meets_its_requirements_and_is_least_loaded(world in worlds()) {
        let mut scheduler = world.scheduler();
        let all: Vec<&UnitName> = world.snapshot.units.keys().collect();
        for unit in dependencies_first(all, &world.requirements) {
            if scheduler.machine_of(unit).is_some() {
                continue;
            }
            let before: BTreeMap<_, _> = world.snapshot.machines.keys().map(|id| (*id, units_on(&world, &scheduler, *id).len())).collect();
            let result = scheduler.schedule(unit);
            let placed = world.snapshot.units.keys().filter(|unit| scheduler.machine_of(unit).is_some()).count();
            prop_assert_eq!(placed, scheduler.placed.len(), "a unit is on one machine");
            let Ok(placements) = result else {
                prop_assert_eq!(scheduler.machine_of(unit), None);
                continue;
            };
            for placement in &placements {
                let machine = &world.snapshot.machines[&placement.machine];
                let needs = world.requirements.get(&placement.unit).unwrap();
                prop_assert_eq!(scheduler.machine_of(&placement.unit), Some(placement.machine));
                prop_assert!(!machine.cordoned && !world.health_changes.contains_key(&placement.machine));
                prop_assert!(needs.metadata.iter().all(|(key, values)| machine.metadata.get(key).is_some_and(|v| values.contains(v))));
                prop_assert!(needs.machine_id.is_none_or(|pin| pin.machines().contains(&placement.machine)));
                let here = units_on(&world, &scheduler, placement.machine);
                prop_assert!(needs.machine_of.iter().all(|peer| here.contains(&peer)), "{} without its peers", placement.unit);
                for other in here.into_iter().filter(|other| **other != placement.unit) {
                    let repels = |a: &UnitName, b: &UnitName| world.requirements.get(a).unwrap().conflicts.iter().any(|glob| glob.matches(b.as_str()));
                    prop_assert!(!repels(&placement.unit, other) && !repels(other, &placement.unit), "{} beside {}", placement.unit, other);
                }
                if let (ChoiceReason::LeastLoaded { units, next }, 1) = (&placement.reason, placements.len()) {
                    prop_assert_eq!(before[&placement.machine], *units);
                    prop_assert!(next.is_none_or(|next| next >= *units));
                    let fewer = before.iter().filter(|(id, load)| (**load, **id) < (*units, placement.machine));
                    for (id, _) in fewer {
                        scheduler.remove(unit);
                        let candidate = scheduler.find(*id).unwrap();
                        prop_assert!(scheduler.filter(&scheduler.seeker(unit, needs), candidate).next().is_some(), "{} was emptier", id);
                        scheduler.put(unit, placement.machine);
                    }
                }
            }
        }
    }

    #[test]
    fn an_updated_scheduler_equals_a_new_one(world in worlds(), moves in prop::collection::vec((0..14usize, 0..6u8, any::<bool>()), 0..30)) {
        let mut scheduler = world.scheduler();
        let units: Vec<&UnitName> = world.requirements.iter().filter(|(_, needs)| !needs.global).map(|(unit, _)| unit).collect();
        for (unit, machine, put) in moves {
            let Some(unit) = units.get(unit) else { continue };
            if put { scheduler.put(unit, id(machine.into())) } else { _ = scheduler.remove(unit) }
        }
        let mut anew = world.scheduler();
        for unit in &units {
            anew.remove(unit);
        }
        for unit in &units {
            scheduler.machine_of(unit).into_iter().for_each(|machine| anew.put(unit, machine));
        }
        prop_assert_eq!(&scheduler.pools, &anew.pools);
        for machine in world.snapshot.machines.keys() {
            let candidate = &scheduler.candidates[scheduler.find(*machine).unwrap()];
            prop_assert_eq!(candidate.load, units_on(&world, &scheduler, *machine).len());
            prop_assert!(scheduler.globals_on(*machine).eq(anew.globals_on(*machine)));
        }
    }
}

/// What makes a unit one of an application, after its requirements.
const SHOP: &str = "\n[X-Muster]\nApplication=shop";

#[test]
fn the_units_of_an_application_are_placed_on_one_machine_that_suits_all_of_them() {
    let world = World::of(3)
        .machine(4, &[("disk", "ssd")])
        .placed("x.service", "", 4)
        .unit("app.service", SHOP)
        .unit("db.service", &format!("MachineMetadata=disk=ssd{SHOP}"))
        .unit("edge.service", &format!("{SHOP}\nPlacement=spread"));
    assert_eq!(
        world.place(),
        [
            "app 4: no other machine fits",
            "db 4: with app.service",
            "edge 1: fewest units: 0, and the next machine has 0 too"
        ]
    );
}

#[test]
fn a_unit_that_comes_to_an_application_goes_where_the_others_are() {
    let world = World::of(3).placed("b.service", SHOP, 2).placed("c.service", SHOP, 2).unit("a.service", SHOP);
    assert_eq!(world.place(), ["a 2: with b.service"]);
    assert_eq!(world.scheduler().filter_reason(&name("b.service"), id(2)), None, "nothing moves");
    let apart = World::of(3).placed("a.service", SHOP, 1).placed("b.service", SHOP, 2);
    let reason = apart.scheduler().filter_reason(&name("a.service"), id(1)).unwrap();
    assert_eq!(reason.to_string(), "b.service is not there");
}

#[test]
fn the_units_of_an_application_stay_with_its_data() {
    let stays = format!("{SHOP}\nData=stay");
    let world = World::of(2).placed("db.service", &stays, 1).unit("web.service", SHOP).health(1, Health::Down);
    assert_eq!(world.place(), ["web refused: down (1 machine); its data are on another machine (1 machine)"]);
}

#[test]
fn a_quadlet_file_is_placed_on_a_machine_whose_podman_knows_it() {
    let mut world = World::of(3);
    let file = Arc::new(UnitFile::parse("[Container]\nImage=a\nMemory=1g\n").unwrap());
    world.snapshot.units.insert(name("web.container"), Unit::new(file.hash(), DesiredState::Launched));
    world.snapshot.files.insert(file.hash(), file);
    world.requirements.renew(&world.snapshot);
    let podman = |world: &mut World, versions: [&str; 3]| {
        for (machine, version) in world.snapshot.machines.values_mut().zip(versions) {
            machine.podman = version.parse().unwrap();
        }
    };
    let placed = |world: &World| {
        let placed = world.scheduler().schedule(&name("web.container"));
        placed.map(|placed| placed[0].machine).map_err(|error| error.to_string())
    };
    podman(&mut world, ["none", "4.9.3", "5.5.0"]);
    assert_eq!(placed(&world), Ok(id(3)));
    podman(&mut world, ["none", "4.9.3", "none"]);
    let expected = "it had no Podman when it joined, and Memory= in [Container] needs 5.5 (2 machines); it had Podman 4.9.3 when \
                    it joined, and Memory= in [Container] needs 5.5 (1 machine)";
    assert_eq!(placed(&world), Err(expected.to_owned()));
    podman(&mut world, ["none", "unknown", "none"]);
    assert_eq!(placed(&world), Ok(id(2)));
}
