//! The formats of C: `'%-8s %03d' % (name, number)`.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::LENGTH;
use super::ascii;
use super::specification::Specification;
use super::specification::column;
use crate::playbook::template::methods::value;
use crate::playbook::template::methods::value::describe;
use crate::playbook::template::methods::value::text;
use crate::playbook::template::methods::wrong;

/// Formats a text with values as Python's `%` does: those of a tuple, those of a map by name, or one value.
pub(in crate::playbook::template) fn printf(pattern: &str, values: &Value) -> Result<String, Error> {
    let positional = if values.is_tuple() { value::items(values)? } else { vec![values.clone()] };
    let mut printf = Printf { values, positional, next: 0 };
    let mut filled = String::new();
    let mut rest = pattern;
    while let Some((before, tail)) = rest.split_once('%') {
        filled.push_str(before);
        rest = match tail.strip_prefix('%') {
            Some(tail) => {
                filled.push('%');
                tail
            }
            None => printf.specifier(tail, &mut filled)?,
        };
        if filled.len() > LENGTH {
            return Err(wrong(format!("the text would have more than {LENGTH} bytes")));
        }
    }
    // A list or a map may have values that the text does not name.
    if printf.next < printf.positional.len()
        && (values.is_tuple() || !matches!(values.kind(), ValueKind::Seq | ValueKind::Map))
    {
        return Err(wrong("a format has more values than places for them"));
    }
    Ok(filled + rest)
}

struct Printf<'a> {
    values: &'a Value,
    positional: Vec<Value>,
    next: usize,
}

impl Printf<'_> {
    fn next(&mut self) -> Result<Value, Error> {
        let value = self.positional.get(self.next).cloned();
        self.next += 1;
        value.ok_or_else(|| wrong("a format has fewer values than places for them"))
    }

    /// Formats the value of a specifier, and returns the text after it.
    fn specifier<'t>(&mut self, mut rest: &'t str, filled: &mut String) -> Result<&'t str, Error> {
        let mut named = None;
        if let Some(tail) = rest.strip_prefix('(') {
            let (name, tail) = tail.split_once(')').ok_or_else(|| wrong("a format has a `%(` without its `)`"))?;
            if self.values.kind() != ValueKind::Map {
                return Err(wrong(format!("a format with `%({name})` needs a map")));
            }
            named = Some(self.values.get_item(&Value::from(name))?);
            if named.as_ref().is_some_and(Value::is_undefined) {
                return Err(wrong(format!("the map of a format has no `{name}`")));
            }
            self.next = self.positional.len();
            rest = tail;
        }
        let mut specification = Specification::default();
        while let Some(flag) = rest.chars().next().filter(|c| "#0- +".contains(*c)) {
            match flag {
                '#' => specification.alternate = true,
                '0' => specification.zeros = true,
                '-' => specification.align = Some('<'),
                _ if specification.sign == Some('+') => {}
                sign => specification.sign = Some(sign),
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        let width = self.column(&mut rest)?;
        specification.width = width.unwrap_or_default();
        if let Some(tail) = rest.strip_prefix('.') {
            rest = tail;
            specification.precision = Some(self.column(&mut rest)?.unwrap_or_default());
        }
        rest = rest.trim_start_matches(['h', 'l', 'L']);
        let kind = rest.chars().next().ok_or_else(|| wrong("a format ends within a specifier"))?;
        let value = named.map_or_else(|| self.next(), Ok)?;
        filled.push_str(&formatted(&value, kind, specification)?);
        Ok(rest.get(kind.len_utf8()..).unwrap_or_default())
    }

    /// Reads a width, which may be the next value.
    fn column(&mut self, rest: &mut &str) -> Result<Option<usize>, Error> {
        if let Some(tail) = rest.strip_prefix('*') {
            *rest = tail;
            return column(&text(&self.next()?));
        }
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        *rest = tail;
        column(digits)
    }
}

fn formatted(value: &Value, kind: char, mut specification: Specification) -> Result<String, Error> {
    let unsuitable = || wrong(format!("the type `%{kind}` of a format does not suit {}", describe(value)));
    let is_number = matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    // A text on the left has no zeros after it.
    specification.zeros &= specification.align.is_none();
    let in_column = |text: &str, specification: &Specification| {
        let cut: String = text.chars().take(specification.precision.unwrap_or(usize::MAX)).collect();
        Ok(specification.aligned(&cut, ' ', specification.align.unwrap_or('>')))
    };
    match kind {
        's' => in_column(&text(value), &specification),
        'r' => in_column(&value::repr(value, value::Tuples::Kept), &specification),
        'a' => in_column(&ascii(value), &specification),
        'c' => match value.as_str() {
            Some(c) if c.chars().count() == 1 => in_column(c, &specification),
            None if is_number => {
                in_column(&Specification { kind: Some('c'), ..Specification::default() }.number(value)?, &specification)
            }
            _ => Err(unsuitable()),
        },
        'd' | 'i' | 'u' if is_number => {
            let whole = truncated(value).ok_or_else(unsuitable)?;
            specification.kind = Some('d');
            whole_number(&whole, specification)
        }
        'x' | 'X' | 'o' if is_number => {
            specification.kind = Some(kind);
            whole_number(value, specification)
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' if is_number => {
            specification.kind = Some(kind);
            specification.number(value)
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G' => Err(unsuitable()),
        _ => Err(wrong(format!("a format has no type `%{kind}`"))),
    }
}

fn truncated(number: &Value) -> Option<Value> {
    if number.kind() == ValueKind::Bool || number.is_integer() {
        return Some(number.clone());
    }
    let whole = f64::try_from(number.clone()).ok()?.trunc();
    format!("{whole:.0}").parse::<i128>().ok().map(Value::from)
}

/// Formats a whole number with at least so many digits as its precision.
fn whole_number(number: &Value, mut specification: Specification) -> Result<String, Error> {
    let Some(precision) = specification.precision.take() else { return specification.number(number) };
    let column = Specification { width: specification.width, align: specification.align, ..Specification::default() };
    let is_signed = text(number).starts_with('-') || specification.sign.is_some();
    let prefix = if specification.alternate && specification.kind != Some('d') { 2 } else { 0 };
    let least = precision + usize::from(is_signed) + prefix;
    let width = if specification.zeros { least.max(specification.width) } else { least };
    let digits = Specification { width, zeros: true, align: None, ..specification };
    Ok(column.aligned(&digits.number(number)?, ' ', column.align.unwrap_or('>')))
}
