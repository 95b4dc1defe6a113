//! The cluster that fleet's client named by servers: etcd servers, or the API of fleetd.

use crate::store::Location;

/// Where fleet's client found etcd if it was told nothing else.
pub(super) const DEFAULT: &str = "http://127.0.0.1:2379,http://127.0.0.1:4001";

/// Where fleet kept its keys in etcd, unless it was told otherwise.
const FLEET_PREFIX: &str = "/_coreos.com/fleet";

/// Reports whether all servers of a list listen where etcd does. fleet's client took them for etcd until 0.12.
pub(super) fn are_etcd(list: &str) -> bool {
    list.split(',').all(|server| {
        let (_, authority) = server.trim().split_once("://").unwrap_or_default();
        let authority = authority.split('/').next().unwrap_or_default();
        authority.ends_with(":2379") || authority.ends_with(":4001")
    })
}

/// Returns the store in these etcd servers, or why there is none. Errors do not quote the text: it may hold a password.
pub(super) fn store(list: &str, prefix: Option<&str>) -> Result<String, String> {
    let (mut scheme, mut servers) = (None, Vec::new());
    for (index, server) in list.split(',').map(str::trim).enumerate() {
        let number = index + 1;
        let expected = || format!("invalid etcd server {number}: expected http://HOST:PORT or https://HOST:PORT");
        let (found, authority) = server.split_once("://").ok_or_else(expected)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if !matches!(found, "http" | "https") || authority.is_empty() || authority.contains('/') {
            return Err(expected());
        }
        if scheme.is_some_and(|scheme| scheme != found) {
            return Err("some etcd servers have TLS (https) and some have none (http)".to_owned());
        }
        scheme = Some(found);
        servers.push(authority);
    }
    let scheme = if scheme == Some("https") { "etcds" } else { "etcd" };
    // muster's records are not those of fleet, so both may be in one etcd.
    let prefix = prefix.map(|prefix| prefix.trim_matches('/')).filter(|prefix| format!("/{prefix}") != FLEET_PREFIX);
    let prefix = prefix.filter(|prefix| !prefix.is_empty()).map(|prefix| format!("/{prefix}")).unwrap_or_default();
    let store = format!("{scheme}://{}{prefix}", servers.join(","));
    store.parse::<Location>().map_err(|error| error.to_string())?;
    Ok(store)
}
