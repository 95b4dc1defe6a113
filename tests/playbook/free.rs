//! The strategy `free`.

use super::local::Stage;

fn free() -> Stage {
    Stage { forks: 3, ..Stage::new() }
}

#[tokio::test]
async fn a_host_does_not_wait_for_a_slow_one() {
    let stage = free();
    let (printed, code) = stage
        .play(
            "
- hosts: web
  strategy: free
  tasks:
    - name: slow on h1
      shell: for i in $(seq 600); do test -e DIR/go && exit 0; sleep 0.1; done; exit 1
      when: inventory_hostname == 'h1'
    - name: last
      file: {path: DIR/go, state: touch}
      when: inventory_hostname == 'h3'
      notify: after
  handlers:
    - name: after
      file: {path: DIR/handled, state: touch}
",
        )
        .await;
    assert_eq!(code, 0, "{printed}");
    let at = |text: &str| printed.find(text).unwrap_or_else(|| panic!("no {text}: {printed}"));
    assert!(at("RUNNING HANDLER [after]") > at("TASK [last]") && at("changed: [h1]") > at("TASK [last]"), "{printed}");
    assert_eq!(printed.matches("TASK [slow on h1]").count(), 2, "a heading is printed again: {printed}");
    assert!(stage.path("handled").exists());
}

#[tokio::test]
async fn a_fatal_failure_takes_the_others_to_their_always_sections_once() {
    let stage = free();
    let (printed, code) = stage
        .play(
            "
- hosts: web
  strategy: free
  any_errors_fatal: true
  tasks:
    - block:
        - name: fails on h1
          command: 'false'
          when: inventory_hostname == 'h1'
        - name: slow
          shell: for i in $(seq 600); do test -e DIR/always && exit 0; sleep 0.1; done; exit 1
        - name: never
          debug: msg=never
      always:
        - name: always
          file: {path: DIR/always, state: touch}
",
        )
        .await;
    assert_eq!(code, 2, "{printed}");
    assert!(!printed.contains("TASK [never]"), "{printed}");
    let changed = |host: &str| printed.matches(&format!("changed: [{host}]")).count();
    assert_eq!(["h1", "h2", "h3"].map(changed), [1, 2, 2], "{printed}");
}

#[tokio::test]
async fn throttle_and_tasks_of_the_cluster_work_as_with_the_linear_strategy() {
    let stage = free();
    let (printed, code) = stage
        .play(
            "
- hosts: web
  strategy: free
  tasks:
    - name: alone
      shell: mkdir DIR/alone && rmdir DIR/alone
      throttle: 1
    - unit: {name: 'web@{{ inventory_hostname }}.service', state: started}
    - meta: flush_handlers
    - name: end
      debug: msg=end
",
        )
        .await;
    assert_eq!((code, printed.matches("changed: [h").count()), (0, 6), "{printed}");
    assert_eq!(printed.matches("\"msg\": \"end\"").count(), 3, "{printed}");
    assert_eq!(stage.cluster.requested.lock().unwrap().len(), 3);
}
