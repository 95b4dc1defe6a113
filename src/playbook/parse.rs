//! The playbook parser: YAML in, typed plays out. An unknown key is an error and is never ignored.

pub mod alone;
mod arguments;
mod import;
mod include;
mod options;
mod play;
mod task;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::play::Node as PlayNode;
use super::play::Origin;
use super::play::Play;
use super::play::Playbook;
use super::play::RoleNames;
use super::settings::Settings;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::diagnostic::did_you_mean;
use crate::inventory::document;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
pub use include::Included;
pub use include::include;
pub use options::Gathering;
pub use options::Options;

/// Returns the text of a file that a playbook names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// The largest file of tasks or variables, in bytes.
const FILE_LIMIT: u64 = 16 << 20;

/// Reads a file of tasks or variables.
pub fn read_file(path: &Path) -> io::Result<String> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if meta.len() > FILE_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is larger than {} MiB", FILE_LIMIT >> 20)));
    }
    std::fs::read_to_string(path)
}

/// Reads a playbook, and the files of tasks, roles and playbooks that it imports.
pub fn read(file: &Path, text: &str, read_file: ReadFile<'_>, options: &Options) -> Result<Playbook, Diagnostic> {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let origin = import::of_playbook(&folder);
    let found = RefCell::default();
    let parser = Parser { file: file.into(), read_file, folder, options, origin, found: &found, depth: 0 };
    let text = parser.opened(file, text.to_owned())?;
    let plays = parser.plays(&text, &options.settings)?;
    Ok(Playbook { file: file.to_owned(), plays })
}

/// Checks the templates in the value of a key.
fn check_templates(file: &Path, key: &str, node: &Node) -> Result<(), Diagnostic> {
    match &node.content {
        Content::List(items) => items.iter().try_for_each(|item| check_templates(file, key, item)),
        Content::Map(entries) => entries.iter().try_for_each(|(inner, node)| check_templates(file, &inner.text, node)),
        Content::Scalar(Value::String(text)) => super::template::check_text(text)
            .map_err(|detail| Diagnostic::new(file, node.at, format!("`{key}`: {detail}"))),
        Content::Scalar(_) => Ok(()),
    }
}

/// What the roles of a play bring into it, and what was read already.
#[derive(Default)]
struct Found {
    handlers: Vec<PlayNode>,
    /// The handlers of roles that tasks import.
    imported: Vec<PlayNode>,
    defaults: Vars,
    vars: Vars,
    /// The names of the roles that the play lists.
    names: RoleNames,
    /// The roles that run once in a play, with their parameters, variables, conditions and tags.
    once: Vec<(PathBuf, Vars, Settings)>,
    /// The handlers of roles that the play includes while it runs.
    later: Vec<PlayNode>,
    /// Set if the play includes roles or files whose names are templates.
    is_open: bool,
    /// The included files that were checked.
    checked: BTreeSet<PathBuf>,
}

