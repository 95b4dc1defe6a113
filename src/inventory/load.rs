//! Loads an inventory's sources. No other part of the inventory reads files or runs scripts.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Inventory;
use super::InventoryError;
use super::Vars;
use super::builder::InventoryBuilder;
use super::builder::UNGROUPED;
use super::builder::host_names;
use super::diagnostic::Diagnostic;
use super::diagnostic::Position;
use super::document;
use super::ini;
use super::run_script;
use super::script;
use super::toml;
use super::vars;
use super::vars::VarFiles;
use super::yaml;
use crate::vault::Keyring;

/// The endings of files in an inventory directory that are not sources.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

impl Inventory {
    /// Loads sources: files, directories, scripts, or lists such as `h1,h2,`. Later sources override earlier ones.
    pub fn load(sources: &[PathBuf]) -> Result<Self, InventoryError> {
        Self::load_beside(sources, None, &Arc::default())
    }

    /// Loads sources. The `group_vars` and `host_vars` in the playbook's folder override their variables.
    ///
    /// Without a password, encrypted files of variables are left out. The vault remembers them.
    pub fn load_beside(
        sources: &[PathBuf],
        playbook: Option<&Path>,
        vault: &Arc<Keyring>,
    ) -> Result<Self, InventoryError> {
        let mut loader = Loader { builder: InventoryBuilder::default(), warnings: Vec::new(), vault };
        let mut folders: Vec<PathBuf> = Vec::new();
        for source in sources {
            if let Some(list) = source.to_str().filter(|text| text.contains(',') && !source.exists()) {
                read_list(list, &mut loader.builder)?;
                continue;
            }
            loader.read_source(source)?;
            let folder = if source.is_dir() { source.clone() } else { folder_of(source) };
            folders.push(folder);
        }
        folders.extend(playbook.map(Path::to_owned));
        let files = loader.read_all_var_files(&folders)?;
        let (warnings, vault) = (loader.warnings, Arc::clone(vault));
        let sources = sources.iter().filter(|source| source.exists());
        let sources = sources.map(|source| std::path::absolute(source).unwrap_or_else(|_| source.clone())).collect();
        Ok(Self { sources, warnings, vault, ..vars::build(loader.builder, &files) })
    }
}

/// The sources so far.
struct Loader<'v> {
    builder: InventoryBuilder,
    warnings: Vec<String>,
    vault: &'v Keyring,
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn read_list(list: &str, builder: &mut InventoryBuilder) -> Result<(), InventoryError> {
    for pattern in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let error = |what| Diagnostic::new(Path::new("-i"), Position::default(), what);
        let (names, port) = host_names(pattern).map_err(error)?;
        for name in names {
            let vars = builder.add_host(UNGROUPED, &name);
            vars.extend(port.map(|port| ("ansible_port".to_owned(), Value::from(port))));
        }
    }
    Ok(())
}

