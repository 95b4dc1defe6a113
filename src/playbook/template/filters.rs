//! Ansible's filters, and those of Jinja2 that the engine lacks or has otherwise.

mod data;
mod dates;
mod encodings;
mod json;
mod lists;
mod maps;
mod numbers;
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

const TABLES: [Table; 11] = [
    data::FILTERS,
    dates::FILTERS,
    encodings::FILTERS,
    json::FILTERS,
    lists::FILTERS,
    maps::FILTERS,
    numbers::FILTERS,
    paths::FILTERS,
    patterns::FILTERS,
    text::FILTERS,
    vault::FILTERS,
];

/// Filters that take an undefined value.
const OF_UNDEFINED: [&str; 4] = ["d", "default", "mandatory", "type_debug"];

/// The engine's own filters that playbooks use.
const OF_ENGINE: [&str; 36] = [
    "abs",
    "attr",
    "batch",
    "capitalize",
    "count",
    "first",
    "float",
    "format",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sum",
    "title",
    "trim",
    "upper",
    "bool",
    "unique",
    "chain",
];

/// Returns the names of all filters.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.into_iter().flatten().map(|(name, _)| *name).chain(OF_ENGINE)
}

/// Adds the filters to the engine.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, filter) in TABLES.into_iter().flatten() {
        // `map` and `select` take names as text, with and without the collection.
        for full in [(*name).to_owned(), format!("ansible.builtin.{name}")] {
            environment.add_filter(full, move |state: &State<'_, '_>, value: Value, rest: Rest<ValueOrKwargs>| {
                if value.is_undefined() && !OF_UNDEFINED.contains(name) {
                    return Err(Error::from(ErrorKind::UndefinedError));
                }
                filter(state, &value, &Arguments::new(&rest.into_values()))
            });
        }
    }
}
