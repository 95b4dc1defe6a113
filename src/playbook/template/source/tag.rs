//! One tag of a template, or one expression: how it is read and written for the engine.

use super::ATTRIBUTE;
use super::Backslashes;
use super::LIST;
use super::LOOKUP;
use super::MAP;
use super::Name;
use super::OWN;
use super::PERCENT;

use crate::playbook::template::method_names::OF_MAP;

/// How many operators a tag may have.
const OPERATORS: usize = 1000;

/// How deep brackets in a tag may nest.
const NESTING: usize = 100;

/// One step of a lookup.
enum Key<'t> {
    Attribute(&'t str),
    Item(&'t str),
}

/// The text of a tag, while it is read.
pub(super) struct Tag<'t> {
    text: &'t str,
    pub(super) at: usize,
    end: Option<&'t str>,
    backslashes: Backslashes,
    pub(super) prepared: String,
    pub(super) names: Vec<Name>,
    operators: usize,
    nesting: usize,
    /// What the last word or sign was.
    last: Last,
    /// Where the value before the current place begins in the prepared text.
    value: usize,
    /// The open brackets: where the value that they belong to begins, and what closes them.
    brackets: Vec<(usize, &'static str)>,
    /// The nesting of each open call of [`PERCENT`].
    percents: Vec<usize>,
    /// Set before the `=` of a `set`.
    pub(super) sets: bool,
    /// Set after it: a call of [`OWN`] is open.
    owns: bool,
}

/// What the last word or sign of an expression was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// Nothing yet, a comma, a keyword, a sign.
    Other,
    /// A sign before a value.
    Sign,
    /// The operators that bind as `%` does.
    Product,
    Text,
    Value,
}

impl<'t> Tag<'t> {
    pub(super) fn new(text: &'t str, end: Option<&'t str>, backslashes: Backslashes) -> Self {
        Self {
            text,
            at: 0,
            end,
            backslashes,
            prepared: String::new(),
            names: Vec::new(),
            operators: 0,
            nesting: 0,
            last: Last::Other,
            value: 0,
            brackets: Vec::new(),
            percents: Vec::new(),
            sets: false,
            owns: false,
        }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Copies bytes as they are.
    fn take(&mut self, length: usize) {
        let rest = self.rest();
        self.prepared.push_str(rest.get(..length).unwrap_or(rest));
        self.at = (self.at + length).min(self.text.len());
    }

    /// Reads up to and with the end of the tag.
    pub(super) fn expression(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest().chars().next() {
            self.close_percents(false);
            if self.nesting == 0 && self.ends() {
                self.close_percents(true);
                let sign = self.rest().find(self.end.unwrap_or_default()).unwrap_or_default();
                self.take(sign + self.end.map_or(0, str::len));
                return Ok(());
            }
            match c {
                '"' | '\'' => {
                    if self.last == Last::Text {
                        // Texts side by side are one text.
                        self.prepared.push('~');
                    } else {
                        self.begin_value();
                    }
                    self.string();
                    self.last = Last::Text;
                }
                '0'..='9' => {
                    self.begin_value();
                    self.take(number(self.rest()));
                    self.last = Last::Value;
                }
                c if c.is_alphabetic() || c == '_' => self.name()?,
                '.' | '[' if matches!(self.last, Last::Text | Last::Value) && self.looks_up()? => {}
                '.' if matches!(self.last, Last::Text | Last::Value) => {
                    self.operators += 1;
                    self.attributes(self.value);
                }
                '|' => {
                    self.take(1);
                    let name = self.word_after();
                    self.named_by_text(&name);
                    self.names.push(Name::Filter(name));
                    self.last = Last::Value;
                }
                _ => self.sign(c),
            }
            if self.operators > OPERATORS {
                return Err(format!("an expression has more than {OPERATORS} operators"));
            }
            if self.nesting > NESTING {
                return Err(format!("brackets nest more than {NESTING} deep"));
            }
        }
        self.close_percents(true);
        Ok(())
    }

    /// Reports whether the tag ends here.
    fn ends(&self) -> bool {
        let rest = self.rest();
        self.end.is_some_and(|end| {
            let ends = |rest: &str| rest.starts_with(end);
            ends(rest) || rest.strip_prefix(['-', '+']).is_some_and(ends)
        })
    }

    /// Notes that a value begins here.
    fn begin_value(&mut self) {
        if !matches!(self.last, Last::Text | Last::Value | Last::Sign) {
            self.value = if self.last == Last::Product { usize::MAX } else { self.prepared.len() };
        }
    }

    /// Closes the calls of [`PERCENT`] whose last argument is complete.
    fn close_percents(&mut self, end: bool) {
        let tail = self.rest().trim_start();
        let goes_on = tail.starts_with(['.', '[', '(', '|', '"', '\'']) || tail.starts_with("**");
        let is_complete = matches!(self.last, Last::Text | Last::Value) && !goes_on;
        while self.percents.last().is_some_and(|nesting| end || is_complete && *nesting == self.nesting) {
            self.percents.pop();
            self.prepared.push(')');
        }
        if end && std::mem::take(&mut self.owns) {
            self.prepared.push(')');
        }
    }

    /// Copies a string with its quotes.
    fn string(&mut self) {
        let length = string(self.rest());
        if self.backslashes == Backslashes::Escape {
            return self.take(length);
        }
        let text = self.rest().get(..length).unwrap_or_default();
        let quote = text.chars().next();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            self.prepared.push(c);
            if c == '\\' && chars.peek().copied() != quote {
                self.prepared.push('\\');
                // Two backslashes are two, and the second one does not stand before the quote.
                if chars.next_if_eq(&'\\').is_some() {
                    self.prepared.push_str("\\\\");
                }
            }
        }
        self.at += length;
    }

