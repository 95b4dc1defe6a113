//! The functions of the fuzz targets on their corpora, and on inputs that chance makes of the corpora. `MUSTER_FUZZ_RUNS`
//! sets how many inputs each target gets, and `MUSTER_FUZZ_SEED` which ones.

mod mutation;

#[expect(unreachable_pub, reason = "the fuzz targets are crates of their own")]
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::simulator::dice::Dice;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use targets::TARGETS;
use targets::Target;

/// How much of a processor's time a target may use for one input.
const LIMIT: Duration = Duration::from_secs(10);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn names(folder: &Path) -> BTreeSet<String> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = folder("corpus").join(name);
    names(&folder).iter().map(|file| fs::read(folder.join(file)).unwrap()).collect()
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

#[test]
fn every_target_has_a_binary_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
    let manifest: toml::Table = fs::read_to_string(folder("Cargo.toml")).unwrap().parse().unwrap();
    let binaries = manifest["bin"].as_array().unwrap().iter();
    assert_eq!(binaries.map(|binary| binary["name"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>(), targets);
}

#[test]
fn the_corpora_of_the_fuzz_targets_are_handled() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for data in corpus {
            target(&data);
        }
    }
}

#[test]
fn inputs_by_chance_are_handled() {
    let (seed, runs) = (variable("MUSTER_FUZZ_SEED", 1), variable("MUSTER_FUZZ_RUNS", 100));
    eprintln!("MUSTER_FUZZ_SEED={seed} MUSTER_FUZZ_RUNS={runs}");
    thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || handle(name, target, seed, runs));
        }
    });
}

/// Gives a target inputs by chance. The input at which it fails or does not end is left in a file.
fn handle(name: &str, target: Target, seed: u64, runs: u64) {
    let corpus = corpus(name);
    let mut dice = Dice::new(seed);
    let begun = Instant::now();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{}", std::process::id()));
    for _ in 0..runs {
        let data = mutation::mutate(&corpus, &mut dice);
        fs::write(&file, &data).unwrap();
        let before = used();
        target(&data);
        let used = used().saturating_sub(before);
        assert!(used < LIMIT, "{name} takes {used:?} for {}", file.display());
    }
    fs::remove_file(file).unwrap();
    eprintln!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
}

/// Returns how much of a processor's time this thread has used.
fn used() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
