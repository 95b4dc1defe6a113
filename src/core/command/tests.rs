use std::collections::BTreeSet;

use super::*;
use crate::core::model::ActiveState;
use crate::core::model::ChoiceReason;
use crate::core::model::FailedLoad;
use crate::core::model::LoadState;
use crate::core::model::Placement;
use crate::core::model::PlacementReason;
use crate::core::model::SecretRecord;
use crate::core::model::SecretVersion;
use crate::core::model::SubState;
use crate::core::model::Timestamp;
use crate::core::model::UnitState;
use crate::core::unit::Hash;

const TEXT: &str = "[Service]\nExecStart=/bin/true\n";
const OTHER: &str = "[Service]\nExecStart=/bin/false\n";

fn file(text: &str) -> Arc<UnitFile> {
    Arc::new(UnitFile::parse(text).unwrap())
}

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

/// A cluster that knows one unit.
fn cluster(unit: &str, text: &str, desired: DesiredState) -> Snapshot {
    let file = file(text);
    let mut snapshot = Snapshot::default();
    snapshot.units.insert(name(unit), Unit::new(file.hash(), desired));
    snapshot.files.insert(file.hash(), file);
    snapshot
}

fn command(verb: Verb, unit: &str) -> UnitCommand {
    UnitCommand::new(verb, name(unit))
}

fn with_file(verb: Verb, unit: &str, text: &str) -> UnitCommand {
    let local = LocalFile { file: file(text), path: "./it".to_owned(), template: false, contents: Contents::new() };
    UnitCommand { file: Some(local), ..command(verb, unit) }
}

/// Returns the desired state of the unit after a command; `None` if nothing changes.
fn desired_after(snapshot: &Snapshot, command: &UnitCommand) -> Option<DesiredState> {
    match decide(snapshot, command).unwrap().change {
        DesiredChange::Put(unit, _) => Some(unit.desired),
        DesiredChange::Nothing => None,
        DesiredChange::Delete => panic!("the unit would be deleted"),
    }
}

#[test]
fn verbs_move_a_known_unit_as_fleet_did() {
    use DesiredState::Inactive;
    use DesiredState::Launched;
    use DesiredState::Loaded;
    let table = [
        (Verb::Submit, Launched, None),
        (Verb::Load, Inactive, Some(Loaded)),
        (Verb::Load, Loaded, None),
        (Verb::Load, Launched, Some(Loaded)),
        (Verb::Start, Inactive, Some(Launched)),
        (Verb::Start, Launched, None),
        (Verb::Stop, Launched, Some(Loaded)),
        (Verb::Stop, Loaded, None),
        (Verb::Unload, Launched, Some(Inactive)),
        (Verb::Unload, Inactive, None),
        (Verb::Restart, Launched, Some(Launched)),
        (Verb::Restart, Loaded, Some(Launched)),
    ];
    for (verb, before, after) in table {
        let snapshot = cluster("web.service", TEXT, before);
        assert_eq!(desired_after(&snapshot, &command(verb, "web.service")), after, "{verb} of a unit that is {before}");
    }
}

#[test]
fn a_start_starts_a_launched_unit_that_has_ended_and_leaves_one_that_runs() {
    let oneshot = format!("{TEXT}Type=oneshot\n");
    for (text, active, sub, starts) in [
        (TEXT, ActiveState::Active, "running", false),
        (TEXT, ActiveState::Activating, "start", false),
        (TEXT, ActiveState::Activating, "auto-restart", true),
        (TEXT, ActiveState::Failed, "failed", true),
        (TEXT, ActiveState::Inactive, "dead", true),
        (&oneshot, ActiveState::Inactive, "dead", false),
        (&oneshot, ActiveState::Failed, "failed", true),
    ] {
        let mut snapshot = cluster("web.service", text, DesiredState::Launched);
        let (load, hash, sub) = (LoadState::Loaded, file(text).hash(), sub.parse().unwrap());
        let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
        snapshot.states.entry(name("web.service")).or_default().insert(MachineId::from_bits(1), state);
        let change = decide(&snapshot, &command(Verb::Start, "web.service")).unwrap().change;
        let revived = Unit { restarts: 1, revive: true, ..snapshot.units[&name("web.service")] };
        let expected = if starts { DesiredChange::Put(revived, None) } else { DesiredChange::Nothing };
        assert_eq!(change, expected, "{active} {text}");
        // Until the host has taken the start, another one adds nothing; a restart replaces it.
        snapshot.units.insert(name("web.service"), revived);
        assert_eq!(decide(&snapshot, &command(Verb::Start, "web.service")).unwrap().change, DesiredChange::Nothing);
        let restarted = DesiredChange::Put(Unit { restarts: 2, revive: false, ..revived }, None);
        assert_eq!(decide(&snapshot, &command(Verb::Restart, "web.service")).unwrap().change, restarted);
    }
}