    /// Copies an operator, a bracket or a blank.
    fn sign(&mut self, c: char) {
        match c {
            '(' | '[' | '{' => return self.open(c),
            ')' | ']' | '}' => return self.close(c),
            ',' | ':' => {
                self.last = Last::Other;
                // More than one name gets a value.
                self.sets &= self.nesting > 0;
            }
            '%' if self.value < self.prepared.len() && matches!(self.last, Last::Text | Last::Value) => {
                return self.percent();
            }
            c if c.is_whitespace() => {}
            '+' | '-' if !matches!(self.last, Last::Text | Last::Value) => {
                self.operators += 1;
                self.begin_value();
                self.last = Last::Sign;
                if c == '+' {
                    // The engine knows no sign for positive numbers.
                    self.at += 1;
                    return;
                }
            }
            '=' if self.is_set() => {
                self.take(1);
                self.sets = false;
                self.owns = true;
                self.prepared.push_str(&format!("{OWN}("));
                self.last = Last::Other;
                return;
            }
            c => {
                self.operators += 1;
                let is_product = matches!(c, '*' | '/' | '%');
                self.last = if is_product { Last::Product } else { Last::Other };
            }
        }
        self.take(c.len_utf8());
    }

    fn open(&mut self, c: char) {
        self.nesting += 1;
        if matches!(self.last, Last::Text | Last::Value) {
            // A call or a lookup.
            self.operators += 1;
            self.brackets.push((self.value, ""));
        } else {
            self.begin_value();
            let (before, after) = match c {
                '[' => (LIST, ")"),
                '{' => (MAP, ")"),
                _ => ("", ""),
            };
            self.brackets.push((self.value, after));
            if !before.is_empty() {
                self.prepared.push_str(before);
                self.prepared.push('(');
            }
        }
        self.last = Last::Other;
        self.take(1);
    }

    fn close(&mut self, c: char) {
        while self.percents.last().is_some_and(|nesting| *nesting >= self.nesting && self.nesting > 0) {
            self.percents.pop();
            self.prepared.push(')');
        }
        self.nesting = self.nesting.saturating_sub(1);
        self.take(c.len_utf8());
        if let Some((value, after)) = self.brackets.pop() {
            self.value = value;
            self.prepared.push_str(after);
        }
        self.last = Last::Value;
    }

    /// Writes the call for `%`: what is before it is the first argument.
    fn percent(&mut self) {
        self.operators += 1;
        self.prepared.insert_str(self.value, &format!("{PERCENT}("));
        self.prepared.push(',');
        self.percents.push(self.nesting);
        self.at += 1;
        self.last = Last::Other;
        self.value = usize::MAX;
    }

    /// Copies the name of a filter or test, which may have dots, and returns it without Ansible's own collection.
    fn word_after(&mut self) -> String {
        self.operators += 1;
        let rest = self.rest();
        self.take(rest.len() - rest.trim_start().len());
        let rest = self.rest();
        let full = rest.get(..rest.find(|c: char| !(is_word(c) || c == '.')).unwrap_or(rest.len())).unwrap_or_default();
        let name = short(full);
        self.prepared.push_str(name);
        self.at += full.len();
        name.to_owned()
    }

