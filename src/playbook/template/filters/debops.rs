//! The filters of the collection debops.debops: lists of options, of which later ones change earlier ones.
//!
//! An entry is found by its name. Its weight is added to its place in the list and says where it stands in the result.

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[("parse_kv_config", parse_kv_config), ("parse_kv_items", parse_kv_items)];

/// How deep options have options.
const DEPTH: usize = 50;

/// The keys of an entry with a meaning of their own, which are not copied as they are.
const OF_CONFIG: [&str; 9] =
    ["state", "id", "weight", "real_weight", "separator", "value", "comment", "option", "section"];
const OF_ITEMS: [&str; 7] = ["state", "id", "weight", "real_weight", "separator", "comment", "options"];
const OF_VALUES: [&str; 7] = ["name", "state", "id", "weight", "real_weight", "param", "copy_id_from"];

/// The keys of an entry without a name. An entry with other keys too is one of options: each key is a name.
const NOT_OPTIONS: [&str; 7] = ["option", "state", "comment", "section", "weight", "value", "copy_id_from"];

type Entry = IndexMap<Value, Value>;

/// Which of the filters reads the list.
enum Kind {
    Config,
    Items { empty: Vec<(Value, Value)>, defaults: Vec<(Value, Value)> },
}

/// The lists as far as they are read.
struct Parser<'p> {
    kind: &'p Kind,
    name: &'p str,
    merged: &'p [String],
    depth: usize,
    entries: IndexMap<Value, Entry>,
}

fn parse_kv_config(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let merged = arguments.by_name("merge_keys").filter(|keys| keys.kind() == ValueKind::Seq);
    parse(list, arguments, &Kind::Config, merged.as_ref())
}

fn parse_kv_items(_: &State<'_, '_>, list: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let map = |name| arguments.by_name(name).map_or_else(|| Ok(Vec::new()), |map| value::entries(&map));
    let kind = Kind::Items { empty: map("empty")?, defaults: map("defaults")? };
    parse(list, arguments, &kind, arguments.by_name("merge_keys").as_ref())
}

/// Reads the value of the filter and the lists that it has as arguments.
fn parse(list: &Value, arguments: &Arguments, kind: &Kind, merged: Option<&Value>) -> Result<Value, Error> {
    let mut merged: Vec<String> = match merged {
        None => Vec::new(),
        Some(keys) => value::items(keys)?.iter().map(text).collect(),
    };
    if !merged.iter().any(|key| key == "options") {
        merged.push("options".to_owned());
    }
    let mut elements = Vec::new();
    for list in [list].into_iter().chain(arguments.positional()) {
        elements.extend(value::items(list)?);
    }
    let name = arguments.by_name("name").map_or_else(|| "name".to_owned(), |name| text(&name));
    let parser = Parser { kind, name: &name, merged: &merged, depth: 0, entries: IndexMap::new() };
    parser.read(elements)
}

fn key(name: &str) -> Value {
    Value::from(name)
}

fn get<'e>(entry: &'e Entry, name: &str) -> Option<&'e Value> {
    entry.get(&key(name))
}

/// Returns a key of an entry, or what it is if the key is missing.
fn get_or(entry: &Entry, name: &str, default: impl Into<Value>) -> Value {
    get(entry, name).cloned().unwrap_or_else(|| default.into())
}

fn is_text(value: &Value, text: &str) -> bool {
    value.as_str() == Some(text)
}

/// Returns a whole number, which may be a text.
fn integer(value: &Value) -> Result<i64, Error> {
    let number = match value.kind() {
        ValueKind::Bool => Some(i64::from(value.is_true())),
        ValueKind::String => value.as_str().and_then(|text| text.trim().parse().ok()),
        _ => value.as_i64(),
    };
    number.ok_or_else(|| wrong(format!("expected a whole number, not {}", describe(value))))
}

fn number_of(entry: &Entry, name: &str, default: i64) -> Result<i64, Error> {
    get(entry, name).map_or(Ok(default), integer)
}

fn entry_of(value: &Value) -> Result<Entry, Error> {
    Ok(value::entries(value)?.into_iter().collect())
}

