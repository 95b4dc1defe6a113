//! Loads an inventory's sources. No other part of the inventory reads files or runs scripts.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

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
use super::script;
use super::vars;
use super::vars::VarFiles;
use super::yaml;

/// The endings of files in an inventory directory that are not sources.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

impl Inventory {
    /// Loads sources: files, directories, scripts, or lists such as `h1,h2,`. Later sources override earlier ones.
    pub fn load(sources: &[PathBuf]) -> Result<Self, InventoryError> {
        Self::load_beside(sources, None)
    }

    /// Loads sources. The `group_vars` and `host_vars` in the playbook's folder override their variables.
    pub fn load_beside(sources: &[PathBuf], playbook: Option<&Path>) -> Result<Self, InventoryError> {
        let mut builder = InventoryBuilder::default();
        let mut folders: Vec<PathBuf> = Vec::new();
        for source in sources {
            if let Some(list) = source.to_str().filter(|text| text.contains(',') && !source.exists()) {
                read_list(list, &mut builder)?;
                continue;
            }
            read_source(source, &mut builder)?;
            let folder = if source.is_dir() { source.clone() } else { folder_of(source) };
            folders.push(folder);
        }
        folders.extend(playbook.map(Path::to_owned));
        let files = folders.iter().map(|folder| read_var_files(folder, &builder)).collect::<Result<Vec<_>, _>>()?;
        Ok(vars::build(builder, &files))
    }
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

fn unreadable(path: &Path, error: &std::io::Error) -> InventoryError {
    InventoryError::Unreadable { path: path.to_owned(), detail: error.to_string() }
}

fn read_source(path: &Path, builder: &mut InventoryBuilder) -> Result<(), InventoryError> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.is_dir() {
        for entry in sorted_entries(path)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') || matches!(&*name, "group_vars" | "host_vars");
            if !hidden && !IGNORED.iter().any(|ending| name.ends_with(ending)) {
                read_source(&entry, builder)?;
            }
        }
        return Ok(());
    }
    if about.permissions().mode() & 0o111 != 0 {
        return Ok(script::read(path, &run_script(path)?, builder)?);
    }
    let text = read_text(path)?;
    match extension(path) {
        "yaml" | "yml" | "json" => yaml::read(path, &text, builder)?,
        "toml" => {
            return Err(Diagnostic::new(
                path,
                Position::default(),
                "muster reads inventories in YAML and INI, not TOML",
            )
            .into());
        }
        _ if looks_like_yaml(&text) => yaml::read(path, &text, builder)?,
        _ => ini::read(path, &text, builder)?,
    }
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn read_text(path: &Path) -> Result<String, InventoryError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes)
        .map_err(|_| Diagnostic::new(path, Position::default(), "the file is not UTF-8 text").into())
}

/// Reports whether a file without a known extension is YAML, by its first line that is neither blank nor a comment.
fn looks_like_yaml(text: &str) -> bool {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    first.is_some_and(|line| line == "---" || line.starts_with('{') || (line.ends_with(':') && !line.starts_with('[')))
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, InventoryError> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(folder, &error))?;
    paths.sort();
    Ok(paths)
}

fn run_script(path: &Path) -> Result<String, InventoryError> {
    let failed = |detail: String| InventoryError::Script { path: path.to_owned(), detail };
    let program = fs::canonicalize(path).map_err(|error| unreadable(path, &error))?;
    let output = Command::new(program).arg("--list").stdin(Stdio::null()).output();
    let output = output
        .map_err(|error| failed(format!("{error}; if the file is not a program, remove its execute permission")))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", output.status, stderr.trim())));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("its output is not UTF-8".to_owned()))
}

/// Reads `group_vars` and `host_vars` in a folder, for the groups and hosts that exist.
fn read_var_files(folder: &Path, builder: &InventoryBuilder) -> Result<VarFiles, InventoryError> {
    let groups = read_vars_of(&folder.join("group_vars"), builder.groups.keys())?;
    let hosts = read_vars_of(&folder.join("host_vars"), builder.hosts.keys())?;
    Ok(VarFiles { groups, hosts })
}

fn read_vars_of<'a>(
    folder: &Path,
    names: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Vars>, InventoryError> {
    if !folder.is_dir() {
        return Ok(BTreeMap::new());
    }
    let entries = sorted_entries(folder)?;
    let mut found = BTreeMap::new();
    for name in names {
        let candidates = ["", ".yml", ".yaml", ".json"].map(|ending| folder.join(format!("{name}{ending}")));
        if let Some(path) = candidates.iter().find(|path| entries.contains(path)) {
            found.insert(name.clone(), read_vars(path)?);
        }
    }
    Ok(found)
}

/// Reads a variable file, or all variable files in a folder and its subfolders, in order.
fn read_vars(path: &Path) -> Result<Vars, InventoryError> {
    if !path.is_dir() {
        return read_vars_file(path);
    }
    let mut vars = Vars::new();
    for entry in sorted_entries(path)? {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let suits = entry.is_dir() || matches!(extension(&entry), "" | "yml" | "yaml" | "json");
        if suits && !hidden && !entry.to_string_lossy().ends_with('~') {
            vars.extend(read_vars(&entry)?);
        }
    }
    Ok(vars)
}

/// Reads a file of variables: one map, YAML or JSON.
pub fn read_vars_file(path: &Path) -> Result<Vars, InventoryError> {
    let node = document::read(path, &read_text(path)?)?;
    match node.value() {
        Value::Null => Ok(Vars::new()),
        Value::Object(vars) => Ok(vars),
        _ => Err(Diagnostic::new(path, node.at, format!("variables must be a map, not {}", node.kind())).into()),
    }
}
