//! `npm`: packages of Node.js.
//!
//! npm lists its packages as JSON, which the controller reads before it says what npm is to do.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Installs or removes packages.
pub(super) struct Npm;

static SPEC: Spec = Spec::new(
    "npm",
    &["community.general", "ansible.builtin"],
    "Installs or removes packages of Node.js.",
    &[
        Parameter::new("name", Kind::Text, "The package (default: those that package.json names)."),
        Parameter::new("version", Kind::Text, "The version of the package."),
        Parameter::new("path", Kind::Text, "The directory of the project."),
        Parameter::new("global", Kind::Flag, "Whether the package is for the whole host."),
        Parameter::new(
            "state",
            Kind::Choice(&["absent", "latest", "present"]),
            "What to make of it (default: present).",
        ),
        Parameter::new("production", Kind::Flag, "Whether packages for development are left out."),
        Parameter::new("ci", Kind::Flag, "Whether exactly what package-lock.json names is installed."),
        Parameter::new("executable", Kind::Text, "The npm to use (default: npm)."),
        Parameter::new("registry", Kind::Text, "The URL of the registry."),
        Parameter::new("ignore_scripts", Kind::Flag, "Whether scripts of packages are not run."),
        Parameter::new("unsafe_perm", Kind::Flag, "Whether scripts run as root."),
        Parameter::new("no_optional", Kind::Flag, "Whether optional packages are left out."),
        Parameter::new("no_bin_links", Kind::Flag, "Whether no links to programs are made."),
        Parameter::new("force", Kind::Flag, "Whether packages are fetched again."),
    ],
);

/// The flags that are options of every command, in the order of the command line.
const BEFORE_NAME: [(&str, &str); 2] = [("ignore_scripts", "--ignore-scripts"), ("unsafe_perm", "--unsafe-perm")];
const AFTER_NAME: [(&str, &str); 3] =
    [("no_optional", "--no-optional"), ("no_bin_links", "--no-bin-links"), ("force", "--force")];

/// The script that runs npm.
const SCRIPT: &str = r#"
if [ -n "$path" ]; then
  if [ -n "$check" ] && [ ! -e "$path" ]; then say out '' && exit 0; fi
  [ -e "$path" ] || mkdir -p -- "$path" || exit 1
  [ -d "$path" ] && cd -- "$path" || fail "path $path is not a directory"
fi
eval "set -- $command"
needs "$1"
run "$@"
if [ $rc != 0 ] && [ -n "$must_work" ]; then say cmd "$*" && say_run && fail "${err:-$out}"; fi
say out "$out"
"#;

impl Module for Npm {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        let flags = |of: &[(&'static str, &str)]| -> Result<Vec<String>, String> {
            let mut options = Vec::new();
            for (name, option) in of {
                if flag(name)? {
                    options.push((*option).to_owned());
                }
            }
            Ok(options)
        };
        let name = arguments.non_empty("name")?;
        let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
        let path = arguments.text("path")?.unwrap_or_default();
        if path.is_empty() && !flag("global")? {
            return Err("path must be specified when not using global".to_owned());
        }
        if state == "absent" && name.is_none() {
            return Err("state is absent but all of the following are missing: name".to_owned());
        }
        if name.as_ref().is_some_and(|name| name.starts_with('-')) {
            return Err("`name` cannot begin with a dash".to_owned());
        }
        let version = arguments.non_empty("version")?.filter(|_| state != "absent");
        let full = match (&name, version) {
            (Some(name), Some(version)) => Some(format!("{name}@{version}")),
            (name, _) => name.clone(),
        };
        let mut after = Vec::new();
        if let Some(registry) = arguments.non_empty("registry")? {
            after.extend(["--registry".to_owned(), registry]);
        }
        after.extend(flags(&AFTER_NAME)?);
        let program = arguments.non_empty("executable")?.unwrap_or_else(|| "npm".to_owned());
        Ok(Action::on_host(Packages {
            name,
            full,
            state,
            path,
            is_exact: flag("ci")?,
            program: program.split(' ').map(str::to_owned).collect(),
            is_global: flag("global")?,
            production: flag("production")?,
            before: flags(&BEFORE_NAME)?,
            after,
        }))
    }
}

