//! `copy`: the files that it writes, and the files of other users that it must not touch.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::json;

use super::Stage;
use super::ends;

/// Returns the mode of a file, without following a link.
fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Returns a playbook that copies once.
fn copy(args: &str) -> String {
    format!("- hosts: h1\n  tasks:\n    - copy: {args}\n")
}

#[tokio::test]
async fn a_file_is_copied_once_whole_and_with_its_attributes() {
    let stage = Stage::new();
    stage.write("motd", "hello\n");
    let book = "- hosts: h1\n  tasks:\n    - copy: {src: motd, dest: DIR/out, mode: '0640'}\n";
    assert_eq!(ends(&stage.play(book).await.0), ["changed: [h1]"]);
    assert_eq!(stage.read("out"), "hello\n");
    assert_eq!(std::fs::metadata(stage.path("out")).unwrap().mode() & 0o7777, 0o640);
    assert_eq!(ends(&stage.play(book).await.0), ["ok: [h1]"]);
    // A change of the mode leaves the content.
    assert_eq!(ends(&stage.play(&book.replace("0640", "600")).await.0), ["changed: [h1]"]);
    assert_eq!(std::fs::metadata(stage.path("out")).unwrap().mode() & 0o7777, 0o600);
    // A change of the content keeps the attributes.
    stage.write("motd", "again\n");
    assert_eq!(ends(&stage.play(&book.replace(", mode: '0640'", "")).await.0), ["changed: [h1]"]);
    assert_eq!(
        (stage.read("out").as_str(), std::fs::metadata(stage.path("out")).unwrap().mode() & 0o7777),
        ("again\n", 0o600)
    );
    // No temporary file is left behind.
    assert_eq!(Stage::names(stage.folder.path()), ["hosts", "motd", "out"]);
}

#[tokio::test]
async fn a_copy_that_fails_says_why_and_changes_nothing() {
    let stage = Stage::new();
    stage.write("motd", "hello\n");
    for (copy, expected) in [
        ("{src: motd, dest: DIR/no/where}", "Destination directory"),
        ("{content: x, dest: DIR}", "can not use content with a dir as dest"),
        ("{content: x, dest: DIR/}", "can not use content with a dir as dest"),
        ("{src: motd, dest: DIR/hosts/out}", "/hosts does not exist"),
        ("{src: nothing, dest: DIR/out}", "there is no file nothing in"),
        ("{src: motd, dest: out}", "`dest` must be an absolute path"),
        ("{src: motd, dest: DIR/out, owner: no-such-user}", "failed to look up user no-such-user"),
        ("{src: motd, dest: \"DIR/out\\0\"}", "cannot be given to a shell"),
        ("{content: '{{ missing }}', dest: DIR/out}", "`missing` is undefined"),
    ] {
        let (printed, code) = stage.play(&format!("- hosts: h1\n  tasks:\n    - copy: {copy}\n")).await;
        assert!(printed.contains(expected) && printed.contains("FAILED!"), "{copy}: {printed}");
        assert_eq!(
            (code, Stage::names(stage.folder.path())),
            (2, vec!["hosts".to_owned(), "motd".to_owned()]),
            "{copy}"
        );
    }
}

#[tokio::test]
async fn hostile_file_names_are_quoted() {
    let stage = Stage::new();
    for name in ["a b", "$(touch pwned)", "`touch pwned`", "; touch pwned", "'", "\"", "-rf", "*", "é\n", "\\"] {
        let dest = json!(stage.path(name).display().to_string());
        let book = format!(
            "- hosts: h1\n  tasks:\n    - copy: {{content: x, dest: {dest}}}\n    - command: {{argv: [cat, {dest}]}}\n      register: out\n    - command: 'true'\n      when: out.stdout != 'x'\n"
        );
        let (printed, code) = stage.play(&book).await;
        assert_eq!(
            (code, ends(&printed).last().map(String::as_str)),
            (0, Some("skipping: [h1]")),
            "{name:?}: {printed}"
        );
        std::fs::remove_file(stage.path(name)).unwrap();
    }
    assert_eq!(Stage::names(stage.folder.path()), ["hosts"]);
    assert!(!Path::new("pwned").exists());
}

