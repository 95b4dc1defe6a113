//! `exec`: what it is told on the command line, and how it ends.

use serde_json::Value;

use super::Desk;

#[test]
fn its_document_says_of_every_host_what_came_of_it() {
    let desk = Desk::new();
    desk.write("hosts", "h2 ansible_host=127.0.0.1 ansible_port=1\nh1 ansible_host=127.0.0.1 ansible_port=1\n");
    let said = desk.muster(&["-i", "hosts", "exec", "all", "-o", "json", "--", "true"]);
    assert_eq!((said.code, said.err.as_str()), (Some(4), ""), "{said:#?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let hosts = document["hosts"].as_object().unwrap();
    assert_eq!(hosts.keys().collect::<Vec<_>>(), ["h2", "h1"]);
    for (host, result) in hosts {
        assert_eq!(result["unreachable"], true, "{document:#}");
        assert!(result["msg"].as_str().unwrap().starts_with(&format!("{host}: connect: ")), "{document:#}");
    }
    desk.fails(&["-i", "hosts", "exec", "all", "-o", "json", "--fold", "--", "true"], 2, &["--fold"]);
}

#[test]
fn it_becomes_root_and_nobody_else_and_says_what_it_ignores() {
    let desk = Desk::new();
    let hosts = |vars: &str| desk.write("hosts", format!("h1 ansible_host=127.0.0.1 ansible_port=1 {vars}\n"));
    let somebody = "host h1: `ansible_become_user` is postgres, but muster can become only root";
    let exec = ["-i", "hosts", "exec", "h1", "--", "true"];
    hosts("ansible_become=true ansible_become_user=postgres");
    desk.fails(&exec, 2, &[somebody]);
    hosts("ansible_become_user=postgres");
    desk.fails(&["-i", "hosts", "exec", "h1", "-b", "--", "true"], 2, &[somebody]);
    desk.fails(&exec, 4, &["Note: h1: `ansible_become_user` is ignored", "h1: connect: "]);
    hosts("ansible_become='{{ inventory_hostname in groups.all }}' ansible_become_user=postgres");
    desk.fails(&exec, 2, &[somebody]);
    hosts("ansible_become=perhaps");
    desk.fails(&exec, 2, &["host h1: `ansible_become` must be true or false, not `perhaps`"]);
}
