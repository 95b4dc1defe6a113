//! The script of a visit in a real `sh`, on a host that is a folder. Its systemctl records each call.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use muster::core::model::Action;
use muster::core::model::Cluster;
use muster::core::model::ClusterId;
use muster::core::model::Expiry;
use muster::core::model::Outcome;
use muster::core::model::Ownership;
use muster::core::model::Reason;
use muster::core::model::Refused;
use muster::core::model::Report;
use muster::core::model::Step;
use muster::core::model::Visit;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;
use muster::remote::visit::VisitScript;
use proptest::prelude::*;
use tempfile::TempDir;

pub(crate) const MACHINE: &str = "3f2f3dd01bc642c29d396c0eaa4a7139";

/// A systemctl without systemd. Every listed unit is running with an old process, unless a file `listed` holds the list; a
/// unit that was started and not stopped is active. Units with `bad` in their names are refused, and units with `slow` in
/// them take long to stop. The file `soft-reboots` has the number of soft-reboots, and `restarts` the blocks with the
/// restarts of units. `needing` has the units that need others, which stop with any of them. A verb with a file in `deaf`
/// fails as if there were no bus, and one with a file in `late` does not end in time.
const SYSTEMCTL: &str = r#"#!/bin/sh
root=${0%/bin/systemctl}
{ printf '%s\0' ${SYSTEMD_OFFLINE+offline} "$@"; printf '\n'; } >>"$root/asked"
verb=$1; shift
[ ! -e "$root/deaf/$verb" ] || { echo 'Failed to connect to bus: No such file or directory' >&2; exit 1; }
[ ! -e "$root/late/$verb" ] || exit 124
case $verb in
  list-units) [ ! -e "$root/listed" ] || exec cat "$root/listed"
    for unit in "$root"/run/fleet/units/* "$root"/known/*; do
      [ -e "$unit" ] || continue
      group=$root/sys/fs/cgroup/system.slice/${unit##*/}
      [ -d "$group" ] || { mkdir -p "$group" && echo 1 >"$group/cgroup.procs"; }
      printf '%s loaded active running words of a description\n' "${unit##*/}"
    done; exit 0 ;;
  show) file=; case $* in *SoftRebootsCount*) file=soft-reboots ;; *NRestarts*) file=restarts ;; esac
    [ -z "$file" ] || { [ ! -e "$root/$file" ] || cat "$root/$file"; exit 0; } ;;
  list-dependencies) [ ! -e "$root/needing" ] || cat "$root/needing"; exit 0 ;;
esac
status=0
for unit; do
  name=${unit##*/} state=
  case $name in -*) continue ;; esac
  case $verb-$name in
    is-active-*) [ ! -e "$root/active/$name" ] || read -r state <"$root/active/$name"; echo "${state:-inactive}" ;;
    *bad*) echo "Failed to $verb $name: Unit $name has a bad unit file setting." >&2; status=1 ;;
    start-*|restart-*) echo active >"$root/active/$name" ;;
    stop-*slow*) echo deactivating >"$root/active/$name" ;;
    stop-*) rm -f "$root/active/$name"
      [ ! -e "$root/needing" ] || while read -r other; do rm -f "$root/active/$other"; done <"$root/needing" ;;
  esac
done
exit $status
"#;

