//! Where and as which user a task runs.

use serde_json::json;

use super::Stage;

#[tokio::test]
async fn only_tasks_with_become_run_as_root() {
    let stage = Stage::new();
    stage.play("- hosts: h1\n  become: true\n  tasks:\n    - command: 'true'\n    - command: 'true'\n      become: false\n- hosts: h2\n  tasks:\n    - command: 'true'\n").await;
    let root = Some("root".to_owned());
    let ran = [("h1".to_owned(), root), ("h1".to_owned(), None), ("h2".to_owned(), None)];
    assert_eq!(*stage.shells.ran.lock().unwrap(), ran);
}

#[tokio::test]
async fn a_variable_of_the_host_overrides_play_and_task() {
    let mut stage = Stage::new();
    let book = "
- hosts: h1
  vars: {ansible_become: 'yes'}
  become: false
  tasks:
    - command: 'true'
    - command: 'true'
      become: false
    - command: 'true'
      vars: {ansible_become: false}
";
    stage.play(book).await;
    let ran =
        |stage: &Stage| stage.shells.ran.lock().unwrap().drain(..).map(|(_, user)| user.is_some()).collect::<Vec<_>>();
    assert_eq!(ran(&stage), [true, true, false]);
    stage.extra.insert("ansible_become".to_owned(), json!("no"));
    stage.play(book).await;
    assert_eq!(ran(&stage), [false, false, false]);
}

#[tokio::test]
async fn the_user_may_be_a_template_and_an_item() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  become: '{{ 1 == 1 }}'
  tasks:
    - command: 'true'
      become_user: '{{ item }}'
      loop: [web, db]
    - command: 'true'
      vars: {ansible_become_user: postgres}
    - command: 'true'
      become_user: 'a b'
";
    let (printed, code) = stage.play(book).await;
    assert!(printed.contains("`a b` cannot be the name of a user") && code == 2, "{printed}");
    let users: Vec<_> = stage.shells.ran.lock().unwrap().drain(..).filter_map(|(_, user)| user).collect();
    assert_eq!(users, ["web", "db", "postgres"]);
}

#[tokio::test]
async fn a_task_may_run_on_another_host_and_in_an_environment() {
    let stage = Stage::new();
    let book = "
- hosts: h1
  environment: {A: play, B: '{{ 1 + 1 }}'}
  tasks:
    - shell: echo \"$HOST $A $B\"
      delegate_to: '{{ item }}'
      environment: {A: it is 'quoted'}
      loop: [h2, h1]
      register: r
    - debug: msg=\"{{ r.results | map(attribute='stdout') | join(', ') }}\"
";
    let (printed, _) = stage.play(book).await;
    assert!(printed.contains("changed: [h1 -> h2] => (item=h2)\nchanged: [h1] => (item=h1)\n"), "{printed}");
    assert!(printed.contains("h2 it is 'quoted' 2, h1 it is 'quoted' 2"), "{printed}");
}

#[tokio::test]
async fn variables_of_the_play_the_task_and_the_command_line_also_reach_the_host_of_a_delegated_task() {
    let mut stage = Stage::new();
    let book = "
- hosts: h1
  vars: {ansible_become: 'yes', ansible_become_user: web}
  tasks:
    - set_fact: {ansible_become_user: own}
    - command: 'true'
      delegate_to: h2
    - command: 'true'
      delegate_to: h2
      vars: {ansible_become_user: db}
";
    let users = |stage: &Stage| stage.shells.ran.lock().unwrap().drain(..).collect::<Vec<_>>();
    stage.play(book).await;
    let on_h2 = |user: &str| ("h2".to_owned(), Some(user.to_owned()));
    assert_eq!(users(&stage), [on_h2("web"), on_h2("db")]);
    stage.extra.insert("ansible_become_user".to_owned(), json!("root"));
    stage.play(book).await;
    assert_eq!(users(&stage), [on_h2("root"), on_h2("root")]);
}

#[tokio::test]
async fn a_playbook_that_is_edited_while_it_runs_goes_on_with_what_was_read_at_the_beginning() {
    let stage = Stage::new();
    std::fs::create_dir_all(stage.path("roles/r/tasks")).unwrap();
    let folder = stage.path("");
    let folder = folder.display();
    let play = format!(
        "- hosts: h1
  tasks:
    - shell: sed -i s/before/after/ {folder}*.yml {folder}roles/r/tasks/main.yml
    - debug: {{msg: play before}}
    - import_tasks: part.yml
    - import_role: {{name: r}}
    - include_tasks: later.yml
    - include_vars: vars.yml
    - debug: {{msg: 'vars {{{{ v }}}}'}}
- hosts: h1
  vars_files: vars.yml
  tasks:
    - debug: {{msg: 'second play before, vars {{{{ v }}}}'}}
"
    );
    for (file, text) in [
        ("play.yml", play.as_str()),
        ("part.yml", "- debug: {msg: part before}\n"),
        ("later.yml", "- debug: {msg: include before}\n"),
        ("roles/r/tasks/main.yml", "- debug: {msg: role before}\n"),
        ("vars.yml", "v: before\n"),
    ] {
        stage.write(file, text);
    }
    let (printed, code) = stage.play_file(&stage.path("play.yml")).await;
    let said: Vec<&str> = printed.lines().filter_map(|line| line.trim().strip_prefix("\"msg\": ")).collect();
    // As in Ansible, what tasks include is read when they include it.
    let expected = [
        "\"play before\"",
        "\"part before\"",
        "\"role before\"",
        "\"include after\"",
        "\"vars after\"",
        "\"second play before, vars after\"",
    ];
    assert_eq!((said, code), (expected.to_vec(), 0), "{printed}");
}
