//! The order of values, as Python has it: numbers, texts and lists, and nothing else.

use std::cmp::Ordering;

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::method::Method;
use super::value;
use super::value::describe;
use super::value::wrong;

/// Compares two values. Two that have no order are an error.
pub(super) fn compare(one: &Value, other: &Value) -> Result<Ordering, Error> {
    match (one.kind(), other.kind()) {
        (ValueKind::Number | ValueKind::Bool, ValueKind::Number | ValueKind::Bool) => {
            Ok(number(one).cmp(&number(other)))
        }
        (ValueKind::String, ValueKind::String) => Ok(one.as_str().cmp(&other.as_str())),
        (ValueKind::Seq, ValueKind::Seq) => compare_lists(&value::items(one)?, &value::items(other)?),
        // Such as two times.
        (ValueKind::Plain, ValueKind::Plain) if ![one, other].into_iter().any(is_method) => Ok(one.cmp(other)),
        _ => Err(wrong(format!("{} and {} have no order", describe(one), describe(other)))),
    }
}

fn is_method(value: &Value) -> bool {
    value.downcast_object_ref::<Method>().is_some()
}

fn number(value: &Value) -> Value {
    if value.kind() == ValueKind::Bool { Value::from(u8::from(value.is_true())) } else { value.clone() }
}

fn compare_lists(one: &[Value], other: &[Value]) -> Result<Ordering, Error> {
    match one.iter().zip(other).find(|(one, other)| one != other) {
        Some((one, other)) => compare(one, other),
        None => Ok(one.len().cmp(&other.len())),
    }
}

/// Sorts items by their keys.
pub(super) fn sort<T>(items: &mut [(Value, T)]) -> Result<(), Error> {
    let mut failure = None;
    items.sort_by(|(one, _), (other, _)| {
        compare(one, other).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            Ordering::Equal
        })
    });
    failure.map_or(Ok(()), Err)
}
