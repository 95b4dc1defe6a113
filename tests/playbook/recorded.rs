//! Plays that ansible-playbook has played before: the lines, the exit codes and the files must be the same.
//!
//! `scripts/record-plays` records them. Each play has a folder in `tests/data/plays`.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use muster::playbook::tags::Selection;
use muster::remote::Remote;
use regex::Regex;

use super::Stage;
use crate::wire::sshd::Sshd;
use crate::wire::sshd::missing;

/// Masks what cannot be the same, as `scripts/record-plays` does: the folders, times in the names of backups, the ids of jobs,
/// how often a job is looked at, and the details of a failure, of which the plays print what counts.
fn mask(printed: &str, work: &str) -> String {
    let short = |line: &str| match line.split_once(" => {") {
        Some((head, _)) if line.starts_with("fatal:") || line.starts_with("failed:") => format!("{head} => {{...}}"),
        _ => match line.split_once(": jid=j") {
            Some((head, _)) if line.starts_with("ASYNC ") => format!("{head}: jid=JOB"),
            _ => line.to_owned(),
        },
    };
    let whole = printed.replace(work, "WORK");
    let lines = whole.split_terminator('\n').filter(|line| !line.starts_with("ASYNC POLL"));
    let masked: String = lines.map(|line| short(line) + "\n").collect();
    backup().replace_all(&masked, ".BACKUP~").into_owned()
}

/// Matches the end of a backup's name: the id of a process and the time.
fn backup() -> Regex {
    Regex::new(r"\.[0-9]+\.[0-9]{4}-[0-9-]+@[0-9:]+~").unwrap()
}

/// Returns the paths below a folder, in the order of their bytes. Backups of one file come in the order in which they were
/// made: the ids of processes begin anew.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    let backup = backup();
    found.sort_by_cached_key(|path| {
        let data = path.symlink_metadata().unwrap();
        (backup.replace(&path.to_string_lossy(), ".0~").into_owned(), data.ctime(), data.ctime_nsec())
    });
    found
}

/// Returns what is below a folder.
fn list(work: &Path) -> String {
    let mut listing = String::new();
    for path in paths(work) {
        let data = path.symlink_metadata().unwrap();
        let name = format!("./{}", path.strip_prefix(work).unwrap().display()).replace('\n', "?");
        let mode = data.mode() & 0o7777;
        if data.is_symlink() {
            writeln!(listing, "link {name} -> {}", std::fs::read_link(&path).unwrap().display()).unwrap();
        } else if data.is_dir() {
            writeln!(listing, "directory {mode:o} {name}").unwrap();
        } else if data.is_file() {
            writeln!(listing, "file {mode:o} {} {name}", data.len()).unwrap();
            let content = std::fs::read(&path).unwrap();
            // A file with NUL is not text.
            let content = if content.contains(&0) { Vec::new() } else { content };
            let lines = String::from_utf8_lossy(&content);
            let lines: String = lines.split_terminator('\n').map(|line| format!("    |{line}\n")).collect();
            listing.push_str(&lines);
        } else {
            writeln!(listing, "other {name}").unwrap();
        }
    }
    listing
}

/// Plays a play as `scripts/record-plays` does.
async fn play(folder: &Path, remote: Option<Arc<dyn Remote>>) -> String {
    let mut stage = Stage { remote, ..Stage::new().with_password_of(&folder.join("vault-password")) };
    let options = std::fs::read_to_string(folder.join("options")).unwrap_or_default();
    let values = |option: &str| -> Vec<String> {
        let words: Vec<&str> = options.split_whitespace().collect();
        words.windows(2).filter_map(|pair| pair.strip_prefix(&[option])?.first().map(ToString::to_string)).collect()
    };
    stage.diff = options.contains("--diff");
    stage.force_handlers = options.contains("--force-handlers");
    stage.selection = Selection::new(&values("--tags"), &values("--skip-tags"));
    stage.source = Some(folder.join("inventory")).filter(|source| source.exists());
    let work = tempfile::tempdir().unwrap();
    let name = work.path().display().to_string();
    stage.extra.insert("work".to_owned(), name.clone().into());
    let mut text = String::new();
    for (heading, check) in [("check", true), ("first run", false), ("second run", false)] {
        stage.check = check;
        let (printed, code) = stage.play_file(&folder.join("play.yml")).await;
        write!(text, "== {heading}: exit {code}\n{printed}").unwrap();
    }
    let masked = mask(&format!("{text}== files\n{}", list(work.path())), &name);
    masked.replace(&format!("{}/", folder.display()), "PLAY/")
}

/// Returns what the play needs and this machine does not have. The file `needs` of a play names programs, or `root`.
fn lacks(play: &Path) -> Option<String> {
    let needs = std::fs::read_to_string(play.join("needs")).unwrap_or_default();
    let has = |need: &str| match need {
        "root" => rustix::process::getuid().is_root(),
        program => {
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(program).exists())
        }
    };
    needs.split_whitespace().find(|need| !has(need)).map(str::to_owned)
}

#[tokio::test]
async fn recorded_plays_do_what_ansible_does() {
    check_plays(None).await;
}

#[tokio::test]
async fn recorded_plays_do_the_same_in_user_shells() {
    if missing() {
        return;
    }
    let sshd = Sshd::start();
    check_plays(Some(Arc::new(sshd.ssh_by_any_name()))).await;
}

async fn check_plays(remote: Option<Arc<dyn Remote>>) {
    let plays = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plays");
    let (skipped, played): (Vec<String>, _) =
        Stage::names(&plays).into_iter().partition(|name| lacks(&plays.join(name)).is_some());
    for name in skipped {
        eprintln!("skipped: {name}, which needs {}", lacks(&plays.join(&name)).unwrap());
        assert!(std::env::var_os("CI").is_none(), "{name} cannot be played");
    }
    let differences = played.iter().map(async |name| {
        let folder = plays.join(name);
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        let played = play(&folder, remote.clone()).await;
        (played != expected).then(|| format!("{name}:\n{}", difference(&expected, &played)))
    });
    let different: Vec<String> = futures_util::future::join_all(differences).await.into_iter().flatten().collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Returns the lines that differ, with the lines before them.
pub(crate) fn difference(expected: &str, played: &str) -> String {
    let (expected, played): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), played.lines().collect());
    let same = expected.iter().zip(&played).take_while(|(one, other)| one == other).count();
    let part =
        |lines: &[&str]| lines.iter().skip(same).take(12).map(|line| format!("    {line}\n")).collect::<String>();
    let before = expected[same.saturating_sub(4)..same].join("\n  ");
    format!("  {before}\n  expected:\n{}  played:\n{}", part(&expected), part(&played))
}
