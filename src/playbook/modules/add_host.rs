//! `add_host` and `group_by`: add hosts and groups to the inventory of the run.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::RunsIn;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::Addition;

/// Adds a host.
pub(super) struct AddHost;

/// Puts the host into a group.
pub(super) struct GroupBy;

static ADD_HOST: Spec = Spec::new(
    "add_host",
    &["ansible.builtin", "ansible.legacy"],
    "Adds a host to the inventory of the run, with variables. It runs once for all hosts.",
    &[
        Parameter::new("name", Kind::Text, "The name of the host.").or(&["hostname", "host"]),
        Parameter::new("groups", Kind::Any, "Its groups: a list, or words between commas.").or(&["group", "groupname"]),
    ],
)
.needs(&[&["name"]]);

static GROUP_BY: Spec = Spec::new(
    "group_by",
    &["ansible.builtin", "ansible.legacy"],
    "Puts the host into a group, which is made if need be.",
    &[
        Parameter::new("key", Kind::Text, "The name of the group."),
        Parameter::new("parents", Kind::Any, "The groups in which the group is: a list, or words between commas."),
    ],
)
.needs(&[&["key"]]);

impl Module for AddHost {
    fn spec(&self) -> &'static Spec {
        &ADD_HOST
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Inventory
    }

    fn runs_once(&self) -> bool {
        true
    }

    fn takes_any_name(&self) -> bool {
        true
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let (mut name, mut vars) = (arguments.required("name")?, Vars::new());
        // As with Ansible, a port may follow the name.
        if let Some((host, port)) = name.clone().split_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) {
            vars.insert("ansible_ssh_port".to_owned(), port.into());
            host.clone_into(&mut name);
        }
        let own = arguments.args.iter().filter(|(name, _)| ADD_HOST.parameter(name).is_none());
        vars.extend(own.map(|(name, value): (&String, &Value)| (name.clone(), value.clone())));
        let groups = arguments.list("groups")?.unwrap_or_default();
        Ok(Action::Add(Addition::Host { name, groups, vars }))
    }
}

impl Module for GroupBy {
    fn spec(&self) -> &'static Spec {
        &GROUP_BY
    }

    fn runs_in(&self) -> RunsIn {
        RunsIn::Inventory
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        if arguments.value("key").is_some_and(|key| !key.is_string()) {
            return Err("`key` must be text".to_owned());
        }
        let group = arguments.required("key")?.replace(' ', "-");
        let parents = arguments.list("parents")?.unwrap_or_default();
        Ok(Action::Add(Addition::Group { group, parents }))
    }
}
