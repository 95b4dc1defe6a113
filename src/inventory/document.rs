//! YAML documents in which every key and value has its position, for inventories and playbooks.
//!
//! No other module uses the YAML library. Tags are errors: a value that is marked as secret or as code is never read as
//! plain text.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::diagnostic::Diagnostic;
use super::diagnostic::Position;

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The position.
    pub at: Position,
    /// The value.
    pub content: Content,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Null, a boolean, a number or text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file. No key occurs twice.
    Map(Vec<(Key, Node)>),
}

/// A map's key with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The position.
    pub at: Position,
    /// The text.
    pub text: String,
}

impl Node {
    /// Returns the value without positions.
    pub fn value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => items.iter().map(Self::value).collect(),
            Content::Map(entries) => {
                Value::Object(entries.iter().map(|(key, node)| (key.text.clone(), node.value())).collect())
            }
        }
    }

    /// Reports whether the value is null, or missing.
    pub const fn is_null(&self) -> bool {
        matches!(self.content, Content::Scalar(Value::Null))
    }

    /// Returns the text, if it is text.
    pub const fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text.as_str()),
            _ => None,
        }
    }

    /// Returns the kind of the value, for messages.
    pub const fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// Reads the document of a file. An empty file is null.
pub fn read(file: &Path, text: &str) -> Result<Node, Diagnostic> {
    if text.starts_with("$ANSIBLE_VAULT") {
        return Err(Diagnostic::new(
            file,
            Position::new(1, 1),
            "the file is encrypted with Ansible Vault, which muster cannot open",
        )
        .hint("Decrypt it first (`ansible-vault decrypt`), or keep the secret on the hosts."));
    }
    if text.lines().all(|line| matches!(line.trim(), "" | "---" | "...") || line.trim_start().starts_with('#')) {
        return Ok(Node { at: Position::new(1, 1), content: Content::Scalar(Value::Null) });
    }
    let options = serde_saphyr::options! {
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let read = serde_saphyr::from_str_with_options::<Node>(text, options);
    let lines: Vec<&str> = text.lines().collect();
    let mut node = read.map_err(|error| explain(file, &lines, &error))?;
    keep_letters(&mut node, &lines);
    Ok(node)
}

/// Turns `y` and `n` back into text: unlike `yes` and `no` they are no booleans for Ansible.
fn keep_letters(node: &mut Node, lines: &[&str]) {
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| keep_letters(item, lines)),
        Content::Map(entries) => entries.iter_mut().for_each(|(_, node)| keep_letters(node, lines)),
        Content::Scalar(value @ Value::Bool(_)) => {
            let column = usize::try_from(node.at.column).unwrap_or(1).saturating_sub(1);
            let mut chars = line(lines, node.at).chars().skip(column);
            let letter = chars.next().filter(|c| "yYnN".contains(*c));
            if let Some(letter) = letter.filter(|_| !chars.next().is_some_and(char::is_alphanumeric)) {
                *value = Value::String(letter.to_string());
            }
        }
        Content::Scalar(_) => {}
    }
}

/// Returns the line of a position.
fn line<'a>(lines: &[&'a str], at: Position) -> &'a str {
    let line = usize::try_from(at.line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
    line.copied().unwrap_or_default()
}

fn explain(file: &Path, lines: &[&str], error: &serde_saphyr::Error) -> Diagnostic {
    let at = error.location().map_or_else(Position::default, position);
    let message = error.to_string();
    // The library repeats the position at the end of its message.
    let message = message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default();
    if message.contains("tag") {
        // The library reports the position of the value, which may begin on the line after its tag.
        let numbered = (1..).zip(lines).take_while(|(number, _)| *number <= at.line);
        let marked = numbered.filter_map(|(number, line)| Some((number, line.split_once("!vault")?.0)));
        if let Some((number, before)) = marked.last() {
            let at = Position::new(number, before.chars().count() as u64 + 1);
            return Diagnostic::new(file, at, "`!vault` marks an encrypted value, which muster cannot open")
                .hint("Decrypt it first (`ansible-vault decrypt`), or keep the secret on the hosts.");
        }
    }
    let diagnostic = Diagnostic::new(file, at, message);
    let line = line(lines, at);
    if line.contains(": {{") {
        return diagnostic.hint("A value that starts with `{{` must be quoted: `key: \"{{ name }}\"`.");
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return diagnostic.hint("Indent with spaces: YAML does not allow tabs.");
    }
    diagnostic
}

fn position(location: serde_saphyr::Location) -> Position {
    Position::new(location.line(), location.column())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { at: position(spanned.referenced), content: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<Content, A::Error> {
        let mut map = Vec::new();
        // A key is always text: `y` is no boolean here.
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            map.push((Key { at: position(key.referenced), text: key.value }, entries.next_value()?));
        }
        Ok(Content::Map(map))
    }
}
