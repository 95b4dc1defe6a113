//! `getent`: entries of a database of the host, as facts.

use serde_json::Value;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Looks entries up.
pub(super) static GETENT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "getent",
        &["ansible.builtin", "ansible.legacy"],
        "Looks up entries of a database of the host, as facts.",
        &[
            Parameter::new("database", Kind::Text, "The database: passwd, group, hosts and others."),
            Parameter::new("key", Kind::Text, "The entry (default: all)."),
            Parameter::new("service", Kind::Text, "The service that is asked."),
            Parameter::new("split", Kind::Text, "What stands between fields (default: that of the database)."),
            Parameter::new("fail_key", Kind::Flag, "Whether a missing entry is a failure (default: true)."),
        ],
    )
    .needs(&[&["database"]]),
    text: include_str!("getent.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    for name in ["database", "key", "service"] {
        if arguments.text(name)?.is_some_and(|text| text.starts_with('-')) {
            return Err(format!("`{name}` cannot begin with `-`"));
        }
    }
    Ok(run.read(read))
}

fn read(report: &HostReport, outcome: &mut Outcome) {
    let get = |name: &str| report.get(name).unwrap_or_default();
    let (database, key, split) = (get("database"), get("key"), get("split"));
    let entries = if report.is("missing") {
        Vars::from_iter([(key.to_owned(), Value::Null)])
    } else {
        entries(&String::from_utf8_lossy(&report.content), separator(database, split))
    };
    for name in ["database", "key", "split", "missing"] {
        outcome.detail.remove(name);
    }
    let facts = Vars::from_iter([(format!("getent_{database}"), entries.into())]);
    outcome.detail.insert("ansible_facts".to_owned(), facts.into());
}

/// Returns what stands between fields; `None` for spaces.
fn separator<'a>(database: &str, split: &'a str) -> Option<&'a str> {
    let has_colons = matches!(database, "passwd" | "shadow" | "group" | "gshadow");
    if split.is_empty() { has_colons.then_some(":") } else { Some(split) }
}

/// Returns the entries by their first fields. The second entry of a key is in a list with the first one.
fn entries(text: &str, separator: Option<&str>) -> Vars {
    let mut entries = Vars::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let mut fields: Vec<&str> = match separator {
            Some(separator) => line.split(separator).collect(),
            None => line.split_whitespace().collect(),
        };
        if fields.is_empty() {
            continue;
        }
        let key = fields.remove(0);
        let fields: Vec<Value> = fields.into_iter().map(Value::from).collect();
        match entries.get_mut(key) {
            None => _ = entries.insert(key.to_owned(), fields.into()),
            Some(Value::Array(known)) if known.first().is_some_and(Value::is_array) => known.push(fields.into()),
            Some(known) => *known = Value::Array(vec![known.take(), fields.into()]),
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::entries;
    use super::separator;

    #[test]
    fn entries_are_lists_of_fields() {
        let colons = Value::Object(entries("root:x:0:0::/root:/bin/sh\n", separator("passwd", "")));
        assert_eq!(colons.to_string(), r#"{"root":["x","0","0","","/root","/bin/sh"]}"#);
        let spaces = Value::Object(entries("::1   a STREAM\n::1 b\n::1\n", separator("ahosts", "")));
        assert_eq!(spaces.to_string(), r#"{"::1":[["a","STREAM"],["b"],[]]}"#);
    }
}
