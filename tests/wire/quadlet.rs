//! Visits that load Quadlet files, in a real `sh` with a generator that does a little of what Podman's does.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use muster::core::model::Action;
use muster::core::model::Outcome;
use muster::core::model::UnitState;
use muster::core::model::Visit;
use muster::core::unit::Hash;
use muster::core::unit::ImagePull;
use muster::remote::visit::prefetch;
use muster::remote::visit::prefetch::Prefetched;

use super::visit::Host;
use super::visit::file;
use super::visit::launch;
use super::visit::look;
use super::visit::replace;
use super::visit::run_shell;
use super::visit::step;
use super::visit::unit;

/// Makes a service of each file, and refuses one with an unknown key. The first folder with a file of a name counts. The service of
/// a container has the text of the `.image` file that it names.
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
  case $name in *.container) service=${name%.container} ;; *) service=${name%.*}-${name##*.} ;; esac
  named=$(sed -n 's/^Image=\(.*\.image\)$/\1/p' "$file") first=
  for other in $QUADLET_UNIT_DIRS; do [ -n "$first" ] || [ ! -e "$other/$named" ] || first=$other/$named; done
  { printf '%s\n' '[Unit]' "SourcePath=$file" '[Service]' ExecStart=/bin/true
    cat "$file" ${named:+"$first"}; } >"$out/$service.service"
done; done
"#;

/// Has the images that are files in `images`, and pulls one that is no file in `gone`.
const PODMAN: &str = r#"#!/bin/sh
root=${0%/bin/podman}
printf '%s\n' "$*" >>"$root/podman-calls"
[ ! -e "$root/podman-hangs" ] || exit 124
for image; do :; done
case $1 in
  container) while read -r id service digest; do case " $* " in *" $id "*) echo "$service $digest" ;; esac; done <"$root/ran" ;;
  image) [ -e "$root/images/$(echo "$image" | tr / _)" ] ;;
  pull) [ ! -e "$root/gone" ] || { printf 'Trying to pull\nError: manifest unknown\n' >&2; exit 125; }
    : >"$root/images/$(echo "$image" | tr / _)"; echo 1f2e ;;
esac
"#;

/// Begins a service that goes on until [`end_pull`] ends it, or for so many seconds as the file `pull-time` says.
const SYSTEMD_RUN: &str = r#"#!/bin/sh
root=${0%/bin/systemd-run}
for word; do case $word in --unit=*) unit=${word#*=} ;; esac; done
[ ! -e "$root/active/$unit" ] || { echo "Unit $unit was already loaded" >&2; exit 1; }
echo active >"$root/active/$unit"
printf '%s\n' "$@" >"$root/pull-words"
[ -e "$root/pull-time" ] || exit 0
read -r time <"$root/pull-time"
( sleep "$time"
  while case $1 in --*) ;; *) false ;; esac; do shift; done
  "$@"
  rm -f "$root/active/$unit" ) </dev/null >/dev/null 2>&1 &
"#;

const WEB: &str = "[Container]\nImage=localhost/box:1\nPull=never\n";

pub(crate) const NGINX: &str = "[Container]\nImage=docker.io/library/nginx:1.29\n";

