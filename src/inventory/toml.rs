//! TOML inventories. They have the groups of YAML inventories, but `children` is a list of names.

use std::path::Path;

use ::toml::Spanned;
use ::toml::de::DeTable;
use ::toml::de::DeValue;
use serde_json::Value;

use super::builder::InventoryBuilder;
use super::diagnostic::Diagnostic;
use super::diagnostic::Position;
use super::document::Content;
use super::document::Key;
use super::document::Node;
use super::yaml;
use super::yaml::Words;

/// The words for an error in a TOML file.
const TOML: Words = Words {
    map: "a table",
    instead_of_list: "Write a table, such as `hosts = { web1 = {} }` or `[GROUP.hosts.web1]`.",
};

/// Adds the hosts, groups and variables of a TOML file to the builder.
pub(super) fn read(file: &Path, text: &str, builder: &mut InventoryBuilder) -> Result<(), Diagnostic> {
    let reader = Reader { file, text, lines: line_starts(text) };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or_else(Position::default, |span| reader.position(span.start));
        Diagnostic::new(file, at, error.message().lines().next().unwrap_or_default())
    })?;
    let mut groups = reader.entries(table.get_ref())?;
    for (_, group) in &mut groups {
        let Content::Map(sections) = &mut group.content else { continue };
        for (_, children) in sections.iter_mut().filter(|(key, _)| key.text == "children") {
            *children = reader.children(children)?;
        }
    }
    yaml::read_groups(file, &Node::new(Position::new(1, 1), Content::Map(groups)), TOML, builder)
}

/// Returns where each line begins.
fn line_starts(text: &str) -> Vec<usize> {
    [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

struct Reader<'t> {
    file: &'t Path,
    text: &'t str,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
}

impl Reader<'_> {
    fn position(&self, at: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= at);
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line)).copied().unwrap_or_default();
        let column = self.text.get(start..at).unwrap_or_default().chars().count() + 1;
        Position::new(line as u64, column as u64)
    }

    fn error(&self, at: usize, what: &str) -> Diagnostic {
        Diagnostic::new(self.file, self.position(at), what)
    }

    /// Returns the entries of a table in the order of the file.
    fn entries(&self, table: &DeTable<'_>) -> Result<Vec<(Key, Node)>, Diagnostic> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&Spanned<std::borrow::Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            let text = key.get_ref().clone().into_owned();
            Ok((Key { at: self.position(key.span().start), text }, self.node(value)?))
        };
        entries.into_iter().map(entry).collect()
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Result<Node, Diagnostic> {
        let at = value.span().start;
        let content = match value.get_ref() {
            DeValue::String(text) => Content::Scalar(text.as_ref().into()),
            DeValue::Boolean(flag) => Content::Scalar((*flag).into()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                Content::Scalar(number.map_err(|_| self.error(at, "the number has more than 64 bits"))?.into())
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                let number = number.ok_or_else(|| self.error(at, "`inf` and `nan` are not supported"))?;
                Content::Scalar(Value::Number(number))
            }
            DeValue::Datetime(time) => {
                let time = time.to_string();
                // As Python writes it.
                Content::Scalar(time.strip_suffix('Z').map_or(time.clone(), |time| format!("{time}+00:00")).into())
            }
            DeValue::Array(items) => Content::List(items.iter().map(|item| self.node(item)).collect::<Result<_, _>>()?),
            DeValue::Table(table) => Content::Map(self.entries(table)?),
        };
        Ok(Node::new(self.position(at), content))
    }

    /// Returns the children of a group as YAML has them: a map.
    fn children(&self, node: &Node) -> Result<Node, Diagnostic> {
        let wrong = |node: &Node| {
            let what = format!("`children` must be a list of names, and this is {}", node.kind());
            Diagnostic::new(self.file, node.at, what)
        };
        let Content::List(names) = &node.content else { return Err(wrong(node)) };
        let child = |name: &Node| {
            let key = Key { at: name.at, text: name.text().ok_or_else(|| wrong(name))?.to_owned() };
            Ok((key, name.with(Content::Scalar(Value::Null))))
        };
        Ok(node.with(Content::Map(names.iter().map(child).collect::<Result<_, Diagnostic>>()?)))
    }
}
