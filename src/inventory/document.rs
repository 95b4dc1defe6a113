//! YAML documents in which every key and value has its position, for inventories and playbooks.
//!
//! No other module uses the YAML library. The tag `!vault` marks a closed value. Any other tag than those of YAML itself is
//! an error: a value that is marked as code is never read as plain text.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde_json::Value;
use serde_saphyr::Spanned;
use serde_saphyr::Tagged;

use super::diagnostic::Diagnostic;
use super::diagnostic::Position;
use crate::vault::ClosedValue;
use crate::vault::Keyring;
use crate::vault::is_vault;

/// A value with its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The position.
    pub at: Position,
    /// The value.
    pub content: Content,
    /// Where the text of the value begins in the document, in bytes, if that is known.
    start: Option<usize>,
    /// The tag of the value while the document is read.
    tag: Option<String>,
}

/// The value of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Null, a boolean, a number, text or a closed value.
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
    /// Makes a node of a document in another format.
    pub(super) const fn new(at: Position, content: Content) -> Self {
        Self { at, content, start: None, tag: None }
    }

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

    /// Returns the value of a key, if this is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Self> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|(name, _)| name.text == key).map(|(_, node)| node)
    }

    /// Returns another value at the same position.
    #[must_use]
    pub const fn with(&self, content: Content) -> Self {
        Self::new(self.at, content)
    }

    /// Returns the kind of the value, for messages.
    pub const fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(Value::Object(_)) => "an encrypted value",
            Content::Scalar(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a map",
        }
    }
}

/// Reads the document of a file. An empty file is null. A key that occurs twice in one map is an error.
pub fn read(file: &Path, text: &str) -> Result<Node, Diagnostic> {
    let (node, mut repeated) = read_repeated(file, text)?;
    if repeated.is_empty() { Ok(node) } else { Err(repeated.swap_remove(0)) }
}

/// Reads the document of a file as Ansible does: of a key that occurs twice in one map, the last value counts. Returns a
/// diagnostic for each such key.
pub fn read_repeated(file: &Path, text: &str) -> Result<(Node, Vec<Diagnostic>), Diagnostic> {
    if is_vault(text) {
        Keyring::default().decrypt(text).map_err(|error| Diagnostic::of_vault(file, &error))?;
    }
    if text.lines().all(|line| matches!(line.trim(), "" | "---" | "...") || line.trim_start().starts_with('#')) {
        let content = Content::Scalar(Value::Null);
        return Ok((Node::new(Position::new(1, 1), content), Vec::new()));
    }
    let options = serde_saphyr::options! {
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
    };
    let read = serde_saphyr::from_str_with_options::<Node>(text, options);
    let mut node = read.map_err(|error| explain(file, text, &error))?;
    obey_tags(&mut node, (file, text))?;
    keep_text(&mut node, text, is_json(text));
    let mut repeated = Vec::new();
    keep_last(&mut node, &mut |at, what| repeated.push(Diagnostic::new(file, at, what)));
    Ok((node, repeated))
}

/// Reports whether a text is JSON. Ansible reads JSON as JSON and not as YAML.
fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<de::IgnoredAny>(text).is_ok()
}

/// Makes closed values of those with the tag `!vault`, and of the maps that `ansible-inventory` prints for them. Any other
/// tag that YAML does not define is an error.
fn obey_tags(node: &mut Node, (file, text): (&Path, &str)) -> Result<(), Diagnostic> {
    let place = |at: Position| format!("{}:{}:{}", file.display(), at.line, at.column);
    if let Some(tag) = node.tag.take().filter(|tag| !is_of_yaml(tag)) {
        let at = tag_position(text, node, &tag).unwrap_or(node.at);
        let vault = node.text().filter(|_| VAULT_TAGS.contains(&tag.as_str()));
        let closed = vault.map(|vault| ClosedValue::at(vault, place(at)));
        node.content = Content::Scalar(closed.ok_or_else(|| tag_fault(file, at, node, &tag))?);
    }
    match &mut node.content {
        Content::List(items) => items.iter_mut().try_for_each(|item| obey_tags(item, (file, text)))?,
        Content::Map(entries) => entries.iter_mut().try_for_each(|(_, node)| obey_tags(node, (file, text)))?,
        Content::Scalar(_) => {}
    }
    let only = match &node.content {
        Content::Map(entries) => entries.first().filter(|(_, node)| entries.len() == 1 && node.text().is_some()),
        _ => None,
    };
    let only = only.map(|(key, node)| Value::Object([(key.text.clone(), node.value())].into_iter().collect()));
    if let Some(closed) = only.as_ref().and_then(ClosedValue::of) {
        node.content = Content::Scalar(ClosedValue::at(closed.vault, place(node.at)));
    }
    Ok(())
}

/// The tags of closed values.
const VAULT_TAGS: [&str; 2] = ["!vault", "!vault-encrypted"];

/// Reports whether YAML defines a tag, whose value the library has read accordingly.
fn is_of_yaml(tag: &str) -> bool {
    let known = ["binary", "bool", "float", "int", "map", "null", "seq", "str", "timestamp"];
    tag == "!" || tag.strip_prefix("tag:yaml.org,2002:").is_some_and(|name| known.contains(&name))
}

/// Returns the position of the tag of a node. The library reports that of the value, which may begin on the line after it.
fn tag_position(text: &str, node: &Node, tag: &str) -> Option<Position> {
    let before = text.get(..node.start?)?;
    let at = before.rfind(tag)?;
    let (head, tail) = (before.get(..at)?, before.get(at..)?);
    let line = node.at.line.checked_sub(tail.matches('\n').count() as u64)?;
    let column = head.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    // A node that an alias refers to has the position of the alias.
    let written = text.lines().nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
    written.contains(tag).then_some(Position::new(line, column))
}

