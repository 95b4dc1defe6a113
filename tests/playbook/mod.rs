//! Playbooks, run in real shells on this machine.

mod archives;
mod cluster_tasks;
mod commands;
mod container_states;
mod containers;
mod coverage;
mod databases;
mod debian;
mod facts;
mod file_modules;
mod files;
mod free;
mod local;
mod notify;
mod packages;
mod permissions;
mod place;
pub(crate) mod recorded;
mod recorded_json;
mod synchronized;
mod system;
mod templates;
mod trust;
mod user_shells;
mod vault;
mod volumes;

use std::path::Path;

use local::Stage;
use local::explicit;
use muster::inventory::diagnostic::Diagnostic;
use muster::playbook::parse;
use muster::playbook::parse::Gathering;
use muster::playbook::parse::Options;
use muster::playbook::play::Playbook;
use serde_json::json;

/// Reads a playbook that imports nothing.
fn read(text: &str) -> Result<Playbook, Diagnostic> {
    parse::read(Path::new("p"), text, &|_| Err(std::io::ErrorKind::NotFound.into()), &explicit())
}

/// Removes the results of modules, which differ between Ansible and muster.
fn without_details(printed: &str) -> String {
    let short = |line: &str| line.split_once(" => {").map_or(line.to_owned(), |(head, _)| format!("{head} => {{…}}"));
    printed.lines().map(|line| short(line) + "\n").collect()
}

/// Returns the first line that differs, with the lines before it.
fn difference(printed: &str, expected: &str) -> Option<String> {
    let mut lines = printed.lines().zip(expected.lines()).enumerate();
    let at = match lines.find(|(_, (printed, expected))| printed != expected) {
        Some((at, _)) => at,
        None if printed == expected => return None,
        None => printed.lines().count().min(expected.lines().count()),
    };
    let part = |text: &str| text.lines().skip(at.saturating_sub(5)).take(9).collect::<Vec<_>>().join("\n");
    Some(format!("line {}:\n{}\nexpected:\n{}", at + 1, part(printed), part(expected)))
}

/// Returns the result lines of the hosts, without headings.
fn ends(printed: &str) -> Vec<String> {
    let head = printed.split("\nPLAY RECAP").next().unwrap();
    let lines = head.lines().filter(|line| !line.is_empty() && !line.contains("****"));
    lines.map(str::to_owned).collect()
}

/// The expected lines are those of ansible-core 2.19. Each file stands beside its playbook. `FOLDER` is that of the
/// playbook, and details that differ between Ansible and muster are left out where the lines have `{…}`.
#[tokio::test]
async fn plays_print_what_ansible_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/playbook");
    for (play, expected_code) in [
        ("strategy.yaml", 2),
        ("blocks.yaml", 2),
        ("control.yaml", 0),
        ("loops.yaml", 0),
        ("imports/site.yml", 0),
        ("imported/site.yml", 0),
        ("includes/play.yml", 2),
        ("includes/meta.yml", 0),
        ("inventory.yaml", 2),
    ] {
        let file = folder.join(play);
        let expected = std::fs::read_to_string(file.with_extension("expected.txt")).unwrap();
        let (printed, code) = Stage::new().play_file(&file).await;
        let printed = printed.replace(&file.parent().unwrap().display().to_string(), "FOLDER");
        let printed = if expected.contains("{…}") { without_details(&printed) } else { printed };
        assert_eq!(difference(&printed, &expected), None, "{play}");
        assert_eq!(code, expected_code, "{play}");
    }
}

