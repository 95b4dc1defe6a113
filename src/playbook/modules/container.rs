//! What the modules of containers share: a container is looked at, made anew if it differs, started and stopped.
//!
//! One script looks at the container and its image, the controller compares, and another script acts. The values of the
//! variables of a container (`env`) reach the program through its own environment, so that no list of processes has them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::diff::Diffs;
use crate::playbook::diff::Side;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// The script that looks at the container, and at the image, which it may pull.
const LOOK: &str = include_str!("container_look.sh");

/// The script that runs the program, once for each step.
const ACT: &str = include_str!("container_act.sh");

/// A program for containers.
#[derive(Clone, Copy)]
pub(super) struct Engine {
    /// What the module takes.
    pub(super) spec: &'static Spec,
    /// The name of the program.
    pub(super) program: &'static str,
    /// The parameters that are options of `create`.
    pub(super) options: &'static [Parameter],
    /// Reads the option that a parameter becomes.
    pub(super) setting: fn(&Parameter, &Arguments<'_>) -> Result<Setting, String>,
    /// Reads the parameters that are no options of `create`.
    pub(super) prepare: fn(&Arguments<'_>, Container) -> Result<Container, String>,
    /// Reports whether a container that exists is compared with what the task says.
    pub(super) is_compared: fn(&Container) -> bool,
    /// Returns how a container differs.
    pub(super) differences: fn(&Container, &Found<'_>) -> Vec<Difference>,
    /// Set if a container that was running runs again after it was made anew.
    pub(super) keeps_running: bool,
}

/// The state that a task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It does not exist.
    Absent,
    /// It exists.
    Present,
    /// It runs.
    Started,
    /// It exists and does not run.
    Stopped,
}

/// When the image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pull {
    /// Never.
    Never,
    /// If the host does not have it.
    Missing,
    /// Each time.
    Always,
}

/// A parameter that is an option of `create`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The name of the parameter.
    pub(super) parameter: &'static str,
    /// What is compared.
    pub(super) values: Vec<String>,
    /// The words of the command line.
    pub(super) words: Vec<String>,
}

/// A network to which a container is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Network {
    pub(super) name: String,
    pub(super) ipv4: Option<String>,
    pub(super) ipv6: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) links: Vec<String>,
}

/// A container to bring to its state.
pub(super) struct Container {
    pub(super) engine: Engine,
    pub(super) program: String,
    pub(super) name: String,
    pub(super) image: Option<String>,
    pub(super) state: State,
    /// The words after the image.
    pub(super) command: Vec<String>,
    pub(super) settings: Vec<Setting>,
    pub(super) recreates: bool,
    pub(super) restarts: bool,
    /// Set to wait until the container has ended.
    pub(super) waits: bool,
    pub(super) pull: Pull,
    pub(super) pull_options: Vec<String>,
    pub(super) stop: Vec<String>,
    pub(super) remove_options: Vec<String>,
    /// The networks, if the task names them.
    pub(super) networks: Option<Vec<Network>>,
    /// Set if an image with the same name and another id is another image.
    pub(super) compares_image_id: bool,
    /// What is compared in another way than by default.
    pub(super) comparisons: BTreeMap<String, Comparison>,
}

/// How a value of a container is compared with that of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Not at all.
    Ignore,
    /// It is the same.
    Strict,
    /// It has at least the same.
    AllowMore,
}

/// What the host has.
pub(super) struct Found<'a> {
    pub(super) container: Option<&'a Value>,
    pub(super) image: Option<&'a Value>,
}

/// How a container differs from what the task says.
pub(super) struct Difference {
    pub(super) name: &'static str,
    pub(super) before: Vec<String>,
    pub(super) after: Vec<String>,
    /// Set if the container need not be made anew: these steps are enough.
    pub(super) steps: Option<Vec<Vec<String>>>,
}

impl Found<'_> {
    /// Returns a value of the container.
    pub(super) fn value(&self, pointer: &str) -> Option<&Value> {
        self.container?.pointer(pointer).filter(|value| !value.is_null())
    }

    fn is_running(&self) -> bool {
        self.value("/State/Running").and_then(Value::as_bool) == Some(true)
    }
}

