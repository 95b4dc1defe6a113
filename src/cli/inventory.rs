//! `muster inventory`: the hosts, groups and variables of the inventory.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::diagnostic::did_you_mean;
use crate::playbook::connection_variables;
use crate::playbook::inventory_lint;
use crate::playbook::template;
use crate::ui;
use crate::ui::messages;
use crate::ui::table;
use crate::vault;
use crate::vault::Keyring;

/// Show and check the inventory
#[derive(Debug, clap::Args)]
pub struct InventoryCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the hosts that match a pattern
    List(List),
    /// Print groups and hosts as a tree, as `ansible-inventory --graph` does
    Graph(Graph),
    /// Print the variables of a host as JSON, as `ansible-inventory --host` does
    Host {
        /// The host
        name: String,
    },
    /// Print the values of variables on the hosts that match a pattern, and which hosts have the same
    Vars(VarsArgs),
    /// Print what is probably wrong in the inventory
    ///
    /// These are findings: warnings of the sources; variables and options of ssh that muster ignores; connection variables
    /// that cannot be used; templates that cannot be filled in, or with a filter, test or lookup that muster lacks; groups
    /// without hosts, and variables of groups that do not exist; hosts to which two sources give different addresses.
    ///
    /// The exit code is 1 if there is a finding.
    Lint,
}

#[derive(Debug, clap::Args)]
struct Graph {
    /// The group
    #[arg(default_value = "all")]
    group: String,
    /// Leave out hosts that do not match this pattern
    #[arg(long, short = 'l', value_name = "PATTERN")]
    limit: Option<String>,
    /// Print the variables of groups and hosts too
    #[arg(long)]
    vars: bool,
}

#[derive(Debug, clap::Args)]
struct VarsArgs {
    /// Hosts: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    pattern: String,
    /// The variables [default: all]
    names: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Hosts: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    #[arg(default_value = "all")]
    pattern: String,
    /// Print as JSON, in the form of `ansible-inventory --list`
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

impl Context {
    /// Reads the inventory, with the variables in the folder of a playbook if there is one.
    pub fn inventory(&self, playbook: Option<&Path>) -> Result<Inventory, CommandError> {
        let inventory = self.load_inventory(playbook)?;
        for warning in &inventory.warnings {
            ui::warn(warning);
        }
        Ok(inventory)
    }

    fn load_inventory(&self, playbook: Option<&Path>) -> Result<Inventory, CommandError> {
        if self.settings.inventory.is_empty() {
            return Err(CommandError::usage("no inventory")
                .hint("Name an inventory with `-i PATH` or `-i host1,host2,`, or set `inventory` in muster.toml."));
        }
        Ok(Inventory::load_beside(&self.settings.inventory, playbook, &self.vault()?)?)
    }
}

impl Context {
    /// Reads the inventory to reach its hosts: templates in their connection variables are filled in.
    pub fn hosts(&self, playbook: Option<&Path>, extra: &Vars) -> Result<Inventory, CommandError> {
        Ok(self.reachable(self.inventory(playbook)?, extra))
    }

    /// Reads the inventory to reach the hosts of these patterns. Without one, patterns of this machine have it alone.
    pub fn hosts_of<'p>(
        &self,
        playbook: Option<&Path>,
        extra: &Vars,
        patterns: impl IntoIterator<Item = &'p str>,
    ) -> Result<Inventory, CommandError> {
        if self.settings.inventory.is_empty() && patterns.into_iter().all(Host::is_local) {
            return Ok(self.reachable(Inventory::load_beside(&[], playbook, &self.vault()?)?, extra));
        }
        self.hosts(playbook, extra)
    }

    fn reachable(&self, mut inventory: Inventory, extra: &Vars) -> Inventory {
        inventory.set_connection_defaults(self.connection_defaults.clone());
        connection_variables::fill(&mut inventory, extra);
        inventory
    }
}

/// Warns of the files of variables that are left out because there is no password for them.
pub(super) fn warn_of_left_out(vault: &Keyring) {
    if let Some(files) = vault.left_out() {
        ui::warn(&format!("{files}. Their variables are left out"));
    }
}

/// Prints the variables of these hosts that muster ignores.
pub(super) fn print_notes<'a>(hosts: impl IntoIterator<Item = &'a Host>) {
    print_folded(hosts.into_iter().map(|host| (host.name.as_str(), host.notes())));
}

/// Prints each note once, with the hosts that it is about.
pub(super) fn print_folded<'a>(notes: impl IntoIterator<Item = (&'a str, Vec<String>)>) {
    let mut hosts_of: IndexMap<String, Vec<&str>> = IndexMap::new();
    for (host, notes) in notes {
        for note in notes {
            hosts_of.entry(note).or_default().push(host);
        }
    }
    for (note, hosts) in hosts_of {
        ui::note(&messages::note_about_hosts(&hosts, &note));
    }
}