#[test]
fn a_start_asks_again_for_a_load_that_has_failed() {
    let mut snapshot = cluster("web.service", TEXT, DesiredState::Launched);
    let machine = MachineId::from_bits(1);
    let load = FailedLoad { machine, hash: file(TEXT).hash(), said: "no room".to_owned(), at: Timestamp::ZERO };
    let reason = PlacementReason { choice: ChoiceReason::RunsThere, moved: None };
    let (epoch, since, failed_loads, pull) = (1, Timestamp::ZERO, vec![load], None);
    snapshot.placements.insert(name("web.service"), Placement { machine, epoch, reason, since, failed_loads, pull });
    let DesiredChange::Put(unit, None) = decide(&snapshot, &command(Verb::Start, "web.service")).unwrap().change else {
        panic!()
    };
    assert_eq!((unit.restarts, unit.revive), (1, true));
    snapshot.placements.get_mut("web.service").unwrap().failed_loads.clear();
    assert_eq!(decide(&snapshot, &command(Verb::Start, "web.service")).unwrap().change, DesiredChange::Nothing);
}

#[test]
fn a_launched_unit_that_reloads_is_asked_to_if_only_its_files_have_changed() {
    let text = |option: &str, content: &str| {
        format!("{TEXT}[X-Muster]\nOnChange={option}\nFile=env {}\n", Hash::of(content.as_bytes()))
    };
    let before = text("reload", "A=1");
    let replaced = |before: &str, desired, after: &str| {
        let snapshot = cluster("web.service", before, desired);
        let command = UnitCommand { replace: true, ..with_file(Verb::Start, "web.service", after) };
        let DesiredChange::Put(unit, _) = decide(&snapshot, &command).unwrap().change else { panic!() };
        (unit.restarts, unit.reload)
    };
    let reloads = (1, Some(file(&before).hash()));
    assert_eq!(replaced(&before, DesiredState::Launched, &text("reload", "A=2")), reloads);
    assert_eq!(replaced(&before, DesiredState::Loaded, &text("reload", "A=2")), (0, None));
    assert_eq!(replaced(&text("restart", "A=1"), DesiredState::Launched, &text("restart", "A=2")), (0, None));
    let other = text("reload", "A=2").replace("/bin/true", "/bin/false");
    assert_eq!(replaced(&before, DesiredState::Launched, &other), (0, None));
    let more = format!("{}File=more {}\n", text("reload", "A=2"), Hash::of(b"x"));
    assert_eq!(replaced(&before, DesiredState::Launched, &more), (0, None));
    // A restart that is asked for later is one.
    let mut snapshot = cluster("web.service", &before, DesiredState::Launched);
    snapshot.units.get_mut("web.service").unwrap().reload = Some(Hash::of(b"x"));
    let DesiredChange::Put(unit, _) = decide(&snapshot, &command(Verb::Restart, "web.service")).unwrap().change else {
        panic!()
    };
    assert_eq!((unit.restarts, unit.reload), (1, None));
}

#[test]
fn a_unit_that_is_not_known_is_created_by_the_verbs_that_create() {
    for (verb, desired) in [
        (Verb::Submit, DesiredState::Inactive),
        (Verb::Load, DesiredState::Loaded),
        (Verb::Start, DesiredState::Launched),
    ] {
        let decision = decide(&Snapshot::default(), &with_file(verb, "web.service", TEXT)).unwrap();
        assert!(decision.created);
        let unit = Unit::new(file(TEXT).hash(), desired);
        assert_eq!(decision.change, DesiredChange::Put(unit, Some(file(TEXT))));
    }
    for verb in [Verb::Stop, Verb::Unload, Verb::Destroy, Verb::Restart] {
        let refused = decide(&Snapshot::default(), &with_file(verb, "web.service", TEXT)).unwrap_err();
        assert_eq!(refused.to_string(), "Unit web.service does not exist");
    }
}

