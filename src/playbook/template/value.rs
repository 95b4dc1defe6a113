//! Values as Python has them: lists and maps that can be changed, and the text of values.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use super::method::Method;
use indexmap::IndexMap;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Value;
use minijinja::value::Enumerator;
use minijinja::value::Object;
use minijinja::value::ObjectRepr;
use minijinja::value::ValueKind;
use serde_json::Value as Json;

/// How deep lists and maps that a template makes may nest.
const DEPTH: usize = 100;

/// A list that methods such as `append` change.
#[derive(Debug, Default)]
pub(super) struct List {
    items: Mutex<Vec<Value>>,
    depth: AtomicUsize,
    /// Set if an item may be a [`LateValue`].
    has_late: AtomicBool,
}

/// A map that methods such as `update` change.
#[derive(Debug, Default)]
pub(super) struct Map {
    entries: Mutex<IndexMap<Value, Value>>,
    depth: AtomicUsize,
    /// Set if a value may be a [`LateValue`].
    has_late: AtomicBool,
}

/// Computes a value, which may be invalid.
type Compute = Box<dyn Fn() -> Value + Send + Sync>;

/// A value in a list or map that is computed when it is read for the first time. No template sees it.
struct LateValue(Compute);

impl fmt::Debug for LateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateValue")
    }
}

impl Object for LateValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// Makes a value for a list or map that is computed when it is read for the first time.
pub(super) fn late(compute: impl Fn() -> Value + Send + Sync + 'static) -> Value {
    Value::from_object(LateValue(Box::new(compute)))
}

/// Returns an item of a list or map, computed.
fn computed(item: &Value) -> Value {
    item.downcast_object_ref::<LateValue>().map_or_else(|| item.clone(), |late| (late.0)())
}

fn is_late(item: &Value) -> bool {
    item.downcast_object_ref::<LateValue>().is_some()
}

impl List {
    pub(super) fn new(items: Vec<Value>) -> Self {
        let depth = AtomicUsize::new(items.iter().map(depth).max().unwrap_or_default() + 1);
        let has_late = items.iter().any(is_late).into();
        Self { items: Mutex::new(items), depth, has_late }
    }

    /// Returns the items, all of them computed.
    pub(super) fn items(&self) -> MutexGuard<'_, Vec<Value>> {
        let mut items = self.raw();
        if self.has_late.swap(false, Ordering::Relaxed) {
            items.iter_mut().for_each(|item| *item = computed(item));
        }
        items
    }

    fn raw(&self) -> MutexGuard<'_, Vec<Value>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that a value may be put into the list.
    pub(super) fn check(&self, value: &Value) -> Result<(), Error> {
        check(value, &self.depth, std::ptr::from_ref(self).cast())
    }
}

impl Map {
    fn new(entries: IndexMap<Value, Value>) -> Self {
        let depth = AtomicUsize::new(entries.values().map(depth).max().unwrap_or_default() + 1);
        let has_late = entries.values().any(is_late).into();
        Self { entries: Mutex::new(entries), depth, has_late }
    }

    /// Returns the entries, all of them computed.
    pub(super) fn entries(&self) -> MutexGuard<'_, IndexMap<Value, Value>> {
        let mut entries = self.raw();
        if self.has_late.swap(false, Ordering::Relaxed) {
            entries.values_mut().for_each(|value| *value = computed(value));
        }
        entries
    }

    fn raw(&self) -> MutexGuard<'_, IndexMap<Value, Value>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that a value may be put into the map.
    pub(super) fn check(&self, value: &Value) -> Result<(), Error> {
        check(value, &self.depth, std::ptr::from_ref(self).cast())
    }
}

/// Returns how deep lists and maps in a value nest.
fn depth(value: &Value) -> usize {
    let list = || value.downcast_object_ref::<List>().map(|list| &list.depth);
    let map = || value.downcast_object_ref::<Map>().map(|map| &map.depth);
    list().or_else(map).map_or(0, |depth| depth.load(Ordering::Relaxed))
}

