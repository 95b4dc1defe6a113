//! Filters for maps.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("combine", combine),
    ("dictsort", dictsort),
    ("dict2items", |_, map, arguments| dict2items(map, arguments)),
    ("items2dict", items2dict),
    ("rekey_on_member", rekey_on_member),
];

/// How deep maps are combined.
const DEPTH: usize = 100;

/// How the lists of two maps are merged.
struct Merge {
    recursive: bool,
    lists: String,
}

/// Returns a list with an entry for each key and value.
pub(in crate::playbook::template) fn dict2items(map: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (key_name, value_name) = (arguments.text(0, "key_name", "key"), arguments.text(1, "value_name", "value"));
    let item =
        |(key, value)| value::map([(Value::from(key_name.as_str()), key), (Value::from(value_name.as_str()), value)]);
    Ok(value::list(value::entries(map)?.into_iter().map(item).collect()))
}

/// Sorts with the engine, which takes arguments only by name.
fn dictsort(_: &State<'_, '_>, map: &Value, arguments: &Arguments) -> Result<Value, Error> {
    minijinja::filters::dictsort(map, arguments.by_names(&["case_sensitive", "by", "reverse"]))
}

fn items2dict(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (key_name, value_name) = (arguments.text(0, "key_name", "key"), arguments.text(1, "value_name", "value"));
    let field = |item: &Value, name: &str| {
        let value = item.get_attr(name).unwrap_or_default();
        if value.is_undefined() { Err(wrong(format!("an item has no `{name}`"))) } else { Ok(value) }
    };
    let pairs = value::items(list)?.into_iter().map(|item| Ok((field(&item, &key_name)?, field(&item, &value_name)?)));
    Ok(value::map(pairs.collect::<Result<Vec<_>, Error>>()?))
}

fn combine(_: &State<'_, '_>, first: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let merge = Merge {
        recursive: arguments.by_name("recursive").is_some_and(|flag| flag.is_true()),
        lists: arguments.by_name("list_merge").map_or_else(|| "replace".to_owned(), |kind| value::text(&kind)),
    };
    let mut maps = Vec::new();
    for map in [first].into_iter().chain(arguments.positional()) {
        match map.kind() {
            ValueKind::Seq | ValueKind::Iterable => maps.extend(value::items(map)?),
            _ => maps.push(map.clone()),
        }
    }
    if let Some(other) = maps.iter().find(|map| map.kind() != ValueKind::Map) {
        return Err(wrong(format!("`combine` expects maps, not {}", describe(other))));
    }
    maps.iter().try_fold(value::map([]), |low, high| merge.maps(&low, high, 0))
}

/// Combines two maps. `lists` says how lists in both are merged.
pub(super) fn merged(low: &Value, high: &Value, recursive: bool, lists: &str) -> Result<Value, Error> {
    Merge { recursive, lists: lists.to_owned() }.maps(low, high, 0)
}

impl Merge {
    fn maps(&self, low: &Value, high: &Value, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH {
            return Err(wrong("the maps nest too deep to be combined"));
        }
        let mut merged: indexmap::IndexMap<Value, Value> = value::entries(low)?.into_iter().collect();
        for (key, value) in value::entries(high)? {
            let value = match merged.get(&key) {
                Some(known) if self.recursive && known.kind() == ValueKind::Map && value.kind() == ValueKind::Map => {
                    self.maps(known, &value, depth + 1)?
                }
                Some(known) if known.kind() == ValueKind::Seq && value.kind() == ValueKind::Seq => {
                    self.lists(known, value)?
                }
                _ => value,
            };
            merged.insert(key, value);
        }
        Ok(value::map(merged))
    }

    fn lists(&self, low: &Value, high: Value) -> Result<Value, Error> {
        let (low, new) = (value::items(low)?, value::items(&high)?);
        let without = |list: &[Value], other: &[Value]| {
            list.iter().filter(|item| !other.contains(item)).cloned().collect::<Vec<_>>()
        };
        let list = match self.lists.as_str() {
            "replace" => return Ok(high),
            "keep" => low,
            "append" => [low, new].concat(),
            "prepend" => [new, low].concat(),
            "append_rp" => [without(&low, &new), new].concat(),
            "prepend_rp" => [new.clone(), without(&low, &new)].concat(),
            other => return Err(wrong(format!("there is no `list_merge` {other}"))),
        };
        Ok(value::list(list))
    }
}

fn rekey_on_member(_: &State<'_, '_>, data: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let key = arguments.required(0, "key")?;
    let overwrites = arguments.text(1, "duplicates", "error") == "overwrite";
    let items = match data.kind() {
        ValueKind::Map => value::entries(data)?.into_iter().map(|(_, value)| value).collect(),
        _ => value::items(data)?,
    };
    let mut keyed = indexmap::IndexMap::new();
    for item in items {
        if item.kind() != ValueKind::Map {
            return Err(wrong(format!("`rekey_on_member` expects maps, not {}", describe(&item))));
        }
        let name = item.get_item(&key)?;
        if name.is_undefined() {
            return Err(wrong(format!("an item has no {}", describe(&key))));
        }
        if keyed.insert(name.clone(), item).is_some() && !overwrites {
            return Err(wrong(format!("two items have the key {}", describe(&name))));
        }
    }
    Ok(value::map(keyed))
}
