//! Attributes and items of values, as Jinja2 looks them up: `a.b` is a method of the value or else an item, and `a['b']`
//! an item or else a method.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::method::Method;
use super::method_names;
use super::value;

/// Returns a method of a value, if its type has one with this name.
pub(super) fn method(value: &Value, name: &str) -> Option<Value> {
    method_names::of_type(value).contains(&name).then(|| Method::of(value.clone(), name))
}

/// Returns an attribute, which the key of a map is not.
pub(super) fn without_keys(value: &Value, name: &str) -> Result<Value, Error> {
    match method(value, name) {
        Some(method) => Ok(method),
        None if value.kind() == ValueKind::Map => Ok(Value::UNDEFINED),
        None => value.get_attr(name),
    }
}

/// Returns what `value.name` is.
pub(super) fn attribute(value: &Value, name: &str) -> Result<Value, Error> {
    method(value, name).map_or_else(|| value.get_attr(name), Ok).and_then(value::valid)
}

/// Returns what `value[key]` is. An item of an undefined value is undefined.
pub(super) fn item(value: &Value, key: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(value.clone());
    }
    let found = value::valid(value.get_item(key)?)?;
    let named = || method(value, key.as_str()?);
    Ok(if found.is_undefined() { named().unwrap_or(found) } else { found })
}

/// Returns what the argument `attribute` of a filter finds, such as `user.groups.0`.
pub(super) fn at_path(value: &Value, path: &Value) -> Result<Value, Error> {
    let Some(path) = path.as_str() else { return item(value, path) };
    path.split('.').try_fold(value.clone(), |value, part| {
        item(&value, &part.parse::<usize>().map_or_else(|_| Value::from(part), Value::from))
    })
}
