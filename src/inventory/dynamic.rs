//! Hosts and groups that a playbook adds while it runs (`add_host`, `group_by`).

use std::sync::Arc;

use super::Host;
use super::Inventory;
use super::Vars;
use super::builder::ALL;

impl Inventory {
    /// Adds a host, or variables to a host that there is, and puts it into groups. Reports whether something changed.
    pub fn add_host(&mut self, name: &str, groups: &[String], vars: Vars) -> bool {
        let mut changed = !self.hosts.contains_key(name);
        if changed {
            let vars = Arc::new(self.group_vars.get(ALL).cloned().unwrap_or_default());
            let defaults = Arc::clone(&self.connection_defaults);
            self.hosts.insert(name.to_owned(), Host { vars, defaults, ..Host::named(name) });
            self.put(name, ALL);
            if groups.is_empty() {
                self.put(name, "ungrouped");
            }
        }
        for group in groups {
            changed |= self.add_to_group(name, group, &[]);
        }
        if let Some(host) = self.hosts.get_mut(name) {
            changed |= vars.iter().any(|(name, value)| host.vars.get(name) != Some(value));
            Arc::make_mut(&mut host.vars).extend(vars);
        }
        changed
    }

    /// Puts a host into a group, which is in the groups `parents`. Reports whether something changed.
    pub fn add_to_group(&mut self, host: &str, group: &str, parents: &[String]) -> bool {
        let mut changed = self.put(host, group);
        if let Some(group) = self.groups.get_mut(group).filter(|group| !group.direct.iter().any(|name| name == host)) {
            group.direct.push(host.to_owned());
        }
        for parent in parents.iter().filter(|parent| *parent != group) {
            changed |= self.put(host, parent);
            let children = &mut self.groups.entry(parent.clone()).or_default().children;
            if !children.iter().any(|child| child == group) {
                children.push(group.to_owned());
            }
        }
        changed
    }

    /// Counts a host among those of a group, and gives it the group's variables. They override those of `all`.
    fn put(&mut self, name: &str, group: &str) -> bool {
        let Some(host) = self.hosts.get_mut(name) else { return false };
        let is_new = self.groups.entry(group.to_owned()).or_default().hosts.insert(name.to_owned());
        if !is_new || group == ALL {
            return is_new;
        }
        host.groups.push(group.to_owned());
        host.groups.sort_unstable();
        let of_all = self.group_vars.get(ALL);
        for (name, value) in self.group_vars.get(group).into_iter().flatten() {
            let known = host.vars.get(name);
            if known.is_none() || known == of_all.and_then(|vars| vars.get(name)) {
                Arc::make_mut(&mut host.vars).insert(name.clone(), value.clone());
            }
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Inventory;
    use super::Vars;

    fn vars(value: &serde_json::Value) -> Vars {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_host_that_is_added_gets_the_variables_of_its_groups() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("group_vars")).unwrap();
        std::fs::write(folder.path().join("group_vars/all.yml"), "level: all\nother: all\n").unwrap();
        std::fs::write(folder.path().join("group_vars/debian.yml"), "level: debian\n").unwrap();
        std::fs::write(folder.path().join("hosts"), "h1\nh2 level=own\n").unwrap();
        let mut inventory = Inventory::load(&[folder.path().join("hosts")]).unwrap();
        assert!(inventory.add_host("new", &["fresh".to_owned()], vars(&json!({"port": 7}))));
        assert!(!inventory.add_host("new", &["fresh".to_owned()], vars(&json!({"port": 7}))));
        let new = &inventory.hosts["new"];
        assert_eq!(json!([*new.vars, new.groups]), json!([{"level": "all", "other": "all", "port": 7}, ["fresh"]]));
        for host in ["h1", "h2"] {
            assert!(inventory.add_to_group(host, "debian", &["os".to_owned()]));
        }
        assert!(!inventory.add_to_group("h1", "debian", &[]));
        assert_eq!([&inventory.hosts["h1"].vars["level"], &inventory.hosts["h2"].vars["level"]], ["debian", "own"]);
        let names =
            |pattern: &str| inventory.select(pattern).unwrap().iter().map(|host| host.name.clone()).collect::<Vec<_>>();
        assert_eq!((names("os"), names("all")), (vec!["h1".to_owned(), "h2".to_owned()], names("h1,h2,new")));
    }
}
