//! The text that replaces a match: `\1`, `\g<1>`, `\g<name>` and escapes, as Python's `re.sub` reads them.

use super::Captures;
use super::Pattern;

/// A replacement for the matches of one pattern.
#[derive(Debug)]
pub struct Replacement(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Group(usize),
}

impl Replacement {
    /// Reads a replacement and checks its groups against the pattern.
    pub fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let wrong = |why: String| format!("invalid replacement `{text}`: {why}");
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            let (plain, escape) = rest.split_at(at);
            parts.push(Part::Text(plain.to_owned()));
            let (part, length) = part(escape, pattern).map_err(wrong)?;
            parts.push(part);
            rest = escape.get(length..).unwrap_or_default();
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// Makes a replacement of a text without escapes.
    pub fn literal(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// Writes the replacement of one match in a text.
    pub fn expand(&self, text: &str, captures: &Captures, out: &mut String) {
        for part in &self.0 {
            out.push_str(match part {
                Part::Text(text) => text,
                Part::Group(number) => captures.text(text, *number).unwrap_or_default(),
            });
        }
    }
}

/// Reads what begins with a backslash, and returns its length.
fn part(escape: &str, pattern: &Pattern) -> Result<(Part, usize), String> {
    let text = |text: &str| Part::Text(text.to_owned());
    let bytes = escape.as_bytes();
    let plain = match bytes.get(1) {
        None => return Err("it ends with a backslash".to_owned()),
        Some(b'g') => return named(escape, pattern),
        Some(b'0') => return octal(escape, 1),
        Some(b'1'..=b'9') => return numbered(escape, pattern),
        Some(b'a') => "\x07",
        Some(b'b') => "\x08",
        Some(b'f') => "\x0c",
        Some(b'n') => "\n",
        Some(b'r') => "\r",
        Some(b't') => "\t",
        Some(b'v') => "\x0b",
        Some(b'\\') => "\\",
        Some(c) if c.is_ascii_alphabetic() => return Err(format!("`\\{}` has no meaning", char::from(*c))),
        // Any other backslash stays.
        Some(_) => return Ok((text("\\"), 1)),
    };
    Ok((text(plain), 2))
}

fn octal(escape: &str, at: usize) -> Result<(Part, usize), String> {
    let digits = escape.bytes().skip(at).take(3).take_while(|c| (b'0'..=b'7').contains(c)).count();
    let value = u32::from_str_radix(escape.get(at..at + digits).unwrap_or_default(), 8);
    let c = value.ok().filter(|value| *value <= 0o377).and_then(char::from_u32);
    let c = c.ok_or("an octal escape must be at most \\377")?;
    Ok((Part::Text(c.to_string()), at + digits))
}

fn numbered(escape: &str, pattern: &Pattern) -> Result<(Part, usize), String> {
    let digits = escape.bytes().skip(1).take(3).take_while(u8::is_ascii_digit).count();
    if digits == 3 && escape.bytes().skip(1).take(3).all(|c| (b'0'..=b'7').contains(&c)) {
        return octal(escape, 1);
    }
    let end = 1 + digits.min(2);
    let number = escape.get(1..end).unwrap_or_default();
    Ok((Part::Group(known(number, pattern)?), end))
}

fn named(escape: &str, pattern: &Pattern) -> Result<(Part, usize), String> {
    let name = escape.strip_prefix("\\g<").and_then(|rest| rest.split_once('>'));
    let (name, _) = name.ok_or("expected a group in angle brackets after `\\g`: `\\g<1>` or `\\g<name>`")?;
    Ok((Part::Group(known(name, pattern)?), "\\g<>".len() + name.len()))
}

/// Returns the number of a group of the pattern.
fn known(name: &str, pattern: &Pattern) -> Result<usize, String> {
    let number = if name.bytes().all(|c| c.is_ascii_digit()) { name.parse().ok() } else { pattern.group(name) };
    number.filter(|number| *number <= pattern.groups()).ok_or_else(|| format!("the pattern has no group `{name}`"))
}