pub(crate) struct Host {
    folder: TempDir,
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for path in ["run/systemd/system", "sys/fs/cgroup/system.slice", "etc", "bin", "active", "deaf"] {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        fs::write(folder.path().join("etc/machine-id"), format!("{MACHINE}\n")).unwrap();
        let systemctl = folder.path().join("bin/systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, relative: &str) -> std::path::PathBuf {
        self.folder.path().join(relative)
    }

    pub(super) fn visit(&self, visit: &Visit) -> Report {
        self.visits(std::slice::from_ref(visit), false).pop().unwrap()
    }

    /// Makes several visits in one shell.
    fn visits(&self, visits: &[Visit], quick: bool) -> Vec<Report> {
        let (reports, complaints) = self.visits_with_complaints(visits, quick);
        assert!(complaints.is_empty(), "the shell complained: {complaints}");
        reports
    }

    /// Makes a visit to a host that cannot be written to, about which the shell complains.
    pub(super) fn visit_unwritable(&self, visit: &Visit) -> Report {
        self.visits_with_complaints(std::slice::from_ref(visit), false).0.pop().unwrap()
    }

    fn visits_with_complaints(&self, visits: &[Visit], quick: bool) -> (Vec<Report>, String) {
        let root = self.folder.path().to_str().unwrap();
        let scripts: Vec<_> = visits
            .iter()
            .zip(7..)
            .map(|(visit, nonce)| VisitScript::write(visit, nonce, quick, root).unwrap())
            .collect();
        let text: String = scripts.iter().map(VisitScript::text).collect();
        let (printed, complaints) = run_shell(&text, self.folder.path());
        let ends = scripts.iter().map(|script| {
            let end = format!("{}\n", script.end());
            printed.find(&end).unwrap_or_else(|| panic!("no end in {printed:?}")) + end.len()
        });
        let mut from = 0;
        let mut reports = Vec::new();
        for (script, end) in scripts.iter().zip(ends) {
            reports.push(script.read(&printed.as_bytes()[from..end]).unwrap());
            from = end;
        }
        (reports, complaints)
    }

    /// Returns the calls of systemctl since the last call of this function, one on a line.
    pub(super) fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.path("asked")).unwrap_or_default().replace('\0', " ");
        let _ = fs::remove_file(self.path("asked"));
        asked.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

/// Returns the stdout and the stderr of the shell.
pub(super) fn run_shell(text: &str, root: &Path) -> (String, String) {
    let path = format!("{}:/usr/bin:/bin", root.join("bin").display());
    let mut shell = Command::new("sh")
        .env_clear()
        .env("PATH", path)
        .env("LC_ALL", "C")
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = shell.stdin.take().unwrap();
    let text = text.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub(super) fn unit(name: &str) -> UnitName {
    name.parse().unwrap()
}

pub(super) fn file(text: &str) -> Arc<UnitFile> {
    Arc::new(UnitFile::parse(text).unwrap())
}

pub(super) fn step(name: &str, action: Action) -> Step {
    Step { unit: unit(name), action, reason: Reason::NotThere }
}

/// A visit that loads and starts units with one text.
pub(super) fn launch(names: &[&str], text: &str) -> Visit {
    let file = file(text);
    let hash = file.hash();
    let load = names.iter().map(|name| step(name, Action::Load { hash, install: file.has_install(), strict: false }));
    let start = names.iter().map(|name| step(name, Action::Start { count: 0 }));
    Visit { steps: load.chain(start).collect(), files: [(hash, file)].into(), ..look(5) }
}

/// A visit that replaces the file of a unit and starts it again.
pub(super) fn replace(name: &str, text: &str) -> Visit {
    let mut visit = launch(&[name], text);
    visit.steps.insert(0, step(name, Action::Unload));
    visit
}

pub(super) fn look(epoch: u64) -> Visit {
    Visit { machine: Some(MACHINE.parse().unwrap()), epoch, ..Visit::default() }
}

#[test]
fn a_unit_is_written_linked_started_and_seen() {
    let host = Host::new();
    let text = "[Service]\nExecStart=/bin/sh -c 'echo $HOME \"`id`\"; true'\n\n[Install]\nWantedBy=multi-user.target\n";
    let visit = launch(&["web.service"], text);
    let report = host.visit(&visit);
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(fs::read_to_string(host.path("run/fleet/units/web.service")).unwrap(), text);
    let seen = report.observation.unwrap();
    assert_eq!(seen.epoch, 0, "what the host had seen before this leader");
    let state = &seen.units.unwrap()[&unit("web.service")];
    assert!(state.launched && state.runs());
    let path = host.path("run/fleet/units/web.service");
    let expected = [
        "list-units --all --full --plain --no-legend --no-pager -- web.service".to_owned(),
        format!("offline link --runtime --no-reload -- {}", path.display()),
        "enable --runtime -- web.service".to_owned(),
        "show --property=SoftRebootsCount --value".to_owned(),
        "start --no-block -- web.service".to_owned(),
        "list-units --all --full --plain --no-legend --no-pager -- web.service init.scope".to_owned(),
    ];
    assert_eq!(host.asked(), expected);
}

#[test]
fn systemd_is_reloaded_only_for_units_that_it_may_have_read_before() {
    let reloads = |prepare: fn(&Host, &mut Visit)| {
        let host = Host::new();
        let mut visit = launch(&["a.service", "b.service"], "[Service]\nExecStart=/bin/true\n");
        prepare(&host, &mut visit);
        host.visit(&visit);
        host.asked().iter().filter(|line| *line == "daemon-reload").count()
    };
    assert_eq!(reloads(|_, _| ()), 0, "it finds new files by itself");
    assert_eq!(reloads(|_, visit| visit.reload = true), 1, "an older one does not");
    let known = |host: &Host, _: &mut Visit| {
        fs::create_dir(host.path("known")).unwrap();
        fs::write(host.path("known/b.service"), "").unwrap();
    };
    assert_eq!(reloads(known), 1, "another unit named this one, or it was there before");
}

#[test]
fn a_unit_with_the_name_of_one_of_the_hosts_is_not_loaded_and_not_started() {
    let host = Host::new();
    let folders = ["usr/lib/systemd/system", "etc/systemd/system", "run/systemd/generator", "lib/systemd/system"];
    for folder in folders {
        fs::create_dir_all(host.path(folder)).unwrap();
    }
    fs::write(host.path("usr/lib/systemd/system/ssh.service"), "").unwrap();
    std::os::unix::fs::symlink("/dev/null", host.path("etc/systemd/system/masked.service")).unwrap();
    fs::write(host.path("lib/systemd/system/getty@.service"), "").unwrap();
    fs::write(host.path("run/systemd/generator/mnt.mount"), "").unwrap();
    let names = ["ssh.service", "masked.service", "getty@tty1.service", "mnt.mount", "web@1.service", "web.service"];
    let text = "[Service]\nExecStart=/bin/true\n";
    let report = host.visit(&launch(&names, text));
    let place = |folder: &str, name: &str| format!("which is not muster's: {}", host.path(folder).join(name).display());
    let places = [
        place(folders[0], "ssh.service"),
        place(folders[1], "masked.service"),
        place(folders[3], "getty@.service"),
        place(folders[2], "mnt.mount"),
    ];
    for (outcome, place) in report.outcomes.iter().zip(places) {
        assert!(matches!(outcome, Outcome::Failed(said) if said.contains(&place)), "no {place} in {outcome:?}");
    }
    let asked = host.asked();
    let started: Vec<_> = asked.iter().filter(|line| line.starts_with("start ")).collect();
    assert_eq!(started, ["start --no-block -- web@1.service web.service"]);
    let units = report.observation.unwrap().units.unwrap();
    assert_eq!(units.keys().map(ToString::to_string).collect::<Vec<_>>(), ["web.service", "web@1.service"]);
    // What muster has loaded is linked from one of these folders.
    let link = host.path("run/systemd/system/web.service");
    std::os::unix::fs::symlink(host.path("run/fleet/units/web.service"), &link).unwrap();
    assert_eq!(host.visit(&launch(&["web.service"], text)).outcomes, [Outcome::Done, Outcome::Done]);
}

#[test]
fn a_unit_that_systemd_refuses_does_not_block_the_others() {
    let host = Host::new();
    let report = host.visit(&launch(&["a.service", "bad.service", "c.service"], "[Service]\nExecStart=/bin/true\n"));
    let refused =
        |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.contains("bad unit file setting"));
    let failed: Vec<bool> = report.outcomes.iter().map(refused).collect();
    assert_eq!(failed, [false, false, false, false, true, false], "{:?}", report.outcomes);
    let units = report.observation.unwrap().units.unwrap();
    assert!(units[&unit("a.service")].launched && units[&unit("c.service")].launched);
    assert!(!units[&unit("bad.service")].launched, "a start that was refused is tried again");
}

#[test]
fn the_journal_of_the_host_says_why_systemd_refuses_a_file_that_was_loaded_just_now() {
    let host = Host::new();
    let journalctl = host.path("bin/journalctl");
    let script = "#!/bin/sh\nfor word; do last=$word; done\n\
        printf '%s\\n' '/run/fleet/units/web.service:2: no absolute path' \"$last: fatal\" \"$last: fatal\"\n";
    fs::write(&journalctl, script).unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(host.path("listed"), "web.service bad-setting inactive dead words\nok.service loaded active running x\n")
        .unwrap();
    let report = host.visit(&launch(&["ok.service", "web.service"], "[Service]\nExecStart=true\n"));
    let said = "systemd does not load it: bad-setting: /run/fleet/units/web.service:2: no absolute path; \
                UNIT=web.service: fatal";
    assert_eq!(report.outcomes[..2], [Outcome::Done, Outcome::Failed(said.to_owned())]);
    // An observation does not read the journal.
    fs::remove_file(&journalctl).unwrap();
    assert_eq!(host.visit(&look(5)).observation.unwrap().units.unwrap().len(), 2);
}

/// A systemd-analyze that refuses each file with the word `odd` in it, and takes one without a byte for a masked unit.
const ANALYZE: &str = r#"#!/bin/sh
status=0
for file; do
  [ ! -e "$file" ] || [ -s "$file" ] || { echo "Unit ${file##*/} is masked."; status=1; continue; } >&2
  [ -e "$file" ] && grep -q odd "$file" || continue
  unit=${file##*/} status=1
  printf '%s\n' "other.service: Command /bin/absent is not executable" "$file:2: Invalid value: odd" \
    "$unit: Unit configuration has fatal error." "Unit $unit has a bad unit file setting."
done >&2
exit $status
"#;

#[test]
fn a_unit_whose_new_file_systemd_refuses_is_not_stopped() {
    let host = Host::new();
    let analyze = host.path("bin/systemd-analyze");
    fs::write(&analyze, ANALYZE).unwrap();
    fs::set_permissions(&analyze, fs::Permissions::from_mode(0o755)).unwrap();
    let first = "[Service]\nExecStart=/bin/true\n";
    host.visit(&launch(&["a.service", "b.service"], first));
    host.asked();
    let (odd, good) = (replace("a.service", "[Service]\nType=odd\n"), replace("b.service", "[Service]\nType=exec\n"));
    let files = odd.files.clone().into_iter().chain(good.files.clone()).collect();
    let visit = Visit { steps: odd.steps.iter().chain(&good.steps).cloned().collect(), files, ..look(5) };
    let report = host.visit(&visit);
    let path = host.path("run/fleet/units/a.service");
    let why = format!(
        "systemd refuses its new file, so the earlier one stays: {}:2: Invalid value: odd; a.service: Unit configuration has \
         fatal error.",
        path.display()
    );
    let [refused, done] = [Outcome::Failed(why), Outcome::Done];
    assert_eq!(report.outcomes, [[(); 3].map(|()| refused.clone()), [(); 3].map(|()| done.clone())].concat());
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    let units = report.observation.unwrap().units.unwrap();
    assert!(units[&unit("a.service")].launched && units[&unit("b.service")].launched, "{units:?}");
    assert_eq!(units[&unit("b.service")].hash, *good.files.keys().next().unwrap());
    let asked = host.asked();
    let verbs = ["stop", "start", "enable", "disable", "link"];
    let changed = asked.iter().filter(|line| verbs.iter().any(|verb| line.starts_with(verb)));
    assert!(changed.clone().count() >= 3 && !changed.clone().any(|line| line.contains("a.service")), "{asked:?}");
    assert!(fs::read_dir(host.path("run/muster/new")).unwrap().next().is_none(), "the refused file is gone");
}

#[test]
fn a_target_or_slice_whose_new_file_systemd_refuses_keeps_the_earlier_one() {
    let host = Host::new();
    let analyze = host.path("bin/systemd-analyze");
    fs::write(&analyze, ANALYZE).unwrap();
    fs::set_permissions(&analyze, fs::Permissions::from_mode(0o755)).unwrap();
    let names = ["shop.target", "shop.slice"];
    host.visit(&launch(&names, "[Unit]\nDescription=a\n"));
    host.asked();
    let regroup = |text: &str| {
        let mut visit = launch(&names, text);
        visit.steps.iter_mut().for_each(|step| step.reason = Reason::HashDiffers);
        host.visit(&visit)
    };
    for (text, why) in [("", "Unit shop.target is masked."), ("[Unit]\nWants=odd\n", ":2: Invalid value: odd")] {
        let report = regroup(text);
        let is_kept = |said: &str| said.starts_with("systemd refuses its new file, so the earlier one stays: ");
        assert!(report.outcomes.iter().all(|it| matches!(it, Outcome::Failed(said) if is_kept(said))), "{report:?}");
        assert!(matches!(&report.outcomes[0], Outcome::Failed(said) if said.contains(why)), "{report:?}");
        for name in names {
            let path = host.path("run/fleet/units").join(name);
            assert_eq!(fs::read_to_string(path).unwrap(), "[Unit]\nDescription=a\n");
            assert!(report.observation.as_ref().unwrap().units.as_ref().unwrap()[&unit(name)].launched);
        }
        let asked = host.asked();
        assert!(!asked.iter().any(|call| ["start", "link", "daemon-reload"].iter().any(|it| call.starts_with(it))));
    }
    assert_eq!(regroup("[Unit]\nDescription=b\n").outcomes, [(); 4].map(|()| Outcome::Done));
}

#[test]
fn a_lower_epoch_a_late_script_and_another_machine_are_refused() {
    let host = Host::new();
    let text = "[Service]\nExecStart=/bin/true\n";
    assert_eq!(host.visit(&launch(&["a.service"], text)).refused, None);
    let mut old = launch(&["b.service"], text);
    old.epoch = 4;
    assert_eq!(host.visit(&old).refused, Some(Refused::LaterLeader(5)));
    assert_eq!(host.visit(&look(4)).refused, Some(Refused::LaterLeader(5)));
    let mut late = launch(&["b.service"], text);
    let seen = host.visit(&look(5)).observation.unwrap();
    late.expires = Some(Expiry { boot: seen.boot.clone(), uptime: std::time::Duration::from_secs(1) });
    assert_eq!(host.visit(&late).refused, Some(Refused::TooLate));
    let tomorrow = seen.uptime + std::time::Duration::from_hours(24);
    late.expires = Some(Expiry { boot: "an earlier boot".to_owned(), uptime: tomorrow });
    assert_eq!(host.visit(&late).refused, Some(Refused::TooLate), "uptimes of another boot mean nothing");
    let mut stranger = launch(&["b.service"], text);
    stranger.machine = Some("00000000000000000000000000000001".parse().unwrap());
    assert_eq!(host.visit(&stranger).refused, Some(Refused::OtherMachine(MACHINE.to_owned())));
    assert!(!host.path("run/fleet/units/b.service").exists());
}

#[test]
fn a_visit_that_comes_twice_or_was_overtaken_is_refused() {
    let host = Host::new();
    let numbered =
        |epoch, number| Visit { epoch, number, ..launch(&["a.service"], "[Service]\nExecStart=/bin/true\n") };
    let refused_as_late = |visits: &[Visit]| -> Vec<bool> {
        host.visits(visits, false).iter().map(|report| report.refused == Some(Refused::TooLate)).collect()
    };
    let visits = [numbered(5, 9), numbered(5, 9), look(5), numbered(5, 8), numbered(5, 10)];
    assert_eq!(refused_as_late(&visits), [false, true, false, true, false]);
    assert_eq!(refused_as_late(&[numbered(6, 1), numbered(6, 1)]), [false, true], "a new leader counts anew");
    assert_eq!(fs::read_to_string(host.path("run/muster/epoch")).unwrap().lines().next(), Some("6 1"));
}

#[test]
fn a_host_remembers_the_highest_serial_of_the_leases() {
    let host = Host::new();
    let seen = |serial| host.visit(&Visit { serial, ..look(5) }).observation.unwrap().serial;
    assert_eq!([0, 7, 5, 8, 8].map(seen), [0, 0, 7, 7, 8]);
    let act = |serial| Visit { number: serial, serial, ..launch(&["a.service"], "[Service]\nExecStart=/bin/true\n") };
    host.visit(&act(12));
    host.visit(&Visit { read_only: true, serial: 20, ..look(5) });
    assert_eq!(seen(0), 12);
}

#[test]
fn a_host_that_is_asked_says_whether_it_has_room_for_unit_files() {
    let host = Host::new();
    host.visit(&look(5));
    let asks = Visit { asks_for_room: true, ..look(5) };
    let has_room = |visit: &Visit| host.visit(visit).observation.unwrap().has_room;
    assert!(has_room(&asks) && !has_room(&look(5)) && !has_room(&Visit { read_only: true, ..asks.clone() }));
    assert!(!host.path("run/muster/room").exists());
    // A file cannot be written there.
    fs::create_dir(host.path("run/muster/room")).unwrap();
    assert!(!has_room(&asks));
}

#[test]
fn a_visit_that_is_refused_does_not_keep_the_lock() {
    let host = Host::new();
    let visit = Visit { number: 1, ..launch(&["a.service"], "[Service]\nExecStart=/bin/true\n") };
    host.visit(&visit);
    let script = VisitScript::write(&visit, 7, false, host.folder.path().to_str().unwrap()).unwrap();
    let text = format!("{}[ ! -e /proc/$$/fd/9 ] || echo held\n", script.text());
    let (printed, complaints) = run_shell(&text, host.folder.path());
    assert_eq!(complaints, "");
    assert!(printed.contains("refused late") && !printed.contains("held"), "{printed}");
}

#[test]
fn only_root_can_enter_the_folder_of_the_lock_even_if_it_was_open_before() {
    let mode = |host: &Host, path: &str| fs::metadata(host.path(path)).unwrap().permissions().mode() & 0o777;
    let modes = |host: &Host| ["run/muster", "run/muster/lock"].map(|path| mode(host, path));
    let fresh = Host::new();
    fresh.visit(&look(5));
    assert_eq!(modes(&fresh), [0o700, 0o600]);
    let open = Host::new();
    fs::create_dir(open.path("run/muster")).unwrap();
    fs::write(open.path("run/muster/lock"), "").unwrap();
    for (path, mode) in [("run/muster", 0o755), ("run/muster/lock", 0o644)] {
        fs::set_permissions(open.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    open.visit(&look(5));
    assert_eq!(modes(&open), [0o700, 0o600]);
}

#[test]
fn a_visit_that_waits_for_the_lock_says_so_before_a_look_is_given_up() {
    let host = Host::new();
    host.visit(&look(5));
    let lock = fs::File::open(host.path("run/muster/lock")).unwrap();
    lock.lock().unwrap();
    let next = look(6);
    let limit = VisitScript::write(&next, 7, false, "").unwrap().limit();
    let began = std::time::Instant::now();
    assert_eq!(host.visit(&next).refused, Some(Refused::Busy));
    assert!(began.elapsed() < limit, "{:?}", began.elapsed());
    lock.unlock().unwrap();
    assert_eq!(host.visit(&next).refused, None);
}

#[test]
fn after_a_visit_by_a_new_leader_the_old_one_is_refused() {
    let host = Host::new();
    assert_eq!(host.visit(&look(6)).refused, None);
    assert_eq!(host.visit(&look(5)).refused, Some(Refused::LaterLeader(6)));
}

/// A visit by the cluster with this number.
fn of_cluster(number: u128, visit: Visit) -> Visit {
    let cluster = Cluster { id: ClusterId::from_bits(number), name: format!("cluster $number {number}") };
    Visit { cluster: Some(Arc::new(cluster)), ..visit }
}

fn owns(number: u128, ownership: Ownership) -> Visit {
    of_cluster(number, Visit { ownership, ..look(0) })
}

fn other_cluster(number: u128) -> Refused {
    Refused::OtherCluster(format!("cluster $number {number} ({})", ClusterId::from_bits(number)))
}

#[test]
fn a_host_remembers_its_cluster_and_refuses_every_visit_of_another() {
    let host = Host::new();
    let web = || launch(&["web.service"], "[Service]\nExecStart=/bin/true\n");
    assert_eq!(host.visit(&owns(1, Ownership::Join)).refused, None);
    assert_eq!(host.visit(&of_cluster(1, web())).refused, None);
    for visit in [look(9), web(), Visit { read_only: true, ..look(9) }, owns(2, Ownership::Join)] {
        assert_eq!(host.visit(&of_cluster(2, visit)).refused, Some(other_cluster(1)));
    }
    assert_eq!(host.visit(&web()).refused, Some(other_cluster(1)), "a visit that does not know its cluster");
    assert!(host.path("run/fleet/units/web.service").exists());
    assert_eq!(host.visit(&of_cluster(1, look(5))).refused, None, "the epoch of the other cluster counted for nothing");
}

#[test]
fn a_host_that_is_taken_over_obeys_the_new_cluster_from_its_first_epoch_on() {
    let host = Host::new();
    host.visit(&owns(1, Ownership::Join));
    host.visit(&of_cluster(1, Visit { epoch: 99, ..launch(&["web.service"], "[Service]\nExecStart=/bin/true\n") }));
    let taken_from =
        |visit| host.visit(&visit).observation.unwrap().taken_from.map(|cluster| Refused::OtherCluster(cluster.0));
    assert_eq!(taken_from(owns(2, Ownership::TakeOver)), Some(other_cluster(1)));
    assert_eq!(taken_from(owns(2, Ownership::TakeOver)), None);
    assert_eq!(host.visit(&of_cluster(1, look(99))).refused, Some(other_cluster(2)));
    assert_eq!(host.visit(&of_cluster(2, look(1))).refused, None);
}

#[test]
fn a_host_that_its_own_cluster_takes_over_forgets_an_epoch_that_no_leader_reaches() {
    let host = Host::new();
    host.visit(&owns(1, Ownership::Join));
    host.visit(&of_cluster(1, look(i64::MAX.unsigned_abs())));
    assert_eq!(host.visit(&owns(1, Ownership::Join)).refused, None);
    let refused = host.visit(&of_cluster(1, look(5))).refused;
    assert_eq!(refused, Some(Refused::LaterLeader(i64::MAX.unsigned_abs())));
    assert_eq!(host.visit(&owns(1, Ownership::TakeOver)).refused, None);
    assert_eq!(host.visit(&of_cluster(1, look(5))).refused, None);
}

#[test]
fn a_host_that_has_left_belongs_to_the_next_cluster_that_claims_it() {
    let host = Host::new();
    host.visit(&owns(1, Ownership::Join));
    host.visit(&of_cluster(1, look(99)));
    assert_eq!(host.visit(&owns(2, Ownership::Leave)).refused, Some(other_cluster(1)));
    assert_eq!(host.visit(&owns(1, Ownership::Leave)).refused, None);
    let launch = launch(&["web.service"], "[Service]\nExecStart=/bin/true\n");
    assert_eq!(host.visit(&of_cluster(1, launch.clone())).outcomes, [Outcome::Done, Outcome::Done]);
    let there = host.visit(&owns(1, Ownership::Leave)).observation.unwrap().foreign;
    assert_eq!(there.keys().collect::<Vec<_>>(), [&unit("web.service")], "the host names what is still there");
    let seen = host.visit(&owns(1, Ownership::Join)).observation.unwrap();
    assert!(seen.foreign.contains_key(&unit("web.service")), "its file belongs to no cluster now");
    fs::remove_file(host.path("run/fleet/units/web.service")).unwrap();
    assert_eq!(host.visit(&of_cluster(1, launch)).outcomes, [Outcome::Done, Outcome::Done], "and a host can come back");
    assert_eq!(host.visit(&owns(1, Ownership::Leave)).refused, None);
    // As after a boot, the first leader that visits claims the host.
    assert_eq!(host.visit(&of_cluster(2, look(1))).refused, None);
    assert_eq!(host.visit(&of_cluster(1, look(99))).refused, Some(other_cluster(2)));
}

#[test]
fn a_host_forgets_the_serials_of_another_clusters_leases() {
    let seen = |host: &Host, number| {
        host.visit(&of_cluster(number, Visit { serial: 0, ..look(9) })).observation.unwrap().serial
    };
    let member = || {
        let host = Host::new();
        host.visit(&owns(1, Ownership::Join));
        host.visit(&of_cluster(1, Visit { serial: 7, ..look(5) }));
        assert_eq!(seen(&host, 1), 7);
        host
    };
    let host = member();
    host.visit(&owns(1, Ownership::TakeOver));
    assert_eq!(seen(&host, 1), 7, "the store of its own cluster may have been restored");
    host.visit(&owns(2, Ownership::TakeOver));
    assert_eq!(seen(&host, 2), 0);
    let host = member();
    host.visit(&owns(1, Ownership::Leave));
    host.visit(&owns(2, Ownership::Join));
    assert_eq!(seen(&host, 2), 0);
}

#[test]
fn a_unit_file_of_another_program_is_reported_and_never_changed() {
    let host = Host::new();
    fs::create_dir_all(host.path("run/fleet/units")).unwrap();
    let path = host.path("run/fleet/units/prod-db.service");
    fs::write(&path, "[Service]\n").unwrap();
    let foreign = |report: &Report| -> Vec<String> {
        let seen = report.observation.as_ref().unwrap();
        seen.foreign.keys().map(ToString::to_string).collect()
    };
    for ownership in [Ownership::Join, Ownership::TakeOver] {
        let report = host.visit(&owns(1, ownership));
        assert_eq!((&report.refused, foreign(&report)), (&None, vec!["prod-db.service".to_owned()]));
    }
    host.asked();
    let mut visit = of_cluster(1, launch(&["prod-db.service", "web.service"], "[Service]\nExecStart=/bin/true\n"));
    let report = host.visit(&visit);
    let refused = format!("the host has a unit of this name, which is not muster's: {}", path.display());
    assert!(matches!(&report.outcomes[0], Outcome::Failed(said) if *said == refused), "{report:?}");
    assert_eq!(foreign(&report), ["prod-db.service"]);
    visit.steps =
        [Action::Unload, Action::Stop, Action::Restart { count: 1 }].map(|it| step("prod-db.service", it)).into();
    host.visit(&visit);
    let asked = host.asked();
    let touched = asked.iter().find(|line| line.contains("prod-db") && !line.starts_with("list-units"));
    assert_eq!(touched, None);
    assert_eq!(fs::read_to_string(&path).unwrap(), "[Service]\n");
}

#[test]
fn a_file_that_muster_wrote_and_a_user_changed_is_still_musters() {
    let host = Host::new();
    let text = "[Service]\nExecStart=/bin/true\n";
    host.visit(&launch(&["web.service"], text));
    fs::write(host.path("run/fleet/units/web.service"), "[Service]\n").unwrap();
    let seen = host.visit(&look(5)).observation.unwrap();
    assert!(seen.foreign.is_empty() && seen.units.unwrap().contains_key(&unit("web.service")));
    assert_eq!(host.visit(&launch(&["web.service"], text)).outcomes, [Outcome::Done, Outcome::Done]);
    let unload = Visit { steps: vec![step("web.service", Action::Unload)], ..look(5) };
    assert_eq!(host.visit(&unload).outcomes, [Outcome::Done]);
    fs::write(host.path("run/fleet/units/web.service"), "[Service]\n").unwrap();
    assert!(
        host.visit(&look(5)).observation.unwrap().foreign.contains_key(&unit("web.service")),
        "muster has unloaded it"
    );
}

#[test]
fn a_read_only_visit_sees_all_units_and_changes_nothing() {
    let host = Host::new();
    host.visit(&launch(&["a.service"], "[Service]\nExecStart=/bin/true\n"));
    let traces = || {
        let run = host.path("run/muster");
        let names = ["epoch", "lock", "launched/a.service"].map(|name| fs::metadata(run.join(name)).unwrap());
        names.map(|data| (data.modified().unwrap(), data.len()))
    };
    let before = traces();
    let report = host.visit(&Visit { read_only: true, ..look(1) });
    assert_eq!((report.refused, traces()), (None, before));
    assert!(report.observation.unwrap().units.unwrap().contains_key(&unit("a.service")));
    let fresh = Host::new();
    assert_eq!(fresh.visit(&Visit { read_only: true, ..look(1) }).refused, None);
    assert!(!fresh.path("run/muster").exists());
}

#[test]
fn a_unit_whose_file_was_removed_is_reported_while_it_runs_and_can_be_unloaded() {
    for others in [&["b.service"][..], &[]] {
        let host = Host::new();
        host.visit(&launch(&[&["a.service"], others].concat(), "[Service]\nExecStart=/bin/true\n"));
        fs::remove_file(host.path("run/fleet/units/a.service")).unwrap();
        // systemd still knows the unit.
        fs::create_dir_all(host.path("known")).unwrap();
        fs::write(host.path("known/a.service"), "").unwrap();
        let units = host.visit(&look(5)).observation.unwrap().units.unwrap();
        let state = &units[&unit("a.service")];
        assert!(state.runs() && state.launched && !state.has_file(), "{state:?}");
        let unload = Visit { steps: vec![step("a.service", Action::Unload)], ..look(5) };
        fs::remove_file(host.path("known/a.service")).unwrap();
        assert_eq!(host.visit(&unload).outcomes, [Outcome::Done]);
        assert!(!host.path("run/muster/files/a.service").exists() && !host.path("active/a.service").exists());
        assert_eq!(host.visit(&look(5)).observation.unwrap().units.unwrap_or_default().len(), others.len());
    }
}

#[test]
fn a_quick_look_starts_no_process_while_nothing_changes() {
    let host = Host::new();
    host.visit(&launch(&["a.service"], "[Service]\nExecStart=/bin/true\n"));
    host.asked();
    let reports = host.visits(&[look(5), look(5), look(5)], true);
    let whole: Vec<bool> = reports.iter().map(|report| report.observation.as_ref().unwrap().units.is_some()).collect();
    assert_eq!(whole, [true, false, false]);
    let first = "list-units --all --full --plain --no-legend --no-pager -- a.service init.scope";
    assert_eq!(host.asked(), ["show --property=SoftRebootsCount --value", first]);
}

#[test]
fn a_start_that_waits_in_systemds_queue_is_reported_as_queued() {
    let host = Host::new();
    host.visit(&launch(&["a.service", "b.service"], "[Service]\nExecStart=/bin/true\n"));
    let listed = "a.service  loaded inactive dead    start start the engine\n\
                  b.service  loaded active   running       start is a word of this description\n\
                  init.scope loaded active   running       System and Service Manager\n";
    fs::write(host.path("listed"), listed).unwrap();
    let units = host.visit(&look(5)).observation.unwrap().units.unwrap();
    assert_eq!(units[&unit("a.service")].to_string(), "inactive (dead), start queued");
    assert_eq!(units[&unit("b.service")].to_string(), "active (running)");
}

#[test]
fn a_service_that_ends_while_it_is_observed_is_asked_for_its_restarts() {
    let host = Host::new();
    host.visit(&launch(&["a.service", "b.service"], "[Service]\nExecStart=/bin/true\nRestart=always\n"));
    let observed = || {
        let units = host.visit(&look(5)).observation.unwrap().units.unwrap();
        ["a.service", "b.service"].map(|name| units[&unit(name)].to_string())
    };
    fs::write(host.path("restarts"), "Id=a.service\nNRestarts=7\n\nId=b.service\nNRestarts=0\n").unwrap();
    assert_eq!(observed(), ["active (running)"; 2], "their processes are old");
    // systemd has listed them as running, and then their processes ended.
    for name in ["a.service", "b.service"] {
        fs::write(host.path(&format!("sys/fs/cgroup/system.slice/{name}/cgroup.procs")), "").unwrap();
    }
    host.asked();
    assert_eq!(observed(), ["active (running), restarted by systemd a moment ago", "active (running)"]);
    assert!(host.asked().contains(&"show --property=Id,NRestarts -- a.service b.service".to_owned()));
    // A service that has ended before is not asked.
    fs::write(host.path("listed"), "a.service loaded active exited a\nb.service loaded failed failed b\n").unwrap();
    assert_eq!(observed(), ["active (exited)", "failed (failed)"]);
}

#[test]
fn a_start_before_a_soft_reboot_does_not_count() {
    let host = Host::new();
    let is_launched = || host.visit(&look(5)).observation.unwrap().units.unwrap()[&unit("a.service")].launched;
    let start = || host.visit(&launch(&["a.service"], "[Service]\nExecStart=/bin/true\n"));
    start();
    assert!(is_launched(), "this systemd knows no soft-reboots");
    fs::write(host.path("soft-reboots"), "0\n").unwrap();
    assert!(is_launched());
    fs::write(host.path("soft-reboots"), "1\n").unwrap();
    assert!(!is_launched());
    fs::write(host.path("deaf/show"), "").unwrap();
    assert!(is_launched(), "a systemd that does not answer denies no start");
    fs::remove_file(host.path("deaf/show")).unwrap();
    start();
    assert!(is_launched());
    fs::write(host.path("soft-reboots"), "2\n").unwrap();
    assert!(!is_launched());
}

#[test]
fn a_unit_that_systemd_stops_with_one_that_is_replaced_counts_as_not_started() {
    let host = Host::new();
    let names = ["db.service", "ended.service", "web.service"];
    host.visit(&launch(&names, "[Service]\nExecStart=/bin/true\n"));
    fs::write(host.path("needing"), "db.service\n  web.service\n    ended.service\n  multi-user.target\n").unwrap();
    fs::remove_file(host.path("active/ended.service")).unwrap();
    let is_launched = |report: &Report| {
        let units = report.observation.as_ref().unwrap().units.as_ref().unwrap();
        names.map(|name| units.get(&unit(name)).is_some_and(|state| state.launched))
    };
    host.asked();
    let replaced = host.visit(&replace("db.service", "[Service]\nExecStart=/bin/sleep 9\n"));
    assert_eq!(is_launched(&replaced), [true, true, false], "the one that had ended before is left alone");
    let asked = host.asked();
    let at =
        |call: &str| asked.iter().position(|it| it.starts_with(call)).unwrap_or_else(|| panic!("{call}: {asked:?}"));
    let needing = at("list-dependencies --reverse --plain --all -- db.service");
    assert!(needing < at("is-active -- web.service ended.service") && needing < at("stop -- db.service"));
    // A unit that is unloaded for good takes the others along.
    host.visit(&launch(&["web.service"], "[Service]\nExecStart=/bin/true\n"));
    let unload = Visit { steps: vec![step("db.service", Action::Unload)], ..look(5) };
    assert_eq!(is_launched(&host.visit(&unload)), [false, true, true]);
}

#[test]
fn an_unload_takes_the_file_away() {
    let host = Host::new();
    host.visit(&launch(&["a.service", "b.service"], "[Service]\nExecStart=/bin/true\n"));
    let mut visit = look(5);
    visit.steps = vec![step("a.service", Action::Unload)];
    let report = host.visit(&visit);
    assert_eq!(report.outcomes, [Outcome::Done]);
    let units = report.observation.unwrap().units.unwrap();
    assert_eq!(units.keys().map(UnitName::as_str).collect::<Vec<_>>(), ["b.service"]);
    assert!(!host.path("run/muster/launched/a.service").exists());
}

#[test]
fn a_stop_that_is_refused_stays_to_be_done_and_the_others_are_done() {
    let host = Host::new();
    let names = ["a.service", "bad.service"];
    host.visit(&launch(&names, "[Service]\nExecStart=/bin/true\n"));
    // The unit was started before systemd refused it.
    fs::write(host.path("run/muster/launched/bad.service"), "0\n").unwrap();
    let mut visit = look(5);
    visit.steps = names.iter().map(|name| step(name, Action::Stop)).collect();
    let units = host.visit(&visit).observation.unwrap().units.unwrap();
    let launched: Vec<bool> = names.iter().map(|name| units[&unit(name)].launched).collect();
    assert_eq!(launched, [false, true]);
    visit.steps = names.iter().map(|name| step(name, Action::Unload)).collect();
    host.visit(&visit);
    assert!(
        names.iter().all(|name| !host.path("run/muster/launched").join(name).exists()),
        "what is gone is not started"
    );
}

#[test]
fn a_unit_whose_stop_waits_for_that_of_another_unit_is_still_being_stopped() {
    let host = Host::new();
    let names = ["a.service", "b.service"];
    host.visit(&launch(&names, "[Service]\nExecStart=/bin/true\n"));
    let listed = "a.service  loaded deactivating stop-sigterm stop words\n\
                  b.service  loaded active       running      stop words\n\
                  init.scope loaded active       running           System and Service Manager\n";
    fs::write(host.path("listed"), listed).unwrap();
    fs::create_dir_all(host.path("late")).unwrap();
    fs::write(host.path("late/stop"), "").unwrap();
    for action in [Action::Stop, Action::Unload] {
        let visit = Visit { steps: names.map(|name| step(name, action)).to_vec(), ..look(5) };
        assert_eq!(host.visit(&visit).outcomes, [Outcome::Begun, Outcome::Begun], "{action}");
    }
    assert!(host.path("run/fleet/units/b.service").exists());
}

#[test]
fn a_start_that_did_not_reach_systemd_stays_to_be_done() {
    let host = Host::new();
    let names = ["a.service", "b.service"];
    fs::write(host.path("deaf/start"), "").unwrap();
    let report = host.visit(&launch(&names, "[Service]\nExecStart=/bin/true\n"));
    let unheard = |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.contains("connect to bus"));
    let failed: Vec<bool> = report.outcomes.iter().map(unheard).collect();
    assert_eq!(failed, [false, false, true, true], "{:?}", report.outcomes);
    let units = report.observation.unwrap().units.unwrap();
    assert!(names.iter().all(|name| !units[&unit(name)].launched));

    fs::remove_file(host.path("deaf/start")).unwrap();
    let again = Visit { steps: names.map(|name| step(name, Action::Start { count: 0 })).to_vec(), ..look(5) };
    assert_eq!(host.visit(&again).outcomes, [Outcome::Done, Outcome::Done]);
}

#[test]
fn a_restart_that_is_refused_stays_to_be_done_and_the_unit_can_still_be_stopped() {
    let host = Host::new();
    let text = "[Service]\nExecStart=/bin/true\n";
    host.visit(&launch(&["a.service"], text));
    fs::write(host.path("deaf/restart"), "").unwrap();
    let restart = Visit { steps: vec![step("a.service", Action::Restart { count: 3 })], ..look(5) };
    let report = host.visit(&restart);
    assert!(matches!(report.outcomes[0], Outcome::Failed(_)), "{report:?}");
    let state = &report.observation.unwrap().units.unwrap()[&unit("a.service")];
    assert!(state.launched && state.restarts < 3, "the copy that runs is muster's: {state:?}");
    fs::remove_file(host.path("deaf/restart")).unwrap();
    let state = &host.visit(&restart).observation.unwrap().units.unwrap()[&unit("a.service")];
    assert_eq!((state.launched, state.restarts), (true, 3));
}

#[test]
fn a_stop_that_did_not_reach_systemd_leaves_the_start_records_and_the_files() {
    let host = Host::new();
    let names = ["a.service", "b.service"];
    host.visit(&launch(&names, "[Service]\nExecStart=/bin/true\n"));
    for verb in ["stop", "is-active"] {
        fs::write(host.path("deaf").join(verb), "").unwrap();
    }
    for action in [Action::Stop, Action::Unload] {
        let visit = Visit { steps: names.map(|name| step(name, action)).to_vec(), ..look(5) };
        let report = host.visit(&visit);
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.contains("connect to bus"));
        assert!(report.outcomes.iter().all(failed), "{:?}", report.outcomes);
        let units = report.observation.unwrap().units.unwrap();
        assert!(names.iter().all(|name| units[&unit(name)].launched), "{units:?}");
    }
}

/// Text that a shell would interpret without correct quoting.
fn hostile_text() -> impl Strategy<Value = String> {
    let bits = prop_oneof![
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("`touch pwned`".to_owned()),
        Just("$(touch pwned)".to_owned()),
        Just("\\".to_owned()),
        Just("M_EOF".to_owned()),
        Just("; touch pwned;".to_owned()),
        Just("} end".to_owned()),
        Just("%s%n".to_owned()),
        Just("!\u{7f}\u{1}\t".to_owned()),
        Just("\u{e9}\u{1f980}".to_owned()),
        "[ -~]{0,12}",
    ];
    prop::collection::vec(bits, 1..8).prop_map(|bits| format!("x{}x", bits.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn hostile_names_and_contents_reach_the_host_byte_by_byte(
        values in prop::collection::vec(hostile_text(), 1..4),
        stem in r"[0-9a-zA-Z:_\\][0-9a-zA-Z:_.\\-]{0,19}",
    ) {
        let host = Host::new();
        let mut text = "[Service]\n".to_owned();
        for value in values {
            text.push_str(&format!("Environment={value}\n"));
        }
        let file = file(&text);
        let name = format!("{}.service", stem.replace("bad", "b"));
        let report = host.visit(&launch(&[&name], &text));
        prop_assert_eq!(&report.outcomes, &[Outcome::Done, Outcome::Done]);
        prop_assert_eq!(fs::read_to_string(host.path(&format!("run/fleet/units/{name}"))).unwrap(), file.text());
        let state = &report.observation.unwrap().units.unwrap()[&unit(&name)];
        prop_assert_eq!(state.hash, file.hash());
        let stray: Vec<_> = fs::read_dir(host.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        prop_assert!(!stray.iter().any(|name| name == "pwned"), "{:?}", stray);
    }
}

#[test]
fn a_step_that_loads_a_file_without_a_text_is_an_error() {
    let mut visit = launch(&["a.service"], "[Service]\nExecStart=/bin/true\n");
    let hash = *visit.files.keys().next().unwrap();
    visit.files.clear();
    let error = VisitScript::write(&visit, 7, false, "").unwrap_err();
    assert_eq!(error.to_string(), format!("no text for a.service: expected a file with the hash {hash}"));
}

#[test]
fn the_variables_of_the_machine_are_written_before_units_are_loaded_and_only_if_they_differ() {
    let host = Host::new();
    let path = host.path("run/fleet/machine.env");
    let told = |text: &str, number| Visit {
        machine_variables: text.to_owned(),
        number,
        ..launch(&["a.service"], "[Service]\nExecStart=/bin/true\n")
    };
    let read = || fs::read_to_string(&path).unwrap_or_default();
    host.visit(&launch(&["a.service"], "[Service]\nExecStart=/bin/true\n"));
    assert!(!path.exists(), "they are not known");
    let first = "MUSTER_MACHINE_NAME=a b\nMUSTER_METADATA_X=\"\\\\ $(id)`id`'\"\n";
    assert_eq!(host.visit(&told(first, 1)).outcomes, [Outcome::Done, Outcome::Done]);
    let data = fs::metadata(&path).unwrap();
    assert_eq!((read().as_str(), data.permissions().mode() & 0o777), (first, 0o644));
    host.visit(&told(first, 2));
    assert_eq!(fs::metadata(&path).unwrap().ino(), data.ino(), "it was not written again");
    host.visit(&told("MUSTER_MACHINE_NAME=c\n", 3));
    assert_eq!(read(), "MUSTER_MACHINE_NAME=c\n");
    fs::write(&path, "MUSTER_MACHINE_NAME=d").unwrap();
    host.visit(&told("MUSTER_MACHINE_NAME=c\n", 4));
    assert_eq!(read(), "MUSTER_MACHINE_NAME=c\n");
    assert_eq!(fs::read_dir(host.path("run/fleet")).unwrap().count(), 2, "no other file is left");
    host.visit(&Visit { ownership: Ownership::Leave, ..look(5) });
    assert!(!path.exists(), "a host that has left is no machine");
}

#[test]
fn a_unit_whose_other_name_the_host_has_is_refused_and_goes_on_with_its_earlier_file() {
    let host = Host::new();
    fs::create_dir_all(host.path("etc/systemd/system")).unwrap();
    let taken = host.path("etc/systemd/system/www.service");
    std::os::unix::fs::symlink("/dev/null", &taken).unwrap();
    let text = |install: &str| format!("[Service]\nExecStart=/bin/true\n\n[Install]\n{install}\n");
    host.visit(&launch(&["web.service"], &text("Alias=site.service")));
    let link = fs::read_link(host.path("run/systemd/system/site.service")).unwrap();
    assert_eq!(link.to_str(), Some("web.service"), "systemd takes a link to another folder for another unit");
    std::os::unix::fs::symlink(host.path("run/fleet/units/web.service"), host.path("run/systemd/system/web.service"))
        .unwrap();
    host.asked();
    for (number, option) in [(1, "Alias"), (2, "Also")] {
        let visit = launch(&["web.service"], &text(&format!("Alias=site.service\n{option}=www.service")));
        let unload = step("web.service", Action::Unload);
        let steps = std::iter::once(unload).chain(visit.steps.iter().cloned()).collect();
        let report = host.visit(&Visit { steps, number, ..visit });
        let said = format!("[Install] {option}=www.service: the host has a unit of this name: {}", taken.display());
        assert_eq!(report.outcomes, [(); 3].map(|()| Outcome::Failed(said.clone())));
        assert_eq!(host.asked().iter().filter(|line| line.starts_with("stop ")).count(), 0);
    }
    // Its own alias and another unit of muster's are no obstacle.
    host.visit(&Visit { number: 3, ..launch(&["other.service"], &text("Alias=b.service")) });
    let visit = launch(&["web.service"], &text("Alias=site.service\nAlso=other.service"));
    assert_eq!(host.visit(&Visit { number: 4, ..visit }).outcomes, [Outcome::Done, Outcome::Done]);
}

#[test]
fn a_target_with_a_new_file_is_not_stopped_and_loses_the_links_of_the_earlier_one() {
    let host = Host::new();
    host.visit(&launch(&["shop.target"], "[Unit]\nWants=a.service\n[Install]\nWantedBy=b.target\n"));
    host.asked();
    let text = "[Unit]\nWants=b.service\n";
    let visit = Visit { number: 1, ..launch(&["shop.target"], text) };
    assert_eq!(host.visit(&visit).outcomes, [Outcome::Done, Outcome::Done]);
    assert_eq!(fs::read_to_string(host.path("run/fleet/units/shop.target")).unwrap(), text);
    let asked = host.asked();
    let verbs: Vec<&str> = asked.iter().map(|line| line.split(' ').find(|word| *word != "offline").unwrap()).collect();
    assert_eq!(verbs, ["list-units", "disable", "link", "daemon-reload", "show", "start", "list-units"], "{asked:#?}");
    assert!(asked[1].starts_with("disable --runtime --no-reload -- shop.target"), "{asked:#?}");
}