impl Module for Engine {
    fn spec(&self) -> &'static Spec {
        self.spec
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let mut settings = Vec::new();
        for parameter in self.options.iter().filter(|parameter| arguments.value(parameter.name).is_some()) {
            settings.push((self.setting)(parameter, arguments)?);
        }
        let name = arguments.required("name")?;
        if !is_name(&name) {
            return Err(format!(
                "a container cannot have the name `{name}`: expected letters, digits, `_`, `.` and `-`"
            ));
        }
        let image = arguments.non_empty("image")?;
        if image.as_ref().is_some_and(|image| image.starts_with('-')) {
            return Err("the name of an image cannot begin with a dash".to_owned());
        }
        let state = match arguments.non_empty("state")?.as_deref() {
            None | Some("started") => State::Started,
            Some("absent") => State::Absent,
            Some("present" | "created") => State::Present,
            Some("stopped") => State::Stopped,
            Some(other) => return Err(format!("`state` cannot be `{other}`")),
        };
        let container = Container {
            engine: *self,
            program: self.program.to_owned(),
            name,
            image,
            state,
            command: command(arguments)?,
            settings,
            recreates: arguments.flag("recreate")? == Some(true),
            restarts: false,
            waits: arguments.flag("detach")? == Some(false),
            pull: Pull::Missing,
            pull_options: Vec::new(),
            stop: vec!["stop".to_owned()],
            remove_options: Vec::new(),
            networks: None,
            compares_image_id: true,
            comparisons: BTreeMap::new(),
        };
        Ok(Action::on_host((self.prepare)(arguments, container)?))
    }
}

/// Returns the words after the image: a list, or a text that is split as in a shell.
fn command(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    match arguments.value("command") {
        None => Ok(Vec::new()),
        Some(Value::Array(_)) => Ok(arguments.list("command")?.unwrap_or_default()),
        Some(value) => {
            let text = scalar_text(value).ok_or("`command` must be a text or a list of words")?;
            shlex::split(&text).ok_or_else(|| "the quotes in `command` do not match".to_owned())
        }
    }
}

/// Reports whether a container can have a name. Such a name is no option of a command.
fn is_name(name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(is_of_name)
}

/// Returns the values of a parameter: a list has several, a map has a pair for each key.
pub(super) fn values(parameter: &Parameter, arguments: &Arguments<'_>, separator: &str) -> Result<Vec<String>, String> {
    let name = parameter.name;
    let mut values = match parameter.kind {
        Kind::Flag => vec![if arguments.flag(name)? == Some(true) { "true" } else { "false" }.to_owned()],
        Kind::List | Kind::Words => arguments.list(name)?.unwrap_or_default(),
        Kind::Any => {
            let map =
                arguments.value(name).and_then(Value::as_object).ok_or_else(|| format!("`{name}` must be a map"))?;
            let pair = |(key, value): (&String, &Value)| match value {
                Value::Null => Ok(String::new()),
                value => scalar_text(value)
                    .map(|text| format!("{key}{separator}{text}"))
                    .ok_or_else(|| format!("`{key}` of `{name}` must be text")),
            };
            map.iter().map(pair).collect::<Result<_, _>>()?
        }
        Kind::Choice(words) => {
            let word = arguments.text(name)?.unwrap_or_default();
            if !words.contains(&word.as_str()) {
                return Err(format!("`{name}` must be {}, not `{word}`", parameter.kind.expected()));
            }
            vec![word]
        }
        Kind::Number => arguments.number(name)?.map(|number| number.to_string()).into_iter().collect(),
        Kind::Text | Kind::Mode | Kind::ModeOrPreserve => arguments.text(name)?.into_iter().collect(),
    };
    values.retain(|value| !value.is_empty());
    if name == "restart_policy" && values == ["False"] {
        // YAML reads `no` as false.
        values = vec!["no".to_owned()];
    }
    Ok(values)
}

/// Returns the words of an option, once for each value.
pub(super) fn option_words(option: &str, values: &[String]) -> Vec<String> {
    values.iter().map(|value| format!("{option}={value}")).collect()
}

