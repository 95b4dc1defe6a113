//! Values in INI inventories: Python literals, or else text.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

/// The deepest nesting of lists and maps. A deeper value counts as text.
const DEPTH: usize = 32;

/// Parses a value. Never fails: a text that is not a literal stays text.
pub(super) fn parse(text: &str) -> Value {
    let mut parser = LiteralParser { rest: text, depth: 0 };
    match parser.whole() {
        Some(value) if parser.rest.trim_matches([' ', '\t']).is_empty() => value,
        _ => Value::String(text.to_owned()),
    }
}

struct LiteralParser<'a> {
    rest: &'a str,
    depth: usize,
}

impl LiteralParser<'_> {
    /// Reads a literal, or literals with commas between them, which are a tuple.
    fn whole(&mut self) -> Option<Value> {
        let first = self.literal()?;
        let mut items = vec![first];
        let mut comma = false;
        loop {
            self.blank();
            if !self.eat(',') {
                break;
            }
            comma = true;
            self.blank();
            if self.rest.is_empty() {
                break;
            }
            items.push(self.literal()?);
        }
        if comma { Some(Value::Array(items)) } else { items.pop() }
    }

    fn literal(&mut self) -> Option<Value> {
        match self.rest.chars().next()? {
            '[' => self.list('[', ']').map(|(items, _)| Value::Array(items)),
            '(' => {
                let (mut items, comma) = self.list('(', ')')?;
                // Parentheses around one value without a comma are not a tuple.
                if items.len() == 1 && !comma { items.pop() } else { Some(Value::Array(items)) }
            }
            '{' => self.map(),
            '\'' | '"' => self.strings(),
            '0'..='9' | '.' | '-' | '+' => self.number(),
            _ => self.word(),
        }
    }

    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == DEPTH {
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Reads items up to the closing bracket, and reports whether there was a comma.
    fn list(&mut self, open: char, close: char) -> Option<(Vec<Value>, bool)> {
        self.deeper(|parser| {
            parser.eat(open);
            let (mut items, mut comma) = (Vec::new(), false);
            loop {
                parser.blank();
                if parser.eat(close) {
                    return Some((items, comma));
                }
                if !items.is_empty() && !comma {
                    return None;
                }
                items.push(parser.literal()?);
                parser.blank();
                comma = parser.eat(',');
                if !comma && !parser.rest.starts_with(close) {
                    return None;
                }
                if comma && parser.rest.trim_start().starts_with(close) {
                    parser.blank();
                    parser.eat(close);
                    return Some((items, true));
                }
            }
        })
    }

    /// Reads a map, or a set, which counts as a list.
    fn map(&mut self) -> Option<Value> {
        self.deeper(|parser| {
            parser.eat('{');
            let (mut map, mut set) = (Map::new(), Vec::new());
            loop {
                parser.blank();
                if parser.eat('}') {
                    return Some(if set.is_empty() { Value::Object(map) } else { Value::Array(set) });
                }
                let item = parser.literal()?;
                parser.blank();
                if parser.eat(':') {
                    parser.blank();
                    map.insert(key(item)?, parser.literal()?);
                    parser.blank();
                } else if !set.contains(&item) {
                    set.push(item);
                }
                let comma = parser.eat(',');
                if !(comma || parser.rest.starts_with('}')) || !(map.is_empty() || set.is_empty()) {
                    return None;
                }
            }
        })
    }

    /// Reads adjacent strings, which Python joins.
    fn strings(&mut self) -> Option<Value> {
        let mut text = self.string()?;
        loop {
            let rest = self.rest.trim_start();
            if !rest.starts_with(['\'', '"']) {
                return Some(Value::String(text));
            }
            self.rest = rest;
            text.push_str(&self.string()?);
        }
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.rest.chars().next()?;
        self.eat(quote);
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = self.rest.get(index + c.len_utf8()..)?;
                    return Some(text);
                }
                '\\' => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    c @ ('\\' | '\'' | '"') => text.push(c),
                    // With any other escape the whole value stays text.
                    _ => return None,
                },
                '\n' => return None,
                c => text.push(c),
            }
        }
        None
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> Option<Value> {
        match self.take(|c| c.is_alphanumeric() || c == '_') {
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            "None" => Some(Value::Null),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.rest.starts_with('-');
        // Python's literals have at most one sign.
        if self.eat('-') || self.eat('+') {
            self.blank();
        }
        let rest = self.rest;
        let mut exponent = false;
        let hex =
            rest.len() > 1 && rest.starts_with('0') && rest.as_bytes().get(1).is_some_and(u8::is_ascii_alphabetic);
        let end = rest.find(|c: char| {
            let sign = matches!(c, '+' | '-') && exponent;
            exponent = matches!(c, 'e' | 'E') && !hex;
            !(c.is_ascii_alphanumeric() || c == '_' || c == '.' || sign)
        });
        let (digits, rest) = rest.split_at(end.unwrap_or(rest.len()));
        self.rest = rest;
        let plain = without_underscores(digits)?;
        integer(&plain, negative).or_else(|| float(&plain, negative)).map(Value::Number)
    }
}