/// Makes the diagnostic of a tag.
fn tag_fault(file: &Path, at: Position, node: &Node, tag: &str) -> Diagnostic {
    if VAULT_TAGS.contains(&tag) {
        let error = Diagnostic::new(file, at, format!("`{tag}` needs the text of a vault, not {}", node.kind()));
        return error.hint("`muster vault encrypt-string` makes it.");
    }
    let error = Diagnostic::new(file, at, format!("muster does not know the tag `{tag}`"));
    if tag == "!unsafe" {
        return error.hint("Write `{% raw %}` before the text and `{% endraw %}` after it.");
    }
    error
}

/// Turns values back into text that are text for Ansible, which reads YAML 1.1: `y`, `1e3`, `0o644`. Integers of more
/// than 64 bits become text too, so that they keep their digits.
fn keep_text(node: &mut Node, text: &str, json: bool) {
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| keep_text(item, text, json)),
        Content::Map(entries) => entries.iter_mut().for_each(|(_, node)| keep_text(node, text, json)),
        Content::Scalar(value) => {
            let written = node.start.and_then(|start| text.get(start..)).unwrap_or_default();
            let end = written.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')));
            let word = written.get(..end.unwrap_or(written.len())).unwrap_or_default();
            let is_text = match value {
                Value::Bool(_) => !json && matches!(word, "y" | "Y" | "n" | "N"),
                Value::Number(number) => !is_number(word, number.is_f64(), json),
                _ => false,
            };
            if is_text {
                *value = Value::String(word.to_owned());
            }
        }
    }
}

/// Reports whether a word that was read as a number, a float or not, is that number for Ansible too.
fn is_number(word: &str, float: bool, json: bool) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        // The place is that of an anchor or an alias.
        return true;
    }
    if !float {
        return !digits.starts_with("0o");
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "+"));
    json || (mantissa.contains('.') && exponent.starts_with(['+', '-']))
}

/// Removes all but the last value of each key, and reports the keys that occur more than once.
fn keep_last(node: &mut Node, report: &mut dyn FnMut(Position, String)) {
    match &mut node.content {
        Content::List(items) => items.iter_mut().for_each(|item| keep_last(item, report)),
        Content::Map(entries) => {
            let mut places: HashMap<String, usize> = HashMap::new();
            let mut kept: Vec<(Key, Node)> = Vec::new();
            for (key, value) in std::mem::take(entries) {
                if let Some(before) = places.get(&key.text).and_then(|place| kept.get_mut(*place)) {
                    let line = before.0.at.line;
                    report(key.at, format!("the key `{}` occurs twice, first in line {line}", key.text));
                    *before = (key, value);
                } else {
                    places.insert(key.text.clone(), kept.len());
                    kept.push((key, value));
                }
            }
            *entries = kept;
            for (_, node) in entries {
                keep_last(node, report);
            }
        }
        Content::Scalar(_) => {}
    }
}

fn explain(file: &Path, text: &str, error: &serde_saphyr::Error) -> Diagnostic {
    let at = error.location().map_or_else(Position::default, position);
    let message = error.to_string();
    // The library repeats the position at the end of its message.
    let message = message.split(" at line ").next().unwrap_or_default().lines().next().unwrap_or_default();
    for (part, what, hint) in KNOWN_MESSAGES {
        if message.contains(part) {
            return Diagnostic::new(file, at, what).hint(hint);
        }
    }
    let diagnostic = Diagnostic::new(file, at, message);
    let line = at.line.checked_sub(1).and_then(|line| text.lines().nth(usize::try_from(line).ok()?));
    let line = line.unwrap_or_default();
    if line.contains(": {{") {
        return diagnostic.hint("A value that starts with `{{` must be quoted: `key: \"{{ name }}\"`.");
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return diagnostic.hint("Indent with spaces: YAML does not allow tabs.");
    }
    diagnostic
}

/// Parts of the library's messages that are about the library, with the text and the hint that are shown instead.
const KNOWN_MESSAGES: [(&str, &str, &str); 3] = [
    (
        "multiple YAML documents",
        "the file has more than one YAML document",
        "Remove the lines `---` but the first, or split the file.",
    ),
    ("null into string", "a key is null", "Give the key a name, or write it in quotes."),
    ("non-finite float", "`.inf` and `.nan` are not supported", "Write the value in quotes if it is text."),
];

fn position(location: serde_saphyr::Location) -> Position {
    Position::new(location.line(), location.column())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Tagged<Content>>::deserialize(deserializer)?;
        let start = spanned.defined.span().byte_offset().and_then(|start| start.try_into().ok());
        let Tagged(content, tag) = spanned.value;
        Ok(Self { at: position(spanned.referenced), content, start, tag })
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

    fn visit_i128<E>(self, value: i128) -> Result<Content, E> {
        #[expect(clippy::cast_precision_loss, reason = "`keep_text` restores the digits")]
        Ok(Content::Scalar((value as f64).into()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Content, E> {
        #[expect(clippy::cast_precision_loss, reason = "`keep_text` restores the digits")]
        Ok(Content::Scalar((value as f64).into()))
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
        while let Some(key) = entries.next_key::<Spanned<Tagged<String>>>()? {
            let Tagged(text, tag) = key.value;
            if let Some(tag) = tag.filter(|tag| !is_of_yaml(tag)) {
                return Err(de::Error::custom(format!("muster does not know the tag `{tag}` of a key")));
            }
            map.push((Key { at: position(key.referenced), text }, entries.next_value()?));
        }
        Ok(Content::Map(map))
    }
}
