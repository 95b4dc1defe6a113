//! Ansible's filters, and those of Jinja2 that the engine lacks or has otherwise.

mod apply;
mod data;
mod dates;
mod debops;
mod encodings;
mod general;
mod html;
mod ip;
mod json;
mod lists;
mod maps;
mod numbers;
mod order;
mod password_hash;
mod path_patterns;
mod paths;
mod patterns;
mod text;
mod vault;
mod wrap;
mod yaml;

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Rest;
use minijinja::value::ValueOrKwargs;

use super::arguments::Arguments;
pub(super) use dates::now;
pub(super) use json::Style as JsonStyle;
pub(super) use lists::subelements;
pub(super) use maps::dict2items;
pub(super) use paths::split as split_path;
pub(super) use patterns::compiled as compiled_pattern;
pub(super) use patterns::flags as pattern_flags;

type Filter = fn(&State<'_, '_>, &Value, &Arguments) -> Result<Value, Error>;

/// Filters with their names.
type Table = &'static [(&'static str, Filter)];

/// Filters of a collection.
struct Collection {
    /// The names of the collection, the present one first.
    names: &'static [&'static str],
    /// Reports whether a filter may be named without the collection.
    is_short: fn(&str) -> bool,
    tables: &'static [Table],
}

const COLLECTIONS: [Collection; 4] = [
    Collection {
        names: &["ansible.builtin", "ansible.legacy"],
        is_short: |_| true,
        tables: &[
            data::FILTERS,
            dates::FILTERS,
            encodings::FILTERS,
            html::FILTERS,
            json::FILTERS,
            lists::FILTERS,
            maps::FILTERS,
            numbers::FILTERS,
            order::FILTERS,
            password_hash::FILTERS,
            path_patterns::FILTERS,
            paths::FILTERS,
            patterns::FILTERS,
            text::FILTERS,
            vault::FILTERS,
        ],
    },
    // Before the collections, these filters had no other name.
    Collection { names: &["ansible.utils", "ansible.netcommon"], is_short: |_| true, tables: &[ip::FILTERS] },
    Collection {
        names: &["community.general"],
        is_short: |name| matches!(name, "json_query" | "random_mac"),
        tables: &[general::FILTERS],
    },
    Collection { names: &["debops.debops"], is_short: |_| false, tables: &[debops::FILTERS] },
];

/// Filters that take an undefined value.
const OF_UNDEFINED: [&str; 4] = ["d", "default", "mandatory", "type_debug"];

/// The engine's own filters that playbooks use.
const OF_ENGINE: [&str; 17] = [
    "capitalize",
    "count",
    "first",
    "float",
    "int",
    "items",
    "last",
    "length",
    "list",
    "lower",
    "pprint",
    "reverse",
    "round",
    "safe",
    "title",
    "upper",
    "bool",
];

/// Returns the names of the filters that no collection has.
fn own_or_of_engine() -> impl Iterator<Item = &'static str> {
    OF_ENGINE.into_iter().chain(apply::FILTERS.map(|(name, _)| name))
}

/// Returns the names of all filters: those without a collection, and the first full name of each other one.
pub(super) fn names() -> impl Iterator<Item = String> {
    let named = |collection: &'static Collection| {
        let name = |name: &str| match collection.names.first() {
            Some(full) if !(collection.is_short)(name) => format!("{full}.{name}"),
            _ => name.to_owned(),
        };
        collection.tables.iter().copied().flatten().map(move |(short, _)| name(short))
    };
    COLLECTIONS.iter().flat_map(named).chain(own_or_of_engine().map(str::to_owned))
}

/// Reports whether there is a filter with a name, which may begin with its collection.
pub(super) fn is_known(name: &str) -> bool {
    let Some((collection, short)) = name.rsplit_once('.') else { return names().any(|known| known == name) };
    let mut collections = COLLECTIONS.iter().filter(|known| known.names.contains(&collection));
    collections.any(|known| known.tables.iter().copied().flatten().any(|(known, _)| *known == short))
}

/// Adds the filters to the engine.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, apply) in apply::FILTERS {
        environment.add_filter(name, move |state: &mut State<'_, '_>, value: Value, given: Rest<ValueOrKwargs>| {
            apply(state, &value, &given.into_values())
        });
    }
    for collection in &COLLECTIONS {
        for (name, filter) in collection.tables.iter().copied().flatten() {
            // `map` and `select` take names as text, with and without the collection.
            let short = (collection.is_short)(name).then(|| (*name).to_owned());
            for full in short.into_iter().chain(collection.names.iter().map(|names| format!("{names}.{name}"))) {
                environment.add_filter(full, move |state: &State<'_, '_>, value: Value, rest: Rest<ValueOrKwargs>| {
                    if value.is_undefined() && !OF_UNDEFINED.contains(name) {
                        return Err(Error::from(ErrorKind::UndefinedError));
                    }
                    filter(state, &value, &Arguments::new(&rest.into_values()))
                });
            }
        }
    }
}
