//! Which user a task runs as.

use serde_json::json;

use super::Stage;

#[tokio::test]
async fn only_tasks_with_become_run_as_root() {
    let stage = Stage::new();
    stage.play("- hosts: h1\n  become: true\n  tasks:\n    - command: 'true'\n    - command: 'true'\n      become: false\n- hosts: h2\n  tasks:\n    - command: 'true'\n").await;
    let ran = [("h1".to_owned(), true), ("h1".to_owned(), false), ("h2".to_owned(), false)];
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
    let ran = |stage: &Stage| stage.shells.ran.lock().unwrap().drain(..).map(|(_, root)| root).collect::<Vec<_>>();
    assert_eq!(ran(&stage), [true, true, false]);
    stage.extra.insert("ansible_become".to_owned(), json!("no"));
    stage.play(book).await;
    assert_eq!(ran(&stage), [false, false, false]);
}

#[tokio::test]
async fn root_is_the_only_user_that_is_become() {
    let stage = Stage::new();
    let book = "
- hosts: web
  vars: {ansible_become_user: postgres}
  tasks:
    - command: 'true'
    - unit: {name: web}
      become: true
    - command: 'true'
      become: true
      when: inventory_hostname != 'h1'
";
    let (printed, code) = stage.play(book).await;
    assert_eq!((printed.matches("`ansible_become_user` is postgres").count(), code), (2, 2), "{printed}");
    assert!(stage.shells.ran.lock().unwrap().iter().all(|(_, root)| !root));
}
