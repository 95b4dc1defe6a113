//! `service_facts` and `package_facts`: gather the lists of services and of packages.

use std::sync::Arc;

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::setup::run;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::facts;
use crate::playbook::facts::HostText;
use crate::playbook::facts::Query;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::SetVars;

/// Gathers the services.
pub(super) struct ServiceFacts;

/// Gathers the packages.
pub(super) struct PackageFacts;

static SERVICES: Spec = Spec::new(
    "service_facts",
    &["ansible.builtin", "ansible.legacy"],
    "Gathers the services of systemd and their states.",
    &[],
);

static PACKAGES: Spec = Spec::new(
    "package_facts",
    &["ansible.builtin", "ansible.legacy"],
    "Gathers the packages of dpkg or rpm and their versions.",
    &[
        Parameter::new("manager", Kind::List, "Accepted and ignored: the package manager is that of the host."),
        Parameter::new("strategy", Kind::Choice(&["first", "all"]), "Accepted and ignored: a host has one."),
    ],
);

impl Module for ServiceFacts {
    fn spec(&self) -> &'static Spec {
        &SERVICES
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(Gather { query: Query::services, parse: |text| Ok(facts::parse_services(text)) }))
    }
}

impl Module for PackageFacts {
    fn spec(&self) -> &'static Spec {
        &PACKAGES
    }

    fn action(&self, _: &Arguments<'_>) -> Result<Action, String> {
        let parse = |text: &HostText<'_>| facts::parse_packages(text).ok_or("the host has neither dpkg nor rpm");
        Ok(Action::on_host(Gather { query: Query::packages, parse }))
    }
}

/// What is asked, and the reader of the answer.
struct Gather {
    query: fn() -> Result<Query, String>,
    parse: fn(&HostText<'_>) -> Result<Vars, &'static str>,
}

#[async_trait::async_trait]
impl HostAction for Gather {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let query = (self.query)().map_err(Outcome::failed)?;
        let text = run(connection, &query).await?;
        (self.parse)(&query.read(&text)).map(outcome).map_err(Outcome::failed)
    }
}

/// Returns the outcome that sets a list, as a variable and in `ansible_facts`.
fn outcome(found: Vars) -> Outcome {
    let detail = Vars::from_iter([("ansible_facts".to_owned(), Value::Object(found.clone()))]);
    let mut variables = found.clone();
    variables.insert("ansible_facts".to_owned(), Value::Object(found));
    let set = SetVars { facts: Arc::new(variables), ..SetVars::default() };
    Outcome { set, ..Outcome::done(false, detail) }
}
