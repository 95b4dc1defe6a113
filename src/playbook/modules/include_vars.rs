//! `include_vars`: sets the variables of files of the playbook.

use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::inventory::load::read_vars_file;
use crate::playbook::action::Action;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::SetVars;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;

/// Sets the variables of files.
pub(super) struct IncludeVars;

static SPEC: Spec = Spec::new(
    "include_vars",
    &["ansible.builtin", "ansible.legacy"],
    "Sets the variables of a file, or of the files of a folder, for the rest of the run.",
    &[
        Parameter::new("file", Kind::Text, "The file, in `vars` or beside the tasks."),
        Parameter::new("dir", Kind::Text, "The folder, whose files are read in the order of their names."),
        Parameter::new("name", Kind::Text, "The variable that has all others in it."),
        Parameter::new("extensions", Kind::Words, "The endings of files in the folder (default: yaml, yml, json)."),
        Parameter::new("depth", Kind::Number, "How deep folders are read; 0 for any depth (default: 0)."),
        Parameter::new("files_matching", Kind::Text, "A regular expression for the names of files in the folder."),
        Parameter::new(
            "ignore_unknown_extensions",
            Kind::Flag,
            "Whether a file with another ending is left out (default: false). Otherwise it is an error.",
        ),
        Parameter::new(
            "ignore_files",
            Kind::Words,
            "Regular expressions for the ends of the names of files that are left out.",
        ),
        Parameter::new("hash_behaviour", Kind::Choice(&["replace"]), "Variables of later files replace earlier ones."),
    ],
)
.needs(&[&["file", "dir"]])
.on_line(Line::Word("file"));

/// The endings of files of variables.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

impl Module for IncludeVars {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let files = match arguments.non_empty("file")? {
            Some(_) => vec![arguments.find_file("file", "vars")?],
            None => files_in(arguments)?,
        };
        let mut vars = Vars::new();
        for file in &files {
            // As with Ansible, the last one of a repeated key counts.
            let (more, _) = read_vars_file(file, arguments.scope.vault()).map_err(|error| error.to_string())?;
            vars.extend(more);
        }
        if let Some(name) = arguments.non_empty("name")? {
            vars = Vars::from_iter([(name, Value::Object(vars))]);
        }
        let shown: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let detail = Vars::from_iter([
            ("ansible_facts".to_owned(), Value::Object(vars.clone())),
            ("ansible_included_var_files".to_owned(), shown.into()),
        ]);
        let set = SetVars { included: Arc::new(vars), ..SetVars::default() };
        Ok(Action::done(Outcome { set, ..Outcome::done(false, detail) }))
    }
}

/// Returns the files of variables in the folder.
fn files_in(arguments: &Arguments<'_>) -> Result<Vec<PathBuf>, String> {
    let given = arguments.required("dir")?;
    let folder = folder_of(&given, arguments);
    if !folder.is_dir() {
        let fault = if folder.exists() { "is not a directory" } else { "directory does not exist" };
        return Err(format!("{} {fault}", folder.display()));
    }
    let words = |name: &str| arguments.list(name);
    let endings = words("extensions")?.unwrap_or_else(|| ENDINGS.map(str::to_owned).to_vec());
    let ignored = words("ignore_files")?.unwrap_or_default();
    let ignored: Vec<_> = ignored
        .iter()
        .map(|pattern| python_regex::compile(&format!("{pattern}$"), Flags::default()))
        .collect::<Result<_, _>>()?;
    let depth = arguments.number("depth")?.filter(|depth| *depth > 0).unwrap_or(u64::MAX);
    let mut files = Vec::new();
    collect(&folder, (depth, &[]), &mut files)?;
    let matching = arguments.non_empty("files_matching")?;
    let matching = matching.map(|text| python_regex::compile(&text, Flags::default())).transpose()?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_found = |pattern: &Pattern| pattern.find(&name, 0).is_ok_and(|found| found.is_some());
        !ignored.iter().any(is_found) && matching.as_ref().is_none_or(is_found)
    });
    // As in Ansible: the files of a folder before those of the folders in it, and folders in the order of their names.
    let place = |file: &PathBuf| {
        [file.parent().map(Path::as_os_str), file.file_name()]
            .map(Option::<&OsStr>::unwrap_or_default)
            .map(OsStr::to_owned)
    };
    files.sort_by_key(place);
    let is_known = |file: &PathBuf| {
        let ending = file.extension().unwrap_or_default().to_string_lossy();
        endings.iter().any(|known| *known == ending)
    };
    if arguments.flag("ignore_unknown_extensions")? == Some(true) {
        files.retain(is_known);
    }
    match files.iter().find(|file| !is_known(file)) {
        Some(file) => Err(format!("{} does not have a valid extension: {}", file.display(), endings.join(", "))),
        None => Ok(files),
    }
}

/// Returns the folder with a name, as Ansible finds it: in `vars` of the role, or beside the file of the task.
fn folder_of(given: &str, arguments: &Arguments<'_>) -> PathBuf {
    match arguments.role {
        Some(role) if given == "vars" || given.starts_with("vars/") => {
            Some(role.join(given)).filter(|folder| folder.exists()).unwrap_or_else(|| given.into())
        }
        Some(role) => role.join("vars").join(given),
        None => arguments.file.parent().unwrap_or(Path::new("")).join(given),
    }
}

/// Collects the files of a folder and of the folders in it. Links are followed, except one to a folder around it.
fn collect(folder: &Path, (depth, around): (u64, &[PathBuf]), files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let real = folder.canonicalize().map_err(failed)?;
    if around.contains(&real) {
        return Ok(());
    }
    let around = [around, &[real]].concat();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if depth > 1 {
                collect(&path, (depth - 1, &around), files)?;
            }
        } else if path.exists() {
            files.push(path);
        }
    }
    Ok(())
}
