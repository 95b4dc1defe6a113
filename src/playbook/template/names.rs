//! The names of filters, tests, methods and lookups in a template: unknown ones are found before anything runs.

use super::checks;
use super::filters;
use super::lookups;
use super::method_names;
use super::source::Name;
use crate::inventory::diagnostic::did_you_mean;

/// Reports the first unknown name. `has_own` says that the template has values with methods of its own, such as an
/// imported template.
pub(super) fn check(names: &[Name], has_own: bool) -> Result<(), String> {
    names.iter().try_for_each(|name| match name {
        Name::Filter(name) if filters::is_known(name) => Ok(()),
        Name::Filter(name) => {
            let names: Vec<String> = filters::names().collect();
            known("filter", name, &names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Name::Test(name) if checks::is_known(name) => Ok(()),
        Name::Test(name) => known("test", name, &checks::names().collect::<Vec<_>>()),
        Name::Method(_) if has_own => Ok(()),
        Name::Method(name) => known("method", name, &method_names::names().collect::<Vec<_>>()),
        Name::Lookup(name) => known("lookup", lookups::short(name), &lookups::names().collect::<Vec<_>>()),
    })
}

fn known(kind: &str, name: &str, all: &[&str]) -> Result<(), String> {
    if all.contains(&name) || name.is_empty() {
        return Ok(());
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    // The name is right, and its collection is wrong or missing.
    let same = all.iter().find(|known| known.rsplit('.').next() == Some(last));
    let hint = same.map(|same| format!("Did you mean `{same}`?")).or_else(|| did_you_mean(last, all.iter().copied()));
    Err(format!("muster has no {kind} `{name}`{}", hint.map_or_else(String::new, |hint| format!(". {hint}"))))
}

/// Returns the message about a lookup that muster lacks.
pub(super) fn unknown_lookup(name: &str) -> String {
    known("lookup", name, &lookups::names().collect::<Vec<_>>()).err().unwrap_or_default()
}
