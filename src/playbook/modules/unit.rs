//! `unit`: sets the desired state of a unit of the cluster.

use std::path::PathBuf;

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::playbook::action::Action;
use crate::playbook::cluster::UnitGoal;
use crate::playbook::cluster::UnitRequest;
use crate::playbook::template::Syntax;

/// Requests a unit.
pub(super) struct Unit;

const STATES: &[&str] = &["submitted", "loaded", "started", "stopped", "absent", "restarted"];

static SPEC: Spec = Spec::new(
    "unit",
    &[],
    "Sets the desired state of a unit of the cluster.",
    &[
        Parameter::new("name", Kind::Text, "The name of the unit."),
        Parameter::new("state", Kind::Choice(STATES), "The state (default: started)."),
        Parameter::new("src", Kind::Text, "The unit's file, in `files` or beside the playbook."),
        Parameter::new("template", Kind::Text, "The template of its file, in `templates` or beside the playbook."),
        Parameter::new("content", Kind::Text, "The text of its file."),
    ],
)
.needs(&[&["name"]])
.excludes(&[&["src", "template", "content"]]);

impl Module for Unit {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let name = arguments.required("name")?;
        let name = UnitName::from_argument(&name).map_err(|error| format!("`{name}`: {error}"))?;
        let goal = match arguments.text("state")?.as_deref() {
            Some("submitted") => UnitGoal::Submitted,
            Some("loaded") => UnitGoal::Loaded,
            None | Some("started") => UnitGoal::Started,
            Some("stopped") => UnitGoal::Stopped,
            Some("absent") => UnitGoal::Absent,
            Some("restarted") => UnitGoal::Restarted,
            Some(other) => {
                let expected = Kind::Choice(STATES).expected();
                return Err(format!("`state` must be {expected}, not `{other}`"));
            }
        };
        let (path, text) = if arguments.args.contains_key("src") {
            let path = arguments.find_file("src", "files")?;
            let text = String::from_utf8(arguments.read(&path)?.into());
            let text = text.map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
            (path, text)
        } else if arguments.args.contains_key("template") {
            let path = arguments.find_file("template", "templates")?;
            let text = arguments.render_file("template", &path, Syntax::default())?;
            (path, text)
        } else if let Some(text) = arguments.text("content")? {
            (PathBuf::from("content"), text)
        } else {
            return Ok(Action::Unit(UnitRequest { name, goal, file: None }));
        };
        let file = UnitFile::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Action::Unit(UnitRequest { name, goal, file: Some(file) }))
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Cluster
    }
}
