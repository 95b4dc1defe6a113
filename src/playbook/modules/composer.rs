//! `composer`: the packages of a project in PHP.
//!
//! Which options a command of composer has differs by version: composer lists them as JSON, which the controller reads.

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

/// Runs a command of composer.
pub(super) struct Composer;

static SPEC: Spec = Spec::new(
    "composer",
    &["community.general", "ansible.builtin"],
    "Runs a command of composer for a project in PHP.",
    &[
        Parameter::new("command", Kind::Text, "The command (default: install)."),
        Parameter::new("arguments", Kind::Text, "The arguments of the command."),
        Parameter::new("working_dir", Kind::Text, "The directory of the project.").or(&["working-dir"]),
        Parameter::new("global_command", Kind::Flag, "Whether the command is about the packages of the user.")
            .or(&["global-command"]),
        Parameter::new("executable", Kind::Text, "The php to use.").or(&["php_path"]),
        Parameter::new("composer_executable", Kind::Text, "The composer to use."),
        Parameter::new("prefer_source", Kind::Flag, "Whether sources are preferred.").or(&["prefer-source"]),
        Parameter::new("prefer_dist", Kind::Flag, "Whether archives are preferred.").or(&["prefer-dist"]),
        Parameter::new("no_dev", Kind::Flag, "Whether packages for development are left out (default: true).")
            .or(&["no-dev"]),
        Parameter::new("no_scripts", Kind::Flag, "Whether scripts are not run.").or(&["no-scripts"]),
        Parameter::new("no_plugins", Kind::Flag, "Whether plugins are not used.").or(&["no-plugins"]),
        Parameter::new("optimize_autoloader", Kind::Flag, "Whether the autoloader is optimised (default: true).")
            .or(&["optimize-autoloader"]),
        Parameter::new("classmap_authoritative", Kind::Flag, "Whether classes are loaded from the map only.")
            .or(&["classmap-authoritative"]),
        Parameter::new("apcu_autoloader", Kind::Flag, "Whether the autoloader uses APCu.").or(&["apcu-autoloader"]),
        Parameter::new("ignore_platform_reqs", Kind::Flag, "Whether the needs of packages are ignored.")
            .or(&["ignore-platform-reqs"]),
    ],
);

/// The options of every command that has them.
const ALWAYS: [&str; 3] = ["no-ansi", "no-interaction", "no-progress"];

/// The options of parameters, in the order of the command line, with the defaults. The name of one is misspelt in Ansible,
/// and so it has no effect.
const OPTIONS: [(&str, &str, bool); 9] = [
    ("prefer_source", "prefer-source", false),
    ("prefer_dist", "prefer-dist", false),
    ("no_dev", "no-dev", true),
    ("no_scripts", "no-scripts", false),
    ("no_plugins", "no-plugins", false),
    ("apcu_autoloader", "acpu-autoloader", false),
    ("optimize_autoloader", "optimize-autoloader", true),
    ("classmap_authoritative", "classmap-authoritative", false),
    ("ignore_platform_reqs", "ignore-platform-reqs", false),
];

/// The script that runs composer.
const SCRIPT: &str = r#"
PATH=$PATH:/usr/local/bin
if [ -z "$php" ]; then needs php && php=$(command -v php); fi
if [ -z "$composer" ]; then needs composer && composer=$(command -v composer); fi
eval "set -- $words"
run "$php" "$composer" "$@"
say code "$rc" && say out "$out" && say err "$err"
"#;

impl Module for Composer {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let command = arguments.non_empty("command")?.unwrap_or_else(|| "install".to_owned());
        if command.contains(char::is_whitespace) {
            return Err("Use the 'arguments' param for passing arguments with the 'command'".to_owned());
        }
        let is_global = arguments.flag("global_command")?.unwrap_or(false);
        let folder = arguments.non_empty("working_dir")?;
        if !is_global && folder.is_none() {
            return Err("global_command is False but all of the following are missing: working_dir".to_owned());
        }
        let words = arguments.text("arguments")?.unwrap_or_default();
        let words = shlex::split(&words).ok_or("the quotes in `arguments` do not match")?;
        let mut options = Vec::new();
        for (name, option, default) in OPTIONS {
            if arguments.flag(name)?.unwrap_or(default) {
                options.push(option);
            }
        }
        let text = |name: &str| Ok::<_, String>(arguments.text(name)?.unwrap_or_default());
        Ok(Action::on_host(Run {
            command,
            words,
            folder: folder.filter(|_| !is_global),
            options,
            php: text("executable")?,
            composer: text("composer_executable")?,
        }))
    }
}

/// A run of composer.
struct Run {
    command: String,
    words: Vec<String>,
    /// The directory of the project; nothing for the packages of the user.
    folder: Option<String>,
    options: Vec<&'static str>,
    php: String,
    composer: String,
}

impl Run {
    async fn composer(
        &self,
        connection: &HostConnection<'_>,
        command: &[&str],
        options: &[String],
    ) -> Result<HostReport, Outcome> {
        let mut words: Vec<String> = if self.folder.is_none() { vec!["global".to_owned()] } else { Vec::new() };
        words.extend(command.iter().map(|word| (*word).to_owned()));
        words.extend(options.iter().cloned());
        if let Some(folder) = &self.folder {
            words.extend(["--working-dir".to_owned(), folder.clone()]);
        }
        let is_help = command.first() == Some(&"help");
        let help = ["--no-interaction", "--format=json"].map(str::to_owned);
        words.extend(if is_help { help.to_vec() } else { self.words.clone() });
        let script = HostScript::on_system(SCRIPT).path("php", &self.php).path("composer", &self.composer);
        script.words("words", &words).run(connection).await
    }
}

/// Returns a text with single blanks.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[async_trait::async_trait]
impl HostAction for Run {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let text = |report: &HostReport, name: &str| report.get(name).unwrap_or_default().to_owned();
        let help = self.composer(connection, &["help", &self.command], &[]).await?;
        if help.get("code") != Some("0") {
            return Err(Outcome::failed(line(&text(&help, "err"))));
        }
        let known: Value = serde_json::from_str(&text(&help, "out"))
            .map_err(|error| Outcome::failed(format!("cannot read the help of composer: {error}")))?;
        let has = |option: &str| known.pointer(&format!("/definition/options/{option}")).is_some();
        let mut options: Vec<&str> =
            ALWAYS.into_iter().chain(self.options.iter().copied()).filter(|it| has(it)).collect();
        if connection.check {
            if !has("dry-run") {
                let msg = format!("command '{}' does not support check mode, skipping", self.command);
                return Ok(Outcome::not_checked(Vars::from_iter([("msg".to_owned(), msg.into())])));
            }
            options.push("dry-run");
        }
        let options: Vec<String> = options.iter().map(|option| format!("--{option}")).collect();
        let report = self.composer(connection, &[&self.command], &options).await?;
        let (out, err) = (text(&report, "out"), text(&report, "err"));
        if report.get("code") != Some("0") {
            let mut failed = Outcome::failed(line(&err));
            failed.detail.insert("stdout".to_owned(), err.into());
            return Err(failed);
        }
        let all = format!("{out}{err}");
        let msg = line(&all);
        let nothing = ["Nothing to install or update", "Nothing to install, update or remove"];
        let changed = !nothing.iter().any(|text| msg.contains(text));
        let lines: Vec<&str> = all.lines().collect();
        let vars = [("msg", msg.into()), ("stdout", all.clone().into()), ("stdout_lines", lines.into())];
        Ok(Outcome::done(changed, Vars::from_iter(vars.map(|(name, value): (&str, Value)| (name.to_owned(), value)))))
    }
}
