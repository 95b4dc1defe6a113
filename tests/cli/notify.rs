//! The receivers of alerts: their settings, their test, and the alerts of sweeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::Desk;
use super::machine;

#[test]
fn settings_of_receivers_are_refused_with_their_line_and_without_their_secrets() {
    let desk = Desk::new();
    let cases = [
        ("name = \"a\"\ntype = \"pager\"", "line 4: unknown variant `pager`"),
        ("name = \"a b\"\ntype = \"command\"\ncommand = \"true\"", "line 2: notify \"a b\": invalid name"),
        ("name = \"a\"\ntype = \"command\"", "line 2: notify \"a\": `command` is missing"),
        ("name = \"a\"\ntype = \"mail\"", "`to` is missing"),
        ("name = \"a\"\ntype = \"mail\"\nto = [\"a b\"]", "invalid address \"a b\""),
        (
            "name = \"a\"\ntype = \"mail\"\nto = [\"a\"]\nurl = \"http://hunter2\"",
            "`url` has no meaning for a receiver over mail",
        ),
        ("name = \"a\"\ntype = \"slack\"", "expected either `url` or `url-file`"),
        ("name = \"a\"\ntype = \"slack\"\nurl = \"hooks.slack.com/hunter2\"", "the URL is invalid"),
        ("name = \"a\"\ntype = \"slack\"\nurl = \"https://hooks/hunter2", "line 5: "),
        ("name = \"a\"\ntype = \"slack\"\nurl = [\"https://hooks/hunter2\"]", "line 5: "),
        ("name = \"a\"\ntype = \"slack\"\nlink = \"https://hooks/hunter2\"", "line 5: unknown field `link`"),
        (
            "name = \"a\"\ntype = \"command\"\ncommand = \"true\"\nkinds = [\"machine donw\"]",
            "Did you mean `machine down`",
        ),
        (
            "name = \"a\"\ntype = \"command\"\ncommand = \"true\"\nremind = \"1s\"",
            "invalid `remind`: expected a duration from 1m",
        ),
        ("name = \"a\"\ntype = \"command\"\ncommand = \"true\"\nunits = [\"[\"]", "`units`: invalid pattern"),
        (
            "name = \"a\"\ntype = \"command\"\ncommand = \"true\"\n[[notify]]\nname = \"a\"\ntype = \"command\"\ncommand = \"x\"",
            "line 6: notify \"a\": another receiver has this name",
        ),
    ];
    for (text, expected) in cases {
        fs::write(desk.path("muster.toml"), format!("token = \"default\"\n[[notify]]\n{text}\n")).unwrap();
        let said = desk.muster(&["list-units"]);
        assert!(said.code == Some(2) && said.err.contains(expected), "{text}: {said:#?}");
        assert!(said.err.contains("muster.toml: ") && !said.err.contains("hunter2"), "{text}: {said:#?}");
    }
    let groups = "[[notify]]\nname = \"a\"\ntype = \"command\"\ncommand = \"true\"\ngroups = [\"db\"]\n";
    fs::write(desk.path("muster.toml"), groups).unwrap();
    desk.fails(&["notify", "test"], 2, &["line 1: notify \"a\": `groups` needs an inventory"]);
    desk.write("hosts.ini", "[web]\nweb1\n");
    desk.fails(&["-i", "hosts.ini", "notify", "test"], 2, &["the inventory has no group \"db\""]);
}

#[test]
fn a_test_is_sent_to_each_receiver_and_their_answers_are_printed() {
    let desk = Desk::new();
    desk.fails(&["notify", "test"], 2, &["no receiver of alerts is set"]);
    let text = "[[notify]]\nname = \"log\"\ntype = \"command\"\ncommand = \"cat > got.json\"\n\
                [[notify]]\nname = \"chat\"\ntype = \"slack\"\nurl = \"http://127.0.0.1:1/hunter2\"\n";
    fs::write(desk.path("muster.toml"), text).unwrap();
    fs::set_permissions(desk.path("muster.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = desk.muster(&["notify", "test"]);
    assert_eq!(said.code, Some(1), "{said:#?}");
    let expected = "chat: not sent: cannot connect: Connection refused (os error 111)\n\
                    log: sent: the command ended with exit code 0\n";
    assert_eq!(said.out, expected, "{said:#?}");
    assert!(said.err.contains("line 5: notify \"chat\": other users can read its secret in this file"), "{said:#?}");
    assert!(!said.err.contains("hunter2"), "{said:#?}");
    let got: serde_json::Value = serde_json::from_slice(&fs::read(desk.path("got.json")).unwrap()).unwrap();
    assert_eq!((&got["status"], &got["title"]), (&"test".into(), &"muster default: test".into()));
    fs::set_permissions(desk.path("muster.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let said = desk.muster(&["notify", "test", "log"]);
    assert!(said.code == Some(0) && said.err.is_empty(), "{said:#?}");
    desk.fails(&["notify", "test", "logs"], 2, &["there is no receiver \"logs\"", "Did you mean `log`?"]);
}

#[tokio::test]
async fn sweeps_tell_receivers_about_a_problem_once() {
    let desk = Desk::new();
    machine(&desk, 1).await;
    let text = "[[notify]]\nname = \"log\"\ntype = \"command\"\ncommand = \"cat >> got.jsonl\"\n\
                [[notify]]\nname = \"units\"\ntype = \"command\"\ncommand = \"cat >> got.units\"\nunits = [\"*\"]\n\
                [[notify]]\nname = \"broken\"\ntype = \"command\"\ncommand = \"echo no pager >&2; exit 1\"\n";
    fs::write(desk.path("muster.toml"), text).unwrap();
    for _ in 0..2 {
        let said = desk.muster(&["sweep"]);
        assert!(matches!(said.code, Some(1 | 3)), "{said:#?}");
    }
    let got = fs::read_to_string(desk.path("got.jsonl")).unwrap();
    let messages: Vec<serde_json::Value> = got.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(messages.len(), 1, "{got}");
    let incident = &messages[0]["incidents"][0];
    assert_eq!((&incident["kind"], &incident["machine"]), (&"machine sshd down".into(), &"core-01".into()));
    assert!(!desk.path("got.units").exists());
    let listed = desk.muster(&["notify", "list"]).ok();
    let (id, text) = (incident["id"].as_str().unwrap(), incident["text"].as_str().unwrap());
    let expected = format!(": {text} [{id}]\n");
    assert!(
        listed.starts_with("log: since ") && listed.ends_with(&expected) && listed.lines().count() == 1,
        "{listed}"
    );
}
