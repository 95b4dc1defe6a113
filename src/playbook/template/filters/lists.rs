//! Filters for lists.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::random::Random;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("batch", batch),
    ("combinations", combinations),
    ("difference", difference),
    ("flatten", flatten),
    ("intersect", intersect),
    ("list", list),
    ("permutations", permutations),
    ("product", product),
    ("random", random),
    ("shuffle", shuffle),
    ("slice", slice),
    ("subelements", subelements_filter),
    ("symmetric_difference", symmetric_difference),
    ("union", union),
    ("zip", zip),
    ("zip_longest", zip_longest),
];

/// The most items of a list that a filter makes.
const ITEMS: usize = 100_000;

/// How deep lists are flattened.
const DEPTH: i64 = 100;

fn made(items: Vec<Value>) -> Result<Value, Error> {
    if items.len() > ITEMS { Err(too_many()) } else { Ok(value::list(items)) }
}

fn too_many() -> Error {
    wrong(format!("the list would have more than {ITEMS} items"))
}

fn list(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    if value.is_none() {
        return Err(wrong("`list` needs a list, a map or a text"));
    }
    value::items(value).map(value::list)
}

fn batch(state: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (count, fill) = groups(arguments, "linecount")?;
    minijinja::filters::batch(state, value.clone(), count, fill)
}

fn slice(state: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (count, fill) = groups(arguments, "slices")?;
    minijinja::filters::slice(state, value.clone(), count, fill)
}

/// Returns how many groups or items of a group there are, and what fills the last one.
fn groups(arguments: &Arguments, name: &str) -> Result<(usize, Option<Value>), Error> {
    let count = usize::try_from(arguments.integer(0, name, 0)?).ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| wrong(format!("`{name}` must be at least 1")))?;
    Ok((count, arguments.get(1, "fill_with").filter(|fill| !fill.is_none())))
}

pub(super) fn unique(items: Vec<Value>) -> Vec<Value> {
    items.into_iter().collect::<indexmap::IndexSet<Value>>().into_iter().collect()
}

fn other(arguments: &Arguments) -> Result<Vec<Value>, Error> {
    value::items(&arguments.required(0, "list")?)
}

fn union(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    made(unique([value::items(value)?, other(arguments)?].concat()))
}

fn difference(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let other: indexmap::IndexSet<Value> = other(arguments)?.into_iter().collect();
    made(unique(value::items(value)?.into_iter().filter(|item| !other.contains(item)).collect()))
}

fn intersect(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let other: indexmap::IndexSet<Value> = other(arguments)?.into_iter().collect();
    made(unique(value::items(value)?.into_iter().filter(|item| other.contains(item)).collect()))
}

fn symmetric_difference(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (one, two) = (unique(value::items(value)?), unique(other(arguments)?));
    let only = |list: &[Value], other: &[Value]| {
        let other: indexmap::IndexSet<&Value> = other.iter().collect();
        list.iter().filter(|item| !other.contains(item)).cloned().collect::<Vec<_>>()
    };
    made([only(&one, &two), only(&two, &one)].concat())
}

fn flatten(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let levels = if arguments.get(0, "levels").is_none_or(|levels| levels.is_none()) {
        DEPTH
    } else {
        arguments.integer(0, "levels", DEPTH)?.min(DEPTH)
    };
    let skips = arguments.flag(1, "skip_nulls", true);
    let mut flat = Vec::new();
    flatten_into(value, levels, skips, &mut flat)?;
    made(flat)
}

fn flatten_into(value: &Value, levels: i64, skips: bool, flat: &mut Vec<Value>) -> Result<(), Error> {
    for item in value::items(value)? {
        let is_nothing = item.is_none() || matches!(item.as_str(), Some("None" | "null"));
        if skips && is_nothing {
            continue;
        }
        if item.kind() == ValueKind::Seq && levels > 0 {
            flatten_into(&item, levels - 1, skips, flat)?;
        } else {
            flat.push(item);
        }
        if flat.len() > ITEMS {
            return Err(too_many());
        }
    }
    Ok(())
}

/// Returns the lists of the filter: the value and the arguments without names.
fn lists(value: &Value, arguments: &Arguments) -> Result<Vec<Vec<Value>>, Error> {
    [value].into_iter().chain(arguments.positional()).map(value::items).collect()
}

fn zip(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let lists = lists(value, arguments)?;
    let shortest = lists.iter().map(Vec::len).min().unwrap_or_default();
    made(rows(&lists, shortest, &Value::from(())))
}

fn zip_longest(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let lists = lists(value, arguments)?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    made(rows(&lists, longest, &arguments.by_name("fillvalue").unwrap_or_else(|| Value::from(()))))
}

