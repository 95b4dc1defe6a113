//! How long muster takes on real hosts: boots a lab, runs the binary as a user would and prints one table.
//!
//! `cargo bench --bench hosts -- [--quick] [--runs N] [--store etcd|sqlite] [--only WORD]`. It needs root. The floor is
//! what plain `ssh` and `systemctl` take for the same units on the same hosts, in the same run. Nothing here passes or
//! fails by how long it took; what does not work at all ends the run.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]
#![allow(clippy::indexing_slicing)]

mod ground;
mod many;
mod table;
mod units;

use table::Table;

/// What to measure, and how often.
#[derive(Debug, Clone)]
struct RequirementKey {
    /// How often each thing is done.
    runs: usize,
    /// How many units are started, from few to many.
    units: Vec<usize>,
    /// How many hosts the larger lab has.
    hosts: usize,
    /// Whether the smaller lab's store is an etcd on its hosts, as in fleet's own measurements, or a file.
    etcd: bool,
    /// Only what has this in its name.
    only: Option<String>,
}

impl RequirementKey {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let mut wish = Self { runs: 5, units: vec![1, 100, 500], hosts: 50, etcd: true, only: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--quick" => (wish.runs, wish.units, wish.hosts) = (2, vec![1, 20], 6),
                "--runs" => wish.runs = value().parse().expect("--runs N"),
                "--hosts" => wish.hosts = value().parse().expect("--hosts N"),
                "--store" => wish.etcd = value() == "etcd",
                "--only" => wish.only = Some(value()),
                // Cargo's own.
                "--bench" => {}
                _ => panic!("{word}: --quick, --runs N, --hosts N, --store etcd|sqlite and --only WORD are known"),
            }
        }
        wish
    }

    fn has(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only.as_str()))
    }
}

fn main() {
    let wish = RequirementKey::read(std::env::args().skip(1));
    if let Err(error) = muster::lab::check_prerequisites() {
        eprintln!("skipped, no real hosts here: {error}");
        return;
    }
    let mut table = Table::begin();
    if wish.has("units") {
        units::measure(&wish, &mut table);
    }
    if wish.has("many") {
        many::measure(&wish, &mut table);
    }
    println!("{}", table.end());
}
