//! Templates against the values that Ansible makes of them: `tests/data/templates`, which `scripts/record-templates` records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use muster::inventory::Vars;
use muster::inventory::document;
use muster::playbook::parse::Options;
use muster::playbook::template::Layer;
use muster::playbook::template::Scope;
use muster::playbook::template::Surroundings;
use muster::playbook::template::check_text;
use serde_json::Value;

/// Cases in which muster differs from Ansible, with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    ("big ~ ''", "the engine writes floats without an exponent here"),
    ("small ~ ''", "the engine writes floats without an exponent here"),
    ("1 < 'a'", "the engine orders values of different types"),
    ("100000000000000000000", "numbers have 64 bits"),
    ("10 ** 20", "numbers have 64 bits"),
    (
        "(('2024-03-02 10:00:00' | to_datetime) - ('2024-03-01 09:00:00' | to_datetime)).total_seconds()",
        "times have no `-`",
    ),
    ("(('2024-03-02' | to_datetime('%Y-%m-%d')) - ('2024-03-01' | to_datetime('%Y-%m-%d'))).days", "times have no `-`"),
    ("'-'.join([1, 2])", "numbers are joined"),
    ("'abc'.encode() ~ 'x'", "bytes become text here"),
    ("'abc'.encode() | upper", "bytes become text here"),
    ("'abc'.encode() | to_json", "bytes become text here"),
    ("ports.count(80)", "a fault of Ansible"),
    (
        "['192.168.1.5/24', '192.168.1.0/24', '192.168.1.255/24', '10.0.0.1', '10.0.0.0/31', '10.0.0.1/31', \
         '10.0.0.1/30', '10.0.0.0/32', 'fe80::/64', 'fe80::1/64', '::1', '::1/127'] | map('ansible.utils.ipaddr', \
         'size') | list",
        "numbers have 64 bits",
    ),
    ("users | json_query('min_by(@, &name)')", "a fault of Ansible"),
    ("do.j2", "the engine knows `do`"),
    ("include-loop.j2", "the engine includes with context always"),
    ("macro-varargs.j2", "the engine has no `varargs` and `kwargs`"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/templates")
}

fn read(name: &str) -> Value {
    let path = folder().join(name);
    let text = fs::read_to_string(&path).unwrap();
    document::read(&path, &text).unwrap_or_else(|error| panic!("{error}")).value()
}

fn scope(variables: &Vars) -> Scope {
    let environment = BTreeMap::from([
        ("MUSTER_TEST_HOME".to_owned(), "/home/tester".to_owned()),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
    ]);
    let omit = Vars::from_iter([("omit".to_owned(), "OMITTED".into())]);
    let layers = vec![Layer::written(Arc::new(variables.clone())), Layer::data(Arc::new(omit))];
    Scope::new(layers).with_surroundings(Arc::new(Surroundings {
        folders: vec![folder()],
        environment,
        configuration: Options::default().configuration(5),
    }))
}

/// Returns the difference between the outcome and the record, if there is one.
fn difference(case: &str, outcome: &Result<Value, String>, recorded: &Value) -> Option<String> {
    let is_equal = match (outcome, recorded.get("value")) {
        (Ok(value), Some(expected)) => value == expected,
        (Err(_), None) => true,
        _ => false,
    };
    let is_known = DIFFERENT.iter().any(|(known, _)| *known == case);
    let outcome = outcome.as_ref().map(Value::to_string);
    match (is_equal, is_known) {
        (false, false) => Some(format!("{case}\n  muster:  {outcome:?}\n  Ansible: {recorded}")),
        (true, true) => Some(format!("{case} is listed as different and is equal")),
        _ => None,
    }
}

fn compare(kind: &str, evaluate: impl Fn(&Scope, &str) -> Result<Value, String>) -> usize {
    let variables = read("cases.yml")["variables"].as_object().unwrap().clone();
    let recorded = fs::read_to_string(folder().join("recorded.json")).unwrap();
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let cases = recorded[kind].as_object().unwrap();
    let compare = |(case, recorded): (&String, &Value)| difference(case, &evaluate(&scope(&variables), case), recorded);
    let differences: Vec<String> = cases.iter().filter_map(compare).collect();
    assert!(differences.is_empty(), "{} of {}:\n{}", differences.len(), cases.len(), differences.join("\n"));
    cases.len()
}

#[test]
fn expressions_have_the_values_that_ansible_gives_them() {
    let count = compare("expressions", |scope, expression| scope.fill(&format!("{{{{ {expression} }}}}").into()));
    assert!(count >= 2000, "{count}");
}

#[test]
fn texts_of_playbooks_have_the_values_that_ansible_gives_them() {
    compare("texts", |scope, text| scope.fill(&text.into()));
}

