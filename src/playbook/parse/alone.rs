//! Tasks by themselves: which of them muster could run, without the files, roles and handlers that they name.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Options;
use super::Parser;
use super::import::short;
use super::task::is_task_key;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::modules::ModuleRef;
use crate::playbook::play::Origin;
use crate::playbook::settings::Settings;

/// The lists of tasks in a play.
const SECTIONS: [&str; 4] = ["pre_tasks", "tasks", "post_tasks", "handlers"];

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of plays.
    Playbook,
    /// A list of tasks, or of handlers.
    Tasks,
}

/// A task by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alone {
    /// The place in the file.
    pub at: Position,
    /// Why muster cannot run it, if it cannot.
    pub fault: Option<String>,
}

/// Returns what a document is; `None` if it has neither plays nor tasks.
pub fn kind(document: &Node) -> Option<Kind> {
    let Content::List(entries) = &document.content else { return None };
    let has = |is_sought: &dyn Fn(&str) -> bool| {
        let keys = entries.iter().filter_map(|entry| match &entry.content {
            Content::Map(entries) => Some(entries.iter().map(|(key, _)| key.text.as_str())),
            _ => None,
        });
        keys.flatten().any(is_sought)
    };
    let begins_play = |key: &str| matches!(short(key), "hosts" | "import_playbook");
    let is_of_task = |key: &str| {
        let is_import = matches!(short(key), "block" | "import_tasks" | "import_role" | "include");
        is_import || ModuleRef::named(key).is_some() || (key != "name" && key != "vars" && is_task_key(key))
    };
    if has(&begins_play) { Some(Kind::Playbook) } else { has(&is_of_task).then_some(Kind::Tasks) }
}

/// Tries each task of a document by itself. A task in a block is refused if the block is.
pub fn read(file: &Path, document: &Node, kind: Kind) -> Vec<Alone> {
    let found = RefCell::default();
    let options = Options::default();
    let nothing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let parser = Parser {
        file: file.into(),
        options: &options,
        read_file: &nothing,
        folder: PathBuf::new(),
        origin: Arc::new(Origin::default()),
        found: &found,
        depth: 0,
    };
    let mut tasks = Vec::new();
    match kind {
        Kind::Tasks => parser.each(document, None, &mut tasks),
        Kind::Playbook => {
            let Content::List(plays) = &document.content else { return tasks };
            let sections = plays.iter().flat_map(|play| SECTIONS.map(|section| play.entry(section)));
            sections.flatten().for_each(|section| parser.each(section, None, &mut tasks));
        }
    }
    tasks
}

impl Parser<'_> {
    /// Tries each task of a list. `outer` is why the block around them cannot run.
    fn each(&self, list: &Node, outer: Option<&str>, tasks: &mut Vec<Alone>) {
        let Content::List(entries) = &list.content else { return };
        for entry in entries {
            let keys = match &entry.content {
                Content::Map(keys) => &keys[..],
                _ => &[],
            };
            if keys.iter().any(|(key, _)| key.text == "block") {
                let fault = self.block_alone(keys).err().map(|error| error.what);
                let parts = keys.iter().filter(|(key, _)| matches!(key.text.as_str(), "block" | "rescue" | "always"));
                parts.for_each(|(_, part)| self.each(part, outer.or(fault.as_deref()), tasks));
            } else {
                let fault = || self.task_alone(entry, keys).err().map(|error| error.what);
                tasks.push(Alone { at: entry.at, fault: outer.map(str::to_owned).or_else(fault) });
            }
        }
    }

    /// Checks a block without its tasks.
    fn block_alone(&self, keys: &[(Key, Node)]) -> Result<(), Diagnostic> {
        let is_own = |(key, _): &&(Key, Node)| !matches!(key.text.as_str(), "block" | "rescue" | "always");
        let own: Vec<(Key, Node)> = keys.iter().filter(is_own).cloned().collect();
        self.block(&own, Settings::default()).map(drop)
    }

    fn task_alone(&self, entry: &Node, keys: &[(Key, Node)]) -> Result<(), Diagnostic> {
        if self.import_target(entry, &Settings::default())?.is_none() {
            self.task(entry, keys, &Settings::default())?;
        }
        Ok(())
    }
}
