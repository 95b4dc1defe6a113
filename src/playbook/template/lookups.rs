//! Lookups: `lookup('env', 'HOME')`, `query('fileglob', '*.conf')`.
//!
//! They read the machine where the playbook runs. Only text from a playbook calls them: the output of a host is never a
//! template.

mod debops;
mod files;
mod filetree;
mod lists;
mod url;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Kwargs;
use minijinja::value::ValueKind;

use super::SCOPE;
use super::Scope;
use super::arguments::Arguments;
use super::value;
use super::value::text;
use super::value::wrong;
use crate::inventory::Vars;

/// The machine where the playbook runs, as lookups and `include` see it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The folders in which files are searched: those of the role, then that of the playbook. A file is searched in a
    /// folder of its kind there (`files`, `templates`), then in the folder itself.
    pub folders: Vec<PathBuf>,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// The settings of the run, by Ansible's names.
    pub configuration: Vars,
}

impl Surroundings {
    /// Returns the place of a file, if it is there. `kind` is `files`, `templates` or `vars`.
    pub fn find(&self, kind: &str, name: &str) -> Option<PathBuf> {
        let path = match name.strip_prefix("~/").zip(self.environment.get("HOME")) {
            Some((rest, home)) => Path::new(home).join(rest),
            None => PathBuf::from(name),
        };
        let mut places = self.folders.iter().flat_map(|folder| [folder.join(kind).join(&path), folder.join(&path)]);
        places.find(|place| place.exists())
    }
}

/// A lookup: takes the scope, the terms and the options.
type Lookup = fn(&Scope, &[Value], &Arguments) -> Result<Vec<Value>, Error>;

const LOOKUPS: [(&str, Lookup); 31] = [
    ("cartesian", lists::cartesian),
    ("config", config),
    ("csvfile", files::csvfile),
    ("debops.debops.file_src", |scope, terms, _| debops::source(scope, terms, "files")),
    ("debops.debops.task_src", |scope, terms, _| debops::source(scope, terms, "tasks")),
    ("debops.debops.template_src", |scope, terms, _| debops::source(scope, terms, "templates")),
    ("dict", lists::dict),
    ("env", env),
    ("file", files::file),
    ("fileglob", files::fileglob),
    ("filetree", filetree::filetree),
    ("first_found", files::first_found),
    ("flattened", lists::flattened),
    ("indexed_items", lists::indexed_items),
    ("ini", files::ini),
    ("inventory_hostnames", inventory_hostnames),
    ("items", lists::items),
    ("lines", files::lines),
    ("list", |_, terms, _| Ok(terms.to_vec())),
    ("nested", lists::nested),
    ("password", files::password),
    ("pipe", files::pipe),
    ("random_choice", lists::random_choice),
    ("sequence", lists::sequence),
    ("subelements", lists::subelements),
    ("template", files::template),
    ("together", lists::together),
    ("unvault", files::unvault),
    ("url", url::url),
    ("varnames", varnames),
    ("vars", vars),
];

/// Returns the names of all lookups.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LOOKUPS.iter().map(|(name, _)| *name)
}

/// Returns the name of a lookup, if there is one with this name, which may begin with its collection.
pub fn named(name: &str) -> Option<&'static str> {
    names().find(|known| *known == short(name))
}

/// Returns the name of a lookup without the collections whose lookups have no other one.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("community.general.")).unwrap_or(name)
}

fn of_name(name: &str) -> Option<Lookup> {
    LOOKUPS.iter().find(|(known, _)| *known == name).map(|(_, lookup)| *lookup)
}

/// Returns what a lookup finds for these terms. `kind` is the folder of the files that it looks for.
pub(super) fn run(scope: &Scope, name: &str, terms: &[Value], kind: &str) -> Result<Vec<Value>, Error> {
    let lookup = of_name(name).ok_or_else(|| wrong(super::names::unknown_lookup(name)))?;
    let options = Some((files::KIND, Value::from(kind))).filter(|_| name == "first_found");
    lookup(scope, terms, &Arguments::new(&[options.into_iter().collect::<Kwargs>().into()]))
}

