//! The lab's network: a switch in a namespace of its own, a cable to each host, one to this machine.
//!
//! The switch is apart so that a firewall on this machine cannot come between hosts, and so that removing its namespace
//! removes every cable. Nothing leads out: hosts have no route beyond the subnet, and this machine refuses the
//! subnet's addresses when the switch is gone instead of sending them elsewhere.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::Deserialize;

use super::error;
use super::error::LabError;
use super::subnet::Subnet;
use super::tool::Tool;

/// The least metric of a route that refuses: any other route for the subnet is better.
const LAST_RESORT: u32 = 0xf000_0000;

/// The network of one lab. Every name in it starts with the lab's.
#[derive(Debug, Clone)]
pub(super) struct Network {
    switch: String,
    uplink: String,
    /// The metric of its route that refuses, by which that is found again.
    metric: u32,
}

impl Network {
    pub(super) fn of_lab(lab: &str) -> Self {
        let metric = LAST_RESORT | u32::from_str_radix(lab, 16).unwrap_or_default();
        Self { switch: format!("muster-{lab}"), uplink: format!("muster{lab}"), metric }
    }

    /// Returns the name of a host's namespace.
    pub(super) fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.switch)
    }

    /// Makes the switch and this machine's cable to it.
    pub(super) fn create(&self, subnet: Subnet) -> Result<(), LabError> {
        let Self { switch, uplink, metric } = self;
        batch(None, &format!("netns add {switch}\n"))?;
        // Nothing leaves, and nothing comes in that this machine would pass on.
        batch(
            None,
            &format!(
                "route add unreachable {subnet} metric {metric}\n\
                 link add {uplink} type veth peer name uplink netns {switch}\n\
                 address add {}/{} dev {uplink}\n\
                 link set {uplink} up\n",
                subnet.gateway(),
                subnet.prefix(),
            ),
        )?;
        batch(
            Some(switch),
            "link add switch type bridge forward_delay 0 mcast_snooping 0\n\
             link set switch up\n\
             link set uplink master switch\n\
             link set uplink up\n",
        )
    }

    /// Makes a host's namespace and its cable, plugged in.
    pub(super) fn attach(&self, host: &str, address: Ipv4Addr, prefix: u8) -> Result<(), LabError> {
        let namespace = self.namespace(host);
        // The same after every start: neighbours remember it, and would talk past the host for seconds.
        let [a, b, c, d] = address.octets();
        let hardware = format!("02:4d:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
        batch(None, &format!("netns add {namespace}\n"))?;
        batch(
            Some(&self.switch),
            &format!(
                "link add {host} type veth peer name host0 address {hardware} netns {namespace}\n\
                 link set {host} master switch\n\
                 link set {host} up\n"
            ),
        )?;
        batch(
            Some(&namespace),
            &format!("link set lo up\naddress add {address}/{prefix} dev host0\nlink set host0 up\n"),
        )
    }

    /// Removes a host's namespace and cable. What its processes had open is gone without a word to the other end.
    pub(super) fn detach(&self, host: &str) -> Result<(), LabError> {
        // The namespace goes some time after its name does; the cable's name must be free at once.
        if self.cables()?.contains_key(host) {
            batch(Some(&self.switch), &format!("link delete {host}\n"))?;
        }
        remove_namespace(&self.namespace(host))
    }

    /// Pulls a host's cable, or plugs it in again.
    pub(super) fn plug(&self, host: &str, on: bool) -> Result<(), LabError> {
        batch(Some(&self.switch), &format!("link set {host} {}\n", if on { "up" } else { "down" }))
    }

    /// Returns the hosts that have a cable, and whether it is plugged in.
    pub(super) fn cables(&self) -> Result<BTreeMap<String, bool>, LabError> {
        #[derive(Deserialize)]
        struct Link {
            ifname: String,
            #[serde(default)]
            flags: Vec<String>,
        }
        let text = Tool::new("ip", ["-n", &self.switch, "-j", "link", "show", "type", "veth"]).run()?;
        let links: Vec<Link> = serde_json::from_str(&text).unwrap_or_default();
        Ok(links.into_iter().map(|link| (link.ifname, link.flags.iter().any(|flag| flag == "UP"))).collect())
    }

    /// Says whether anything of the network is there.
    pub(super) fn exists(&self) -> Result<bool, LabError> {
        Ok(self.has_uplink() || !self.namespaces()?.is_empty() || !self.refused()?.is_empty())
    }

    /// Removes whatever there is of the network, even if only half of it was made.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        let uplink = if self.has_uplink() { batch(None, &format!("link delete {}\n", self.uplink)) } else { Ok(()) };
        let namespaces = self.namespaces().and_then(|all| error::first(all.iter().map(|name| remove_namespace(name))));
        let route = |subnet| batch(None, &format!("route delete unreachable {subnet} metric {}\n", self.metric));
        let routes = self.refused().and_then(|all| error::first(all.into_iter().map(route)));
        error::first([uplink, namespaces, routes])
    }

    fn has_uplink(&self) -> bool {
        std::path::Path::new("/sys/class/net").join(&self.uplink).exists()
    }

    /// Returns the names of its namespaces that are there.
    fn namespaces(&self) -> Result<Vec<String>, LabError> {
        let text = Tool::new("ip", ["netns", "list"]).run()?;
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let prefix = self.namespace("");
        Ok(names.filter(|name| *name == self.switch || name.starts_with(&prefix)).map(str::to_owned).collect())
    }

    /// Returns the subnets that this machine refuses for the lab's sake: one, or none.
    fn refused(&self) -> Result<Vec<String>, LabError> {
        #[derive(Deserialize)]
        struct Route {
            dst: String,
            #[serde(default)]
            metric: u32,
        }
        let text = Tool::new("ip", ["-4", "-j", "route", "show", "type", "unreachable"]).run()?;
        let routes: Vec<Route> = serde_json::from_str(&text).unwrap_or_default();
        Ok(routes.into_iter().filter(|route| route.metric == self.metric).map(|route| route.dst).collect())
    }
}

fn remove_namespace(name: &str) -> Result<(), LabError> {
    if std::path::Path::new("/run/netns").join(name).exists() {
        batch(None, &format!("netns delete {name}\n"))?;
    }
    Ok(())
}

/// Runs several `ip` commands in one process, in a namespace or in this machine's own.
fn batch(namespace: Option<&str>, commands: &str) -> Result<(), LabError> {
    let args = namespace.map(|name| vec!["-n", name]).unwrap_or_default().into_iter().chain(["-batch", "-"]);
    Tool::new("ip", args).feed(commands).map(drop).map_err(|error| match error {
        LabError::Command { host, command, status, stderr } => {
            let command = format!("{command} <<< {}", commands.trim().replace('\n', "; "));
            LabError::Command { host, command, status, stderr }
        }
        other => other,
    })
}
