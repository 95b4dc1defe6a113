//! The mounted file systems of a host that have a device or a server, with their sizes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// Returns the fact `mounts`. Of two mounts in one place, the later one counts.
pub(super) fn mounts(text: &HostText<'_>) -> Value {
    let binds: BTreeSet<&str> = text.lines("binds").collect();
    let pair =
        |line: &'_ str| line.trim().rsplit_once(char::is_whitespace).map(|(a, b)| (a.trim().to_owned(), b.to_owned()));
    let mut uuids = BTreeMap::new();
    for (device, uuid) in text.lines("uuids").filter_map(pair) {
        uuids.entry(device).or_insert(uuid);
    }
    let mut found: IndexMap<String, Vars> = IndexMap::new();
    let mut current = None;
    for line in text.lines("mounts") {
        if let Some((place, mut mount)) = mount(line, &binds) {
            let device = mount.get("device").and_then(Value::as_str).unwrap_or_default();
            let uuid = uuids.get(device).map_or("N/A", String::as_str).to_owned();
            mount.insert("uuid".to_owned(), uuid.into());
            found.insert(place.clone(), mount);
            current = Some(place);
        } else if let Some(mount) = current.as_ref().and_then(|place| found.get_mut(place)) {
            mount.extend(sizes(line).unwrap_or_default());
        }
    }
    found.into_values().collect()
}

/// Parses a line of /proc/mounts.
fn mount(line: &str, binds: &BTreeSet<&str>) -> Option<(String, Vars)> {
    let words: Vec<&str> = line.split(' ').collect();
    let &[device, place, kind, options, dump, check] = words.as_slice() else { return None };
    if !device.contains('/') {
        return None;
    }
    let mut options = unescaped(options);
    if binds.contains(place) && !options.contains("bind") {
        options.push_str(",bind");
    }
    let mount = facts([
        ("mount", unescaped(place).into()),
        ("device", unescaped(device).into()),
        ("fstype", unescaped(kind).into()),
        ("options", options.into()),
        ("dump", dump.parse::<u32>().unwrap_or(0).into()),
        ("passno", check.parse::<u32>().unwrap_or(0).into()),
    ]);
    Some((unescaped(place), mount))
}

/// Parses the line of sizes behind a mount.
fn sizes(line: &str) -> Option<Vars> {
    let numbers: Option<Vec<u64>> = line.split(' ').map(|word| word.parse().ok()).collect();
    let numbers = numbers?;
    let &[block, fragment, blocks, blocks_left, inodes, inodes_left] = numbers.as_slice() else { return None };
    Some(facts([
        ("size_total", fragment.saturating_mul(blocks).into()),
        ("size_available", fragment.saturating_mul(blocks_left).into()),
        ("block_size", block.into()),
        ("block_total", blocks.into()),
        ("block_available", blocks_left.into()),
        ("block_used", blocks.saturating_sub(blocks_left).into()),
        ("inode_total", inodes.into()),
        ("inode_available", inodes_left.into()),
        ("inode_used", inodes.saturating_sub(inodes_left).into()),
    ]))
}

/// Replaces the octal numbers of the kernel by characters: `\040` is a blank.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(code) = code {
            plain.push(char::from(code));
            plain.push_str(part.get(3..).unwrap_or_default());
        } else {
            plain.push('\\');
            plain.push_str(part);
        }
    }
    plain
}
