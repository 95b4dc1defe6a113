//! Texts with values in them, as Python formats them: `'{:>8}'.format(a)` and `'%-8s' % a`.

mod percent;
mod specification;

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Arguments;
use super::value;
use super::value::text;
use super::wrong;
pub(in crate::playbook::template) use percent::printf;
use specification::Specification;

use crate::playbook::template::attributes;
use crate::playbook::template::time::format_time;

/// The longest text that a format makes.
const LENGTH: usize = 1 << 20;

/// How deep the fields of a format nest: the width of one may be a field.
const NESTING: usize = 2;

/// Where a format finds the values of its fields.
pub(super) enum Fields<'a> {
    /// The arguments of `format`.
    Arguments(&'a Arguments),
    /// The argument of `format_map`.
    Map(&'a Value),
}

/// Fills in a text with fields such as `{}`, `{0!r:>8}` and `{user[name]}`.
pub(super) fn format(pattern: &str, fields: &Fields<'_>) -> Result<String, Error> {
    Format { fields, numbers: Numbers::Unknown }.fill(pattern, NESTING)
}

/// How the fields of a format without a name get their values.
enum Numbers {
    Unknown,
    /// One after the other; this is the next one.
    Counted(usize),
    Given,
}

struct Format<'a> {
    fields: &'a Fields<'a>,
    numbers: Numbers,
}

impl Format<'_> {
    fn fill(&mut self, pattern: &str, nesting: usize) -> Result<String, Error> {
        let mut filled = String::new();
        let mut rest = pattern;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, tail) = rest.split_at(at);
            filled.push_str(before);
            if let Some(tail) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                filled.push_str(rest.get(at..=at).unwrap_or_default());
                rest = tail;
                continue;
            }
            let field = tail.strip_prefix('{').ok_or_else(|| wrong("a format has a single `}`"))?;
            let end = end_of_field(field).ok_or_else(|| wrong("a format has a `{` without its `}`"))?;
            if nesting == 0 {
                return Err(wrong("the fields of a format nest too deep"));
            }
            filled.push_str(&self.field(field.get(..end).unwrap_or_default(), nesting)?);
            if filled.len() > LENGTH {
                return Err(wrong(format!("the text would have more than {LENGTH} bytes")));
            }
            rest = field.get(end + 1..).unwrap_or_default();
        }
        Ok(filled + rest)
    }

    /// Returns the text of a field: `NAME!CONVERSION:SPECIFICATION`.
    fn field(&mut self, field: &str, nesting: usize) -> Result<String, Error> {
        let (name, tail) = field.split_at(end_of_name(field));
        let (conversion, specification) = match tail.strip_prefix('!') {
            Some(tail) => tail.split_once(':').map_or((tail, ""), |(conversion, rest)| (conversion, rest)),
            None => ("", tail.strip_prefix(':').unwrap_or_default()),
        };
        let value = self.value(name)?;
        let value = match conversion {
            "" if !tail.starts_with('!') => value,
            "s" => Value::from(text(&value)),
            "r" => Value::from(value::repr(&value, value::Tuples::Kept)),
            "a" => Value::from(ascii(&value)),
            _ => return Err(wrong(format!("a format has no conversion `!{conversion}`: expected !s, !r or !a"))),
        };
        let specification = self.fill(specification, nesting - 1)?;
        formatted(&value, &specification)
    }

    /// Returns the value of a field: `0`, `name`, `name[key]`, `name.attribute`, or nothing for the next argument.
    fn value(&mut self, name: &str) -> Result<Value, Error> {
        let (first, mut rest) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
        let mut value = self.argument(first)?;
        while !rest.is_empty() {
            if let Some((key, tail)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let key = key.parse::<usize>().map_or_else(|_| Value::from(key), Value::from);
                value = value.get_item(&key)?;
                rest = tail;
            } else {
                let tail = rest.strip_prefix('.').unwrap_or(rest);
                let (attribute, tail) = tail.split_at(tail.find(['.', '[']).unwrap_or(tail.len()));
                value = attributes::without_keys(&value, attribute)?;
                rest = tail;
            }
            if value.is_undefined() {
                return Err(wrong(format!("the field `{name}` of a format has no value")));
            }
        }
        Ok(value)
    }

    fn argument(&mut self, name: &str) -> Result<Value, Error> {
        let missing = || wrong(format!("the field `{name}` of a format has no value"));
        let at = if name.is_empty() {
            let at = match self.numbers {
                Numbers::Unknown => 0,
                Numbers::Counted(next) => next,
                Numbers::Given => return Err(wrong("a format has fields with and without a number")),
            };
            self.numbers = Numbers::Counted(at + 1);
            at
        } else if let Ok(at) = name.parse::<usize>() {
            if matches!(self.numbers, Numbers::Counted(_)) {
                return Err(wrong("a format has fields with and without a number"));
            }
            self.numbers = Numbers::Given;
            at
        } else {
            let value = match self.fields {
                Fields::Arguments(arguments) => arguments.by_name(name),
                Fields::Map(map) => Some(map.get_item(&Value::from(name))?),
            };
            return value.filter(|value| !value.is_undefined()).ok_or_else(missing);
        };
        match self.fields {
            Fields::Arguments(arguments) => arguments.positional().get(at).cloned().ok_or_else(missing),
            Fields::Map(_) => Err(wrong("the fields of `format_map` need names")),
        }
    }
}

/// Returns where a field ends: at the `}` that belongs to its `{`.
fn end_of_field(field: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, c) in field.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Returns where the name of a field ends. A `:` or `!` in brackets belongs to it.
fn end_of_name(field: &str) -> usize {
    let mut in_brackets = false;
    let mut ends = |c| {
        in_brackets = c == '[' || in_brackets && c != ']';
        !in_brackets && matches!(c, ':' | '!')
    };
    field.char_indices().find(|(_, c)| ends(*c)).map_or(field.len(), |(at, _)| at)
}

/// Returns a value as Python's `ascii` writes it.
fn ascii(value: &Value) -> String {
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { escaped(c) };
    value::repr(value, value::Tuples::Kept).chars().map(escape).collect()
}

/// Returns a character as Python escapes it.
pub(super) fn escaped(c: char) -> String {
    match u32::from(c) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ 0x100..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Formats a value, as Python's `format` does.
fn formatted(value: &Value, specification: &str) -> Result<String, Error> {
    if specification.is_empty() {
        return Ok(text(value));
    }
    match value.kind() {
        ValueKind::String => Specification::parse(specification)?.text(value.as_str().unwrap_or_default()),
        ValueKind::Number | ValueKind::Bool => Specification::parse(specification)?.number(value),
        ValueKind::Plain => format_time(value, specification).unwrap_or_else(|| Err(without_specification(value))),
        _ => Err(without_specification(value)),
    }
}

fn without_specification(value: &Value) -> Error {
    wrong(format!("a format can give {} neither width nor type: write `!s` before the `:`", value::describe(value)))
}
