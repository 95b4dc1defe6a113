//! Filters for addresses of network cards.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::network;
use super::query;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// The groups in which an address of 48 bits may be written: how many, and the most digits of one.
const GROUPS: [(usize, usize); 3] = [(6, 2), (3, 4), (2, 6)];

/// Reads an address of 48 bits.
fn read(written: &str) -> Option<u64> {
    let separator = written.chars().find(|c| !c.is_ascii_hexdigit());
    let groups: Vec<&str> = match separator {
        None if matches!(written.len(), 11 | 12) => vec![written],
        Some(':' | '-') => written.split(separator?).collect(),
        Some('.') if written.split('.').count() == 3 => written.split('.').collect(),
        _ => return None,
    };
    let width = match GROUPS.iter().find(|(count, _)| *count == groups.len()) {
        Some((_, width)) => *width,
        None if groups.len() == 1 => 12,
        None => return None,
    };
    let is_group = |group: &&str| {
        let shortest = if width == 6 { 5 } else { 1 };
        (shortest..=width).contains(&group.len()) && group.chars().all(|c| c.is_ascii_hexdigit())
    };
    let number = |group: &&str| u64::from_str_radix(group, 16).ok().filter(|_| is_group(group));
    groups.iter().try_fold(0, |sum, group| Some(sum << (4 * width) | number(group)?))
}

pub(super) fn hwaddr(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    asked(value, &arguments.text(0, "query", ""), "hwaddr")
}

pub(super) fn macaddr(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    asked(value, &arguments.text(0, "query", ""), "macaddr")
}

/// Returns an address in a form.
fn asked(value: &Value, query: &str, filter: &str) -> Result<Value, Error> {
    let written = text(value);
    let Some(number) = read(&written) else {
        if written.split([':', '-']).count() == 8 || written.len() == 16 {
            return Err(wrong(format!("{filter}: muster reads no hardware address of 64 bits: {written}")));
        }
        return match query {
            "" | "bool" => Ok(Value::from(())),
            _ => Err(wrong(format!("{filter}: not a hardware address: {written}"))),
        };
    };
    let digits = format!("{number:012x}");
    let grouped = |size: usize, separator: &str| {
        let digits: Vec<char> = digits.chars().collect();
        digits.chunks(size).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(separator)
    };
    Ok(match query {
        "" => value.clone(),
        "bool" => Value::from(true),
        "int" => Value::from(number),
        "bare" => Value::from(digits.to_uppercase()),
        "cisco" => Value::from(grouped(4, ".")),
        "eui48" | "win" => Value::from(grouped(2, "-").to_uppercase()),
        "linux" => Value::from(grouped(2, ":")),
        "pgsql" | "postgresql" | "psql" => Value::from(grouped(6, ":")),
        "unix" => {
            let short = |group: &str| if group == "00" { "0" } else { group.trim_start_matches('0') }.to_owned();
            Value::from(grouped(2, ":").split(':').map(short).collect::<Vec<_>>().join(":"))
        }
        _ => return Err(wrong(format!("{filter}: unknown filter type: {query}"))),
    })
}

/// Returns the address that a card makes itself in a network.
pub(super) fn slaac(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let network = query::network(&text(value)).filter(|network| network.is_v6());
    let card = read(&arguments.text(0, "query", ""));
    let Some((network, card)) = network.zip(card) else { return Ok(Value::from(false)) };
    let (high, low) = (card >> 24, card & 0x00ff_ffff);
    let identity = (high << 40 | 0xff_fe00_0000 | low) ^ (1 << 57);
    let address = network::numbered(true, network.first().wrapping_add(identity.into()));
    Ok(address.map_or_else(|| Value::from(false), |address| Value::from(network::text(address))))
}
