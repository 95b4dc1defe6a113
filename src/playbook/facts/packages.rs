//! The packages of a host with dpkg or rpm (`package_facts`).

use serde_json::Value;
use serde_json::json;

use super::host_text::HostText;
use crate::inventory::Vars;

/// Returns the fact `packages`: a list for each name. Nothing is returned if the host has neither dpkg nor rpm.
pub fn parse_packages(text: &HostText<'_>) -> Option<Vars> {
    let mut packages = Vars::new();
    if text.has("dpkg") {
        for (name, package) in text.lines("dpkg").filter_map(|line| debian(line, text.line("architecture"))) {
            add(&mut packages, &name, package);
        }
    } else if text.has("rpm") {
        for (name, package) in text.lines("rpm").filter_map(rpm) {
            add(&mut packages, name, package);
        }
    } else {
        return None;
    }
    Some(Vars::from_iter([("packages".to_owned(), packages.into())]))
}

fn add(packages: &mut Vars, name: &str, package: Value) {
    if let Value::Array(all) = packages.entry(name).or_insert_with(|| json!([])) {
        all.push(package);
    }
}

/// Parses a line of dpkg-query. A package for another architecture than the host's has the architecture in its name.
fn debian(line: &str, own: Option<&str>) -> Option<(String, Value)> {
    let words: Vec<&str> = line.split('\t').collect();
    let &["installed", package, version, architecture, section] = words.as_slice() else { return None };
    let is_own = architecture == "all" || own == Some(architecture);
    let name = if is_own { package.to_owned() } else { format!("{package}:{architecture}") };
    let value = json!({"name": name, "version": version, "arch": architecture, "category": section, "source": "apt"});
    Some((name, value))
}

fn rpm(line: &str) -> Option<(&str, Value)> {
    let words: Vec<&str> = line.split('\t').collect();
    let &[name, version, release, epoch, architecture] = words.as_slice() else { return None };
    // The text that Ansible makes of a value that is missing.
    let known = |text: &str| if text == "(none)" { "None".to_owned() } else { text.to_owned() };
    let value = json!({
        "name": name, "version": version, "release": release, "epoch": known(epoch), "arch": known(architecture),
        "source": "rpm",
    });
    Some((name, value))
}
