//! The processors of a host, counted as Ansible counts them.

use indexmap::IndexMap;

use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// What /proc/cpuinfo says.
#[derive(Default)]
struct Counts<'a> {
    names: Vec<&'a str>,
    vendors: u64,
    models: u64,
    processors: u64,
    /// The cores of each socket.
    sockets: IndexMap<&'a str, u64>,
    /// The threads of the cores that were named first.
    threads: Option<(&'a str, u64)>,
}

impl<'a> Counts<'a> {
    fn read(text: &HostText<'a>) -> Self {
        let mut counts = Self::default();
        let (mut socket, mut core) = ("", "");
        for (key, value) in text.lines("cpu").filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            let number = || value.parse::<u64>().unwrap_or(0).min(1 << 20);
            match key.trim() {
                "model name" => counts.named(value, |counts| &mut counts.models),
                "vendor_id" => counts.named(value, |counts| &mut counts.vendors),
                "processor" => counts.named(value, |counts| &mut counts.processors),
                "Processor" | "cpu" | "Vendor" => counts.names.push(value),
                "physical id" => {
                    socket = value;
                    counts.sockets.entry(socket).or_insert(1);
                }
                "core id" => {
                    core = value;
                    if !counts.sockets.contains_key(core) {
                        counts.threads.get_or_insert((core, 1));
                    }
                }
                "cpu cores" => drop(counts.sockets.insert(socket, number())),
                "siblings" => {
                    let (first, threads) = counts.threads.get_or_insert((core, 1));
                    if *first == core {
                        *threads = number();
                    }
                }
                _ => {}
            }
        }
        counts
    }

    fn named(&mut self, name: &'a str, counter: impl FnOnce(&mut Self) -> &mut u64) {
        self.names.push(name);
        *counter(self) += 1;
    }
}

/// Returns the facts about processors.
pub(super) fn processor(text: &HostText<'_>) -> Vars {
    let counts = Counts::read(text);
    let machine = text.line("machine").unwrap_or_default();
    let entries = if ["armv", "aarch", "ppc"].iter().any(|kind| machine.starts_with(kind)) {
        counts.processors
    } else if counts.vendors > 0 && counts.vendors == counts.models {
        counts.vendors
    } else {
        counts.names.len() as u64
    };
    let sockets = if counts.sockets.is_empty() { entries } else { counts.sockets.len() as u64 };
    let cores = counts.sockets.values().next().copied().filter(|cores| *cores > 0).unwrap_or(1);
    let threads = rounded(counts.threads.map_or(1, |(_, threads)| threads), cores);
    let usable = text.line("processors").and_then(|count| count.parse().ok()).unwrap_or(counts.processors);
    let flags = text.line("flags").and_then(|line| line.split_once(':'));
    let flags: Option<Vec<&str>> = flags.map(|(_, flags)| flags.split_whitespace().collect());
    facts([
        ("processor", counts.names.into()),
        ("processor_count", sockets.into()),
        ("processor_cores", cores.into()),
        ("processor_threads_per_core", threads.into()),
        ("processor_vcpus", threads.saturating_mul(sockets).saturating_mul(cores).into()),
        ("processor_nproc", usable.into()),
        ("flags", flags.into()),
    ])
}

/// Divides and rounds; a half goes to the even number.
fn rounded(number: u64, by: u64) -> u64 {
    let (whole, rest) = (number / by, number % by);
    whole + u64::from(rest * 2 > by || (rest * 2 == by && whole % 2 == 1))
}
