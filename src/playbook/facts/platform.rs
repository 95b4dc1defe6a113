//! Names, kernel, users and processes of a host: what needs one or two lines of the script's text for each fact.

use serde_json::Value;
use serde_json::json;

use super::host_text::HostText;
use crate::inventory::Vars;

/// Makes facts of pairs, without those that are null.
pub(super) fn facts<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Vars {
    let known = pairs.into_iter().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the facts about the kernel and the names of the host.
pub(super) fn platform(text: &HostText<'_>) -> Vars {
    let nodename = text.line("/proc/sys/kernel/hostname").unwrap_or("localhost");
    let fqdn = fqdn(text, nodename);
    let machine = text.line("machine").unwrap_or("unknown");
    let bits = text.line("bits").unwrap_or(if machine.contains("64") || machine == "s390x" { "64" } else { "32" });
    let userspace = match (machine, bits) {
        ("x86_64", "64") => Some("x86_64"),
        ("x86_64" | "i386" | "i486" | "i586" | "i686", "32") => Some("i386"),
        _ => None,
    };
    let is_386 = matches!(machine, "i386" | "i486" | "i586" | "i686");
    facts([
        ("system", text.line("/proc/sys/kernel/ostype").unwrap_or("Linux").into()),
        ("kernel", text.line("/proc/sys/kernel/osrelease").into()),
        ("kernel_version", text.line("/proc/sys/kernel/version").into()),
        ("machine", machine.into()),
        ("architecture", if is_386 { "i386" } else { machine }.into()),
        ("userspace_bits", bits.into()),
        ("userspace_architecture", userspace.into()),
        ("nodename", nodename.into()),
        ("hostname", nodename.split('.').next().into()),
        ("fqdn", fqdn.into()),
        ("domain", fqdn.split_once('.').map_or("", |(_, domain)| domain).into()),
        ("machine_id", text.line("/var/lib/dbus/machine-id").or_else(|| text.line("/etc/machine-id")).into()),
        ("python_version", python_version(text).into()),
    ])
}

/// Returns the first name of the host's address that has a domain, as Python's `getfqdn` does.
fn fqdn<'a>(text: &HostText<'a>, nodename: &'a str) -> &'a str {
    let Some(line) = text.line("names") else { return nodename };
    let words: Vec<&str> = line.split_whitespace().collect();
    // Behind the address, or alone if the host has no getent.
    let names = if words.len() > 1 { words.get(1..).unwrap_or_default() } else { &words };
    names.iter().find(|name| name.contains('.')).or(names.first()).copied().unwrap_or(nodename)
}

/// Returns the version of the host's Python 3, if it has one.
fn python_version<'a>(text: &HostText<'a>) -> Option<&'a str> {
    text.lines("python").nth(1)?.strip_prefix("Python ")?.split_whitespace().next()
}

/// Returns the facts about the host's Python 3. A host without it has none.
pub(super) fn python(text: &HostText<'_>) -> Vars {
    let Some((executable, version)) = text.line("python").zip(python_version(text)) else { return Vars::new() };
    let mut parts = version.splitn(3, '.');
    let mut number = || parts.next().map_or((0, ""), leading_number);
    let ((major, _), (minor, _), (micro, rest)) = (number(), number(), number());
    let level = match rest.get(..1) {
        Some("a") => "alpha",
        Some("b") => "beta",
        Some("r") => "candidate",
        _ => "final",
    };
    let (serial, _) = leading_number(rest.trim_start_matches(|c: char| !c.is_ascii_digit()));
    let kind = if text.lines("python").any(|line| line.contains("PyPy")) { "pypy" } else { "cpython" };
    facts([(
        "python",
        json!({
            "executable": executable,
            "has_sslcontext": true,
            "type": kind,
            "version": {"major": major, "minor": minor, "micro": micro, "releaselevel": level, "serial": serial},
            "version_info": [major, minor, micro, level, serial],
        }),
    )])
}

/// Splits the digits off the front of a text.
fn leading_number(text: &str) -> (u32, &str) {
    let (digits, rest) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    (digits.parse().unwrap_or(0), rest)
}

