//! `play`: its options, its document and its exit codes.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::store::leader_election;
use muster::store::leader_election::LeaderKind;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use serde_json::json;

use super::Desk;
use super::unit;
use crate::hosts::run;
use crate::hosts::until;

/// Sits down at a desk with an inventory of three hosts, on none of which anything listens.
fn desk() -> Desk {
    let desk = Desk::new();
    let host = |name: &str| format!("{name} ansible_host=127.0.0.1 ansible_port=1\n");
    desk.write("hosts", format!("[web]\n{}{}{}", host("h1"), host("h2"), host("h3")));
    desk
}

/// Runs a playbook that must end with this exit code and returns its document.
#[track_caller]
fn document(desk: &Desk, args: &[&str], code: i32) -> Value {
    let said = desk.muster(&[&["-i", "hosts", "play", "-o", "json"], args].concat());
    assert_eq!((said.code, said.err.as_str()), (Some(code), ""), "{said:#?}");
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"))
}

#[test]
fn its_document_is_its_whole_output_and_its_exit_codes_are_those_of_ansible() {
    let desk = desk();
    desk.write("reach.yaml", "- name: reach\n  hosts: web\n  tasks:\n    - command: 'true'\n    - command: 'true'\n");
    let reach = document(&desk, &["reach.yaml"], 4);
    let tasks = reach["plays"][0]["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "no host is left for the second task: {reach:#}");
    for host in ["h1", "h2", "h3"] {
        let result = &tasks[0]["hosts"][host];
        assert_eq!((&result["unreachable"], &result["changed"]), (&json!(true), &json!(false)), "{reach:#}");
        assert!(result["msg"].as_str().unwrap().starts_with(&format!("{host}: connect: ")), "{reach:#}");
        assert_eq!((&reach["stats"][host]["unreachable"], &reach["stats"][host]["failures"]), (&json!(1), &json!(0)));
    }

    desk.write("unit.yaml", "- name: start\n  hosts: h1\n  tasks:\n    - unit: {name: nowhere}\n");
    let unit = document(&desk, &["unit.yaml"], 2);
    let result = &unit["plays"][0]["tasks"][0]["hosts"]["h1"];
    assert_eq!(result["failed"], true, "{unit:#}");
    assert!(result["msg"].as_str().unwrap().contains("nowhere.service"), "{unit:#}");
    assert_eq!(unit["stats"]["h1"]["failures"], 1);

    let list = document(&desk, &["reach.yaml", "--list-hosts"], 0);
    let play = json!({"play": {"name": "reach", "pattern": "web"}, "hosts": ["h1", "h2", "h3"]});
    assert_eq!(list, json!({"plays": [play]}));
    // What cannot be read at all is no document.
    desk.write("broken.yaml", "- hosts: web\n  tsks: []\n");
    desk.fails(&["-i", "hosts", "play", "-o", "json", "broken.yaml"], 4, &["broken.yaml:2:3: ", "`tasks`"]);
}

#[test]
fn a_task_that_failed_is_named_with_its_place_and_its_hosts_at_the_end() {
    let desk = Desk::new();
    desk.write(
        "hosts",
        "h1 ansible_connection=local\nh2 ansible_connection=local\nh3 ansible_host=127.0.0.1 ansible_port=1\n",
    );
    desk.write("tasks/more.yaml", "- name: look\n  command: test -e nowhere\n");
    desk.write(
        "site.yaml",
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: reach\n      command: id\n\
         \x20   - command: 'false'\n      ignore_errors: true\n\
         \x20   - block: [command: 'false']\n      rescue: [debug: {}]\n    - import_tasks: tasks/more.yaml\n",
    );
    let said = desk.muster(&["-i", "hosts", "play", "site.yaml"]);
    let expected = "Error: site.yaml:4:7: task \"reach\" did not reach h3\n\
                    Error: tasks/more.yaml:1:3: task \"look\" failed on h1, h2\n";
    assert_eq!((said.code, said.err.as_str()), (Some(4), expected), "{said:#?}");
    assert!(!said.out.contains("site.yaml:"), "{said:#?}");
}

#[test]
fn it_ends_as_ansible_does_if_there_is_nothing_to_play() {
    let desk = desk();
    desk.write("broken.yaml", "- hosts: web\n  tasks: x\n");
    desk.write("none.yaml", "- hosts: web\n  tasks: []\n");
    desk.write("site/webservers.yml", "[]\n");
    let meant = "Did you mean `site/webservers.yml`?";
    for file in ["site/webserver.yml", "site/webservers", "site/webservers.yaml"] {
        desk.fails(&["-i", "hosts", "play", file], 1, &["cannot read the playbook site/", meant]);
    }
    desk.fails(&["-i", "hosts", "play", "missing.yaml"], 1, &["cannot read the playbook missing.yaml\nCaused by: "]);
    desk.fails(&["-i", "hosts", "play", "broken.yaml"], 4, &["broken.yaml:2:10: "]);
    desk.write("comment.yaml", "# nothing\n");
    desk.write("list.yaml", "[]\n");
    desk.fails(&["-i", "hosts", "play", "comment.yaml"], 4, &["comment.yaml:1:1: the playbook is empty"]);
    desk.fails(&["-i", "hosts", "play", "list.yaml"], 4, &["list.yaml:1:1: a playbook must have at least one play"]);
    desk.fails(&["-i", "hosts", "play", "none.yaml", "-l", "!web"], 1, &["leave no host"]);
}

#[test]
fn the_command_line_may_choose_the_hosts_of_a_play() {
    let desk = desk();
    desk.write("book.yaml", "- hosts: \"{{ target | default('web') }}\"\n- hosts: '{{ other }}'\n");
    let play = ["-i", "hosts", "play", "book.yaml", "--list-hosts"];
    desk.fails(&play, 2, &["book.yaml:2:10: `hosts`: `other` is undefined"]);
    let list = document(&desk, &["book.yaml", "--list-hosts", "-e", "target=h1:h3 other=h2"], 0);
    assert_eq!((&list["plays"][0]["hosts"], &list["plays"][1]["hosts"]), (&json!(["h1", "h3"]), &json!(["h2"])));
}

#[test]
fn a_play_whose_hosts_match_nothing_is_skipped_with_a_warning() {
    let desk = desk();
    let task = "  tasks:\n    - command: 'true'\n";
    desk.write("none.yaml", format!("- hosts: nowhere\n{task}- hosts: web:&nowhere\n{task}"));
    let said = desk.muster(&["-i", "hosts", "play", "none.yaml"]);
    assert_eq!((said.code, said.out.matches("skipping: no hosts matched").count()), (Some(0), 2), "{said:#?}");
    let warning = "Warning: none.yaml:1:10: no host or group matches `nowhere`, so it is left out of the play";
    assert_eq!(said.err.lines().next(), Some(warning), "{said:#?}");
    desk.write("some.yaml", format!("- hosts: h1:nowhere\n{task}"));
    let said = desk.muster(&["-i", "hosts", "play", "some.yaml", "--list-hosts"]);
    assert!(said.code == Some(0) && said.out.contains("hosts (1):\n      h1\n"), "{said:#?}");
    // A limit stays strict, since a misspelt name must not leave hosts out silently.
    desk.fails(&["-i", "hosts", "play", "some.yaml", "-l", "h1,nowhere"], 2, &["no host or group matches `nowhere`"]);
    desk.fails(&["-i", "hosts", "play", "some.yaml", "-e", "@nofile"], 2, &["-e: cannot read nofile: "]);
}

/// The expected lines are those of ansible-core 2.19.
#[test]
fn tags_select_tasks_and_listings_show_them_as_ansible_does() {
    let desk = Desk::new();
    desk.write("hosts", "h1\nh2\n");
    desk.write("g.yml", include_str!("../data/playbook/tags.yaml"));
    let lines = |args: &[&str]| {
        let said = desk.muster(&[&["-i", "hosts", "play", "g.yml"], args].concat());
        assert_eq!(said.code, Some(0), "{said:#?}");
        said.out
    };
    let plays = |first: &str, second: &str| {
        format!(
            "\nplaybook: g.yml\n\n  play #1 (all): first\tTAGS: [p]\n{first}\n  play #2 (all): all\tTAGS: []\n{second}"
        )
    };
    let tasks = |lines: &str| format!("    tasks:\n{lines}");
    let (pre, one) = ("      pre\tTAGS: [always, p]\n", "      one\tTAGS: [a, b, p]\n");
    let block = "      two\tTAGS: [blk, c, p]\n      debug\tTAGS: [blk, p]\n";
    let plain = tasks("      plain\tTAGS: []\n");
    assert_eq!(lines(&["--list-tasks"]), plays(&tasks(&[pre, one, block].concat()), &plain));
    assert_eq!(lines(&["--list-tasks", "-t", "a"]), plays(&tasks(&[pre, one].concat()), &tasks("")));
    assert_eq!(lines(&["--list-tasks", "--skip-tags", "blk,always"]), plays(&tasks(one), &plain));
    let task_tags = |tags: &str| format!("      TASK TAGS: [{tags}]\n");
    assert_eq!(lines(&["--list-tags"]), plays(&task_tags("a, always, b, blk, c, never, p"), &task_tags("")));
    let hosts = "    pattern: ['all']\n    hosts (2):\n      h1\n      h2\n";
    assert_eq!(lines(&["--list-hosts"]), plays(hosts, hosts));
    assert_eq!(lines(&["--syntax-check"]), "\nplaybook: g.yml\n");
}

#[test]
fn an_interrupted_run_says_what_may_go_on_and_where() {
    let desk = Desk::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    desk.write("hosts", format!("h1 ansible_host=127.0.0.1 ansible_port={port}\n"));
    desk.write("book.yaml", "- hosts: all\n  tasks:\n    - name: wait\n      command: 'true'\n");
    let play = desk.command(&["-i", "hosts", "play", "book.yaml"]);
    let play = { play }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _connected = silent.accept().unwrap();
    kill_process(Pid::from_raw(play.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    let output = play.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{err}");
    assert!(err.contains("Warning: the task `wait` was under way on h1 and may go on there\n"), "{err}");
}

#[test]
fn a_play_runs_on_a_local_host_without_ssh() {
    let desk = Desk::new();
    desk.write("hosts", "here ansible_connection=local\n");
    let dest = desk.path("made").display().to_string();
    desk.write(
        "book.yaml",
        format!("- hosts: here\n  tasks:\n    - copy: {{content: 'on {{{{ inventory_hostname }}}}', dest: {dest}}}\n"),
    );
    let said = desk.muster(&["-i", "hosts", "play", "book.yaml"]);
    assert!(said.code == Some(0) && said.out.contains("changed: [here]"), "{said:#?}");
    assert_eq!(std::fs::read_to_string(desk.path("made")).unwrap(), "on here");
}

#[test]
fn a_unit_of_a_file_that_is_included_reaches_the_cluster() {
    let desk = Desk::new();
    desk.write("hosts", "here ansible_connection=local\n");
    desk.write("hello.service", unit("hello"));
    desk.write("units.yml", "- unit: {name: hello.service, src: hello.service, state: submitted}\n- sweep:\n");
    for (number, file) in ["units.yml", "'{{ \"units\" }}.yml'"].into_iter().enumerate() {
        desk.write(
            "book.yaml",
            format!("- hosts: here\n  gather_facts: false\n  tasks:\n    - include_tasks: {file}\n"),
        );
        let said = desk.muster(&["-i", "hosts", "play", "book.yaml"]);
        let told = if number == 0 { "changed: [here]" } else { "ok: [here]" };
        assert!(said.out.contains(told) && said.out.contains("no machine has joined the cluster"), "{said:#?}");
    }
    assert!(desk.muster(&["list-unit-files"]).ok().contains("hello.service"));
}

#[test]
fn a_way_to_become_a_user_that_muster_does_not_know_is_refused_before_anything_runs() {
    let desk = Desk::new();
    let host = "h1 ansible_host=127.0.0.1 ansible_port=1";
    desk.write("hosts", format!("{host} ansible_become_method=doas\n"));
    let book = "- hosts: h1\n  tasks:\n    - command: 'true'\n    - command: 'true'\n      become: true\n";
    desk.write("root.yaml", book);
    desk.write("plain.yaml", book.replace("      become: true\n", ""));
    let error = "host h1: muster becomes users with sudo, or with su as root, and not with `doas`";
    desk.fails(&["-i", "hosts", "play", "root.yaml"], 2, &[error, "Nothing was done"]);
    desk.fails(&["-i", "hosts", "play", "plain.yaml", "-e", "ansible_become=yes"], 2, &[error]);
    desk.fails(&["-i", "hosts", "play", "plain.yaml", "-b"], 2, &[error]);
    let member = "ansible_become: \"{{ 'h1' in groups.all and 'h1' in play_hosts }}\"";
    desk.write("member.yaml", book.replace("- hosts: h1\n", &format!("- hosts: h1\n  vars: {{{member}}}\n")));
    desk.fails(&["-i", "hosts", "play", "member.yaml"], 2, &[error]);
    assert_eq!(desk.muster(&["-i", "hosts", "play", "plain.yaml"]).code, Some(4), "it is not asked for");
}

#[test]
fn a_question_that_is_not_asked_has_its_default_or_null() {
    let desk = Desk::new();
    let book = r#"
- hosts: localhost
  gather_facts: false
  vars_prompt:
    - {name: plain, default: given, private: false}
    - {name: none, encrypt: md5_crypt}
  tasks:
    - debug: {msg: "{{ plain }} {{ none is none }}"}
"#;
    desk.write("book.yaml", book);
    let said = desk.muster(&["play", "book.yaml"]);
    assert!(said.out.contains("\"msg\": \"given True\""), "{said:#?}");
    desk.write("wrong.yaml", book.replace("encrypt:", "default: x, encrypt:"));
    let error = "the variable `none` cannot be encrypted";
    desk.fails(&["play", "wrong.yaml"], 2, &[error, "muster has no hash `md5_crypt`"]);
}

#[test]
fn the_warnings_of_tasks_are_printed_once_on_stderr() {
    let desk = Desk::new();
    let task = "    - raw: 'true'\n      environment: {A: b}\n";
    desk.write("book.yaml", format!("- hosts: localhost\n  gather_facts: false\n  tasks:\n{task}{task}"));
    let said = desk.muster(&["play", "book.yaml"]);
    let warning = "[WARNING]: raw module does not support the environment keyword";
    assert_eq!((said.err.matches(warning).count(), said.out.contains("WARNING")), (1, false), "{said:#?}");
}

#[test]
fn its_output_steers_no_terminal() {
    let desk = desk();
    let book = r#"
- name: "play \e[2J"
  hosts: h1
  tasks:
    - name: "task \e]0;x\a {{ t }}"
      command: "true"
      loop: ["item \e[31m", "{{ t }}"]
"#;
    desk.write("book.yaml", book);
    for args in [&["-e", "{\"t\": \"\\u009b1m\"}"][..], &["--list-hosts"]] {
        let said = desk.muster(&[&["-i", "hosts", "play", "book.yaml"], args].concat());
        assert!(said.out.contains("play \u{fffd}[2J"), "{said:#?}");
        let steers = said.out.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t'));
        assert!(!steers, "{said:#?}");
    }
}

#[test]
fn a_file_may_limit_the_hosts() {
    let desk = desk();
    desk.write(
        "all.yaml",
        "- hosts: web\n  tasks:\n    - command: 'true'\n- hosts: h2\n  tasks:\n    - command: 'true'\n",
    );
    desk.write("failed.retry", "# of yesterday\n\nh3\nh1\n");
    let hosts = |limit: &str| {
        let list = document(&desk, &["all.yaml", "--list-hosts", "--limit", limit], 0);
        list["plays"].as_array().unwrap().iter().map(|play| play["hosts"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(hosts("@failed.retry"), [r#"["h1","h3"]"#, "[]"]);
    assert_eq!(hosts("@failed.retry,!h1"), [r#"["h3"]"#, "[]"]);
    assert_eq!(hosts("@failed.retry,h2"), [r#"["h1","h2","h3"]"#, r#"["h2"]"#]);

    let with = |limit: &'static str| ["-i", "hosts", "play", "all.yaml", "--limit", limit];
    desk.fails(&with("@failed.retri"), 2, &["--limit: cannot read @failed.retri: "]);
    desk.write("empty.retry", "# all is well\n");
    desk.fails(&with("@empty.retry,!h1"), 2, &["--limit: @empty.retry names no host"]);
    desk.write("gone.retry", "h1\nh9\n");
    desk.fails(&with("@gone.retry"), 2, &["no host or group matches `h9` in `h1,h9`"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_leadership_as_long_as_lock_wait_allows() {
    let desk = desk();
    for name in ["a.service", "b.service", "c.service"] {
        desk.write(name, unit(name));
        desk.muster(&["submit", name]).ok();
        let text = format!("- hosts: h1\n  tasks:\n    - unit: {{name: {name}, state: absent}}\n");
        desk.write("book", text);
        std::fs::rename(desk.path("book"), desk.path(&format!("{name}.yaml"))).unwrap();
    }
    let (store, keys) = desk.store().await;
    let lead = leader_election::try_campaign(&store, &keys, LeaderKind::Sweep).await.unwrap().unwrap();

    let busy = |said: &Value| {
        let why = said["plays"][0]["tasks"][0]["hosts"]["h1"]["msg"].as_str().unwrap().to_owned();
        assert!(why.starts_with("a sweep on ") && why.contains("is at work") && why.contains("--lock-wait"), "{why}");
    };
    let begun = Instant::now();
    busy(&document(&desk, &["a.service.yaml", "--lock-wait", "0"], 2));
    desk.write("muster.toml", "lock-wait = 0\n");
    busy(&document(&desk, &["b.service.yaml"], 2));
    assert!(begun.elapsed() < Duration::from_secs(20), "it timeouts for longer than it was told");
    std::fs::remove_file(desk.path("muster.toml")).unwrap();

    let args = ["-i", "hosts", "play", "c.service.yaml", "--lock-wait", "600"];
    let mut waiting = desk.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let units = || desk.muster(&["list-unit-files", "--no-legend"]).ok();
    until("the desired state is stored", Duration::from_secs(20), units, String::is_empty);
    assert!(waiting.try_wait().unwrap().is_none(), "it does not wait");
    lead.resign().await;
    let output = waiting.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("changed: [h1]"), "{printed}");
}

#[test]
fn the_coverage_of_a_folder_says_what_is_refused_and_why() {
    let desk = Desk::empty();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/coverage");
    let said = desk.muster(&["play", "--coverage", folder]).ok();
    assert_eq!(
        said.replace('\t', "→"),
        "→→ACCEPTED→ALL→SHARE\n\
         tasks→→8→→14→57.1 %\n\
         roles→→1→→2→50.0 %\n\
         playbooks→1→→2→50.0 %\n\
         templates→1→→2→50.0 %\n\
         \n\
         encrypted files that were not read: 1\n\
         \n\
         TASKS→EXAMPLE→→→→REFUSED BECAUSE\n\
         2→roles/part/tasks/main.yml:1→a task has no `docker_swarm`\n\
         2→roles/part/tasks/main.yml:10→muster does not implement `port` of a block\n\
         1→roles/part/tasks/main.yml:3→module `apt` has no `colour`\n\
         1→roles/part/tasks/main.yml:6→muster has no filter `nosuch`\n\
         \n\
         PLAYBOOKS→EXAMPLE→→REFUSED BECAUSE\n\
         1→→site.yml:4→there is no file nowhere.yml\n\
         \n\
         TEMPLATES→EXAMPLE→REFUSED BECAUSE\n\
         1→→page.j2→muster has no filter `nothing`\n\
         \n\
         FILES→EXAMPLE→→→→REFUSED BECAUSE\n\
         1→roles/part/tasks/broken.yml:2→while parsing a block collection, did not find expected '-' indicator\n"
    );
    let said = desk.muster(&["play", "--coverage", folder, "-o", "json"]).ok();
    let document: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&document["roles"], &document["encrypted"]), (&json!({"whole": 1, "all": 2}), &json!(1)));
    let first = json!({
        "reason": "a task has no `docker_swarm`", "count": 2,
        "example": {"file": "roles/part/tasks/main.yml", "line": 1},
    });
    assert_eq!((&document["tasks"]["reasons"][0], &document["tasks"]["accepted"]), (&first, &json!(8)));
    let said = desk.muster(&["play", "--coverage", "nowhere"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:#?}");
}

/// Writes two playbooks for the machine on which muster runs.
fn two_books(desk: &Desk) {
    let one = "- name: first\n  hosts: h1\n  gather_facts: false\n  tasks:\n    - {name: one, command: echo hi, register: r}\n    \
               - {name: two, command: 'true', when: false}\n";
    let two = "- name: second\n  hosts: h1\n  gather_facts: false\n  tasks:\n    \
               - {name: three, debug: {msg: \"{{ r.stdout | default('none') }}\"}}\n    \
               - {name: web four, command: 'true'}\n";
    desk.write("one.yml", one);
    desk.write("two.yml", two);
    desk.write(
        "bad.yml",
        "- hosts: h1\n  gather_facts: false\n  tasks:\n    - command: 'true'\n      notify: h\n    - command: 'false'\n  handlers:\n    - {name: h, debug: }\n",
    );
}

/// Returns the line of a host in the recap.
fn recap(ok: u8, changed: u8, skipped: u8) -> String {
    format!(
        "\nPLAY RECAP *********************************************************************\n\
         h1                         : ok={ok}    changed={changed}    unreachable=0    failed=0    skipped={skipped}    \
         rescued=0    ignored=0   \n\n"
    )
}

const FIRST: &str = "\nPLAY [first] *******************************************************************\n";
const SECOND: &str = "\nPLAY [second] ******************************************************************\n";
const ONE: &str = "\nTASK [one] *********************************************************************\n";
const TWO: &str = "\nTASK [two] *********************************************************************\n";
const THREE: &str = "\nTASK [three] *******************************************************************\n";
const FOUR: &str = "\nTASK [web four] ****************************************************************\n";

#[test]
fn several_playbooks_run_one_after_the_other_until_one_fails() {
    let desk = Desk::empty();
    two_books(&desk);
    let play = |args: &[&str]| desk.muster(&[&["-i", "h1,", "play", "-c", "local"], args].concat());
    let said = play(&["one.yml", "two.yml"]).ok();
    let first = format!("{FIRST}{ONE}changed: [h1]\n{TWO}skipping: [h1]\n{}", recap(1, 1, 1));
    let three = "ok: [h1] => {\n    \"msg\": \"hi\"\n}\n";
    let second = format!("{SECOND}{THREE}{three}{FOUR}changed: [h1]\n{}", recap(3, 2, 1));
    assert_eq!(said, first + &second);

    let said = play(&["bad.yml", "two.yml"]);
    assert_eq!((said.code, said.out.contains("second"), said.out.contains("HANDLER")), (Some(2), false, false));
    let said = play(&["bad.yml", "two.yml", "--force-handlers", "--flush-cache"]);
    assert_eq!((said.code, said.out.contains("RUNNING HANDLER [h]")), (Some(2), true), "{said:#?}");
    let said = play(&["one.yml", "nowhere.yml"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "nothing runs: {said:#?}");
    let said = play(&["one.yml", "two.yml", "--list-hosts"]).ok();
    let listed = |book: &str, play: &str| {
        format!(
            "\nplaybook: {book}\n\n  play #1 (h1): {play}\tTAGS: []\n    pattern: ['h1']\n    hosts (1):\n      h1\n"
        )
    };
    assert_eq!(said, listed("one.yml", "first") + &listed("two.yml", "second"));
    let said = play(&["one.yml", "-M", "library"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("muster runs no modules in Python"), "{said:#?}");
}

#[test]
fn a_run_may_start_at_a_task_and_ask_before_each_task() {
    let desk = Desk::empty();
    two_books(&desk);
    let play = |args: &[&str]| desk.muster(&[&["-i", "h1,", "play", "-c", "local"], args].concat());
    let said = play(&["one.yml", "two.yml", "--start-at-task", "web*"]).ok();
    let first =
        format!("{FIRST}\nPLAY RECAP *********************************************************************\n\n");
    assert_eq!(said, format!("{first}{SECOND}{FOUR}changed: [h1]\n{}", recap(1, 1, 0)));
    let said = play(&["one.yml", "--start-at-task", "nothing"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:#?}");
    assert!(said.err.contains("no task is called `nothing`"), "{said:#?}");

    desk.write("answers", "y\n\nn\nc\n");
    let mut command = desk.command(&["-i", "h1,", "play", "-c", "local", "--step", "one.yml", "two.yml"]);
    let said = run(command.stdin(std::fs::File::open(desk.path("answers")).unwrap()));
    let first = format!("{FIRST}{ONE}changed: [h1]\n{}", recap(1, 1, 0));
    assert_eq!(said.out, format!("{first}{SECOND}{FOUR}changed: [h1]\n{}", recap(2, 2, 0)));
    assert!(said.err.starts_with("Perform task: TASK: one (N)o/(y)es/(c)ontinue: "), "{said:#?}");
}

#[test]
fn verbose_prints_the_results_of_tasks_and_no_log_messages() {
    let desk = Desk::empty();
    two_books(&desk);
    let said = desk.muster(&["-i", "h1,", "play", "-c", "local", "-v", "one.yml"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    let line = said.out.lines().find(|line| line.starts_with("changed:")).unwrap();
    assert!(
        line.starts_with(
            "changed: [h1] => {\"changed\": true, \"cmd\": [\"echo\", \"hi\"], \"msg\": \"\", \"rc\": 0, "
        ),
        "{line}"
    );
    assert!(line.ends_with("\"stdout\": \"hi\", \"stdout_lines\": [\"hi\"]}"), "{line}");
    let skipped = "skipping: [h1] => {\"changed\": false, \"false_condition\": false, \
                   \"skip_reason\": \"Conditional result was False\"}\n";
    assert!(said.out.contains(skipped), "{}", said.out);
    let said = desk.muster(&["-i", "h1,", "play", "-c", "local", "-vv", "one.yml"]);
    assert!(said.err.contains(" debug "), "{said:#?}");
}

/// The shell finds this `getent` before the host's. The script about facts is the only one that starts it.
const COUNTED: &str = "#!/bin/sh\necho asked >> \"$HOME/asked\"\nexec /usr/bin/getent \"$@\"\n";

#[test]
fn facts_are_gathered_only_if_something_may_read_them() {
    let desk = Desk::new();
    desk.write("hosts", "here ansible_connection=local\n");
    desk.write("bin/getent", COUNTED);
    std::fs::set_permissions(desk.path("bin/getent"), Permissions::from_mode(0o755)).unwrap();
    desk.write("name.j2", "{{ ansible_hostname }}\n");
    let path = format!("{}:{}", desk.path("bin").display(), "/usr/bin:/bin");
    let has_gathered = |play: &str, args: &[&str]| {
        desk.write("site.yaml", format!("- hosts: all\n  gather_facts: true\n  tasks:\n    - {play}\n"));
        let args = [&["-i", "hosts", "play", "site.yaml"], args].concat();
        let said = run(desk.command(&args).env("PATH", &path));
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:#?}");
        assert!(said.out.contains("[Gathering Facts]") || args.contains(&"json"), "{said:#?}");
        std::fs::remove_file(desk.home("asked")).is_ok()
    };
    let plain = "ping:";
    assert!(!has_gathered(plain, &[]));
    assert!(has_gathered("debug: {msg: '{{ ansible_hostname }}'}", &[]));
    assert!(has_gathered("template: {src: name.j2, dest: '{{ playbook_dir }}/name'}", &[]));
    assert!(has_gathered("debug: {msg: '{{ x }}'}", &["-e", "x='{{ ansible_hostname }}'"]));
    assert!(has_gathered(plain, &["-o", "json"]));
    assert!(has_gathered(plain, &["--log-folder", "logs"]));
    desk.write("group_vars/all.yaml", "x: '{{ ansible_hostname }}'\n");
    assert!(has_gathered("debug: {var: x}", &[]));
}
