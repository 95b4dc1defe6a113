//! `doc`: the descriptions of modules.

use serde_json::Value;

use super::Desk;

#[test]
fn it_prints_what_a_module_takes() {
    let desk = Desk::empty();
    let list = desk.muster(&["doc", "-l"]).ok();
    assert!(list.lines().any(|line| line.starts_with("apt\t")), "{list}");
    assert_eq!(
        desk.muster(&["doc", "ansible.builtin.ping"]).ok(),
        "> ping\n\n  Reports whether the host can be reached and runs commands.\n\n  \
         Other names: ansible.builtin.ping, ansible.legacy.ping\n\n- data (any value)\n    The answer (default: pong).\n"
    );
    let said = desk.muster(&["doc", "include_vars"]).ok();
    assert!(
        said.contains("\n  On one line: the value of `file`, then NAME=VALUE\n  Needs one of: file, dir\n"),
        "{said}"
    );
    let document: Value = serde_json::from_str(&desk.muster(&["doc", "-o", "json", "meta", "hostname"]).ok()).unwrap();
    assert_eq!(document["hostname"]["parameters"]["name"]["type"], "text", "{document:#}");
    let said = desk.muster(&["doc", "pong"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("muster has no module `pong`") && said.err.contains("Did you mean `ping`"), "{said:#?}");
}