#[test]
fn what_cannot_be_imported_is_an_error_with_its_place() {
    let stage = Stage::new();
    stage.write("loop.yml", "- import_tasks: loop.yml\n");
    stage.write("bad.yml", "- debug:\n  whn: x\n");
    stage.write("vars.yml", "[1]\n");
    for (play, expected) in [
        ("roles: [nowhere]", "play.yaml:2:11: there is no role `nowhere`"),
        ("roles: [{tags: x}]", "play.yaml:2:11: the role has no name"),
        ("tasks: [import_tasks: nowhere.yml]", "play.yaml:2:25: there is no file nowhere.yml"),
        ("tasks: [import_tasks: '{{ x }}.yml']", "play.yaml:2:25: `file` of `import_tasks` cannot be a template"),
        ("tasks: [{import_tasks: bad.yml, loop: [1]}]", "play.yaml:2:35: `import_tasks` takes no `loop`"),
        ("tasks: [import_tasks: bad.yml]", "bad.yml:2:3: a task has no `whn`"),
        ("tasks: [import_tasks: loop.yml]", "loop.yml:1:17: files import each other more than 24 deep"),
        ("tasks: [import_role: {nam: x}]", "play.yaml:2:24: `import_role` has no `nam`"),
        ("vars_files: [vars.yml]", "vars.yml:1:1: variables must be a map, not a list"),
        ("vars_files: [[no.yml, none.yml]]", "play.yaml:2:16: there is no file no.yml, none.yml"),
    ] {
        let text = format!("- hosts: h1\n  {play}\n");
        let fault =
            parse::read(&stage.path("play.yaml"), &text, &parse::read_file, &explicit()).unwrap_err().to_string();
        let folder = format!("{}/", stage.folder.path().display());
        assert!(fault.replace(&folder, "").starts_with(expected), "{fault}");
    }
}

#[tokio::test]
async fn a_shell_runs_a_line_and_a_command_runs_a_program() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  tasks:
    - shell: echo one | tr o 0; echo $0
    - shell: {cmd: 'echo \"$BASH\"', executable: /bin/bash, chdir: /}
    - shell: chdir=/tmp echo a=b; pwd
    - command: echo one | cat
";
    let (document, code) = stage.document(book).await;
    let result = |task: usize, key: &str| document["plays"][0]["tasks"][task]["hosts"]["h1"][key].clone();
    assert_eq!(code, 0, "{document:#}");
    assert_eq!((result(0, "stdout"), result(0, "cmd")), ("0ne\n/bin/sh".into(), "echo one | tr o 0; echo $0".into()));
    assert_eq!([result(1, "stdout"), result(2, "stdout")], ["/bin/bash", "a=b\n/tmp"]);
    assert_eq!((result(3, "stdout"), &result(3, "cmd")[0]), ("one | cat".into(), &"echo".into()));
}

#[tokio::test]
async fn handlers_that_are_forced_run_on_hosts_that_have_failed() {
    let stage = Stage::new();
    let book = "- hosts: h1\n  force_handlers: true\n  tasks:\n    - command: 'true'\n      notify: one\n\
                \x20   - command: 'false'\n  handlers:\n    - {name: one, command: 'true'}\n";
    let (printed, code) = stage.play(book).await;
    assert_eq!(ends(&printed), ["changed: [h1]", &*ends(&printed)[1], "changed: [h1]"]);
    assert!(printed.contains("RUNNING HANDLER [one]") && code == 2, "{printed}");
    let (printed, _) = stage.play(&book.replace("true\n  tasks", "false\n  tasks")).await;
    assert!(!printed.contains("HANDLER"), "{printed}");
}

#[tokio::test]
async fn the_json_document_has_ansibles_form() {
    let mut stage = Stage::new();
    stage.shells.unreachable.insert("h3".to_owned());
    let (document, code) = stage.document(include_str!("../data/playbook/record.yaml")).await;
    let document = format!("{document:#}\n").replace(&format!("{}/", stage.folder.path().display()), "");
    assert_eq!(document, include_str!("../data/playbook/record.expected.json"));
    assert_eq!(code, 4);
}

