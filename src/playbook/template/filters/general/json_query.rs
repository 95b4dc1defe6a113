//! The filter `json_query`, which looks up values with JMESPath.
//!
//! A library parses the query. It is evaluated here, since the library sorts the keys of maps, which Python does not.

mod functions;

use jmespath::Rcvar;
use jmespath::Variable;
use jmespath::ast::Ast;
use jmespath::ast::Comparator;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use serde_json::Value as Json;

use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// The longest query, in bytes.
const LENGTH: usize = 10_000;

pub(super) fn json_query(_: &State<'_, '_>, data: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let query = text(&arguments.required(0, "expr")?);
    let bad = |why: String| wrong(format!("JMESPathError in json_query filter plugin: {why}"));
    if query.len() > LENGTH {
        return Err(bad(format!("the query is longer than {LENGTH} bytes")));
    }
    let parsed = jmespath::parse(&query).or_else(|error| jmespath::parse(&with_quotes(&query)).map_err(|_| error));
    let parsed = parsed.map_err(|error| bad(error.to_string()))?;
    let found = evaluate(&parsed, &value::to_json(data)?).map_err(bad)?;
    Ok(value::from_json(&found))
}

/// Adds the quotes to literals that are texts without them, which Python takes too: `` `text` ``.
fn with_quotes(query: &str) -> String {
    let mut quoted = String::new();
    for (number, part) in query.split('`').enumerate() {
        if number > 0 {
            quoted.push('`');
        }
        if number % 2 == 1 && serde_json::from_str::<Json>(part).is_err() {
            quoted.push_str(&format!("\"{}\"", part.trim_start()));
        } else {
            quoted.push_str(part);
        }
    }
    quoted
}

/// Returns what a query finds in a value.
fn evaluate(query: &Ast, data: &Json) -> Result<Json, String> {
    Ok(match query {
        Ast::Identity { .. } => data.clone(),
        Ast::Field { name, .. } => data.as_object().and_then(|map| map.get(name)).cloned().unwrap_or_default(),
        Ast::Index { idx, .. } => data.as_array().and_then(|list| item(list, *idx)).cloned().unwrap_or_default(),
        Ast::Slice { start, stop, step, .. } => match data.as_array() {
            Some(_) if *step == 0 => return Err("the step of a slice cannot be 0".to_owned()),
            Some(list) => slice(list, *start, *stop, *step),
            None => Json::Null,
        },
        Ast::Literal { value, .. } => literal(value),
        Ast::Subexpr { lhs, rhs, .. } => evaluate(rhs, &evaluate(lhs, data)?)?,
        Ast::Not { node, .. } => Json::Bool(!is_true(&evaluate(node, data)?)),
        Ast::And { lhs, rhs, .. } => {
            let left = evaluate(lhs, data)?;
            if is_true(&left) { evaluate(rhs, data)? } else { left }
        }
        Ast::Or { lhs, rhs, .. } => {
            let left = evaluate(lhs, data)?;
            if is_true(&left) { left } else { evaluate(rhs, data)? }
        }
        Ast::Condition { predicate, then, .. } => {
            if is_true(&evaluate(predicate, data)?) {
                evaluate(then, data)?
            } else {
                Json::Null
            }
        }
        Ast::Comparison { comparator, lhs, rhs, .. } => {
            compare(comparator, &evaluate(lhs, data)?, &evaluate(rhs, data)?)
        }
        Ast::ObjectValues { node, .. } => match evaluate(node, data)? {
            Json::Object(map) => map.into_iter().map(|(_, value)| value).collect(),
            _ => Json::Null,
        },
        Ast::Projection { lhs, rhs, .. } => match evaluate(lhs, data)? {
            Json::Array(items) => {
                let mut found = items.iter().map(|item| evaluate(rhs, item)).collect::<Result<Vec<_>, _>>()?;
                found.retain(|value| !value.is_null());
                Json::Array(found)
            }
            _ => Json::Null,
        },
        Ast::Flatten { node, .. } => match evaluate(node, data)? {
            Json::Array(items) => items.into_iter().flat_map(flat).collect(),
            _ => Json::Null,
        },
        Ast::MultiList { .. } | Ast::MultiHash { .. } if data.is_null() => Json::Null,
        Ast::MultiList { elements, .. } => {
            elements.iter().map(|element| evaluate(element, data)).collect::<Result<_, _>>()?
        }
        Ast::MultiHash { elements, .. } => {
            let entry = |pair: &jmespath::ast::KeyValuePair| Ok((pair.key.clone(), evaluate(&pair.value, data)?));
            Json::Object(elements.iter().map(entry).collect::<Result<_, String>>()?)
        }
        Ast::Function { name, args, .. } => functions::call(name, args, data)?,
        Ast::Expref { .. } => return Err("an expression with `&` can only be an argument of a function".to_owned()),
    })
}

