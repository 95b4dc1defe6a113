//! Templates and expressions, compared with what Ansible makes of them.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use super::Hosts;
use super::Layer;
use super::Scope;
use super::Surroundings;
use super::Syntax;
use super::to_json;
use crate::inventory::Vars;

fn vars(value: &serde_json::Value) -> Arc<Vars> {
    Arc::new(value.as_object().unwrap().clone())
}

fn scope() -> Scope {
    let weak = json!({"port": 80, "name": "weak", "url": "http://{{ name }}:{{ port }}", "round": "{{ round }}",
        "ports": [80, 443], "nested": {"deep": ["{{ port }}"]}, "result": {"rc": 0, "failed": false, "changed": true}});
    let strong = json!({"name": "web1"});
    Scope::new([weak, strong].map(|layer| Layer::written(vars(&layer))).to_vec())
}

#[test]
fn the_output_of_a_host_is_never_a_template() {
    let evil = "{{ secret }}{% set a = 1 %}{#";
    let written = json!({"secret": "s3cret", "direct": "{{ r.stdout }}", "indirect": "{{ direct }}", "list": ["{{ indirect }}"],
        "map": {"a": {"b": "<{{ list[0] }}>"}}, "weak": "{{ secret }}"});
    let result = json!({"rc": 0, "stdout": evil, "stdout_lines": [evil], "results": [{"stdout": evil}]});
    let results = json!({"r": result, "weak": evil});
    let scope = Scope::new(vec![Layer::written(vars(&written)), Layer::data(vars(&results))]);
    for (template, expected) in [
        ("{{ r.stdout }}", json!(evil)),
        ("<{{ r.stdout }}>", json!(format!("<{evil}>"))),
        ("{{ direct }}", json!(evil)),
        ("{{ indirect }}|", json!(format!("{evil}|"))),
        ("{{ list }}", json!([evil])),
        ("{{ map.a.b }}", json!(format!("<{evil}>"))),
        ("{{ map['a'] }}", json!({"b": format!("<{evil}>")})),
        ("{{ r.stdout_lines | join(' ') }}", json!(evil)),
        ("{{ r.results | map(attribute='stdout') | list }}", json!([evil])),
        ("{% for line in r.stdout_lines %}{{ line }}{% endfor %}", json!(evil)),
        ("{% set x = r.stdout %}{{ x }}{{ x ~ '' }}", json!(format!("{evil}{evil}"))),
        ("{{ r.stdout | default('x') | trim }}", json!(evil)),
        ("{{ weak }}", json!(evil)),
        ("{{ r.rc }}", json!(0)),
    ] {
        assert_eq!(scope.fill(&json!(template)).unwrap(), expected, "{template}");
    }
    assert_eq!(scope.holds("'s3cret' in r.stdout or 's3cret' in indirect or r.rc != 0"), Ok(false));
    // An item of a loop is filled in once and is plain data afterwards.
    let item = scope.fill(&json!("{{ r.stdout_lines }}")).unwrap()[0].clone();
    let scope = scope.with(Layer::data(vars(&json!({"item": item}))));
    assert_eq!(scope.fill(&json!("{{ item }}")).unwrap(), json!(evil));
}

#[test]
fn paths_are_split_as_in_ansible() {
    for (path, dirname, basename) in [
        ("/a/b", "/a", "b"),
        ("/a/b/", "/a/b", ""),
        ("a", "", "a"),
        ("/a", "/", "a"),
        ("//", "//", ""),
        ("a//b", "a", "b"),
    ] {
        let split = |filter: &str| scope().fill(&json!(format!("{{{{ '{path}' | {filter} }}}}"))).unwrap();
        assert_eq!([split("dirname"), split("basename")], [json!(dirname), json!(basename)], "{path}");
    }
}

