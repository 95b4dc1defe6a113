//! The facts that a host has in its own folder (`/etc/ansible/facts.d`): files, and programs that print them, as JSON or in
//! sections of `name = value`.

use serde_json::Value;

use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// Returns the fact `local`. A file that cannot be read has a text that says why.
pub(super) fn local(text: &HostText<'_>) -> Vars {
    let mut found = Vars::new();
    for section in text.names() {
        let content = || text.content(section).unwrap_or_default();
        let (path, value) = if let Some(path) = section.strip_prefix("facts ") {
            (path, parse(path, &content()))
        } else if let Some(path) = section.strip_prefix("script ") {
            (path, printed(path, &content()))
        } else {
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        found.insert(name.replace(".fact", ""), value);
    }
    found.sort_keys();
    facts([("local", found.into())])
}

/// Returns the facts that a program has printed. The last line is its exit code.
fn printed(path: &str, text: &str) -> Value {
    match text.rsplit_once("rc=") {
        Some((text, "0")) => parse(path, text.trim()),
        Some((_, code)) if code.parse::<u8>().is_ok() => {
            format!("Failure executing fact script ({path}), rc: {code}, err: ").into()
        }
        _ => format!("error loading facts: {path} prints too much").into(),
    }
}

fn parse(path: &str, text: &str) -> Value {
    let json = serde_json::from_str(text).ok();
    let json = json.or_else(|| ini(text).map(Value::Object));
    json.unwrap_or_else(|| format!("error loading facts as JSON or ini - please check content: {path}").into())
}

/// Parses sections of options, in the grammar of Python's `configparser`.
fn ini(text: &str) -> Option<Vars> {
    let mut defaults: Vec<(String, String)> = Vec::new();
    let mut sections: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let current = match sections.last_mut() {
            Some(("DEFAULT", _)) => Some(&mut defaults),
            Some((_, options)) => Some(options),
            None => None,
        };
        if line.starts_with([' ', '\t']) {
            // A line with blanks in front goes on with the value.
            let (_, value) = current?.last_mut()?;
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some(name) = trimmed.strip_prefix('[') {
            sections.push((name.split_once(']')?.0, Vec::new()));
        } else {
            let (option, value) = trimmed.split_once(['=', ':'])?;
            current?.push((option.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let named = sections.into_iter().filter(|(name, _)| *name != "DEFAULT");
    Some(named.map(|(name, options)| (name.to_owned(), Value::Object(with_defaults(options, &defaults)))).collect())
}

fn with_defaults(options: Vec<(String, String)>, defaults: &[(String, String)]) -> Vars {
    let mut all: Vars = options.into_iter().map(|(name, value)| (name, value.into())).collect();
    for (name, value) in defaults {
        all.entry(name.as_str()).or_insert_with(|| value.clone().into());
    }
    all
}
