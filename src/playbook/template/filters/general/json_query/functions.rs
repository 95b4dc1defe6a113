//! The functions of JMESPath.

use std::cmp::Ordering;

use jmespath::ast::Ast;
use serde_json::Map;
use serde_json::Value as Json;

use super::evaluate;
use super::is_equal;
use crate::playbook::template::filters::JsonStyle;

/// Returns the value of a function.
pub(super) fn call(name: &str, given: &[Ast], data: &Json) -> Result<Json, String> {
    if let ("map", [Ast::Expref { ast, .. }, list]) = (name, given) {
        return array(name, &evaluate(list, data)?)?.iter().map(|item| evaluate(ast, item)).collect();
    }
    if let ("sort_by" | "min_by" | "max_by", [list, Ast::Expref { ast, .. }]) = (name, given) {
        return by_key(name, array(name, &evaluate(list, data)?)?, ast);
    }
    let values = given.iter().map(|argument| evaluate(argument, data)).collect::<Result<Vec<_>, _>>()?;
    match (name, values.as_slice()) {
        ("not_null", [_, ..]) => Ok(values.into_iter().find(|value| !value.is_null()).unwrap_or_default()),
        ("merge", [_, ..]) => {
            let mut merged = Map::new();
            for map in &values {
                merged.extend(object(name, map)?.clone());
            }
            Ok(Json::Object(merged))
        }
        ("contains", [subject, search]) => contains(subject, search),
        ("starts_with", [subject, part]) => Ok(text(name, subject)?.starts_with(text(name, part)?).into()),
        ("ends_with", [subject, part]) => Ok(text(name, subject)?.ends_with(text(name, part)?).into()),
        ("join", [separator, list]) => {
            let texts = array(name, list)?.iter().map(|item| text(name, item)).collect::<Result<Vec<_>, _>>()?;
            Ok(texts.join(text(name, separator)?).into())
        }
        (_, [value]) => of_one(name, value),
        _ => Err(unknown(name)),
    }
}

const NAMES: [&str; 26] = [
    "abs",
    "avg",
    "ceil",
    "contains",
    "ends_with",
    "floor",
    "join",
    "keys",
    "length",
    "map",
    "max",
    "max_by",
    "merge",
    "min",
    "min_by",
    "not_null",
    "reverse",
    "sort",
    "sort_by",
    "starts_with",
    "sum",
    "to_array",
    "to_number",
    "to_string",
    "type",
    "values",
];

fn unknown(name: &str) -> String {
    let is_known = NAMES.contains(&name);
    if is_known { format!("wrong arguments of {name}()") } else { format!("Unknown function: {name}()") }
}

fn mistyped(name: &str, value: &Json, expected: &str) -> String {
    format!("{name}() expects {expected}, not {}", kind(value))
}

fn array<'j>(name: &str, value: &'j Json) -> Result<&'j Vec<Json>, String> {
    value.as_array().ok_or_else(|| mistyped(name, value, "a list"))
}

fn object<'j>(name: &str, value: &'j Json) -> Result<&'j Map<String, Json>, String> {
    value.as_object().ok_or_else(|| mistyped(name, value, "a map"))
}

fn text<'j>(name: &str, value: &'j Json) -> Result<&'j str, String> {
    value.as_str().ok_or_else(|| mistyped(name, value, "a text"))
}

fn number(name: &str, value: &Json) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| mistyped(name, value, "a number"))
}

/// Returns the name of a type.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Returns the order of two numbers or two texts.
pub(super) fn order(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        (Json::Number(_), Json::Number(_)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        _ => None,
    }
}

fn contains(subject: &Json, search: &Json) -> Result<Json, String> {
    match subject {
        Json::Array(items) => Ok(items.iter().any(|item| is_equal(item, search)).into()),
        Json::String(subject) => Ok(subject.contains(text("contains", search)?).into()),
        _ => Err(mistyped("contains", subject, "a list or a text")),
    }
}