impl Loader<'_> {
    fn read_source(&mut self, path: &Path) -> Result<(), InventoryError> {
        let about = fs::metadata(path).map_err(|error| InventoryError::unreadable(path, &error))?;
        if about.is_dir() {
            return self.read_folder(path);
        }
        if about.permissions().mode() & 0o111 != 0 && is_program(path) {
            return self.read_script(path);
        }
        let text = read_text(path, self.vault)?;
        match extension(path) {
            "toml" => toml::read(path, &text, &mut self.builder)?,
            _ if script::is_listing(&text) => drop(script::read(path, &text, &mut self.builder)?),
            "yaml" | "yml" | "json" => self.read_yaml(path, &text)?,
            _ if looks_like_yaml(&text) => self.read_yaml(path, &text)?,
            _ => ini::read(path, &text, &mut self.builder)?,
        }
        Ok(())
    }

    /// Reads the sources in a folder. As in Ansible, a source that cannot be read is left out with a warning, unless no
    /// source can be read.
    fn read_folder(&mut self, folder: &Path) -> Result<(), InventoryError> {
        let (mut failed, mut is_any_read) = (None, false);
        for entry in sorted_entries(folder)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') || matches!(&*name, "group_vars" | "host_vars");
            if hidden || IGNORED.iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let before = self.builder.clone();
            match self.read_source(&entry) {
                Ok(()) => is_any_read = true,
                Err(error) => {
                    self.builder = before;
                    self.warnings.push(format!("{error}; this source is left out"));
                    failed.get_or_insert(error);
                }
            }
        }
        failed.filter(|_| !is_any_read).map_or(Ok(()), Err)
    }

    fn read_yaml(&mut self, path: &Path, text: &str) -> Result<(), InventoryError> {
        let repeated = yaml::read(path, text, &mut self.builder)?;
        self.warn_of(&repeated);
        Ok(())
    }

    fn read_script(&mut self, path: &Path) -> Result<(), InventoryError> {
        for host in script::read(path, &run_script::run(path, &["--list"])?, &mut self.builder)? {
            script::read_host(path, &host, &run_script::run(path, &["--host", &host])?, &mut self.builder)?;
        }
        Ok(())
    }

    fn warn_of(&mut self, repeated: &[Diagnostic]) {
        self.warnings.extend(repeated.iter().map(|key| format!("{key}; the last value counts")));
    }

    /// Reads the variable files of folders. An inventory often stands beside its playbook: a folder is read once.
    fn read_all_var_files(&mut self, folders: &[PathBuf]) -> Result<Vec<Arc<VarFiles>>, InventoryError> {
        let mut read: BTreeMap<PathBuf, Arc<VarFiles>> = BTreeMap::new();
        let mut all = Vec::new();
        for folder in folders {
            let id = fs::canonicalize(folder).unwrap_or_else(|_| folder.clone());
            let files = match read.get(&id) {
                Some(files) => Arc::clone(files),
                None => Arc::new(self.read_var_files(folder)?),
            };
            read.insert(id, Arc::clone(&files));
            all.push(files);
        }
        Ok(all)
    }

    /// Reads `group_vars` and `host_vars` in a folder, for the groups and hosts that exist.
    fn read_var_files(&mut self, folder: &Path) -> Result<VarFiles, InventoryError> {
        let groups: Vec<String> = self.builder.groups.keys().cloned().collect();
        let hosts: Vec<String> = self.builder.hosts.keys().cloned().collect();
        let mut groups = self.read_vars_of(&folder.join("group_vars"), groups)?;
        self.read_later_groups(&folder.join("group_vars"), &mut groups);
        let hosts = self.read_vars_of(&folder.join("host_vars"), hosts)?;
        Ok(VarFiles { groups, hosts })
    }

    /// Reads the variables of groups that a playbook may make while it runs. A file that cannot be read is passed over: its
    /// group may never exist.
    fn read_later_groups(&mut self, folder: &Path, groups: &mut BTreeMap<String, Vars>) {
        for path in sorted_entries(folder).unwrap_or_default() {
            let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
            let name = name.unwrap_or_default().to_string_lossy().into_owned();
            if !groups.contains_key(&name)
                && let Ok(vars) = self.read_vars(&path)
            {
                groups.insert(name, vars);
            }
        }
    }

    fn read_vars_of(&mut self, folder: &Path, names: Vec<String>) -> Result<BTreeMap<String, Vars>, InventoryError> {
        if !folder.is_dir() {
            return Ok(BTreeMap::new());
        }
        let entries: BTreeSet<PathBuf> = sorted_entries(folder)?.into_iter().collect();
        let mut found = BTreeMap::new();
        for name in names {
            let candidates = ["", ".yml", ".yaml", ".json"].map(|ending| folder.join(format!("{name}{ending}")));
            if let Some(path) = candidates.iter().find(|path| entries.contains(*path)) {
                found.insert(name, self.read_vars(path)?);
            }
        }
        Ok(found)
    }

    /// Reads a variable file, or all variable files in a folder and its subfolders, in order.
    fn read_vars(&mut self, path: &Path) -> Result<Vars, InventoryError> {
        if !path.is_dir() {
            let bytes = fs::read(path).map_err(|error| InventoryError::unreadable(path, &error))?;
            if self.vault.leaves_out(path, &bytes) {
                return Ok(Vars::new());
            }
            let (vars, repeated) = read_vars_text(path, &text_of(path, bytes, self.vault)?)?;
            self.warn_of(&repeated);
            return Ok(vars);
        }
        let mut vars = Vars::new();
        for entry in sorted_entries(path)? {
            let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let suits = entry.is_dir() || matches!(extension(&entry), "" | "yml" | "yaml" | "json");
            if suits && !hidden && !entry.to_string_lossy().ends_with('~') {
                vars.extend(self.read_vars(&entry)?);
            }
        }
        Ok(vars)
    }
}

/// Reports whether an executable file is a program: a script that names its interpreter, or no text at all. On some file
/// systems every file is executable.
fn is_program(path: &Path) -> bool {
    let mut start = [0; 4];
    match fs::File::open(path).and_then(|mut file| file.read(&mut start)) {
        Ok(length) => start.get(..length).is_some_and(|start| start.starts_with(b"#!") || start == b"\x7fELF"),
        // A program may be executable without being readable.
        Err(_) => true,
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn read_text(path: &Path, vault: &Keyring) -> Result<String, InventoryError> {
    text_of(path, fs::read(path).map_err(|error| InventoryError::unreadable(path, &error))?, vault)
}

/// Returns the text of a file, which may be encrypted.
fn text_of(path: &Path, bytes: Vec<u8>, vault: &Keyring) -> Result<String, InventoryError> {
    String::from_utf8(vault.open_file(bytes).map_err(|error| Diagnostic::of_vault(path, &error))?)
        .map_err(|_| Diagnostic::new(path, Position::default(), "the file is not UTF-8 text").into())
}

/// Reports whether a file without a known extension is YAML, by its first line that is neither blank nor a comment.
fn looks_like_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| line == "---" || line.starts_with('{') || (line.ends_with(':') && !line.starts_with('[')))
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let entries = fs::read_dir(folder).map_err(|error| InventoryError::unreadable(folder, &error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(|error| InventoryError::unreadable(folder, &error))?;
    paths.sort();
    Ok(paths)
}

/// Reads a file of variables: one map, YAML or JSON. Returns a diagnostic for each key that occurs twice.
pub fn read_vars_file(path: &Path, vault: &Keyring) -> Result<(Vars, Vec<Diagnostic>), InventoryError> {
    read_vars_text(path, &read_text(path, vault)?)
}

fn read_vars_text(path: &Path, text: &str) -> Result<(Vars, Vec<Diagnostic>), InventoryError> {
    let (node, repeated) = document::read_repeated(path, text)?;
    match node.value() {
        Value::Null => Ok((Vars::new(), repeated)),
        Value::Object(vars) => Ok((vars, repeated)),
        _ => Err(Diagnostic::new(path, node.at, format!("variables must be a map, not {}", node.kind())).into()),
    }
}