#[tokio::test]
async fn an_unreachable_host_runs_nothing_more_and_decides_the_exit_code() {
    let mut stage = Stage::new();
    stage.shells.unreachable.insert("h2".to_owned());
    let book = "- hosts: web\n  tasks:\n    - command: test $HOST != h1\n    - command: 'true'\n";
    let (printed, code) = stage.play(&book.replace("test $HOST != h1", "sh -c 'test $HOST != h1'")).await;
    assert_eq!(
        without_details(&printed),
        "\nPLAY [web] *********************************************************************\n\
         \nTASK [command] *****************************************************************\n\
         fatal: [h1]: FAILED! => {…}\nfatal: [h2]: UNREACHABLE! => {…}\nchanged: [h3]\n\
         \nTASK [command] *****************************************************************\n\
         changed: [h3]\n\
         \nPLAY RECAP *********************************************************************\n\
         h1                         : ok=0    changed=0    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0   \n\
         h2                         : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0   \n\
         h3                         : ok=2    changed=2    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   \n\n"
    );
    assert!(printed.contains(r#"{"changed": false, "msg": "h2: connect: connection refused", "unreachable": true}"#));
    assert_eq!(code, 4);
}

#[tokio::test]
async fn a_batch_in_which_every_host_failed_stops_the_rest() {
    let stage = Stage::new();
    let book = "- hosts: web\n  serial: 1\n  tasks:\n    - command: sh -c 'test $HOST != h2'\n- hosts: h1\n  tasks:\n    - command: 'true'\n";
    let (printed, code) = stage.play(book).await;
    let lines = ends(&without_details(&printed));
    assert_eq!(lines, ["changed: [h1]", "fatal: [h2]: FAILED! => {…}"]);
    assert_eq!(code, 2);
}

#[tokio::test]
async fn a_template_sees_the_variables_of_its_host() {
    let mut stage = Stage::new();
    stage.write("t.j2", "{% for host in groups.web %}\n{{ host }}{{ ' (me)' if host == inventory_hostname }}\n{% endfor %}\n{{ greeting }}, {{ who }} {{ item }}\n");
    stage.extra.insert("who".to_owned(), json!("{{ inventory_hostname }}"));
    let book = "- hosts: h2\n  vars: {greeting: hello, who: you}\n  tasks:\n    - template: {src: t.j2, dest: 'DIR/out-{{ item }}'}\n      loop: [1, 2]\n";
    assert_eq!(ends(&stage.play(book).await.0), ["changed: [h2] => (item=1)", "changed: [h2] => (item=2)"]);
    assert_eq!(stage.read("out-2"), "h1\nh2 (me)\nh3\nhello, h2 2\n");
}

#[tokio::test]
async fn registered_results_are_variables_of_later_tasks() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  tasks:
    - command: sh -c 'echo one; echo two >&2; exit 3'
      register: out
      failed_when: out.rc not in [0, 3]
      changed_when: \"'two' in out.stderr\"
    - command: echo {{ out.stdout_lines | length }} {{ out.rc }}
      register: again
      changed_when: again.stdout == '1 3' and out is changed
    - command: sh -c 'exit 1'
      register: bad
      ignore_errors: true
    - command: echo {{ bad.rc }}
      when:
        - bad is failed
        - out is not failed
    - command: 'true'
      failed_when: true
";
    let (printed, code) = stage.play(book).await;
    let lines = ends(&without_details(&printed));
    assert_eq!(
        lines,
        [
            "changed: [h1]",
            "changed: [h1]",
            "fatal: [h1]: FAILED! => {…}",
            "...ignoring",
            "changed: [h1]",
            "fatal: [h1]: FAILED! => {…}"
        ]
    );
    assert!(
        printed.contains("ok=4    changed=4    unreachable=0    failed=1    skipped=0    rescued=0    ignored=1"),
        "{printed}"
    );
    assert_eq!(code, 2);
}

#[tokio::test]
async fn a_check_predicts_and_changes_nothing() {
    let mut stage = Stage::new();
    stage.check = true;
    stage.write("same", "x");
    let book = "- hosts: h1\n  tasks:\n    - command: touch DIR/made\n    - copy: {content: x, dest: DIR/same}\n    - copy: {content: y, dest: DIR/same}\n    - copy: {content: x, dest: DIR/other}\n    - unit: {name: web}\n    - wait_for: {port: 1}\n";
    let (printed, code) = stage.play(book).await;
    let expected = ["skipping: [h1]", "ok: [h1]", "changed: [h1]", "changed: [h1]", "changed: [h1]", "skipping: [h1]"];
    assert_eq!((ends(&printed), code), (expected.map(str::to_owned).to_vec(), 0));
    assert_eq!(
        (stage.read("same").as_str(), Stage::names(stage.folder.path())),
        ("x", vec!["hosts".to_owned(), "same".to_owned()])
    );
    assert_eq!(*stage.cluster.requested.lock().unwrap(), ["units? web.service Started"]);
}

#[tokio::test]
async fn arguments_of_units_and_waits_are_checked() {
    let stage = Stage::new();
    stage.write("broken.service", "[Service\n");
    for (task, expected) in [
        ("unit: {name: 'a b'}", "invalid character"),
        ("unit: {name: a, state: '{{ no }}'}", "`state` must be submitted"),
        ("unit: {name: a, src: broken.service}", "broken.service: "),
        ("wait_for: {port: 0}", "`port` must be from 1 to 65535"),
        ("wait_for: {port: '{{ no }}'}", "`port` must be a whole number"),
        ("wait_for: {port: 1, state: '{{ no }}'}", "`state` must be started"),
        ("command: {cmd: ''}", "`cmd` is empty"),
        ("command: {cmd: \"echo 'open\"}", "quotes"),
    ] {
        let (printed, code) = stage.play(&format!("- hosts: h1\n  vars: {{no: up}}\n  tasks:\n    - {task}\n")).await;
        assert!(printed.contains(expected) && code == 2, "{task}: {printed}");
    }
}

#[test]
fn arguments_that_are_no_templates_are_checked_before_anything_runs() {
    for (task, expected) in [
        (
            "unit: {name: a, state: up}",
            "p:3:30: `state` must be submitted, loaded, started, stopped, absent or restarted",
        ),
        ("wait_for: {port: web}", "p:3:24: `port` must be a whole number"),
        ("wait_for: port=1 state=up", "p:3:17: `state` must be started, present, stopped, absent or drained"),
        ("copy: {content: a, dest: /x, mode: 644}", "p:3:42: `mode` 644 is ambiguous"),
        ("copy: {content: a, dest: /x, mode: rw}", "p:3:42: invalid `mode` rw"),
        ("command: {argv: a b}", "p:3:23: `argv` must be a list of words"),
        ("debug: {verbosity: much}", "p:3:26: `verbosity` must be a whole number"),
        ("debug: hello", "p:3:14: `hello` is no argument: NAME=VALUE is expected"),
        ("debug: mgs=hello", "p:3:14: module `debug` has no `mgs`"),
        ("assert: {that: true, quiet: maybe}", "p:3:35: `quiet` must be true or false"),
    ] {
        let text = format!("- hosts: h1\n  tasks:\n    - {task}\n");
        let fault = read(&text).unwrap_err();
        assert!(fault.to_string().starts_with(expected), "{fault}");
    }
}

#[tokio::test]
async fn a_wait_ends_when_the_port_listens_or_at_the_timeout() {
    let stage = Stage::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (wait, expected) in [
        (format!("{{port: {port}, timeout: 5}}"), "ok: [h1]"),
        (format!("{{host: 127.0.0.2, port: {closed}, timeout: 0}}"), "Timeout when waiting for 127.0.0.2:"),
        (format!("{{port: {closed}, timeout: 0}}"), "Timeout when waiting for 127.0.0.1:"),
        (format!("{{port: {closed}, state: stopped, timeout: 5}}"), "ok: [h1]"),
        (format!("{{port: {port}, state: stopped, timeout: 0}}"), "to stop."),
        (format!("{{port: {closed}, state: drained, timeout: 1}}"), "ok: [h1]"),
        ("{path: DIR/hosts, timeout: 5}".to_owned(), "ok: [h1]"),
        ("{path: 'DIR/a b', timeout: 0}".to_owned(), "Timeout when waiting for file "),
        ("{path: 'DIR/a b', timeout: 0, msg: too late}".to_owned(), "too late"),
        ("{path: 'DIR/a b', state: absent}".to_owned(), "ok: [h1]"),
        ("{path: DIR/hosts, search_regex: '^h(.)$', timeout: 1}".to_owned(), "ok: [h1]"),
        (
            "{path: DIR/hosts, search_regex: '^h$', timeout: 0}".to_owned(),
            "Timeout when waiting for search string ^h$ in",
        ),
        ("timeout=0".to_owned(), "ok: [h1]"),
        ("{port: 1, path: '{{ omit }}', state: absent, timeout: 1}".to_owned(), "ok: [h1]"),
        ("{port: 1, path: '{{ 1 }}', timeout: 0}".to_owned(), "module `wait_for` takes only one of port, path"),
    ] {
        let (printed, _) = stage.play(&format!("- hosts: h1\n  tasks:\n    - wait_for: {wait}\n")).await;
        assert!(ends(&printed)[0].contains(expected), "{wait}: {printed}");
    }
}

#[test]
fn a_play_gathers_facts_unless_it_or_the_configuration_says_no() {
    let missing = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    for (play, gathering, expected) in [
        ("- hosts: h1", Gathering::Implicit, true),
        ("- hosts: h1", Gathering::Explicit, false),
        ("- {hosts: h1, gather_facts: true}", Gathering::Explicit, true),
        ("- {hosts: h1, gather_facts: false}", Gathering::Implicit, false),
    ] {
        let options = Options { gathering, ..Options::default() };
        let playbook = parse::read(Path::new("p"), play, &missing, &options).unwrap();
        let gathers = playbook.plays[0].all_tasks().any(|task| task.name == "Gathering Facts");
        assert_eq!(gathers, expected, "{play} {gathering:?}");
    }
}

#[test]
fn a_module_that_ansible_refuses_in_the_background_is_refused_with_its_place() {
    let book = |task: &str| read(&format!("- hosts: a\n  tasks:\n    - {task}\n"));
    for module in ["copy: {content: x, dest: /x}", "template: {src: x, dest: /x}", "debug:", "add_host: {name: x}"] {
        let fault = book(&format!("{module}\n      async: 5")).unwrap_err();
        let name = module.split(':').next().unwrap();
        assert!(fault.to_string().starts_with(&format!("p:4:7: `{name}` does not run in the background")), "{fault}");
    }
    for task in
        ["copy: {content: x, dest: /x}\n      async: 0", "meta: noop\n      async: 5", "shell: x\n      async: 5"]
    {
        assert!(book(task).is_ok(), "{task}");
    }
}

#[test]
fn a_template_in_a_playbook_is_checked_before_anything_runs() {
    for (play, expected) in [
        ("vars: {x: '{{ 1 | nothing }}'}", "p:2:13: `x`: muster has no filter `nothing`"),
        ("tasks: [debug: {msg: '{{ 1 is odder }}'}]", "p:2:24: `msg`: muster has no test `odder`"),
        ("tasks: [{debug: , loop: ['{{ 1 + }}']}]", "p:2:28: `loop`: "),
        (
            "tasks: [{debug: , environment: {A: '{{ lookup(\"nowhere\") }}'}}]",
            "p:2:38: `A`: muster has no lookup `nowhere`",
        ),
    ] {
        let fault = read(&format!("- hosts: h1\n  {play}\n")).unwrap_err().to_string();
        assert!(fault.starts_with(expected), "{fault}");
    }
}

#[test]
fn an_error_in_a_playbook_has_position_text_and_hint() {
    for (text, expected, hint) in [
        ("hosts: web\n", "p:1:1: a playbook must be a list of plays, not a map", "hosts: PATTERN"),
        ("- name: x\n", "p:1:3: the play does not say for which `hosts` it is", ""),
        ("- host: web\n", "p:1:3: a play has no `host`", "`hosts`"),
        ("- hosts: a\n  roles: [x]\n", "p:2:11: there is no role `x`", "roles/x, with tasks/main.yml"),
        ("- hosts: a\n  debugger: never\n", "p:2:3: muster does not implement `debugger`", "ansible-playbook"),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      with_fileglobs: [1]\n",
            "p:4:7: muster does not implement `with_fileglobs` of a task",
            "ansible-playbook",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      loop: [1]\n      with_items: [1]\n",
            "p:5:7: a task has one loop, not `loop` and `with_items`",
            "",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      loop: [1]\n      loop_control: {lable: x}\n",
            "p:5:22: `loop_control` has no `lable`",
            "`label`",
        ),
        ("- hosts: a\n  tasks:\n    - command: x\n      retries: many\n", "p:4:16: `retries` must be a number", ""),
        ("- hosts: a\n  tasks:\n    - rescue: []\n", "p:3:7: a task has no `rescue`", ""),
        ("- hosts: a\n  tasks:\n    - block: []\n      loop: [1]\n", "p:4:7: a block has no `loop`", ""),
        ("- hosts: a\n  tasks:\n    - block: []\n      debugger: always\n", "p:4:7: muster does not implement", ""),
        ("- hosts: a\n  handlers:\n    - block: []\n", "p:3:7: a handler cannot be a block", "each task a handler"),
        ("- hosts: a\n  hosts: b\n", "p:2:3: the key `hosts` occurs twice, first in line 1", ""),
        ("- hosts: a\n  serial: many\n", "p:2:11: `serial` must be a number of hosts or a share such as \"30%\"", ""),
        ("- hosts: a\n  serial: 0%\n", "p:2:11: `serial` must be", ""),
        ("- hosts: a\n  strategy: debug\n", "p:2:13: muster has no `strategy` debug", "linear and free"),
        ("- hosts: a\n  order: up\n", "p:2:10: there is no `order` up", ""),
        ("- hosts: a\n  connection: docker\n", "p:2:15: muster has no connection `docker`", "by local"),
        ("- hosts: a\n  become_method: doas\n", "p:2:18: muster cannot become a user with `doas`", "with sudo"),
        ("- hosts: a\n  max_fail_percentage: 101\n", "p:2:24: `max_fail_percentage` must be a number from 0", ""),
        ("- hosts: a\n  vars_prompt: [{prompt: x}]\n", "p:2:17: the entry of `vars_prompt` has no `name`", ""),
        ("- hosts: a\n  tasks:\n    - meta: stop\n", "p:3:13: `do` must be flush_handlers, end_host", ""),
        ("- hosts: a\n  tasks:\n    - name: x\n", "p:3:7: the task names no module", "command, composer, copy, "),
        ("- hosts: a\n  tasks:\n    - comand: x\n", "p:3:7: a task has no `comand`", "`command`"),
        ("- hosts: a\n  tasks:\n    - command: x\n      whn: y\n", "p:4:7: a task has no `whn`", "`when`"),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      copy: {}\n",
            "p:4:7: a task is for one module, not for `command` and `copy`",
            "",
        ),
        ("- hosts: a\n  tasks:\n    - copy: {src: a, dst: b}\n", "p:3:22: module `copy` has no `dst`", "`dest`"),
        ("- hosts: a\n  tasks:\n    - copy: {dest: b}\n", "p:3:13: module `copy` needs either `src` or `content`", ""),
        (
            "- hosts: a\n  tasks:\n    - copy: {src: a, content: a, dest: b}\n",
            "p:3:13: module `copy` needs either `src` or `content`",
            "",
        ),
        (
            "- hosts: a\n  tasks:\n    - unit: {name: a, src: a, template: b}\n",
            "p:3:13: module `unit` takes only one of src, template",
            "",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      when: 'x{{ y }}'\n",
            "p:4:13: `when` is an expression already",
            "without `{{ }}`",
        ),
        ("- hosts: a\n  tasks:\n    - command: x\n      when: 'y =='\n", "p:4:13: `when`: ", ""),
        ("- hosts: a\n  tasks:\n    - command: x\n      loop: 5\n", "p:4:13: `loop` must be a list, not a number", ""),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      register: a b\n",
            "p:4:17: `a b` cannot be a variable's name",
            "",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      become: root\n",
            "p:4:15: `become` must be true or false, not text",
            "",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      notify: restrat\n  handlers:\n    - name: restart\n      command: x\n",
            "p:3:7: the play has no handler called `restrat`",
            "`restart`",
        ),
        (
            "- hosts: a\n  tasks:\n    - command: echo 'open\n",
            "p:3:16: the quotes or the `{{ }}` in the arguments do not match",
            "",
        ),
        ("- hosts: a\n  tasks:\n    - command: x executable=1\n", "p:3:16: module `command` has no", "executable="),
        ("- hosts: a\n  tasks:\n    - command: creates=/x\n", "p:3:16: module `command` needs either `cmd` or", ""),
        (
            "- hosts: a\n  tasks:\n    - command: x\n      args: {creats: y}\n",
            "p:4:14: module `command` has no",
            "`creates`",
        ),
        ("- hosts: a\n  vars:\n    p: !vault [x]\n", "p:3:8: `!vault` needs the text of a vault", "encrypt-string"),
        ("", "p:1:1: the playbook is empty", ""),
        ("- hosts: !vault x\n", "p:1:17: `hosts` must be text, not an encrypted value", ""),
        ("$ANSIBLE_VAULT;1.1;AES256\n3x\n", "p:2:2: the file is a damaged vault: expected a hexadecimal digit", ""),
    ] {
        let fault = read(text).unwrap_err();
        assert!(fault.to_string().starts_with(expected), "{text}\n{fault}");
        assert!(fault.hint.unwrap_or_default().contains(hint), "{text}");
    }
    assert!(read("- hosts: a\n  collections: [x.y]\n").is_ok());
}

