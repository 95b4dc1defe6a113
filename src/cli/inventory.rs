//! `muster inventory`: the hosts, groups and variables of the inventory.

use std::path::Path;

use indexmap::IndexMap;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::playbook::connection_variables;
use crate::ui;
use crate::ui::messages;

/// Show the inventory
#[derive(Debug, clap::Args)]
pub struct InventoryCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the hosts that match a pattern
    List(List),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Hosts: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    #[arg(default_value = "all")]
    pattern: String,
    /// Print groups and hosts as a tree
    #[arg(long, conflicts_with = "output")]
    graph: bool,
    /// Print as JSON, in the form of `ansible-inventory --list`
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

impl Context {
    /// Reads the inventory, with the variables in the folder of a playbook if there is one.
    pub fn inventory(&self, playbook: Option<&Path>) -> Result<Inventory, CommandError> {
        if self.settings.inventory.is_empty() {
            return Err(CommandError::usage("no inventory")
                .hint("Name an inventory with `-i PATH` or `-i host1,host2,`, or set `inventory` in muster.toml."));
        }
        let inventory = Inventory::load_beside(&self.settings.inventory, playbook)?;
        for warning in &inventory.warnings {
            ui::warn(warning);
        }
        Ok(inventory)
    }
}

impl Context {
    /// Reads the inventory to reach its hosts: templates in their connection variables are filled in.
    pub fn hosts(&self, playbook: Option<&Path>, extra: &Vars) -> Result<Inventory, CommandError> {
        let mut inventory = self.inventory(playbook)?;
        inventory.set_connection_defaults(self.connection_defaults.clone());
        connection_variables::fill(&mut inventory, extra);
        Ok(inventory)
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
    let Verb::List(list) = &command.verb;
    let mut inventory = context.inventory(None)?;
    let chosen: Vec<String> = inventory.select(&list.pattern)?.iter().map(|host| host.name.clone()).collect();
    inventory.retain_hosts(&chosen);
    print_notes(inventory.hosts.values());
    if list.output.is_some() {
        ui::json(&inventory.to_json());
    } else if list.graph {
        ui::result(&inventory.to_graph());
    } else {
        ui::result(&chosen.into_iter().map(|name| name + "\n").collect::<String>());
    }
    Ok(ExitStatus::Done)
}
