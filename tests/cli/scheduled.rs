//! Playbooks under cron and timers.

use std::fs;
use std::fs::File;
use std::path::PathBuf;

use serde_json::Value;

use super::Desk;

/// Returns a desk with a playbook for this machine: it writes a file, and fails if there is a file `broken`.
fn desk() -> Desk {
    let desk = Desk::empty();
    let folder = desk.path("");
    let folder = folder.display();
    desk.write(
        "site.yaml",
        format!(
            "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n    - name: write\n      copy: \
             {{content: \"{{{{ text }}}}\", dest: \"{folder}/written\"}}\n    - name: look\n      command: test ! -e \
             {folder}/broken\n      changed_when: false\n"
        ),
    );
    desk
}

const PLAY: [&str; 4] = ["play", "site.yaml", "-e", "text=a"];

fn lock(desk: &Desk) -> PathBuf {
    let plays = desk.home(".local/state/muster/plays");
    let mut names = fs::read_dir(plays).unwrap().map(|entry| entry.unwrap().path());
    names.find(|path| path.extension().is_some_and(|it| it == "lock")).unwrap()
}

#[test]
fn a_scheduled_run_speaks_only_if_something_changed_or_failed() {
    let desk = desk();
    let scheduled = |more: &[&str]| desk.muster(&[&PLAY[..], &["--scheduled"], more].concat());
    let changed = scheduled(&[]).ok();
    assert!(
        changed.starts_with("site.yaml succeeded after ") && changed.contains("Hosts: 1, changed: 1,"),
        "{changed}"
    );
    assert!(changed.ends_with("Changed:\n  localhost: TASK [write]\n"), "{changed}");
    let same = scheduled(&["--jitter", "10ms"]);
    assert_eq!((same.code, same.out.as_str(), same.err.as_str()), (Some(0), "", ""), "{same:#?}");
    assert_eq!(scheduled(&["-o", "json"]).ok(), "");

    desk.write("broken", "");
    let failed = scheduled(&[]);
    assert_eq!(failed.code, Some(2), "{failed:#?}");
    assert!(failed.out.contains("site.yaml failed with exit code 2 after "), "{failed:#?}");
    assert!(
        failed.out.contains("Failed:\n  localhost: site.yaml:7:7: TASK [look]: non-zero return code"),
        "{failed:#?}"
    );

    let history = desk.muster(&[&PLAY[..], &["--history"]].concat()).ok();
    assert_eq!(history.lines().count(), 5, "{history}");
    let document = desk.muster(&[&PLAY[..], &["--history", "-o", "json"]].concat()).ok();
    let document: Value = serde_json::from_str(&document).unwrap();
    let of = |key: &str| document.as_array().unwrap().iter().map(|run| run[key].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!((of("code"), of("changed"), of("failed")), (vec![0, 0, 0, 2], vec![1, 0, 0, 0], vec![0, 0, 0, 1]));
    assert!(document[3]["report"].as_str().unwrap().contains("TASK [look]"), "{document}");
}

#[test]
fn a_scheduled_run_beside_another_one_does_nothing() {
    let desk = desk();
    desk.muster(&[&PLAY[..], &["--scheduled"]].concat()).ok();
    let file = File::options().write(true).open(lock(&desk)).unwrap();
    file.lock().unwrap();
    let busy = desk.muster(&[&PLAY[..], &["--scheduled"]].concat());
    assert_eq!((busy.code, busy.out.as_str()), (Some(1), ""), "{busy:#?}");
    assert!(busy.err.contains("another scheduled run of these playbooks goes on since 20"), "{busy:#?}");
    desk.muster(&PLAY).ok();
}

#[test]
fn each_host_has_a_log_of_its_own() {
    let desk = desk();
    desk.muster(&[&PLAY[..], &["--log-folder", "logs"]].concat()).ok();
    desk.muster(&[&PLAY[..], &["--log-folder", "logs"]].concat()).ok();
    let log = fs::read_to_string(desk.path("logs/localhost.log")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 4, "{log}");
    assert!(lines[0].contains(" TASK [write] changed: [localhost] => {"), "{log}");
    assert!(lines[2].contains(" TASK [write] ok: [localhost] => {"), "{log}");
}
