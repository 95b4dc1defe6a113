//! Inventories that are programs: run with `--list`, they print one JSON object.

use std::path::Path;

use serde_json::Map;
use serde_json::Value;

use super::draft::Draft;
use super::fault::Fault;
use super::fault::Place;

/// Adds what a script printed to the draft. `--host` is never asked: a script without `_meta` gives no host variables.
pub(super) fn read(file: &Path, printed: &str, draft: &mut Draft) -> Result<(), Fault> {
    let fault = |what: String| Fault::new(file, Place::default(), what);
    let printed: Map<String, Value> = serde_json::from_str(printed)
        .map_err(|error| fault(format!("what `--list` printed is not a JSON object: {error}")))?;
    for (name, group) in &printed {
        if name == "_meta" {
            continue;
        }
        let parts = match group {
            Value::Array(_) => Map::from_iter([("hosts".to_owned(), group.clone())]),
            Value::Object(parts) => parts.clone(),
            _ => return Err(fault(format!("group `{name}` must be an object or a list of hosts"))),
        };
        draft.group(name);
        for host in words(&parts, "hosts").map_err(|what| fault(format!("group `{name}`: {what}")))? {
            draft.host(name, host);
        }
        for child in words(&parts, "children").map_err(|what| fault(format!("group `{name}`: {what}")))? {
            draft.adopt(name, child).map_err(fault)?;
        }
        for (key, value) in parts.get("vars").and_then(Value::as_object).into_iter().flatten() {
            draft.set(name, key, value.clone()).map_err(fault)?;
        }
    }
    let vars = printed.get("_meta").and_then(|meta| meta.get("hostvars")).and_then(Value::as_object);
    for (host, vars) in vars.into_iter().flatten() {
        let vars = vars.as_object().ok_or_else(|| fault(format!("the variables of `{host}` must be an object")))?;
        // Variables of a host that is in no group do not make it one.
        if let Some(known) = draft.hosts.get_mut(host) {
            known.extend(vars.clone());
        }
    }
    Ok(())
}

fn words<'a>(parts: &'a Map<String, Value>, section: &str) -> Result<Vec<&'a str>, String> {
    let items = match parts.get(section) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("`{section}` must be a list")),
    };
    items.iter().map(|item| item.as_str().ok_or_else(|| format!("`{section}` must be a list of names"))).collect()
}
