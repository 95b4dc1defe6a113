//! Values of containers of Docker: those of a task and those of `docker inspect`, in one form.

use serde_json::Value;

use super::container::Found;
use super::container::Network;
use super::spec::scalar_text;

/// Returns sizes in bytes. Docker reads them so too.
pub(super) fn sizes(given: &[String]) -> Result<Vec<String>, String> {
    given.iter().map(|size| size_of(size)).collect()
}

fn size_of(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no size: expected a number with a unit, such as 512M");
    if matches!(text, "unlimited" | "-1") {
        return Ok("-1".to_owned());
    }
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let power = match unit.trim().to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => return Err(wrong()),
    };
    Ok(format!("{:.0}", number * 1024_f64.powi(power)))
}

/// Returns a number of CPUs in billionths.
pub(super) fn nano_cpus(text: &str) -> Result<String, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    Ok(format!("{:.0}", number * 1e9))
}

/// Returns a capability without the prefix that some versions of docker add.
pub(super) fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").unwrap_or(&name).to_owned()
}

/// Returns a device with its path in the container and its rights.
pub(super) fn device(text: &str) -> String {
    match text.split(':').collect::<Vec<_>>()[..] {
        [host] => format!("{host}:{host}:rwm"),
        [host, rights] if !rights.starts_with('/') => format!("{host}:{host}:{rights}"),
        [host, inside] => format!("{host}:{inside}:rwm"),
        _ => text.to_owned(),
    }
}

/// Returns a port with its protocol.
pub(super) fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_lowercase() } else { format!("{port}/tcp") }
}

/// Returns a volume with its mode.
pub(super) fn bind(volume: &str) -> String {
    match volume.split(':').collect::<Vec<_>>()[..] {
        [inside] => inside.to_owned(),
        [host, inside] => format!("{host}:{inside}:rw"),
        _ => volume.to_owned(),
    }
}

/// Returns a link with its alias.
pub(super) fn link(link: &str) -> String {
    if link.contains(':') { link.to_owned() } else { format!("{link}:{link}") }
}

/// Returns a limit as docker takes it: `NAME=SOFT:HARD`.
pub(super) fn ulimit(text: &str) -> String {
    let (name, limits) = text.split_once([':', '=']).unwrap_or((text, ""));
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    format!("{name}={soft}:{hard}")
}

/// Returns the ports of a text such as `127.0.0.1:8080-8081:80-81/tcp`, as `ADDRESS:PORT:PORT/PROTOCOL` each.
pub(super) fn ports(text: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("`{text}` is no port: expected ADDRESS:PORT:PORT/PROTOCOL");
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, inside) = ports.rsplit_once(':').unwrap_or(("", ports));
    let (address, outside) = match rest.rsplit_once(':') {
        Some((address, outside)) => (address.trim_start_matches('[').trim_end_matches(']'), outside),
        // An address alone has dots.
        None if rest.contains('.') => (rest, ""),
        None => ("", rest),
    };
    let address = if address == "0.0.0.0" { "" } else { address };
    let range = |text: &str| -> Option<(u16, u16)> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let (first, last) = range(inside).ok_or_else(wrong)?;
    if outside.is_empty() {
        return Ok((first..=last).map(|port| format!("{address}::{port}/{protocol}")).collect());
    }
    let (start, end) = range(outside).ok_or_else(wrong)?;
    if first == last && start != end {
        return Ok(vec![format!("{address}:{outside}:{first}/{protocol}")]);
    }
    if last.checked_sub(first).is_none() || end.checked_sub(start) != last.checked_sub(first) {
        return Err(wrong());
    }
    let pair = |(inside, outside)| format!("{address}:{outside}:{inside}/{protocol}");
    Ok((first..=last).zip(start..=end).map(pair).collect())
}

/// Returns what is compared of a check of the health, and the words of the command line.
pub(super) fn healthcheck(value: &Value) -> Result<(Vec<String>, Vec<String>), String> {
    let map = value.as_object().ok_or("`healthcheck` must be a map")?;
    let (mut values, mut words) = (Vec::new(), Vec::new());
    for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        match (key.as_str(), scalar_text(value)) {
            ("test", _) if test_of(value).as_deref() == Some("NONE") => {
                return Ok((vec!["test=NONE".to_owned()], vec!["--no-healthcheck".to_owned()]));
            }
            ("test", _) => {
                let test = test_of(value).ok_or("`test` of `healthcheck` must be text or a list of words")?;
                words.push(format!("--health-cmd={test}"));
                values.push(format!("test={test}"));
            }
            ("interval" | "timeout" | "start_period" | "start_interval", Some(text)) => {
                let length =
                    nanoseconds(&text).ok_or_else(|| format!("`{text}` is no time: expected 1m30s or the like"))?;
                words.push(format!("--health-{}={text}", key.replace('_', "-")));
                values.push(format!("{key}={length}"));
            }
            ("retries", Some(text)) => {
                words.push(format!("--health-retries={text}"));
                values.push(format!("retries={text}"));
            }
            ("test_cli_compatible", Some(_)) => {}
            _ => return Err(format!("muster knows no `{key}` of `healthcheck`: expected {HEALTHCHECK}")),
        }
    }
    Ok((values, words))
}