#[test]
fn a_unit_without_a_file_is_refused() {
    let refused = decide(&Snapshot::default(), &command(Verb::Start, "web.service")).unwrap_err();
    assert_eq!(refused.to_string(), "unable to find Unit(web.service) in Registry or on filesystem");
}

#[test]
fn stop_and_restart_need_a_unit_that_is_on_a_machine() {
    let snapshot = cluster("web.service", TEXT, DesiredState::Inactive);
    let refused = decide(&snapshot, &command(Verb::Stop, "web.service")).unwrap_err();
    assert_eq!(refused.to_string(), "Unable to stop unit web.service in state inactive");
    assert!(decide(&snapshot, &command(Verb::Restart, "web.service")).is_err());
}

#[test]
fn a_file_that_differs_gives_a_warning_unless_it_replaces() {
    let snapshot = cluster("web.service", TEXT, DesiredState::Launched);
    let mut differs = with_file(Verb::Start, "web.service", OTHER);
    let decision = decide(&snapshot, &differs).unwrap();
    assert_eq!(decision.change, DesiredChange::Nothing);
    assert_eq!(
        decision.warnings,
        ["WARNING: Unit web.service in registry differs from local unit file ./it. Add --replace to override."]
    );
    differs.replace = true;
    let DesiredChange::Put(unit, Some(replaced)) = decide(&snapshot, &differs).unwrap().change else { panic!() };
    assert_eq!((unit.hash, unit.desired, replaced), (file(OTHER).hash(), DesiredState::Launched, file(OTHER)));
    differs.verb = Verb::Submit;
    assert_eq!(
        decide(&snapshot, &differs).unwrap_err().to_string(),
        "Unable to submit unit web.service in state launched"
    );
}

#[test]
fn an_instance_uses_the_submitted_template_before_the_local_one() {
    let snapshot = cluster("web@.service", TEXT, DesiredState::Inactive);
    let mut start = with_file(Verb::Start, "web@1.service", OTHER);
    start.file.as_mut().unwrap().template = true;
    let made = |snapshot: &Snapshot| match decide(snapshot, &start).unwrap().change {
        DesiredChange::Put(unit, _) => unit.hash,
        other => panic!("{other:?}"),
    };
    assert_eq!(made(&snapshot), file(TEXT).hash());
    assert_eq!(made(&Snapshot::default()), file(OTHER).hash());
}

#[test]
fn a_template_itself_cannot_run() {
    let refused = decide(&Snapshot::default(), &with_file(Verb::Start, "web@.service", TEXT)).unwrap_err();
    assert_eq!(refused.to_string(), "Unit web@.service is a template: start an instance of it, as in web@1.service");
    assert!(decide(&Snapshot::default(), &with_file(Verb::Submit, "web@.service", TEXT)).is_ok());
}

#[test]
fn invalid_requirements_are_refused() {
    let text = format!("{TEXT}[X-Fleet]\nGlobal=true\nMachineOf=a.service\n");
    let refused = decide(&Snapshot::default(), &with_file(Verb::Submit, "web.service", &text)).unwrap_err();
    assert_eq!(refused.to_string(), "Unit web.service: [X-Fleet] Global cannot be used with Peers");
}

#[test]
fn two_units_cannot_have_one_service() {
    let snapshot = cluster("web.container", "[Container]\nImage=a\n", DesiredState::Launched);
    let refused = decide(&snapshot, &with_file(Verb::Submit, "web.service", TEXT)).unwrap_err();
    let why = "systemd would know it as web.service, as it knows web.container: rename one of the two";
    assert_eq!(refused.to_string(), format!("Unit web.service: {why}"));
    let replaced = UnitCommand { replace: true, ..with_file(Verb::Start, "web.container", "[Container]\nImage=b\n") };
    assert!(
        decide(&snapshot, &replaced).is_ok() && decide(&snapshot, &with_file(Verb::Submit, "web.timer", TEXT)).is_ok()
    );
}

#[test]
fn a_unit_that_names_a_secret_which_is_not_set_is_warned_of() {
    let text = "[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=db\nSecret=tls.key\n";
    let mut snapshot = Snapshot::default();
    let record = SecretRecord {
        version: SecretVersion::default(),
        size: 1,
        set_at: Timestamp::from_millis(0),
        set_by: "op@desk".to_owned(),
        recipients: BTreeSet::new(),
    };
    snapshot.secrets.insert("tls.key".parse().unwrap(), record);
    let decision = decide(&snapshot, &with_file(Verb::Start, "web.service", text)).unwrap();
    assert_eq!(decision.warnings, ["WARNING: Unit web.service: secret db is not set"]);
}