fn rows(lists: &[Vec<Value>], count: usize, missing: &Value) -> Vec<Value> {
    let row = |at: usize| value::tuple(lists.iter().map(|list| list.get(at).unwrap_or(missing).clone()).collect());
    (0..count).map(row).collect()
}

fn product(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in lists(value, arguments)? {
        if rows.len().saturating_mul(list.len()) > ITEMS {
            return Err(too_many());
        }
        let extend = |row: &Vec<Value>| {
            list.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()).collect::<Vec<_>>()
        };
        rows = rows.iter().flat_map(extend).collect();
    }
    made(rows.into_iter().map(value::tuple).collect())
}

fn permutations(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    choose(value, arguments, |row, index| !row.contains(&index))
}

fn combinations(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    choose(value, arguments, |row, index| row.last().is_none_or(|last| *last < index))
}

/// Returns all choices of so many items, of which `may_follow` allows each after those before it.
fn choose(value: &Value, arguments: &Arguments, may_follow: fn(&[usize], usize) -> bool) -> Result<Value, Error> {
    let items = value::items(value)?;
    let all = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let count = usize::try_from(arguments.integer(0, "r", all)?).map_err(|_| wrong("`r` must not be negative"))?;
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..count.min(items.len() + 1) {
        let mut longer = Vec::new();
        for row in &rows {
            longer.extend(
                (0..items.len())
                    .filter(|index| may_follow(row, *index))
                    .map(|index| [row.as_slice(), &[index]].concat()),
            );
            if longer.len() > ITEMS {
                return Err(too_many());
            }
        }
        rows = longer;
    }
    let pick = |row: &Vec<usize>| value::tuple(row.iter().filter_map(|index| items.get(*index).cloned()).collect());
    made(rows.iter().map(pick).collect())
}

fn random(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut random = Random::new(arguments.by_name("seed").as_ref());
    if let Some(end) = value.as_i64() {
        let (start, step) = (arguments.integer(0, "start", 0)?, arguments.integer(1, "step", 1)?);
        let count = (i128::from(end) - i128::from(start) + i128::from(step) - 1) / i128::from(step.max(1));
        let count = u64::try_from(count).ok().filter(|count| *count > 0 && step > 0);
        let count = count.ok_or_else(|| wrong("the range of `random` is empty"))?;
        return Ok(Value::from(i128::from(start) + i128::from(random.below(count)) * i128::from(step)));
    }
    let items = list_of(value)?;
    let index = usize::try_from(random.below(items.len() as u64)).unwrap_or_default();
    items.get(index).cloned().ok_or_else(|| wrong("`random` of an empty list"))
}

fn list_of(value: &Value) -> Result<Vec<Value>, Error> {
    value.as_str().map_or_else(|| value::items(value), |text| Ok(text.chars().map(Value::from).collect()))
}

fn shuffle(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut items = list_of(value)?;
    let mut random = Random::new(arguments.by_name("seed").as_ref());
    for last in (1..items.len()).rev() {
        items.swap(last, usize::try_from(random.below(last as u64 + 1)).unwrap_or_default());
    }
    Ok(value::list(items))
}

fn subelements_filter(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    subelements(value, &arguments.required(0, "subelements")?, arguments.flag(1, "skip_missing", false))
}

/// Pairs each map of a list with each item of a list in it.
pub(in crate::playbook::template) fn subelements(value: &Value, keys: &Value, skips: bool) -> Result<Value, Error> {
    let parents = match value.kind() {
        ValueKind::Map => value::entries(value)?.into_iter().map(|(_, value)| value).collect(),
        _ => value::items(value)?,
    };
    let keys: Vec<Value> = match keys.as_str() {
        Some(path) => path.split('.').map(Value::from).collect(),
        None => value::items(keys)?,
    };
    let mut pairs = Vec::new();
    for parent in parents {
        let mut inner = parent.clone();
        for key in &keys {
            inner = if inner.kind() == ValueKind::Map { inner.get_item(key)? } else { Value::UNDEFINED };
        }
        if inner.is_undefined() {
            if skips {
                continue;
            }
            return Err(wrong(format!(
                "an item has no list `{}`",
                keys.iter().map(value::text).collect::<Vec<_>>().join(".")
            )));
        }
        if inner.kind() != ValueKind::Seq {
            return Err(wrong(format!("expected a list of sub-elements, not {}", describe(&inner))));
        }
        pairs.extend(value::items(&inner)?.into_iter().map(|item| value::tuple(vec![parent.clone(), item])));
    }
    made(pairs)
}
