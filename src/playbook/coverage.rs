//! How much of the playbooks in a folder muster could run: each task by itself, and whole roles and playbooks.
//!
//! [`Coverage`] counts and reads no file. [`folder`] finds the files.

pub mod folder;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::parse::alone;
use super::parse::alone::Kind;
use super::template;
use crate::core::sanitize;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document;
use crate::inventory::document::Node;
use crate::vault::is_vault;

/// The length to which a reason is cut, in characters.
const REASON_LIMIT: usize = 160;

/// How many different reasons are kept. Further ones are counted together.
const REASONS: usize = 10_000;

/// The folders in which files have variables or data, and no tasks.
const DATA_FOLDERS: [&str; 7] = ["vars", "defaults", "meta", "group_vars", "host_vars", "files", "templates"];

/// What muster could run, counted.
#[derive(Debug, Default)]
pub struct Coverage {
    /// Tasks and handlers, each by itself.
    pub tasks: Tally,
    /// Playbooks, with all that they import.
    pub playbooks: Tally,
    /// Template files.
    pub templates: Tally,
    /// Files in the places of tasks that cannot be read.
    pub unreadable: Tally,
    /// The roles by folder, and whether all of their tasks and handlers are accepted.
    roles: BTreeMap<PathBuf, bool>,
    /// How many files are encrypted with Ansible Vault.
    pub encrypted: usize,
}

/// Things that muster accepts or refuses.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many it accepts.
    pub accepted: usize,
    /// How many it refuses.
    pub refused: usize,
    reasons: BTreeMap<String, Reason>,
}

/// Why things are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// How many things are refused for it.
    pub count: usize,
    /// The file of the first one.
    pub file: PathBuf,
    /// The line in the file; 0 for the whole file.
    pub line: u64,
}

impl Tally {
    fn add(&mut self, file: &Path, line: u64, fault: Option<&str>) {
        let Some(fault) = fault else {
            self.accepted += 1;
            return;
        };
        self.refused += 1;
        let mut text = reason(fault);
        if self.reasons.len() >= REASONS && !self.reasons.contains_key(&text) {
            "other reasons".clone_into(&mut text);
        }
        let first = Reason { count: 0, file: file.to_owned(), line };
        self.reasons.entry(text).or_insert(first).count += 1;
    }

    /// Returns how many things there are.
    pub const fn all(&self) -> usize {
        self.accepted + self.refused
    }

    /// Returns why things are refused, the most frequent reason first.
    pub fn reasons(&self) -> Vec<(&str, &Reason)> {
        let mut reasons: Vec<_> = self.reasons.iter().map(|(text, reason)| (text.as_str(), reason)).collect();
        reasons.sort_by_key(|(_, reason)| std::cmp::Reverse(reason.count));
        reasons
    }

    fn to_json(&self) -> Value {
        let reasons = self.reasons().into_iter().map(|(text, reason)| {
            let (file, line) = (reason.file.display().to_string(), reason.line);
            json!({"reason": text, "count": reason.count, "example": {"file": file, "line": line}})
        });
        json!({"accepted": self.accepted, "refused": self.refused, "reasons": reasons.collect::<Vec<_>>()})
    }
}

impl Coverage {
    /// Counts the tasks of a file, whose path is that within the folder. Returns whether the file is a playbook.
    pub fn add(&mut self, file: &Path, text: &str) -> bool {
        if is_vault(text) {
            self.encrypted += 1;
            return false;
        }
        let folders = folders(file);
        if folders.last().is_some_and(|folder| DATA_FOLDERS.contains(folder)) {
            return false;
        }
        let is_of_tasks = folders.iter().any(|folder| matches!(*folder, "tasks" | "handlers"));
        match document::read(file, text) {
            Ok(document) => match alone::kind(&document) {
                Some(Kind::Playbook) => {
                    self.add_tasks(file, &document, Kind::Playbook);
                    return true;
                }
                Some(Kind::Tasks) => self.add_tasks(file, &document, Kind::Tasks),
                None if is_of_tasks => self.add_tasks(file, &document, Kind::Tasks),
                None => {}
            },
            Err(fault) if is_of_tasks => {
                self.add_unreadable(file, &fault);
                self.add_to_role(file, false);
            }
            Err(fault) if looks_like_plays(text) => self.add_unreadable(file, &fault),
            Err(_) => {}
        }
        false
    }

    /// Counts a file that cannot be read, or not as YAML.
    fn add_unreadable(&mut self, file: &Path, fault: &Diagnostic) {
        self.unreadable.add(file, fault.at.line, Some(&fault.what));
    }

    fn add_tasks(&mut self, file: &Path, document: &Node, kind: Kind) {
        let tasks = alone::read(file, document, kind);
        for task in &tasks {
            self.tasks.add(file, task.at.line, task.fault.as_deref());
        }
        self.add_to_role(file, tasks.iter().all(|task| task.fault.is_none()));
    }

