//! Visits that load Quadlet files, in a real `sh` with a generator that does a little of what Podman's does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use muster::core::model::Action;
use muster::core::model::Outcome;
use muster::core::model::UnitState;
use muster::core::model::Visit;
use muster::core::unit::Hash;

use super::visit::Host;
use super::visit::file;
use super::visit::launch;
use super::visit::look;
use super::visit::step;
use super::visit::unit;

/// Makes a service of each file, and refuses one with an unknown key. The first folder with a file of a name counts.
const GENERATOR: &str = r#"#!/bin/sh
for word; do case $word in -*) ;; *) out=$word ;; esac; done
IFS=: seen=' '
for folder in $QUADLET_UNIT_DIRS; do for file in "$folder"/*; do
  name=${file##*/}
  [ -e "$file" ] || continue
  case $seen in *" $name "*) continue ;; esac
  seen="$seen$name "
  if grep -q Odd= "$file"; then
    echo "quadlet-generator[7]: converting \"$name\": unsupported key 'Odd' in group 'Container' in $file" >&2
    continue
  fi
  case $name in *.container) service=${name%.container} ;; *.volume) service=${name%.volume}-volume ;; esac
  { printf '%s\n' '[Unit]' "SourcePath=$file" '[Service]' ExecStart=/bin/true; cat "$file"; } >"$out/$service.service"
done; done
"#;

const WEB: &str = "[Container]\nImage=localhost/box:1\n";

fn host_with_podman() -> Host {
    let host = Host::new();
    let folder = host.path("usr/lib/systemd/system-generators");
    fs::create_dir_all(&folder).unwrap();
    let generator = folder.join("podman-system-generator");
    fs::write(&generator, GENERATOR).unwrap();
    fs::set_permissions(&generator, fs::Permissions::from_mode(0o755)).unwrap();
    host
}

/// Returns what a look sees of a unit.
fn seen(host: &Host, name: &str) -> Option<UnitState> {
    host.visit(&look(5)).observation.unwrap().units.unwrap().remove(&unit(name))
}

fn replace(name: &str, text: &str) -> Visit {
    let mut visit = launch(&[name], text);
    visit.steps.insert(0, step(name, Action::Unload));
    visit
}

