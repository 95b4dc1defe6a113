//! Filters for addresses and networks, of the collection ansible.utils.

mod hardware;
mod network;
mod query;
mod subnet;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use self::network::Network;
use self::query::Version;
use self::query::ipaddr;
use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("cidr_merge", cidr_merge),
    ("hwaddr", hardware::hwaddr),
    ("ip4_hex", ip4_hex),
    ("ipaddr", |_, value, arguments| asked(value, arguments, Version::Any, "ipaddr")),
    ("ipcut", ipcut),
    ("ipmath", ipmath),
    ("ipsubnet", subnet::ipsubnet),
    ("ipv4", |_, value, arguments| asked(value, arguments, Version::V4, "ipv4")),
    ("ipv6", |_, value, arguments| asked(value, arguments, Version::V6, "ipv6")),
    ("ipv6form", ipv6form),
    ("ipwrap", ipwrap),
    ("macaddr", hardware::macaddr),
    ("network_in_network", subnet::network_in_network),
    ("network_in_usable", subnet::network_in_usable),
    ("next_nth_usable", |_, value, arguments| nth_usable(value, arguments, 1)),
    ("nthhost", nthhost),
    ("previous_nth_usable", |_, value, arguments| nth_usable(value, arguments, -1)),
    ("reduce_on_network", subnet::reduce_on_network),
    ("slaac", hardware::slaac),
];

/// The most addresses that are merged.
const ITEMS: usize = 100_000;

/// The filters `ipaddr`, `ipv4` and `ipv6`.
fn asked(value: &Value, arguments: &Arguments, version: Version, filter: &str) -> Result<Value, Error> {
    let takes = value.is_integer() || value.kind() != ValueKind::Number;
    if !takes || matches!(value.kind(), ValueKind::Map | ValueKind::None) {
        return Err(wrong(format!("`{filter}` expects an address, a network or a list, not {}", describe(value))));
    }
    let version = match arguments.integer(1, "version", 0)? {
        4 if version == Version::Any => Version::V4,
        6 if version == Version::Any => Version::V6,
        _ => version,
    };
    ipaddr(value, &arguments.text(0, "query", ""), version, filter)
}

/// Puts addresses of version 6 into brackets. Other values stay as they are.
fn ipwrap(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if matches!(value.kind(), ValueKind::Map | ValueKind::None | ValueKind::Number) {
        return Err(wrong(format!("`ipwrap` expects an address, a network or a list, not {}", describe(value))));
    }
    let query = arguments.by_name("query").map(|query| text(&query)).unwrap_or_default();
    let wrap = |value: &Value| ipaddr(value, "wrap", Version::Any, "ipwrap");
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let wrapped = value::items(value)?.into_iter().map(|item| {
            let answer = ipaddr(&item, &query, Version::Any, "ipwrap")?;
            if answer.is_true() { wrap(&item) } else { Ok(item) }
        });
        return Ok(wrapped.collect::<Result<Vec<_>, Error>>().map_or_else(|_| value.clone(), value::list));
    }
    let answer = ipaddr(value, &query, Version::Any, "ipwrap").unwrap_or_default();
    if answer.is_true() { wrap(&answer) } else { Ok(value.clone()) }
}

/// Reads an address without a prefix.
fn address(text: &str) -> Result<Network, Error> {
    let bad = || wrong(format!("You must pass a valid IP address; {text} is invalid"));
    Network::parse(text).filter(|_| !text.contains('/')).ok_or_else(bad)
}

/// Reads a whole number, which may be written as text.
fn amount(arguments: &Arguments, name: &str) -> Result<i128, Error> {
    let amount = arguments.required(0, name)?;
    let bad = || wrong(format!("`{name}` must be a whole number, not {}", describe(&amount)));
    text(&amount).trim().parse().map_err(|_| bad())
}

/// Adds a number to an address.
fn ipmath(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let written = text(value);
    let network = if written.contains('/') { Network::parse(&written) } else { Some(address(&written)?) };
    let network = network.ok_or_else(|| wrong(format!("You must pass a valid IP address; {written} is invalid")))?;
    let sum = shifted(network.number(), amount(arguments, "amount")?);
    let sum = sum.and_then(|sum| network::numbered(network.is_v6(), sum));
    sum.map(|sum| Value::from(network::text(sum))).ok_or_else(|| wrong("there is no such address"))
}

/// Returns a number with another one added to it, if there is one.
fn shifted(number: u128, amount: i128) -> Option<u128> {
    if amount < 0 { number.checked_sub(amount.unsigned_abs()) } else { number.checked_add(amount.unsigned_abs()) }
}