    /// Copies a name, or prepares the lookup that begins with it.
    fn name(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        let is_operator = matches!(name, "not" | "and" | "or" | "in" | "if" | "else");
        self.operators += usize::from(is_operator);
        if name == "is" {
            self.take(length);
            self.test();
            self.last = Last::Other;
            return Ok(());
        }
        if is_operator || matches!(name, "elif" | "recursive") {
            self.take(length);
            self.last = Last::Other;
            return Ok(());
        }
        self.begin_value();
        let (keys, end) = keys(rest, length);
        self.operators += keys.len();
        self.lookup_name(name, rest.get(length..).unwrap_or_default());
        self.last = Last::Value;
        if looks_up(&keys, rest.get(end..).unwrap_or_default()) {
            self.look_up(name, keys)?;
            self.at += end;
            return Ok(());
        }
        let begin = self.prepared.len();
        self.take(length);
        self.attributes(begin);
        Ok(())
    }

    /// Copies the attributes after the value that begins here. An attribute is no name: `a.b` in `x.a.b` begins no
    /// lookup.
    fn attributes(&mut self, begin: usize) {
        while let Some(attribute) = self.rest().strip_prefix('.') {
            let length = attribute.find(|c| !is_word(c)).unwrap_or(attribute.len());
            let (name, rest) = attribute.split_at(length);
            if rest.starts_with('(') {
                self.names.push(Name::Method(name.to_owned()));
            } else if OF_MAP.contains(&name) && !self.is_set() {
                let value = self.prepared.split_off(begin.min(self.prepared.len()));
                self.prepared.push_str(&format!("{ATTRIBUTE}({value}, \"{name}\")"));
                self.at += 1 + length;
                continue;
            }
            self.take(1 + length);
        }
    }

    /// Reports whether the tag is a `set` before its `=`.
    fn is_set(&self) -> bool {
        self.sets && self.nesting == 0
    }

    /// Notes the filter or test that another filter gets as text: `map('upper')`, `selectattr('a', 'defined')`.
    fn named_by_text(&mut self, filter: &str) {
        let mut rest = self.rest();
        let mut argument = || {
            let quoted = rest.trim_start().strip_prefix(['(', ',']).map(str::trim_start);
            let quoted = quoted.filter(|rest| rest.starts_with(['"', '\'']))?;
            let text = quoted.get(1..string(quoted).saturating_sub(1))?;
            rest = quoted.get(string(quoted)..)?;
            rest.trim_start().starts_with([',', ')']).then(|| short(text).to_owned())
        };
        let name = match filter {
            "map" => argument().map(Name::Filter),
            "select" | "reject" => argument().map(Name::Test),
            "selectattr" | "rejectattr" => argument().and_then(|_| argument()).map(Name::Test),
            _ => None,
        };
        self.names.extend(name);
    }

    /// Notes the name of a lookup plugin: `lookup('env', …)`.
    fn lookup_name(&mut self, function: &str, rest: &str) {
        let argument = rest.strip_prefix('(').filter(|_| matches!(function, "lookup" | "query" | "q"));
        let Some(argument) = argument.map(str::trim_start).filter(|text| text.starts_with(['"', '\''])) else { return };
        let name = argument.get(1..string(argument).saturating_sub(1)).unwrap_or_default();
        if argument.get(string(argument)..).is_some_and(|rest| rest.trim_start().starts_with([',', ')'])) {
            self.names.push(Name::Lookup(short(name).to_owned()));
        }
    }

    /// Copies the name of a test, perhaps after `not`.
    fn test(&mut self) {
        let rest = self.rest().trim_start();
        if rest.strip_prefix("not").is_some_and(|tail| tail.starts_with(char::is_whitespace)) {
            self.take(self.rest().len() - rest.len() + "not".len());
            self.operators += 1;
        }
        let name = self.word_after();
        self.names.push(Name::Test(name));
    }

    /// Prepares the lookup in the value before the current place, if that value may be undefined.
    fn looks_up(&mut self) -> Result<bool, String> {
        let (keys, end) = keys(self.rest(), 0);
        if self.value > self.prepared.len() || !looks_up(&keys, self.rest().get(end..).unwrap_or_default()) {
            return Ok(false);
        }
        self.operators += keys.len();
        let value = self.prepared.split_off(self.value);
        self.look_up(&value, keys)?;
        self.at += end;
        Ok(true)
    }