fn names(host: &Host, folder: &str) -> Vec<String> {
    let names = fs::read_dir(host.path(folder)).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_container_is_loaded_as_its_service_and_seen_by_its_own_name() {
    let host = host_with_podman();
    let report = host.visit(&launch(&["web.container", "data.volume"], WEB));
    assert_eq!(report.outcomes, [(); 4].map(|()| Outcome::Done));
    let units = report.observation.unwrap().units.unwrap();
    assert_eq!(units.keys().map(ToString::to_string).collect::<Vec<_>>(), ["data.volume", "web.container"]);
    let state = &units[&unit("web.container")];
    assert!(state.launched && state.runs());
    assert_eq!(state.hash, file(WEB).hash(), "that of the submitted file");
    let service = fs::read_to_string(host.path("run/fleet/units/web.service")).unwrap();
    let source = host.path("run/fleet/quadlet/web.container");
    assert!(service.contains(&format!("SourcePath={}\n", source.display())), "{service}");
    assert_eq!(fs::read_to_string(source).unwrap(), WEB);
    let asked = host.asked();
    assert!(asked.contains(&"start --no-block -- web.service data-volume.service".to_owned()), "{asked:?}");
    // Nothing is left of how it came there.
    assert_eq!((names(&host, "run/muster/quadlet"), names(&host, "run/muster/new")), (Vec::new(), Vec::new()));

    let unload = Visit { steps: vec![step("web.container", Action::Unload)], number: 1, ..look(5) };
    assert_eq!(host.visit(&unload).outcomes, [Outcome::Done]);
    assert_eq!(names(&host, "run/fleet/quadlet"), ["data.volume"]);
    assert_eq!(names(&host, "run/fleet/units"), ["data-volume.service"]);
}

#[test]
fn a_file_that_podman_refuses_leaves_the_earlier_one_and_the_other_units_alone() {
    let host = host_with_podman();
    host.visit(&launch(&["web.container"], WEB));
    host.asked();
    let (odd, good) = (replace("web.container", "[Container]\nOdd=1\n"), launch(&["a.container"], WEB));
    let files = odd.files.clone().into_iter().chain(good.files.clone()).collect();
    let visit = Visit { steps: odd.steps.iter().chain(&good.steps).cloned().collect(), files, number: 1, ..look(5) };
    let report = host.visit(&visit);
    let said = "Podman makes no service of its file: converting \"web.container\": unsupported key 'Odd' in group 'Container' in \
                web.container";
    let refused = Outcome::Failed(said.to_owned());
    let expected = [[(); 3].map(|()| refused.clone()).as_slice(), &[(); 2].map(|()| Outcome::Done)].concat();
    assert_eq!(report.outcomes, expected);
    let state = &report.observation.unwrap().units.unwrap()[&unit("web.container")];
    assert!(state.launched && state.hash == file(WEB).hash());
    let asked = host.asked();
    assert!(
        !asked.iter().any(|line| line.contains("stop") || line.contains("web.service") && line.contains("start")),
        "{asked:?}"
    );
    // The next version replaces it.
    let better = "[Container]\nImage=localhost/box:2\n";
    let report = host.visit(&Visit { number: 2, ..replace("web.container", better) });
    assert_eq!(report.outcomes, [(); 3].map(|()| Outcome::Done));
    assert_eq!(seen(&host, "web.container").unwrap().hash, file(better).hash());
}

#[test]
fn a_host_without_podman_says_so() {
    let host = Host::new();
    let report = host.visit(&launch(&["web.container"], WEB));
    let said = |outcome: &Outcome| matches!(outcome, Outcome::Failed(said) if said.ends_with("it is part of Podman 4.4 and later"));
    assert!(said(&report.outcomes[0]), "{:?}", report.outcomes);
    assert_eq!(report.observation.unwrap().units.unwrap().len(), 0);
}

#[test]
fn a_container_whose_files_are_gone_is_seen_without_them() {
    let host = host_with_podman();
    host.visit(&launch(&["web.container"], WEB));
    fs::remove_file(host.path("run/fleet/quadlet/web.container")).unwrap();
    assert_eq!(seen(&host, "web.container").unwrap().hash, Hash::NONE, "it runs, and its file is loaded again");
    fs::write(host.path("listed"), "web.service loaded inactive dead words\n").unwrap();
    let ended = seen(&host, "web.container").unwrap().hash;
    assert!(ended != Hash::NONE && ended != file(WEB).hash(), "its service is still known");
    fs::remove_file(host.path("listed")).unwrap();
    let again = Visit { number: 1, ..launch(&["web.container"], WEB) };
    assert_eq!(host.visit(&again).outcomes, [Outcome::Done, Outcome::Done]);
    fs::remove_file(host.path("run/fleet/units/web.service")).unwrap();
    fs::write(host.path("listed"), "web.service loaded active running words\n").unwrap();
    assert_eq!(seen(&host, "web.container").unwrap().hash, Hash::NONE);
}

#[test]
fn a_generator_that_hangs_is_ended_and_named() {
    let host = host_with_podman();
    let timeout = host.path("bin/timeout");
    fs::write(&timeout, "#!/bin/sh\nexit 124\n").unwrap();
    fs::set_permissions(&timeout, fs::Permissions::from_mode(0o755)).unwrap();
    let report = host.visit(&launch(&["web.container"], WEB));
    let said = "Podman makes no service of its file: its generator did not end within 5 s";
    assert_eq!(report.outcomes[0], Outcome::Failed(said.to_owned()));
}