/// Returns the address of a host some places after the address, if hosts may have it.
fn nth_usable(value: &Value, arguments: &Arguments, sign: i128) -> Result<Value, Error> {
    let Some(network) = query::network(&text(value)) else { return Ok(Value::from(false)) };
    let at = shifted(network.number(), sign.saturating_mul(amount(arguments, "offset")?));
    let usable = network.usable().zip(at).filter(|((first, last), at)| (first..=last).contains(&at));
    Ok(usable.map_or_else(|| Value::from(()), |(_, at)| Value::from(network::text(network::of_any_version(at)))))
}

/// Returns the address with an index in the network.
fn nthhost(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let no = Value::from(false);
    let Some(network) = query::network(&text(value)) else { return Ok(no) };
    let Ok(index) = arguments.text(0, "query", "").trim().parse::<i128>() else { return Ok(no) };
    if index > 0 && index.unsigned_abs() > network.span() {
        return Ok(no);
    }
    let host = network.item(index).ok_or_else(|| wrong("the network has no address with this index"))?;
    Ok(Value::from(network::text(host)))
}

/// Returns the first bits of an address, or the last ones, as groups.
fn ipcut(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let address = address(&text(value))?;
    let amount = amount(arguments, "amount")?;
    let bits =
        if address.is_v6() { format!("{:0128b}", address.number()) } else { format!("{:032b}", address.number()) };
    let count = usize::try_from(amount.unsigned_abs()).unwrap_or(bits.len()).min(bits.len());
    let part = if amount < 0 { bits.get(bits.len() - count..) } else { bits.get(..count) };
    let part: Vec<char> = part.unwrap_or_default().chars().collect();
    let number = |group: &[char]| u32::from_str_radix(&group.iter().collect::<String>(), 2).unwrap_or_default();
    Ok(Value::from(if address.is_v6() {
        part.chunks(16).map(|group| format!("{:x}", number(group))).collect::<Vec<_>>().join(":")
    } else {
        part.chunks(8).map(|group| number(group).to_string()).collect::<Vec<_>>().join(".")
    }))
}

/// Returns an address of version 4 as hexadecimal digits.
fn ip4_hex(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let std::net::IpAddr::V4(address) = address(&text(value))?.address() else {
        return Err(wrong(format!("{} is no address of version 4", text(value))));
    };
    let digits: Vec<String> = address.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    Ok(Value::from(digits.join(&arguments.text(0, "delimiter", ""))))
}

/// Returns an address of version 6 in a form.
fn ipv6form(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let address = address(&text(value))?.address();
    let format = text(&arguments.required(0, "format")?);
    let std::net::IpAddr::V6(v6) = address else {
        return if format == "x509" {
            Err(wrong("not an address of version 6"))
        } else {
            Ok(Value::from(address.to_string()))
        };
    };
    let groups = |pad: usize| v6.segments().map(|group| format!("{group:0pad$x}")).join(":");
    Ok(match format.as_str() {
        "expand" => Value::from(groups(4)),
        "x509" => Value::from(groups(1)),
        "compress" => Value::from(compressed(v6)),
        _ => Value::from(()),
    })
}

/// Returns an address of version 6 as Python's `ipaddress` writes it.
fn compressed(address: std::net::Ipv6Addr) -> String {
    match address.to_ipv4_mapped() {
        Some(_) => address.segments().get(6..).map_or_else(String::new, |low| {
            format!("::ffff:{}", low.iter().map(|group| format!("{group:x}")).collect::<Vec<_>>().join(":"))
        }),
        None => address.to_string(),
    }
}

/// Merges networks, or returns the one that spans them.
fn cidr_merge(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let read = |item: &Value| {
        Network::parse(&text(item)).ok_or_else(|| wrong(format!("cidr_merge: {} is no network", describe(item))))
    };
    let networks = value::items(value)?.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
    if networks.len() > ITEMS {
        return Err(wrong(format!("cidr_merge: more than {ITEMS} networks")));
    }
    match arguments.text(0, "action", "merge").as_str() {
        "merge" => {
            let nets = networks.iter().map(|network| network.net().trunc()).collect();
            let merged = ipnet::IpNet::aggregate(&nets).into_iter().map(Network::from);
            Ok(value::list(merged.map(|net| Value::from(unmerged(net, &networks).text())).collect()))
        }
        "span" => match networks.as_slice() {
            [] => Ok(Value::from(())),
            [only] => Ok(Value::from(only.text())),
            networks => subnet::spanning(networks).map(|network| Value::from(network.text())),
        },
        action => Err(wrong(format!("cidr_merge: invalid action '{action}'"))),
    }
}

/// Returns the network as it was given if it was merged with no other one: it keeps the bits behind its prefix.
fn unmerged(merged: Network, given: &[Network]) -> Network {
    let mut parts = given.iter().filter(|network| merged.contains(**network));
    match (parts.next(), parts.next()) {
        (Some(only), None) if only.subnet() == merged => *only,
        _ => merged,
    }
}
