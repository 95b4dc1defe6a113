use std::path::Path;

use super::beside;
use super::in_text;
use super::in_vars;
use crate::inventory::Vars;
use crate::playbook::parse;
use crate::playbook::parse::Options;
use crate::playbook::play::Play;

#[test]
fn words_that_may_be_facts_are_found_in_texts() {
    for text in [
        "{{ ansible_os_family }}",
        "when: ansible_facts.distribution == 'Debian'",
        "- debug: var=ansible_eth0.ipv4",
        "{{ hostvars[item].ansible_host }}",
        "{{ vars['ansible_' ~ name] }}",
        "{{ vars | to_json }}",
        "- debug: var=vars",
        "{{ lookup('vars', name) }}",
        "{{ query(\"varnames\", '.*') }}",
        "{{ q (kind, name) }}",
        "with_varnames: .*",
        "{% include name %}",
        "# {{ ansible_hostname }}",
        "#jinja2: block_start_string: '[%'",
        "x: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162",
        "ansible_ssh_host_key_rsa_public",
        "ansible_local.app.port",
    ] {
        assert!(in_text(text), "{text}");
    }
}

#[test]
fn other_words_read_no_facts() {
    for text in [
        "- hosts: all\n  vars: {port: 80}\n  vars_files: [vars.yml, vars/main.yml]\n  gather_facts: true\n",
        "# vars file for ansible_os_family",
        "ansible_host: 192.0.2.1\nansible_user: root\nansible_become: true\nansible_python_interpreter: /usr/bin/python3",
        "{{ inventory_hostname }} {{ groups.web | first }} {{ ansible_check_mode }} {{ ansible_play_hosts }}",
        "{{ lookup('env', 'HOME') }} {{ lookup(\"ansible.builtin.file\", name) }}",
        "- ansible.builtin.include_tasks: a.yml",
        "my_ansible_fact and myhostvars: 1",
        "",
    ] {
        assert!(!in_text(text), "{text}");
    }
}

#[test]
fn every_value_of_variables_is_searched() {
    let vars = |text: &str| serde_json::from_str::<Vars>(text).unwrap();
    assert!(in_vars(&vars(r#"{"a": [{"b": "{{ ansible_fqdn }}"}]}"#)));
    assert!(in_vars(&vars(r#"{"a": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n6162"}}"#)));
    assert!(!in_vars(&vars(r#"{"a": ["x", 1, null, {"ansible_port": true}]}"#)));
}

#[test]
fn a_text_that_is_not_known_before_the_run_may_read_facts() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("plain.j2"), "{{ inventory_hostname }}").unwrap();
    std::fs::write(folder.path().join("facts.j2"), "{{ ansible_fqdn }}").unwrap();
    let is_beside = |play: &str| {
        let text = format!("- hosts: all\n{play}");
        let file = folder.path().join("site.yml");
        beside(&parse::read(&file, &text, &parse::read_file, &Options::default()).unwrap())
    };
    for (task, expected) in [
        ("template: {src: plain.j2, dest: /x}", false),
        ("template: {src: facts.j2, dest: /x}", true),
        ("template: {src: nothing.j2, dest: /x}", true),
        ("template: {src: '{{ name }}.j2', dest: /x}", true),
        ("unit: {name: a.service, template: plain.j2, state: started}", false),
        ("unit: {name: a.service, template: facts.j2, state: started}", true),
        ("include_vars: x.yml", true),
        ("include_tasks: '{{ name }}.yml'", true),
        ("debug: {var: '{{ name }}'}", true),
        ("debug: {var: name}", false),
        ("block: [{include_role: {name: '{{ name }}'}}]", true),
        ("command: 'true'", false),
    ] {
        assert_eq!(is_beside(&format!("  tasks:\n    - {task}\n")), expected, "{task}");
    }
    assert!(is_beside("  vars_prompt: [{name: x}]\n  tasks: []\n"));
}

#[test]
fn a_play_whose_facts_are_left_out_still_reaches_its_hosts() {
    let text = "- hosts: all\n  gather_subset: [network]\n  tasks:\n    - {ping: }\n    - {gather_facts: }\n";
    let mut book = parse::read(Path::new("site.yml"), text, &parse::read_file, &Options::default()).unwrap();
    book.plays.iter_mut().for_each(Play::leave_out_facts);
    let tasks: Vec<_> = book.plays.iter().flat_map(Play::all_tasks).collect();
    let shown: Vec<_> = tasks.iter().map(|task| (task.action.as_str(), task.args.get("gather_subset"))).collect();
    let nothing = serde_json::json!(["!all", "!min"]);
    assert_eq!(shown, [("gather_facts", Some(&nothing)), ("ping", None), ("gather_facts", None)]);
}
