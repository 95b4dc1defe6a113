//! Quadlet files on hosts of Debian 13 with Podman. The image of such hosts takes two minutes to build, so `scripts/night` runs
//! these tests.

mod registry;

use std::time::Duration;

use muster::lab::Lab;
use muster::lab::PackageName;
use muster::lab::TemporaryLab;

use super::daemon::Daemon;
use super::daemon::join;
use super::daemon::really_on;
use super::daemon::runs_away_from;
use super::daemon::seen;
use super::daemon::unit_file;
use super::muster;
use super::options;
use super::releases;
use super::ssh;
use super::until;
use super::with_identity;

const LIMIT: Duration = Duration::from_mins(1);

const HOSTS: [&str; 2] = ["core-01", "core-02"];

/// Makes the image `localhost/box:1` of two programs: busybox and flock, which Debian's busybox does not have.
pub(super) const BOX: &str = "d=$(mktemp -d) && mkdir -p $d/bin $d/mnt/shared && cp /bin/busybox $d/bin/ && ln -s busybox $d/bin/sh && \
                   ln -s busybox $d/bin/sleep && \
                   cp --parents -L /usr/bin/flock $(ldd /usr/bin/flock | grep -o '/[^ ]*') $d && \
                   tar -C $d -c . | podman import - localhost/box:1 >/dev/null 2>&1";

/// Returns a container that runs until it is stopped.
fn container(more: &str) -> String {
    let run = "Exec=/bin/sh -c 'trap exit TERM; while :; do sleep 1; done'";
    format!("[Container]\nImage=localhost/box:1\nPull=never\nNetwork=host\n{run}\n{more}\n")
}

/// What a host needs for it.
pub(super) const PACKAGES: [&str; 3] = ["podman", "crun", "busybox-static"];

fn lab() -> Option<TemporaryLab> {
    lab_with(&PACKAGES)
}