    /// Counts a file for its role, if it belongs to one.
    fn add_to_role(&mut self, file: &Path, is_accepted: bool) {
        if let Some(role) = role(file) {
            *self.roles.entry(role).or_insert(true) &= is_accepted;
        }
    }

    /// Counts a playbook with all that it imports.
    pub fn add_playbook(&mut self, file: &Path, read: Result<(), &Diagnostic>) {
        let fault = read.err();
        self.playbooks.add(file, fault.map_or(0, |fault| fault.at.line), fault.map(|fault| fault.what.as_str()));
    }

    /// Counts a template file.
    pub fn add_template(&mut self, file: &Path, text: &str) {
        self.templates.add(file, 0, template::check_file(text).err().as_deref());
    }

    /// Returns how many roles muster accepts with all of their tasks and handlers, and how many roles there are.
    pub fn whole_roles(&self) -> (usize, usize) {
        (self.roles.values().filter(|is_whole| **is_whole).count(), self.roles.len())
    }

    /// Returns the counts as JSON.
    pub fn to_json(&self) -> Value {
        let (whole, all) = self.whole_roles();
        json!({
            "tasks": self.tasks.to_json(), "roles": {"whole": whole, "all": all},
            "playbooks": self.playbooks.to_json(), "templates": self.templates.to_json(),
            "unreadable": self.unreadable.to_json(), "encrypted": self.encrypted,
        })
    }
}

/// Returns the folders in which a file is, from the outermost one.
fn folders(file: &Path) -> Vec<&str> {
    let parents = file.parent().into_iter().flat_map(Path::components);
    parents.filter_map(|folder| folder.as_os_str().to_str()).collect()
}

/// Returns the folder of the role of a file: that in which `tasks` or `handlers` is, if it stands in `roles` or the file is
/// the role's main file.
fn role(file: &Path) -> Option<PathBuf> {
    let is_part = |folder: &&Path| folder.ends_with("tasks") || folder.ends_with("handlers");
    let part = file.ancestors().skip(1).find(is_part)?;
    let role = part.parent()?;
    let is_main = file.parent() == Some(part) && file.file_stem().is_some_and(|stem| stem == "main");
    let is_in_roles = role.parent().is_some_and(|folder| folder.ends_with("roles"));
    (is_main || is_in_roles).then(|| role.to_owned())
}

/// Reports whether a text that is no YAML seems to be a playbook.
fn looks_like_plays(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start_matches(['-', ' ']);
        line.starts_with("hosts:") || line.starts_with("import_playbook:")
    })
}

/// Returns the sentence under which a fault is counted: without its hint, and without the collections of modules.
fn reason(fault: &str) -> String {
    let fault = fault.find("muster has no ").and_then(|start| fault.get(start..)).unwrap_or(fault);
    let fault = fault.split(". ").next().unwrap_or_default().lines().next().unwrap_or_default();
    let module = ["a task has no `", "muster has no module `"].iter().find_map(|start| fault.strip_prefix(start));
    let short = match module.and_then(|rest| rest.strip_suffix('`')) {
        Some(name) => format!("a task has no `{}`", name.rsplit('.').next().unwrap_or(name)),
        None => fault.to_owned(),
    };
    sanitize::line(&short).chars().take(REASON_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_one_kind_have_one_reason() {
        for (fault, expected) in [
            ("a task has no `community.docker.docker_image`", "a task has no `docker_image`"),
            ("a task has no `docker_image`", "a task has no `docker_image`"),
            ("muster has no module `docker_image`", "a task has no `docker_image`"),
            ("`when`: muster has no filter `ipaddr`. Did you mean `x`?", "muster has no filter `ipaddr`"),
            ("muster has no lookup `a.b.c`", "muster has no lookup `a.b.c`"),
            ("module `apt` has no `a\tb`", "module `apt` has no `a b`"),
        ] {
            assert_eq!(reason(fault), expected);
        }
        assert_eq!(reason(&"x".repeat(1000)).len(), REASON_LIMIT);
    }

    #[test]
    fn a_role_is_known_by_its_place_or_by_its_main_file() {
        for (file, expected) in [
            ("roles/web/tasks/deb/install.yml", Some("roles/web")),
            ("roles/web/handlers/main.yml", Some("roles/web")),
            ("galaxy.nginx/tasks/main.yml", Some("galaxy.nginx")),
            ("tasks/main.yml", Some("")),
            ("playbooks/tasks/users.yml", None),
            ("roles/web/vars/main.yml", None),
        ] {
            assert_eq!(role(Path::new(file)), expected.map(PathBuf::from), "{file}");
        }
    }

    #[test]
    fn there_is_a_limit_to_the_reasons() {
        let mut tally = Tally::default();
        for number in 0..REASONS + 5 {
            tally.add(Path::new("f"), 1, Some(&format!("x{number}")));
        }
        assert_eq!((tally.refused, tally.reasons().len()), (REASONS + 5, REASONS + 1));
        assert_eq!(tally.reasons()[0].0, "other reasons");
        assert_eq!(tally.reasons()[0].1.count, 5);
    }
}
