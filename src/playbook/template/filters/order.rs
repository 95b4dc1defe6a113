//! Filters that sort, choose or group the items of a list, by one of their attributes if one is given.

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::attributes;
use crate::playbook::template::comparison;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("groupby", groupby),
    ("join", join),
    ("max", |_, list, arguments| extreme(list, arguments, true)),
    ("min", |_, list, arguments| extreme(list, arguments, false)),
    ("sort", sort),
    ("sum", sum),
    ("unique", unique),
];

/// Returns the items of a list with their keys: an attribute, or the item itself. Text has no case unless it counts.
fn keyed(list: &Value, attribute: Option<&Value>, case_sensitive: bool) -> Result<Vec<(Value, Value)>, Error> {
    let folded = |key: Value| match key.as_str() {
        Some(text) if !case_sensitive => Value::from(text.to_lowercase()),
        _ => key,
    };
    let keyed =
        |item: Value| Ok((folded(attribute.map_or_else(|| Ok(item.clone()), |path| found(&item, path))?), item));
    value::items(list)?.into_iter().map(keyed).collect()
}

/// Returns an attribute of an item, which must have it.
fn found(item: &Value, path: &Value) -> Result<Value, Error> {
    let found = attributes::at_path(item, path)?;
    if found.is_undefined() {
        return Err(Error::new(ErrorKind::UndefinedError, format!("an item has no `{}`", text(path))));
    }
    Ok(found)
}

fn attribute(arguments: &Arguments, position: usize) -> Option<Value> {
    arguments.get(position, "attribute").filter(|attribute| !attribute.is_none())
}

/// Sorts by one attribute after the other: `age,name`.
fn sort(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let case_sensitive = arguments.flag(1, "case_sensitive", false);
    let paths: Vec<Value> = match attribute(arguments, 2) {
        None => Vec::new(),
        Some(paths) if paths.as_str().is_some() => text(&paths).split(',').map(|path| path.trim().into()).collect(),
        Some(path) => vec![path],
    };
    let mut items = keyed(list, paths.last(), case_sensitive)?;
    let reverse = arguments.flag(0, "reverse", false);
    let sorted = |items: &mut Vec<(Value, Value)>| {
        // Equal items keep their order also in a reversed list.
        if reverse {
            items.reverse();
        }
        comparison::sort(items)?;
        if reverse {
            items.reverse();
        }
        Ok::<(), Error>(())
    };
    sorted(&mut items)?;
    for path in paths.iter().rev().skip(1) {
        items = keyed(&value::list(items.into_iter().map(|(_, item)| item).collect()), Some(path), case_sensitive)?;
        sorted(&mut items)?;
    }
    Ok(value::list(items.into_iter().map(|(_, item)| item).collect()))
}

/// Returns the first of the largest or smallest items.
fn extreme(list: &Value, arguments: &Arguments, largest: bool) -> Result<Value, Error> {
    let items = keyed(list, attribute(arguments, 1).as_ref(), arguments.flag(0, "case_sensitive", false))?;
    let mut extreme: Option<(Value, Value)> = None;
    for (key, item) in items {
        let exceeds = match &extreme {
            None => true,
            Some((known, _)) if largest => comparison::compare(&key, known)?.is_gt(),
            Some((known, _)) => comparison::compare(&key, known)?.is_lt(),
        };
        if exceeds {
            extreme = Some((key, item));
        }
    }
    Ok(extreme.map_or(Value::UNDEFINED, |(_, item)| item))
}

fn unique(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let items = keyed(list, attribute(arguments, 1).as_ref(), arguments.flag(0, "case_sensitive", false))?;
    let mut seen = indexmap::IndexSet::new();
    let first = items.into_iter().filter(|(key, _)| seen.insert(key.clone()));
    Ok(value::list(first.map(|(_, item)| item).collect()))
}

fn sum(state: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let items = keyed(list, attribute(arguments, 0).as_ref(), true)?;
    let numbers = value::list(items.into_iter().map(|(number, _)| number).collect());
    minijinja::filters::sum(state, numbers, None, arguments.get(1, "start"), Arguments::new(&[]).by_names(&[]))
}

fn join(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if list.is_none() {
        return Err(wrong("`join` needs a list"));
    }
    let items = keyed(list, attribute(arguments, 1).as_ref(), true)?;
    let texts: Vec<String> = items.iter().map(|(item, _)| text(item)).collect();
    Ok(Value::from(texts.join(&arguments.text(0, "d", ""))))
}

/// Groups with the engine, which knows no undefined attributes and no values without an order.
fn groupby(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let path = arguments.required(0, "attribute")?;
    let case_sensitive = arguments.flag(2, "case_sensitive", false);
    comparison::sort(&mut keyed(list, Some(&path), case_sensitive)?)?;
    let named = [("case_sensitive", Value::from(case_sensitive))].into_iter().collect();
    minijinja::filters::groupby(list.clone(), Some(&text(&path)), named)
}
