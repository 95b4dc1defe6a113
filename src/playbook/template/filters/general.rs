//! Filters of the collection community.general.

mod json_query;
mod time;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use super::lists;
use super::maps;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::python_regex;
use crate::playbook::template::random::Random;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;
use crate::playbook::template::version;

pub(super) const FILTERS: Table = &[
    ("counter", counter),
    ("dict", dict),
    ("dict_kv", |_, value, arguments| Ok(value::map([(arguments.required(0, "key")?, value.clone())]))),
    ("groupby_as_dict", groupby_as_dict),
    ("json_query", json_query::json_query),
    ("keep_keys", |_, value, arguments| filter_keys(value, arguments, true)),
    ("lists_difference", |_, value, arguments| with_lists(value, arguments, difference)),
    ("lists_intersect", |_, value, arguments| with_lists(value, arguments, intersection)),
    ("lists_mergeby", lists_mergeby),
    ("lists_symmetric_difference", |_, value, arguments| with_lists(value, arguments, symmetric_difference)),
    ("lists_union", |_, value, arguments| with_lists(value, arguments, |one, other| [one, other].concat())),
    ("random_mac", random_mac),
    ("remove_keys", |_, value, arguments| filter_keys(value, arguments, false)),
    ("to_days", |_, value, arguments| time::to_unit(value, "d", arguments)),
    ("to_hours", |_, value, arguments| time::to_unit(value, "h", arguments)),
    ("to_milliseconds", |_, value, arguments| time::to_unit(value, "ms", arguments)),
    ("to_minutes", |_, value, arguments| time::to_unit(value, "m", arguments)),
    ("to_months", |_, value, arguments| time::to_unit(value, "mo", arguments)),
    ("to_seconds", |_, value, arguments| time::to_unit(value, "s", arguments)),
    ("to_time_unit", |_, value, arguments| time::to_unit(value, &arguments.text(0, "unit", "ms"), arguments)),
    ("to_weeks", |_, value, arguments| time::to_unit(value, "w", arguments)),
    ("to_years", |_, value, arguments| time::to_unit(value, "y", arguments)),
    ("version_sort", version_sort),
];

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// Counts how often each item or letter occurs.
fn counter(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let items = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None if is_list(value) => value::items(value)?,
        None => return Err(wrong(format!("`counter` expects a list or a text, not {}", describe(value)))),
    };
    let mut counts = indexmap::IndexMap::<Value, u64>::new();
    for item in items {
        if is_list(&item) || item.kind() == ValueKind::Map {
            return Err(wrong(format!("`counter` cannot count {}", describe(&item))));
        }
        *counts.entry(item).or_default() += 1;
    }
    Ok(value::map(counts.into_iter().map(|(item, count)| (item, count.into()))))
}

/// Makes a map of pairs.
fn dict(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    let pair = |pair: &Value| match <[Value; 2]>::try_from(value::items(pair)?) {
        Ok([key, value]) => Ok((key, value)),
        Err(_) => Err(wrong(format!("`dict` expects pairs, not {}", describe(pair)))),
    };
    Ok(value::map(value::items(value)?.iter().map(pair).collect::<Result<Vec<_>, Error>>()?))
}

/// Makes a map of maps, by the value that each has for a key.
fn groupby_as_dict(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let key = arguments.required(0, "attribute")?;
    let mut groups = indexmap::IndexMap::new();
    for item in value::items(value)? {
        let group = if item.kind() == ValueKind::Map { item.get_item(&key)? } else { Value::UNDEFINED };
        if group.is_undefined() {
            return Err(wrong(format!("an item has no {}", describe(&key))));
        }
        if groups.insert(group.clone(), item).is_some() {
            return Err(wrong(format!("two items have the value {}", describe(&group))));
        }
    }
    Ok(value::map(groups))
}

/// Keeps or removes some keys of the maps in a list.
fn filter_keys(value: &Value, arguments: &Arguments, keeps: bool) -> Result<Value, Error> {
    let target = arguments.required(0, "target")?;
    let targets: Vec<String> = match target.as_str() {
        Some(target) => vec![target.to_owned()],
        None => value::items(&target)?.iter().map(text).collect(),
    };
    if targets.iter().all(String::is_empty) {
        return Err(wrong("`target` is empty"));
    }
    let matching = arguments.text(1, "matching_parameter", "equal");
    let pattern = match (matching.as_str(), targets.as_slice()) {
        ("regex", [target]) => {
            // Python's `match` finds it only at the beginning.
            let pattern = format!("^(?:{target})");
            Some(python_regex::compile(&pattern, python_regex::Flags::default()).map_err(wrong)?)
        }
        ("regex", _) => return Err(wrong("only one `target` can be a regular expression")),
        ("equal" | "starts_with" | "ends_with", _) => None,
        _ => return Err(wrong(format!("there is no `matching_parameter` {matching}"))),
    };
    let is_match = |key: &str| match (&pattern, matching.as_str()) {
        (Some(pattern), _) => Ok(pattern.find(key, 0).map_err(wrong)?.is_some()),
        (_, "starts_with") => Ok::<_, Error>(targets.iter().any(|target| key.starts_with(target.as_str()))),
        (_, "ends_with") => Ok(targets.iter().any(|target| key.ends_with(target.as_str()))),
        _ => Ok(targets.iter().any(|target| target == key)),
    };
    let filter = |item: Value| {
        let mut kept = Vec::new();
        for (key, value) in value::entries(&item)? {
            let name = key.as_str().ok_or_else(|| wrong(format!("expected a text as key, not {}", describe(&key))))?;
            if is_match(name)? == keeps {
                kept.push((key, value));
            }
        }
        Ok(value::map(kept))
    };
    Ok(value::list(value::items(value)?.into_iter().map(filter).collect::<Result<_, Error>>()?))
}

