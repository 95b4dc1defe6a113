//! Imports: files of tasks, roles, playbooks and variables that are read with the playbook.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Parser;
use super::task::Inherited;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::diagnostic::Position;
use crate::inventory::document;
use crate::inventory::document::Content;
use crate::inventory::document::Key;
use crate::inventory::document::Node;
use crate::playbook::free_form;
use crate::playbook::play::Node as PlayNode;
use crate::playbook::play::Origin;
use crate::playbook::play::Play;
use crate::playbook::play::Role;
use crate::playbook::template;

/// How deep files may import each other.
const DEPTH: usize = 24;

/// The folders of roles beside those of the playbook, as in Ansible.
const ROLE_FOLDERS: [&str; 2] = ["/usr/share/ansible/roles", "/etc/ansible/roles"];

/// The keys of a role that are not its parameters.
const ROLE_KEYS: [&str; 11] = [
    "role",
    "name",
    "vars",
    "when",
    "tags",
    "become",
    "become_user",
    "check_mode",
    "ignore_errors",
    "run_once",
    "no_log",
];

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

/// Which files of a role are read instead of `main`.
struct RoleFiles {
    tasks: String,
    vars: String,
    defaults: String,
    handlers: String,
}

impl Default for RoleFiles {
    fn default() -> Self {
        let main = || "main".to_owned();
        Self { tasks: main(), vars: main(), defaults: main(), handlers: main() }
    }
}

