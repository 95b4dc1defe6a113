//! The memory, the firmware, the uptime and the volumes of a host.

use serde_json::Value;
use serde_json::json;

use super::host_text::HostText;
use super::mounts::mounts;
use super::platform::facts;
use super::processor::processor;
use crate::inventory::Vars;

/// Returns the facts about the hardware and about mounted file systems.
pub(super) fn hardware(text: &HostText<'_>) -> Vars {
    let mut all = processor(text);
    all.extend(memory(text));
    all.extend(firmware(text));
    all.extend(uptime(text));
    all.extend(facts([("lvm", lvm(text)), ("mounts", mounts(text))]));
    all
}

fn memory(text: &HostText<'_>) -> Vars {
    let size = |name: &str| -> Option<i64> {
        let line = text.lines("/proc/meminfo").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<i64>().ok().map(|kib| kib / 1024)
    };
    let minus = |a: Option<i64>, b: Option<i64>| Some(a? - b?);
    let (total, free) = (size("MemTotal"), size("MemFree"));
    let (swap_total, swap_free) = (size("SwapTotal"), size("SwapFree"));
    let unused = size("Cached").zip(free).zip(size("Buffers")).map(|((cached, free), buffers)| cached + free + buffers);
    facts([
        ("memtotal_mb", total.into()),
        ("memfree_mb", free.into()),
        ("swaptotal_mb", swap_total.into()),
        ("swapfree_mb", swap_free.into()),
        (
            "memory_mb",
            json!({
                "real": {"total": total, "used": minus(total, free), "free": free},
                "nocache": {"free": unused, "used": minus(total, unused)},
                "swap": {
                    "total": swap_total, "free": swap_free, "used": minus(swap_total, swap_free),
                    "cached": size("SwapCached"),
                },
            }),
        ),
    ])
}

/// The facts about the firmware, by the file that has the value.
const FIRMWARE: [(&str, &str); 17] = [
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("bios_version", "bios_version"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
    ("product_name", "product_name"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("product_version", "product_version"),
    ("system_vendor", "sys_vendor"),
];

/// The kinds of chassis of the SMBIOS specification, by number.
const CHASSIS: &str = "Unknown|Other|Unknown|Desktop|Low Profile Desktop|Pizza Box|Mini Tower|Tower|Portable|Laptop|\
    Notebook|Hand Held|Docking Station|All In One|Sub Notebook|Space-saving|Lunch Box|Main Server Chassis|\
    Expansion Chassis|Sub Chassis|Bus Expansion Chassis|Peripheral Chassis|RAID Chassis|Rack Mount Chassis|\
    Sealed-case PC|Multi-system|CompactPCI|AdvancedTCA|Blade|Blade Enclosure|Tablet|Convertible|Detachable|\
    IoT Gateway|Embedded PC|Mini PC|Stick PC";

/// Returns the line of a file that describes the firmware.
pub(super) fn dmi<'a>(text: &HostText<'a>, name: &str) -> Option<&'a str> {
    text.line(&format!("/sys/devices/virtual/dmi/id/{name}"))
}

fn firmware(text: &HostText<'_>) -> Vars {
    let pairs = FIRMWARE.iter().map(|(name, file)| (*name, Value::from(dmi(text, file).unwrap_or("NA"))));
    let form = dmi(text, "chassis_type").map(|number| {
        let kind = number.parse().ok().and_then(|number| CHASSIS.split('|').nth(number));
        kind.map_or_else(|| format!("unknown ({number})"), str::to_owned)
    });
    facts(pairs.chain([("form_factor", form.unwrap_or_else(|| "NA".to_owned()).into())]))
}

fn uptime(text: &HostText<'_>) -> Vars {
    let seconds = text.line("/proc/uptime").and_then(|line| line.split(['.', ' ']).next()?.parse::<u64>().ok());
    facts([("uptime_seconds", seconds.into())])
}

/// Returns the volumes of LVM: text without LVM, or without the right to ask it.
fn lvm(text: &HostText<'_>) -> Value {
    if !text.has("vgs") {
        return "N/A".into();
    }
    let rows = |name: &str| text.lines(name).map(|line| line.trim().split(',').collect::<Vec<_>>()).collect::<Vec<_>>();
    let table = |name: &str, row: fn(&[&str]) -> Option<(String, Value)>| -> Vars {
        rows(name).iter().filter_map(|columns| row(columns)).collect()
    };
    let groups = table("vgs", |row| match row {
        [name, pvs, lvs, .., size, free] => {
            Some(((*name).to_owned(), json!({"num_pvs": pvs, "num_lvs": lvs, "size_g": size, "free_g": free})))
        }
        _ => None,
    });
    let volumes = table("lvs", |row| match row {
        [name, group, _, size, ..] => Some(((*name).to_owned(), json!({"vg": group, "size_g": size}))),
        _ => None,
    });
    let disks = table("pvs", |row| match row {
        [name, group, _, _, size, free] => {
            Some(((*name).to_owned(), json!({"vg": group, "size_g": size, "free_g": free})))
        }
        _ => None,
    });
    json!({"vgs": groups, "lvs": volumes, "pvs": disks})
}
