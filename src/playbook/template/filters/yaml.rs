//! YAML as PyYAML writes it.

use serde_json::Value;

use crate::playbook::template::value::float_text;

/// How YAML is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) indent: usize,
    pub(super) sort_keys: bool,
    pub(super) width: usize,
    /// Collections without collections in them are written on one line.
    pub(super) flow: bool,
}

impl Style {
    /// Writes a value.
    pub(super) fn write(self, value: &Value) -> String {
        let mut writer = Writer { style: self, out: String::new(), column: 0 };
        writer.value(value, 0, true);
        writer.out.push('\n');
        writer.out
    }
}

struct Writer {
    style: Style,
    out: String,
    column: usize,
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(entries) => entries.values().collect(),
        _ => Vec::new(),
    }
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column =
            text.rfind('\n').map_or_else(|| self.column + text.chars().count(), |at| text[at + 1..].chars().count());
    }

    fn line(&mut self, indent: usize) {
        self.push(&format!("\n{}", " ".repeat(indent)));
    }

    fn is_flow(&self, value: &Value) -> bool {
        let all = children(value);
        all.is_empty() || self.style.flow && all.iter().all(|child| !child.is_array() && !child.is_object())
    }

    /// Writes a value. `here` says that a block may begin on this line.
    fn value(&mut self, value: &Value, indent: usize, here: bool) {
        match value {
            Value::Array(_) | Value::Object(_) if self.is_flow(value) => self.flow(value, indent),
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    if number > 0 || !here {
                        self.line(indent);
                    }
                    self.push("-");
                    let is_block = (item.is_array() || item.is_object()) && !self.is_flow(item);
                    let next = indent + self.style.indent;
                    self.push(&" ".repeat(if is_block { self.style.indent - 1 } else { 1 }));
                    self.value(item, next, true);
                }
            }
            Value::Object(_) => self.block_map(value, indent, here),
            scalar => self.scalar(scalar, indent, false),
        }
    }

    fn block_map(&mut self, map: &Value, indent: usize, here: bool) {
        for (number, (key, value)) in self.entries(map).into_iter().enumerate() {
            if number > 0 || !here {
                self.line(indent);
            }
            self.key(key);
            let is_block = (value.is_array() || value.is_object()) && !self.is_flow(value);
            if is_block {
                // A list stands at the column of its key.
                let next = if value.is_array() { indent } else { indent + self.style.indent };
                self.value(value, next, false);
            } else {
                self.push(" ");
                self.value(value, indent + self.style.indent, true);
            }
        }
    }

    fn entries<'v>(&self, map: &'v Value) -> Vec<(&'v String, &'v Value)> {
        let mut entries: Vec<_> = map.as_object().into_iter().flatten().collect();
        if self.style.sort_keys {
            entries.sort_by_key(|(key, _)| *key);
        }
        entries
    }

    fn key(&mut self, key: &str) {
        let text = match scalar_style(key, false) {
            Quotes::None => key.to_owned(),
            Quotes::Single => format!("'{}'", key.replace('\'', "''")),
            Quotes::Double => double(key),
        };
        self.push(&text);
        self.push(":");
    }

    fn flow(&mut self, value: &Value, indent: usize) {
        let next = if indent == 0 { self.style.indent } else { indent };
        let separate = |writer: &mut Self, number: usize| {
            if number > 0 {
                writer.push(",");
                if writer.column > writer.style.width {
                    writer.line(next);
                } else {
                    writer.push(" ");
                }
            }
        };
        if let Value::Array(items) = value {
            self.push("[");
            for (number, item) in items.iter().enumerate() {
                separate(self, number);
                self.scalar_or_flow(item, next);
            }
            self.push("]");
        } else {
            self.push("{");
            for (number, (key, value)) in self.entries(value).into_iter().enumerate() {
                separate(self, number);
                self.key(key);
                self.push(" ");
                self.scalar_or_flow(value, next);
            }
            self.push("}");
        }
    }

    fn scalar_or_flow(&mut self, value: &Value, indent: usize) {
        let indent = indent + self.style.indent;
        if value.is_array() || value.is_object() { self.flow(value, indent) } else { self.scalar(value, indent, true) }
    }

    fn scalar(&mut self, value: &Value, indent: usize, flow: bool) {
        let indent = if indent == 0 { self.style.indent } else { indent };
        match value {
            Value::String(text) => match scalar_style(text, flow) {
                Quotes::None => self.folded(text, indent, ""),
                Quotes::Single => self.folded(&text.replace('\'', "''"), indent, "'"),
                Quotes::Double => self.push(&double(text)),
            },
            Value::Number(number) if number.is_f64() => {
                let text = float_text(number.as_f64().unwrap_or_default());
                self.push(&if text.contains('.') { text } else { text.replacen('e', ".0e", 1) });
            }
            other => self.push(&other.to_string()),
        }
    }

    /// Writes a text, with line breaks at single blanks beyond the width. A line break of the text becomes an empty line.
    fn folded(&mut self, text: &str, indent: usize, quote: &str) {
        self.push(quote);
        let lines: Vec<&str> = text.split('\n').collect();
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                let breaks_again = line.is_empty() && number + 1 < lines.len();
                if lines.get(number - 1).is_some_and(|before| !before.is_empty()) || number == 1 {
                    self.push("\n");
                }
                if breaks_again {
                    self.push("\n");
                    continue;
                }
                self.line(indent);
            }
            self.words(line, indent);
        }
        self.push(quote);
    }

    fn words(&mut self, line: &str, indent: usize) {
        let mut rest = line;
        while let Some(at) = rest.find(' ') {
            let (word, tail) = rest.split_at(at);
            self.push(word);
            let blanks = tail.len() - tail.trim_start_matches(' ').len();
            let breaks = blanks == 1 && self.column > self.style.width && !word.is_empty() && tail.len() > 1;
            if breaks {
                self.line(indent);
            } else {
                self.push(&" ".repeat(blanks));
            }
            rest = tail.get(blanks..).unwrap_or_default();
        }
        self.push(rest);
    }
}