/// Checks that lists and maps do not nest too deep.
pub(super) fn check_depth(value: Value) -> Result<Value, Error> {
    if depth(&value) > DEPTH { Err(wrong(format!("lists and maps nest more than {DEPTH} deep"))) } else { Ok(value) }
}

/// Checks that a value may be put into a container: it must not nest too deep, and must not hold the container.
fn check(value: &Value, container_depth: &AtomicUsize, container: *const ()) -> Result<(), Error> {
    let depth = depth(&check_depth(value.clone())?) + 1;
    if depth > 1 && holds(value, container, 0) {
        return Err(wrong("a list or map cannot hold itself"));
    }
    container_depth.fetch_max(depth, Ordering::Relaxed);
    Ok(())
}

fn holds(value: &Value, container: *const (), depth: usize) -> bool {
    if let Some(list) = value.downcast_object_ref::<List>() {
        return std::ptr::from_ref(list).cast() == container
            || depth > DEPTH
            || list.raw().iter().any(|item| holds(item, container, depth + 1));
    }
    value.downcast_object_ref::<Map>().is_some_and(|map| {
        std::ptr::from_ref(map).cast() == container
            || depth > DEPTH
            || map.raw().values().any(|item| holds(item, container, depth + 1))
    })
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let index = usize::try_from(key.as_i64()?).ok()?;
        let item = self.raw().get(index).cloned()?;
        Some(computed(&item))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.raw().len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repr(&Value::from_dyn_object(Arc::clone(self)), Tuples::Kept))
    }
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = self.raw().get(key).cloned()?;
        Some(computed(&value))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.raw().keys().cloned().collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&repr(&Value::from_dyn_object(Arc::clone(self)), Tuples::Kept))
    }
}

/// Makes a list that can be changed.
pub(super) fn list(items: Vec<Value>) -> Value {
    Value::from_object(List::new(items))
}

/// Makes a map that can be changed.
pub(super) fn map(entries: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from_object(Map::new(entries.into_iter().collect()))
}

/// Makes a tuple.
pub(super) fn tuple(items: Vec<Value>) -> Value {
    Value::from(minijinja::value::Tuple::from(items))
}

/// Returns the value of JSON for the engine.
pub(super) fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => number_from_json(number),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => list(items.iter().map(from_json).collect()),
        Json::Object(entries) => map(entries.iter().map(|(key, value)| (Value::from(key.as_str()), from_json(value)))),
    }
}

fn number_from_json(number: &serde_json::Number) -> Value {
    if let Some(number) = number.as_i64() {
        return Value::from(number);
    }
    number.as_u64().map_or_else(|| Value::from(number.as_f64().unwrap_or_default()), Value::from)
}

/// Returns a value of the engine as JSON. An undefined value in it is an error.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    // Most values are text, lists and maps. Bytes become text.
    if let Some(text) = value.as_str() {
        return Ok(Json::String(text.to_owned()));
    }
    if let Some(list) = value.downcast_object_ref::<List>() {
        return list.items().iter().map(to_json).collect::<Result<_, Error>>().map(Json::Array);
    }
    if let Some(map) = value.downcast_object_ref::<Map>() {
        let entries = map.entries();
        let pairs = entries.iter().map(|(key, value)| Ok((text(key), to_json(value)?)));
        return pairs.collect::<Result<_, Error>>().map(Json::Object);
    }
    Ok(match value.kind() {
        ValueKind::Undefined => return Err(Error::new(ErrorKind::UndefinedError, "a value in it is undefined")),
        ValueKind::Invalid => return valid(value.clone()).and_then(|value| to_json(&value)),
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked();
            Json::Array(items.map(|item| to_json(&item?)).collect::<Result<_, Error>>()?)
        }
        ValueKind::Map => {
            let pairs = entries(value)?.into_iter();
            Json::Object(pairs.map(|(key, value)| Ok((text(&key), to_json(&value)?))).collect::<Result<_, Error>>()?)
        }
        ValueKind::Plain => match value.downcast_object_ref::<Method>() {
            Some(Method { name, .. }) => {
                return Err(wrong(format!(
                    "`{name}` is a method here and has no value: call it with `()`, or write `['{name}']` for the key"
                )));
            }
            None => Json::String(value.to_string()),
        },
        ValueKind::Bytes => Json::String(value.to_string()),
        _ => serde_json::to_value(value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?,
    })
}

