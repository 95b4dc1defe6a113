//! The lookups of the collection debops.debops: files of a role.
//!
//! A project of DebOps may have other files in their places. muster does not read its configuration, and refuses the lookup
//! if there is one.

use std::path::Path;
use std::path::PathBuf;

use minijinja::Error;
use minijinja::Value;

use super::super::Scope;
use super::super::value::text;
use super::super::value::wrong;

/// The configuration of a project, which is in the working folder or above it.
const OF_PROJECT: [&str; 6] = [".debops", ".debops.cfg", ".debops.yaml", ".debops.yml", ".debops.json", ".debops.toml"];

/// The folders of the machine with a configuration.
const OF_MACHINE: [&str; 4] = ["/etc/debops", "/etc/debops.cfg", "/usr/local/lib/debops", "/usr/lib/debops"];

/// Returns the places of files of the role. `folder` is where the role has such files.
pub(super) fn source(scope: &Scope, terms: &[Value], folder: &str) -> Result<Vec<Value>, Error> {
    if let Some(path) = configuration(scope)? {
        return Err(wrong(format!(
            "muster does not read the configuration of DebOps, which may have other files: {}",
            path.display()
        )));
    }
    let role = scope.variable("role_path").transpose().map_err(wrong)?;
    let role = role.as_ref().and_then(|path| path.as_str()).map(|path| Path::new(path).join(folder));
    let place = |term: &Value| {
        let path = role.as_ref().map(|role| role.join(text(term))).filter(|path| path.exists());
        path.map(|path| Value::from(path.to_string_lossy()))
            .ok_or_else(|| wrong(format!("could not locate file in lookup: {}", text(term))))
    };
    terms.iter().map(place).collect()
}

/// Returns the place of a configuration of DebOps, if there is one.
fn configuration(scope: &Scope) -> Result<Option<PathBuf>, Error> {
    let environment = &scope.surroundings()?.environment;
    let home = environment.get("HOME").map(PathBuf::from);
    let user = environment.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let user = user.or_else(|| home.as_ref().map(|home| home.join(".config"))).map(|folder| folder.join("debops"));
    let here = std::path::absolute(".").unwrap_or_default();
    let of_project = here.ancestors().flat_map(|folder| OF_PROJECT.map(|name| folder.join(name)));
    let of_user = user.into_iter().chain(home.map(|home| home.join(".debops.cfg")));
    Ok(of_project.chain(of_user).chain(OF_MACHINE.map(PathBuf::from)).find(|path| path.exists()))
}
