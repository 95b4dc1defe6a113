//! Filters for paths and addresses of the web, as Python's `os.path` and `urllib` have them.

use std::path::Path;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::SCOPE;
use crate::playbook::template::Scope;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("basename", |_, path, _| Ok(Value::from(split(&text(path)).1))),
    ("commonpath", commonpath),
    ("dirname", |_, path, _| Ok(Value::from(split(&text(path)).0))),
    ("expanduser", expanduser),
    ("normpath", |_, path, _| Ok(Value::from(normal(&text(path))))),
    ("path_join", path_join),
    ("realpath", |_, path, _| Ok(Value::from(real(&text(path))))),
    ("relpath", relpath),
    ("splitext", splitext),
    ("urldecode", |_, value, _| Ok(Value::from(decode(&text(value))))),
    ("urlencode", urlencode),
    ("urlsplit", urlsplit),
    ("win_basename", |_, path, _| Ok(Value::from(text(path).rsplit(['\\', '/']).next().unwrap_or_default()))),
    ("win_dirname", win_dirname),
    ("win_splitdrive", win_splitdrive),
];

/// Splits a path into the folder and the rest after the last slash, as Python's `os.path.split` does.
pub(in crate::playbook::template) fn split(path: &str) -> (&str, &str) {
    let (head, tail) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    let folder = head.trim_end_matches('/');
    (if folder.is_empty() { head } else { folder }, tail)
}

/// Returns the path with the home folder of this machine's user for `~`.
fn expanduser(state: &State<'_, '_>, path: &Value, _: &Arguments) -> Result<Value, Error> {
    let path = text(path);
    let Some(rest) = path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')) else {
        return Ok(Value::from(path));
    };
    let scope = state.lookup(SCOPE).unwrap_or_default();
    let scope = scope.downcast_object_ref::<Scope>().ok_or_else(|| wrong("`expanduser` needs variables"))?;
    let home = scope.surroundings()?.environment.get("HOME").map_or("~", String::as_str);
    Ok(Value::from(format!("{home}{rest}")))
}

