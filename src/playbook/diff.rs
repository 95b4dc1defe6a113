//! The differences that tasks make, which `--diff` shows: texts and attributes before and after, as in Ansible.

use std::fmt;

use serde_json::Value;

use super::template;
use crate::difference;
use crate::inventory::Vars;

/// The largest file whose content is shown, in bytes.
pub(super) const LIMIT: usize = 104_448;

/// The differences of a task. A result has one, or a list of them.
#[derive(Clone, Default, PartialEq)]
pub enum Diffs {
    /// The task shows no difference.
    #[default]
    None,
    /// One difference.
    One(Box<Diff>),
    /// A list of differences.
    List(Vec<Diff>),
}

/// A difference.
#[derive(Clone, PartialEq)]
pub enum Diff {
    /// What something was, and what it is.
    Change {
        /// What it was.
        before: Side,
        /// What it is.
        after: Side,
    },
    /// A text that a program of the host made.
    Prepared(String),
}

/// What something was, or what it is.
#[derive(Clone, Default, PartialEq)]
pub struct Side {
    /// What stands beside `before` or `after`.
    header: Option<String>,
    content: Content,
}

/// The content of a side.
#[derive(Clone, Default, PartialEq)]
enum Content {
    /// It is not known.
    #[default]
    Unknown,
    /// A text.
    Text(String),
    /// Attributes.
    Attributes(Vars),
    /// A file that is not text.
    Binary,
    /// A file that is too large to be shown.
    Large,
}

impl fmt::Debug for Diffs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The content of a file may be secret.
        f.debug_struct("Diffs").finish_non_exhaustive()
    }
}

impl Side {
    /// Makes a side of a text.
    pub fn text(header: &str, text: impl Into<String>) -> Self {
        Self { header: Some(header.to_owned()), content: Content::Text(text.into()) }
    }

    /// Makes a side of a text without a header.
    pub fn bare(text: impl Into<String>) -> Self {
        Self { header: None, content: Content::Text(text.into()) }
    }

    /// Makes a side of a file's content.
    pub fn file(header: &str, bytes: &[u8]) -> Self {
        if bytes.len() > LIMIT {
            return Self::large();
        }
        if bytes.contains(&0) {
            return Self { header: None, content: Content::Binary };
        }
        Self::text(header, readable(bytes))
    }

    /// Makes the side of a file that is too large.
    pub fn large() -> Self {
        Self { header: None, content: Content::Large }
    }

    /// Makes a side of attributes.
    pub fn attributes(header: Option<String>, attributes: Vars) -> Self {
        let content = if attributes.is_empty() { Content::Unknown } else { Content::Attributes(attributes) };
        Self { header, content }
    }

    /// Adds the side to a result under the names that Ansible uses.
    fn add_to(&self, vars: &mut Vars, name: &str, file: &str) {
        match &self.content {
            Content::Unknown => {}
            Content::Text(text) => _ = vars.insert(name.to_owned(), text.as_str().into()),
            Content::Attributes(attributes) => _ = vars.insert(name.to_owned(), attributes.clone().into()),
            Content::Binary => _ = vars.insert(format!("{file}_binary"), 1.into()),
            Content::Large => _ = vars.insert(format!("{file}_larger"), LIMIT.into()),
        }
        if let Some(header) = &self.header {
            vars.insert(format!("{name}_header"), header.as_str().into());
        }
    }

    /// Returns the text, or the attributes as JSON.
    fn shown(&self) -> Option<String> {
        match &self.content {
            Content::Text(text) => Some(text.clone()),
            Content::Attributes(attributes) => Some(template::to_nice_json(&Value::Object(attributes.clone())) + "\n"),
            Content::Unknown | Content::Binary | Content::Large => None,
        }
    }

    /// Returns why the side cannot be shown.
    fn fault(&self, file: &str) -> Option<String> {
        match self.content {
            Content::Binary => Some(format!("diff skipped: {file} file appears to be binary\n")),
            Content::Large => Some(format!("diff skipped: {file} file size is greater than {LIMIT}\n")),
            _ => None,
        }
    }

    fn heading(&self, name: &str) -> String {
        self.header.as_ref().map_or_else(|| name.to_owned(), |header| format!("{name}: {header}"))
    }
}

impl Diff {
    /// Returns the difference as a result.
    fn to_value(&self) -> Value {
        let mut vars = Vars::new();
        match self {
            Self::Change { before, after } => {
                before.add_to(&mut vars, "before", "dst");
                after.add_to(&mut vars, "after", "src");
            }
            Self::Prepared(text) => _ = vars.insert("prepared".to_owned(), text.as_str().into()),
        }
        vars.into()
    }

    /// Returns the lines that show the difference; none if there is none.
    fn render(&self) -> String {
        match self {
            Self::Change { before, after } => {
                let faults = [before.fault("destination"), after.fault("source")];
                let mut lines: String = faults.into_iter().flatten().collect();
                if let (Some(old), Some(new)) = (before.shown(), after.shown()) {
                    let unified = difference::unified(&old, &new, (&before.heading("before"), &after.heading("after")));
                    lines.extend(unified.map(|lines| lines + "\n"));
                }
                lines
            }
            Self::Prepared(text) if text.is_empty() || text.ends_with('\n') => text.clone(),
            Self::Prepared(text) => format!("{text}\n"),
        }
    }
}

impl Diffs {
    /// Makes one difference.
    pub fn one(before: Side, after: Side) -> Self {
        Self::One(Box::new(Diff::Change { before, after }))
    }

    /// Makes a list with one difference.
    pub fn list(before: Side, after: Side) -> Self {
        Self::List(vec![Diff::Change { before, after }])
    }

    /// Returns the differences as a result, if there are any.
    pub fn to_value(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::One(diff) => Some(diff.to_value()),
            Self::List(diffs) => Some(diffs.iter().map(Diff::to_value).collect()),
        }
    }

    /// Returns the lines that show the differences.
    pub fn render(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::One(diff) => diff.render(),
            Self::List(diffs) => diffs.iter().map(Diff::render).collect(),
        }
    }
}

/// Returns a difference of attributes, with those that are the same before and after.
pub(super) fn of_attributes<const N: usize>(same: &[(&str, Value); N], (before, after): (Vars, Vars)) -> Diffs {
    let [before, after] = [before, after].map(|changed| {
        let same = same.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Side::attributes(None, same.chain(changed).collect())
    });
    Diffs::one(before, after)
}

/// Returns bytes as text, in which a question mark stands for a byte that is none.
pub(super) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}
