//! The same for containers, on hosts of Debian 13 with Podman.

use muster::lab::Lab;

use super::super::containers::BOX;
use super::super::containers::PACKAGES;
use super::super::daemon::unit_file;
use super::super::options;
use super::super::releases;
use super::Fate;
use super::Ground;
use super::acts;
use super::tally;

/// Returns the file of a container. A strict one holds a lock, as a strict service does.
fn file(lab: &Lab, service: &str) -> String {
    let class = service.split('-').next().unwrap();
    let name = service.replace(".service", ".container");
    let witness = if class == "strict" {
        "exec 9>>/mnt/shared/%N.service.lock; flock -n 9 || echo %H >>/mnt/shared/%N.service.twice;"
    } else {
        ""
    };
    let exec = format!("Exec=/bin/sh -c '{witness} trap exit TERM; while :; do sleep 1; done'");
    let text = format!(
        "[Container]\nImage=localhost/box:1\nPull=never\nNetwork=host\nVolume=/mnt/shared:/mnt/shared\n{exec}\n[X-Muster]\nClass={class}\n"
    );
    unit_file(lab, &name, &text)
}

fn begin() -> Option<Ground> {
    let mut options = options(3)?;
    options.etcd = Some(true);
    options.releases = releases("trixie");
    options.packages = PACKAGES.map(|name| name.parse().unwrap()).into();
    Some(Ground::on(Lab::temporary(&options).unwrap(), None, file, Some(BOX)))
}

#[test]
#[ignore = "it needs an image with Podman: scripts/night runs it"]
fn containers_of_both_classes_survive_a_power_cut_a_cut_cable_and_a_freeze() {
    let Some(mut ground) = begin() else { return };
    let rows = ["power cut", "cut cable", "freeze and thaw"].map(|name| {
        let fates: Vec<Fate> = ground.outlive(&acts::named(name));
        tally::rows(name, &fates, true)
    });
    eprintln!("containers:\n{}", rows.concat());
}
