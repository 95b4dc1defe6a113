//! Filters for networks in networks.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::network;
use super::network::Network;
use super::query;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// Returns the network; with a length how many networks of it are in this one, and with an index one of those; with
/// another network the place of this one in that.
pub(super) fn ipsubnet(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let Some(network) = query::network(&text(value)).map(Network::subnet) else { return Ok(Value::from(false)) };
    let asked = arguments.text(0, "query", "");
    if asked.is_empty() {
        return Ok(Value::from(network.text()));
    }
    if !asked.chars().all(|c| c.is_ascii_digit()) {
        return rank(network, &asked);
    }
    let Some(length) = asked.parse::<u8>().ok().filter(|length| *length <= network.width()) else {
        return Ok(Value::from(false));
    };
    let index = match arguments.get(1, "index").filter(|index| !index.is_none()) {
        None => None,
        Some(index) => Some(text(&index).trim().parse::<i128>().map_err(|_| wrong("`index` must be a whole number"))?),
    };
    match (network.span() == 0, index) {
        (true, index) => above(network, length, index),
        (false, None) => {
            let count = length.checked_sub(network.prefix());
            let count = count.ok_or_else(|| wrong(format!("Requested subnet size of {length} is invalid")))?;
            let count = 1_u128.checked_shl(count.into()).ok_or_else(|| wrong("there are too many subnets"))?;
            Ok(Value::from(count.to_string()))
        }
        (false, Some(index)) => below(network, length, index),
    }
}

/// Returns a network around an address: the index counts from the one with this length.
fn above(network: Network, length: u8, index: Option<i128>) -> Result<Value, Error> {
    let (width, asked) = (i128::from(network.width()), i128::from(length));
    let index = index.unwrap_or_default();
    if index > width + 1 - index || index < asked - width {
        return Ok(Value::from(false));
    }
    // The last one is the smallest network around the address.
    let at = if index < 0 { width + index } else { asked + index };
    let found = u8::try_from(at).ok().filter(|at| *at >= length && *at < network.width());
    let found = found.and_then(|prefix| Network::of_number(network.is_v6(), network.number(), prefix));
    let found = found.ok_or_else(|| wrong("there is no network with this index around the address"))?;
    Ok(Value::from(found.subnet().text()))
}

/// Returns the network with an index among those of a length.
fn below(network: Network, length: u8, index: i128) -> Result<Value, Error> {
    let no = Ok(Value::from(false));
    let Some(bits) = length.checked_sub(network.prefix()) else {
        let same = Network::of_number(network.is_v6(), network.first(), length);
        return same.filter(|_| index == 0).map_or(no, |network| Ok(Value::from(network.text())));
    };
    let Some(count) = 1_i128.checked_shl(bits.into()).filter(|count| *count > 0) else {
        return Err(wrong("there are too many subnets"));
    };
    let index = if index < 0 { index + count } else { index };
    if index < 0 || index >= count {
        return no;
    }
    let offset = index.unsigned_abs().checked_shl(u32::from(network.width() - length)).unwrap_or_default();
    let found = Network::of_number(network.is_v6(), network.first() + offset, length);
    found.map_or(no, |network| Ok(Value::from(network.text())))
}

/// Returns the place of a network among those of its length in another one.
fn rank(network: Network, outer: &str) -> Result<Value, Error> {
    let Some(outer) = query::network(outer) else {
        return Err(wrong(format!("You must pass a valid subnet or IP address; {outer} is invalid")));
    };
    if outer.is_v6() != network.is_v6() || !outer.contains(network) {
        return Err(wrong(format!("{} is not in the subnet {}", network.text(), outer.subnet().text())));
    }
    let behind = u32::from(network.width() - network.prefix());
    let place = (network.first() - outer.first()).checked_shr(behind).unwrap_or_default() + 1;
    Ok(Value::from(place.to_string()))
}

/// The numbers of the first and the last address of a network. A value that is none has zeros, as in Ansible.
fn ends(value: &str) -> (u128, u128) {
    query::network(value).map_or((0, 0), |network| {
        (network.first(), if network.has_broadcast() { network.last() } else { network.first() })
    })
}

fn is_between((first, last): (u128, u128), outer: (u128, u128)) -> bool {
    let outer = outer.0..=outer.1;
    outer.contains(&first) && outer.contains(&last)
}

pub(super) fn network_in_network(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let inner = text(&arguments.required(0, "test")?);
    Ok(Value::from(is_between(ends(&inner), ends(&text(value)))))
}

/// Reports whether a network is among the addresses that hosts of another one may have.
pub(super) fn network_in_usable(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (outer, inner) = (text(value), text(&arguments.required(0, "test")?));
    let usable = query::network(&outer).and_then(Network::usable).unwrap_or_else(|| ends(&outer));
    Ok(Value::from(is_between(ends(&inner), usable)))
}

pub(super) fn reduce_on_network(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let outer = ends(&text(&arguments.required(0, "network")?));
    let mut items = value::items(value)?;
    items.retain(|item| is_between(ends(&text(item)), outer));
    Ok(value::list(items))
}

/// Returns the smallest network that begins at or before the first one and has the address of the last one.
pub(super) fn spanning(networks: &[Network]) -> Result<Network, Error> {
    let order = |network: &&Network| (network.is_v6(), network.first(), network.prefix());
    let (lowest, highest) =
        networks.iter().min_by_key(order).zip(networks.iter().max_by_key(order)).ok_or_else(empty)?;
    if lowest.is_v6() != highest.is_v6() {
        return Err(wrong("IP sequence cannot contain both IPv4 and IPv6!"));
    }
    let width = u32::from(highest.width());
    let mut prefix = highest.prefix();
    let mut number = highest.last();
    while prefix > 0 && number > lowest.first() {
        prefix -= 1;
        let mask = u128::MAX.checked_shl(width - u32::from(prefix)).unwrap_or_default();
        number &= mask;
    }
    Network::of_number(highest.is_v6(), number, prefix).ok_or_else(empty)
}

fn empty() -> Error {
    wrong(format!("there is no network around {}", network::text(network::of_any_version(0))))
}
