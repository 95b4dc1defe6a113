//! `play`: what it is told on the command line, and how it ends.

use serde_json::Value;
use serde_json::json;

use super::Desk;

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
fn its_document_is_all_that_it_prints_and_its_exit_codes_are_ansibles() {
    let desk = desk();
    desk.write("reach.yaml", "- name: reach\n  hosts: web\n  tasks:\n    - command: 'true'\n    - command: 'true'\n");
    let reach = document(&desk, &["reach.yaml"], 4);
    let tasks = reach["plays"][0]["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), 1, "nobody is left for the second task: {reach:#}");
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