const HEALTHCHECK: &str = "test, interval, timeout, start_period, start_interval and retries";

/// Returns a test as a line for a shell: docker's command line takes no other.
fn test_of(value: &Value) -> Option<String> {
    let Value::Array(words) = value else { return scalar_text(value).filter(|text| !text.is_empty()) };
    let words: Option<Vec<String>> = words.iter().map(scalar_text).collect();
    match &words?[..] {
        [kind, line] if kind == "CMD-SHELL" => Some(line.clone()),
        [none] if none == "NONE" => Some(none.clone()),
        [kind, words @ ..] if kind == "CMD" => shlex::try_join(words.iter().map(String::as_str)).ok(),
        words if !words.is_empty() => shlex::try_join(words.iter().map(String::as_str)).ok(),
        _ => None,
    }
}

/// Returns a time such as `1m30s` in nanoseconds.
fn nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut all = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor: u64 = match unit {
            "us" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        all += number.parse::<u64>().ok()?.checked_mul(factor)?;
        rest = after;
    }
    Some(all)
}

/// Returns what is compared of mounts, and how docker takes them.
pub(super) fn mounts(value: &Value) -> Result<(Vec<String>, Vec<String>), String> {
    let list = value.as_array().ok_or("`mounts` must be a list of maps")?;
    let (mut values, mut mounts) = (Vec::new(), Vec::new());
    for mount in list {
        let map = mount.as_object().ok_or("`mounts` must be a list of maps")?;
        let text = |key: &str| map.get(key).and_then(scalar_text);
        let kind = text("type").unwrap_or_else(|| "volume".to_owned());
        let target = text("target").ok_or("each of `mounts` needs a `target`")?;
        let mut fields = vec![format!("type={kind}"), format!("target={target}")];
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let value = scalar_text(value).unwrap_or_default();
            match key.as_str() {
                "source" => fields.push(format!("source={value}")),
                "read_only" if value == "True" => fields.push("readonly".to_owned()),
                "propagation" => fields.push(format!("bind-propagation={value}")),
                "no_copy" if value == "True" => fields.push("volume-nocopy".to_owned()),
                "volume_driver" => fields.push(format!("volume-driver={value}")),
                "tmpfs_size" => fields.push(format!("tmpfs-size={}", size_of(&value)?)),
                "tmpfs_mode" => fields.push(format!("tmpfs-mode={value}")),
                "consistency" => fields.push(format!("consistency={value}")),
                "type" | "target" | "read_only" | "no_copy" => {}
                _ => return Err(format!("muster knows no `{key}` of `mounts`: expected {MOUNT}")),
            }
        }
        let is_read_only = text("read_only").as_deref() == Some("True");
        values.push(mount_value(&kind, &text("source").unwrap_or_default(), &target, is_read_only));
        mounts.push(fields.iter().map(|field| csv_field(field)).collect::<Vec<_>>().join(","));
    }
    Ok((values, mounts))
}

const MOUNT: &str =
    "target, source, type, read_only, propagation, no_copy, volume_driver, tmpfs_size, tmpfs_mode and consistency";

fn mount_value(kind: &str, source: &str, target: &str, is_read_only: bool) -> String {
    format!("{kind} {source} {target} {}", if is_read_only { "ro" } else { "rw" })
}

/// Quotes a field as in CSV, which docker reads.
fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// Returns the values of a container in the form of those of a task.
pub(super) fn of_container(parameter: &str, pointer: &str, found: &Found<'_>) -> Vec<String> {
    let value = found.value(pointer).unwrap_or(&Value::Null);
    let text = |value: &Value, key: &str| value.get(key).and_then(scalar_text).unwrap_or_default();
    let list = || value.as_array().into_iter().flatten();
    match parameter {
        "devices" => {
            let device =
                |it: &Value| [text(it, "PathOnHost"), text(it, "PathInContainer"), text(it, "CgroupPermissions")];
            list().map(|it| device(it).join(":")).collect()
        }
        "ulimits" => {
            list().map(|it| format!("{}={}:{}", text(it, "Name"), text(it, "Soft"), text(it, "Hard"))).collect()
        }
        "mounts" => {
            let is_read_only = |it: &Value| it.get("ReadOnly").and_then(Value::as_bool) == Some(true);
            let mount =
                |it: &Value| mount_value(&text(it, "Type"), &text(it, "Source"), &text(it, "Target"), is_read_only(it));
            list().map(mount).collect()
        }
        "published_ports" => bindings(value),
        "capabilities" | "cap_drop" => plain(value).iter().map(|name| capability(name)).collect(),
        "restart_policy" => match (text(value, "Name"), text(value, "MaximumRetryCount")) {
            (name, _) if name.is_empty() => vec!["no".to_owned()],
            (name, count) if count.is_empty() || count == "0" => vec![name],
            (name, count) => vec![format!("{name}:{count}")],
        },
        "exposed_ports" => value.as_object().into_iter().flat_map(|ports| ports.keys().cloned()).collect(),
        "volumes" => {
            let anonymous = found.value("/Config/Volumes").and_then(Value::as_object);
            let anonymous = anonymous.into_iter().flat_map(|volumes| volumes.keys().cloned());
            list().filter_map(scalar_text).map(|volume| bind(&volume)).chain(anonymous).collect()
        }
        // `/a:/b/c` is the container `a`, which `b` calls `c`.
        "links" => {
            let link = |text: String| {
                let (name, alias) = text.split_once(':')?;
                Some(format!("{}:{}", name.trim_start_matches('/'), alias.rsplit('/').next()?))
            };
            list().filter_map(scalar_text).filter_map(link).collect()
        }
        "healthcheck" => {
            let test = value.get("Test").and_then(test_of).map(|test| format!("test={test}"));
            let time = |(key, name): (&str, &str)| Some(format!("{name}={}", value.get(key)?.as_u64()?));
            let others = [
                ("Interval", "interval"),
                ("Timeout", "timeout"),
                ("StartPeriod", "start_period"),
                ("StartInterval", "start_interval"),
                ("Retries", "retries"),
            ];
            test.into_iter().chain(others.into_iter().filter_map(time)).collect()
        }
        "tmpfs" => pairs(value, ":").iter().map(|pair| pair.trim_end_matches(':').to_owned()).collect(),
        "entrypoint" => {
            // The option takes the first word, and the others stand before the command.
            let command = found.value("/Config/Cmd").and_then(Value::as_array).into_iter().flatten();
            list().chain(command).filter_map(scalar_text).collect()
        }
        _ => plain(value),
    }
}

