//! The variables that say how a host is reached and what it is: those of the command line, and templates in them
//! (`ansible_host: "{{ ip }}"`).

use std::sync::Arc;

use super::magic_variables;
use super::run_as;
use super::template;
use super::template::Layer;
use super::template::Scope;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;

/// Gives each host those of these variables that `extra` has. Fills in their templates from the variables of the inventory,
/// from `extra`, and from the magic variables, and opens closed values. What cannot be filled in stays as it is: it is an
/// error only for a command that uses the host.
pub fn fill(inventory: &mut Inventory, extra: &Vars) {
    let given: Vec<_> = Host::connection_variables()
        .chain(run_as::VARIABLES)
        .filter_map(|name| Some((name.to_owned(), extra.get(name)?.clone())))
        .collect();
    if !given.is_empty() {
        inventory.hosts.values_mut().for_each(|host| Arc::make_mut(&mut host.vars).extend(given.iter().cloned()));
    }
    let open: Vec<(String, Vec<&str>)> = inventory.hosts.values().filter_map(with_templates).collect();
    if open.is_empty() {
        return;
    }
    let (all, extra) = (Arc::new(magic_variables::of_all(inventory)), Arc::new(extra.clone()));
    let vault = Arc::clone(&inventory.vault);
    for (host, names) in open {
        let Some(host) = inventory.hosts.get_mut(&host) else { continue };
        let scope = Scope::new(vec![
            Layer::data(Arc::clone(&all)),
            Layer::written(Arc::clone(&host.vars)),
            Layer::written(Arc::clone(&extra)),
            Layer::data(Arc::new(magic_variables::of_host(host))),
        ]);
        let scope = scope.with_vault(&vault);
        for name in names {
            match host.vars.get(name).map(|value| scope.fill(value)) {
                Some(Ok(value)) => drop(Arc::make_mut(&mut host.vars).insert(name.to_owned(), value)),
                Some(Err(why)) => drop(host.unfilled.insert(name.to_owned(), why)),
                None => {}
            }
        }
    }
}

/// Returns the name of a host and its connection variables with templates, if it has some.
fn with_templates(host: &Host) -> Option<(String, Vec<&'static str>)> {
    // Most hosts have none: only variables with a template are looked for among the names.
    let open = host.vars.iter().filter(|(_, value)| template::has_template(value));
    let names: Vec<&str> =
        open.filter_map(|(name, _)| Host::connection_variables().find(|known| known == name)).collect();
    (!names.is_empty()).then(|| (host.name.clone(), names))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fill;
    use crate::inventory::Inventory;
    use crate::inventory::Vars;

    #[test]
    fn connection_variables_and_metadata_may_be_templates() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.yaml");
        let text = "g:\n  vars:\n    ansible_host: '{{ net }}.{{ number }}'\n    ansible_port: '{{ 20 + 2 }}'\n    \
                    muster_metadata: {zone: '{{ zone }}', name: '{{ inventory_hostname }}'}\n    other: '{{ net }}'\n  hosts:\n    \
                    h1: {net: 10.0.0, number: 1, zone: a}\n    h2: {number: 2, zone: b}\n";
        std::fs::write(&file, text).unwrap();
        let mut inventory = Inventory::load(&[file]).unwrap();
        fill(&mut inventory, &Vars::new());
        let h1 = &inventory.hosts["h1"];
        assert_eq!(h1.target().unwrap().address.to_string(), "ssh://10.0.0.1:22");
        assert_eq!(json!(h1.metadata().unwrap()), json!({"zone": "a", "name": "h1"}));
        assert_eq!(h1.vars["other"], "{{ net }}");
        let why = inventory.hosts["h2"].target().unwrap_err().to_string();
        assert_eq!(
            why,
            "host h2: variable `ansible_host`: the template `{{ net }}.{{ number }}` cannot be filled in: `net` is undefined"
        );
        let extra = Vars::from_iter([("net".to_owned(), json!("10.9.9"))]);
        fill(&mut inventory, &extra);
        assert_eq!(inventory.hosts["h2"].target().unwrap().address.host, "10.9.9.2");
    }

    #[test]
    fn variables_of_the_command_line_override_those_of_the_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.yaml");
        let text = "g:\n  vars: {ansible_user: root, ansible_port: 22}\n  hosts:\n    h1: {ansible_host: 10.0.0.1}\n";
        std::fs::write(&file, text).unwrap();
        let mut inventory = Inventory::load(&[file]).unwrap();
        let extra = json!({"ansible_user": "{{ who }}", "who": "op", "ansible_become_user": "db", "other": 1});
        fill(&mut inventory, extra.as_object().unwrap());
        let h1 = &inventory.hosts["h1"];
        assert_eq!(h1.target().unwrap().address.to_string(), "ssh://op@10.0.0.1:22");
        assert_eq!((h1.vars.get("ansible_become_user"), h1.vars.get("other")), (Some(&json!("db")), None));
    }

    #[test]
    fn metadata_is_filled_in_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.yaml");
        let text = "g:\n  vars:\n    muster_metadata: {name: '{{ inventory_hostname_short }}', zone: '{{ zone }}'}\n  hosts:\n    \
                    web1.example.org: {zone: a}\n    web2.example.org:\n";
        std::fs::write(&file, text).unwrap();
        let mut inventory = Inventory::load(&[file]).unwrap();
        fill(&mut inventory, &Vars::new());
        let metadata = |host: &str| inventory.hosts[host].metadata();
        assert_eq!(json!(metadata("web1.example.org").unwrap()), json!({"name": "web1", "zone": "a"}));
        let why = metadata("web2.example.org").unwrap_err().to_string();
        let template = "the template `{{ inventory_hostname_short }}` cannot be filled in: `zone` is undefined";
        assert_eq!(why, format!("host web2.example.org: variable `muster_metadata`: {template}"));
    }
}
