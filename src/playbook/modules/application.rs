//! `application`: makes the cluster as folders say, as `muster apply` does.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::core::unit::application::is_name;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::cluster::ApplicationRequest;
use crate::playbook::cluster::application_of;

/// Requests applications.
pub(super) struct Application;

const STATES: &[&str] = &["present", "absent"];

static SPEC: Spec = Spec::new(
    "application",
    &[],
    "Makes the cluster as folders say, as `muster apply` does. The result has the units by what was done to them, as \
     `units`: `new`, `changed`, `started`, `unchanged`, `destroyed` and `not_in_folder`.",
    &[
        Parameter::new(
            "path",
            Kind::List,
            "The folders, in `files` or beside the playbook. Each is an application of its name.",
        ),
        Parameter::new("name", Kind::List, "The names of applications, with `state: absent`."),
        Parameter::new(
            "state",
            Kind::Choice(STATES),
            "`absent` destroys all units of the applications (default: present).",
        ),
        Parameter::new(
            "vars",
            Kind::Any,
            "A map of variables for templates (`NAME.j2`) in the folders. They win over those of the file `vars.yaml` there.",
        ),
        Parameter::new(
            "prune",
            Kind::Flag,
            "Whether the units are destroyed that the folders no longer have (default: false).",
        ),
    ],
)
.needs(&[&["path", "name"]]);

impl Module for Application {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let (paths, names) = (arguments.list("path")?, arguments.list("name")?);
        let request = match arguments.text("state")?.as_deref() {
            None | Some("present") => {
                let paths = paths.filter(|paths| !paths.is_empty()).ok_or("`state: present` needs `path`")?;
                let folders = paths.iter().map(|path| arguments.find_folder(path, "files"));
                let folders =
                    folders.collect::<Result<Vec<PathBuf>, String>>().map_err(|why| format!("`path`: {why}"))?;
                let prune = arguments.flag("prune")?.unwrap_or_default();
                ApplicationRequest::Present { folders, prune, vars: Arc::new(variables(arguments)?) }
            }
            Some("absent") => {
                let names = match (names, paths) {
                    (Some(names), _) => names,
                    (None, paths) => {
                        paths.unwrap_or_default().iter().map(|path| application_of(Path::new(path))).collect()
                    }
                };
                if let Some(name) = names.iter().find(|name| !is_name(name)) {
                    return Err(format!("invalid name of an application `{name}`"));
                }
                ApplicationRequest::Absent { names }
            }
            Some(other) => return Err(format!("`state` must be {}, not `{other}`", Kind::Choice(STATES).expected())),
        };
        Ok(Action::Application(request))
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}

/// Returns the variables for templates.
fn variables(arguments: &Arguments<'_>) -> Result<Vars, String> {
    match arguments.value("vars") {
        None | Some(Value::Null) => Ok(Vars::new()),
        Some(Value::Object(vars)) => Ok(vars.clone()),
        Some(_) => Err("`vars` must be a map of variables".to_owned()),
    }
}
