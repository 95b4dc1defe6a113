//! Methods of text, lists, maps and numbers, as Python has them.
//!
//! `minijinja_contrib::pycompat` has the simple ones; here are the rest.

mod bytes;
mod format;
mod text;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;
use minijinja_contrib::pycompat;

use super::arguments::Arguments;
use super::value;
use super::value::List;
use super::value::Map;
use super::value::describe;
use super::value::wrong;
pub(super) use format::printf;
pub(super) use text::center;
pub(super) use text::split;

/// Calls a method of a value.
pub(super) fn call(state: &mut State<'_, '_>, object: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::new(given);
    let own = if let Some(list) = object.downcast_object_ref::<List>() {
        of_list(list, method, &arguments)?
    } else if let Some(map) = object.downcast_object_ref::<Map>() {
        of_map(map, method, &arguments)?
    } else if object.kind() == ValueKind::Bytes {
        bytes::call(object.as_bytes().unwrap_or_default(), method, &arguments)?
    } else if let Some(subject) = object.as_str() {
        text::call(subject, method, &arguments)?
    } else {
        of_number(object, method)
    };
    let is_list = matches!(object.kind(), ValueKind::Seq | ValueKind::Iterable);
    match own {
        // These do not need the list afterwards. A change of a list without a name would be lost.
        None if is_list && matches!(method, "pop" | "index") => {
            let copy = List::new(value::items(object)?);
            Ok(of_list(&copy, method, &arguments)?.unwrap_or_default())
        }
        Some(value) => Ok(value),
        None if method == "fromkeys" && object.kind() == ValueKind::Map => {
            let value = arguments.get(1, "value").unwrap_or_else(none);
            let keys = value::items(&arguments.required(0, "iterable")?)?;
            Ok(value::map(keys.into_iter().map(|key| (key, value.clone()))))
        }
        None if method == "copy" && is_list => Ok(value::list(value::items(object)?)),
        None if method == "copy" && object.kind() == ValueKind::Map => Ok(value::map(value::entries(object)?)),
        None => pycompat::unknown_method_callback(state, object, method, given),
    }
}

fn none() -> Value {
    Value::from(())
}

fn of_list(list: &List, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    let first = || arguments.required(0, "object");
    match method {
        "append" => {
            let item = first()?;
            list.check(&item)?;
            list.items().push(item);
        }
        "extend" => {
            let more = value::items(&first()?)?;
            more.iter().try_for_each(|item| list.check(item))?;
            list.items().extend(more);
        }
        "insert" => {
            let item = arguments.required(1, "object")?;
            list.check(&item)?;
            let mut items = list.items();
            let at = place(arguments.integer(0, "index", 0)?, items.len()).min(items.len());
            items.insert(at, item);
        }
        "pop" => {
            let mut items = list.items();
            let at = place(arguments.integer(0, "index", -1)?, items.len());
            if at >= items.len() {
                return Err(wrong("the list has no such item to remove"));
            }
            return Ok(Some(items.remove(at)));
        }
        "remove" => {
            let at = index_of(&list.items(), arguments)?;
            list.items().remove(at);
        }
        "index" => return index_of(&list.items(), arguments).map(|at| Some(Value::from(at))),
        "reverse" => list.items().reverse(),
        "sort" => {
            let mut items = list.items();
            items.sort();
            if arguments.by_name("reverse").is_some_and(|flag| flag.is_true()) {
                items.reverse();
            }
        }
        "clear" => list.items().clear(),
        "copy" => return Ok(Some(value::list(list.items().clone()))),
        _ => return Ok(None),
    }
    Ok(Some(none()))
}

/// Returns the place of the first item that equals an argument, between two places if they are given.
fn index_of(items: &[Value], arguments: &Arguments) -> Result<usize, Error> {
    let wanted = arguments.required(0, "value")?;
    let begin = place(arguments.integer(1, "start", 0)?, items.len());
    let end = place(arguments.integer(2, "stop", i64::MAX)?, items.len());
    let found = (0..).zip(items).position(|(at, item)| begin <= at && at < end && *item == wanted);
    found.ok_or_else(|| wrong(format!("{} is not in the list", describe(&wanted))))
}

fn of_number(number: &Value, method: &str) -> Option<Value> {
    match (method, number.is_integer(), number.as_i64()) {
        ("bit_length", true, Some(number)) => Some(Value::from(u64::BITS - number.unsigned_abs().leading_zeros())),
        ("is_integer", true, _) => Some(Value::from(true)),
        ("is_integer", false, _) if number.kind() == ValueKind::Number => {
            Some(Value::from(f64::try_from(number.clone()).is_ok_and(|number| number.fract() == 0.0)))
        }
        _ => None,
    }
}

/// Returns the place of an index, which counts from the end if it is negative.
fn place(index: i64, length: usize) -> usize {
    match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

fn of_map(map: &Map, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    match method {
        "update" => {
            let mut new = match arguments.positional().first() {
                None => Vec::new(),
                Some(other) if other.kind() == ValueKind::Map => value::entries(other)?,
                Some(pairs) => pairs_of(pairs)?,
            };
            new.extend(arguments.named().into_iter().map(|(name, value)| (Value::from(name), value)));
            new.iter().try_for_each(|(_, value)| map.check(value))?;
            map.entries().extend(new);
        }
        "__setitem__" => {
            let (key, value) = (arguments.required(0, "key")?, arguments.required(1, "value")?);
            map.check(&value)?;
            map.entries().insert(key, value);
        }
        "pop" => {
            let key = arguments.required(0, "key")?;
            let removed = map.entries().shift_remove(&key).or_else(|| arguments.get(1, "default"));
            return removed.map(Some).ok_or_else(|| wrong(format!("the map has no key {}", describe(&key))));
        }
        "popitem" => {
            let last = map.entries().pop().ok_or_else(|| wrong("the map is empty"))?;
            return Ok(Some(value::tuple(vec![last.0, last.1])));
        }
        "setdefault" => {
            let (key, default) = (arguments.required(0, "key")?, arguments.get(1, "default").unwrap_or_else(none));
            map.check(&default)?;
            return Ok(Some(map.entries().entry(key).or_insert(default).clone()));
        }
        "clear" => map.entries().clear(),
        _ => return Ok(None),
    }
    Ok(Some(none()))
}

/// Returns the pairs of a list.
pub(super) fn pairs_of(pairs: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let pair = |pair: Value| match value::items(&pair)?.as_slice() {
        [key, value] => Ok((key.clone(), value.clone())),
        _ => Err(wrong(format!("expected a pair of key and value, not {}", describe(&pair)))),
    };
    value::items(pairs)?.into_iter().map(pair).collect()
}
