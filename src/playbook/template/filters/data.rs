//! Filters for any value.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::attributes;
use crate::playbook::template::method::Method;
use crate::playbook::template::value;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("attr", attr),
    ("d", default),
    ("default", default),
    ("extract", extract),
    ("mandatory", mandatory),
    ("string", string),
    ("ternary", ternary),
    ("type_debug", type_debug),
];

fn attr(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    attributes::without_keys(value, &arguments.text(0, "name", ""))
}

fn string(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(value::text(value)))
}

/// Returns the value, or another one if it is undefined (or, if asked, false).
fn default(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if value.is_undefined() || arguments.flag(1, "boolean", false) && !value.is_true() {
        return Ok(arguments.get(0, "default_value").unwrap_or_else(|| Value::from("")));
    }
    Ok(value.clone())
}

fn mandatory(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(wrong(arguments.text(0, "msg", "a mandatory variable is not defined")));
    }
    Ok(value.clone())
}

fn ternary(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let none = arguments.get(2, "none_val").filter(|none| value.is_none() && !none.is_none());
    match none {
        Some(none) => Ok(none),
        None if value.is_true() => arguments.required(0, "true_val"),
        None => arguments.required(1, "false_val"),
    }
}

fn type_debug(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(match value.kind() {
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        ValueKind::String => "str",
        ValueKind::Bytes => "bytes",
        ValueKind::Map => "dict",
        _ if value.downcast_object_ref::<Method>().is_some() => "method",
        _ if value.is_tuple() => "tuple",
        _ => "list",
    }))
}

/// Looks up the value as a key in a container, and further keys in what was found.
fn extract(_: &State<'_, '_>, key: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let container = arguments.required(0, "container")?;
    let more = match arguments.get(1, "morekeys").filter(|more| !more.is_none()) {
        None => Vec::new(),
        Some(more) if more.kind() == ValueKind::String || more.kind() == ValueKind::Number => vec![more],
        Some(more) => value::items(&more)?,
    };
    [key.clone()].iter().chain(&more).try_fold(container, |container, key| {
        if matches!(container.kind(), ValueKind::Seq | ValueKind::Map) {
            container.get_item(key)
        } else {
            Err(wrong(format!("cannot look up {} in {}", value::describe(key), value::describe(&container))))
        }
    })
}