impl Container {
    /// Returns the setting of a parameter, if the task has it.
    pub(super) fn setting(&self, parameter: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.parameter == parameter)
    }

    /// Returns the values of a parameter that are compared.
    pub(super) fn wanted(&self, parameter: &str) -> &[String] {
        self.setting(parameter).map(|setting| &setting.values[..]).unwrap_or_default()
    }

    /// Returns the variables of the container, as `NAME=VALUE`.
    fn environment(&self) -> &[String] {
        self.wanted("env")
    }

    /// Returns the step that makes the container.
    fn creation(&self, image: &str) -> Vec<String> {
        let mut step: Vec<String> =
            ["container".to_owned(), "create".to_owned(), format!("--name={}", self.name)].into();
        for pair in self.environment() {
            let shown = if is_for_program(pair) { pair } else { pair.split('=').next().unwrap_or(pair) };
            step.push(format!("--env={shown}"));
        }
        step.extend(self.settings.iter().flat_map(|setting| setting.words.iter().cloned()));
        step.push(image.to_owned());
        step.extend(self.command.iter().cloned());
        step
    }

    /// Returns a step that names the container.
    pub(super) fn step(&self, words: &[&str], options: &[String]) -> Vec<String> {
        let words = ["container"].iter().chain(words).map(|word| (*word).to_owned());
        words.chain(options.iter().cloned()).chain([self.name.clone()]).collect()
    }

    /// Returns the step that connects the container to a network.
    pub(super) fn connection(&self, network: &Network) -> Vec<String> {
        let mut step = vec!["network".to_owned(), "connect".to_owned()];
        step.extend(network.ipv4.iter().map(|address| format!("--ip={address}")));
        step.extend(network.ipv6.iter().map(|address| format!("--ip6={address}")));
        step.extend(option_words("--alias", &network.aliases));
        step.extend(option_words("--link", &network.links));
        step.extend([network.name.clone(), self.name.clone()]);
        step
    }

    /// Returns the steps that end the container and remove it.
    fn removal(&self, is_running: bool) -> Vec<Vec<String>> {
        let stop = is_running.then(|| self.stop_step());
        let remove = self.step(&["rm", "--force"], &self.remove_options);
        stop.into_iter().chain([remove]).collect()
    }

    fn stop_step(&self) -> Vec<String> {
        ["container".to_owned()].into_iter().chain(self.stop.iter().cloned()).chain([self.name.clone()]).collect()
    }

    /// Returns what brings the container to its state.
    fn plan(&self, found: &Found<'_>) -> Result<Plan, String> {
        let mut plan = Plan::default();
        let (exists, is_running) = (found.container.is_some(), found.is_running());
        if self.state == State::Absent {
            if exists {
                plan.does("deleted", self.removal(is_running));
            }
            return Ok(plan);
        }
        let mut is_new = !exists;
        if exists && (self.engine.is_compared)(self) {
            let differences = (self.engine.differences)(self, found);
            is_new = self.recreates || differences.iter().any(|difference| difference.steps.is_none());
            if !is_new {
                plan.updates = differences.iter().filter_map(|difference| difference.steps.clone()).flatten().collect();
            }
            plan.differences = differences;
        }
        if is_new {
            self.plan_new(&mut plan, found)?;
        } else if !plan.updates.is_empty() {
            let updates = std::mem::take(&mut plan.updates);
            plan.does("updated", updates);
        }
        let start = if self.waits { self.step(&["start", "--attach"], &[]) } else { self.step(&["start"], &[]) };
        let is_up = is_running && !is_new;
        match self.state {
            State::Started if is_up && self.restarts => plan.does("restarted", vec![self.step(&["restart"], &[])]),
            State::Started if !is_up && exists && is_new => plan.steps.push(start),
            State::Started if !is_up => plan.does("started", vec![start]),
            State::Stopped if is_up => plan.does("stopped", vec![self.stop_step()]),
            State::Present if is_running && is_new && self.engine.keeps_running => plan.does("started", vec![start]),
            State::Present if !is_new && self.restarts && is_up => {
                plan.does("restarted", vec![self.step(&["restart"], &[])]);
            }
            State::Present if !is_new && self.restarts => plan.does("started", vec![start]),
            _ => {}
        }
        Ok(plan)
    }

    /// Plans to make the container, and to remove the old one.
    fn plan_new(&self, plan: &mut Plan, found: &Found<'_>) -> Result<(), String> {
        let old = found.value("/Config/Image").and_then(Value::as_str);
        let Some(image) = self.image.as_deref().or(old) else {
            return Err("Cannot create container when image is not specified!".to_owned());
        };
        let mut steps = vec![self.creation(image)];
        // The command that makes it connects it to one of them.
        let others = self.networks.iter().flatten().skip(usize::from(self.setting("networks").is_some()));
        steps.extend(others.map(|network| self.connection(network)));
        if found.container.is_some() {
            steps.splice(..0, self.removal(found.is_running()));
            plan.does("recreated", steps);
        } else if self.state == State::Started {
            plan.steps = steps;
        } else {
            plan.does("created", steps);
        }
        Ok(())
    }

    fn script(&self, text: &'static str) -> HostScript {
        HostScript::on_system(text).set("program", &self.program).set("name", &self.name)
    }

    /// Looks at the container and the image.
    async fn look(&self, connection: &HostConnection<'_>) -> Result<HostReport, Outcome> {
        let pulls = match self.pull {
            Pull::Never => "",
            _ if self.state == State::Absent => "",
            Pull::Missing => "missing",
            Pull::Always => "always",
        };
        let script = self.script(LOOK).set("image", self.image.as_deref().unwrap_or_default()).set("pulls", pulls);
        script.words("pull_options", &self.pull_options).run(connection).await
    }

    /// Runs the steps. Returns what the script says.
    async fn act(&self, steps: &[Vec<String>], connection: &HostConnection<'_>) -> Result<HostReport, Outcome> {
        let quoted: Result<Vec<String>, _> =
            steps.iter().map(|step| shlex::try_join(step.iter().map(String::as_str))).collect();
        let quoted = quoted.map_err(|error| Outcome::failed(format!("it cannot be given to a shell: {error}")))?;
        let environment: Vec<String> =
            self.environment().iter().filter(|pair| !is_for_program(pair)).cloned().collect();
        self.script(ACT).words("environment", &environment).words("steps", &quoted).run(connection).await
    }
}

