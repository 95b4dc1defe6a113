//! Plays that ansible-playbook has played on a host before: the lines, the exit codes, and what has changed on the host at
//! the end must be the same.
//!
//! `scripts/record-host-plays` records them. Each play has a folder in `tests/data/host-plays`.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use muster::lab::Lab;

use super::options;
use super::releases;
use crate::playbook::recorded::difference;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Returns the folders of the plays, in the order of their names.
fn plays() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository("tests/data/host-plays")).unwrap();
    let mut plays: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    plays.sort();
    plays
}

/// Plays a play on a host as `scripts/record-host-plays` does.
fn play(lab: &Lab, host: &str, play: &Path) -> String {
    let mut script = Command::new(repository("scripts/play-on-host"));
    script.arg(lab.ssh_config()).arg(host).arg(play.join("play.yml")).env("HOME", "/nonexistent");
    script.args([env!("CARGO_BIN_EXE_muster"), "play", "-i", &format!("{host},"), "--ssh-config"]);
    let output = script.arg(lab.ssh_config()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}: {}", play.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn recorded_plays_do_on_a_host_what_ansible_does() {
    let plays = plays();
    let Some(mut options) = options(plays.len()) else { return };
    // The records are of this release: later ones have other files.
    options.releases = releases("bookworm");
    let lab = Lab::temporary(&options).unwrap();
    let mut different = Vec::new();
    for (folder, host) in plays.iter().zip(lab.hosts()) {
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        let played = play(&lab, &host.name, folder);
        if played != expected {
            different.push(format!("{}:\n{}", folder.display(), difference(&expected, &played)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