#[test]
fn template_files_are_rendered_as_by_ansible() {
    let render = |scope: &Scope, name: &str| {
        let rendered = scope.fill(&format!("{{{{ lookup('template', '{name}') }}}}").into())?;
        // A file with no text is null to Ansible's lookup.
        Ok(if rendered.as_str().is_some_and(|text| text.trim().is_empty()) { Value::Null } else { rendered })
    };
    assert!(compare("templates", render) >= 60);
}

#[test]
fn what_ansible_evaluates_passes_the_check_before_a_run() {
    let recorded = fs::read_to_string(folder().join("recorded.json")).unwrap();
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    for (expression, _) in
        recorded["expressions"].as_object().unwrap().iter().filter(|(_, record)| record.get("value").is_some())
    {
        if DIFFERENT.iter().all(|(known, _)| known != expression) {
            assert_eq!(check_text(&format!("{{{{ {expression} }}}}")), Ok(()), "{expression}");
        }
    }
}

#[test]
fn an_unknown_name_is_found_before_a_run() {
    for (text, expected) in [
        ("{{ a | defualt(1) }}", "muster has no filter `defualt`. Did you mean `default`?"),
        ("{{ a | dict_kv('b') }}", "muster has no filter `dict_kv`. Did you mean `community.general.dict_kv`?"),
        ("{{ a | ansible.utils.quote }}", "muster has no filter `ansible.utils.quote`"),
        (
            "{{ a | community.general.ipaddr }}",
            "muster has no filter `community.general.ipaddr`. Did you mean `ipaddr`?",
        ),
        ("{% if a is definde %}{% endif %}", "muster has no test `definde`. Did you mean `defined`"),
        ("{{ a.b.splt(',') }}", "muster has no method `splt`. Did you mean `split`"),
        ("{{ a | map('uppr') | list }}", "muster has no filter `uppr`. Did you mean `upper`"),
        ("{{ a | selectattr('b', 'eqalto', 'c') }}", "muster has no test `eqalto`. Did you mean `equalto`"),
        ("{{ lookup('fil', 'x') }}", "muster has no lookup `fil`. Did you mean `file`?"),
        (
            "{{ (a | ansible.builtin.default(1)) is not defnied }}",
            "muster has no test `defnied`. Did you mean `defined`",
        ),
    ] {
        let why = check_text(text).unwrap_err();
        assert!(why.starts_with(expected), "{text}: {why}");
    }
}

#[test]
fn a_file_of_a_role_is_found_unless_debops_has_a_configuration() {
    let role = tempfile::tempdir().unwrap();
    fs::create_dir_all(role.path().join("tasks/web")).unwrap();
    let file = role.path().join("tasks/web/pre.yml");
    fs::write(&file, "").unwrap();
    let look_up = |home: &Path, name: &str| {
        let variables = Vars::from_iter([("role_path".to_owned(), role.path().to_string_lossy().into())]);
        let environment = BTreeMap::from([("HOME".to_owned(), home.display().to_string())]);
        let surroundings = Surroundings { environment, ..Surroundings::default() };
        let scope = Scope::new(vec![Layer::data(Arc::new(variables))]).with_surroundings(Arc::new(surroundings));
        scope.fill(&format!("{{{{ lookup('debops.debops.task_src', '{name}') }}}}").into())
    };
    let nowhere = Path::new("/nowhere");
    assert_eq!(look_up(nowhere, "web/pre.yml"), Ok(file.to_string_lossy().into()));
    let missing = look_up(nowhere, "web/none.yml").unwrap_err();
    assert!(missing.contains("could not locate file in lookup: web/none.yml"), "{missing}");
    fs::write(role.path().join(".debops.cfg"), "").unwrap();
    let refused = look_up(role.path(), "web/pre.yml").unwrap_err();
    assert!(refused.contains("muster does not read the configuration of DebOps"), "{refused}");
}

#[test]
fn the_text_at_a_url_is_looked_up_with_curl() {
    let url = format!("file://{}", folder().join("files/tree/a.txt").display());
    let look_up = |call: &str| scope(&Vars::new()).fill(&format!("{{{{ {call} }}}}").into());
    assert_eq!(look_up(&format!("lookup('url', '{url}', headers={{'a': 'b\"'}})")), Ok("aa".into()));
    assert_eq!(look_up(&format!("query('url', '{url}', split_lines=False)")), Ok(serde_json::json!(["aa\n"])));
    let missing = look_up(&format!("lookup('url', '{url}x')")).unwrap_err();
    assert!(missing.contains(&format!("cannot get {url}x: curl: (37)")), "{missing}");
    let unknown = look_up(&format!("lookup('url', '{url}', ciphers='x')")).unwrap_err();
    assert!(unknown.contains("muster knows no option `ciphers` of the lookup `url`"), "{unknown}");
}