enum Quotes {
    None,
    Single,
    Double,
}

/// Chooses the quotes of a text.
fn scalar_style(text: &str, flow: bool) -> Quotes {
    let is_special = |c: char| c != '\n' && (c.is_control() || c == '\u{feff}' || c == '\u{2028}' || c == '\u{2029}');
    if text.chars().any(is_special) || text.contains(" \n") || text.contains("\n ") && text.trim() != text {
        return Quotes::Double;
    }
    if text.is_empty() || text.contains('\n') || text.starts_with(' ') || text.ends_with(' ') || is_other(text) {
        return Quotes::Single;
    }
    let starts = text.starts_with(['#', ',', '[', ']', '{', '}', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`']);
    let next_is_blank = text.chars().nth(1).is_none_or(char::is_whitespace);
    let starts = starts || text.starts_with(['-', '?', ':']) && (next_is_blank || flow && text.starts_with(['?', ':']));
    let starts = starts || text.starts_with("---") || text.starts_with("...");
    let inside = text.contains(": ") || text.ends_with(':') || text.contains(" #");
    let inside = inside || flow && text.contains([',', '?', '[', ']', '{', '}', ':']);
    if starts || inside { Quotes::Single } else { Quotes::None }
}

/// Reports whether a plain text would be read as something else than text.
fn is_other(text: &str) -> bool {
    let words = ["yes", "no", "true", "false", "on", "off", "null", "~", "<<", "="];
    let is_word = words.iter().any(|word| {
        let capital: String = word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
        text == *word || text == word.to_uppercase() || text == capital
    });
    is_word || is_number(text) || is_date(text)
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, is: fn(char) -> bool| !text.is_empty() && text.chars().all(|c| is(c) || c == '_');
    let digit: fn(char) -> bool = |c| c.is_ascii_digit();
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    if let Some(digits) = unsigned.strip_prefix("0b") {
        return all(digits, |c| matches!(c, '0' | '1'));
    }
    if [".inf", ".Inf", ".INF"].contains(&unsigned) || [".nan", ".NaN", ".NAN"].contains(&text) {
        return true;
    }
    let starts = unsigned.starts_with(|c: char| c.is_ascii_digit());
    if starts && unsigned.split(':').count() > 1 {
        let parts = unsigned.split(':').skip(1);
        let is_part = |part: &str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|part| part < 60);
        return unsigned.split(':').next().is_some_and(|first| all(first, digit)) && parts.into_iter().all(is_part);
    }
    if starts && all(unsigned, digit) {
        let is_octal = unsigned.chars().all(|c| ('0'..='7').contains(&c) || c == '_');
        return unsigned == "0" || !unsigned.starts_with('0') || is_octal;
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let Some((whole, part)) = mantissa.split_once('.') else { return false };
    let exponent = exponent.is_none_or(|e| e.strip_prefix(['-', '+']).is_some_and(|e| all(e, digit)));
    let whole_is_digits = whole.is_empty() || starts && all(whole, digit);
    let part_is_digits = part.is_empty() && starts || all(part, digit) && !part.starts_with('_');
    whole_is_digits && part_is_digits && exponent
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(3, '-').collect();
    let digits = |text: &str, count: std::ops::RangeInclusive<usize>| {
        count.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
    };
    let [year, month, day] = parts.as_slice() else { return false };
    let day = day.split(['T', 't', ' ']).next().unwrap_or_default();
    digits(year, 4..=4) && digits(month, 1..=2) && digits(day, 1..=2)
}

/// Returns a text in double quotes.
fn double(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '\0' => quoted.push_str("\\0"),
            '\x1b' => quoted.push_str("\\e"),
            c if c.is_control() => quoted.push_str(&format!("\\x{:02X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