/// Reads one file. The files that it imports have parsers of their own.
struct Parser<'a> {
    file: Arc<Path>,
    read_file: ReadFile<'a>,
    /// The folder of the playbook.
    folder: PathBuf,
    options: &'a Options,
    /// Where the tasks of the file come from.
    origin: Arc<Origin>,
    found: &'a RefCell<Found>,
    /// How many files import this one.
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, at: Position, what: impl Into<String>) -> Diagnostic {
        Diagnostic::new(&self.file, at, what)
    }

    /// Opens the text of a file if it is encrypted and there is a password.
    fn opened(&self, path: &Path, text: String) -> Result<String, Diagnostic> {
        if self.options.vault.passwords().is_empty() {
            return Ok(text);
        }
        let bytes = self.options.vault.open_file(text.into_bytes());
        let bytes = bytes.map_err(|error| Diagnostic::of_vault(path, &error))?;
        String::from_utf8(bytes)
            .map_err(|_| Diagnostic::new(path, Position::default(), "the content of the vault is not UTF-8 text"))
    }

    /// Reads the plays of a playbook file.
    fn plays(&self, text: &str, inherited: &Settings) -> Result<Vec<Play>, Diagnostic> {
        let document = document::read(&self.file, text)?;
        let mut plays = Vec::new();
        match &document.content {
            Content::List(entries) if !entries.is_empty() => {
                for entry in entries {
                    match self.import_playbook(entry, inherited)? {
                        Some(imported) => plays.extend(imported),
                        None => plays.push(self.play(entry, inherited)?),
                    }
                }
            }
            Content::List(_) => return Err(self.error(document.at, "a playbook must have at least one play")),
            _ if document.is_null() => return Err(self.error(document.at, "the playbook is empty")),
            _ => {
                let what = format!("a playbook must be a list of plays, not {}", document.kind());
                return Err(self.error(document.at, what).hint("Begin each play with `- hosts: PATTERN`."));
            }
        }
        Ok(plays)
    }

    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Key, Node)], Diagnostic> {
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ => Err(self.error(node.at, format!("{what} must be a map, not {}", node.kind()))),
        }
    }

    fn list<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [Node], Diagnostic> {
        match &node.content {
            Content::List(items) => Ok(items),
            _ if node.is_null() => Ok(&[]),
            _ => Err(self.error(node.at, format!("{what} must be a list, not {}", node.kind()))),
        }
    }

    fn text(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        match &node.content {
            Content::Scalar(Value::String(text)) => Ok(text.clone()),
            Content::Scalar(value @ Value::Number(_)) => Ok(value.to_string()),
            _ => Err(self.error(node.at, format!("`{}` must be text, not {}", key.text, node.kind()))),
        }
    }

    /// Reads one text or a list of them.
    fn texts(&self, key: &Key, node: &Node) -> Result<Vec<String>, Diagnostic> {
        match &node.content {
            Content::List(items) => items.iter().map(|item| self.text(key, item)).collect(),
            _ => Ok(vec![self.text(key, node)?]),
        }
    }

    fn flag(&self, key: &Key, node: &Node) -> Result<bool, Diagnostic> {
        match &node.content {
            Content::Scalar(Value::Bool(flag)) => Ok(*flag),
            _ => Err(self.error(node.at, format!("`{}` must be true or false, not {}", key.text, node.kind()))),
        }
    }

    /// Reads an expression, or a list of expressions that must all hold.
    fn conditions(&self, key: &Key, node: &Node) -> Result<Vec<String>, Diagnostic> {
        let condition = |node: &Node| {
            if let Content::Scalar(Value::Bool(flag)) = &node.content {
                return Ok(flag.to_string());
            }
            let text = self.text(key, node)?;
            // Ansible takes a condition that is one whole template as the expression in it.
            let whole = text.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            let text = whole.map_or(text.as_str(), str::trim).to_owned();
            if text.contains("{{") {
                let error = self.error(node.at, format!("`{}` is an expression already", key.text));
                return Err(error.hint("Write it without `{{ }}`."));
            }
            super::template::check(&text).map_err(|detail| self.error(node.at, format!("`{}`: {detail}", key.text)))?;
            Ok(text)
        };
        match &node.content {
            Content::List(items) => items.iter().map(condition).collect(),
            _ => Ok(vec![condition(node)?]),
        }
    }

    /// Makes a diagnostic of a key of Ansible's that muster does not implement.
    fn unsupported(&self, what: &str, key: &Key) -> Diagnostic {
        let mut error = self.error(key.at, format!("muster does not implement `{}` of {what}", key.text));
        error.is_unimplemented = true;
        error.hint("Remove it, or run this playbook with ansible-playbook.")
    }

    fn unknown(&self, what: &str, key: &Key, known: &[&str]) -> Diagnostic {
        let mut error = self.error(key.at, format!("{what} has no `{}`", key.text));
        let similar = did_you_mean(&key.text, known.iter().copied());
        error.is_unimplemented = similar.is_none();
        error.hint = similar.or_else(|| Some(format!("The known keys are {}.", known.join(", "))));
        error
    }

    /// Checks the templates in a value: their syntax, and the names of filters, tests, methods and lookups.
    fn check_templates(&self, key: &Key, node: &Node) -> Result<(), Diagnostic> {
        check_templates(&self.file, &key.text, node)
    }

    fn vars(&self, node: &Node) -> Result<Vars, Diagnostic> {
        if node.is_null() {
            return Ok(Vars::new());
        }
        let entries = self.map(node, "`vars`")?;
        Ok(entries.iter().map(|(key, value)| (key.text.clone(), value.value())).collect())
    }
}
