//! Tasks that run on the cluster.

use super::Stage;
use super::ends;
use super::without_details;

#[tokio::test]
async fn the_cluster_gets_one_request_for_all_hosts() {
    let stage = Stage::new();
    stage.write("web.service", "[Service]\nExecStart=/bin/true\n");
    stage.write("web@.service.j2", "[Service]\nExecStart=/bin/echo {{ inventory_hostname }}\n");
    let book = "
- hosts: web
  tasks:
    - join:
    - unit: {name: web, src: web.service}
    - unit: {name: 'web@{{ inventory_hostname }}', template: web@.service.j2, state: loaded}
    - unit: {name: '{{ item }}', state: stopped}
      loop: [a, bad]
      when: inventory_hostname == 'h1'
";
    let (printed, code) = stage.play(book).await;
    assert_eq!(
        *stage.cluster.requested.lock().unwrap(),
        [
            r#"join ssh://h1{"disk": "ssd"}, ssh://h2{}, ssh://h3{}"#,
            r#"units web.service Started "[Service]\nExecStart=/bin/true\n""#,
            r#"units web@h1.service Loaded "[Service]\nExecStart=/bin/echo h1\n", web@h2.service Loaded "[Service]\nExecStart=/bin/echo h2\n""#,
            "units a.service Stopped, bad.service Stopped",
        ]
    );
    let lines = ends(&without_details(&printed));
    assert_eq!(
        lines,
        [
            "changed: [h1]",
            "changed: [h2]",
            "fatal: [h3]: UNREACHABLE! => {…}",
            "changed: [h1]",
            "changed: [h2]",
            "changed: [h1]",
            "changed: [h2]",
            "changed: [h1] => (item=a)",
            "failed: [h1] (item=bad) => {…}",
            "skipping: [h2] => (item=a) ",
            "skipping: [h2] => (item=bad) ",
            "skipping: [h2]",
        ]
    );
    assert_eq!(code, 4);
}

