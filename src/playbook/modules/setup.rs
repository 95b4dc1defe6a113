//! `setup` and `gather_facts`: gather the facts about the host.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::ShellPattern;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::facts;
use crate::playbook::facts::Query;
use crate::playbook::facts::Subsets;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_connection::reason;
use crate::playbook::host_connection::unquotable;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::SetVars;
use crate::playbook::shell_expand::quote_expanding;
use crate::remote::Exit;

/// Gathers facts.
pub(super) struct Setup;

/// Gathers facts, under the name of the keyword of plays.
pub(super) struct GatherFacts;

const PARAMETERS: [Parameter; 4] = [
    Parameter::new("gather_subset", Kind::List, "The subsets of facts, each after `!` to leave it out (default: all)."),
    Parameter::new("filter", Kind::List, "Shell patterns of the names of facts to return (default: all)."),
    Parameter::new("gather_timeout", Kind::Number, "The longest time of one command, in seconds (default: 10)."),
    Parameter::new("fact_path", Kind::Text, "The folder of the host's own facts (default: /etc/ansible/facts.d)."),
];

static SETUP: Spec = spec("setup");
static GATHER_FACTS: Spec = spec("gather_facts");

const fn spec(name: &'static str) -> Spec {
    Spec::new(name, &["ansible.builtin", "ansible.legacy"], "Gathers the facts about the host.", &PARAMETERS)
}

impl Module for Setup {
    fn spec(&self) -> &'static Spec {
        &SETUP
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Gather::of(arguments).map(Action::on_host)
    }
}

impl Module for GatherFacts {
    fn spec(&self) -> &'static Spec {
        &GATHER_FACTS
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Gather::of(arguments).map(Action::on_host)
    }
}

/// The longest time of a whole run of the script.
const LIMIT: Duration = Duration::from_mins(5);

/// What to gather.
struct Gather {
    subset: Vec<String>,
    subsets: Subsets,
    filter: Vec<ShellPattern>,
    timeout: u64,
    fact_path: String,
}

impl Gather {
    fn of(arguments: &Arguments<'_>) -> Result<Self, String> {
        let words = |name| arguments.list(name).map(Option::unwrap_or_default);
        let mut subset = words("gather_subset")?;
        if subset.is_empty() {
            subset.push("all".to_owned());
        }
        let filter = words("filter")?;
        let filter = filter.iter().filter(|glob| !glob.is_empty() && *glob != "*").flat_map(|glob| patterns(glob));
        Ok(Self {
            subsets: Subsets::parse(&subset).map_err(|why| format!("`gather_subset`: {why}"))?,
            subset,
            filter: filter.collect::<Result<_, _>>()?,
            timeout: arguments.number("gather_timeout")?.unwrap_or(10).clamp(1, 60),
            fact_path: arguments.non_empty("fact_path")?.unwrap_or_else(|| "/etc/ansible/facts.d".to_owned()),
        })
    }
}

/// Compiles a pattern of the names of variables. The part `ansible_` in front may be left out.
fn patterns(glob: &str) -> Vec<Result<ShellPattern, String>> {
    let compile = |glob: &str| ShellPattern::parse(glob).map_err(|error| format!("invalid pattern {glob:?}: {error}"));
    let mut all = vec![compile(glob)];
    if !["ansible_", "facter", "ohai"].iter().any(|prefix| glob.starts_with(prefix)) {
        all.push(compile(&format!("ansible_{glob}")));
    }
    all
}

/// The facts that are no variables of their own.
const UNPREFIXED: [&str; 2] = ["gather_subset", "module_setup"];

/// Returns the outcome that sets the facts of a host.
fn outcome(found: Vars) -> Outcome {
    let shown = found.iter().filter_map(|(name, value)| {
        let plain = UNPREFIXED.contains(&name.as_str());
        Some((if plain { name.clone() } else { facts::variable(name)? }, value.clone()))
    });
    let detail = Vars::from_iter([("ansible_facts".to_owned(), Value::Object(shown.collect()))]);
    let mut variables = facts::variables(found);
    variables.retain(|name, _| !UNPREFIXED.iter().any(|plain| name.strip_prefix("ansible_") == Some(plain)));
    let set = SetVars { facts: Arc::new(variables), ..SetVars::default() };
    Outcome { set, ..Outcome::done(false, detail) }
}

/// Runs the script of a query and returns its text.
pub(super) async fn run(connection: &HostConnection<'_>, query: &Query) -> Result<String, Outcome> {
    match connection.exec(query.script().to_owned(), Some(LIMIT)).await? {
        (Exit::Code(0), output) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        (_, output) => Err(Outcome::failed(reason(&output.stderr))),
    }
}

#[async_trait::async_trait]
impl HostAction for Gather {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let path = quote_expanding(&self.fact_path).map_err(unquotable)?;
        let query = if self.subsets.is_empty() { Ok(Query::nothing()) } else { Query::host(&path, self.timeout) };
        let query = query.map_err(Outcome::failed)?;
        let text = run(connection, &query).await?;
        let mut found = facts::parse(&query.read(&text), &self.subsets);
        let fits = |name: &str| self.filter.is_empty() || self.filter.iter().any(|pattern| pattern.matches(name));
        found.retain(|name, _| facts::variable(name).is_some_and(|name| fits(&name)));
        for (name, value) in [("gather_subset", Value::from(self.subset.clone())), ("module_setup", true.into())] {
            if fits(name) {
                found.insert(name.to_owned(), value);
            }
        }
        Ok(outcome(found))
    }
}
