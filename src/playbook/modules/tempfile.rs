//! `tempfile`: makes a temporary file or directory on the host.

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

/// Makes a temporary file.
pub(super) struct Tempfile;

static SPEC: Spec = Spec::new(
    "tempfile",
    &["ansible.builtin", "ansible.legacy"],
    "Makes a temporary file or directory on the host.",
    &[
        Parameter::new("state", Kind::Choice(&["file", "directory"]), "What to make (default: file)."),
        Parameter::new("path", Kind::Text, "The directory in which it is made (default: that of temporary files)."),
        Parameter::new("prefix", Kind::Text, "What the name begins with (default: ansible.)."),
        Parameter::new("suffix", Kind::Text, "What the name ends with."),
    ],
);

/// The script that makes the file.
const SCRIPT: &str = r#"
[ -n "$folder" ] || folder=${TMPDIR:-/tmp}
[ -d "$folder" ] || fail "[Errno 2] No such file or directory: '$folder/$prefix$suffix'"
t=$(mktemp $directory -- "${folder%/}/${prefix}XXXXXXXX$suffix") || exit 1
say path "$t"
describe "$t"
"#;

impl Module for Tempfile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let part = |name: &str, default: &str| match arguments.text(name)?.unwrap_or_else(|| default.to_owned()) {
            part if part.contains('/') => Err(format!("{name} must be a valid file name component, got '{part}'")),
            part => Ok(part),
        };
        Ok(Action::on_host(Temporary {
            directory: arguments.text("state")?.is_some_and(|state| state == "directory"),
            folder: arguments.text("path")?.unwrap_or_default(),
            prefix: part("prefix", "ansible.")?,
            suffix: part("suffix", "")?,
        }))
    }
}

/// A temporary file or directory to make.
struct Temporary {
    directory: bool,
    folder: String,
    prefix: String,
    suffix: String,
}

#[async_trait::async_trait]
impl HostAction for Temporary {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if connection.check {
            let mut outcome = Outcome::not_checked(crate::inventory::Vars::new());
            outcome.detail.insert("msg".to_owned(), "remote module (tempfile) does not support check mode".into());
            return Ok(outcome);
        }
        let script = HostScript::new(SCRIPT)
            .path("folder", &self.folder)
            .set("prefix", &self.prefix)
            .set("suffix", &self.suffix)
            .set("directory", if self.directory { "-d" } else { "" });
        let report = script.run(connection).await?;
        Ok(Outcome::done(true, report.vars(&["path"])))
    }
}
