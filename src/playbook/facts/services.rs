//! The services of a host with systemd (`service_facts`).

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use super::host_text::HostText;
use crate::inventory::Vars;

/// The states that count more than whether a service is enabled.
const BAD: [&str; 3] = ["not-found", "masked", "failed"];

/// Returns the fact `services`. Services of sysvinit are not listed.
pub fn parse_services(text: &HostText<'_>) -> Vars {
    let mut services = Vars::new();
    for line in text.lines("units") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let &[name, _, active, sub, ..] = words.as_slice() else { continue };
        if name.ends_with(".service") {
            let bad = BAD.into_iter().find(|bad| words.iter().take(4).any(|word| word == bad));
            let state = if sub == "running" { "running" } else { "stopped" };
            services.insert(name.to_owned(), service(name, state, bad.unwrap_or(active)));
        }
    }
    let states = states(text);
    for line in text.lines("files") {
        let mut words = line.split_whitespace();
        let (Some(name), Some(status)) = (words.next(), words.next()) else { continue };
        if let Some(service) = services.get_mut(name).and_then(Value::as_object_mut) {
            if !service.get("status").and_then(Value::as_str).is_some_and(|status| BAD.contains(&status)) {
                service.insert("status".to_owned(), status.into());
            }
        } else if name.ends_with(".service") {
            // systemd knows no state of a template.
            let state = if name.contains("@.") { "unknown" } else { "inactive" };
            let state = states.get(name).copied().unwrap_or(state);
            services.insert(name.to_owned(), service(name, state, status));
        }
    }
    Vars::from_iter([("services".to_owned(), services.into())])
}

fn service(name: &str, state: &str, status: &str) -> Value {
    json!({"name": name, "state": state, "status": status, "source": "systemd"})
}

/// Returns the active state of each loaded unit by each of its names.
fn states<'a>(text: &HostText<'a>) -> BTreeMap<&'a str, &'a str> {
    let (mut states, mut names, mut state) = (BTreeMap::new(), "", "");
    for line in text.lines("states").chain([""]) {
        if let Some(value) = line.strip_prefix("Names=") {
            names = value;
        } else if let Some(value) = line.strip_prefix("ActiveState=") {
            state = value;
        } else if line.is_empty() {
            states.extend(names.split_whitespace().map(|name| (name, state)));
            (names, state) = ("", "");
        }
    }
    states
}
