//! The modules for volumes, with tools that only log what they are told.

use super::system::Host;

/// The tools of LVM that change something.
const WRITERS: [&str; 9] =
    ["pvcreate", "vgcreate", "vgextend", "vgreduce", "vgremove", "lvcreate", "lvextend", "lvreduce", "lvremove"];

fn host() -> Host {
    let readers = [("vgs", "cat DIR/vgs"), ("pvs", "cat DIR/pvs"), ("lvs", "cat DIR/lvs"), ("lvchange", "")];
    let tools: Vec<(&str, &str)> = readers.into_iter().chain(WRITERS.map(|name| (name, ""))).collect();
    let host = Host::new(&tools);
    for name in ["vgs", "pvs", "lvs"] {
        host.stage.write(name, "");
    }
    host
}

#[tokio::test]
async fn a_volume_group_has_its_devices() {
    let host = host();
    let readers = ["vgs ", "pvs "];
    for (task, expected) in [
        ("lvg: {vg: v1, pvs: /dev/null}", vec!["pvcreate -f /dev/null", "vgcreate -s 4 v1 /dev/null"]),
        (
            "lvg: {vg: v1, pvs: '/dev/null,/dev/zero', pesize: 32, pv_options: --x 'y z', vg_options: --z}",
            vec![
                "pvcreate --x y z -f /dev/null",
                "pvcreate --x y z -f /dev/zero",
                "vgcreate --z -s 32 v1 /dev/null /dev/zero",
            ],
        ),
        ("lvg: {vg: v1, state: absent}", vec![]),
        ("lvg: {vg: v1, pvs: /dev/nosuch}", vec!["Device /dev/nosuch not found."]),
        ("lvg: {vg: v1}", vec!["No physical volumes given."]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    host.stage.write("vgs", "  v2;2;1\n");
    host.stage.write("pvs", "  /dev/null;v2\n  /dev/full;v2\n  /dev/random;\n");
    for (task, expected) in [
        ("lvg: {vg: v2, pvs: ['/dev/null', '/dev/full']}", vec![]),
        (
            "lvg: {vg: v2, pvs: ['/dev/null', '/dev/full', '/dev/zero']}",
            vec!["pvcreate -f /dev/zero", "vgextend v2 /dev/zero"],
        ),
        ("lvg: {vg: v2, pvs: ['/dev/null', '/dev/full', '/dev/random']}", vec!["vgextend v2 /dev/random"]),
        ("lvg: {vg: v2, pvs: /dev/null}", vec!["vgreduce --force v2 /dev/full"]),
        ("lvg: {vg: v2, pvs: /dev/null, remove_extra_pvs: false}", vec![]),
        ("lvg: {vg: v3, pvs: /dev/null}", vec!["Device /dev/null is already in v2 volume group."]),
        ("lvg: {vg: v2, state: absent}", vec!["Refuse to remove non-empty volume group v2 without force=true"]),
        ("lvg: {vg: v2, state: absent, force: true}", vec!["vgremove --force v2"]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
}

#[tokio::test]
async fn a_logical_volume_has_its_size() {
    let host = host();
    host.stage.write("vgs", "  v2;1024;512;4\n");
    host.stage.write("lvs", "  l0;100.00;-wi-a-----\n  idle;100.00;-wi-------\n");
    let no_space =
        "Logical Volume l0 could not be extended. Not enough free space left (924.000000m required / 512m available)";
    for (task, expected) in [
        ("lvol: {vg: v2, lv: l1, size: 100}", vec!["lvcreate --yes -n l1 -L 100m v2"]),
        (
            "lvol: {vg: v2, lv: l1, size: 1g, opts: -r 16, pvs: '/dev/null,/dev/zero'}",
            vec!["lvcreate --yes -n l1 -L 1g -r 16 v2 /dev/null /dev/zero"],
        ),
        ("lvol: {vg: v2, lv: l1, size: 100%FREE}", vec!["lvcreate --yes -n l1 -l 100%FREE v2"]),
        ("lvol: {vg: v2, lv: l1}", vec!["No size given."]),
        ("lvol: {vg: v2, lv: l0, size: 100}", vec![]),
        ("lvol: {vg: v2, lv: l0}", vec![]),
        ("lvol: {vg: v2, lv: l0, size: 200}", vec!["lvextend -L 200m v2/l0"]),
        ("lvol: {vg: v2, lv: l0, size: 200m, resizefs: true}", vec!["lvextend --resizefs -L 200m v2/l0"]),
        ("lvol: {vg: v2, lv: l0, size: +50m}", vec!["lvextend -L +50m v2/l0"]),
        ("lvol: {vg: v2, lv: l0, size: 50%VG}", vec!["lvextend -l 50%VG v2/l0"]),
        ("lvol: {vg: v2, lv: l0, size: 100%VG}", vec![no_space]),
        ("lvol: {vg: v2, lv: l0, size: +100%FREE}", vec!["lvextend -l +100%FREE v2/l0"]),
        ("lvol: {vg: v2, lv: l0, size: 50}", vec!["Sorry, no shrinking of l0 without force=true."]),
        ("lvol: {vg: v2, lv: l0, size: 50, shrink: false}", vec![]),
        ("lvol: {vg: v2, lv: l0, size: 50, force: true}", vec!["lvreduce --force -L 50m v2/l0"]),
        ("lvol: {vg: v2, lv: idle}", vec!["lvchange -ay v2/idle"]),
        ("lvol: {vg: v2, lv: l0, active: false}", vec!["lvchange -an v2/l0"]),
        ("lvol: {vg: v2, lv: l0, state: absent}", vec!["Sorry, no removal of logical volume l0 without force=true."]),
        ("lvol: {vg: v2, lv: l0, state: absent, force: true}", vec!["lvremove --force v2/l0"]),
        ("lvol: {vg: v2, lv: l9, state: absent}", vec![]),
        ("lvol: {vg: v2, lv: l9, size: 5x}", vec!["Bad size specification of '5x'"]),
    ] {
        assert_eq!(host.acts(task, &["vgs ", "lvs "]).await, expected, "{task}");
    }
    let (result, _) = host.run("lvol: {vg: v2, lv: l0}").await;
    assert_eq!((&result["size"], &result["vg"]), (&100.0.into(), &"v2".into()));
}

#[tokio::test]
async fn a_file_system_of_zfs_is_made_changed_and_removed() {
    let zfs = r#"
case "$1 $5" in
  'list '*) exit "$(cat DIR/missing)" ;;
  'get source') echo local ;;
  'get value') cat DIR/value ;;
  'set '*) echo "${2#*=}" > DIR/value ;;
esac"#;
    let host = Host::new(&[("zfs", zfs)]);
    let readers = ["zfs list", "zfs get"];
    for (missing, task, expected) in [
        ("1", "{name: p/a, state: present}", vec!["zfs create -p p/a"]),
        (
            "1",
            "{name: p/v, state: present, extra_zfs_properties: {volsize: 10M, compression: true}}",
            vec!["zfs create -p -V 10M -o compression=on p/v"],
        ),
        ("1", "{name: p/a@s, state: present}", vec!["zfs snapshot p/a@s"]),
        ("1", "{name: p/b, state: present, origin: p/a@s}", vec!["zfs clone -p p/a@s p/b"]),
        ("0", "{name: p/a, state: present, extra_zfs_properties: {quota: 5G}}", vec!["zfs set quota=5G p/a"]),
        ("0", "{name: p/a, state: present, extra_zfs_properties: {quota: 10G}}", vec![]),
        ("0", "{name: p/a, state: absent}", vec!["zfs destroy -R p/a"]),
        ("1", "{name: p/a, state: absent}", vec![]),
    ] {
        host.stage.write("missing", missing);
        host.stage.write("value", "10G\n");
        assert_eq!(host.acts(&format!("zfs: {task}"), &readers).await, expected, "{task}");
    }
}
