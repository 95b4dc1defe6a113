//! Filters with regular expressions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Captures;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;
use crate::playbook::template::python_regex::Replacement;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("regex_escape", regex_escape),
    ("regex_findall", regex_findall),
    ("regex_replace", regex_replace),
    ("regex_search", regex_search),
];

/// The most matches of one call.
const MATCHES: usize = 100_000;

/// How many compiled patterns are kept: a filter is often used for each item of a list.
const KEPT: usize = 64;

static COMPILED: Mutex<BTreeMap<(String, Flags), Arc<Pattern>>> = Mutex::new(BTreeMap::new());

/// Returns a compiled pattern.
pub(in crate::playbook::template) fn compiled(pattern: &str, flags: Flags) -> Result<Arc<Pattern>, Error> {
    let key = (pattern.to_owned(), flags);
    let known = COMPILED.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if let Some(known) = known {
        return Ok(known);
    }
    let compiled = Arc::new(python_regex::compile(pattern, flags).map_err(wrong)?);
    let mut kept = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(key, Arc::clone(&compiled));
    Ok(compiled)
}

/// Returns the flags among the arguments.
pub(in crate::playbook::template) fn flags(arguments: &Arguments) -> Flags {
    let flag = |name: &str| arguments.by_name(name).is_some_and(|value| value.is_true());
    Flags { multiline: flag("multiline"), ignore_case: flag("ignorecase"), dot_all: false }
}

fn regex_replace(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    let mut flags = flags(arguments);
    flags.ignore_case |= arguments.flag(2, "ignorecase", false);
    flags.multiline |= arguments.flag(3, "multiline", false);
    let pattern = arguments.text(0, "pattern", "");
    let compiled = compiled(&pattern, flags)?;
    let replacement = Replacement::parse(&arguments.text(1, "replacement", ""), &compiled).map_err(wrong)?;
    let count = usize::try_from(arguments.integer(4, "count", 0)?).unwrap_or_default();
    let (replaced, found) = compiled.replace(&text, &replacement, count).map_err(wrong)?;
    let expected = usize::try_from(arguments.integer(5, "mandatory_count", 0)?).unwrap_or_default();
    if expected > 0 && found != expected {
        return Err(wrong(format!("`{pattern}` must match {expected} times and matches {found} times")));
    }
    Ok(Value::from(replaced))
}

fn regex_search(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    let pattern = compiled(&arguments.text(0, "regex", ""), flags(arguments))?;
    let groups = arguments.positional().get(1..).unwrap_or_default();
    let number = |group: &Value| {
        let group = value::text(group);
        let name =
            group.strip_prefix("\\g<").and_then(|rest| rest.strip_suffix('>')).or_else(|| group.strip_prefix('\\'));
        let name = name.ok_or_else(|| wrong(format!("`{group}` names no group: expected `\\1` or `\\g<name>`")))?;
        let number = name.parse().ok().filter(|number| *number <= pattern.groups()).or_else(|| pattern.group(name));
        number.ok_or_else(|| wrong(format!("the pattern has no group `{name}`")))
    };
    let groups = groups.iter().map(number).collect::<Result<Vec<usize>, Error>>()?;
    let Some(found) = pattern.find(&text, 0).map_err(wrong)? else { return Ok(Value::from(())) };
    if groups.is_empty() {
        return Ok(Value::from(found.text(&text, 0)));
    }
    Ok(value::list(groups.into_iter().map(|group| Value::from(found.text(&text, group))).collect()))
}

fn regex_findall(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    let mut flags = flags(arguments);
    flags.multiline |= arguments.flag(1, "multiline", false);
    flags.ignore_case |= arguments.flag(2, "ignorecase", false);
    let pattern = compiled(&arguments.text(0, "regex", ""), flags)?;
    let found = pattern.find_all(&text, MATCHES).map_err(wrong)?;
    let group = |captures: &Captures, number| Value::from(captures.text(&text, number).unwrap_or_default());
    let one = |captures: &Captures| match pattern.groups() {
        count @ 0..=1 => group(captures, count),
        count => value::tuple((1..=count).map(|number| group(captures, number)).collect()),
    };
    Ok(value::list(found.iter().map(one).collect()))
}

fn regex_escape(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    match arguments.text(0, "re_type", "python").as_str() {
        "python" => Ok(Value::from(python_regex::escape(&text))),
        "posix_basic" => Ok(Value::from(text.chars().fold(String::new(), |mut escaped, c| {
            escaped.extend("].[^$*\\".contains(c).then_some('\\'));
            escaped.push(c);
            escaped
        }))),
        kind => Err(wrong(format!("muster cannot escape for `{kind}`: expected python or posix_basic"))),
    }
}