fn to_value(entry: Entry) -> Value {
    value::map(entry)
}

/// Reports whether an entry has a value, in itself or in its options.
fn has_value(value: &Value) -> bool {
    let Ok(entries) = value::entries(value) else { return false };
    entries.iter().any(|(key, inner)| {
        is_text(key, "value")
            || match inner.kind() {
                ValueKind::Map => has_value(inner),
                ValueKind::Seq => value::items(inner).is_ok_and(|items| items.iter().any(has_value)),
                _ => false,
            }
    })
}

/// Adds the weight of an element to that of its entry, and says where the entry stands.
fn weigh(entry: &mut Entry, element: &Entry, others: impl Fn(&Value) -> Option<Entry>) -> Result<(), Error> {
    if let Some(other) = get(element, "copy_id_from").and_then(others) {
        let id = number_of(&other, "id", 0)? + number_of(&other, "weight", 0)?;
        entry.insert(key("id"), id.into());
    }
    if let Some(weight) = get(element, "weight") {
        let weight = integer(weight)? + number_of(entry, "weight", 0)?;
        entry.insert(key("weight"), weight.into());
    }
    place(entry)
}

/// Gives an entry its number and its weight, unless it has them.
fn number(entry: &mut Entry, id: i64) -> Result<(), Error> {
    let id = number_of(entry, "id", id)?;
    let weight = number_of(entry, "weight", 0)?;
    entry.insert(key("id"), id.into());
    entry.insert(key("weight"), weight.into());
    Ok(())
}

fn place(entry: &mut Entry) -> Result<(), Error> {
    let place = number_of(entry, "id", 0)?.saturating_add(number_of(entry, "weight", 0)?);
    entry.insert(key("real_weight"), place.into());
    Ok(())
}

/// Sorts entries by their places.
fn sorted(entries: Vec<Value>) -> Result<Vec<Value>, Error> {
    let mut placed = Vec::new();
    for entry in entries {
        let place = entry.get_item(&key("real_weight")).unwrap_or_default();
        placed.push((integer(&place)?, entry));
    }
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, entry)| entry).collect())
}

