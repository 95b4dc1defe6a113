//! Imports: files of tasks, roles, playbooks and variables that are read with the playbook.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Found;
use super::Parser;
use super::check_templates;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::document;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::free_form;
use crate::playbook::include::Include;
use crate::playbook::include::RoleFiles;
use crate::playbook::loops::LoopKind;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Origin;
use crate::playbook::play::Play;
use crate::playbook::play::Role;
use crate::playbook::settings::Settings;
use crate::playbook::template;

/// How deep files may import each other.
const DEPTH: usize = 24;

/// The arguments of `import_role`.
const IMPORT_ROLE: [&str; 8] = [
    "name",
    "tasks_from",
    "vars_from",
    "defaults_from",
    "handlers_from",
    "allow_duplicates",
    "public",
    "rolespec_validate",
];

/// A role, or several, as they are read.
#[derive(Default)]
pub(super) struct RoleRead {
    /// The tasks.
    pub(super) nodes: Vec<PlayNode>,
    /// The defaults, with those of the roles that it depends on.
    pub(super) defaults: Vars,
    /// The variables, with those of the roles that it depends on.
    pub(super) vars: Vars,
}

/// How a role is named.
pub(super) struct RoleCall<'r> {
    name: &'r str,
    path: &'r Path,
    from: &'r RoleFiles,
    params: Vars,
    /// The roles whose task includes or imports it, the nearest first.
    parents: Vec<String>,
}

impl Found {
    /// Adds the name of a role that the play lists, or on which such a role depends.
    fn add_name(&mut self, name: &str, is_dependency: bool) {
        if !is_dependency {
            self.names.listed.push(name.to_owned());
        } else if !self.names.dependencies.iter().any(|known| known == name) {
            self.names.dependencies.push(name.to_owned());
        }
    }
}

impl RoleRead {
    fn extend(&mut self, more: Self) {
        self.nodes.extend(more.nodes);
        self.defaults.extend(more.defaults);
        self.vars.extend(more.vars);
    }
}