/// Returns the facts about the user that the script ran as.
pub(super) fn user(text: &HostText<'_>) -> Vars {
    let entry: Vec<&str> = text.line("passwd").unwrap_or_default().split(':').collect();
    let field = |at: usize| entry.get(at).copied();
    let number = |at: usize| field(at).and_then(|text| text.parse::<u64>().ok());
    let id = |name: &str, at: usize| {
        let line = text.lines("status").find_map(|line| line.strip_prefix(name));
        line.and_then(|ids| ids.split_whitespace().nth(at)).and_then(|id| id.parse::<u64>().ok())
    };
    facts([
        ("user_id", text.line("user").or(field(0)).into()),
        ("user_uid", number(2).into()),
        ("user_gid", number(3).into()),
        ("user_gecos", field(4).into()),
        ("user_dir", field(5).into()),
        ("user_shell", field(6).into()),
        ("real_user_id", id("Uid:", 0).into()),
        ("effective_user_id", id("Uid:", 1).into()),
        ("real_group_id", id("Gid:", 0).into()),
        ("effective_group_id", id("Gid:", 1).into()),
    ])
}

/// Returns the environment of the script.
pub(super) fn env(text: &HostText<'_>) -> Vars {
    let pairs = text.lines("env").filter_map(|line| line.split_once('='));
    // The script writes a newline as this byte.
    let vars: Vars = pairs.map(|(name, value)| (name.to_owned(), value.replace('\u{1}', "\n").into())).collect();
    facts([("env", Value::Object(vars))])
}

/// Returns the parameters of the kernel: once with the last value of each, once with all values.
pub(super) fn cmdline(text: &HostText<'_>) -> Vars {
    let Some(line) = text.line("/proc/cmdline") else { return Vars::new() };
    let (mut last, mut all) = (Vars::new(), Vars::new());
    for word in parameters(line) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Value::from(value)),
            None => (word, Value::Bool(true)),
        };
        last.insert(name.to_owned(), value.clone());
        match all.get_mut(name) {
            Some(Value::Array(values)) if !value.is_boolean() => values.push(value),
            Some(earlier) if !value.is_boolean() => *earlier = Value::Array(vec![earlier.take(), value]),
            _ => drop(all.insert(name.to_owned(), value)),
        }
    }
    facts([("cmdline", last.into()), ("proc_cmdline", all.into())])
}

/// Splits a line at blanks that are not in quotes. The quotes stay.
fn parameters(line: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let at_blank = move |c: char| {
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        quote.is_none() && c.is_whitespace()
    };
    line.split(at_blank).filter(|word| !word.is_empty())
}

/// Returns the average load.
pub(super) fn loadavg(text: &HostText<'_>) -> Vars {
    let line = text.line("/proc/loadavg").unwrap_or_default();
    let loads: Vec<f64> = line.split_whitespace().take(3).filter_map(|load| load.parse().ok()).collect();
    match loads.as_slice() {
        [one, five, fifteen] => facts([("loadavg", json!({"1m": one, "5m": five, "15m": fifteen}))]),
        _ => Vars::new(),
    }
}

/// Returns the public keys of the host, from the first folder that has some.
pub(super) fn ssh_pub_keys(text: &HostText<'_>) -> Vars {
    let mut found = Vars::new();
    for folder in ["/etc/ssh", "/etc/openssh", "/etc"] {
        for kind in ["dsa", "rsa", "ecdsa", "ed25519"] {
            let line = text.line(&format!("{folder}/ssh_host_{kind}_key.pub")).unwrap_or_default();
            let mut words = line.split_whitespace();
            if let (Some(keytype), Some(key)) = (words.next(), words.next()) {
                found.insert(format!("ssh_host_key_{kind}_public"), key.into());
                found.insert(format!("ssh_host_key_{kind}_public_keytype"), keytype.into());
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// Reports whether the script ran in a chroot: in another root than the first process, or in one that is no root of a
/// file system.
pub(super) fn chroot(text: &HostText<'_>) -> Vars {
    let lines: Vec<&str> = text.lines("root").collect();
    let is_chroot = match lines.as_slice() {
        [own, first, _] => own != first,
        [own, kind] => {
            let inode = match *kind {
                "btrfs" => "256",
                "xfs" => "128",
                _ => "2",
            };
            own.split_once(':').is_some_and(|(_, own)| own != inode)
        }
        _ => false,
    };
    let is_set = text.lines("env").any(|line| line.starts_with("debian_chroot="));
    facts([("is_chroot", (is_chroot || is_set).into())])
}

/// Reports whether the kernel is in FIPS mode.
pub(super) fn fips(text: &HostText<'_>) -> Vars {
    facts([("fips", (text.line("/proc/sys/crypto/fips_enabled") == Some("1")).into())])
}