#[test]
fn a_quadlet_file_without_options_is_no_mistake() {
    let warnings = |unit| decide(&Snapshot::default(), &with_file(Verb::Submit, unit, "[Volume]\n")).unwrap().warnings;
    assert_eq!((warnings("data.volume").len(), warnings("data.service").len()), (0, 1));
}

#[test]
fn a_strict_class_that_cannot_be_kept_is_refused() {
    let refusal = |unit: &str, text: &str| {
        let command = with_file(Verb::Submit, unit, text);
        decide(&Snapshot::default(), &command).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("web.service", "[Service]\nExecStart=/bin/true\n[X-Muster]\nClass=strict\n[X-Fleet]\nGlobal=true\n"),
        "Unit web.service: [X-Muster] Class=strict: a global unit runs everywhere at once"
    );
    assert_eq!(
        refusal("web.timer", "[Timer]\nOnBootSec=1\n[X-Muster]\nClass=strict\n"),
        "Unit web.timer: [X-Muster] Class=strict: only systemd services can be kept from running twice"
    );
    for (unit, text) in [("web.target", "[Unit]\nDescription=a\n"), ("web.slice", "[Slice]\nMemoryMax=1G\n")] {
        let why = "[X-Muster] Class=strict: it has no process that could run twice: write it into its services";
        assert_eq!(refusal(unit, &format!("{text}[X-Muster]\nClass=strict\n")), format!("Unit {unit}: {why}"));
    }
}

#[test]
fn a_class_does_not_change_while_the_unit_may_run() {
    let strict = format!("{TEXT}[X-Muster]\nClass=strict\n");
    let replace = |verb, text: &str| UnitCommand { replace: true, ..with_file(verb, "web.service", text) };
    let observe = |snapshot: &mut Snapshot| {
        let id = MachineId::from_bits(1 << 96);
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
        let state = UnitState {
            load,
            active,
            sub,
            job: None,
            hash: file(TEXT).hash(),
            launched: true,
            restarts: 0,
            restarted: false,
        };
        snapshot.states.insert(name("web.service"), [(id, state)].into());
    };
    let refusal = |snapshot: &Snapshot, command: &UnitCommand| decide(snapshot, command).unwrap_err().to_string();
    let mut snapshot = cluster("web.service", TEXT, DesiredState::Launched);
    let message = "Unit web.service: it cannot become strict while it may be on a machine: `muster unload web.service` first; \
                a machine that does not answer counts until it answers or leaves the cluster";
    assert_eq!(refusal(&snapshot, &replace(Verb::Start, &strict)), message);
    observe(&mut snapshot);
    assert!(refusal(&snapshot, &replace(Verb::Start, &strict)).contains("while it may be on 00000001...: "));
    // The change from strict to available is refused as well.
    let mut other = cluster("web.service", &strict, DesiredState::Launched);
    assert!(refusal(&other, &replace(Verb::Start, TEXT)).contains("it cannot become available while"));
    assert!(decide(&other, &replace(Verb::Start, &format!("{strict}[Unit]\nA=b\n"))).is_ok(), "it stays strict");
    // An inactive unit that is nowhere may change.
    other.units.get_mut(&name("web.service")).unwrap().desired = DesiredState::Inactive;
    assert!(decide(&other, &replace(Verb::Start, TEXT)).is_ok());
    // A unit that was destroyed while its machine was silent may still run there.
    snapshot.units.clear();
    snapshot.files.clear();
    assert!(
        refusal(&snapshot, &with_file(Verb::Start, "web.service", &strict)).contains("it cannot become strict while")
    );
    assert!(decide(&snapshot, &with_file(Verb::Start, "web.service", TEXT)).is_ok());
}

#[test]
fn a_lost_file_is_restored_by_an_equal_one() {
    let mut snapshot = cluster("web.service", TEXT, DesiredState::Launched);
    let start = with_file(Verb::Start, "web.service", TEXT);
    assert_eq!(decide(&snapshot, &start).unwrap().change, DesiredChange::Nothing);
    snapshot.files.clear();
    let DesiredChange::Put(unit, Some(put)) = decide(&snapshot, &start).unwrap().change else {
        panic!("nothing is restored")
    };
    assert_eq!((unit.desired, put.hash()), (DesiredState::Launched, file(TEXT).hash()));
}