impl Parser<'_> {
    /// Returns the entries of a list.
    fn read(mut self, elements: Vec<Value>) -> Result<Value, Error> {
        if self.depth > DEPTH {
            return Err(wrong("the options nest too deep"));
        }
        for (index, element) in (0_i64..).zip(elements) {
            let element = match element.kind() {
                ValueKind::String => Entry::from_iter([(key(self.name), element)]),
                ValueKind::Map => entry_of(&element)?,
                _ => continue,
            };
            if get(&element, self.name).is_some() {
                self.add_named(index * 10, &element)?;
            } else if matches!(self.kind, Kind::Config) {
                self.add_options(index * 10, element)?;
            }
        }
        let entries = self.entries.into_values().map(|mut entry| {
            if let Some(values) = get(&entry, "value").filter(|value| value.kind() == ValueKind::Map) {
                let values = value::entries(values)?.into_iter().map(|(_, value)| value).collect();
                entry.insert(key("value"), value::list(sorted(values)?));
            }
            Ok(to_value(entry))
        });
        Ok(value::list(sorted(entries.collect::<Result<_, Error>>()?)?))
    }

    /// Adds the keys of a map as entries of their own.
    fn add_options(&mut self, id: i64, element: Entry) -> Result<(), Error> {
        if element.keys().all(|key| key.as_str().is_some_and(|key| NOT_OPTIONS.contains(&key))) {
            return Ok(());
        }
        for (name, value) in element {
            let mut entry = self.entries.get(&name).cloned().unwrap_or_default();
            entry.insert(key(self.name), name.clone());
            entry.insert(key("state"), key("present"));
            number(&mut entry, id)?;
            let section = get_or(&entry, "section", "unknown");
            entry.insert(key("section"), section);
            place(&mut entry)?;
            set_value(&mut entry, &Entry::from_iter([(key("value"), value)]))?;
            self.entries.insert(name, entry);
        }
        Ok(())
    }

    /// Returns the state of an entry after an element, or nothing if the element is left out.
    fn state(&self, known: Option<&Entry>, element: &Entry) -> Option<Value> {
        let state = get_or(element, "state", "present");
        let old = known.and_then(|entry| get(entry, "state").cloned());
        if is_text(&state, "append") {
            let waits = match self.kind {
                Kind::Config => false,
                Kind::Items { .. } => known.is_none(),
            };
            let is_initial = old.as_ref().is_some_and(|old| is_text(old, "init"));
            return (!waits && !is_initial).then(|| old.unwrap_or_else(|| key("present")));
        }
        let new = get(element, "state").cloned().or(old).unwrap_or_else(|| key("present"));
        let begins = is_text(&new, "init") && !is_text(&state, "init");
        let has_value = || known.is_some_and(|entry| has_value(&to_value(entry.clone())));
        Some(if begins && has_value() { key("present") } else { new })
    }

    /// Adds an element that has a name.
    fn add_named(&mut self, id: i64, element: &Entry) -> Result<(), Error> {
        let name = get(element, self.name).cloned().unwrap_or_default();
        if is_text(&get_or(element, "state", "present"), "ignore") {
            return Ok(());
        }
        if matches!(name.kind(), ValueKind::Seq | ValueKind::Map) {
            return Err(wrong(format!("expected a name, not {}", describe(&name))));
        }
        let known = self.entries.get(&name);
        let Some(state) = self.state(known, element) else { return Ok(()) };
        let mut entry = known.cloned().unwrap_or_default();
        entry.insert(key("state"), state);
        entry.insert(key(self.name), name.clone());
        number(&mut entry, id)?;
        let mut inherit = |field: &str, default: Value| {
            let value = get(element, field).cloned().unwrap_or_else(|| get_or(&entry, field, default));
            entry.insert(key(field), value);
        };
        inherit("separator", Value::from(false));
        if matches!(self.kind, Kind::Config) {
            inherit("section", key("unknown"));
        }
        weigh(&mut entry, element, |other| self.entries.get(other).cloned())?;
        self.fill(&mut entry, element)?;
        self.entries.insert(name, entry);
        Ok(())
    }

    /// Copies the other keys of an element.
    fn fill(&self, entry: &mut Entry, element: &Entry) -> Result<(), Error> {
        let copied: &[&str] = match self.kind {
            Kind::Config => {
                set_value(entry, element)?;
                &["option", "comment"]
            }
            Kind::Items { .. } => &["comment"],
        };
        for field in copied {
            if let Some(value) = get(element, field) {
                entry.insert(key(field), value.clone());
            }
        }
        if let Kind::Items { defaults, .. } = self.kind {
            for (field, value) in defaults {
                entry.entry(field.clone()).or_insert_with(|| value.clone());
            }
        }
        for field in self.merged {
            if let Some(more) = get(element, field) {
                let mut options = get(entry, field).map_or_else(|| Ok(Vec::new()), value::items)?;
                options.extend(value::items(more)?);
                let kind = Kind::Config;
                let inner =
                    Parser { kind: &kind, name: "name", depth: self.depth + 1, entries: IndexMap::new(), ..*self };
                entry.insert(key(field), inner.read(options)?);
            }
        }
        let special: &[&str] = if matches!(self.kind, Kind::Config) { &OF_CONFIG } else { &OF_ITEMS };
        for (field, value) in element {
            let name = field.as_str().unwrap_or_default();
            if name != self.name && !special.contains(&name) && !self.merged.iter().any(|merged| merged == name) {
                entry.insert(field.clone(), value.clone());
            }
        }
        if let Kind::Items { empty, .. } = self.kind {
            for (field, others) in empty.iter().filter(|(field, _)| !entry.contains_key(field)).collect::<Vec<_>>() {
                // As in DebOps, the letters of a text are names.
                let others = match others.as_str() {
                    Some(text) => text.chars().map(Value::from).collect(),
                    None => value::items(others)?,
                };
                if let Some(value) = others.iter().find_map(|other| entry.get(other).cloned()) {
                    entry.insert(field.clone(), value);
                }
            }
        }
        Ok(())
    }
}