#[tokio::test]
async fn a_module_that_muster_lacks_counts_when_a_conditional_include_reaches_it() {
    let stage = Stage::new();
    stage.write("arch.yml", "- community.general.pacman: {name: web}\n");
    stage.write("typo.yml", "- comand: echo\n");
    let book = "- hosts: h1\n  tasks:\n    - include_tasks: arch.yml\n      when: false\n    - include_tasks: arch.yml\n      \
                when: true\n      ignore_errors: true\n    - debug: {msg: end}\n";
    let (printed, code) = stage.play(book).await;
    let skipped_then_failed = printed.contains("skipping: [h1]\n") && printed.contains("fatal: [h1]: FAILED! => ");
    assert!(
        skipped_then_failed && printed.contains("arch.yml:1:3: a task has no `community.general.pacman`"),
        "{printed}"
    );
    assert_eq!(code, 2, "{printed}");
    let fault = |task: &str| {
        let book = format!("- hosts: h1\n  tasks:\n    - {task}\n");
        parse::read(&stage.path("p.yml"), &book, &parse::read_file, &explicit()).unwrap_err().what
    };
    assert_eq!(fault("include_tasks: arch.yml"), "a task has no `community.general.pacman`");
    assert_eq!(fault("{include_tasks: typo.yml, when: false}"), "a task has no `comand`");
}

#[tokio::test]
async fn an_include_of_earlier_versions_imports_unless_it_has_a_loop() {
    let stage = Stage::new();
    stage.write("part.yml", "- debug: {msg: \"{{ item | default('none') }}\"}\n");
    stage.write("other.yml", "- hosts: h1\n  tasks:\n    - debug: {msg: other}\n");
    let book = "- hosts: h1\n  tasks:\n    - include: part.yml\n    - include: part.yml\n      with_items: [a, b]\n\
                - include: other.yml\n";
    let (printed, code) = stage.play(book).await;
    let heads: Vec<&str> = printed.lines().filter(|line| line.starts_with("TASK") || line.contains("msg\"")).collect();
    let heads: Vec<String> = heads.iter().map(|line| line.trim_end_matches('*').trim().to_owned()).collect();
    let expected = [
        "TASK [debug]",
        "\"msg\": \"none\"",
        "TASK [include]",
        "TASK [debug]",
        "\"msg\": \"a\"",
        "TASK [debug]",
        "\"msg\": \"b\"",
        "TASK [debug]",
        "\"msg\": \"other\"",
    ];
    assert_eq!((heads, code), (expected.map(str::to_owned).to_vec(), 0), "{printed}");
}