/// Runs `muster inventory …`.
pub fn run(context: &Context, command: &InventoryCommand) -> CommandResult {
    let context = &AnsibleConfig::read()?.context(context);
    match &command.verb {
        Verb::List(args) => list(context, args),
        Verb::Graph(args) => graph(context, args),
        Verb::Host { name } => host(context, name),
        Verb::Vars(args) => vars(context, args),
        Verb::Lint => lint(context),
    }
}

/// Reads the inventory and removes the hosts that do not match the pattern. Returns the names of the others.
fn chosen(context: &Context, pattern: &str) -> Result<(Inventory, Vec<String>), CommandError> {
    let mut inventory = context.inventory(None)?;
    let chosen: Vec<String> = inventory.select(pattern)?.iter().map(|host| host.name.clone()).collect();
    inventory.retain_hosts(&chosen);
    Ok((inventory, chosen))
}

fn list(context: &Context, list: &List) -> CommandResult {
    let (inventory, chosen) = chosen(context, &list.pattern)?;
    print_notes(inventory.hosts.values());
    warn_of_left_out(&inventory.vault);
    if list.output.is_some() {
        ui::json(&inventory.to_json());
    } else {
        ui::result(&chosen.into_iter().map(|name| name + "\n").collect::<String>());
    }
    Ok(ExitStatus::Done)
}

fn graph(context: &Context, graph: &Graph) -> CommandResult {
    let (inventory, _) = chosen(context, graph.limit.as_deref().unwrap_or("all"))?;
    if !inventory.groups.contains_key(&graph.group) {
        let hint = did_you_mean(&graph.group, inventory.groups.keys().map(String::as_str));
        return Err(CommandError::usage(format!("no group is called `{}`", graph.group)).maybe_hint(hint));
    }
    let show = graph.vars.then_some(&shown as &dyn Fn(&Value) -> String);
    ui::result(&ui::clean(&inventory.to_graph(&graph.group, show)));
    Ok(ExitStatus::Done)
}

/// Returns a value as a table or a graph shows it. Closed values stay closed.
fn shown(value: &Value) -> String {
    template::text_of(&vault::listed(value))
}

fn host(context: &Context, name: &str) -> CommandResult {
    let inventory = context.inventory(None)?;
    let Some(host) = inventory.hosts.get(name) else {
        let hint = did_you_mean(name, inventory.hosts.keys().map(String::as_str));
        return Err(CommandError::usage(format!("no host is called `{name}`")).maybe_hint(hint));
    };
    let mut vars: Value = host.vars.iter().map(|(name, value)| (name.clone(), vault::listed(value))).collect();
    vars.sort_all_objects();
    warn_of_left_out(&inventory.vault);
    ui::json(&vars);
    Ok(ExitStatus::Done)
}

fn vars(context: &Context, args: &VarsArgs) -> CommandResult {
    let (inventory, _) = chosen(context, &args.pattern)?;
    // The hosts by variable and value. Hosts without the variable have no value.
    let mut values: BTreeMap<&str, IndexMap<Option<&Value>, Vec<&str>>> = BTreeMap::new();
    let is_wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|wanted| wanted == name);
    let given = inventory.hosts.values().flat_map(|host| host.vars.keys()).map(String::as_str);
    let names: BTreeSet<&str> =
        given.filter(|name| is_wanted(name)).chain(args.names.iter().map(String::as_str)).collect();
    for name in names {
        for host in inventory.hosts.values() {
            values.entry(name).or_default().entry(host.vars.get(name)).or_default().push(&host.name);
        }
    }
    let mut rows = vec![["VARIABLE", "VALUE", "HOSTS"].map(str::to_owned).to_vec()];
    for (name, values) in values {
        for (value, hosts) in values {
            let value = value.map_or_else(|| "-".to_owned(), shown);
            rows.push(vec![name.to_owned(), value, hosts.join(",")]);
        }
    }
    ui::result(&table::lay_out(&rows, false));
    Ok(ExitStatus::Done)
}

fn lint(context: &Context) -> CommandResult {
    let mut findings = inventory_lint::findings(&context.load_inventory(None)?);
    findings.extend(inventory_lint::moved(&context.settings.inventory, &context.vault()?)?);
    ui::result(&ui::clean(&findings.iter().map(|finding| format!("{finding}\n")).collect::<String>()));
    Ok(if findings.is_empty() { ExitStatus::Done } else { ExitStatus::Failed })
}
