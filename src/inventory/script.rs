//! Inventory scripts: programs that print one JSON object when run with `--list`. A file may hold such an object too.

use std::path::Path;

use indexmap::IndexSet;
use serde_json::Map;
use serde_json::Value;

use super::builder::InventoryBuilder;
use super::diagnostic::Diagnostic;
use super::diagnostic::Position;

/// Adds the output of a script with `--list` to the builder. Returns the hosts whose variables it does not have: without
/// `_meta`, the script prints them with `--host`.
pub(super) fn read(file: &Path, printed: &str, builder: &mut InventoryBuilder) -> Result<Vec<String>, Diagnostic> {
    let error = |what: String| Diagnostic::new(file, Position::default(), what);
    let printed: Map<String, Value> = serde_json::from_str(printed)
        .map_err(|cause| error(format!("the output of `--list` is not a JSON object: {cause}")))?;
    let mut hosts = IndexSet::new();
    for (name, group) in &printed {
        if name == "_meta" {
            continue;
        }
        let parts = match group {
            Value::Array(_) => Map::from_iter([("hosts".to_owned(), group.clone())]),
            Value::Object(parts) => parts.clone(),
            _ => return Err(error(format!("group `{name}` must be an object or a list of hosts"))),
        };
        builder.add_group(name);
        for host in names(&parts, "hosts").map_err(|what| error(format!("group `{name}`: {what}")))? {
            builder.add_host(name, host);
            hosts.insert(host.to_owned());
        }
        for child in names(&parts, "children").map_err(|what| error(format!("group `{name}`: {what}")))? {
            builder.add_child(name, child).map_err(error)?;
        }
        for (key, value) in parts.get("vars").and_then(Value::as_object).into_iter().flatten() {
            builder.set_variable(name, key, value.clone()).map_err(error)?;
        }
    }
    let Some(meta) = printed.get("_meta") else { return Ok(hosts.into_iter().collect()) };
    for (host, vars) in meta.get("hostvars").and_then(Value::as_object).into_iter().flatten() {
        let vars = vars.as_object().ok_or_else(|| error(format!("the variables of `{host}` must be an object")))?;
        // A host that is only in `_meta` is not added.
        if let Some(known) = builder.hosts.get_mut(host) {
            known.extend(vars.clone());
        }
    }
    Ok(Vec::new())
}

/// Adds the output of a script with `--host` to the builder. No output means no variables.
pub(super) fn read_host(
    file: &Path,
    host: &str,
    printed: &str,
    builder: &mut InventoryBuilder,
) -> Result<(), Diagnostic> {
    if printed.trim().is_empty() {
        return Ok(());
    }
    let vars: Map<String, Value> = serde_json::from_str(printed).map_err(|cause| {
        let what = format!("the output of `--host {host}` is not a JSON object: {cause}");
        Diagnostic::new(file, Position::default(), what)
    })?;
    builder.hosts.entry(host.to_owned()).or_default().extend(vars);
    Ok(())
}

/// Reports whether a text is the output of a script, or of `ansible-inventory --list`.
pub(super) fn is_listing(text: &str) -> bool {
    text.trim_start().starts_with('{')
        && serde_json::from_str::<Map<String, Value>>(text).is_ok_and(|listing| listing.contains_key("_meta"))
}

fn names<'a>(parts: &'a Map<String, Value>, section: &str) -> Result<Vec<&'a str>, String> {
    let items = match parts.get(section) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("`{section}` must be a list")),
    };
    items.iter().map(|item| item.as_str().ok_or_else(|| format!("`{section}` must be a list of names"))).collect()
}