impl Parser<'_> {
    /// Reads the plays that an entry of a playbook imports; `None` if the entry is a play.
    pub(super) fn import_playbook(&self, entry: &Node, inherited: &Inherited) -> Result<Option<Vec<Play>>, Diagnostic> {
        let entries = self.map(entry, "a play")?;
        let Some((key, node)) = entries.iter().find(|(key, _)| short(&key.text) == "import_playbook") else {
            return Ok(None);
        };
        let inherited = self.inherit_all(entries, &key.text, inherited)?;
        let path = self.beside(&self.static_text(key, node)?);
        let text = self.read_import(node.at, &path)?;
        self.deeper(path, Arc::clone(&self.origin), node.at)?.plays(&text, &inherited).map(Some)
    }

    /// Reads the tasks that an entry of a list of tasks imports; `None` if the entry is a task or a block.
    pub(super) fn import(&self, entry: &Node, inherited: &Inherited) -> Result<Option<Vec<PlayNode>>, Diagnostic> {
        let entries = self.map(entry, "a task")?;
        let import = |(key, _): &&(Key, Node)| matches!(short(&key.text), "import_tasks" | "import_role");
        let Some((key, node)) = entries.iter().find(import) else { return Ok(None) };
        let inherited = self.inherit_all(entries, &key.text, inherited)?;
        let args = self.import_arguments(key, node)?;
        if short(&key.text) == "import_tasks" {
            let file = args.get("file").and_then(Value::as_str).unwrap_or_default();
            return self.import_tasks(node.at, file, &inherited).map(Some);
        }
        let text =
            |name: &str| args.get(name).and_then(Value::as_str).map(|name| name.trim_end_matches(".yml").to_owned());
        let main = RoleFiles::default();
        let from = RoleFiles {
            tasks: text("tasks_from").unwrap_or(main.tasks),
            vars: text("vars_from").unwrap_or(main.vars),
            defaults: text("defaults_from").unwrap_or(main.defaults),
            handlers: text("handlers_from").unwrap_or(main.handlers),
        };
        let name = text("name").ok_or_else(|| self.error(node.at, "`import_role` needs `name`"))?;
        let path = self.find_role(node.at, &name)?;
        self.role(node.at, (&name, &path), (&from, Vars::new()), &inherited).map(Some)
    }

    /// Reads the arguments of an import, which cannot be templates: hosts have no say in what is read.
    fn import_arguments(&self, key: &Key, node: &Node) -> Result<Vars, Diagnostic> {
        let is_tasks = short(&key.text) == "import_tasks";
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
    fn import_tasks(&self, at: Position, file: &str, inherited: &Inherited) -> Result<Vec<PlayNode>, Diagnostic> {
        let candidates = [self.beside(file), self.folder.join(file)];
        let (path, text) = self.read_first(at, file, &candidates)?;
        let parser = self.deeper(path, Arc::clone(&self.origin), at)?;
        let document = document::read(&parser.file, &text)?;
        parser.nodes(&document, "a file of tasks", inherited)
    }

    /// Reads the roles of a play.
    pub(super) fn roles(&self, node: &Node, inherited: &Inherited) -> Result<Vec<PlayNode>, Diagnostic> {
        let mut nodes = Vec::new();
        for role in self.list(node, "`roles`")? {
            nodes.extend(self.listed_role(role, inherited)?);
        }
        Ok(nodes)
    }

    /// Reads a role of a list: its name, or a map. It runs once in a play with the same parameters.
    fn listed_role(&self, node: &Node, inherited: &Inherited) -> Result<Vec<PlayNode>, Diagnostic> {
        let (mut inherited, mut params, mut name) = (inherited.clone(), Vars::new(), None);
        match &node.content {
            Content::Map(entries) => {
                for (key, node) in entries {
                    match key.text.as_str() {
                        "role" | "name" => name = Some(self.static_text(key, node)?),
                        text if ROLE_KEYS.contains(&text) => self.inherit(key, node, &mut inherited)?,
                        _ => drop(params.insert(key.text.clone(), node.value())),
                    }
                }
            }
            _ => name = node.text().map(str::to_owned),
        }
        let name = name.ok_or_else(|| self.error(node.at, "the role has no name"))?;
        let path = self.find_role(node.at, &name)?;
        let run = (path.clone(), params.clone());
        let is_repeated = self.found.borrow().once.contains(&run);
        if is_repeated {
            return Ok(Vec::new());
        }
        self.found.borrow_mut().once.push(run);
        self.role(node.at, (&name, &path), (&RoleFiles::default(), params), &inherited)
    }

    /// Reads a role: first the roles that it depends on, then its own tasks.
    fn role(
        &self,
        at: Position,
        (name, path): (&str, &Path),
        (from, params): (&RoleFiles, Vars),
        inherited: &Inherited,
    ) -> Result<Vec<PlayNode>, Diagnostic> {
        let origin = Arc::new(self.role_origin(at, (name, path), (from, params))?);
        let part = |folder: &str, file: &str| -> Result<Option<(Parser<'_>, Node)>, Diagnostic> {
            let Some((file, text)) = self.read_part(at, &path.join(folder), file)? else { return Ok(None) };
            let document = document::read(&file, &text)?;
            Ok(Some((self.deeper(file, Arc::clone(&origin), at)?, document)))
        };
        let mut nodes = Vec::new();
        if let Some((parser, document)) = part("meta", "main")?.filter(|(_, document)| !document.is_null()) {
            let entries = parser.map(&document, "the description of a role")?;
            let dependencies = entries.iter().find(|(key, _)| key.text == "dependencies");
            nodes.extend(dependencies.map_or(Ok(Vec::new()), |(_, node)| parser.roles(node, inherited))?);
        }
        if let Some((parser, document)) = part("handlers", &from.handlers)? {
            let handlers = parser.handlers(&document, inherited)?;
            self.found.borrow_mut().handlers.extend(handlers);
        }
        match part("tasks", &from.tasks)? {
            Some((parser, document)) => nodes.extend(parser.nodes(&document, "a file of tasks", inherited)?),
            None if from.tasks != "main" => {
                return Err(self.error(at, format!("role `{name}` has no tasks/{}.yml", from.tasks)));
            }
            None => {}
        }
        Ok(nodes)
    }

    /// Reads the variables of a role, which the whole play can read, and returns where its tasks come from.
    fn role_origin(
        &self,
        at: Position,
        (name, path): (&str, &Path),
        (from, params): (&RoleFiles, Vars),
    ) -> Result<Origin, Diagnostic> {
        let vars = |folder: &str, file: &str| match self.read_part(at, &path.join(folder), file)? {
            Some((path, text)) => variables(&path, &text),
            None => Ok(Vars::new()),
        };
        let (defaults, vars) = (vars("defaults", &from.defaults)?, vars("vars", &from.vars)?);
        let mut found = self.found.borrow_mut();
        found.defaults.extend(defaults.clone());
        found.vars.extend(vars.clone());
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        let folders = vec![path.to_owned(), path.join("tasks"), self.folder.clone()];
        let (path, defaults, vars) = (path.to_owned(), defaults.into(), vars.into());
        let role = Role { name, path, defaults, vars, params: params.into() };
        Ok(Origin { role: Some(Arc::new(role)), folders })
    }

    /// Returns the folder of a role: the first candidate in which one of its files can be read.
    fn find_role(&self, at: Position, name: &str) -> Result<PathBuf, Diagnostic> {
        let beside = self.origin.role.as_ref().and_then(|role| role.path.parent()).map(|folder| folder.join(name));
        let mut candidates = vec![self.folder.join("roles").join(name)];
        candidates.extend(beside.into_iter().chain([self.folder.join(name)]));
        candidates.extend(ROLE_FOLDERS.map(|folder| Path::new(folder).join(name)));
        for path in &candidates {
            for folder in ["tasks", "meta", "handlers", "defaults", "vars"] {
                if self.read_part(at, &path.join(folder), "main")?.is_some() {
                    return Ok(path.clone());
                }
            }
        }
        let error = self.error(at, format!("there is no role `{name}`"));
        let folder = self.folder.join("roles").join(name);
        Err(error.hint(format!("It is expected in {}, with tasks/main.yml.", folder.display())))
    }

    /// Reads a part of a role: a file with one of the endings that Ansible knows, if there is one.
    fn read_part(&self, at: Position, folder: &Path, file: &str) -> Result<Option<(PathBuf, String)>, Diagnostic> {
        self.read_existing(at, [".yml", ".yaml", ".json", ""].map(|ending| folder.join(format!("{file}{ending}"))))
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
            vars.extend(variables(&path, &text)?);
        }
        Ok(vars)
    }

    /// Returns the path of a file beside this one.
    fn beside(&self, file: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(file)
    }

    /// Reads the first of several files that exists. `name` stands for them in the error if none does.
    fn read_first(&self, at: Position, name: &str, paths: &[PathBuf]) -> Result<(PathBuf, String), Diagnostic> {
        let found = self.read_existing(at, paths.iter().cloned())?;
        found.ok_or_else(|| self.error(at, format!("there is no file {name}")))
    }

    /// Reads the first of several files that exists, if one does.
    fn read_existing(
        &self,
        at: Position,
        paths: impl IntoIterator<Item = PathBuf>,
    ) -> Result<Option<(PathBuf, String)>, Diagnostic> {
        for path in paths {
            match (self.read_file)(&path) {
                Ok(text) => return Ok(Some((path, text))),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(self.error(at, format!("cannot read {}: {error}", path.display()))),
            }
        }
        Ok(None)
    }

    fn read_import(&self, at: Position, path: &Path) -> Result<String, Diagnostic> {
        (self.read_file)(path).map_err(|error| self.error(at, format!("cannot read {}: {error}", path.display())))
    }

    /// Returns the parser of a file that this one imports.
    fn deeper(&self, file: PathBuf, origin: Arc<Origin>, at: Position) -> Result<Parser<'_>, Diagnostic> {
        if self.depth == DEPTH {
            return Err(self.error(at, format!("files import each other more than {DEPTH} deep")));
        }
        let (read_file, folder) = (self.read_file, self.folder.clone());
        Ok(Parser { file, read_file, folder, origin, found: self.found, depth: self.depth + 1 })
    }
}

/// Reads variables: one map.
fn variables(path: &Path, text: &str) -> Result<Vars, Diagnostic> {
    let node = document::read(path, text)?;
    match node.value() {
        Value::Null => Ok(Vars::new()),
        Value::Object(vars) => Ok(vars),
        _ => Err(Diagnostic::new(path, node.at, format!("variables must be a map, not {}", node.kind()))),
    }
}

/// Returns the name of a key without its collection.
fn short(key: &str) -> &str {
    key.strip_prefix("ansible.builtin.").unwrap_or(key)
}

/// Reports whether there is no such file.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
