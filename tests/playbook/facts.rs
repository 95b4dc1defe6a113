//! Facts about this machine, gathered by the scripts that run on hosts.

use serde_json::Value;
use serde_json::json;

use super::local::Stage;

#[tokio::test]
async fn facts_are_gathered_filtered_and_kept_for_later_tasks() {
    let stage = Stage::new();
    let facts = stage.folder.path().join("facts.d");
    std::fs::create_dir(&facts).unwrap();
    stage.write("facts.d/own.fact", "[a]\nb = 1\n");
    let book = "
- hosts: h1
  tasks:
    - setup: {filter: [hostname, ansible_local], fact_path: DIR/facts.d}
    - setup: gather_subset=!all,!min,user filter=ansible_user_*
    - service_facts:
    - debug: {msg: '{{ ansible_hostname == ansible_facts.hostname }} {{ ansible_user_uid }} {{ ansible_local.own.a.b }}'}
    - debug: {msg: '{{ ansible_facts.services is mapping }} {{ services is mapping }} {{ ansible_kernel is defined }}'}
    - setup: {gather_subset: netwrk}
";
    let (document, code) = stage.document(book).await;
    let result = |task: usize| document["plays"][0]["tasks"][task]["hosts"]["h1"].clone();
    let names = |task: usize| -> Vec<String> {
        let facts: Option<Value> = result(task).get("ansible_facts").cloned();
        facts.unwrap().as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(0), ["ansible_hostname", "ansible_local"], "{document:#}");
    assert_eq!(names(1)[0], "ansible_user_id");
    assert_eq!(result(0)["ansible_facts"]["ansible_local"], json!({"own": {"a": {"b": "1"}}}));
    let uid = rustix::process::getuid().as_raw();
    assert_eq!([&result(3)["msg"], &result(4)["msg"]], [&json!(format!("True {uid} 1")), &json!("True True False")]);
    let why = result(5)["msg"].as_str().unwrap().to_owned();
    assert!(why.contains("`gather_subset`: unknown subset `netwrk`"), "{why}");
    assert_eq!(code, 2);
}