fn put_program(host: &Host, path: &str, text: &str) {
    fs::create_dir_all(host.path(path).parent().unwrap()).unwrap();
    fs::write(host.path(path), text).unwrap();
    fs::set_permissions(host.path(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn host_with_podman() -> Host {
    let host = Host::new();
    give_podman(&host, None);
    host
}

/// Gives a host a Podman without images. A pull ends by itself if it has a time.
pub(crate) fn give_podman(host: &Host, pull_time: Option<&str>) {
    put_program(host, "usr/lib/systemd/system-generators/podman-system-generator", GENERATOR);
    put_program(host, "bin/podman", PODMAN);
    put_program(host, "bin/systemd-run", SYSTEMD_RUN);
    fs::create_dir(host.path("images")).unwrap();
    if let Some(time) = pull_time {
        fs::write(host.path("pull-time"), format!("{time}\n")).unwrap();
    }
}

/// Returns the words of the last pull that was begun.
fn pull_words(host: &Host) -> Vec<String> {
    let words = fs::read_to_string(host.path("pull-words")).unwrap();
    words.lines().map(str::to_owned).collect()
}

/// Lets the pull that was begun run and end. With `killed`, its service ends before that.
pub(crate) fn end_pull(host: &Host, killed: bool) {
    let words = pull_words(host);
    let unit = words.iter().find_map(|word| word.strip_prefix("--unit=")).unwrap();
    fs::remove_file(host.path("active").join(unit)).unwrap();
    if !killed {
        let command: Vec<&String> = words.iter().skip_while(|word| word.starts_with("--")).collect();
        let path = format!("{}:/usr/bin:/bin", host.path("bin").display());
        assert!(Command::new(command[0]).args(&command[1..]).env("PATH", path).status().is_ok());
    }
}

/// Returns what a look sees of a unit.
fn seen(host: &Host, name: &str) -> Option<UnitState> {
    host.visit(&look(5)).observation.unwrap().units.unwrap().remove(&unit(name))
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
    let better = "[Container]\nImage=localhost/box:2\nPull=never\n";
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

/// Makes a visit that replaces or loads the container, and returns the outcomes.
fn load(host: &Host, visit: Visit, number: u64) -> Vec<Outcome> {
    host.visit(&Visit { number, ..visit }).outcomes
}

#[test]
fn a_container_whose_image_is_missing_is_loaded_after_a_pull_that_is_a_service_of_its_own() {
    let host = host_with_podman();
    let begun = [Outcome::Begun, Outcome::Begun];
    assert_eq!(load(&host, launch(&["web.container"], NGINX), 1), begun);
    assert_eq!(seen(&host, "web.container"), None);
    assert_eq!((names(&host, "run/muster/files"), names(&host, "run/muster/quadlet")), (vec![], vec![]));
    let words = pull_words(&host);
    let unit = words[2].strip_prefix("--unit=muster-pull-").unwrap().strip_suffix(".service").unwrap();
    let file = host.path("run/muster/pulls").join(unit).display().to_string();
    let last =
        ["/bin/sh", "-c", "podman pull --quiet \"$@\" >\"$0\" 2>&1 && : >\"$0.done\"; rm -f -- \"$0.auth\"", &file];
    let first = ["--quiet", "--collect"];
    assert_eq!(words[..2], first);
    let description = "--description=Pull of docker.io/library/nginx:1.29 for muster";
    assert_eq!(words[3..5], [description, "--property=RuntimeMaxSec=1800"]);
    assert_eq!(words[5..9], last);
    assert_eq!(words[9..], ["docker.io/library/nginx:1.29"]);
    // The host is asked again, and Podman is left alone meanwhile.
    let calls = fs::read_to_string(host.path("podman-calls")).unwrap();
    assert_eq!(load(&host, launch(&["web.container"], NGINX), 2), begun);
    assert_eq!(fs::read_to_string(host.path("podman-calls")).unwrap(), calls);
    end_pull(&host, false);
    assert_eq!(load(&host, launch(&["web.container"], NGINX), 3), [Outcome::Done, Outcome::Done]);
    assert!(seen(&host, "web.container").unwrap().launched);
    assert_eq!(names(&host, "run/muster/pulls"), Vec::<String>::new(), "nothing is left");
}

#[test]
fn a_container_that_is_replaced_goes_on_until_the_new_image_is_there() {
    let host = host_with_podman();
    load(&host, launch(&["web.container"], WEB), 1);
    host.asked();
    assert_eq!(load(&host, replace("web.container", NGINX), 2), [(); 3].map(|()| Outcome::Begun));
    let state = seen(&host, "web.container").unwrap();
    assert!(state.launched && state.hash == file(WEB).hash());
    let asked = host.asked();
    let acts = |line: &&String| ["stop", "start", "disable", "daemon-reload"].iter().any(|verb| line.starts_with(verb));
    assert_eq!(asked.iter().find(acts), None);
    end_pull(&host, false);
    assert_eq!(load(&host, replace("web.container", NGINX), 3), [(); 3].map(|()| Outcome::Done));
    assert_eq!(seen(&host, "web.container").unwrap().hash, file(NGINX).hash());
}

#[test]
fn a_pull_that_fails_is_a_failed_load_with_the_last_words_of_podman_and_is_begun_again_by_the_next_load() {
    let host = host_with_podman();
    fs::write(host.path("gone"), "").unwrap();
    load(&host, launch(&["web.container"], NGINX), 1);
    end_pull(&host, false);
    let outcomes = load(&host, launch(&["web.container"], NGINX), 2);
    let said = "cannot pull docker.io/library/nginx:1.29: manifest unknown";
    assert_eq!(outcomes[0], Outcome::Failed(said.to_owned()));
    assert_eq!(names(&host, "run/muster/pulls"), Vec::<String>::new());
    assert_eq!(load(&host, launch(&["web.container"], NGINX), 3)[0], Outcome::Begun);
    end_pull(&host, true);
    let outcomes = load(&host, launch(&["web.container"], NGINX), 4);
    let said = "cannot pull docker.io/library/nginx:1.29: its service ended within 30 min and said nothing";
    assert_eq!(outcomes[0], Outcome::Failed(said.to_owned()));
}

#[test]
fn two_containers_of_one_image_wait_for_one_pull_and_the_other_units_for_none() {
    let host = host_with_podman();
    let both = launch(&["a.container", "b.container"], NGINX);
    let other = launch(&["c.service"], "[Service]\nExecStart=/bin/true\n");
    let steps = both.steps.iter().chain(&other.steps).cloned().collect();
    let visit = Visit { steps, files: both.files.into_iter().chain(other.files).collect(), number: 1, ..look(5) };
    let outcomes = host.visit(&visit).outcomes;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Begun).count(), 4);
    assert_eq!(outcomes[4..], [Outcome::Done, Outcome::Done]);
    assert_eq!(names(&host, "active").len(), 2, "c.service and the pull: {:?}", names(&host, "active"));
    end_pull(&host, false);
    let both = launch(&["a.container", "b.container"], NGINX);
    let calls = || fs::read_to_string(host.path("podman-calls")).unwrap().lines().count();
    let before = calls();
    assert_eq!(load(&host, both, 2), [(); 4].map(|()| Outcome::Done));
    assert_eq!(calls(), before + 1, "Podman is asked once");
}

#[test]
fn an_image_that_podman_must_not_pull_or_knows_by_another_name_is_left_to_the_start() {
    let host = host_with_podman();
    fs::write(host.path("bin/podman"), "#!/bin/sh\nexit 125\n").unwrap();
    assert_eq!(load(&host, launch(&["a.container"], NGINX), 1), [Outcome::Done, Outcome::Done]);
    fs::write(host.path("bin/podman"), "#!/bin/sh\ncase $1 in image) exit 1 ;; esac\n").unwrap();
    assert_eq!(load(&host, launch(&["b.container"], NGINX), 2)[0], Outcome::Begun);
    end_pull(&host, false);
    assert_eq!(load(&host, launch(&["b.container"], NGINX), 3), [Outcome::Done, Outcome::Done]);
}

#[test]
fn a_podman_that_does_not_answer_is_named_and_is_asked_once_in_a_visit() {
    let host = host_with_podman();
    fs::write(host.path("podman-hangs"), "").unwrap();
    let outcomes = load(&host, launch(&["a.container", "b.container"], NGINX), 1);
    let said = "cannot pull docker.io/library/nginx:1.29: podman did not answer within 5 s";
    assert_eq!(outcomes[0], Outcome::Failed(said.to_owned()));
    assert_eq!(fs::read_to_string(host.path("podman-calls")).unwrap().lines().count(), 1);
}

#[test]
fn a_prefetch_waits_for_the_end_of_the_pull_and_says_how_it_ended() {
    let host = Host::new();
    give_podman(&host, Some("0.1"));
    let pull = ImagePull::of(&unit("web.container"), &file(NGINX)).unwrap();
    let root = host.path("").display().to_string();
    let script = prefetch::script(&pull, root.trim_end_matches('/')).unwrap();
    let ended = || {
        let (printed, complaints) = run_shell(&script, &host.path(""));
        assert_eq!(complaints, "");
        prefetch::read(printed.as_bytes())
    };
    fs::write(host.path("gone"), "").unwrap();
    assert_eq!(ended(), Prefetched::Failed("manifest unknown".to_owned()));
    fs::remove_file(host.path("gone")).unwrap();
    assert!(matches!(ended(), Prefetched::Pulled(_)));
    assert_eq!(ended(), Prefetched::There);
    assert_eq!(names(&host, "run/muster/pulls"), Vec::<String>::new());
    // A load finds the image.
    assert_eq!(load(&host, launch(&["web.container"], NGINX), 1), [Outcome::Done, Outcome::Done]);
}

/// A file that needs a login, and the login.
const PRIVATE: &str = "[Container]\nImage=ghcr.io/shop/web:1\nPodmanArgs=--authfile=/run/muster/secrets/%n/ghcr\n\
                       [X-Muster]\nRegistryLogin=ghcr\n";
const LOGIN: &str = "{\"auths\":{}}\n";

#[test]
fn a_pull_gets_the_login_to_its_registry_in_a_file_that_goes_with_it() {
    let host = host_with_podman();
    let visit = || {
        let mut visit = launch(&["web.container"], PRIVATE);
        visit.secrets.insert("ghcr".parse().unwrap(), Ok(Arc::new(LOGIN.as_bytes().to_vec().into())));
        visit
    };
    assert_eq!(load(&host, visit(), 1), [Outcome::Begun, Outcome::Begun]);
    let words = pull_words(&host);
    let login = words.iter().find_map(|word| word.strip_prefix("--authfile=")).unwrap().to_owned();
    assert_eq!(fs::read_to_string(&login).unwrap(), LOGIN);
    assert_eq!(fs::metadata(&login).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(!words.iter().any(|word| word.contains("auths")));
    end_pull(&host, false);
    assert!(!Path::new(&login).exists());
    assert_eq!(load(&host, visit(), 2), [Outcome::Done, Outcome::Done]);
    let file = host.path("run/muster/secrets/web.service/ghcr");
    assert_eq!(fs::read_to_string(file).unwrap(), LOGIN);
}

#[test]
fn a_prefetch_reads_the_login_on_its_stdin() {
    let host = Host::new();
    give_podman(&host, Some("0.1"));
    let pull = ImagePull::of(&unit("web.container"), &file(PRIVATE)).unwrap();
    let root = host.path("").display().to_string();
    let script = prefetch::script(&pull, root.trim_end_matches('/')).unwrap();
    fs::write(host.path("login"), LOGIN).unwrap();
    let (printed, complaints) = run_shell(&format!("{{\n{script}\n}} <login\n"), &host.path(""));
    assert_eq!(complaints, "");
    assert!(matches!(prefetch::read(printed.as_bytes()), Prefetched::Pulled(_)), "{printed}");
    let calls = fs::read_to_string(host.path("podman-calls")).unwrap();
    assert!(calls.contains("pull --quiet --authfile=") && !calls.contains("auths"), "{calls}");
    assert_eq!(names(&host, "run/muster/pulls"), Vec::<String>::new());
}

#[test]
fn the_image_of_a_container_that_is_unloaded_is_reported_with_its_digest() {
    let host = host_with_podman();
    host.visit(&launch(&["web.container", "db.container"], WEB));
    let digest = format!("sha256:{}", "1".repeat(64));
    // The id of a container is in a file without a newline.
    fs::write(host.path("run/web.cid"), "f00d").unwrap();
    fs::write(host.path("run/db.cid"), "beef").unwrap();
    fs::write(host.path("ran"), format!("f00d web.service {digest}\nbeef db.service sha256:\n")).unwrap();
    let stopped = host.visit(&Visit { steps: vec![step("web.container", Action::Stop)], ..look(5) });
    assert!(stopped.observation.unwrap().images.is_empty(), "it is still there");
    let report = host.visit(&replace("web.container", &WEB.replace(":1", ":2")));
    assert_eq!(report.outcomes, [(); 3].map(|()| Outcome::Done));
    let images = report.observation.unwrap().images;
    assert_eq!(images.into_iter().collect::<Vec<_>>(), [(unit("web.container"), digest.parse().unwrap())]);
    let gone = host.visit(&Visit { steps: vec![step("db.container", Action::Unload)], ..look(5) });
    assert!(gone.observation.unwrap().images.is_empty(), "Podman has no digest of it");
    // A Podman that hangs keeps nothing waiting for long.
    fs::write(host.path("podman-hangs"), "").unwrap();
    assert_eq!(
        host.visit(&Visit { steps: vec![step("web.container", Action::Unload)], ..look(5) }).outcomes,
        [Outcome::Done]
    );
}

#[test]
fn a_service_of_podman_that_a_user_has_changed_is_written_again() {
    let host = host_with_podman();
    host.visit(&launch(&["web.container"], WEB));
    assert_eq!(seen(&host, "web.container").unwrap().hash, file(WEB).hash());
    let service = host.path("run/fleet/units/web.service");
    let made = fs::read_to_string(&service).unwrap();
    fs::write(&service, made.replace("/bin/true", "/bin/false")).unwrap();
    assert_eq!(seen(&host, "web.container").unwrap().hash, Hash::NONE);
    host.visit(&launch(&["web.container"], WEB));
    assert_eq!(fs::read_to_string(&service).unwrap(), made);
    assert_eq!(seen(&host, "web.container").unwrap().hash, file(WEB).hash());
}

#[test]
fn a_container_whose_service_has_what_another_file_says_is_loaded_again_when_that_file_changes() {
    let host = host_with_podman();
    let image = |text: &str| launch(&["app.image"], text);
    host.visit(&image("[Image]\nImage=localhost/a:1\nPolicy=never\n"));
    host.visit(&launch(&["web.container"], "[Container]\nImage=app.image\n"));
    host.visit(&launch(&["other.container"], WEB));
    let before = fs::read(host.path("run/fleet/units/other.service")).unwrap();
    host.visit(&replace("app.image", "[Image]\nImage=localhost/a:2\nPolicy=never\n"));
    assert_eq!(seen(&host, "web.container").unwrap().hash, Hash::NONE);
    assert_eq!(seen(&host, "other.container").unwrap().hash, file(WEB).hash());
    assert_eq!(fs::read(host.path("run/fleet/units/other.service")).unwrap(), before);
    host.visit(&launch(&["web.container"], "[Container]\nImage=app.image\n"));
    assert_ne!(seen(&host, "web.container").unwrap().hash, Hash::NONE);
    let service = fs::read_to_string(host.path("run/fleet/units/web.service")).unwrap();
    assert!(service.contains("localhost/a:2") && !service.contains("localhost/a:1"), "{service}");
    // A file that changes nothing about it changes nothing.
    host.visit(&replace("app.image", "[Image]\nImage=localhost/a:2\nPolicy=never\n"));
    assert_ne!(seen(&host, "web.container").unwrap().hash, Hash::NONE);
}