/// Returns a value, or the error that it stands for.
pub(super) fn valid(value: Value) -> Result<Value, Error> {
    if value.kind() != ValueKind::Invalid {
        return Ok(value);
    }
    let mut only = Value::from(vec![value]).try_iter()?.checked();
    only.next().unwrap_or_else(|| Ok(Value::UNDEFINED))
}

/// Returns an error about a value.
pub(super) fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

/// Returns the items of a list, the keys of a map, the characters of a text or the numbers of bytes.
pub(super) fn items(value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::Bytes => {
            return Ok(value.as_bytes().unwrap_or_default().iter().map(|byte| Value::from(*byte)).collect());
        }
        _ => {}
    }
    value.try_iter()?.checked().collect()
}

/// Returns the keys and values of a map.
pub(super) fn entries(value: &Value) -> Result<Vec<(Value, Value)>, Error> {
    if value.kind() != ValueKind::Map {
        return Err(wrong(format!("expected a map, not {}", describe(value))));
    }
    items(value)?.into_iter().map(|key| Ok((key.clone(), valid(value.get_item(&key)?)?))).collect()
}

/// Returns the kind of a value for messages.
pub(super) fn describe(value: &Value) -> String {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => "a list".to_owned(),
        ValueKind::String => {
            format!("the text `{}`", crate::core::sanitize::truncate(value.as_str().unwrap_or_default(), 40))
        }
        ValueKind::Map => "a map".to_owned(),
        ValueKind::Undefined => "an undefined value".to_owned(),
        _ => format!("`{}`", text(value)),
    }
}

/// Returns a value as Python's `str` writes it.
pub(super) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => text.to_owned(),
        _ => repr(value, Tuples::Kept),
    }
}

/// How a tuple is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tuples {
    /// With parentheses, as in Python.
    Kept,
    /// As a list, which is what Ansible makes of a tuple that a template prints.
    AsLists,
}

/// Returns a value as Python's `repr` writes it.
pub(super) fn repr(value: &Value, tuples: Tuples) -> String {
    let inner = |value: &Value| repr(value, tuples);
    match value.kind() {
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number if !value.is_integer() => {
            f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float_text)
        }
        ValueKind::String => repr_text(value.as_str().unwrap_or_default()),
        ValueKind::Bytes => repr_bytes(value.as_bytes().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<String> = value.try_iter().into_iter().flatten().map(|item| inner(&item)).collect();
            match (value.is_tuple() && tuples == Tuples::Kept, items.as_slice()) {
                (true, [only]) => format!("({only},)"),
                (true, _) => format!("({})", items.join(", ")),
                (false, _) => format!("[{}]", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let keys = value.try_iter().into_iter().flatten();
            let entry = |key: Value| format!("{}: {}", inner(&key), inner(&value.get_item(&key).unwrap_or_default()));
            format!("{{{}}}", keys.map(entry).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// Returns bytes with quotes, as Python's `repr` writes them.
fn repr_bytes(bytes: &[u8]) -> String {
    let text: String = bytes.iter().copied().map(char::from).collect();
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\x{:02x}", u32::from(c)) };
    format!("b{}", repr_text(&text).chars().map(escape).collect::<String>())
}

/// Returns a text with quotes, as Python's `repr` writes it.
pub(super) fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// Returns a float as Python writes it: `1e+16`, `0.0001`, `1e-05`.
pub(super) fn float_text(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return if number.is_nan() { "nan".to_owned() } else { scientific };
    };
    match exponent.parse::<i32>() {
        Ok(-4..16) => {
            let plain = number.to_string();
            if plain.contains('.') { plain } else { format!("{plain}.0") }
        }
        Ok(exponent) => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
        Err(_) => scientific,
    }
}

/// Returns the boolean that a word stands for, if it stands for one.
pub fn parse_bool(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}