/// Returns the value of a function with one argument.
fn of_one(name: &str, value: &Json) -> Result<Json, String> {
    Ok(match name {
        "abs" => match value.as_i64() {
            Some(number) => number.abs().into(),
            None => number(name, value)?.abs().into(),
        },
        "ceil" | "floor" if value.is_i64() || value.is_u64() => value.clone(),
        "ceil" => whole(number(name, value)?.ceil()),
        "floor" => whole(number(name, value)?.floor()),
        "sum" => sum(name, value)?,
        "avg" => match array(name, value)?.len() {
            0 => Json::Null,
            count => {
                let sum = number(name, &sum(name, value)?)?;
                (sum / u32::try_from(count).map_or(f64::MAX, f64::from)).into()
            }
        },
        "length" => match value {
            Json::String(text) => text.chars().count().into(),
            Json::Array(items) => items.len().into(),
            Json::Object(map) => map.len().into(),
            _ => return Err(mistyped(name, value, "a text, a list or a map")),
        },
        "reverse" => match value {
            Json::String(text) => text.chars().rev().collect::<String>().into(),
            _ => array(name, value)?.iter().rev().cloned().collect(),
        },
        "keys" => object(name, value)?.keys().cloned().map(Json::from).collect(),
        "values" => object(name, value)?.values().cloned().collect(),
        "type" => kind(value).into(),
        "to_array" if value.is_array() => value.clone(),
        "to_array" => Json::Array(vec![value.clone()]),
        "to_string" => match value {
            Json::String(_) => value.clone(),
            value => JsonStyle::compact().write(value).into(),
        },
        "to_number" => match value {
            Json::Number(_) => value.clone(),
            Json::String(text) => parse(text.trim()),
            _ => Json::Null,
        },
        "sort" => sorted(name, value)?.into(),
        "max" => sorted(name, value)?.pop().unwrap_or_default(),
        "min" => sorted(name, value)?.into_iter().next().unwrap_or_default(),
        _ => return Err(unknown(name)),
    })
}

fn parse(text: &str) -> Json {
    let whole = text.parse::<i64>().map(Json::from).ok();
    whole.or_else(|| text.parse::<f64>().map(Json::from).ok()).unwrap_or_default()
}

fn whole(number: f64) -> Json {
    format!("{number:.0}").parse::<i64>().map_or_else(|_| number.into(), Json::from)
}

fn sum(name: &str, value: &Json) -> Result<Json, String> {
    let items = array(name, value)?;
    let whole = items.iter().map(Json::as_i64).try_fold(0_i64, |sum, item| sum.checked_add(item?));
    match whole {
        Some(whole) => Ok(whole.into()),
        None => Ok(items.iter().map(|item| number(name, item)).sum::<Result<f64, _>>()?.into()),
    }
}

/// Sorts numbers or texts.
fn sorted(name: &str, value: &Json) -> Result<Vec<Json>, String> {
    let mut items = array(name, value)?.clone();
    let first = items.first().cloned().unwrap_or_default();
    if let Some(other) = items.iter().find(|item| order(&first, item).is_none()) {
        return Err(mistyped(name, other, "numbers or texts"));
    }
    items.sort_by(|left, right| order(left, right).unwrap_or(Ordering::Equal));
    Ok(items)
}

/// Sorts by what an expression finds in each item, or returns the first or the last item in that order.
fn by_key(name: &str, items: &[Json], key: &Ast) -> Result<Json, String> {
    let mut keyed = Vec::new();
    for item in items {
        keyed.push((evaluate(key, item)?, item));
    }
    let first = keyed.first().map(|(key, _)| key.clone()).unwrap_or_default();
    if let Some((other, _)) = keyed.iter().find(|(key, _)| order(&first, key).is_none()) {
        return Err(mistyped(name, other, "numbers or texts"));
    }
    let compare = |left: &&(Json, &Json), right: &&(Json, &Json)| order(&left.0, &right.0).unwrap_or(Ordering::Equal);
    let item = |found: Option<&(Json, &Json)>| found.map(|(_, item)| (*item).clone()).unwrap_or_default();
    Ok(match name {
        "min_by" => item(keyed.iter().min_by(compare)),
        // Of equal ones, Python takes the first.
        "max_by" => item(keyed.iter().rev().max_by(compare)),
        _ => {
            keyed.sort_by(|left, right| compare(&left, &right));
            keyed.into_iter().map(|(_, item)| item.clone()).collect()
        }
    })
}
