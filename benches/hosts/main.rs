//! Measures how long muster takes on real hosts: boots a lab, runs the binary as a user would, and prints one table.
//!
//! `cargo bench --bench hosts -- [--quick] [--runs N] [--units N,N] [--hosts N] [--store etcd|sqlite] [--only WORD]
//! [--ansible PROGRAM] [--pyinfra PROGRAM]`. It needs root. The floor is the time that plain `ssh` and `systemctl` take for the same units on the same hosts, in the same run.
//! No duration fails the benchmark; only a command that does not work ends it.
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
mod plays;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/pty/mod.rs"]
mod pty;
mod table;
mod thousand;
mod top;
mod units;

use table::Table;

/// The selection of measurements, and how often each is made.
#[derive(Debug, Clone)]
struct Selection {
    /// How often each operation is measured.
    runs: usize,
    /// The numbers of units to start, in ascending order.
    units: Vec<usize>,
    /// How many hosts the larger lab has.
    hosts: usize,
    /// Set when the store of the smaller lab is an etcd on its hosts, as in fleet's own measurements; otherwise it is a
    /// file.
    etcd: bool,
    /// The measurements to make: those with this text in their names.
    only: Option<String>,
    /// An ansible-playbook that does the same work.
    ansible: Option<String>,
    /// A pyinfra that does the same work.
    pyinfra: Option<String>,
}

impl Selection {
    fn read(mut words: impl Iterator<Item = String>) -> Self {
        let units = vec![1, 100, 500];
        let mut selection = Self { runs: 5, units, hosts: 50, etcd: true, only: None, ansible: None, pyinfra: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                "--quick" => (selection.runs, selection.units, selection.hosts) = (2, vec![1, 20], 6),
                "--runs" => selection.runs = value().parse().expect("--runs N"),
                "--units" => {
                    selection.units = value().split(',').map(|count| count.parse().expect("--units N,N")).collect();
                }
                "--hosts" => selection.hosts = value().parse().expect("--hosts N"),
                "--store" => selection.etcd = value() == "etcd",
                "--only" => selection.only = Some(value()),
                "--ansible" => selection.ansible = Some(value()),
                "--pyinfra" => selection.pyinfra = Some(value()),
                // Cargo passes this flag.
                "--bench" => {}
                _ => panic!(
                    "{word}: --quick, --runs N, --units N,N, --hosts N, --store etcd|sqlite, --only WORD, --ansible \
                     PROGRAM and --pyinfra PROGRAM are known"
                ),
            }
        }
        selection
    }

    fn has(&self, what: &str) -> bool {
        self.only.as_ref().is_none_or(|only| what.contains(only.as_str()))
    }
}

fn main() {
    let selection = Selection::read(std::env::args().skip(1));
    if let Err(error) = muster::lab::check_prerequisites() {
        eprintln!("skipped, no real hosts here: {error}");
        return;
    }
    let mut table = Table::begin();
    if selection.has("units") {
        units::measure(&selection, &mut table);
    }
    if selection.has("many") {
        many::measure(&selection, &mut table);
    }
    if selection.has("plays") {
        plays::measure(&selection, &mut table);
    }
    if selection.has("thousand") {
        thousand::measure(&mut table);
    }
    if selection.has("top") {
        top::measure(&selection, &mut table);
    }
    println!("{}", table.end());
}
