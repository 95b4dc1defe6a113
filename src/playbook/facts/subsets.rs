//! The subsets of facts that a task may ask for (`gather_subset`).

use std::collections::BTreeSet;

use super::date_time::date_time;
use super::distribution::distribution;
use super::dns::dns;
use super::hardware::hardware;
use super::host_text::HostText;
use super::local::local;
use super::network::network;
use super::platform;
use super::software;
use super::virtualization::virtualization;
use crate::inventory::Vars;

/// A subset of facts.
struct Subset {
    name: &'static str,
    /// Set if it is gathered with `!all` too.
    minimal: bool,
    /// Other words that ask for it: names of its facts.
    words: &'static [&'static str],
    /// The subsets that are gathered with it.
    needs: &'static [&'static str],
    facts: fn(&HostText<'_>) -> Vars,
}

const fn minimal(name: &'static str, facts: fn(&HostText<'_>) -> Vars) -> Subset {
    Subset { name, minimal: true, words: &[], needs: &[], facts }
}

const fn further(name: &'static str, words: &'static [&'static str], facts: fn(&HostText<'_>) -> Vars) -> Subset {
    Subset { name, minimal: false, words, needs: &[], facts }
}

impl Subset {
    const fn asked_by(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    const fn with(mut self, needs: &'static [&'static str]) -> Self {
        self.needs = needs;
        self
    }
}

fn nothing(_: &HostText<'_>) -> Vars {
    Vars::new()
}

/// Every subset. Facts of a later one replace those of an earlier one.
static SUBSETS: [Subset; 27] = [
    further("network", NETWORK_WORDS, network).with(&["platform", "distribution"]),
    further("virtual", VIRTUAL_WORDS, virtualization),
    further("hardware", &["devices", "mounts", "processor", "processor_cores", "processor_count"], hardware)
        .with(&["platform"]),
    further("systemd", &[], software::systemd),
    further("loadavg", &[], platform::loadavg),
    further("chroot", &["is_chroot"], platform::chroot),
    further("facter", &[], nothing),
    further("ohai", &[], nothing),
    further("fibre_channel_wwn", &[], nothing),
    further("iscsi", &[], nothing),
    minimal("platform", platform::platform).asked_by(&["architecture", "kernel", "kernel_version", "machine"]),
    minimal("distribution", distribution).asked_by(&[
        "distribution_major_version",
        "distribution_release",
        "distribution_version",
        "os_family",
    ]),
    minimal("lsb", software::lsb),
    minimal("selinux", software::selinux),
    minimal("apparmor", software::apparmor),
    minimal("fips", platform::fips),
    minimal("python", platform::python),
    minimal("caps", software::caps).asked_by(&["system_capabilities", "system_capabilities_enforced"]),
    minimal("pkg_mgr", software::pkg_mgr).with(&["distribution"]),
    minimal("service_mgr", software::service_mgr).with(&["platform", "distribution"]),
    minimal("cmdline", platform::cmdline),
    minimal("date_time", date_time),
    minimal("env", platform::env),
    minimal("ssh_pub_keys", platform::ssh_pub_keys),
    minimal("user", platform::user).asked_by(&[
        "user_dir",
        "user_gecos",
        "user_gid",
        "user_id",
        "user_shell",
        "user_uid",
    ]),
    minimal("dns", dns),
    minimal("local", local),
];

const NETWORK_WORDS: &[&str] =
    &["all_ipv4_addresses", "all_ipv6_addresses", "default_ipv4", "default_ipv6", "interfaces", "ipv4_address"];
const VIRTUAL_WORDS: &[&str] =
    &["virtualization_role", "virtualization_tech_guest", "virtualization_tech_host", "virtualization_type"];

/// The subsets that a task asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subsets(BTreeSet<&'static str>);

impl Subsets {
    /// Reads the words of `gather_subset`: names, `all`, `min`, and each of them after `!`. No word stands for `all`.
    pub fn parse(asked: &[String]) -> Result<Self, String> {
        let (mut added, mut named, mut excluded) = (names(|subset| subset.minimal), BTreeSet::new(), BTreeSet::new());
        if asked.is_empty() {
            added.extend(names(|_| true));
        }
        for word in asked {
            match word.as_str() {
                "all" => added.extend(names(|_| true)),
                "min" => {}
                "!all" => excluded.extend(names(|subset| !subset.minimal)),
                "!min" => excluded.extend(names(|subset| subset.minimal)),
                word => match word.strip_prefix('!') {
                    Some(word) => excluded.extend(names(|subset| subset.name == word)),
                    None => named.extend(Some(named_by(word)?)),
                },
            }
        }
        let mut selected: BTreeSet<&str> = added.difference(&excluded).copied().chain(named).collect();
        let needs: Vec<&str> =
            SUBSETS.iter().filter(|it| selected.contains(it.name)).flat_map(|it| it.needs).copied().collect();
        selected.extend(needs);
        Ok(Self(selected))
    }

    /// Reports whether no fact is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the selected facts of a host.
    pub(super) fn facts(&self, text: &HostText<'_>) -> Vars {
        SUBSETS.iter().filter(|subset| self.0.contains(subset.name)).flat_map(|subset| (subset.facts)(text)).collect()
    }
}

fn names(fits: impl Fn(&Subset) -> bool) -> BTreeSet<&'static str> {
    SUBSETS.iter().filter(|subset| fits(subset)).map(|subset| subset.name).collect()
}

/// Returns the subset that a word asks for.
fn named_by(word: &str) -> Result<&'static str, String> {
    let found = SUBSETS.iter().find(|subset| subset.name == word || subset.words.contains(&word));
    found.map(|subset| subset.name).ok_or_else(|| {
        let known = SUBSETS.iter().flat_map(|subset| subset.words.iter().copied().chain([subset.name]));
        let known: BTreeSet<&str> = known.collect();
        let known: Vec<&str> = known.into_iter().collect();
        format!("unknown subset `{word}`: expected all, min, {}", known.join(", "))
    })
}
