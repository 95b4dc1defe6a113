//! `vault`, and vaults in the inventory: options, files and exit codes.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

use super::Desk;
use crate::hosts::Said;
use crate::hosts::run;

/// Sits down at a desk with the recorded vaults and passwords.
fn desk() -> Desk {
    let desk = Desk::empty();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vault");
    for entry in fs::read_dir(data).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), desk.path(entry.file_name().to_str().unwrap())).unwrap();
    }
    desk
}

const PLAIN: &str = "port: 5432\npassword: swordfish\n";
const PASSWORD: [&str; 2] = ["--vault-password-file", "password"];
const PROD: [&str; 2] = ["--vault-id", "prod@other-password"];

fn vault(desk: &Desk, args: &[&str], passwords: &[&str]) -> Said {
    desk.muster(&[&["vault"], args, passwords].concat())
}

fn read(desk: &Desk, name: &str) -> String {
    fs::read_to_string(desk.path(name)).unwrap()
}

fn mode(desk: &Desk, name: &str) -> u32 {
    fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o7777
}

fn with_stdin(desk: &Desk, args: &[&str], stdin: &str) -> String {
    let mut command = desk.command(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn files_are_shown_decrypted_encrypted_and_get_another_password() {
    let desk = desk();
    let both = [PASSWORD, PROD].concat();
    assert_eq!(vault(&desk, &["view", "file-1.1.vault", "file-1.2.vault"], &both).ok(), PLAIN.repeat(2));
    desk.fails(
        &[&["vault", "view", "file-1.2.vault"][..], &PASSWORD].concat(),
        1,
        &["file-1.2.vault:1:1: the file is encrypted with Ansible Vault (label prod), and none of the given passwords"],
    );

    let said = vault(&desk, &["decrypt", "file-1.1.vault", "file-1.2.vault"], &both);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "", "Decryption successful\n"));
    assert_eq!((read(&desk, "file-1.1.vault"), mode(&desk, "file-1.2.vault")), (PLAIN.to_owned(), 0o600));
    desk.fails(&["vault", "decrypt", "plain.yml", PASSWORD[0], PASSWORD[1]], 2, &["plain.yml is not encrypted with"]);

    vault(&desk, &["encrypt", "plain.yml"], &PASSWORD).ok();
    assert!(read(&desk, "plain.yml").starts_with("$ANSIBLE_VAULT;1.1;AES256\n") && mode(&desk, "plain.yml") == 0o600);
    desk.fails(
        &["vault", "encrypt", "plain.yml", PASSWORD[0], PASSWORD[1]],
        2,
        &["is encrypted", "Nothing was changed"],
    );
    desk.fails(
        &[&["vault", "encrypt", "file-1.1.vault"][..], &both].concat(),
        2,
        &["different labels: prod, default", "--encrypt-vault-id LABEL"],
    );
    assert_eq!(read(&desk, "file-1.1.vault"), PLAIN);
    vault(&desk, &["encrypt", "file-1.1.vault", "--encrypt-vault-id", "prod", "--output", "new"], &both).ok();
    assert_eq!((read(&desk, "file-1.1.vault").as_str(), mode(&desk, "new")), (PLAIN, 0o600));
    assert!(read(&desk, "new").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));

    vault(&desk, &["rekey", "plain.yml", "--new-vault-id", "prod@other-password"], &PASSWORD).ok();
    assert!(read(&desk, "plain.yml").starts_with("$ANSIBLE_VAULT;1.2;AES256;prod\n"));
    assert_eq!(vault(&desk, &["view", "plain.yml"], &PROD).ok(), PLAIN);
    let names: Vec<_> = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_str().unwrap().starts_with('.')), "drafts are removed: {names:?}");
}