    /// Writes the call that looks up keys in a value.
    fn look_up(&mut self, name: &str, keys: Vec<Key<'_>>) -> Result<(), String> {
        self.prepared.push_str(&format!("{LOOKUP}({name}"));
        for key in keys {
            match key {
                // As in Jinja, `a.0` is the first item.
                Key::Attribute(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                    self.prepared.push_str(&format!(", {index}"));
                }
                // A name in a list is that of an attribute which may be a method.
                Key::Attribute(attribute) if OF_MAP.contains(&attribute) => {
                    self.prepared.push_str(&format!(", [\"{attribute}\"]"));
                }
                Key::Attribute(attribute) => self.prepared.push_str(&format!(", \"{attribute}\"")),
                Key::Item(item) => {
                    let mut inner = Tag { nesting: self.nesting + 1, ..Tag::new(item, None, self.backslashes) };
                    inner.expression()?;
                    self.prepared.push_str(&format!(", {}", inner.prepared));
                    self.operators += inner.operators;
                    self.names.append(&mut inner.names);
                }
            }
        }
        self.prepared.push(')');
        Ok(())
    }
}

/// Returns the name of a plugin without Ansible's own collection.
pub(in crate::playbook::template) fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(name)
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the length of a string with its quotes.
fn string(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Returns the length of a number.
fn number(text: &str) -> usize {
    let whole = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let tail = text.get(whole..).and_then(|tail| tail.strip_prefix('.'));
    match tail.filter(|tail| tail.starts_with(|c: char| c.is_ascii_digit())) {
        Some(tail) => whole + 1 + tail.find(|c| !is_word(c)).unwrap_or(tail.len()),
        None => whole,
    }
}

/// Reads the keys after a name of this length, and returns where they end.
fn keys(text: &str, mut at: usize) -> (Vec<Key<'_>>, usize) {
    let mut keys = Vec::new();
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let attribute = rest.strip_prefix('.').map(|tail| &tail[..tail.find(|c| !is_word(c)).unwrap_or(tail.len())]);
        if let Some(attribute) = attribute.filter(|attribute| !attribute.is_empty()) {
            keys.push(Key::Attribute(attribute));
            at += 1 + attribute.len();
        } else if let Some(item) = rest.strip_prefix('[').and_then(item) {
            keys.push(Key::Item(item));
            at += item.len() + 2;
        } else {
            return (keys, at);
        }
    }
}

/// Returns the key between brackets, unless it is a slice.
fn item(text: &str) -> Option<&str> {
    let (mut at, mut nesting) = (0, 0_usize);
    while let Some(c) = text.get(at..)?.chars().next() {
        match c {
            '"' | '\'' => {
                at += string(text.get(at..)?);
                continue;
            }
            ']' if nesting == 0 => return text.get(..at).filter(|item| !item.trim().is_empty()),
            ':' | ',' if nesting == 0 => return None,
            '(' | '[' | '{' => nesting += 1,
            ')' | ']' | '}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

/// Reports whether keys before this text become a lookup: the value may be undefined, or an item is called, which may be a
/// method.
fn looks_up(keys: &[Key<'_>], rest: &str) -> bool {
    match keys.last() {
        None => false,
        Some(Key::Item(_)) if rest.starts_with('(') => true,
        Some(_) => allows_undefined(rest),
    }
}

/// Reports whether a lookup before this text may be of an undefined value.
fn allows_undefined(rest: &str) -> bool {
    let word = |text: &str, words: &[&str]| {
        let end = text.find(|c: char| !(is_word(c) || c == '.')).unwrap_or(text.len());
        text.get(..end).is_some_and(|word| words.contains(&word))
    };
    let rest = rest.trim_start();
    if let Some(filter) = rest.strip_prefix('|') {
        return word(filter.trim_start(), &["default", "d"]);
    }
    let Some(test) = rest.strip_prefix("is").filter(|test| test.starts_with(char::is_whitespace)) else { return false };
    let test = test.trim_start();
    let negated = test.strip_prefix("not").filter(|tail| tail.starts_with(char::is_whitespace));
    word(negated.unwrap_or(test).trim_start(), &["defined", "undefined", "callable"])
}
