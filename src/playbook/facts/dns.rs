//! What /etc/resolv.conf says.

use serde_json::Value;
use serde_json::json;

use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// Returns the fact `dns`.
pub(super) fn dns(text: &HostText<'_>) -> Vars {
    let mut found = Vars::new();
    for line in text.lines("/etc/resolv.conf").filter(|line| !line.starts_with(['#', ';'])) {
        let mut words = line.split_whitespace();
        let Some(key) = words.next() else { continue };
        match key {
            "nameserver" => {
                let servers = found.entry("nameservers").or_insert_with(|| json!([]));
                if let Value::Array(servers) = servers {
                    servers.extend(words.map(Value::from));
                }
            }
            "domain" => drop(words.next().map(|domain| found.insert("domain".to_owned(), domain.into()))),
            "search" | "sortlist" => drop(found.insert(key.to_owned(), words.collect())),
            "options" => {
                let option = |word: &str| match word.split_once(':') {
                    Some((name, value)) if !value.is_empty() => (name.to_owned(), Value::from(value)),
                    _ => (word.trim_end_matches(':').to_owned(), Value::Bool(true)),
                };
                let options: Vars = words.map(option).collect();
                found.insert("options".to_owned(), options.into());
            }
            _ => {}
        }
    }
    facts([("dns", found.into())])
}
