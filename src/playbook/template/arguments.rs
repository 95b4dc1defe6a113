//! The arguments of filters, tests and methods: by position or by name, as in Python.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::Kwargs;

use super::value::describe;
use super::value::text;
use super::value::wrong;

/// The arguments of one call.
pub(super) struct Arguments {
    positional: Vec<Value>,
    named: Option<Kwargs>,
}

impl Arguments {
    /// Splits the arguments of a call into those with and without names.
    pub(super) fn new(arguments: &[Value]) -> Self {
        match arguments.split_last() {
            Some((last, rest)) if last.is_kwargs() => {
                Self { positional: rest.to_vec(), named: Kwargs::try_from(last.clone()).ok() }
            }
            _ => Self { positional: arguments.to_vec(), named: None },
        }
    }

    /// Returns the arguments without names.
    pub(super) fn positional(&self) -> &[Value] {
        &self.positional
    }

    /// Returns the names and values of the arguments with names.
    pub(super) fn named(&self) -> Vec<(String, Value)> {
        let Some(named) = &self.named else { return Vec::new() };
        let pairs = named.args().filter_map(|name| Some((name.to_owned(), named.get::<Value>(name).ok()?)));
        pairs.collect()
    }

    /// Returns all arguments by name. `names` are those of the arguments without one.
    pub(super) fn by_names(&self, names: &[&str]) -> Kwargs {
        let positional = names.iter().map(|name| (*name).to_owned()).zip(self.positional.iter().cloned());
        positional.chain(self.named()).collect()
    }

    /// Returns an argument by its position or its name.
    pub(super) fn get(&self, position: usize, name: &str) -> Option<Value> {
        self.positional.get(position).cloned().or_else(|| self.by_name(name))
    }

    /// Returns an argument that has only a name.
    pub(super) fn by_name(&self, name: &str) -> Option<Value> {
        let named = self.named.as_ref().filter(|named| named.has(name))?;
        named.get::<Value>(name).ok()
    }

    /// Returns an argument that must be there.
    pub(super) fn required(&self, position: usize, name: &str) -> Result<Value, Error> {
        self.get(position, name).ok_or_else(|| wrong(format!("the argument `{name}` is missing")))
    }

    pub(super) fn text(&self, position: usize, name: &str, default: &str) -> String {
        self.get(position, name).map_or_else(|| default.to_owned(), |value| text(&value))
    }

    pub(super) fn flag(&self, position: usize, name: &str, default: bool) -> bool {
        self.get(position, name).map_or(default, |value| value.is_true())
    }

    pub(super) fn integer(&self, position: usize, name: &str, default: i64) -> Result<i64, Error> {
        let Some(value) = self.get(position, name) else { return Ok(default) };
        value.as_i64().ok_or_else(|| wrong(format!("`{name}` must be a whole number, not {}", describe(&value))))
    }
}