/// Returns the path without `.`, `..` and repeated slashes.
fn normal(path: &str) -> String {
    let root = if path.starts_with("//") && !path.starts_with("///") {
        "//"
    } else {
        &path[..path.len().min(usize::from(path.starts_with('/')))]
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        let goes_up = part == ".." && (!root.is_empty() || parts.last().is_some_and(|last| *last != ".."));
        if goes_up {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let joined = format!("{root}{}", parts.join("/"));
    if joined.is_empty() { ".".to_owned() } else { joined }
}

/// Returns the path without links, as far as it exists.
fn real(path: &str) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let mut known: &Path = &absolute;
    loop {
        if let Ok(found) = known.canonicalize() {
            let rest = absolute.strip_prefix(known).unwrap_or(Path::new(""));
            return normal(&found.join(rest).to_string_lossy());
        }
        match known.parent() {
            Some(parent) => known = parent,
            None => return normal(&absolute.to_string_lossy()),
        }
    }
}

fn path_join(_: &State<'_, '_>, parts: &Value, _: &Arguments) -> Result<Value, Error> {
    if parts.kind() == ValueKind::String {
        return Ok(parts.clone());
    }
    let mut path = String::new();
    for part in value::items(parts)? {
        let part = text(&part);
        if part.starts_with('/') || path.is_empty() {
            path = part;
        } else {
            path.push_str(if path.ends_with('/') { "" } else { "/" });
            path.push_str(&part);
        }
    }
    Ok(Value::from(path))
}

fn absolute(path: &str) -> String {
    normal(&std::path::absolute(path).unwrap_or_else(|_| path.into()).to_string_lossy())
}

fn relpath(_: &State<'_, '_>, path: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (path, start) = (absolute(&text(path)), absolute(&arguments.text(0, "start", ".")));
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (path, start) = (parts(&path), parts(&start));
    let shared = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let up = start.iter().skip(shared).map(|_| "..".to_owned());
    let relative: Vec<String> = up.chain(path.into_iter().skip(shared)).collect();
    Ok(Value::from(if relative.is_empty() { ".".to_owned() } else { relative.join("/") }))
}

fn commonpath(_: &State<'_, '_>, paths: &Value, _: &Arguments) -> Result<Value, Error> {
    let paths: Vec<String> = value::items(paths)?.iter().map(text).collect();
    let parts = |path: &String| {
        path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut shared = paths.first().map(parts).ok_or_else(|| wrong("`commonpath` needs a path"))?;
    for path in &paths {
        let same = shared.iter().zip(parts(path)).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    let root = if paths.iter().all(|path| path.starts_with('/')) { "/" } else { "" };
    Ok(Value::from(format!("{root}{}", shared.join("/"))))
}

fn splitext(_: &State<'_, '_>, path: &Value, _: &Arguments) -> Result<Value, Error> {
    let path = text(path);
    let name = split(&path).1;
    let start = path.len() - name.len() + name.len() - name.trim_start_matches('.').len();
    let dot = path.get(start..).and_then(|rest| rest.rfind('.')).map_or(path.len(), |dot| start + dot);
    let (root, ending) = path.split_at(dot);
    Ok(value::tuple(vec![Value::from(root), Value::from(ending)]))
}

fn win_dirname(_: &State<'_, '_>, path: &Value, _: &Arguments) -> Result<Value, Error> {
    let path = text(path);
    Ok(Value::from(path.rfind(['\\', '/']).map_or("", |at| path.get(..at).unwrap_or_default())))
}

fn win_splitdrive(_: &State<'_, '_>, path: &Value, _: &Arguments) -> Result<Value, Error> {
    let path = text(path);
    let (drive, rest) = path.split_at(if path.get(1..2) == Some(":") { 2 } else { 0 });
    Ok(value::tuple(vec![Value::from(drive), Value::from(rest)]))
}

fn urlencode(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    if value.kind() == ValueKind::Map {
        let pairs = value::entries(value)?;
        let pair =
            |(key, value): &(Value, Value)| format!("{}={}", encode(&text(key), true), encode(&text(value), true));
        return Ok(Value::from(pairs.iter().map(pair).collect::<Vec<_>>().join("&")));
    }
    Ok(Value::from(encode(&text(value), false)))
}

/// Encodes a text for an address: a part of a path, or a value of a query.
fn encode(text: &str, query: bool) -> String {
    text.bytes().fold(String::new(), |mut encoded, c| {
        match c {
            b' ' if query => encoded.push('+'),
            b'/' if !query => encoded.push('/'),
            c if c.is_ascii_alphanumeric() || b"_.-~".contains(&c) => encoded.push(char::from(c)),
            c => encoded.push_str(&format!("%{c:02X}")),
        }
        encoded
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = tail.get(if code.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn urlsplit(_: &State<'_, '_>, url: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let parts = split_url(&text(url))?;
    match arguments.get(0, "query") {
        None => Ok(value::map(parts.map(|(name, value)| (Value::from(name), value)))),
        Some(part) => {
            let part = text(&part);
            let found = parts.into_iter().find(|(name, _)| *name == part).map(|(_, value)| value);
            found.ok_or_else(|| wrong(format!("an address has no part `{part}`")))
        }
    }
}

fn split_url(url: &str) -> Result<[(&'static str, Value); 9], Error> {
    let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let is_scheme =
        |scheme: &str| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let (scheme, rest) = url.split_once(':').filter(|(scheme, _)| is_scheme(scheme)).unwrap_or(("", url));
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let (login, host) = netloc.rsplit_once('@').map_or((None, netloc), |(login, host)| (Some(login), host));
    let (user, password) = match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
        Some((user, password)) => (Some(user), password),
        None => (None, None),
    };
    let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    let port = port.filter(|port| !port.is_empty());
    let port = port.map(|port| port.parse::<u16>().map_err(|_| wrong(format!("invalid port `{port}`")))).transpose()?;
    let host = Some(host.to_lowercase()).filter(|host| !host.is_empty());
    Ok([
        ("fragment", Value::from(fragment)),
        ("hostname", Value::from(host)),
        ("netloc", Value::from(netloc)),
        ("password", Value::from(password)),
        ("path", Value::from(path)),
        ("port", Value::from(port)),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme.to_lowercase())),
        ("username", Value::from(user)),
    ])
}
