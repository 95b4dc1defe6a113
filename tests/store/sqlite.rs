//! The tests of sqlite alone: several processes, permissions, and files that cannot be used.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::time::Duration;

use muster::store::Op;
use muster::store::Precondition;
use muster::store::SqliteStore;
use muster::store::Store;
use muster::store::StoreError;

use super::soon;

const OTHER: &str = "MUSTER_TEST_OTHER_PROCESS";

/// Runs a test of this file in a process of its own.
fn process(test: &str, path: &Path) -> Child {
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&name, "--exact", "--nocapture", "--include-ignored"]).env(OTHER, path);
    command.stdout(std::process::Stdio::null()).spawn().unwrap()
}

fn other() -> Option<std::path::PathBuf> {
    std::env::var_os(OTHER).map(Into::into)
}

/// Increments a number, with compare-and-set.
async fn count(store: &SqliteStore, times: usize) {
    for _ in 0..times {
        loop {
            let now = store.get("/count").await.unwrap();
            let number = now.as_ref().map_or(0, |entry| String::from_utf8_lossy(&entry.value).parse::<u32>().unwrap());
            let unchanged = now.map_or(Precondition::Absent("/count".into()), |entry| {
                Precondition::Modified(entry.key, entry.modified)
            });
            let op = Op::put("/count", (number + 1).to_string());
            if store.commit(vec![unchanged], vec![op]).await.unwrap().is_some() {
                break;
            }
        }
    }
}

#[tokio::test]
#[ignore = "run by the test below, in processes of its own"]
async fn counts_in_another_process() {
    let Some(path) = other() else { return };
    count(&SqliteStore::open(&path).await.unwrap(), 50).await;
}

#[tokio::test]
async fn concurrent_writes_of_several_processes_are_all_kept() {
    let folder = tempfile::tempdir().unwrap();
    // The file does not exist yet, so the processes also race to create it.
    let path = folder.path().join("state/muster/db");
    let mut others: Vec<_> = (0..3).map(|_| process("counts_in_another_process", &path)).collect();
    let store = SqliteStore::open(&path).await.unwrap();
    count(&store, 50).await;
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(store.get("/count").await.unwrap().unwrap().value, b"200");
}

#[tokio::test]
async fn a_watch_delivers_the_changes_of_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let mut watch = store.watch("/", 0).await.unwrap();
    let mut other = process("counts_in_another_process", &path);
    let mut last = String::new();
    while last != "50" {
        for change in soon(watch.next()).await.unwrap() {
            let muster::store::WatchEvent::Put(entry) = change else { panic!("{change:?}") };
            last = String::from_utf8(entry.value).unwrap();
        }
    }
    assert!(other.wait().unwrap().success());
}

#[tokio::test]
async fn only_its_owner_may_read_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/muster/db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![], vec![Op::put("/a", "")]).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("state")), 0o700);
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_rejected_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is not a database, and it is longer than a header of one hundred bytes would be, surely",
    )
    .unwrap();
    let foreign = folder.path().join("foreign");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE bookmarks (url)").unwrap();
    let newer = folder.path().join("newer");
    drop(SqliteStore::open(&newer).await.unwrap());
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let cases = [
        (text.clone(), "not a database"),
        (foreign, "database of another program"),
        (newer, "newer muster"),
        (folder.path().to_owned(), "Is a directory"),
        (text.join("below"), "cannot create"),
    ];
    for (path, expected) in cases {
        let error = SqliteStore::open(&path).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
    assert!(std::fs::read_to_string(text).unwrap().starts_with("this is not"), "the file was not changed");
}

/// A small tmpfs, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            super::skip("a disk of its own needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let disk = Self(folder);
        disk.mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
        Some(disk)
    }

    fn mount(&self, how: &[&str]) {
        assert!(Command::new("mount").args(how).arg(self.0.path()).status().unwrap().success());
    }

    /// Makes the disk read-only, and reports whether no file is open for writing.
    fn remount_read_only(&self) -> bool {
        Command::new("mount").args(["-o", "remount,ro"]).arg(self.0.path()).status().unwrap().success()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_commit_to_a_full_disk_is_rejected_and_changes_nothing() {
    let Some(disk) = Disk::new() else { return };
    let store = SqliteStore::open(&disk.0.path().join("db")).await.unwrap();
    let before = store.commit(vec![], vec![Op::put("/a", "1")]).await.unwrap().unwrap();
    std::fs::write(disk.0.path().join("filler"), vec![0; 600_000]).unwrap();
    let ops = vec![Op::put("/a", "2"), Op::put("/b", vec![7; 500_000])];
    let error = store.commit(vec![], ops).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable { detail, .. } if detail == "the disk is full: free space on it"),
        "{error}"
    );
    let listing = store.list("/").await.unwrap();
    assert_eq!((listing.revision, listing.entries.len()), (before, 1));
}

#[tokio::test]
async fn a_full_disk_can_be_read_and_shows_no_key_whose_lease_has_expired() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.0.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let lease = store.grant(Duration::from_mins(1)).await.unwrap();
    let leader = Op::Put { key: "/leader".to_owned(), value: b"1".to_vec(), lease: Some(lease) };
    let before = store.commit(vec![], vec![Op::put("/a", "1"), leader]).await.unwrap().unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("UPDATE leases SET expires = 0, boot_expires = 0").unwrap();
    let mut filler = std::fs::File::create(disk.0.path().join("filler")).unwrap();
    assert!(std::io::copy(&mut std::io::repeat(0), &mut filler).is_err());
    let listing = store.list("/").await.unwrap();
    assert_eq!((listing.revision, listing.entries.len()), (before, 1));
    assert_eq!(store.get("/leader").await.unwrap(), None);
    let opened = SqliteStore::open(&path).await.unwrap();
    assert_eq!(opened.get("/a").await.unwrap().unwrap().value, b"1");
    drop(filler);
    std::fs::remove_file(disk.0.path().join("filler")).unwrap();
    assert_eq!(store.list("/").await.unwrap().revision, before + 1, "now the lease has ended for all");
}