fn flat(item: Json) -> Vec<Json> {
    match item {
        Json::Array(items) => items,
        item => vec![item],
    }
}

/// Returns an item of a list. A negative index counts from the end.
fn item(list: &[Json], index: i32) -> Option<&Json> {
    let at = usize::try_from(index).ok().or_else(|| list.len().checked_sub(index.unsigned_abs() as usize))?;
    list.get(at)
}

/// Returns a part of a list, as Python's slices do.
fn slice(list: &[Json], start: Option<i32>, stop: Option<i32>, step: i32) -> Json {
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let (low, high) = if step < 0 { (-1, length - 1) } else { (0, length) };
    let place = |at: i32| {
        let at = i64::from(at);
        (if at < 0 { at + length } else { at }).clamp(low, high)
    };
    let (first, end) = if step < 0 { (high, low) } else { (low, high) };
    let (mut at, end) = (start.map_or(first, place), stop.map_or(end, place));
    let mut part = Vec::new();
    while if step < 0 { at > end } else { at < end } {
        part.extend(usize::try_from(at).ok().and_then(|at| list.get(at)).cloned());
        at += i64::from(step);
    }
    Json::Array(part)
}

/// Returns a literal of the query.
fn literal(value: &Rcvar) -> Json {
    match &**value {
        Variable::Null | Variable::Expref(_) => Json::Null,
        Variable::Bool(flag) => Json::Bool(*flag),
        Variable::Number(number) => Json::Number(number.clone()),
        Variable::String(text) => Json::String(text.clone()),
        Variable::Array(items) => items.iter().map(literal).collect(),
        Variable::Object(map) => Json::Object(map.iter().map(|(key, value)| (key.clone(), literal(value))).collect()),
    }
}

/// Reports whether a value counts as true: numbers always do.
fn is_true(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Bool(flag) => *flag,
        Json::Number(_) => true,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(map) => !map.is_empty(),
    }
}

/// Compares values. Only numbers with numbers and texts with texts have an order.
fn compare(comparator: &Comparator, left: &Json, right: &Json) -> Json {
    let order = functions::order(left, right);
    let is_so = match comparator {
        Comparator::Equal => return Json::Bool(is_equal(left, right)),
        Comparator::NotEqual => return Json::Bool(!is_equal(left, right)),
        Comparator::LessThan => order.map(std::cmp::Ordering::is_lt),
        Comparator::LessThanEqual => order.map(std::cmp::Ordering::is_le),
        Comparator::GreaterThan => order.map(std::cmp::Ordering::is_gt),
        Comparator::GreaterThanEqual => order.map(std::cmp::Ordering::is_ge),
    };
    is_so.map_or(Json::Null, Json::Bool)
}

/// Reports whether values are equal: 1 and 1.0 are.
fn is_equal(left: &Json, right: &Json) -> bool {
    left == right || left.is_number() && functions::order(left, right).is_some_and(std::cmp::Ordering::is_eq)
}
