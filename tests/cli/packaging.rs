//! The files beside the source for those who install or try muster: units, settings, the line for cron, the demo.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::Desk;
use crate::hosts::run;
use crate::store::skip;

const SETTINGS: &str = "/etc/muster/muster.toml";

fn beside(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Returns the names and the texts of the shipped units.
fn units() -> Vec<(String, String)> {
    let entries = fs::read_dir(beside("packaging")).unwrap().map(|entry| entry.unwrap().path());
    let unit = |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "service" || kind == "timer");
    let units = entries.filter(unit);
    units.map(|path| (path.file_name().unwrap().display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn systemd_accepts_the_units() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return skip("there is no systemd-analyze");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["verify", "--man=no"]);
    for (name, text) in units() {
        let path = folder.path().join(name);
        fs::write(&path, text.replace("/usr/local/bin/muster", env!("CARGO_BIN_EXE_muster"))).unwrap();
        analyze.arg(path);
    }
    let said = run(&mut analyze);
    assert!(said.code == Some(0) && said.err.is_empty(), "{said:#?}");
}

#[test]
fn the_services_are_exposed_to_no_more_than_three_tenths() {
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        return skip("there is no systemd-analyze");
    }
    for (name, _) in units().into_iter().filter(|(name, _)| name.ends_with(".service")) {
        let mut analyze = Command::new("systemd-analyze");
        let path = beside("packaging").join(&name);
        let said = run(analyze.args(["security", "--offline=true", "--no-pager", "--threshold=30"]).arg(path));
        assert_eq!(said.code, Some(0), "{said:#?}");
    }
}

#[test]
fn the_services_work_with_the_shipped_settings() {
    let services: Vec<_> = units().into_iter().filter(|(name, _)| name.ends_with(".service")).collect();
    assert_eq!(services.len(), 2);
    for (name, text) in services {
        let environment = format!("\nEnvironment=HOME=/root MUSTER_CONFIG={SETTINGS}\n");
        assert!(text.contains(&environment) && !text.contains("XDG"), "{name}");
        assert!(text.contains("\nStateDirectory=muster\n"), "{name}");
    }
    let desk = Desk::new();
    let text = fs::read_to_string(beside("packaging/muster.toml")).unwrap();
    let state = desk.path("state");
    desk.write("etc/muster.toml", text.replace("/var/lib/muster", state.to_str().unwrap()));
    desk.write("etc/hosts.yaml", "all: {hosts: {h1: {}}}\n");
    assert_eq!(desk.muster(&["--config", "etc/muster.toml", "inventory", "list"]).ok(), "h1\n");
    desk.write("a.service", super::unit("a"));
    desk.muster(&["--config", "etc/muster.toml", "submit", "a.service"]).ok();
    assert!(state.join("muster.db").exists());
}

#[test]
fn the_line_for_cron_finds_its_settings_from_any_folder() {
    let readme = fs::read_to_string(beside("README.md")).unwrap();
    let line = readme.lines().find_map(|line| line.strip_prefix("* * * * *")).unwrap();
    let desk = Desk::new();
    desk.write("etc/muster.toml", "token = \"no/token\"\n");
    let line = line.replace("/usr/local/bin/muster", env!("CARGO_BIN_EXE_muster"));
    let line = line.replace(SETTINGS, desk.path("etc/muster.toml").to_str().unwrap());
    let mut cron = Command::new("/bin/sh");
    cron.arg("-c").arg(line).current_dir(desk.home(""));
    let said = run(cron.env_clear().env("HOME", desk.home("")).env("PATH", "/usr/bin:/bin"));
    assert!(said.code == Some(2) && said.err.contains("no/token"), "it does not read its settings: {said:#?}");
}

#[test]
fn the_demo_finds_what_was_built_once_it_is_root() {
    let folder = tempfile::tempdir().unwrap();
    let programs =
        [("id", "echo 1000"), ("dpkg-query", "echo installed"), ("cargo", ""), ("sudo", "echo sudo: \"$@\"")];
    for (name, text) in programs {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let demo = beside("demo");
    let sudo = |target: Option<&str>| {
        let mut command = Command::new(&demo);
        command.env_clear().env("PATH", format!("{}:/usr/bin:/bin", folder.path().display()));
        run(command.envs(target.map(|target| ("CARGO_TARGET_DIR", target)))).ok()
    };
    let root = demo.parent().unwrap().display();
    for (target, expected) in [
        (None, format!("{root}/target")),
        (Some("elsewhere"), format!("{root}/elsewhere")),
        (Some("/built"), "/built".to_owned()),
    ] {
        let line = format!("sudo: -- env CARGO_TARGET_DIR={expected} {} --built\n", demo.display());
        assert_eq!(sudo(target), line);
    }
}
