//! `slurp`: reads a file on the host.

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Reads a file.
pub(super) struct Slurp;

static SPEC: Spec = Spec::new(
    "slurp",
    &["ansible.builtin", "ansible.legacy"],
    "Reads a file on the host, as base64.",
    &[Parameter::new("src", Kind::Text, "The path of the file.").or(&["path"])],
)
.needs(&[&["src"]]);

/// The script that prints the file.
const SCRIPT: &str = r#"
[ -e "$path" ] || fail "File not found: $path"
[ ! -d "$path" ] || fail "Source is a directory and must be a file: $path"
[ -r "$path" ] || fail "File is not readable: $path"
say source "$path"
say content
base64 -w 0 < "$path"
"#;

impl Module for Slurp {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(Source(arguments.required("src")?)))
    }
}

/// The path of a file to read.
struct Source(String);

#[async_trait::async_trait]
impl HostAction for Source {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = HostScript::new(SCRIPT).path("path", &self.0).run(connection).await?;
        let mut vars = report.vars(&["source"]);
        vars.insert("content".to_owned(), String::from_utf8_lossy(&report.content).into());
        vars.insert("encoding".to_owned(), "base64".into());
        Ok(Outcome::done(false, vars))
    }
}