/// Packages to bring to their state.
struct Packages {
    name: Option<String>,
    /// The name with the version.
    full: Option<String>,
    state: String,
    path: String,
    is_exact: bool,
    program: Vec<String>,
    is_global: bool,
    production: bool,
    before: Vec<String>,
    after: Vec<String>,
}

/// The packages that npm lists.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    /// The names, with and without versions.
    installed: Vec<String>,
    lacks: bool,
}

impl Packages {
    /// Returns a command. `changes` says that it installs something, `is_named` that it is about the package.
    fn command(&self, words: &[&str], changes: bool, is_named: bool) -> Vec<String> {
        let mut command = self.program.clone();
        command.extend(words.iter().map(|word| (*word).to_owned()));
        if self.is_global {
            command.push("--global".to_owned());
        }
        if changes && self.production {
            command.push("--production".to_owned());
        }
        command.extend(self.before.iter().cloned());
        command.extend(self.full.iter().filter(|_| is_named).cloned());
        command.extend(self.after.iter().cloned());
        command
    }

    async fn run_npm(
        &self,
        connection: &HostConnection<'_>,
        command: &[String],
        must_work: bool,
    ) -> Result<HostReport, Outcome> {
        let script = HostScript::on_system(SCRIPT).path("path", &self.path);
        script.words("command", command).flag("must_work", must_work).run(connection).await
    }

    /// Changes packages, except in a check.
    async fn change(&self, connection: &HostConnection<'_>, word: &str) -> Result<(), Outcome> {
        if connection.check {
            return Ok(());
        }
        self.run_npm(connection, &self.command(&[word], word != "uninstall", true), true).await.map(drop)
    }

    fn listed(&self, printed: &str) -> Result<Listed, String> {
        let data: Value = match printed.trim() {
            "" => Value::Null,
            text => {
                serde_json::from_str(text).map_err(|error| format!("Failed to parse NPM output with error {error}"))?
            }
        };
        let Some(packages) = data.get("dependencies").and_then(Value::as_object) else {
            return Ok(Listed { lacks: true, ..Listed::default() });
        };
        let mut listed = Listed::default();
        for (name, properties) in packages {
            let is = |name: &str| match properties.get(name) {
                None | Some(Value::Null) => false,
                Some(Value::Bool(flag)) => *flag,
                Some(Value::String(text)) => !text.is_empty(),
                Some(_) => true,
            };
            if is("missing") || is("invalid") {
                listed.lacks = true;
                continue;
            }
            listed.installed.push(name.clone());
            let version = properties.get("version").and_then(Value::as_str).filter(|version| !version.is_empty());
            listed.installed.extend(version.map(|version| format!("{name}@{version}")));
        }
        listed.lacks |= self.full.as_ref().is_some_and(|full| !listed.installed.contains(full));
        Ok(listed)
    }
}

#[async_trait::async_trait]
impl HostAction for Packages {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let mut changed = false;
        if self.is_exact {
            self.change(connection, "ci").await?;
            return Ok(Outcome::done(true, Vars::new()));
        }
        let report =
            self.run_npm(connection, &self.command(&["list", "--json", "--long"], false, false), false).await?;
        let listed = self.listed(report.get("out").unwrap_or_default()).map_err(Outcome::failed)?;
        if self.state == "absent" {
            if self.name.as_ref().is_some_and(|name| listed.installed.contains(name)) {
                self.change(connection, "uninstall").await?;
                changed = true;
            }
            return Ok(Outcome::done(changed, Vars::new()));
        }
        let is_outdated = if self.state == "latest" {
            let report = self.run_npm(connection, &self.command(&["outdated"], false, true), false).await?;
            report.get("out").is_some_and(|out| !out.trim().is_empty())
        } else {
            false
        };
        for (word, _) in [("install", listed.lacks), ("update", is_outdated)].into_iter().filter(|(_, is_so)| *is_so) {
            self.change(connection, word).await?;
            changed = true;
        }
        Ok(Outcome::done(changed, Vars::new()))
    }
}