#[test]
fn a_volume_that_takes_its_containers_along_and_a_quadlet_file_that_systemd_does_not_know_are_warned_of() {
    let mut snapshot = cluster("data.volume", "[Volume]\n", DesiredState::Launched);
    let web = file("[Container]\nImage=a\nVolume=data.volume:/data\n");
    snapshot.units.insert(name("web.container"), Unit::new(web.hash(), DesiredState::Launched));
    snapshot.files.insert(web.hash(), web);
    let warning = "WARNING: Unit web.container is launched and needs data.volume, so systemd stops it too. `muster start \
                   web.container` starts both.";
    assert_eq!(command_warnings(&snapshot, &[command(Verb::Stop, "data.volume")]), [warning]);
    let both = [command(Verb::Stop, "data.volume"), command(Verb::Stop, "web.container")];
    assert!(command_warnings(&snapshot, &both).is_empty());
    assert!(command_warnings(&snapshot, &[command(Verb::Restart, "data.volume")]).is_empty());

    let warnings =
        |name: &str, text: &str| decide(&Snapshot::default(), &with_file(Verb::Submit, name, text)).unwrap().warnings;
    let unit = "[Unit]\nRequires=db.container net.service\nAfter=net.network\n";
    assert_eq!(
        warnings("web.container", &format!("{unit}[Container]\nImage=a\n")),
        [
            "WARNING: Unit web.container: [Unit] After=net.network: only Podman 5.5 and later translates this: write net-network.service",
            "WARNING: Unit web.container: [Unit] Requires=db.container: only Podman 5.5 and later translates this: write db.service",
        ]
    );
    let service = warnings("web.service", &format!("[Unit]\nWants=db.container\n{TEXT}"));
    assert_eq!(
        service,
        ["WARNING: Unit web.service: [Unit] Wants=db.container: systemd does not know this: write db.service"]
    );
}