impl Parser<'_> {
    /// Reads the plays that an entry of a playbook imports; `None` if the entry is a play.
    pub(super) fn import_playbook(&self, entry: &Node, inherited: &Settings) -> Result<Option<Vec<Play>>, Diagnostic> {
        let entries = self.map(entry, "a play")?;
        let import = |(key, _): &&(Key, Node)| matches!(short(&key.text), "import_playbook" | "include");
        let Some((key, node)) = entries.iter().find(import) else { return Ok(None) };
        let inherited = self.inherit_all(entries, &key.text, inherited)?;
        let path = self.beside(&self.static_text(key, node)?);
        let text = self.read_import(node.at, &path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let parser = self.deeper(path, of_playbook(&folder), node.at)?;
        Parser { folder, ..parser }.plays(&text, &inherited).map(Some)
    }

    /// Reads the tasks that an entry of a list of tasks imports; `None` if the entry is a task or a block.
    pub(super) fn import(&self, entry: &Node, inherited: &Settings) -> Result<Option<Vec<PlayNode>>, Diagnostic> {
        let Some((at, what, inherited)) = self.import_target(entry, inherited)? else { return Ok(None) };
        match what {
            Include::Tasks(file) => self.import_tasks(at, &file, &inherited).map(Some),
            Include::Role { name, from, .. } => {
                let path = self.find_role(&name, &from)?.ok_or_else(|| self.no_role(at, &name))?;
                let call = self.role_of_task(&name, &path, &from);
                let outer = std::mem::take(&mut self.found.borrow_mut().handlers);
                let read = self.role(at, call, &inherited)?;
                let mut found = self.found.borrow_mut();
                let handlers = std::mem::replace(&mut found.handlers, outer);
                found.imported.extend(handlers);
                Ok(Some(read.nodes))
            }
        }
    }

    /// Returns what an entry of a list of tasks imports and where it says so, with the settings of the imported tasks; `None` if the entry is a
    /// task or a block.
    pub(super) fn import_target(
        &self,
        entry: &Node,
        inherited: &Settings,
    ) -> Result<Option<(Position, Include, Settings)>, Diagnostic> {
        let entries = self.map(entry, "a task")?;
        let import = |(key, node): &&(Key, Node)| match short(&key.text) {
            "include" => is_import(node, entries),
            name => matches!(name, "import_tasks" | "import_role"),
        };
        let Some((key, node)) = entries.iter().find(import) else { return Ok(None) };
        let inherited = self.inherit_all(entries, &key.text, inherited)?;
        let args = self.import_arguments(key, node)?;
        let what = Include::of(short(&key.text), &args);
        let what = what.map_err(|why| self.error(node.at, format!("`{}`: {why}", key.text)))?;
        Ok(Some((node.at, what, inherited)))
    }

    /// Reads the arguments of an import, which cannot be templates: hosts have no say in what is read.
    fn import_arguments(&self, key: &Key, node: &Node) -> Result<Vars, Diagnostic> {
        let is_tasks = short(&key.text) != "import_role";
        let mut args = Vars::new();
        if let Content::Map(entries) = &node.content {
            args.extend(entries.iter().map(|(key, node)| (key.text.clone(), node.value())));
        } else {
            let form = free_form::read_pairs(&self.text(key, node)?);
            let form = form.ok_or_else(|| self.error(node.at, "the quotes in the arguments do not match"))?;
            args.extend(form.options.into_iter().map(|(name, value)| (name, value.into())));
            if !form.command.is_empty() {
                args.insert("file".to_owned(), form.command.into());
            }
        }
        let known: &[&str] = if is_tasks { &["file"] } else { &IMPORT_ROLE };
        if let Some(name) = args.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(self.error(node.at, format!("`{}` has no `{name}`", key.text)));
        }
        if let Some((name, _)) = args.iter().find(|(_, value)| template::has_template(value)) {
            let error = self.error(node.at, format!("`{name}` of `{}` cannot be a template", key.text));
            return Err(error.hint("What is imported is read before anything runs."));
        }
        Ok(args)
    }

    fn static_text(&self, key: &Key, node: &Node) -> Result<String, Diagnostic> {
        let text = self.text(key, node)?;
        if template::is_template(&text) {
            return Err(self.error(node.at, format!("`{}` cannot be a template", key.text)));
        }
        Ok(text)
    }

    /// Reads a file of tasks. It is looked up beside this file, or else beside the playbook.
    fn import_tasks(&self, at: Position, file: &str, inherited: &Settings) -> Result<Vec<PlayNode>, Diagnostic> {
        let (path, text) = self.read_first(at, file, &self.task_files(file))?;
        self.tasks_of(at, (path, &text), inherited)
    }

    /// Returns where a file of tasks may be: beside this one, among the tasks of the role, or beside the playbook.
    pub(super) fn task_files(&self, file: &str) -> Vec<PathBuf> {
        let role = self.origin.role.as_ref().map(|role| role.path.join("tasks").join(file));
        [self.beside(file)].into_iter().chain(role).chain([self.folder.join(file)]).collect()
    }

    /// Reads the tasks of a file.
    pub(super) fn tasks_of(
        &self,
        at: Position,
        (path, text): (PathBuf, &str),
        inherited: &Settings,
    ) -> Result<Vec<PlayNode>, Diagnostic> {
        let parser = self.deeper(path, Arc::clone(&self.origin), at)?;
        let document = document::read(&parser.file, text)?;
        parser.nodes(&document, "a file of tasks", inherited)
    }

    /// Reads a list of roles.
    pub(super) fn roles(&self, node: &Node, inherited: &Settings) -> Result<RoleRead, Diagnostic> {
        let mut roles = RoleRead::default();
        for role in self.list(node, "`roles`")? {
            roles.extend(self.listed_role(role, inherited)?);
        }
        Ok(roles)
    }

    /// Reads a role of a list: its name, or a map. It runs once in a play with the same parameters.
    fn listed_role(&self, node: &Node, inherited: &Settings) -> Result<RoleRead, Diagnostic> {
        let (mut inherited, mut params, mut name) = (inherited.clone(), Vars::new(), None);
        let mut own = Settings::default();
        match &node.content {
            Content::Map(entries) => {
                for (key, node) in entries {
                    match key.text.as_str() {
                        "role" | "name" => name = Some(self.static_text(key, node)?),
                        _ if self.inherit(key, node, &mut inherited)? => drop(self.inherit(key, node, &mut own)?),
                        _ => {
                            self.check_templates(key, node)?;
                            params.insert(key.text.clone(), node.value());
                        }
                    }
                }
            }
            _ => name = node.text().map(str::to_owned),
        }
        let name = name.ok_or_else(|| self.error(node.at, "the role has no name"))?;
        let files = RoleFiles::default();
        let path = self.find_role(&name, &files)?.ok_or_else(|| self.no_role(node.at, &name))?;
        self.found.borrow_mut().add_name(&name, self.origin.role.is_some());
        let run = (path.clone(), params.clone(), own);
        let is_repeated = self.found.borrow().once.contains(&run);
        if is_repeated && !self.allows_duplicates(&path)? {
            return Ok(RoleRead::default());
        }
        self.found.borrow_mut().once.push(run);
        let call = RoleCall { name: &name, path: &path, from: &files, params, parents: Vec::new() };
        self.role(node.at, call, &inherited)
    }

    /// Reports whether a role may run again in a play with the same parameters.
    fn allows_duplicates(&self, path: &Path) -> Result<bool, Diagnostic> {
        let Some((file, text)) = self.read_part(&path.join("meta"), "main")? else { return Ok(false) };
        let document = document::read(&file, &text)?;
        Ok(document.entry("allow_duplicates").is_some_and(|node| node.value() == Value::Bool(true)))
    }

    /// Returns a role as a task includes or imports it.
    pub(super) fn role_of_task<'r>(&self, name: &'r str, path: &'r Path, from: &'r RoleFiles) -> RoleCall<'r> {
        let role = self.origin.role.as_deref();
        let parents = role.into_iter().flat_map(|role| [&role.name].into_iter().chain(&role.parents)).cloned();
        RoleCall { name, path, from, params: Vars::new(), parents: parents.collect() }
    }

    /// Reads a role: first the roles that it depends on, then its own tasks. The whole play can read its variables.
    pub(super) fn role(&self, at: Position, call: RoleCall<'_>, inherited: &Settings) -> Result<RoleRead, Diagnostic> {
        let RoleCall { name, path, from, params, parents } = call;
        let part = |origin: &Arc<Origin>, folder: &str, file: &str| -> Result<Option<(Parser<'_>, Node)>, Diagnostic> {
            let Some((file, text)) = self.read_part(&path.join(folder), file)? else { return Ok(None) };
            let document = document::read(&file, &text)?;
            Ok(Some((self.deeper(file, Arc::clone(origin), at)?, document)))
        };
        let (mut read, params) = (RoleRead::default(), Arc::new(params));
        let given = (params, parents);
        let origin = role_origin((name, path), &read, given.clone(), &self.folder);
        if let Some((parser, document)) = part(&origin, "meta", "main")?.filter(|(_, document)| !document.is_null()) {
            let entries = parser.map(&document, "the description of a role")?;
            let dependencies = entries.iter().find(|(key, _)| key.text == "dependencies");
            read = dependencies.map_or(Ok(RoleRead::default()), |(_, node)| parser.roles(node, inherited))?;
        }
        read.defaults.extend(self.role_vars(&path.join("defaults"), &from.defaults)?);
        read.vars.extend(self.role_vars(&path.join("vars"), &from.vars)?);
        {
            let mut found = self.found.borrow_mut();
            found.defaults.extend(read.defaults.clone());
            found.vars.extend(read.vars.clone());
        }
        let origin = role_origin((name, path), &read, given, &self.folder);
        if let Some((parser, document)) = part(&origin, "handlers", &from.handlers)? {
            let handlers = parser.handlers(&document, inherited)?;
            self.found.borrow_mut().handlers.extend(handlers);
        }
        match part(&origin, "tasks", &from.tasks)? {
            Some((parser, document)) => read.nodes.extend(parser.nodes(&document, "a file of tasks", inherited)?),
            None if from.tasks != "main" => {
                return Err(self.error(at, format!("role `{name}` has no tasks/{}.yml", from.tasks)));
            }
            None => {}
        }
        Ok(read)
    }

    /// Reads the variables of a role.
    fn role_vars(&self, folder: &Path, file: &str) -> Result<Vars, Diagnostic> {
        match self.read_part(folder, file)? {
            Some((path, text)) => self.variables(&path, &text),
            None => Ok(Vars::new()),
        }
    }

    /// Returns the folder of a role: the first candidate in which one of its files can be read, if there is one.
    pub(super) fn find_role(&self, name: &str, from: &RoleFiles) -> Result<Option<PathBuf>, Diagnostic> {
        let beside = self.origin.role.as_ref().and_then(|role| role.path.parent()).map(|folder| folder.join(name));
        let mut candidates = vec![self.folder.join("roles").join(name)];
        candidates.extend(beside.into_iter().chain([self.folder.join(name)]));
        candidates.extend(self.options.role_folders.iter().map(|folder| folder.join(name)));
        let parts = [
            ("tasks", from.tasks.as_str()),
            ("tasks", "main"),
            ("meta", "main"),
            ("handlers", &from.handlers),
            ("defaults", &from.defaults),
            ("vars", &from.vars),
        ];
        for path in candidates {
            for (folder, file) in parts {
                if self.read_part(&path.join(folder), file)?.is_some() {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// Makes the error for a role that does not exist.
    pub(super) fn no_role(&self, at: Position, name: &str) -> Diagnostic {
        let folder = self.folder.join("roles").join(name);
        let error = self.error(at, format!("there is no role `{name}`"));
        error.hint(format!("It is expected in {}, with tasks/main.yml.", folder.display()))
    }

    /// Reads a part of a role: a file with one of the endings that Ansible knows, if there is one.
    fn read_part(&self, folder: &Path, file: &str) -> Result<Option<(PathBuf, String)>, Diagnostic> {
        self.read_existing([".yml", ".yaml", ".json", ""].map(|ending| folder.join(format!("{file}{ending}"))))
    }

    /// Reads the files of variables of a play. Of several in a list, the first one that exists counts.
    pub(super) fn vars_files(&self, entries: &[(Key, Node)]) -> Result<Vars, Diagnostic> {
        let mut vars = Vars::new();
        let Some((key, node)) = entries.iter().find(|(key, _)| key.text == "vars_files") else { return Ok(vars) };
        let files: Vec<&Node> = match &node.content {
            Content::List(files) => files.iter().collect(),
            _ => vec![node],
        };
        for file in files {
            let choices: Vec<&Node> = match &file.content {
                Content::List(choices) => choices.iter().collect(),
                _ => vec![file],
            };
            let names = choices.iter().map(|node| self.static_text(key, node)).collect::<Result<Vec<_>, _>>()?;
            let candidates: Vec<PathBuf> = names.iter().map(|name| self.folder.join(name)).collect();
            let (path, text) = self.read_first(file.at, &names.join(", "), &candidates)?;
            vars.extend(self.variables(&path, &text)?);
        }
        Ok(vars)
    }

    /// Returns the path of a file beside this one.
    fn beside(&self, file: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(file)
    }

    /// Reads the first of several files that exists. `name` stands for them in the error if none does.
    fn read_first(&self, at: Position, name: &str, paths: &[PathBuf]) -> Result<(PathBuf, String), Diagnostic> {
        let found = self.read_existing(paths.iter().cloned())?;
        found.ok_or_else(|| self.error(at, format!("there is no file {name}")))
    }

    /// Reads the first of several files that exists, if one does.
    pub(super) fn read_existing(
        &self,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Option<(PathBuf, String)>, Diagnostic> {
        for path in paths {
            match (self.read_file)(&path) {
                Ok(text) => {
                    let text = self.opened(&path, text)?;
                    return Ok(Some((path, text)));
                }
                Err(error) if is_missing(&error) => {}
                Err(error) => {
                    return Err(Diagnostic::new(&path, Position::default(), format!("cannot be read: {error}")));
                }
            }
        }
        Ok(None)
    }

    fn read_import(&self, at: Position, path: &Path) -> Result<String, Diagnostic> {
        let text = (self.read_file)(path);
        let text = text.map_err(|error| self.error(at, format!("cannot read {}: {error}", path.display())))?;
        self.opened(path, text)
    }

    /// Reads variables: one map. Those of a file that is encrypted are left out if there is no password.
    fn variables(&self, path: &Path, text: &str) -> Result<Vars, Diagnostic> {
        if self.options.vault.leaves_out(path, text) {
            return Ok(Vars::new());
        }
        let node = document::read(path, text)?;
        match node.value() {
            Value::Null => Ok(Vars::new()),
            Value::Object(vars) => check_templates(path, "", &node).map(|()| vars),
            _ => Err(Diagnostic::new(path, node.at, format!("variables must be a map, not {}", node.kind()))),
        }
    }

    /// Returns the parser of a file that this one imports.
    fn deeper(&self, file: impl Into<Arc<Path>>, origin: Arc<Origin>, at: Position) -> Result<Parser<'_>, Diagnostic> {
        if self.depth == DEPTH {
            return Err(self.error(at, format!("files import each other more than {DEPTH} deep")));
        }
        let (read_file, folder, options) = (self.read_file, self.folder.clone(), self.options);
        Ok(Parser { file: file.into(), read_file, folder, options, origin, found: self.found, depth: self.depth + 1 })
    }
}

/// Returns where the tasks of a playbook come from.
pub(super) fn of_playbook(folder: &Path) -> Arc<Origin> {
    Arc::new(Origin { role: None, folders: vec![folder.to_owned()] })
}

/// Returns where the tasks of a role come from.
fn role_origin(
    (name, path): (&str, &Path),
    read: &RoleRead,
    (params, parents): (Arc<Vars>, Vec<String>),
    playbook: &Path,
) -> Arc<Origin> {
    let name = name.rsplit('/').next().unwrap_or(name).to_owned();
    let folders = vec![path.to_owned(), path.join("tasks"), playbook.to_owned()];
    let (defaults, vars) = (read.defaults.clone().into(), read.vars.clone().into());
    let role = Role { name, path: path.to_owned(), defaults, vars, params, parents };
    Arc::new(Origin { role: Some(Arc::new(role)), folders })
}

/// Returns the name of a key without its collection.
pub(super) fn short(key: &str) -> &str {
    key.strip_prefix("ansible.builtin.").unwrap_or(key)
}

/// Reports whether `include`, a word of Ansible before 2.16, imports: it did so unless it had a loop or a template.
fn is_import(node: &Node, entries: &[(Key, Node)]) -> bool {
    let has_loop = entries.iter().any(|(key, _)| LoopKind::of(&key.text).is_some());
    !has_loop && !template::has_template(&node.value())
}

/// Reports whether there is no such file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