fn pairs(value: &Value, separator: &str) -> Vec<String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| format!("{key}{separator}{}", scalar_text(value).unwrap_or_default())).collect()
}

fn plain(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(scalar_text).collect(),
        Value::Object(_) => pairs(value, "="),
        Value::Bool(flag) => vec![flag.to_string()],
        value => scalar_text(value).filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

/// Returns the ports that are published.
fn bindings(value: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for (inside, places) in value.as_object().into_iter().flatten() {
        for place in places.as_array().into_iter().flatten() {
            let text = |key: &str| place.get(key).and_then(Value::as_str).unwrap_or_default();
            let address = if text("HostIp") == "0.0.0.0" { "" } else { text("HostIp") };
            all.push(format!("{address}:{}:{inside}", text("HostPort")));
        }
    }
    all
}

/// Reports whether a container is connected to a network as a task says.
pub(super) fn is_connected(network: &Network, now: &Value) -> bool {
    let address = |key: &str| now.pointer(&format!("/IPAMConfig/{key}")).and_then(Value::as_str);
    let has_all = |key: &str, wanted: &[String]| {
        let list: Vec<&str> =
            now.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        wanted.iter().all(|item| list.contains(&item.as_str()))
    };
    network.ipv4.as_deref().is_none_or(|wanted| address("IPv4Address") == Some(wanted))
        && network.ipv6.as_deref().is_none_or(|wanted| address("IPv6Address") == Some(wanted))
        && has_all("Aliases", &network.aliases)
        && has_all("Links", &network.links.iter().map(|it| link(it)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::healthcheck;
    use super::mounts;
    use super::ports;
    use super::sizes;

    #[test]
    fn values_have_one_form() {
        let size = |text: &str| sizes(&[text.to_owned()]).map(|mut sizes| sizes.remove(0));
        assert_eq!(["512M", "1.5g", "64", "-1"].map(|it| size(it).unwrap()), ["536870912", "1610612736", "64", "-1"]);
        assert_eq!(size("much").unwrap_err(), "`much` is no size: expected a number with a unit, such as 512M");
        assert_eq!(ports("8080:80").unwrap(), [":8080:80/tcp"]);
        assert_eq!(ports("127.0.0.1:53:53/udp").unwrap(), ["127.0.0.1:53:53/udp"]);
        assert_eq!(ports("[::1]:8000-8001:80-81").unwrap(), ["::1:8000:80/tcp", "::1:8001:81/tcp"]);
        assert_eq!([ports("80").unwrap(), ports("127.0.0.1::80").unwrap()], [["::80/tcp"], ["127.0.0.1::80/tcp"]]);
        assert!(["web:80", "1-3:80-81", "3-1:3-1"].iter().all(|text| ports(text).is_err()));
        let check = json!({"test": ["CMD", "curl", "a b"], "interval": "1m30s", "retries": 3});
        let (values, words) = healthcheck(&check).unwrap();
        assert_eq!(values, ["test=curl 'a b'", "interval=90000000000", "retries=3"]);
        assert_eq!(words, ["--health-cmd=curl 'a b'", "--health-interval=1m30s", "--health-retries=3"]);
        let (values, words) =
            mounts(&json!([{"type": "bind", "source": "/a,b", "target": "/c", "read_only": true}])).unwrap();
        assert_eq!(
            (&values[0][..], &words[0][..]),
            ("bind /a,b /c ro", "type=bind,target=/c,\"source=/a,b\",readonly")
        );
    }
}