fn lab_with(packages: &[&str]) -> Option<TemporaryLab> {
    let mut options = options(HOSTS.len())?;
    options.releases = releases("trixie");
    options.packages = packages.iter().map(|name| name.parse::<PackageName>().unwrap()).collect();
    let lab = Lab::temporary(&options).unwrap();
    join(&lab);
    for host in HOSTS {
        ssh(&lab, host, BOX);
    }
    Some(lab)
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn containers_of_both_classes_run_elsewhere_after_a_power_cut() {
    let Some(lab) = lab() else { return };
    let controller = Daemon::controller(&lab, 4);
    for (name, class) in [("one.container", "available"), ("two.container", "strict")] {
        let file = unit_file(&lab, name, &container(&format!("[X-Muster]\nClass={class}")));
        muster(&lab, &["start", &file]).ok();
    }
    for unit in ["one", "two"] {
        let (name, service) = (format!("{unit}.container"), format!("{unit}.service"));
        let home = runs_away_from(&lab, &name, "", LIMIT);
        lab.kill(&home).unwrap();
        let other = runs_away_from(&lab, &name, &home, LIMIT);
        assert_eq!(really_on(&lab, &service, &[&other]), [other.as_str()]);
        let running = ssh(&lab, &other, &format!("podman ps --quiet --filter name=systemd-{unit}"));
        assert_eq!(running.lines().count(), 1, "{running}");
        lab.boot(&home).unwrap();
        ssh(&lab, &home, BOX);
        let listed = || muster(&lab, &["list-machines", "--no-legend"]).ok().lines().count();
        until("both machines are listed again", LIMIT, listed, |count| *count == HOSTS.len());
    }
    drop(controller);
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn a_container_is_replaced_refused_stopped_and_removed_as_a_service_is() {
    let Some(lab) = lab() else { return };
    let data = unit_file(&lab, "data.volume", "[Volume]\n");
    let web = unit_file(&lab, "web.container", &container("Volume=data.volume:/data"));
    muster(&lab, &["start", &data, &web]).ok();
    let home = runs_away_from(&lab, "web.container", "", LIMIT);
    assert_eq!(
        seen(&lab, "data.volume"),
        [(home.clone(), "active/exited".to_owned())],
        "the container needs it beside it"
    );
    let id = || ssh(&lab, &home, "podman ps --quiet --no-trunc --filter name=systemd-web");
    let first = id();
    // Podman refuses the new file: the earlier version goes on.
    unit_file(&lab, "web.container", &container("Volume=data.volume:/data\nOdd=1"));
    let refused = muster(&lab, &["start", "--replace", &web]);
    let why = "converting \"web.container\": unsupported key 'Odd' in group 'Container' in web.container";
    assert!(refused.code == Some(1) && refused.err.contains(why), "{refused:#?}");
    assert_eq!(id(), first);
    unit_file(&lab, "web.container", &container("Volume=data.volume:/data\nEnvironment=A=1"));
    muster(&lab, &["start", "--replace", &web]).ok();
    assert!(!id().is_empty() && id() != first);
    let status = muster(&lab, &["status", "web.container"]).ok();
    assert!(status.contains("Loaded: loaded (/run/fleet/quadlet/web.container; linked-runtime"), "{status}");
    let service = unit_file(&lab, "web.service", "[Service]\nExecStart=/bin/sleep 1\n");
    let taken = muster(&lab, &["submit", &service]);
    assert!(taken.err.contains("systemd would know it as web.service, as it knows web.container"), "{taken:#?}");
    muster(&lab, &["destroy", "web.container", "data.volume"]).ok();
    let left = "podman ps --all --quiet; find /run/fleet /run/muster/files /run/systemd/system -name '*web*' -o -name '*data*'";
    assert_eq!(ssh(&lab, &home, left), "");
}

/// Lets a pull of `registry.test/box:…` take eight seconds, as that of a registry that is far away.
const SLOW_PULL: &str = r#"cat >/usr/local/bin/podman <<'END'
#!/bin/sh
for name; do :; done
case "$1 $name" in "pull registry.test/box:"*) sleep 8; exec /usr/bin/podman tag localhost/box:1 "$name" ;; esac
exec /usr/bin/podman "$@"
END
chmod +x /usr/local/bin/podman"#;

/// Returns a container of an image that is pulled, if the host does not have it.
fn pulled(image: &str, more: &str) -> String {
    container(more).replace("localhost/box:1\nPull=never", image)
}

/// Watches a service on all hosts while a command runs. Returns the output of the command, and for each look the hosts on
/// which the service runs.
fn watch(lab: &TemporaryLab, service: &str, args: &[&str]) -> (super::Said, Vec<Vec<String>>) {
    std::thread::scope(|scope| {
        let command = scope.spawn(|| muster(lab, args));
        let mut seen = Vec::new();
        while !command.is_finished() {
            seen.push(really_on(lab, service, &HOSTS));
        }
        (command.join().unwrap(), seen)
    })
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn a_container_runs_on_until_its_image_has_been_pulled_at_a_replacement_and_at_a_drain() {
    let Some(lab) = lab() else { return };
    for host in HOSTS {
        ssh(&lab, host, SLOW_PULL);
    }
    let controller = Daemon::controller(&lab, 4);
    let strict = "[X-Muster]\nClass=strict";
    let web = unit_file(&lab, "web.container", &container(strict));
    muster(&lab, &["start", &web]).ok();
    let home = runs_away_from(&lab, "web.container", "", LIMIT);

    unit_file(&lab, "web.container", &pulled("registry.test/box:2", strict));
    let (said, seen) = watch(&lab, "web.service", &["start", "--replace", &web]);
    assert!(said.code == Some(0) && said.err.contains(&format!("{home} to pull registry.test/box:2")), "{said:#?}");
    let without = seen.iter().filter(|hosts| hosts.is_empty()).count();
    assert!(without * 4 < seen.len(), "{seen:?}");
    let image = "podman ps --format '{{.Image}}' --filter name=systemd-web";
    assert_eq!(ssh(&lab, &home, image), "registry.test/box:2");

    let (said, seen) = watch(&lab, "web.service", &["drain", &home]);
    let other = runs_away_from(&lab, "web.container", &home, LIMIT);
    assert!(said.code == Some(0) && said.err.contains(&format!("{other} to pull registry.test/box:2")), "{said:#?}");
    assert!(seen.iter().all(|hosts| hosts.len() < 2), "it is strict: {seen:?}");
    let without = seen.iter().filter(|hosts| hosts.is_empty()).count();
    assert!(without * 2 < seen.len(), "{seen:?}");
    let left = "systemctl list-units --all --no-legend 'muster-pull-*'; ls /run/muster/pulls";
    assert_eq!((ssh(&lab, &home, left), ssh(&lab, &other, left)), (String::new(), String::new()));
    drop(controller);
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn a_pull_that_fails_and_a_prefetch_say_what_podman_says() {
    let Some(lab) = lab() else { return };
    for host in HOSTS {
        ssh(&lab, host, SLOW_PULL);
    }
    // No registry is there.
    let bad = unit_file(&lab, "bad.container", &pulled("127.0.0.1:9/none:1", ""));
    let said = muster(&lab, &["start", &bad]);
    let why = "cannot pull 127.0.0.1:9/none:1: ";
    assert!(said.code == Some(1) && said.err.contains(why) && said.err.contains("connection refused"), "{said:#?}");
    let said = muster(&lab, &["prefetch", &bad]);
    assert!(said.code == Some(1) && said.err.contains(why), "{said:#?}");

    let web = unit_file(&lab, "web.container", &pulled("registry.test/box:2", ""));
    let said = muster(&lab, &["prefetch", "--machine", "core-01", &web]);
    assert!(said.err.contains("waiting for core-01 to pull registry.test/box:2"), "{said:#?}");
    let out = said.ok();
    assert!(out.starts_with("core-01: registry.test/box:2: pulled in ") && out.lines().count() == 1, "{out}");
    let out = muster(&lab, &["prefetch", "--all", &web]).ok();
    assert!(out.contains("core-01: registry.test/box:2: already there\n"), "{out}");
    assert!(out.contains("core-02: registry.test/box:2: pulled in "), "{out}");
    muster(&lab, &["start", &web]).ok();
    let left =
        "systemctl list-units --all --no-legend 'muster-pull-*'; systemctl --failed --no-legend; ls /run/muster/pulls";
    for host in HOSTS {
        assert_eq!(ssh(&lab, host, left), "");
    }
}

/// Makes the image of the example in `applications/shop` of busybox, as the registry has it.
const BUSYBOX: &str = "d=$(mktemp -d) && mkdir $d/bin && cp /bin/busybox $d/bin/ && for applet in date httpd sh sleep; do \
                       ln -s busybox $d/bin/$applet; done && tar -C $d -c . | podman import - docker.io/library/busybox:1.37 \
                       >/dev/null 2>&1";

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn the_shop_of_the_examples_has_its_files_its_data_and_its_secret() {
    let Some(lab) = lab() else { return };
    for host in HOSTS {
        ssh(&lab, host, BUSYBOX);
    }
    let shop = lab.dir().join("shop");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/applications/shop");
    let copied = std::process::Command::new("cp").arg("-R").arg(example).arg(&shop).status().unwrap();
    assert!(copied.success());
    let apply = || with_identity(&lab, &["apply", shop.to_str().unwrap()]).ok();
    let passwords = lab.dir().join("passwords");
    let set_password = |password: &str| {
        std::fs::write(&passwords, format!("/orders:admin:{password}\n")).unwrap();
        with_identity(&lab, &["secret", "set", "shop-passwords", "--file", passwords.to_str().unwrap()]).ok();
    };
    with_identity(&lab, &["secret", "init", "--name", "operator"]).ok();
    set_password("one");
    assert!(apply().ends_with("Application shop: 3 new\n"));
    let home = runs_away_from(&lab, "web.container", "", LIMIT);
    let get = |place: &str| {
        let script = format!("busybox wget -q -O - http://{place} 2>&1 || echo none");
        move |lab: &TemporaryLab, host: &str| ssh(lab, host, &script)
    };
    let page = get("127.0.0.1:8080/");
    let orders = |password: &str| get(&format!("admin:{password}@127.0.0.1:8080/orders/orders.txt"));
    until("the page is served", LIMIT, || page(&lab, &home), |text| text.contains("<h1>Shop</h1>"));
    until("an order comes", LIMIT, || orders("one")(&lab, &home), |text| text.contains("an order at"));
    assert!(!orders("two")(&lab, &home).contains("an order at"));
    assert!(apply().ends_with("Application shop: 3 unchanged\n"));

    let id = |name: &str| ssh(&lab, &home, &format!("podman ps --quiet --no-trunc --filter name=systemd-{name}"));
    let (web, collector) = (id("web"), id("orders"));
    std::fs::write(shop.join("index.html"), "<h1>Sale</h1>\n").unwrap();
    assert!(apply().ends_with("Application shop: 1 changed, 2 unchanged\n"));
    until("the new page is served", LIMIT, || page(&lab, &home), |text| text.contains("Sale"));
    assert!(id("web") != web && id("orders") == collector);
    set_password("two");
    with_identity(&lab, &["sweep"]);
    until("the new password counts", LIMIT, || orders("two")(&lab, &home), |text| text.contains("an order at"));

    with_identity(&lab, &["destroy", "--application", "shop"]).ok();
    let left = "podman ps --all --quiet; ls /run/fleet/files /run/fleet/units /run/fleet/quadlet /run/muster/secrets";
    let left = ssh(&lab, &home, left);
    assert!(left.lines().all(|line| line.is_empty() || line.ends_with(':')), "{left}");
}
