//! `muster doc`: what the modules of playbooks take.

use serde_json::Value;
use serde_json::json;

use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::inventory::Vars;
use crate::inventory::diagnostic::did_you_mean;
use crate::playbook::modules::ModuleRef;
use crate::playbook::modules::spec::Kind;
use crate::playbook::modules::spec::Line;
use crate::playbook::modules::spec::Parameter;
use crate::playbook::modules::spec::Spec;
use crate::ui;
use crate::ui::table;

/// Show what modules of playbooks take
#[derive(Debug, clap::Args)]
pub(super) struct Doc {
    /// The modules
    #[arg(required_unless_present = "list", value_name = "MODULE")]
    modules: Vec<String>,
    /// List all modules
    #[arg(long, short = 'l', conflicts_with = "modules")]
    list: bool,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster doc …`.
pub(super) fn run(doc: &Doc) -> CommandResult {
    let modules: Vec<ModuleRef> = if doc.list {
        ModuleRef::all().collect()
    } else {
        doc.modules.iter().map(|name| named(name)).collect::<Result<_, _>>()?
    };
    let specs = modules.into_iter().map(|module| module.spec());
    if doc.output.is_some() {
        let specs: Vars = specs.map(|spec| (spec.name.to_owned(), to_json(spec))).collect();
        ui::json(&Value::Object(specs));
    } else if doc.list {
        let rows: Vec<Vec<String>> = specs.map(|spec| vec![spec.name.to_owned(), spec.summary.to_owned()]).collect();
        ui::result(&table::lay_out(&rows, false));
    } else {
        ui::result(&specs.map(text).collect::<Vec<_>>().join("\n"));
    }
    Ok(ExitStatus::Done)
}

fn named(name: &str) -> Result<ModuleRef, CommandError> {
    let all = ModuleRef::all().map(ModuleRef::name);
    let hint = || did_you_mean(name, all).unwrap_or_else(|| "`muster doc -l` lists all modules.".to_owned());
    ModuleRef::named(name).ok_or_else(|| CommandError::usage(format!("muster has no module `{name}`")).hint(hint()))
}

/// Returns the description of a module.
fn text(spec: &Spec) -> String {
    let mut text = format!("> {}\n\n  {}\n\n", spec.name, spec.summary);
    let names = spec.collections.iter().map(|collection| format!("{collection}.{}", spec.name)).collect::<Vec<_>>();
    if !names.is_empty() {
        text.push_str(&format!("  Other names: {}\n", names.join(", ")));
    }
    match spec.line {
        Line::Pairs => {}
        Line::Command(name) => text.push_str(&format!("  On one line: the command (`{name}`), with NAME=VALUE\n")),
        Line::Word(name) => text.push_str(&format!("  On one line: the value of `{name}`, then NAME=VALUE\n")),
    }
    for names in spec.one_of {
        let needs = if names.len() == 1 { "Needs" } else { "Needs one of" };
        text.push_str(&format!("  {needs}: {}\n", names.join(", ")));
    }
    for names in spec.exclusive {
        text.push_str(&format!("  Takes only one of: {}\n", names.join(", ")));
    }
    for parameter in spec.parameters() {
        text.push_str(&parameter_text(parameter));
    }
    text
}

fn parameter_text(Parameter { name, aliases, kind, summary }: &Parameter) -> String {
    let aliases = if aliases.is_empty() { String::new() } else { format!("; also {}", aliases.join(", ")) };
    format!("\n- {name} ({}{aliases})\n    {summary}\n", kind.expected())
}

fn to_json(spec: &Spec) -> Value {
    let free_form = match spec.line {
        Line::Pairs => None,
        Line::Command(name) | Line::Word(name) => Some(name),
    };
    let parameters: Vars =
        spec.parameters().map(|parameter| (parameter.name.to_owned(), parameter_json(parameter))).collect();
    json!({
        "summary": spec.summary, "collections": spec.collections, "free_form": free_form, "one_of": spec.one_of,
        "exclusive": spec.exclusive, "parameters": parameters,
    })
}

fn parameter_json(Parameter { aliases, kind, summary, .. }: &Parameter) -> Value {
    let choices = match kind {
        Kind::Choice(words) => *words,
        _ => &[],
    };
    json!({"type": kind.name(), "choices": choices, "aliases": aliases, "summary": summary})
}