/// What brings a container to its state.
#[derive(Default)]
struct Plan {
    /// The arguments of the program, once for each step.
    steps: Vec<Vec<String>>,
    /// What is done, for the result.
    actions: Vec<&'static str>,
    updates: Vec<Vec<String>>,
    differences: Vec<Difference>,
}

impl Plan {
    fn does(&mut self, action: &'static str, steps: Vec<Vec<String>>) {
        self.actions.push(action);
        self.steps.extend(steps);
    }

    /// Returns how the container differs, as Ansible shows it. The values of variables may be secret.
    fn diff(&self) -> Diffs {
        if self.differences.is_empty() {
            return Diffs::None;
        }
        let line = |name: &str, values: &[String]| {
            let shown: Vec<&str> = match name {
                "env" => values.iter().map(|pair| pair.split('=').next().unwrap_or_default()).collect(),
                _ => values.iter().map(String::as_str).collect(),
            };
            format!("{name} - {}\n", shown.join(","))
        };
        let before = self.differences.iter().map(|it| line(it.name, &it.before)).collect::<String>();
        let after = self.differences.iter().map(|it| line(it.name, &it.after)).collect::<String>();
        Diffs::one(Side::bare(before), Side::bare(after))
    }
}

/// Returns the first of a list that a program printed as JSON.
fn first(report: &HostReport, name: &str) -> Option<Value> {
    let list: Value = serde_json::from_str(report.get(name)?).ok()?;
    list.get(0).cloned()
}

#[async_trait::async_trait]
impl HostAction for Container {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = self.look(connection).await?;
        let (container, image) = (first(&report, "container"), first(&report, "image"));
        let found = Found { container: container.as_ref(), image: image.as_ref() };
        let plan = self.plan(&found).map_err(Outcome::failed)?;
        let mut actions: Vec<String> = plan.actions.iter().map(|action| format!("{action} {}", self.name)).collect();
        if report.is("pulled") {
            let image = self.image.as_deref().unwrap_or_default();
            actions.insert(0, format!("pulled image {image}"));
        }
        let mut vars = Vars::new();
        let mut after = container;
        if !plan.steps.is_empty() && !connection.check {
            let report = self.act(&plan.steps, connection).await?;
            after = first(&report, "container");
            vars = report.results();
        }
        if self.state == State::Absent {
            after = None;
        }
        vars.insert("container".to_owned(), after.unwrap_or_else(|| Vars::new().into()));
        let commands = plan.steps.iter().map(|step| shown(&self.program, step));
        vars.insert(format!("{}_actions", self.engine.program), commands.collect());
        let changed = !actions.is_empty() || !plan.steps.is_empty();
        vars.insert("actions".to_owned(), actions.into());
        Ok(Outcome::done(changed, vars).with_diff(if connection.diff { plan.diff() } else { Diffs::None }))
    }
}

/// Returns the line of a step for the result, without the values of variables, which may be secret.
fn shown(program: &str, step: &[String]) -> Value {
    let words = step.iter().map(|word| match word.strip_prefix("--env=") {
        Some(pair) => format!("--env={}", pair.split('=').next().unwrap_or_default()),
        None => word.clone(),
    });
    [program.to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ").into()
}

/// Reports whether a variable cannot be given to the program in its environment: a shell cannot set it, or the program itself
/// or its libraries read it.
fn is_for_program(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default();
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let prefixes = ["LD_", "XDG_", "CONTAINERS_", "PODMAN_", "_CONTAINERS", "LISTEN_", "LC_"];
    !is_identifier
        || OF_PROGRAMS.contains(&name)
        || name.to_ascii_lowercase().ends_with("_proxy")
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The variables that the programs or their libraries read.
const OF_PROGRAMS: [&str; 36] = [
    "BUILDAH_FORMAT",
    "CONTAINER_CONNECTION",
    "CONTAINER_HOST",
    "CONTAINER_PROXY",
    "CONTAINER_SSHKEY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTENT_TRUST",
    "DOCKER_CONTEXT",
    "DOCKER_DEFAULT_PLATFORM",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "GODEBUG",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOTRACEBACK",
    "HOME",
    "HOSTNAME",
    "IFS",
    "LANG",
    "LOGNAME",
    "NOTIFY_SOCKET",
    "PATH",
    "PWD",
    "REGISTRY_AUTH_FILE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
    "TMPDIR",
    "USER",
];
