//! Facts about hosts.

use muster::playbook::facts::HostText;
use muster::playbook::facts::Subsets;
use muster::playbook::facts::parse;
use muster::playbook::facts::parse_packages;
use muster::playbook::facts::parse_services;
use muster::playbook::facts::variables;

/// Reads what scripts about facts print. No fact may be a variable that says how a host is reached.
pub fn facts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let text = HostText::read(&text, "=");
    let all = Subsets::parse(&[]).expect("every subset");
    let facts = variables(parse(&text, &all));
    for name in ["ansible_connection", "ansible_host", "ansible_password", "ansible_port", "ansible_user"] {
        assert!(!facts.contains_key(name), "{name}");
    }
    serde_json::to_string(&facts).expect("JSON");
    parse_services(&text);
    parse_packages(&text);
}
