//! The etcd that runs on the lab's hosts: a member on each of the first three, as in the walk-through.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::error::LabError;
use super::record::Host;

/// The port that etcd's clients use.
pub(super) const CLIENTS: u16 = 2379;

/// The port that its members use among themselves.
const PEERS: u16 = 2380;

/// How long the members may take to find each other and choose a leader.
const LIMIT: Duration = Duration::from_mins(1);

/// Returns how many of a lab's hosts run a member: an even number would bear no more losses than one less.
pub(super) const fn members(hosts: usize) -> usize {
    if hosts < 3 { 1 } else { 3 }
}

/// Returns the settings of a member, as environment variables that etcd and its unit read.
pub(super) fn settings(host: &Host, hosts: &[Host], token: &str) -> String {
    let peer = |host: &Host| format!("http://{}:{PEERS}", host.address);
    let members = hosts.iter().filter(|host| host.etcd);
    let members: Vec<String> = members.map(|host| format!("{}={}", host.name, peer(host))).collect();
    let (address, peer, members) = (host.address, peer(host), members.join(","));
    // Upstream calls other processors untested and wants to hear that one knows.
    let untested = match std::env::consts::ARCH {
        "aarch64" => "ETCD_UNSUPPORTED_ARCH=arm64\n",
        _ => "",
    };
    format!(
        "ETCD_LISTEN_PEER_URLS={peer}\n\
         ETCD_INITIAL_ADVERTISE_PEER_URLS={peer}\n\
         ETCD_LISTEN_CLIENT_URLS=http://{address}:{CLIENTS},http://127.0.0.1:{CLIENTS}\n\
         ETCD_ADVERTISE_CLIENT_URLS=http://{address}:{CLIENTS}\n\
         ETCD_INITIAL_CLUSTER={members}\n\
         ETCD_INITIAL_CLUSTER_TOKEN={token}\n{untested}"
    )
}

/// Waits until a member says that the cluster has a leader.
pub(super) fn wait_ready(host: &Host, stop: &dyn Fn() -> bool) -> Result<(), LabError> {
    let start = Instant::now();
    loop {
        let detail = match health(host.address) {
            Ok(answer) if answer.contains(r#""health":"true""#) => return Ok(()),
            Ok(answer) => answer.lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        if stop() {
            return Err(LabError::Interrupted);
        }
        if start.elapsed() > LIMIT {
            let (name, address) = (host.name.clone(), host.address);
            return Err(LabError::Boot { host: name, address, port: CLIENTS, waited: LIMIT, detail });
        }
        thread::sleep(Duration::from_millis(25));
    }
}

fn health(address: Ipv4Addr) -> std::io::Result<String> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, CLIENTS)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
