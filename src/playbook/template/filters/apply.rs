//! Filters that apply another filter or a test to each item of a list.

use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;

use super::is_known;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::attributes;
use crate::playbook::template::checks;
use crate::playbook::template::source::short;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// A filter: takes the state, the value and the arguments.
type Apply = fn(&mut State<'_, '_>, &Value, &[Value]) -> Result<Value, Error>;

pub(super) const FILTERS: [(&str, Apply); 5] = [
    ("map", map),
    ("reject", |state, value, given| chosen(state, value, given, None, false)),
    ("rejectattr", |state, value, given| chosen_by_attribute(state, value, given, false)),
    ("select", |state, value, given| chosen(state, value, given, None, true)),
    ("selectattr", |state, value, given| chosen_by_attribute(state, value, given, true)),
];

/// How many bytes of text or items of a list count as one step.
const PER_STEP: usize = 64;

fn map(state: &mut State<'_, '_>, value: &Value, given: &[Value]) -> Result<Value, Error> {
    let items = value::items(value)?;
    let arguments = Arguments::new(given);
    let Some(name) = arguments.positional().first() else { return map_attribute(state, &items, &arguments) };
    let name = name_of("filter", name, is_known)?;
    let apply = |item: &Value| {
        let mapped = state.apply_filter(&name, &with_item(item, given))?;
        spend(state, &mapped)?;
        Ok(mapped)
    };
    items.iter().map(apply).collect::<Result<_, Error>>().map(value::list)
}

/// Returns the argument of a filter for an item: the item, and what follows the name of the filter or test.
fn with_item(item: &Value, given: &[Value]) -> Vec<Value> {
    [std::slice::from_ref(item), given.get(1..).unwrap_or_default()].concat()
}

/// Counts the steps for a value.
fn spend(state: &State<'_, '_>, value: &Value) -> Result<(), Error> {
    let size = value.as_bytes().map_or_else(|| value.len().unwrap_or_default(), <[u8]>::len);
    state.consume_fuel(1 + (size / PER_STEP) as u64)
}

/// Returns the name of a filter or test without Ansible's own collection.
fn name_of(kind: &str, name: &Value, is_known: fn(&str) -> bool) -> Result<String, Error> {
    let name = name.as_str().ok_or_else(|| wrong(format!("expected the name of a {kind}, not {}", describe(name))))?;
    if is_known(short(name)) {
        Ok(short(name).to_owned())
    } else {
        Err(wrong(format!("muster has no {kind} `{name}`")))
    }
}

fn map_attribute(state: &State<'_, '_>, items: &[Value], arguments: &Arguments) -> Result<Value, Error> {
    if let Some((name, _)) = arguments.named().iter().find(|(name, _)| name != "attribute" && name != "default") {
        return Err(wrong(format!("`map` has no argument `{name}`")));
    }
    let path = arguments.by_name("attribute");
    let path = path.ok_or_else(|| wrong("`map` needs the name of a filter, or an `attribute`"))?;
    let default = arguments.by_name("default").filter(|default| !default.is_none());
    let found = |item: &Value| {
        state.consume_fuel(1)?;
        let found = attributes::at_path(item, &path)?;
        Ok(if found.is_undefined() { default.clone().unwrap_or(found) } else { found })
    };
    items.iter().map(found).collect::<Result<_, Error>>().map(value::list)
}

fn chosen_by_attribute(state: &mut State<'_, '_>, value: &Value, given: &[Value], keeps: bool) -> Result<Value, Error> {
    let (path, given) = given.split_first().ok_or_else(|| wrong("the name of an attribute is missing"))?;
    chosen(state, value, given, Some(path), keeps)
}

/// Returns the items that pass a test, or those that do not. Without a name of a test, the truth of the items counts.
fn chosen(
    state: &mut State<'_, '_>,
    value: &Value,
    given: &[Value],
    path: Option<&Value>,
    keeps: bool,
) -> Result<Value, Error> {
    let test = given.first().map(|name| name_of("test", name, checks::is_known)).transpose()?;
    let mut chosen = Vec::new();
    for item in value::items(value)? {
        state.consume_fuel(1)?;
        let tested = path.map_or_else(|| Ok(item.clone()), |path| attributes::at_path(&item, path))?;
        if tested.is_undefined() && !matches!(test.as_deref(), Some("defined" | "undefined")) {
            let what = path
                .map_or_else(|| "an item is undefined".to_owned(), |path| format!("an item has no `{}`", text(path)));
            return Err(Error::new(ErrorKind::UndefinedError, what));
        }
        let passes = match &test {
            Some(name) => state.perform_test(name, &with_item(&tested, given))?,
            None => tested.is_true(),
        };
        if passes == keeps {
            chosen.push(item);
        }
    }
    Ok(value::list(chosen))
}