/// Sets the value of an entry. The items of a list are added to those that the value has, by name.
fn set_value(entry: &mut Entry, element: &Entry) -> Result<(), Error> {
    let Some(new) = get(element, "value") else { return Ok(()) };
    let old = get(entry, "value").cloned().unwrap_or_else(|| Value::from(()));
    match new.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let mut values = if old.kind() == ValueKind::Map { entry_of(&old)? } else { Entry::new() };
            let id = number_of(entry, "id", 0)?;
            let mut is_set = false;
            for (index, item) in (0_i64..).zip(value::items(new)?) {
                is_set |= add_value(&mut values, id * 10 + index, &item)?;
            }
            if is_set {
                entry.insert(key("value"), to_value(values));
            }
        }
        ValueKind::Map => {}
        _ if old.kind() == ValueKind::Seq => {}
        _ => {
            let value = cast(new, get(element, "value_cast"))?;
            entry.insert(key("value"), value);
        }
    }
    Ok(())
}

/// Returns a value as the type that the element asks for.
fn cast(value: &Value, kind: Option<&Value>) -> Result<Value, Error> {
    Ok(match kind.and_then(|kind| kind.as_str()) {
        Some("null" | "none" | "None") => Value::from(()),
        Some("int" | "integer") if value.is_number() && !value.is_integer() => {
            let whole = f64::try_from(value.clone()).unwrap_or_default().trunc();
            format!("{whole:.0}").parse::<i64>().map_err(|_| wrong("the number is too large"))?.into()
        }
        Some("int" | "integer") => integer(value)?.into(),
        Some("str" | "string") => Value::from(text(value)),
        Some("bool" | "boolean") => Value::from(value.is_true()),
        Some("float") => match value.as_str() {
            Some(text) => Value::from(text.trim().parse::<f64>().map_err(|_| wrong(format!("`{text}` is no number")))?),
            None => Value::from(f64::try_from(value.clone())?),
        },
        _ => value.clone(),
    })
}

/// Adds an item of a list to the values of an entry. Returns whether there was something to add.
fn add_value(values: &mut Entry, id: i64, item: &Value) -> Result<bool, Error> {
    let is_scalar = |value: &Value| value.as_str().is_some() || value.is_integer() || value.kind() == ValueKind::Bool;
    if is_scalar(item) {
        let mut entry = values.get(item).map_or_else(|| Ok(Entry::new()), entry_of)?;
        if get(&entry, "name").is_some_and(Value::is_true) {
            return Ok(false);
        }
        let weight = get_or(&entry, "weight", 0);
        entry.extend([(key("name"), item.clone()), (key("id"), id.into()), (key("weight"), weight)]);
        entry.insert(key("state"), key("present"));
        place(&mut entry)?;
        values.insert(item.clone(), to_value(entry));
        return Ok(true);
    }
    if item.kind() != ValueKind::Map {
        return Ok(false);
    }
    let element = entry_of(item)?;
    let name = get(&element, "param").or_else(|| get(&element, "name")).cloned().unwrap_or_default();
    let state = get_or(&element, "state", "present");
    if !name.is_true() || is_text(&state, "ignore") {
        return Ok(false);
    }
    let names = if is_scalar(&name) { vec![name] } else { value::items(&name)? };
    for name in &names {
        let mut entry = values.get(name).map_or_else(|| Ok(Entry::new()), entry_of)?;
        let weight = number_of(&entry, "weight", 0)?;
        entry.extend([(key("name"), name.clone()), (key("id"), id.into()), (key("weight"), weight.into())]);
        entry.insert(key("state"), state.clone());
        weigh(&mut entry, &element, |other| values.get(other).and_then(|other| entry_of(other).ok()))?;
        let others = element.iter().filter(|(field, _)| !field.as_str().is_some_and(|it| OF_VALUES.contains(&it)));
        entry.extend(others.map(|(field, value)| (field.clone(), value.clone())));
        values.insert(name.clone(), to_value(entry));
    }
    Ok(!names.is_empty())
}