#[test]
fn values_become_text_as_in_ansible() {
    let scope = Scope::new(vec![Layer::written(vars(&json!({"yes": true, "no": false, "nil": null, "word": "no"})))]);
    for (template, expected) in [
        ("{{ yes }} {{ no }} {{ nil }}.", "True False ."),
        ("{{ yes | lower }} {{ 1 == 2 }}", "true False"),
        ("{{ 'x' if no }}{{ 1.0 }}", "1.0"),
        ("{{ word | bool }} {{ 'On' | bool }} {{ 0 | bool }} {{ yes | bool }}", "False True False True"),
        ("{{ 'maybe' | bool }} {{ '' | bool }} {{ nil | bool }}", "False False False"),
        ("{{ 'x' | int }} {{ '' | int }} {{ '7' | int }} {{ 'x' | int(default=3) }} {{ 'x' | float }}", "0 0 7 3 0.0"),
    ] {
        assert_eq!(scope.fill(&json!(template)).unwrap(), json!(expected), "{template}");
    }
    assert_eq!(scope.holds("word | bool"), Ok(false));
}

#[test]
fn maps_keep_their_order_and_are_printed_as_by_python() {
    let d = json!({"zeta": 1, "alpha": [true, null, "it's", "a'\"b", "x\\\n"], "mid": {"b": "é", "a": 1.5}});
    let scope = Scope::new(vec![Layer::written(vars(&json!({"d": d})))]);
    for (template, expected) in [
        ("{% for k in d %}{{ k }} {% endfor %}", "zeta alpha mid "),
        ("{{ d | join(',') }} {{ d.mid | list }}", "zeta,alpha,mid ['b', 'a']"),
        ("<{{ d }}>", r#"<{'zeta': 1, 'alpha': [True, None, "it's", 'a\'"b', 'x\\\n'], 'mid': {'b': 'é', 'a': 1.5}}>"#),
    ] {
        assert_eq!(scope.fill(&json!(template)).unwrap(), json!(expected), "{template}");
    }
    assert_eq!(to_json(&json!({"b": [1, "é😀"], "a": {}})), r#"{"b": [1, "\u00e9\ud83d\ude00"], "a": {}}"#);
}

#[test]
fn a_lookup_in_an_undefined_value_may_have_a_default() {
    for (template, expected) in [
        ("{{ a.b.c | default('z') }}", json!("z")),
        ("{{ nested.b.c | default(nested.deep[0]) }}", json!(80)),
        ("{{ nested['deep'][0] | default(1) }}", json!(80)),
        ("{{ (a.b | d({})).c | d(2) }}", json!(2)),
        ("x{% for e in a.b.c | default([1]) %}{{ e }}{% endfor %}", json!("x1")),
        ("x{% if a.b.c is defined or result.rc is undefined %}y{% endif %}", json!("x")),
    ] {
        assert_eq!(scope().fill(&json!(template)).unwrap(), expected, "{template}");
    }
    assert_eq!(scope().holds("a.b.c is not defined and result.rc is defined"), Ok(true));
    for template in ["{{ a.b.c }}", "{{ a.b.c ~ 'x' }}", "{{ a.b | trim | default(1) }}"] {
        assert!(scope().fill(&json!(template)).unwrap_err().contains("`a` is undefined"), "{template}");
    }
    assert!(scope().fill(&json!("{{ round.x | default(1) }}")).unwrap_err().contains("circle"));
}

#[test]
fn the_first_line_of_a_file_may_change_the_syntax() {
    let text = "  {% if true %}\na\n  {% endif %}\n{{ name }}\n";
    for (header, expected) in [
        ("", Ok("  a\n  web1\n")),
        ("#jinja2: trim_blocks: False\n", Ok("  \na\n  \nweb1\n")),
        ("#jinja2:lstrip_blocks: True, trim_blocks: True\n", Ok("a\nweb1\n")),
        ("#jinja2: newline_sequence: '\\r\\n'\n", Ok("  a\r\n  web1\r\n")),
        ("#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n", Ok("  a\n  {{ name }}\n")),
        ("#jinja2: trim_blocks: perhaps\n", Err("expected True or False")),
        ("#jinja2: trim_blocks\n", Err("expected `#jinja2: NAME: VALUE, …`")),
        ("#jinja2: line_statement_prefix: '%'\n", Err("no `line_statement_prefix`")),
    ] {
        match (scope().render_file_in(&format!("{header}{text}"), None, Syntax::default()), expected) {
            (Ok(rendered), Ok(expected)) => assert_eq!(rendered, expected, "{header}"),
            (Err(why), Err(expected)) => assert!(why.contains(expected), "{header}: {why}"),
            (rendered, _) => panic!("{header}: {rendered:?}"),
        }
    }
}

struct TwoHosts;

impl Hosts for TwoHosts {
    fn names(&self) -> Vec<String> {
        vec!["a".to_owned(), "b".to_owned()]
    }

    fn matching(&self, pattern: &str) -> Vec<String> {
        vec![pattern.to_owned()]
    }

    fn scope(&self, host: &str) -> Option<Scope> {
        let other = if host == "a" { "b" } else { "a" };
        let written = json!({"name": host, "port": 80, "url": "http://{{ name }}:{{ port }}",
            "round": format!("{{{{ hostvars['{other}'].round }}}}"), "other": format!("{{{{ hostvars.{other}.url }}}}")});
        let facts = json!({"fact": "{{ name }}"});
        let layers = vec![Layer::written(vars(&written)), Layer::data(vars(&facts))];
        ["a", "b"].contains(&host).then(|| Scope::new(layers).with_hosts(Arc::new(Self)))
    }
}

#[test]
fn the_variables_of_other_hosts_are_evaluated_when_they_are_read() {
    let scope = scope().with_hosts(Arc::new(TwoHosts));
    for (template, expected) in [
        ("{{ hostvars['a'].url }} {{ name }}", json!("http://a:80 web1")),
        ("{{ hostvars.b.other }}", json!("http://a:80")),
        ("{{ hostvars['a']['fact'] }}", json!("{{ name }}")),
        ("{{ hostvars | list }}", json!(["a", "b"])),
        ("{{ hostvars.keys() | list }}", json!(["a", "b"])),
        ("{{ ['a', 'b'] | map('extract', hostvars, 'url') | list }}", json!(["http://a:80", "http://b:80"])),
        (
            "{{ hostvars['c'].x | default('none') }} {{ 'a' in hostvars }} {{ hostvars.c is defined }}",
            json!("none True False"),
        ),
        ("{% for host in hostvars %}{{ hostvars[host].port }}{% endfor %}", json!("8080")),
        ("{{ vars['name'] }} {{ vars.nested.deep[0] }}", json!("web1 80")),
    ] {
        assert_eq!(scope.fill(&json!(template)).unwrap(), expected, "{template}");
    }
    let why = scope.fill(&json!("{{ hostvars['a'].round }}")).unwrap_err();
    assert!(why.contains("circle"), "{why}");
}

#[test]
fn a_list_cannot_hold_itself_and_values_do_not_nest_without_end() {
    for template in [
        "{% set l = [] %}{% set _ = l.append(l) %}",
        "{% set l = [] %}{% set m = {'l': l} %}{% set _ = l.append([m]) %}",
        "{% set m = {} %}{% set _ = m.update(a=[m]) %}",
        "{% set n = namespace(l=[]) %}{% for x in range(1000) %}{% set n.l = [n.l] %}{% endfor %}",
        "{% set n = namespace(l=[]) %}{% for x in range(1000) %}{% set l = [] %}{% set _ = l.append(n.l) %}{% set n.l = l %}{% endfor %}",
    ] {
        let why = scope().render(template).unwrap_err();
        assert!(why.contains("itself") || why.contains("deep"), "{template}: {why}");
    }
}

#[test]
fn filters_that_could_make_much_are_bounded() {
    for template in [
        "{{ range(1000) | product(range(1000)) | length }}",
        "{{ range(100) | permutations(50) | length }}",
        "{{ range(100) | combinations(50) | length }}",
        "{{ 'x'.ljust(10 ** 12) }}",
        "{{ 'x' | center(10 ** 12) }}",
        "{{ 'x' | indent(10 ** 12) }}",
        "{{ {} | to_json(indent=10 ** 12) }}",
        "{{ 'x' | comment(prefix_count=10 ** 12) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (10 ** 9, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=10 ** 9) }}",
        "{{ ('{0:10000}' * 1000).format(1) }}",
        "{{ range(100000) | map('string') | map('center', 10000) | length }}",
        "{{ ('a' * 10000).translate({97: 'b' * 10000}) }}",
        "{{ query('sequence', count=10 ** 12) }}",
    ] {
        let scope = scope().with_surroundings(Arc::default());
        assert!(scope.fill(&json!(template)).is_err(), "{template}");
    }
}

#[test]
fn a_tilde_is_the_home_folder_of_this_machine() {
    let environment = [("HOME".to_owned(), "/home/a".to_owned())].into();
    let scope = scope().with_surroundings(Arc::new(Surroundings { environment, ..Surroundings::default() }));
    let text = "{{ '~/x' | expanduser }} {{ '~' | expanduser }} {{ '~b/x' | expanduser }} {{ '/x' | expanduser }}";
    assert_eq!(scope.fill(&json!(text)).unwrap(), json!("/home/a/x /home/a ~b/x /x"));
}

#[test]
fn a_host_cannot_reach_lookups() {
    let evil = "{{ lookup('pipe', 'touch /tmp/evil') }}";
    let results = json!({"r": {"stdout": evil}, "list": [evil]});
    let scope = Scope::new(vec![Layer::data(vars(&results))]).with_surroundings(Arc::default());
    for template in
        ["{{ r.stdout }}", "{{ list[0] }}", "{{ lookup('vars', 'r').stdout }}", "{{ query('items', list)[0] }}"]
    {
        assert_eq!(scope.fill(&json!(template)).unwrap(), json!(evil), "{template}");
    }
}

/// Returns variables of which each refers to the one before four times.
fn fan(count: usize, refer: impl Fn(&str) -> serde_json::Value) -> Scope {
    let mut all = Vars::new();
    all.insert("v0".to_owned(), json!("{{ 1 }}x"));
    for number in 1..=count {
        all.insert(format!("v{number}"), refer(&format!("{{{{ v{} }}}}", number - 1)));
    }
    Scope::new(vec![Layer::written(Arc::new(all))])
}

#[test]
fn variables_that_refer_to_each_other_many_times_are_bounded() {
    let name = |v: &str| v.trim_matches(['{', '}', ' ']).to_owned();
    let once = fan(14, |v| json!(format!("{{{{ {0} if {0} == {0} else {0} }}}}", name(v))));
    assert_eq!(once.fill(&json!("{{ v14 }}")).unwrap(), json!("1x"));
    for scope in [fan(15, |v| json!(v.repeat(4))), fan(15, |v| json!([v, v, v, v]))] {
        let why = scope.fill(&json!("{{ v15 }}")).unwrap_err();
        assert!(why.contains("steps"), "{why}");
    }
}

#[test]
fn no_template_overflows_the_stack() {
    let tests = [
        "-".repeat(60_000) + "1",
        "not ".repeat(60_000) + "a",
        "a".to_owned() + &".a".repeat(60_000),
        "1".to_owned() + &"~1".repeat(60_000),
        "a".to_owned() + &"()".repeat(30_000),
        "(".repeat(30_000) + &")".repeat(30_000),
        "1".to_owned() + &" and 1".repeat(30_000),
        "1".to_owned() + &"**1".repeat(30_000),
        "a".to_owned() + &"[0]".repeat(30_000),
        "a".to_owned() + &"|d".repeat(30_000),
        "1".to_owned() + &" if 1 else 1".repeat(30_000),
        // The most that is allowed.
        "-".repeat(1000) + "1",
        "not ".repeat(1000) + "a",
        "a".to_owned() + &".a".repeat(1000),
        "1".to_owned() + &"~1".repeat(1000),
        "1".to_owned() + &"**1".repeat(1000),
        "a".to_owned() + &"()".repeat(1000),
        "(".repeat(100) + &")".repeat(100),
    ];
    for expression in tests {
        let _ = scope().holds(&expression);
        let _ = scope().render(&format!("{{{{ {expression} }}}}"));
    }
    for (start, end) in [("{% if true %}", "{% endif %}"), ("{% for a in [1] %}", "{% endfor %}")] {
        let _ = scope().render(&(start.repeat(30_000) + &end.repeat(30_000)));
    }
    let _ = scope().render(&format!("{{% if a %}}{}{{% endif %}}", "{% elif false %}".repeat(30_000)));
    let _ = scope().render(&format!("{{% if false %}}{}{{% endif %}}", "{% elif false %}".repeat(200)));
}

#[test]
fn a_template_is_filled_in_and_one_expression_keeps_its_type() {
    for (template, expected) in [
        (json!("plain"), json!("plain")),
        (json!("on {{ name }}"), json!("on web1")),
        (json!("{{ port }}"), json!(80)),
        (json!("{{ ports }}"), json!([80, 443])),
        (json!("{{ port + 1 }}"), json!(81)),
        (json!("{{ port }}{{ port }}"), json!("8080")),
        (json!("{{ url }}/x"), json!("http://web1:80/x")),
        (json!("{{ nested.deep[0] }}"), json!(80)),
        (json!({"a": ["{{ name }}", 5]}), json!({"a": ["web1", 5]})),
        (json!("{{ missing | default('x') }}"), json!("x")),
        (json!("{% if port == 80 %}yes{% endif %}"), json!("yes")),
        (json!("<{{ name }}>"), json!("<web1>")),
    ] {
        assert_eq!(scope().fill(&template).unwrap(), expected, "{template}");
    }
}

#[test]
fn what_is_undefined_is_named() {
    for (template, expected) in [
        ("{{ missing }}", "`missing` is undefined"),
        ("a {{ missing }} b", "`missing` is undefined"),
        ("a {{ name }}\n{{ missing }}", "`missing` is undefined (line 2)"),
        ("{{ round }}", "variables refer to each other in a circle"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "the template takes more than 500000 steps",
        ),
    ] {
        let error = scope().fill(&json!(template)).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn a_condition_is_true_or_false_and_nothing_else() {
    for (expression, expected) in [
        ("port == 80", true),
        ("name == 'weak'", false),
        ("443 in ports and result.rc == 0", true),
        ("missing is defined", false),
        ("result is changed", true),
        ("result is failed", false),
        ("result is succeeded and not result is skipped", true),
        ("result is success and result is change and not result is unreachable", true),
        ("true", true),
    ] {
        assert_eq!(scope().holds(expression), Ok(expected), "{expression}");
    }
    assert!(scope().holds("name").unwrap_err().contains("neither true nor false"));
    assert!(scope().holds("missing").unwrap_err().contains("`missing` is undefined"));
}

proptest! {
    #[test]
    fn no_template_makes_it_panic(text in r"[a-z0-9{}%#|.() '=\n-]{0,32}") {
        let _ = scope().fill(&json!(text));
        let _ = scope().holds(&text);
    }
}

#[test]
fn an_index_after_a_dot_may_be_followed_by_keys_that_may_be_undefined() {
    let scope = Scope::new(vec![Layer::written(vars(&json!({"x": [{"a": [1]}], "m": {"0": {"a": 1}}})))]);
    for (text, expected) in [
        (
            "{{ x.0.a is defined }} {{ x.0.a.0 is defined }} {{ x.0.b is defined }} {{ x.1.a is defined }}",
            "True True False False",
        ),
        (
            "{{ x.0.a.0 | default('none') }} {{ x.0.b | default('none') }} {{ x.2.b.3 | default('none') }}",
            "1 none none",
        ),
        ("{{ m.0.a is defined }}!", "False!"),
    ] {
        assert_eq!(scope.text(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn a_backslash_in_an_expression_of_a_playbook_is_a_backslash_as_in_ansible() {
    let scope = Scope::new(vec![Layer::written(vars(&json!({"x": "a,b"})))]);
    for (text, expected) in [
        (r"{{ x | replace(',', '\n') }}", r"a\nb"),
        (r"{{ x | replace(',', '\\n') }}", r"a\\nb"),
        (r"- {{ x | replace(',', '\t') }}", r"- a\tb"),
        (r"{{ 'it\'s' }}", "it's"),
        (r"{{ '\\' }}", r"\\"),
    ] {
        assert_eq!(scope.text(text).unwrap(), expected, "{text}");
    }
    let text = r"{{ x | replace(',', '\n') }}";
    assert_eq!(scope.render_file_in(text, None, Syntax::default()).unwrap(), "a\nb", "a template file has escapes");
    assert!(scope.holds(r"x | replace(',', '\n') == 'a\nb'").unwrap(), "a condition has escapes");
    assert_eq!(scope.text(r"{% if '\x41' == 'A' %}same{% endif %}").unwrap(), "same", "a statement has escapes");
}