#[tokio::test]
async fn a_read_only_disk_is_rejected() {
    let Some(disk) = Disk::new() else { return };
    let path = disk.0.path().join("db");
    drop(SqliteStore::open(&path).await.unwrap());
    // The thread of the store closes the file a moment after the last handle is gone.
    let began = std::time::Instant::now();
    while !disk.remount_read_only() {
        assert!(began.elapsed() < Duration::from_secs(10), "the file is still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert!(matches!(&error, StoreError::Refused { detail, .. } if detail.contains("Read-only")), "{error}");
}

#[tokio::test]
async fn a_file_that_stays_locked_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = soon(store.commit(vec![], vec![Op::put("/a", "1")])).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { detail, .. } if detail.contains("locked")), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.commit(vec![], vec![Op::put("/a", "1")]).await.unwrap();
}

#[tokio::test]
async fn a_watch_on_a_file_that_was_replaced_is_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    for n in 0..3 {
        store.commit(vec![], vec![Op::put("/a", n.to_string())]).await.unwrap();
    }
    let mut watch = store.watch("/", 3).await.unwrap();
    for name in ["db", "db-wal", "db-shm"] {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
    let _other = SqliteStore::open(&path).await.unwrap();
    let ended = loop {
        match soon(watch.next()).await {
            // The file was gone for a moment.
            Err(StoreError::Unavailable { .. }) => {}
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(StoreError::Compacted(3))), "{ended:?}");
    assert_eq!(store.get("/a").await.unwrap(), None);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (folder.path().join("db"), folder.path().join("elsewhere"));
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![], vec![Op::put("/a", "1")]).await.unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let files = ["db", "db-wal", "db-shm"];
    for file in files {
        std::fs::rename(folder.path().join(file), elsewhere.join(file)).unwrap();
    }
    let gone = store.get("/a").await.unwrap_err();
    assert!(matches!(&gone, StoreError::Unavailable { .. }) && gone.to_string().contains("its file is gone"), "{gone}");
    assert!(store.commit(vec![], vec![Op::put("/b", "2")]).await.is_err() && !path.exists());
    for file in files {
        std::fs::rename(elsewhere.join(file), folder.path().join(file)).unwrap();
    }
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, b"1");
}

#[tokio::test]
async fn a_watch_from_discarded_changes_is_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("db")).await.unwrap();
    for n in 0..70 {
        let changes = (0..128).map(|key| Op::put(format!("/{key}"), n.to_string())).collect();
        store.commit(vec![], changes).await.unwrap();
    }
    let ended = store.watch("/", 1).await.err();
    assert!(matches!(ended, Some(StoreError::Compacted(1))), "{ended:?}");
    assert!(store.watch("/", 69).await.is_ok());
}

/// Grants a lease, changes its record by a statement, and returns whether the key under it is there after the time of the
/// lease. `boot` gives the lease to an earlier boot.
async fn outlasts(statement: &str, boot: bool) -> (bool, bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    let lease = store.grant(Duration::from_secs(1)).await.unwrap();
    let held = Op::Put { key: "/a".into(), value: vec![], lease: Some(lease) };
    let made = store.commit(vec![], vec![held]).await.unwrap().unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    file.execute(&format!("UPDATE leases SET {statement}"), []).unwrap();
    if boot {
        file.execute("UPDATE leases SET boot = 'earlier', boot_expires = 0", []).unwrap();
    }
    let at_once = store.get("/a").await.unwrap().is_some();
    if at_once {
        soon(store.watch("/", made).await.unwrap().next()).await.unwrap();
    }
    (at_once, store.get("/a").await.unwrap().is_some())
}

#[tokio::test]
async fn a_clock_that_was_set_neither_ends_nor_extends_a_lease() {
    // These are the leases as a clock one hour ahead, and one hour behind, would have granted them.
    for statement in ["expires = expires + 3600000", "expires = expires - 3600000"] {
        assert_eq!(outlasts(statement, false).await, (true, false), "{statement}");
    }
}

#[tokio::test]
async fn a_lease_of_an_earlier_boot_ends_by_the_wall_clock() {
    assert_eq!(outlasts("expires = expires + 3600000", true).await, (true, false), "a clock that was set back");
    assert_eq!(outlasts("expires = expires - 3600000", true).await, (false, false));
}

#[tokio::test]
async fn values_that_the_shell_of_sqlite_stored_as_text_or_numbers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let store = SqliteStore::open(&path).await.unwrap();
    store.commit(vec![], vec![Op::put("/a", "old"), Op::put("/b", "old")]).await.unwrap();
    let shell = rusqlite::Connection::open(&path).unwrap();
    shell
        .execute_batch(
            "UPDATE entries SET value = '{}' WHERE key = '/a'; UPDATE entries SET value = 3 WHERE key = '/b'",
        )
        .unwrap();
    let values: Vec<_> = store.list("/").await.unwrap().entries.into_iter().map(|entry| entry.value).collect();
    assert_eq!(values, [b"{}".to_vec(), b"3".to_vec()]);
}