/// Returns the key of a map for a literal.
fn key(literal: Value) -> Option<String> {
    match literal {
        Value::String(text) => Some(text),
        Value::Array(_) | Value::Object(_) => None,
        scalar => Some(scalar.to_string()),
    }
}

/// Returns the digits without underscores. An underscore must be between two digits.
fn without_underscores(digits: &str) -> Option<Cow<'_, str>> {
    if !digits.contains('_') {
        return Some(Cow::Borrowed(digits));
    }
    let misplaced = digits.starts_with('_') || digits.ends_with('_') || digits.contains("__");
    let beside_point = digits.contains("_.") || digits.contains("._");
    (!misplaced && !beside_point).then(|| Cow::Owned(digits.replace('_', "")))
}

fn integer(digits: &str, negative: bool) -> Option<Number> {
    let is_decimal = digits.bytes().all(|b| b.is_ascii_digit());
    let decimal = || {
        // A number with a leading zero is no Python literal. It stays text, as a file mode should.
        let zeros = digits.len() > 1 && digits.starts_with('0') && digits.bytes().any(|b| b != b'0');
        (!zeros).then(|| digits.parse().ok()).flatten()
    };
    let magnitude: i128 = if is_decimal { decimal()? } else { based(digits)? };
    let number = if negative { -magnitude } else { magnitude };
    i64::try_from(number).ok().map(Number::from).or_else(|| u64::try_from(number).ok().map(Number::from))
}

/// Returns a number with a prefix that says its base.
fn based(digits: &str) -> Option<i128> {
    let (prefix, digits) = digits.split_at_checked(2)?;
    let radix = match prefix {
        "0x" | "0X" => 16,
        "0o" | "0O" => 8,
        "0b" | "0B" => 2,
        _ => return None,
    };
    i128::from_str_radix(digits, radix).ok()
}

fn float(digits: &str, negative: bool) -> Option<Number> {
    let shaped =
        digits.contains(['.', 'e', 'E']) && digits.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let number: f64 = shaped.then(|| digits.parse().ok()).flatten()?;
    Number::from_f64(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::parse;

    /// The expected values are those of `ast.literal_eval`, or the text where it raises.
    #[test]
    fn a_value_is_a_python_literal_or_text() {
        for (text, expected) in [
            ("8080", json!(8080)),
            ("-5", json!(-5)),
            ("0x1F", json!(31)),
            ("0X1f", json!(31)),
            ("0x", json!("0x")),
            ("0xg", json!("0xg")),
            ("0o17", json!(15)),
            ("0B11", json!(3)),
            ("1_000", json!(1000)),
            ("0755", json!("0755")),
            ("00", json!(0)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("1e-3", json!(0.001)),
            ("1.2.3", json!("1.2.3")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("FALSE", json!("FALSE")),
            ("None", json!(null)),
            ("null", json!("null")),
            ("yes", json!("yes")),
            ("[1,2]", json!([1, 2])),
            ("[1, 'a', ]", json!([1, "a"])),
            ("[1 2]", json!("[1 2]")),
            ("[,]", json!("[,]")),
            ("[]", json!([])),
            ("{'a': 1, 'b': [True]}", json!({"a": 1, "b": [true]})),
            ("{a: 1}", json!("{a: 1}")),
            ("(1, 2)", json!([1, 2])),
            ("(1)", json!(1)),
            ("80,443", json!([80, 443])),
            ("80, 'a', [1]", json!([80, "a", [1]])),
            ("80,", json!([80])),
            ("a,b", json!("a,b")),
            ("80,b", json!("80,b")),
            (",80", json!(",80")),
            ("10.0.0.1,10.0.0.2", json!("10.0.0.1,10.0.0.2")),
            ("{1,2,1}", json!([1, 2])),
            ("{1, 'a': 2}", json!("{1, 'a': 2}")),
            ("{'a': 2, 1}", json!("{'a': 2, 1}")),
            ("{}", json!({})),
            ("--5", json!("--5")),
            ("+-5", json!("+-5")),
            ("- 5", json!(-5)),
            ("+5", json!(5)),
            ("(1,)", json!([1])),
            ("\"quoted\"", json!("quoted")),
            ("'it''s'", json!("its")),
            ("'it\\'s'", json!("it's")),
            ("'open", json!("'open")),
            ("", json!("")),
            (" 5", json!(" 5")),
            ("5 ", json!(5)),
            ("a b", json!("a b")),
            ("/usr/bin", json!("/usr/bin")),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("é", json!("é")),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_stays_text() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(parse(&deep), json!(deep));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[-+0-9a-fxo_.,:\[\](){}'"\\ é]{0,32}"#) {
            parse(&text);
        }
    }
}
