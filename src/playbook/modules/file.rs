//! `file`: the state of a path on the host: a file, a directory, a link, or nothing.

use super::Arguments;
use super::Module;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
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
        destination::OWNER,
        destination::GROUP,
    ],
)
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
        Ok(Outcome::done(report.is("changed"), report.vars(&["path", "dest", "src", "state"])))
    }
}