#[test]
fn the_units_that_stop_with_one_that_is_replaced_are_found_and_warned_of() {
    let mut snapshot = cluster("app.image", "[Image]\nImage=a\n", DesiredState::Launched);
    let others = [
        ("data.volume", "[Volume]\nDriver=image\nImage=app.image\n"),
        ("web.container", "[Container]\nImage=b\nVolume=data.volume:/data\n"),
        ("probe.service", "[Unit]\nAfter=web.service\nBindsTo=a.service web.service\n[Service]\n"),
        ("after.service", "[Unit]\nWants=web.service\nAfter=web.service\n[Service]\n"),
    ];
    for (unit, text) in others {
        snapshot.units.insert(name(unit), Unit::new(file(text).hash(), DesiredState::Launched));
        snapshot.files.insert(file(text).hash(), file(text));
    }
    let needing = |snapshot: &Snapshot| {
        needing(snapshot, &BTreeSet::from([name("app.image")])).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(needing(&snapshot), ["data.volume", "probe.service", "web.container"]);
    let replace = UnitCommand { replace: true, ..with_file(Verb::Start, "app.image", "[Image]\nImage=c\n") };
    let warning = |other: &str| format!("WARNING: Unit {other} needs app.image, so it stops and starts with it.");
    let warnings = command_warnings(&snapshot, &[replace.clone(), command(Verb::Start, "data.volume")]);
    assert_eq!(warnings, [warning("probe.service"), warning("web.container")]);
    let same = UnitCommand { replace: true, ..with_file(Verb::Start, "app.image", "[Image]\nImage=a\n") };
    assert!(command_warnings(&snapshot, &[same]).is_empty());
    snapshot.units.get_mut(&name("data.volume")).unwrap().desired = DesiredState::Loaded;
    assert!(needing(&snapshot).is_empty(), "it does not run by muster's order");
}

#[test]
fn the_units_that_stop_with_one_that_gets_a_new_secret_are_warned_of() {
    const DB: &str = "[Service]\nExecStart=/bin/true\n[X-Muster]\nSecret=pw\n";
    let secret = |bits| {
        let (version, recipients) = (SecretVersion::from_bits(bits), BTreeSet::new());
        SecretRecord { version, size: 1, set_at: Timestamp::ZERO, set_by: String::new(), recipients }
    };
    let mut snapshot = Snapshot::default();
    snapshot.secrets.insert("pw".parse().unwrap(), secret(1));
    let (before, web) = (with_secrets(&snapshot, &file(DB)), file("[Unit]\nRequires=db.service\n[Service]\n"));
    for (unit, file) in [("db.service", &before), ("web.service", &web)] {
        snapshot.units.insert(name(unit), Unit::new(file.hash(), DesiredState::Launched));
        snapshot.files.insert(file.hash(), file.clone());
    }
    let warning = "WARNING: Unit web.service needs db.service, so it stops and starts with it.";
    assert_eq!(replacement_warnings(&snapshot, &BTreeSet::from([name("db.service")])), [warning]);
    let replace = UnitCommand { replace: true, ..with_file(Verb::Start, "db.service", DB) };
    assert!(
        command_warnings(&snapshot, std::slice::from_ref(&replace)).is_empty(),
        "the file of the command has no versions yet"
    );

    // The machine runs it with the file before.
    let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
    let hash = before.hash();
    let state = UnitState { load, active, sub, job: None, hash, launched: true, restarts: 0, restarted: false };
    snapshot.states.entry(name("db.service")).or_default().insert(MachineId::from_bits(1), state);
    assert!(command_warnings(&snapshot, &[command(Verb::Restart, "db.service")]).is_empty());
    snapshot.secrets.insert("pw".parse().unwrap(), secret(2));
    let after = with_secrets(&snapshot, &file(DB));
    snapshot.units.get_mut(&name("db.service")).unwrap().hash = after.hash();
    snapshot.files.insert(after.hash(), after);
    for command in [command(Verb::Start, "db.service"), command(Verb::Restart, "db.service"), replace] {
        assert_eq!(command_warnings(&snapshot, &[command]), [warning]);
    }
    snapshot.units.get_mut(&name("db.service")).unwrap().desired = DesiredState::Inactive;
    assert!(replacement_warnings(&snapshot, &BTreeSet::from([name("db.service")])).is_empty());
}

#[test]
fn a_timer_or_socket_without_its_service_and_a_service_that_a_timer_still_starts_are_warned_of() {
    let timer = "[Timer]\nOnCalendar=daily\n";
    let mut snapshot = cluster("job.timer", timer, DesiredState::Launched);
    let warnings = |snapshot: &Snapshot, commands: &[UnitCommand]| command_warnings(snapshot, commands);
    let missing = "WARNING: Unit job.timer starts job.service, which is on no machine. Unless the hosts have it: write \
                   `MachineOf=job.service` into [X-Fleet] of job.timer, and `muster load job.service` first.";
    assert_eq!(warnings(&snapshot, &[command(Verb::Start, "job.timer")]), [missing]);
    let tied = "[Timer]\nOnCalendar=daily\n[X-Fleet]\nMachineOf=job.service\n";
    let load = "WARNING: Unit job.timer starts job.service, which is on no machine. `muster load job.service` first.";
    assert_eq!(warnings(&snapshot, &[with_file(Verb::Start, "job.timer", tied)]), [load]);
    let both = [command(Verb::Start, "job.timer"), command(Verb::Load, "job.service")];
    assert!(warnings(&snapshot, &both).is_empty());
    // systemd knows a container by the name of its service.
    let beside = [command(Verb::Start, "job.timer"), with_file(Verb::Load, "job.container", "[Container]\nImage=a\n")];
    assert!(warnings(&snapshot, &beside).is_empty());
    let container = cluster("job.container", "[Container]\nImage=a\n", DesiredState::Inactive);
    let named =
        Snapshot { units: snapshot.units.clone().into_iter().chain(container.units).collect(), ..snapshot.clone() };
    let said = warnings(&named, &[command(Verb::Start, "job.timer")]).join("");
    assert!(said.contains("starts job.container, which is on no machine"), "{said}");
    let service = cluster("job.service", TEXT, DesiredState::Loaded);
    snapshot.units.extend(service.units);
    snapshot.files.extend(service.files);
    assert!(warnings(&snapshot, &[command(Verb::Start, "job.timer")]).is_empty());
    let launched = "WARNING: Unit job.timer, which starts job.service, is still launched.";
    for verb in [Verb::Stop, Verb::Unload, Verb::Destroy] {
        assert_eq!(warnings(&snapshot, &[command(verb, "job.service")]), [launched]);
        assert!(warnings(&snapshot, &[command(verb, "job.service"), command(verb, "job.timer")]).is_empty());
    }
    let socket = |text: &str| warnings(&Snapshot::default(), &[with_file(Verb::Start, "a.socket", text)]).join("");
    assert!(socket("[Socket]\nListenStream=1\nService=b.service\n").contains("starts b.service,"));
    assert_eq!(socket("[Socket]\nListenStream=1\nAccept=yes\n"), "");
}

#[test]
fn a_unit_that_a_timer_of_its_application_starts_is_loaded_and_not_started() {
    use DesiredState::Inactive;
    use DesiredState::Launched;
    use DesiredState::Loaded;
    let (job, timer) = (name("job.service"), name("job.timer"));
    let verbs = |verb, desired| {
        let mut snapshot = cluster("job.service", TEXT, desired);
        let of_timer = file("[Timer]\nOnCalendar=daily\n");
        snapshot.units.insert(timer.clone(), Unit::new(of_timer.hash(), Launched));
        snapshot.files.insert(of_timer.hash(), of_timer);
        let commands = commands_for_application(&snapshot, verb, &[&job, &timer]);
        commands.iter().map(|command| (command.unit.clone(), command.verb)).collect::<Vec<_>>()
    };
    let both = |of_job, of_timer| vec![(job.clone(), of_job), (timer.clone(), of_timer)];
    for desired in [Inactive, Loaded] {
        assert_eq!(verbs(Verb::Start, desired), both(Verb::Load, Verb::Start));
        assert_eq!(verbs(Verb::Restart, desired), [(timer.clone(), Verb::Restart)]);
    }
    // The operator has started it.
    assert_eq!(verbs(Verb::Start, Launched), both(Verb::Start, Verb::Start));
    assert_eq!(verbs(Verb::Restart, Launched), both(Verb::Restart, Verb::Restart));
    assert_eq!(verbs(Verb::Stop, Loaded), both(Verb::Stop, Verb::Stop));
}

#[test]
fn a_unit_that_systemd_has_without_a_file_and_an_alias_that_it_refuses_are_refused() {
    let refusal =
        |unit: &str, text: &str| decide(&Snapshot::default(), &with_file(Verb::Load, unit, text)).unwrap_err();
    assert_eq!(
        refusal("system.slice", "[Slice]\nMemoryMax=1G\n").to_string(),
        "Unit system.slice: systemd itself has this unit on every host: choose another name"
    );
    assert_eq!(
        refusal("web.service", &format!("{TEXT}[Install]\nAlias=web.socket\n")).to_string(),
        "Unit web.service: [Install] Alias=web.socket: an alias has the type of its unit: expected a name that ends in .service"
    );
}

#[test]
fn no_two_units_have_one_name_also_if_it_is_an_alias() {
    let with_alias = |alias: &str| file(&format!("{TEXT}[Install]\nAlias={alias}\n"));
    let check = |snapshot: &Snapshot, new: &[(&str, &Arc<UnitFile>)]| {
        let new: Vec<_> = new.iter().map(|(unit, file)| (name(unit), *file)).collect();
        let checked = check_aliases(snapshot, new.iter().map(|(unit, file)| (unit, &***file)));
        checked.map_err(|error| error.to_string())
    };
    let said = |unit: &str, alias: &str, other: &str| {
        let why = "has this name too: rename one of the two ([Install] Alias=)";
        Err(format!("Unit {unit}: systemd would know it as {alias}, and {other} {why}"))
    };
    let (www, plain) = (with_alias("www.service"), file(TEXT));
    let known = cluster("www.service", TEXT, DesiredState::Inactive);
    assert_eq!(check(&known, &[("web.service", &www)]), said("web.service", "www.service", "www.service"));
    let known = cluster("www.container", "[Container]\nImage=a\n", DesiredState::Inactive);
    assert_eq!(check(&known, &[("web.service", &www)]), said("web.service", "www.service", "www.container"));
    let known = cluster("web.service", www.text(), DesiredState::Inactive);
    assert_eq!(check(&known, &[("www.service", &plain)]), said("www.service", "www.service", "web.service"));
    assert_eq!(check(&known, &[("site.service", &www)]), said("site.service", "www.service", "web.service"));
    assert_eq!(check(&known, &[("web.service", &www), ("site.service", &plain)]), Ok(()));
    assert_eq!(check(&known, &[("web.service", &plain), ("www.service", &plain)]), Ok(()));
    let both = [("a.service", &www), ("b.service", &www)];
    assert_eq!(check(&Snapshot::default(), &both), said("b.service", "www.service", "a.service"));
}