/// The function `lookup`, or `query` if the result is always a list.
pub(super) fn call(state: &State<'_, '_>, given: &[Value], is_query: bool) -> Result<Value, Error> {
    let arguments = Arguments::new(given);
    let name = text(&arguments.required(0, "name")?);
    let lookup = of_name(short(&name)).ok_or_else(|| wrong(super::names::unknown_lookup(&name)))?;
    let scope = state.lookup(SCOPE).unwrap_or_default();
    let scope = scope.downcast_object_ref::<Scope>().ok_or_else(|| wrong("a lookup needs variables"))?;
    let terms = arguments.positional().get(1..).unwrap_or_default();
    if let Some(term) = terms.iter().find(|term| term.is_undefined()) {
        return Err(Error::new(minijinja::ErrorKind::UndefinedError, describe_term(term)));
    }
    let is_list = is_query || arguments.by_name("wantlist").is_some_and(|flag| flag.is_true());
    match lookup(scope, terms, &arguments) {
        Ok(found) if is_list => Ok(value::list(found)),
        Ok(found) => Ok(joined(found)),
        Err(error) => match arguments.by_name("errors").map(|errors| text(&errors)).as_deref() {
            Some("ignore" | "warn") => Ok(if is_list { value::list(Vec::new()) } else { Value::from(()) }),
            _ => Err(wrong(format!("lookup `{name}`: {error}", error = plain(&error)))),
        },
    }
}

fn describe_term(_: &Value) -> String {
    "a term of the lookup is undefined".to_owned()
}

/// Returns the text of an error without its kind.
fn plain(error: &Error) -> String {
    error.detail().map_or_else(|| error.to_string(), str::to_owned)
}

/// Returns the value of `lookup`: texts joined by commas, one other value, or the list.
fn joined(found: Vec<Value>) -> Value {
    if !found.is_empty() && found.iter().all(|value| value.kind() == ValueKind::String) {
        return Value::from(found.iter().map(text).collect::<Vec<_>>().join(","));
    }
    match <[Value; 1]>::try_from(found) {
        Ok([only]) => only,
        Err(found) => value::list(found),
    }
}

fn env(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let default = arguments.by_name("default").unwrap_or_else(|| Value::from(""));
    let environment = &scope.surroundings()?.environment;
    Ok(terms.iter().map(|name| environment.get(&text(name)).map_or_else(|| default.clone(), Value::from)).collect())
}

fn vars(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let default = arguments.by_name("default");
    let variable = |name: &Value| {
        let name = text(name);
        match scope.variable(&name) {
            Some(value) => Ok(value::from_json(&value.map_err(wrong)?)),
            None => default.clone().ok_or_else(|| wrong(format!("no variable `{name}` is defined"))),
        }
    };
    terms.iter().map(variable).collect()
}

/// Returns settings of the run.
fn config(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let skips = match arguments.text(usize::MAX, "on_missing", "error").as_str() {
        "error" => false,
        "skip" | "warn" => true,
        other => return Err(wrong(format!("`on_missing` must be error, warn or skip, not `{other}`"))),
    };
    if let Some((name, _)) =
        arguments.named().iter().find(|(name, _)| !["on_missing", "wantlist", "errors"].contains(&name.as_str()))
    {
        return Err(wrong(format!("muster takes no `{name}`")));
    }
    let configuration = &scope.surroundings()?.configuration;
    let mut found = Vec::new();
    for term in terms {
        match configuration.get(&text(term)) {
            Some(value) => found.push(value::from_json(value)),
            None if skips => {}
            None => {
                let known: Vec<&str> = configuration.keys().map(String::as_str).collect();
                return Err(wrong(format!("muster has no setting `{}`: it has {}", text(term), known.join(", "))));
            }
        }
    }
    Ok(found)
}

/// Returns the names of the hosts of a pattern. A term that is a part of a pattern may match nothing.
fn inventory_hostnames(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let pattern = terms.iter().map(text).collect::<Vec<_>>().join(",");
    Ok(scope.hosts_matching(&pattern).into_iter().map(Value::from).collect())
}

fn varnames(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let mut names = Vec::new();
    for term in terms {
        let pattern =
            super::python_regex::compile(&text(term), super::python_regex::Flags::default()).map_err(wrong)?;
        for name in scope.names() {
            if pattern.find(&name, 0).map_err(wrong)?.is_some() {
                names.push(Value::from(name));
            }
        }
    }
    Ok(names)
}
