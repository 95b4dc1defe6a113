//! Reading an inventory's sources: the only part of the inventory that touches files and runs scripts.

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
use super::document;
use super::draft::Draft;
use super::draft::UNGROUPED;
use super::draft::host_names;
use super::fault::Fault;
use super::fault::Place;
use super::ini;
use super::script;
use super::vars;
use super::vars::VarFiles;
use super::yaml;

/// Files in an inventory directory that are not sources.
const IGNORED: [&str; 12] =
    [".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry"];

impl Inventory {
    /// Reads the sources, the later ones winning: files, directories, scripts, or lists such as `h1,h2,`.
    pub fn load(sources: &[PathBuf]) -> Result<Self, InventoryError> {
        Self::load_beside(sources, None)
    }

    /// Reads the sources, and the `group_vars` and `host_vars` in a playbook's folder over them.
    pub fn load_beside(sources: &[PathBuf], playbook: Option<&Path>) -> Result<Self, InventoryError> {
        let mut draft = Draft::default();
        let mut folders: Vec<PathBuf> = Vec::new();
        for source in sources {
            if let Some(list) = source.to_str().filter(|text| text.contains(',') && !source.exists()) {
                read_list(list, &mut draft)?;
                continue;
            }
            read_source(source, &mut draft)?;
            let folder = if source.is_dir() { source.clone() } else { folder_of(source) };
            folders.push(folder);
        }
        folders.extend(playbook.map(Path::to_owned));
        let files = folders.iter().map(|folder| read_var_files(folder, &draft)).collect::<Result<Vec<_>, _>>()?;
        Ok(vars::settle(draft, &files))
    }
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn read_list(list: &str, draft: &mut Draft) -> Result<(), InventoryError> {
    for pattern in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let fault = |what| Fault::new(Path::new("-i"), Place::default(), what);
        let (names, port) = host_names(pattern).map_err(fault)?;
        for name in names {
            let vars = draft.host(UNGROUPED, &name);
            vars.extend(port.map(|port| ("ansible_port".to_owned(), Value::from(port))));
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> InventoryError {
    InventoryError::Unreadable { path: path.to_owned(), detail: error.to_string() }
}

fn read_source(path: &Path, draft: &mut Draft) -> Result<(), InventoryError> {
    let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if about.is_dir() {
        for entry in sorted_entries(path)? {
            let name = entry.file_name().unwrap_or_default().to_string_lossy();
            let hidden = name.starts_with('.') || matches!(&*name, "group_vars" | "host_vars");
            if !hidden && !IGNORED.iter().any(|ending| name.ends_with(ending)) {
                read_source(&entry, draft)?;
            }
        }
        return Ok(());
    }
    if about.permissions().mode() & 0o111 != 0 {
        return Ok(script::read(path, &run_script(path)?, draft)?);
    }
    let text = read_text(path)?;
    match extension(path) {
        "yaml" | "yml" | "json" => yaml::read(path, &text, draft)?,
        "toml" => {
            return Err(Fault::new(path, Place::default(), "muster reads inventories in YAML and INI, not TOML").into());
        }
        _ if looks_like_yaml(&text) => yaml::read(path, &text, draft)?,
        _ => ini::read(path, &text, draft)?,
    }
    Ok(())
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default()
}

fn read_text(path: &Path) -> Result<String, InventoryError> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    String::from_utf8(bytes).map_err(|_| Fault::new(path, Place::default(), "the file is not UTF-8 text").into())
}

/// Says whether a file without an extension that tells is YAML: by its first line that says anything.
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
    let output = output.map_err(|error| {
        failed(format!("{error}; if it is not meant to be a program, take its execute permission away"))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("{}: {}", output.status, said.trim())));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("what it printed is not UTF-8".to_owned()))
}

/// Reads what `group_vars` and `host_vars` in a folder say of the groups and hosts that exist.
fn read_var_files(folder: &Path, draft: &Draft) -> Result<VarFiles, InventoryError> {
    let groups = read_vars_of(&folder.join("group_vars"), draft.groups.keys())?;
    let hosts = read_vars_of(&folder.join("host_vars"), draft.hosts.keys())?;
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

/// Reads a variable file, or every variable file in a folder and below, in order.
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
        _ => Err(Fault::new(path, node.at, format!("variables must be a map, not {}", node.kind())).into()),
    }
}
