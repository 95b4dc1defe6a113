//! Includes: files of tasks and roles that are read while the play runs. Those whose names are no templates are checked
//! before it begins.

use std::cell::RefCell;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Found;
use super::Options;
use super::Parser;
use super::ReadFile;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::playbook::include::Include;
use crate::playbook::include::RoleFiles;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Shared;
use crate::playbook::play::Task;
use crate::playbook::settings::Settings;
use crate::playbook::template;

/// What a task has included.
#[derive(Debug, Clone, PartialEq)]
pub struct Included {
    /// The file or the role, as it is printed.
    pub title: String,
    /// The tasks.
    pub nodes: Arc<[PlayNode]>,
    /// What the tasks after it can use too.
    pub shared: Shared,
}

/// Reads what a task includes. `folder` is that of the playbook.
pub fn include(
    (folder, options): (&Path, &Options),
    task: &Task,
    what: &Include,
    read_file: ReadFile<'_>,
) -> Result<Included, Diagnostic> {
    let found = RefCell::default();
    let Some(including) = &task.including else {
        return Err(Diagnostic::new(folder, task.at, "the task includes nothing"));
    };
    let (file, origin) = (Arc::clone(&task.file), Arc::clone(&task.origin));
    let (folder, found, depth) = (folder.to_owned(), &found, including.depth);
    let parser = Parser { file, read_file, folder, options, origin, found, depth };
    let (path, nodes) = match parser.target(what)? {
        Some(target) => {
            let path = target.path().to_owned();
            (path, parser.included(task.at, target, &including.settings)?)
        }
        None => return Err(parser.no_target(task.at, what)),
    };
    let mut found = found.take();
    let title = match what {
        Include::Tasks(_) => path.display().to_string(),
        Include::Role { name, public, .. } => {
            if !public {
                (found.defaults, found.vars) = (Vars::new(), Vars::new());
            }
            name.clone()
        }
    };
    let handlers = found.imported.into_iter().chain(found.handlers).collect();
    let shared = Shared { handlers, defaults: found.defaults.into(), vars: found.vars.into() };
    Ok(Included { title, nodes: nodes.into(), shared })
}

/// A file or a role that exists.
enum Target<'i> {
    /// A file and its text.
    Tasks(PathBuf, String),
    /// A role, its files and its folder.
    Role(&'i str, &'i RoleFiles, PathBuf),
}

impl Target<'_> {
    fn path(&self) -> &Path {
        let (Self::Tasks(path, _) | Self::Role(.., path)) = self;
        path
    }
}

impl Parser<'_> {
    /// Checks what a task includes, unless its name is a template. A file that does not exist yet is no error: the task
    /// may never run. Nor is a module that muster does not have, if the task has a condition, such as the distribution.
    pub(super) fn check_include(&self, task: &Task) -> Result<(), Diagnostic> {
        let Some(including) = &task.including else { return Ok(()) };
        if task.args.values().any(template::has_template) {
            self.found.borrow_mut().is_open = true;
            return Ok(());
        }
        let what = Include::of(task.module.name(), &task.args);
        let what = what.map_err(|why| self.error(task.at, format!("`{}`: {why}", task.module.name())))?;
        let Some(target) = self.target(&what)? else {
            self.found.borrow_mut().is_open = true;
            return Ok(());
        };
        let is_new = self.found.borrow_mut().checked.insert(target.path().to_owned());
        if !is_new {
            return Ok(());
        }
        // What it brings comes into the play only when the task runs.
        let checked = std::mem::take(&mut self.found.borrow_mut().checked);
        let outer = self.found.replace(Found { checked, ..Found::default() });
        let read = self.included(task.at, target, &including.settings);
        let inner = self.found.replace(outer);
        let mut found = self.found.borrow_mut();
        found.checked = inner.checked;
        found.is_open |= inner.is_open;
        found.later.extend(inner.imported.into_iter().chain(inner.handlers).chain(inner.later));
        match read {
            Err(error) if error.is_unimplemented && !task.settings.when.is_empty() => {
                found.is_open = true;
                Ok(())
            }
            read => read.map(drop),
        }
    }

    /// Finds what a task includes.
    fn target<'i>(&self, what: &'i Include) -> Result<Option<Target<'i>>, Diagnostic> {
        Ok(match what {
            Include::Tasks(file) => {
                self.read_existing(self.task_files(file))?.map(|(path, text)| Target::Tasks(path, text))
            }
            Include::Role { name, from, .. } => self.find_role(name, from)?.map(|path| Target::Role(name, from, path)),
        })
    }

    fn no_target(&self, at: Position, what: &Include) -> Diagnostic {
        match what {
            Include::Tasks(file) => {
                let folders: Vec<String> = self
                    .task_files(file)
                    .iter()
                    .filter_map(|path| Some(path.parent()?.display().to_string()))
                    .collect();
                self.error(at, format!("there is no file {file} in {}", folders.join(", ")))
            }
            Include::Role { name, .. } => self.no_role(at, name),
        }
    }

    /// Reads the tasks of a file or a role.
    fn included(&self, at: Position, target: Target<'_>, inherited: &Settings) -> Result<Vec<PlayNode>, Diagnostic> {
        match target {
            Target::Tasks(path, text) => self.tasks_of(at, (path, &text), inherited),
            Target::Role(name, from, path) => Ok(self.role(at, self.role_of_task(name, &path, from), inherited)?.nodes),
        }
    }
}
