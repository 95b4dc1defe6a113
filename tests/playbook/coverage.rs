//! The count of what muster could run of a folder.

use std::fs;
use std::os::unix::fs::symlink;

use muster::playbook::coverage::folder;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::mknodat;

#[test]
fn a_hostile_folder_costs_a_bounded_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| {
        fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        fs::write(path(name), text).unwrap();
    };
    symlink("..", path("up")).unwrap();
    symlink("/etc/passwd", path("link.yml")).unwrap();
    mknodat(CWD, path("pipe.yml"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    write(".git/hidden.yml", "- hosts: all\n");
    write("large.yml", &"# large\n".repeat(1 << 18));
    write("bytes.yml", "- hosts: \u{0}\n");
    // Each file imports the next one ten times.
    write("bomb.yml", "- hosts: all\n  tasks:\n    - import_tasks: bomb/0.yml\n");
    for number in 0..20 {
        let next = format!("- import_tasks: {}.yml\n", number + 1);
        write(&format!("bomb/{number}.yml"), &next.repeat(10));
    }
    write("bomb/20.yml", "- ping:\n");
    write("circle.yml", "- import_playbook: circle.yml\n");

    let coverage = folder::read(folder.path()).unwrap();
    let reasons = |tally: &muster::playbook::coverage::Tally| -> Vec<(String, String)> {
        let named =
            tally.reasons().into_iter().map(|(text, reason)| (reason.file.display().to_string(), text.to_owned()));
        named.collect()
    };
    let why = |file: &str, what: &str| (file.to_owned(), what.to_owned());
    assert_eq!(
        reasons(&coverage.playbooks),
        [
            why("bomb.yml", "cannot be read: the playbook imports more than 16 MiB"),
            why("circle.yml", "files import each other more than 24 deep"),
        ]
    );
    assert_eq!((coverage.tasks.accepted, coverage.tasks.refused), (202, 0));
    assert_eq!(reasons(&coverage.unreadable)[0], why("large.yml", "it cannot be read: it is larger than 1 MiB"));
}