/// Returns the lists that a filter gets. A list of lists is as many lists.
fn flattened(given: &[Value]) -> Result<Vec<Value>, Error> {
    let mut flat = Vec::new();
    for list in given {
        if !is_list(list) {
            return Err(wrong(format!("all arguments must be lists, not {}", describe(list))));
        }
        let items = value::items(list)?;
        match items.as_slice() {
            [] => {}
            items if items.iter().all(is_list) => flat.extend(items.iter().cloned()),
            _ => flat.push(list.clone()),
        }
    }
    Ok(flat)
}

/// Combines the lists that a filter gets, the first two first.
fn with_lists(
    value: &Value,
    arguments: &Arguments,
    combine: fn(&[Value], &[Value]) -> Vec<Value>,
) -> Result<Value, Error> {
    let mut given = [std::slice::from_ref(value), arguments.positional()].concat();
    if arguments.by_name("flatten").is_some_and(|flag| flag.is_true()) {
        given = flattened(&given)?;
    }
    let mut given = given.into_iter();
    let Some(first) = given.next() else { return Ok(value::list(Vec::new())) };
    if given.len() == 0 {
        return Ok(first);
    }
    let mut all = value::items(&first)?;
    for list in given {
        all = lists::unique(combine(&lists::unique(all), &value::items(&list)?));
    }
    Ok(value::list(all))
}

fn difference(one: &[Value], other: &[Value]) -> Vec<Value> {
    one.iter().filter(|item| !other.contains(item)).cloned().collect()
}

fn intersection(one: &[Value], other: &[Value]) -> Vec<Value> {
    one.iter().filter(|item| other.contains(item)).cloned().collect()
}

fn symmetric_difference(one: &[Value], other: &[Value]) -> Vec<Value> {
    difference(&[one, other].concat(), &intersection(one, other))
}

/// Merges the maps of lists that have the same value for a key. Later lists override earlier ones.
fn lists_mergeby(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let Some((key, others)) = arguments.positional().split_last() else {
        return Err(wrong("At least one list and index are needed."));
    };
    let given = flattened(&[std::slice::from_ref(value), others].concat())?;
    match given.as_slice() {
        [] => return Ok(value::list(Vec::new())),
        [only] => return Ok(only.clone()),
        _ if key.as_str().is_none() => return Err(wrong(format!("the index must be a text, not {}", describe(key)))),
        _ => {}
    }
    let recursive = arguments.by_name("recursive").is_some_and(|flag| flag.is_true());
    let merge = arguments.by_name("list_merge").map_or_else(|| "replace".to_owned(), |merge| text(&merge));
    let mut lists = given.iter().rev().map(value::items);
    let mut result = lists.next().unwrap_or_else(|| Ok(Vec::new()))?;
    for list in lists {
        let mut merged = indexmap::IndexMap::new();
        for item in [list?, result].concat() {
            if item.kind() != ValueKind::Map {
                return Err(wrong(format!("`lists_mergeby` expects maps, not {}", describe(&item))));
            }
            let name = item.get_item(key)?;
            if !name.is_undefined() {
                let old = merged.entry(name).or_insert_with(|| value::map([]));
                *old = maps::merged(old, &item, recursive, &merge)?;
            }
        }
        merged.sort_keys();
        result = merged.into_values().collect();
    }
    Ok(value::list(result))
}

/// Completes the beginning of an address of a network card by chance.
fn random_mac(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let prefix = value.as_str().ok_or_else(|| wrong(format!("expected a text, not {}", describe(value))))?;
    let prefix = prefix.to_lowercase();
    let parts: Vec<&str> = prefix.split(':').collect();
    let is_byte = |part: &&str| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit());
    if parts.len() > 5 || !parts.iter().all(is_byte) {
        return Err(wrong(format!(
            "invalid value `{prefix}` for random_mac: expected at most 5 bytes, such as `52:54:00`"
        )));
    }
    let seed = arguments.get(0, "seed").filter(|seed| !seed.is_none());
    let mut random = Random::new(seed.as_ref());
    let rest = (parts.len()..6).map(|_| format!(":{:02x}", random.below(256)));
    Ok(Value::from(format!("{prefix}{}", rest.collect::<String>())))
}

/// Sorts versions: 2.9 is before 2.10.
fn version_sort(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut items = value::items(value)?;
    let mut fault = None;
    items.sort_by(|one, other| {
        version::compare(&text(one), &text(other), "loose").unwrap_or_else(|why| {
            fault.get_or_insert(why);
            std::cmp::Ordering::Equal
        })
    });
    if arguments.flag(0, "reverse", false) {
        items.reverse();
    }
    fault.map_or_else(|| Ok(value::list(items)), |why| Err(wrong(why)))
}