#[test]
fn texts_go_through_stdin_and_stdout() {
    let desk = desk();
    let sealed = with_stdin(&desk, &[&["vault", "encrypt"][..], &PASSWORD].concat(), "x\0y");
    assert!(sealed.starts_with("$ANSIBLE_VAULT;1.1;AES256\n"), "{sealed}");
    let args = [&["vault", "decrypt", "-", "--output", "-"][..], &PASSWORD].concat();
    assert_eq!(with_stdin(&desk, &args, &sealed), "x\0y");

    let args = ["encrypt-string", "one", "two", "-n", "a", "--name", "b"];
    let printed = vault(&desk, &args, &PROD).ok();
    let line = |name: &str| format!("{name}: !vault |\n          $ANSIBLE_VAULT;1.2;AES256;prod\n          ");
    assert!(printed.starts_with(&line("a")) && printed.contains(&format!("\n{}", line("b"))), "{printed}");
    assert!(printed.lines().all(|line| line.len() <= 90 && !line.ends_with(' ')), "{printed}");
    let args = [&["vault", "encrypt_string", "--stdin-name", "c"][..], &PROD].concat();
    let more = with_stdin(&desk, &args, "three {{ x }}");
    desk.write("hosts.yml", format!("all:\n  hosts: h\n  vars:\n{}", indented(&format!("{printed}{more}"))));
    desk.write("play.yml", "- hosts: localhost\n  tasks:\n    - debug: {msg: \"{{ a }} {{ b }} {{ c }}\"}\n");
    let said = desk.muster(&[&["-i", "hosts.yml", "play", "play.yml"][..], &PROD].concat());
    assert!(!said.out.contains("three"), "localhost is not in the inventory: {said:#?}");
    desk.write(
        "play.yml",
        "- hosts: h\n  connection: local\n  tasks:\n    - debug: {msg: \"{{ a }} {{ b }} {{ c }}\"}\n",
    );
    let said = desk.muster(&[&["-i", "hosts.yml", "play", "play.yml"][..], &PROD].concat());
    assert!(said.code == Some(0) && said.out.contains("\"msg\": \"one two three {{ x }}\""), "{said:#?}");
    desk.fails(
        &["vault", "encrypt-string", "x", "-n", "a", "-n", "b", PROD[0], PROD[1]],
        2,
        &["more names than texts"],
    );
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn an_editor_changes_a_file_and_leaves_no_trace() {
    let desk = desk();
    fs::create_dir(desk.path("tmp")).unwrap();
    let edit = |args: &[&str], editor: &str| {
        let mut command = desk.command(&[&["vault"][..], args, &PASSWORD].concat());
        let said = run(command.env("EDITOR", editor).env("TMPDIR", desk.path("tmp")));
        assert_eq!(fs::read_dir(desk.path("tmp")).unwrap().count(), 0, "{editor}: {said:#?}");
        said
    };
    let before = read(&desk, "file-1.1.vault");
    let said = edit(&["edit", "file-1.1.vault"], "true");
    assert_eq!((said.code, said.err.as_str()), (Some(0), "file-1.1.vault is unchanged\n"));
    let said = edit(&["edit", "file-1.1.vault"], "false");
    assert!(said.code == Some(1) && said.err.contains("the editor `false` ended with"), "{said:#?}");
    assert!(edit(&["edit", "file-1.1.vault"], "/nowhere/editor").err.contains("cannot run the editor"));
    assert_eq!(read(&desk, "file-1.1.vault"), before);

    desk.write("editor", "#!/bin/sh\nset -e\nstat -c %a \"$2\" \"${2%/*}\" >> modes\necho \"more: $1\" >> \"$2\"\n");
    fs::set_permissions(desk.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    edit(&["edit", "file-1.1.vault"], "./editor 'a b'").ok();
    assert_eq!(vault(&desk, &["view", "file-1.1.vault"], &PASSWORD).ok(), format!("{PLAIN}more: a b\n"));
    edit(&["create", "fresh"], "./editor x").ok();
    assert_eq!((vault(&desk, &["view", "fresh"], &PASSWORD).ok().as_str(), mode(&desk, "fresh")), ("more: x\n", 0o600));
    assert_eq!(read(&desk, "modes"), "600\n700\n".repeat(2));
    let said = edit(&["create", "fresh"], "./editor x");
    assert!(said.code == Some(2) && said.err.contains("fresh exists"), "{said:#?}");
}

#[test]
fn passwords_come_from_files_programs_and_variables() {
    let desk = desk();
    let script = |name: &str, text: &str| {
        desk.write(name, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(desk.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("get", "[ $# = 0 ] && echo test-password");
    script("get-client", "[ \"$1 $2\" = '--vault-id prod' ] && echo other-test-password");
    script("fail", "exit 3");
    desk.write("none", "\n");
    for passwords in [["--vault-password-file", "get"], ["--vault-pass-file", "./get"], ["--vault-id", "x@get"]] {
        assert_eq!(vault(&desk, &["view", "file-1.1.vault"], &passwords).ok(), PLAIN);
    }
    assert_eq!(vault(&desk, &["view", "file-1.2.vault"], &["--vault-id", "prod@get-client"]).ok(), PLAIN);
    for (file, text) in [
        ("fail", "the vault password program fail failed: exit status: 3"),
        ("none", "the vault password file none has no password"),
        ("nowhere", "cannot read the vault password file nowhere"),
    ] {
        desk.fails(&["vault", "view", "file-1.1.vault", "--vault-password-file", file], 2, &[text]);
    }
    let view = |name: &str, value: &str, file: &str| run(desk.command(&["vault", "view", file]).env(name, value)).ok();
    assert_eq!(view("ANSIBLE_VAULT_PASSWORD_FILE", "password", "file-1.1.vault"), PLAIN);
    assert_eq!(view("ANSIBLE_VAULT_IDENTITY_LIST", "dev@password, prod@other-password", "file-1.2.vault"), PLAIN);
    desk.write(
        "ansible.cfg",
        "[defaults]\nvault_password_file = password\nvault_identity_list = prod@other-password\n",
    );
    assert_eq!(vault(&desk, &["view", "file-1.1.vault", "file-1.2.vault"], &[]).ok(), PLAIN.repeat(2));
    fs::remove_file(desk.path("ansible.cfg")).unwrap();
    assert_eq!(view("MUSTER_VAULT_PASSWORD_FILE", "password", "file-1.1.vault"), PLAIN);
    desk.write("muster.toml", "vault-id = \"prod@other-password\"\n");
    assert_eq!(vault(&desk, &["view", "file-1.2.vault"], &[]).ok(), PLAIN);
}

#[test]
fn an_inventory_with_vaults_is_listed_closed_and_reaches_hosts_that_need_no_secret() {
    let desk = desk();
    let values = read(&desk, "values.yml");
    desk.write("hosts", "h1 ansible_connection=local\nh2 ansible_connection=local ansible_user=x\n");
    desk.write("group_vars/all/values.yml", &values);
    desk.write("host_vars/h2.yml", values.replacen("token:", "ansible_host:", 1));
    let vaulted = read(&desk, "file-1.1.vault");
    desk.write("group_vars/all/vault.yml", &vaulted);
    let list = |passwords: &[&str]| {
        let said = desk.muster(&[&["-i", "hosts", "inventory", "list", "-o", "json"][..], passwords].concat());
        let listing: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:#?}"));
        (listing["_meta"]["hostvars"]["h1"].clone(), said.err)
    };
    let (closed, warning) = list(&[]);
    assert!(
        closed["token"]["__ansible_vault"].as_str().unwrap().starts_with("$ANSIBLE_VAULT;1.1;AES256\n"),
        "{closed}"
    );
    assert_eq!(closed["token"].as_object().unwrap().len(), 1);
    let left_out = "Warning: ./group_vars/all/vault.yml is encrypted with Ansible Vault: give --vault-password-file";
    assert!(closed.get("port").is_none() && warning.starts_with(left_out), "{closed} {warning}");
    let (open, warning) = list(&PASSWORD);
    assert_eq!((&open["port"], &open["token"], warning.as_str()), (&json!(5432), &closed["token"], ""));

    for args in [["host", "h1"], ["vars", "h1"], ["graph", "--vars"]] {
        let shown = desk.muster(&[&["-i", "hosts", "inventory"][..], &args, &PASSWORD, &PROD].concat()).ok();
        let is_closed = shown.contains("__ansible_vault") && shown.contains("5432");
        assert!(is_closed && !shown.contains("prod-key") && !shown.contains("__muster_place"), "{args:?}: {shown}");
    }

    let exec = |host: &str, passwords: &[&str]| {
        desk.muster(&[&["-i", "hosts", "exec"][..], passwords, &[host, "--", "echo", "done"]].concat())
    };
    assert_eq!(exec("h1", &[]).ok(), "h1: done\n");
    let said = exec("h2", &[]);
    let why = "Error: host h2: variable `ansible_host`: a value in ./host_vars/h2.yml:1:15 is encrypted with Ansible \
               Vault: give --vault-password-file";
    assert!(said.code == Some(2) && said.err.contains(why), "{said:#?}");
    assert!(exec("h2", &PROD).err.contains("none of the given passwords opens it (labels: prod)"));
}

#[test]
fn a_question_that_no_terminal_can_answer_names_the_option_to_use() {
    let desk = desk();
    let asks = desk.command(&["vault", "encrypt-string", "text", "--ask-vault-pass"]);
    let mut apart = Command::new("setsid");
    apart.arg("--wait").arg(asks.get_program()).args(asks.get_args()).current_dir(desk.path(""));
    apart.env_clear().envs(asks.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let said = run(&mut apart);
    let hint = "Hint: Without a terminal, name a file or a program with `--vault-password-file`.";
    assert!(said.code == Some(2) && said.err.contains(hint), "{said:#?}");
}