#[tokio::test]
async fn two_texts_or_states_for_one_unit_name_fail_and_name_both_hosts() {
    let stage = Stage::new();
    stage.write("web.service.j2", "[Service]\nExecStart=/bin/echo {{ inventory_hostname }}\n");
    stage.write("same.service.j2", "[Service]\nExecStart=/bin/echo {{ groups.web | length }}\n");
    let book = "
- hosts: web
  SERIAL
  tasks:
    - unit: {name: same, template: same.service.j2}
    - unit: {name: web, template: web.service.j2}
      ignore_errors: true
    - unit: {name: same, state: \"{{ 'stopped' if inventory_hostname == 'h3' else 'started' }}\"}
      ignore_errors: true
";
    let (printed, code) = stage.play(&book.replace("SERIAL", "")).await;
    assert_eq!(code, 0);
    let same = r#"units same.service Started "[Service]\nExecStart=/bin/echo 3\n""#;
    assert_eq!(*stage.cluster.requested.lock().unwrap(), [same]);
    let reports = |unit: &str, what: &str, first: &str, other: &str| {
        printed.contains(&format!(
            "unit {unit}.service {what}, one for {first} and another for {other}, and a cluster has one"
        ))
    };
    assert!(reports("web", "has two different texts", "h1", "h2"), "{printed}");
    assert!(reports("same", "has two desired states", "h1", "h3"), "{printed}");
    assert_eq!(printed.matches("FAILED!").count(), 6, "{printed}");

    // The same holds across batches, but the first request has been applied by then.
    stage.cluster.requested.lock().unwrap().clear();
    let (printed, _) = stage.play(&book.replace("SERIAL", "serial: 1")).await;
    let requested = stage.cluster.requested.lock().unwrap().clone();
    let web = r#"units web.service Started "[Service]\nExecStart=/bin/echo h1\n""#;
    assert_eq!(requested, [same, web, "units same.service Started", same, "units same.service Started", same]);
    assert!(printed.contains("one for h1 and another for h3"), "{printed}");

    // Two items of a loop conflict as well.
    let (printed, _) = stage
        .play("- hosts: h1\n  tasks:\n    - unit: {name: a, state: '{{ item }}'}\n      loop: [stopped, started]\n")
        .await;
    assert!(printed.contains("unit a.service has two desired states, both on h1"), "{printed}");
}

#[tokio::test]
async fn machines_are_cordoned_drained_and_uncordoned_by_the_names_of_their_hosts() {
    let stage = Stage::new();
    let book = "
- hosts: web
  tasks:
    - cordon:
    - drain: {deadline: 90}
    - uncordon:
";
    let (printed, code) = stage.play(book).await;
    let cordoned = "machines h1 Cordoned, h2 Cordoned, h3 Cordoned";
    let drained = "machines h1 Drained(Some(90s)), h2 Drained(Some(90s)), h3 Drained(Some(90s))";
    let requested = stage.cluster.requested.lock().unwrap().clone();
    assert_eq!(requested, [cordoned, drained, "machines h1 Open, h2 Open"]);
    assert!(printed.contains("h3 still has units"), "{printed}");
    assert_eq!(code, 2);
}

#[tokio::test]
async fn a_sweep_is_made_once_for_all_hosts_and_fails_if_a_problem_remains() {
    let book = "
- hosts: web
  tasks:
    - sweep:
      register: swept
      ignore_errors: true
    - debug: {msg: \"{{ inventory_hostname }} {{ swept.problems }}\"}
";
    let stage = Stage::new();
    let (printed, code) = stage.play(book).await;
    assert_eq!((code, printed.matches("changed: [h1]").count()), (0, 1), "{printed}");
    assert!(printed.contains("\"msg\": \"h3 []\""), "{printed}");
    let stage = Stage { check: true, ..Stage::new() };
    let (printed, _) = stage.play(book).await;
    assert!(printed.contains("fatal: [h1]: FAILED! => {") && printed.contains("h2 ['web2 is down']"), "{printed}");
    assert_eq!(*stage.cluster.requested.lock().unwrap(), ["sweep?"]);
}

#[tokio::test]
async fn applications_are_requested_once_for_all_hosts_and_one_host_shows_the_difference() {
    let mut stage = Stage { diff: true, ..Stage::new() };
    for folder in ["shop", "files/blog", "bad"] {
        std::fs::create_dir_all(stage.path(folder)).unwrap();
    }
    let book = "
- hosts: web
  tasks:
    - application: {path: [shop, blog], prune: true}
      register: applied
    - debug: {msg: \"{{ inventory_hostname }} {{ applied.units.new | join }} {{ applied.units.unchanged | length }}\"}
    - application: {name: 'shop,blog', state: absent}
      diff: false
    - application: {path: bad}
      when: inventory_hostname == 'h1'
";
    let (printed, code) = stage.play(book).await;
    let expected = ["applications shop, blog and prune", "applications shop, blog absent", "applications bad"];
    assert_eq!((stage.cluster.requested.lock().unwrap().as_slice(), code), (expected.map(str::to_owned).as_slice(), 2));
    assert_eq!(printed.matches("--- /dev/null\n+++ shop, blog\n").count(), 1, "{printed}");
    assert!(printed.contains("\"msg\": \"h3 web.service 0\""), "{printed}");
    assert_eq!(
        printed.matches("fatal: [h1]: FAILED! => {\"changed\": false, \"msg\": \"web.service has failed\"}").count(),
        1
    );

    stage.check = true;
    stage.play("- hosts: web\n  tasks:\n    - application: path=shop\n").await;
    assert_eq!(stage.cluster.requested.lock().unwrap().last().unwrap(), "applications? shop");
}

#[tokio::test]
async fn two_requests_for_one_application_and_wrong_arguments_fail() {
    let stage = Stage::new();
    for folder in ["h1/shop", "h2/shop", "h3/shop"] {
        std::fs::create_dir_all(stage.path(folder)).unwrap();
    }
    for (task, expected) in [
        (
            "{path: '{{ inventory_hostname }}/shop'}",
            "there are two different requests for the application shop, one for h1 and another for h2",
        ),
        ("{path: nowhere}", "`path`: there is no folder nowhere in "),
        ("{path: '{{ [] }}'}", "`state: present` needs `path`"),
        ("{name: shop}", "`state: present` needs `path`"),
        ("{name: a/b, state: absent}", "invalid name of an application `a/b`"),
    ] {
        let (printed, code) = stage.play(&format!("- hosts: web\n  tasks:\n    - application: {task}\n")).await;
        assert!(printed.contains(expected) && code == 2, "{task}: {printed}");
    }
    assert_eq!(stage.cluster.requested.lock().unwrap().as_slice(), ["applications shop"]);
}
