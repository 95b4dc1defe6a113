//! Whether anything in a run may read the facts of its hosts. Facts that nothing reads are not gathered.
//!
//! Facts are as of the beginning of their play. To gather them when something reads them would thus be too late: the texts
//! of a run are searched before it begins. A text that cannot be known by then counts as one that reads facts.

#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::Value;

use super::facts;
use super::modules::find_in;
use super::parse::read_file;
use super::play::Playbook;
use super::play::Task;
use super::template::is_template;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::vault::ClosedValue;

/// The lookups that read no variable and no template.
const PLAIN_LOOKUPS: [&str; 13] = [
    "dict",
    "dig",
    "env",
    "file",
    "fileglob",
    "first_found",
    "items",
    "password",
    "pipe",
    "random_choice",
    "sequence",
    "subelements",
    "url",
];

/// Reports whether templates and expressions in a text may read facts.
pub fn in_text(text: &str) -> bool {
    let has_statements = text.contains("{%");
    ["$ANSIBLE_VAULT", "block_start_string"].iter().any(|unknown| text.contains(unknown))
        || text.lines().filter(|line| !is_comment(line)).any(|line| in_line(line, has_statements))
}

/// Reports whether a line is a comment in YAML and has no template.
fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#') && !line.contains('{')
}

fn in_line(line: &str, has_statements: bool) -> bool {
    words(line).any(|(word, rest)| match word {
        "ansible_facts" | "hostvars" | "varnames" | "with_vars" | "with_varnames" | "with_template" => true,
        // The key of YAML, and names of files.
        "vars" => ![":", "/", ".yml", ".yaml"].iter().any(|next| rest.starts_with(next)),
        "lookup" | "query" | "q" => is_open_lookup(rest),
        // The files that a template names.
        "include" | "import" | "extends" => has_statements,
        _ => word.strip_prefix("ansible_").is_some_and(|name| facts::variable(name).is_some()),
    })
}

/// Reports whether what follows the word `lookup` may read variables.
fn is_open_lookup(rest: &str) -> bool {
    let Some(arguments) = rest.trim_start().strip_prefix('(') else { return false };
    let name = arguments.trim_start().strip_prefix(['\'', '"']).and_then(|quoted| quoted.split(['\'', '"']).next());
    let name = name.map(|name| name.trim_start_matches("ansible.builtin."));
    !name.is_some_and(|name| PLAIN_LOOKUPS.contains(&name))
}

/// Returns the words of a line, each with what follows it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(is_of_word)?;
        let (_, from) = rest.split_at_checked(start)?;
        let (word, after) = from.split_at_checked(from.find(|c| !is_of_word(c)).unwrap_or(from.len()))?;
        rest = after;
        Some((word, after))
    })
}

const fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Reports whether templates in variables may read facts.
pub fn in_vars(vars: &Vars) -> bool {
    vars.values().any(in_value)
}

fn in_value(value: &Value) -> bool {
    match value {
        Value::String(text) => in_text(text),
        Value::Array(items) => items.iter().any(in_value),
        Value::Object(vars) => ClosedValue::of(value).is_some() || in_vars(vars),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Reports whether templates in the variables of an inventory may read facts.
pub fn in_inventory(inventory: &Inventory) -> bool {
    inventory.hosts.values().any(|host| in_vars(&host.vars))
}

/// Reports whether a playbook may evaluate a text that is not in its own files, and that may read facts.
pub fn beside(playbook: &Playbook) -> bool {
    playbook.plays.iter().any(|play| !play.prompts.is_empty() || play.all_tasks().any(|task| is_open(task)))
}

/// Reports whether a task may evaluate a text of another file that may read facts.
fn is_open(task: &Task) -> bool {
    let text = |name: &str| task.args.get(name).and_then(Value::as_str);
    match task.module.name() {
        "include_tasks" | "include_role" | "include_vars" => true,
        "debug" => text("var").is_some_and(is_template),
        "template" => is_open_template(task, text("src")),
        "unit" => task.args.contains_key("template") && is_open_template(task, text("template")),
        _ => false,
    }
}

/// Reports whether a template file of a task may read facts. Its name may be known only when the task runs.
fn is_open_template(task: &Task, name: Option<&str>) -> bool {
    let path = name.and_then(|name| find_in(&task.origin.folders, "templates", name, Path::is_file));
    path.and_then(|path| read_file(&path).ok()).is_none_or(|text| in_text(&text))
}
