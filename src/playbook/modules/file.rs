//! `file`: the state of a path on the host: a file, a directory, a link, or nothing.

use serde_json::Value;
use serde_json::json;

use super::Arguments;
use super::Module;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::diff;
use crate::playbook::diff::Diffs;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Brings a path to a state.
pub(super) struct File;

static SPEC: Spec = Spec::new(
    "file",
    &["ansible.builtin", "ansible.legacy"],
    "Makes or removes a file, a directory or a link, and gives it its owner, group and mode.",
    &[
        Parameter::new("path", Kind::Text, "The path.").or(&["dest", "name"]),
        Parameter::new(
            "state",
            Kind::Choice(&["absent", "directory", "file", "hard", "link", "touch"]),
            "What the path is to be (default: what it is, or else `file`, which must exist).",
        ),
        Parameter::new("src", Kind::Text, "The target of a link."),
        Parameter::new("recurse", Kind::Flag, "Whether all that is in a directory gets owner, group and mode too."),
        Parameter::new("force", Kind::Flag, "Whether a link may point to nothing and may replace a file."),
        Parameter::new("follow", Kind::Flag, "Whether a link is followed (default: true)."),
        Parameter::new("modification_time", Kind::Text, "`now`, `preserve`, or a time as YYYYMMDDhhmm.ss."),
        Parameter::new("access_time", Kind::Text, "`now`, `preserve`, or a time as YYYYMMDDhhmm.ss."),
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["path"]]);

impl Module for File {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let state = arguments.non_empty("state")?.unwrap_or_default();
        let flag = |name: &str| arguments.flag(name);
        Ok(Action::on_host(PathState {
            path: arguments.required("path")?,
            src: arguments.non_empty("src")?,
            recurse: flag("recurse")?.unwrap_or(false),
            force: flag("force")?.unwrap_or(false),
            follow: flag("follow")?.unwrap_or(true),
            modification_time: time(arguments, "modification_time", &state)?,
            access_time: time(arguments, "access_time", &state)?,
            attributes: arguments.attributes()?,
            state,
        }))
    }
}

/// Returns a time for the script: nothing, `now`, or a time that date(1) and touch(1) read.
fn time(arguments: &Arguments<'_>, name: &str, state: &str) -> Result<String, String> {
    let default = if state == "touch" { "now" } else { "preserve" };
    let text = arguments.non_empty(name)?.unwrap_or_else(|| default.to_owned());
    match text.as_str() {
        "preserve" => Ok(String::new()),
        "now" => Ok(text),
        _ => {
            let format = jiff::civil::DateTime::strptime("%Y%m%d%H%M.%S", &text);
            let time =
                format.map_err(|_| format!("`{name}` must be now, preserve or YYYYMMDDhhmm.ss, not `{text}`"))?;
            Ok(time.strftime("%Y-%m-%d %H:%M:%S").to_string())
        }
    }
}

/// Returns how the path changed: its state, the target of a link, or its attributes. A path that is not there and is not
/// to be there has no difference.
fn difference(report: &HostReport) -> Diffs {
    let (Some(was), Some(state)) = (report.get("was"), report.get("wanted")) else { return Diffs::None };
    let path = report.get("path").or_else(|| report.get("dest")).unwrap_or_default();
    let (mut before, mut after) = report.changed_attributes();
    let mut add = |name: &str, old: &str, new: &str| {
        before.insert(name.to_owned(), old.into());
        after.insert(name.to_owned(), new.into());
    };
    if was != state {
        add("state", was, state);
    }
    if let Some((old, new)) = report.get("old_src").zip(report.get("src")) {
        add("src", old, new);
    }
    if state == "absent" && was == "directory" {
        let names = |name| report.all(name).map(Value::from).collect::<Value>();
        before.insert("path_content".to_owned(), json!({"directories": names("folder"), "files": names("file")}));
    }
    diff::of_attributes(&[("path", path.into())], (before, after))
}

/// A state to which a path is brought.
struct PathState {
    path: String,
    state: String,
    src: Option<String>,
    recurse: bool,
    force: bool,
    follow: bool,
    modification_time: String,
    access_time: String,
    attributes: Attributes,
}

#[async_trait::async_trait]
impl HostAction for PathState {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let script = HostScript::new(include_str!("file.sh"))
            .path("path", &self.path)
            .set("state", &self.state)
            .path("src", self.src.as_deref().unwrap_or_default())
            .flag("recurse", self.recurse)
            .flag("force", self.force)
            .flag("follow", self.follow)
            .set("mtime", &self.modification_time)
            .set("atime", &self.access_time)
            .attributes(&self.attributes);
        let report = script.run(connection).await?;
        let outcome = Outcome::done(report.is("changed"), report.vars(&["path", "dest", "src", "state"]));
        Ok(if connection.diff { outcome.with_diff(difference(&report)) } else { outcome })
    }
}
