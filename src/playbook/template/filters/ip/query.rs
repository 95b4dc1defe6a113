//! The filter `ipaddr`: what is asked of an address or a network.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::network;
use super::network::Network;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// How a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Address,
    Network,
}

/// An address or a network of which something is asked.
struct Subject {
    network: Network,
    form: Form,
    /// The text of the value.
    written: Value,
}

/// Which addresses a filter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Any,
    V4,
    V6,
}

/// Answers a query about a value: `false` if the value is no address of the version. Of a list it keeps what has an answer.
pub(super) fn ipaddr(value: &Value, query: &str, version: Version, filter: &str) -> Result<Value, Error> {
    if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        let answers = value::items(value)?.into_iter().map(|item| ipaddr(&item, query, version, "ipaddr"));
        let mut answers = answers.collect::<Result<Vec<_>, Error>>()?;
        answers.retain(Value::is_true);
        return Ok(value::list(answers));
    }
    let subject = Subject::read(value, version).filter(|subject| match version {
        Version::Any => true,
        Version::V4 => !subject.network.is_v6(),
        Version::V6 => subject.network.is_v6(),
    });
    let Some(subject) = subject else { return Ok(Value::from(false)) };
    match subject.answer(query) {
        Some(answer) => answer,
        None => subject.lookup(query).ok_or_else(|| wrong(format!("{filter}: unknown filter type: {query}"))),
    }
}

/// Returns the address or network of a value as a network: as it is if its address is one of a host, else without bits
/// behind the prefix.
pub(super) fn network(value: &str) -> Option<Network> {
    Subject::read(&Value::from(value), Version::Any).map(|subject| subject.network)
}

type Answer = Option<Result<Value, Error>>;

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

fn nothing() -> Value {
    Value::from(())
}

impl Subject {
    fn read(value: &Value, version: Version) -> Option<Self> {
        if !value.is_true() || value.kind() == ValueKind::Bool {
            return None;
        }
        let written = text(value);
        if is_digits(&written) {
            let number: u128 = written.parse().ok()?;
            let v4 = if version == Version::V6 { None } else { Network::of_number(false, number, 32) };
            let network = v4.or_else(|| Network::of_number(true, number, 128))?;
            return Some(Self { network, form: Form::Address, written: Value::from(network.text()) });
        }
        value.as_str()?;
        let form = if written.split('/').count() == 2 { Form::Network } else { Form::Address };
        if let Some(network) = Network::parse(&written) {
            return Some(Self { network, form, written: value.clone() });
        }
        let (address, prefix) = written.split_once('/')?;
        let (number, prefix): (u128, u8) = (address.trim().parse().ok()?, prefix.trim().parse().ok()?);
        let network = Network::of_number(false, number, prefix).or_else(|| Network::of_number(true, number, prefix))?;
        Some(Self { network, form: Form::Network, written: Value::from(network.text()) })
    }

    /// Answers a query with a name, or one that is a network of which the value may be a part.
    fn answer(&self, query: &str) -> Answer {
        let network = self.network;
        let named = self.about_text(query).or_else(|| self.about_kind(query)).or_else(|| self.about_hosts(query));
        if named.is_some() || is_digits(query) {
            return named;
        }
        let outer = self::network(query)?;
        Some(Ok(if outer.contains(network) { self.written.clone() } else { nothing() }))
    }

    /// Answers with parts of the value.
    fn about_text(&self, query: &str) -> Answer {
        let network = self.network;
        let (address, prefix) = (network::text(network.address()), network.prefix());
        let net = network.net();
        let [base, mask, host_mask] = [net.network(), net.netmask(), net.hostmask()].map(network::text);
        let is_host = !network.is_network() || !network.has_broadcast();
        let with_prefix = network.text();
        let has_many = network.span() > 0;
        let when = |shown: bool, text: String| if shown { Value::from(text) } else { nothing() };
        Some(Ok(match query {
            "" => Value::from(if self.form == Form::Address { address } else { with_prefix }),
            "address" | "ip" => when(is_host || network.is_v6(), address),
            "address/prefix" | "gateway" | "gw" | "host/prefix" | "hostnet" | "router" => {
                let is_end = network.is_network() || network.number() == network.last();
                if network.span() > 1 && is_end { Value::from(false) } else { Value::from(with_prefix) }
            }
            "cidr" => Value::from(with_prefix),
            "host" => when(is_host, with_prefix),
            "ip/prefix" => when(network.span() == 1 || has_many && !network.is_network(), with_prefix),
            "ip_netmask" => when(network.span() == 1 || has_many && !network.is_network(), format!("{address} {mask}")),
            "hostmask" | "wildcard" => Value::from(host_mask),
            "net" => when(has_many && network.is_network(), with_prefix),
            "netmask" => Value::from(mask),
            "network" | "network_id" => Value::from(base),
            "network_netmask" => Value::from(format!("{base} {mask}")),
            "network_wildcard" => Value::from(format!("{base} {host_mask}")),
            "broadcast" => when(network.has_broadcast(), network::text(net.broadcast())),
            "subnet" | "network/prefix" => Value::from(network.subnet().text()),
            "prefix" => Value::from(prefix),
            "revdns" => Value::from(network.reverse_name()),
            "version" => Value::from(if network.is_v6() { 6 } else { 4 }),
            "int" if self.form == Form::Address => Value::from(network.number()),
            "int" => Value::from(format!("{}/{prefix}", network.number())),
            "wrap" if !network.is_v6() => self.written.clone(),
            "wrap" if self.form == Form::Address => Value::from(format!("[{address}]")),
            "wrap" => Value::from(format!("[{address}]/{prefix}")),
            _ => return None,
        }))
    }

