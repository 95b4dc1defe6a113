//! Which handlers run.

use super::Stage;

/// Runs a playbook of these tasks and returns which handlers ran, and the exit code.
async fn handlers(tasks: &str) -> (Vec<String>, u8) {
    let stage = Stage::new();
    let handler = |name: &str| format!("    - name: {name}\n      command: 'true'\n");
    let handlers = [handler("one"), handler("two"), handler("two")].concat();
    let (printed, code) =
        stage.play(&format!("- hosts: h1\n  vars: {{n: two}}\n  tasks:\n{tasks}\n  handlers:\n{handlers}")).await;
    let ran = printed.lines().filter_map(|line| line.strip_prefix("RUNNING HANDLER [")?.split(']').next());
    (ran.map(str::to_owned).collect(), code)
}

#[tokio::test]
async fn a_change_notifies_and_a_failure_does_not() {
    for (tasks, expected) in [
        ("    - command: 'true'\n      notify: [one, two]", &["one", "two"][..]),
        ("    - command: 'false'\n      notify: one\n      ignore_errors: true", &[]),
        ("    - command: 'true'\n      notify: one\n      failed_when: true\n      ignore_errors: true", &[]),
        ("    - command: 'false'\n      notify: one\n      failed_when: false", &["one"]),
        ("    - command: 'true'\n      notify: one\n      changed_when: false", &[]),
        // If one item fails, the task has failed.
        (
            "    - command: '{{ item }}'\n      loop: ['true', 'false']\n      notify: one\n      ignore_errors: true",
            &[],
        ),
        ("    - command: 'true'\n      notify: '{{ n }}'", &["two"]),
        (
            "    - command: test {{ item }} = two\n      failed_when: false\n      changed_when: item == 'two'\n      loop: [one, two]\n      notify: '{{ item }}'\n      register: result",
            &["two"],
        ),
    ] {
        let (ran, code) = handlers(tasks).await;
        assert_eq!(
            (ran.as_slice(), code),
            (expected.iter().map(|&name| name.to_owned()).collect::<Vec<_>>().as_slice(), 0),
            "{tasks}"
        );
    }
    assert_eq!(handlers("    - command: 'true'\n      notify: 'x{{ n }}'").await, (Vec::new(), 2));
}
