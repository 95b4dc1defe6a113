//! Playbooks and templates.

use std::path::Path;
use std::sync::Arc;

use muster::inventory::Vars;
use muster::playbook::coverage::Coverage;
use muster::playbook::parse;
use muster::playbook::parse::Options;
use muster::playbook::play::batch_sizes;
use muster::playbook::template::Layer;
use muster::playbook::template::Scope;
use muster::playbook::template::is_template;
use serde_json::Value;
use serde_json::json;

use super::assert_within;

/// Parses a playbook. What it has and what is wrong with it must be at a line of the text.
pub fn playbook(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut coverage = Coverage::default();
    coverage.add(Path::new("roles/web/tasks/main.yml"), text);
    coverage.add_template(Path::new("web.j2"), text);
    let _ = (coverage.whole_roles(), coverage.to_json());
    let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let playbook = match parse::read(Path::new("site.yml"), text, &missing, &Options::default()) {
        Ok(playbook) => playbook,
        Err(diagnostic) => return assert_within(diagnostic.at, text),
    };
    let _ = playbook.needs_cluster();
    for play in &playbook.plays {
        assert_within(play.hosts_at, text);
        assert_eq!(batch_sizes(&play.serial, 100).iter().sum::<usize>(), 100);
        play.all_tasks().for_each(|task| assert_within(task.at, text));
    }
}

/// Renders a template. Its fuel bounds the time. Data is never a template.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let scope = scope(text);
    assert_eq!(scope.render("{{ said }}").as_deref(), Ok(text));
    assert_eq!(scope.fill(&"{{ said }}".into()), Ok(text.into()));
    let _ = (
        scope.render(text),
        scope.render_file_in(text, None, muster::playbook::template::Syntax::default()),
        scope.holds(text),
        scope.variable("given"),
    );
    let filled = scope.text(text);
    assert!(is_template(text) || filled.as_deref() == Ok(text), "{filled:?}");
}

/// Returns variables: the text as a template, and as data.
fn scope(text: &str) -> Scope {
    let written = json!({
        "given": text,
        "name": "core-01",
        "list": [1, 2.5, "three", { "four": null }],
        "result": { "rc": 0, "changed": true, "stdout_lines": ["a", "b"] },
        "nested": "{{ name }} {{ list }} {{ given | default('') }}",
    });
    let layer = |value| Arc::new(if let Value::Object(vars) = value { vars } else { Vars::new() });
    Scope::new(vec![Layer::written(layer(written)), Layer::data(layer(json!({ "said": text })))])
}