    /// Answers with the value if it is of a kind.
    fn about_kind(&self, query: &str) -> Answer {
        let network = self.network;
        let is_so = match query {
            "bool" => return Some(Ok(Value::from(true))),
            "type" => {
                let is_network = network.span() > 0 && network.is_network();
                return Some(Ok(Value::from(if is_network { "network" } else { "address" })));
            }
            "6to4" => return Some(Ok(self.six_to_four().unwrap_or_else(|| Value::from(false)))),
            "ipv4" | "v4" if network.is_v6() => {
                let v4 = network.to_v4().map(|network| Value::from(network.text()));
                return Some(Ok(v4.unwrap_or_else(|| Value::from(false))));
            }
            "ipv6" | "v6" if !network.is_v6() => {
                return Some(Ok(Value::from(network.to_v6()?.text())));
            }
            "ipv4" | "v4" | "ipv6" | "v6" => true,
            "link-local" => network.is_link_local(),
            "lo" | "loopback" => network.is_loopback(),
            "multicast" => network.is_multicast(),
            "unicast" => !network.is_multicast(),
            "private" => !network.is_global(),
            "public" => network.is_public(),
            _ => return None,
        };
        Some(Ok(if is_so { self.written.clone() } else { nothing() }))
    }

    /// Returns the network of 6to4 that belongs to an address of version 4, or the value if it is in one.
    fn six_to_four(&self) -> Option<Value> {
        let network = self.network;
        let is_host = network.span() == 0 || !network.is_network();
        if network.is_v6() {
            let is_within = Network::parse("2002::/16")?.contains(network.host());
            return (is_within && (self.form == Form::Address || !network.is_network())).then(|| self.written.clone());
        }
        let number = network.number();
        (is_host && (network.is_public() || !network.is_global()))
            .then(|| Value::from(format!("2002:{:04x}:{:04x}::1/48", number >> 16, number & 0xffff)))
    }

    /// Answers with hosts of the network.
    fn about_hosts(&self, query: &str) -> Answer {
        let network = self.network;
        let size = || network.size().ok_or_else(|| wrong("the network has too many addresses to be counted"));
        match query {
            "size" => return Some(size().map(Value::from)),
            "size_usable" => {
                let count = |size| if size < 3 { size / 2 * 2 } else { size - 2 };
                return Some(size().map(|size| Value::from(count(size))));
            }
            "first_usable" | "last_usable" | "next_usable" | "previous_usable" | "range_usable" | "peer" => {}
            _ => return None,
        }
        if self.form == Form::Address {
            return Some(Err(wrong("Not a network address")));
        }
        if query == "peer" {
            return Some(self.peer());
        }
        let shown = |number| network::text(network::of_any_version(number));
        let Some((first, last)) = network.usable() else { return Some(Ok(nothing())) };
        let usable = |number: Option<u128>| number.filter(|number| (first..=last).contains(number));
        Some(Ok(match query {
            "first_usable" => Value::from(shown(first)),
            "last_usable" => Value::from(shown(last)),
            "range_usable" => Value::from(format!("{}-{}", shown(first), shown(last))),
            "next_usable" => usable(network.number().checked_add(1)).map_or_else(nothing, |it| Value::from(shown(it))),
            _ => match network.number().checked_sub(1) {
                None => return Some(Err(wrong("there is no address before the first one"))),
                before => usable(before).map_or_else(nothing, |it| Value::from(shown(it))),
            },
        }))
    }

    /// Returns the other end of a link.
    fn peer(&self) -> Result<Value, Error> {
        let number = self.network.number();
        let other = match (self.network.span(), number % 4) {
            (1, _) => number ^ 1,
            (3, 0) => return Err(wrong("Network address of /30 has no peer")),
            (3, 3) => return Err(wrong("Broadcast address of /30 has no peer")),
            (3, _) => number ^ 3,
            _ => return Err(wrong("Not a point-to-point network")),
        };
        Ok(Value::from(network::text(network::of_any_version(other))))
    }

    /// Answers a query that is a number: with the address of this index in the network.
    fn lookup(&self, query: &str) -> Option<Value> {
        query.trim().parse::<f64>().ok()?;
        let network = self.network;
        if network.span() == 0 {
            let host = network::text(network.address());
            return Some(Value::from(if self.form == Form::Address { host } else { network.text() }));
        }
        let item = query.trim().parse().ok().and_then(|index| network.item(index));
        Some(item.map_or_else(
            || Value::from(false),
            |item| Value::from(format!("{}/{}", network::text(item), network.prefix())),
        ))
    }
}