#[tokio::test]
async fn a_link_to_a_file_is_replaced_and_its_target_stays() {
    let stage = Stage::new();
    stage.write("target", "old");
    std::fs::set_permissions(stage.path("target"), std::fs::Permissions::from_mode(0o4640)).unwrap();
    symlink("target", stage.path("link")).unwrap();
    symlink("nowhere", stage.path("dangling")).unwrap();
    symlink("target", stage.path("same")).unwrap();
    for (name, content, expected) in [("link", "new", 0o640), ("dangling", "new", 0o644), ("same", "old", 0o640)] {
        let book = copy(&format!("{{content: {content}, dest: DIR/{name}}}"));
        assert_eq!(ends(&stage.play(&book).await.0), ["changed: [h1]"], "{name}");
        assert!(!stage.path(name).is_symlink(), "{name}");
        assert_eq!((stage.read(name).as_str(), mode(&stage.path(name))), (content, expected), "{name}");
        assert_eq!(ends(&stage.play(&book).await.0), ["ok: [h1]"], "{name}");
    }
    assert_eq!((stage.read("target").as_str(), mode(&stage.path("target"))), ("old", 0o4640));
    assert!(!stage.path("nowhere").exists());
}

#[tokio::test]
async fn a_copy_goes_into_a_directory_and_not_through_the_link_of_another_user() {
    let stage = Stage::new();
    stage.write("motd", "hello\n");
    std::fs::create_dir(stage.path("d")).unwrap();
    symlink("d", stage.path("link")).unwrap();
    for (dest, written) in [("d", "d/motd"), ("link/", "d/motd")] {
        let (printed, _) = stage.play(&copy(&format!("{{src: motd, dest: DIR/{dest}}}"))).await;
        assert_eq!(ends(&printed), ["changed: [h1]"], "{dest}");
        assert_eq!(stage.read(written), "hello\n");
        std::fs::remove_file(stage.path(written)).unwrap();
    }
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can make the link of another user");
        return;
    }
    std::os::unix::fs::lchown(stage.path("link"), Some(65_534), None).unwrap();
    let (printed, code) = stage.play(&copy("{src: motd, dest: DIR/link}")).await;
    assert!(printed.contains("/link is a link of another user to a directory") && code == 2, "{printed}");
    assert!(!stage.path("d/motd").exists());
}

#[tokio::test]
async fn a_special_file_is_no_destination() {
    let stage = Stage::new();
    let made = std::process::Command::new("mkfifo").arg(stage.path("pipe")).status().unwrap();
    assert!(made.success());
    let (printed, code) = stage.play(&copy("{content: x, dest: DIR/pipe}")).await;
    assert!(printed.contains("/pipe is neither a file nor a link") && code == 2, "{printed}");
}

#[tokio::test]
async fn modes_are_octal_whatever_their_zeros() {
    let stage = Stage::new();
    for (text, expected) in [("0070", 0o70), ("070", 0o70), ("0000", 0), ("4755", 0o4755), ("0644", 0o644)] {
        let book = copy(&format!("{{content: x, dest: DIR/out, mode: '{text}'}}"));
        assert_eq!(ends(&stage.play(&book).await.0), ["changed: [h1]"], "{text}");
        assert_eq!(mode(&stage.path("out")), expected, "{text}");
        if rustix::process::getuid().is_root() {
            assert_eq!(ends(&stage.play(&book).await.0), ["ok: [h1]"], "{text}");
        }
        std::fs::remove_file(stage.path("out")).unwrap();
    }
}

#[tokio::test]
async fn writers_of_one_file_do_not_disturb_each_other() {
    let stage = Stage::new();
    let book = |content: &str| copy(&format!("{{content: {content}, dest: DIR/out}}"));
    let contents = ["one", "two", "three", "four"].map(book);
    let played = futures_util::future::join_all(contents.iter().map(|book| stage.play(book))).await;
    for (printed, code) in played {
        assert_eq!((ends(&printed).as_slice(), code), (&["changed: [h1]".to_owned()][..], 0), "{printed}");
    }
    assert_eq!(Stage::names(stage.folder.path()), ["hosts", "out"]);
}

/// The owner of a folder replaces the temporary file by a link to a file of root as soon as the file appears.
#[test]
fn the_owner_of_the_folder_cannot_steer_the_writing_to_another_file() {
    let stage = Stage::new();
    std::fs::create_dir(stage.path("home")).unwrap();
    stage.write("victim", "secret");
    std::fs::set_permissions(stage.path("victim"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let (home, victim) = (stage.path("home"), stage.path("victim"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir(&home).unwrap().flatten() {
                    if entry.file_name().to_string_lossy().starts_with(".muster.") {
                        let _ = std::fs::remove_file(entry.path());
                        let _ = symlink(&victim, entry.path());
                    }
                }
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for content in ["one", "two", "three", "four", "five", "six"] {
            runtime.block_on(stage.play(&copy(&format!("{{content: {content}, dest: DIR/home/conf, mode: '0644'}}"))));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!((stage.read("victim").as_str(), mode(&victim)), ("secret", 0o600));
}
