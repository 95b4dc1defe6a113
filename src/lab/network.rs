//! The lab's network: a switch in a namespace of its own, a cable to each host, and one to this machine.
//!
//! The switch has its own namespace so that a firewall on this machine cannot affect the hosts, and so that removing the
//! namespace removes all cables. Hosts have no route beyond the subnet, and this machine forwards nothing for them. When the
//! switch is gone, an unreachable route of this machine keeps packets for the subnet from leaving it.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use super::error;
use super::error::LabError;
use super::local_command::LocalCommand;
use super::subnet::Subnet;

/// The lowest metric of the unreachable route: any other route for the subnet is preferred.
const UNREACHABLE_METRIC: u32 = 0xf000_0000;

/// The network of one lab. All its names start with that of the lab.
#[derive(Debug, Clone)]
pub(super) struct Network {
    switch: String,
    uplink: String,
    /// The metric of the unreachable route, which identifies it.
    metric: u32,
}

impl Network {
    pub(super) fn of_lab(lab: &str) -> Self {
        let metric = UNREACHABLE_METRIC | u32::from_str_radix(lab, 16).unwrap_or_default();
        Self { switch: format!("muster-{lab}"), uplink: format!("muster{lab}"), metric }
    }

    /// Returns the name of a host's namespace.
    pub(super) fn namespace(&self, host: &str) -> String {
        format!("{}-{host}", self.switch)
    }

    /// Creates the switch and this machine's cable to it.
    pub(super) fn create(&self, subnet: Subnet) -> Result<(), LabError> {
        let Self { switch, uplink, metric } = self;
        batch(None, &format!("netns add {switch}\n"))?;
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
        )?;
        self.forbid_forwarding()
    }

    /// Lets this machine forward nothing that comes from a host, even if the host gives itself a route.
    fn forbid_forwarding(&self) -> Result<(), LabError> {
        let path = Path::new("/proc/sys/net/ipv4/conf").join(&self.uplink).join("forwarding");
        match fs::read_to_string(&path) {
            Ok(text) if text.trim() == "0" => Ok(()),
            _ => fs::write(&path, "0\n").map_err(LabError::file(&path)),
        }
    }

    /// Creates a host's namespace and its cable, plugged in.
    pub(super) fn attach(&self, host: &str, address: Ipv4Addr, prefix: u8) -> Result<(), LabError> {
        let namespace = self.namespace(host);
        // The hardware address is the same after every start: with another one, the ARP caches of neighbours would be wrong
        // for seconds.
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

    /// Removes a host's namespace and cable. Its connections end without a packet to the other side.
    pub(super) fn detach(&self, host: &str) -> Result<(), LabError> {
        // The kernel removes a namespace some time after its name. The name of the cable must be free at once.
        if self.cables()?.contains_key(host) {
            batch(Some(&self.switch), &format!("link delete {host}\n"))?;
        }
        remove_namespace(&self.namespace(host))
    }

    /// Plugs a host's cable in, or unplugs it.
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
        let text = LocalCommand::new("ip", ["-n", &self.switch, "-j", "link", "show", "type", "veth"]).run()?;
        let links: Vec<Link> = serde_json::from_str(&text).unwrap_or_default();
        Ok(links.into_iter().map(|link| (link.ifname, link.flags.iter().any(|flag| flag == "UP"))).collect())
    }

    /// Reports whether any part of the network exists.
    pub(super) fn exists(&self) -> Result<bool, LabError> {
        Ok(self.has_uplink() || !self.namespaces()?.is_empty() || !self.unreachable_subnets()?.is_empty())
    }

    /// Removes all existing parts of the network.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        let uplink = if self.has_uplink() { batch(None, &format!("link delete {}\n", self.uplink)) } else { Ok(()) };
        let namespaces = self.namespaces().and_then(|all| error::first(all.iter().map(|name| remove_namespace(name))));
        let route = |subnet| batch(None, &format!("route delete unreachable {subnet} metric {}\n", self.metric));
        let routes = self.unreachable_subnets().and_then(|all| error::first(all.into_iter().map(route)));
        error::first([uplink, namespaces, routes])
    }

    fn has_uplink(&self) -> bool {
        Path::new("/sys/class/net").join(&self.uplink).exists()
    }

    /// Returns the names of its existing namespaces.
    fn namespaces(&self) -> Result<Vec<String>, LabError> {
        let text = LocalCommand::new("ip", ["netns", "list"]).run()?;
        let names = text.lines().filter_map(|line| line.split_whitespace().next());
        let prefix = self.namespace("");
        Ok(names.filter(|name| *name == self.switch || name.starts_with(&prefix)).map(str::to_owned).collect())
    }

    /// Returns the subnets of the lab's unreachable routes: one, or none.
    fn unreachable_subnets(&self) -> Result<Vec<String>, LabError> {
        #[derive(Deserialize)]
        struct Route {
            dst: String,
            #[serde(default)]
            metric: u32,
        }
        let text = LocalCommand::new("ip", ["-4", "-j", "route", "show", "type", "unreachable"]).run()?;
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

/// Runs several `ip` commands in one process, in a namespace or in that of this machine.
fn batch(namespace: Option<&str>, commands: &str) -> Result<(), LabError> {
    let args = namespace.map(|name| vec!["-n", name]).unwrap_or_default().into_iter().chain(["-batch", "-"]);
    LocalCommand::new("ip", args).run_with_stdin(commands).map(drop).map_err(|error| match error {
        LabError::Command { host, command, status, stderr } => {
            let command = format!("{command} <<< {}", commands.trim().replace('\n', "; "));
            LabError::Command { host, command, status, stderr }
        }
        other => other,
    })
}
