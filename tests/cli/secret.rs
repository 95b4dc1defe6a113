//! `secret`: where values come from, what is printed and stored, and which recipients are trusted.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use muster::core::model::Recipients;
use muster::store::Op;
use muster::store::layout;
use muster::store::layout::Key;
use serde_json::Value;

use super::Desk;
use crate::hosts::Said;
use crate::hosts::run;
use crate::store::skip;

const VALUE: &str = "swordfish-5e1f";

/// Sits down at a desk with an identity that is the first recipient, and returns its public key too.
fn desk() -> (Desk, String) {
    let desk = Desk::empty();
    let said = desk.muster(&["secret", "init", "--name", "alice"]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.err.contains("made the identity") && said.err.contains("alice is the first recipient"), "{said:#?}");
    (desk, said.out.trim_end().to_owned())
}

fn secret(desk: &Desk, args: &[&str]) -> Said {
    desk.muster(&[&["secret"], args].concat())
}

fn reveal(desk: &Desk, name: &str) -> String {
    secret(desk, &["show", name, "--reveal"]).ok()
}

fn set_from_stdin(desk: &Desk, args: &[&str], stdin: &[u8]) -> Said {
    let mut command = desk.command(&[&["secret", "set"], args].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that refuses the value before it reads closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Writes a program.
fn program(desk: &Desk, name: &str, text: &str) {
    desk.write(name, text);
    fs::set_permissions(desk.path(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn json(desk: &Desk, args: &[&str]) -> Value {
    serde_json::from_str(&secret(desk, &[args, &["-o", "json"]].concat()).ok()).unwrap()
}

/// Changes the recipients in the store as a process does that has no key.
fn change_recipients(desk: &Desk, change: impl FnOnce(&mut Recipients)) {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (store, keys) = desk.store().await;
        let key = keys.key(&Key::SecretRecipients);
        let mut recipients = layout::decode(&store.get(&key).await.unwrap().unwrap().value).unwrap();
        change(&mut recipients);
        store.commit(vec![], vec![keys.put(&Key::SecretRecipients, &recipients)]).await.unwrap().unwrap();
    });
}

#[test]
fn a_value_comes_from_a_file_from_stdin_or_from_a_command() {
    let (desk, _) = desk();
    desk.write("value", format!("{VALUE}\n"));
    let said = secret(&desk, &["set", "db", "--file", "value"]);
    assert!(said.out.starts_with("secret db set: version ") && said.out.ends_with(", 15 bytes\n"), "{said:#?}");
    assert_eq!(said.err, "Note: the value ends with a line break, which `--trim` removes\n");
    assert_eq!(reveal(&desk, "db"), format!("{VALUE}\n"));
    assert_eq!(secret(&desk, &["set", "db", "--file", "value", "--trim"]).err, "");
    assert_eq!(reveal(&desk, "db"), VALUE);
    for args in [["db", "-"].as_slice(), &["db", "-f", "-"]] {
        assert_eq!(set_from_stdin(&desk, args, b"a\0b\nc\n").code, Some(0));
        assert_eq!(reveal(&desk, "db"), "a\0b\nc\n");
    }
    let shown = json(&desk, &["set", "db", "--command", "printf %s marlin"]);
    assert_eq!((shown["secret"].as_str(), shown["size"].as_u64()), (Some("db"), Some(6)));
    assert_eq!(reveal(&desk, "db"), "marlin");
    desk.fails(&["secret", "set", "db", "--command", "exit 3"], 1, &["the command failed: exit status: 3", "Nothing"]);
    desk.fails(&["secret", "set", "db", "--command", "yes"], 1, &["the command printed more than 1000000 bytes"]);
    desk.fails(&["secret", "set", "db", "--command", ":"], 2, &["the value is empty", "--allow-empty"]);
    desk.fails(&["secret", "set", "db", "--file", "none"], 2, &["cannot read none"]);
    desk.fails(&["secret", "set", ".db", "--file", "value"], 2, &["invalid name of a secret \".db\""]);
    desk.fails(&["secret", "set", "db", "-", "--file", "value"], 2, &["cannot be used with"]);
    assert_eq!(reveal(&desk, "db"), "marlin", "nothing was changed");
    secret(&desk, &["set", "db", "--command", ":", "--allow-empty"]).ok();
    assert_eq!(reveal(&desk, "db"), "");
}

#[test]
fn a_value_has_at_most_a_million_bytes() {
    let (desk, _) = desk();
    let largest = "x".repeat(1_000_000);
    desk.write("value", &largest);
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    assert_eq!(reveal(&desk, "db"), largest);
    desk.write("value", largest + "x");
    desk.fails(&["secret", "set", "db", "--file", "value"], 2, &["1000001 bytes: expected at most 1000000"]);
}

#[test]
fn a_new_value_names_the_units_that_stop_and_start_for_it() {
    let (desk, _) = desk();
    let service = "[Service]\nExecStart=/bin/true\n";
    desk.write("db.service", format!("{service}[X-Muster]\nSecret=db\n"));
    desk.write("web.service", format!("[Unit]\nRequires=db.service\n{service}"));
    let set = || set_from_stdin(&desk, &["db", "-"], VALUE.as_bytes());
    set();
    desk.muster(&["submit", "db.service", "web.service"]).ok();
    let note = "Note: the new value comes with a controller, or with the next `muster sweep`: db.service\n";
    assert_eq!(set().err, note, "no unit runs");
    desk.muster(&["start", "--no-block", "db.service", "web.service"]).ok();
    let warning = "WARNING: Unit web.service needs db.service, so it stops and starts with it.\n";
    assert_eq!(set().err, format!("{warning}{note}"));
}

#[test]
fn a_file_that_is_encrypted_with_ansible_vault_or_sops_is_decrypted() {
    let (desk, _) = desk();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vault");
    for file in ["file-1.1.vault", "password"] {
        fs::copy(data.join(file), desk.path(file)).unwrap();
    }
    let file = ["set", "db", "--file", "file-1.1.vault"];
    secret(&desk, &[&file[..], &["--vault-password-file", "password"]].concat()).ok();
    assert_eq!(reveal(&desk, "db"), "port: 5432\npassword: swordfish\n");
    desk.write("other", "wrong\n");
    let args = [&["secret"], &file[..], &["--vault-password-file", "other"]].concat();
    desk.fails(&args, 1, &["file-1.1.vault:1:1: the file is encrypted with Ansible Vault, and none of the given"]);
    secret(&desk, &["set", "db", "--file", "file-1.1.vault", "--raw"]).ok();
    assert!(reveal(&desk, "db").starts_with("$ANSIBLE_VAULT;1.1;AES256\n"));

    let sealed = "{\"data\": \"ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]\", \"sops\": {}}";
    desk.write("db.json", sealed);
    let args = ["secret", "set", "db", "--file", "db.json"];
    let without = run(desk.command(&args).env("PATH", desk.path("")));
    assert_eq!((without.code, without.out.as_str()), (Some(2), ""));
    assert!(without.err.contains("db.json is encrypted with sops, and there is no program `sops`"), "{without:#?}");
    program(&desk, "sops", "#!/bin/sh\n[ \"$1\" = -d ] && [ -f \"$2\" ] && printf %s \"$MADE\"\n");
    let path = format!("{}:/usr/bin:/bin", desk.path("").display());
    run(desk.command(&args).env("PATH", &path).env("MADE", "marlin")).ok();
    assert_eq!(reveal(&desk, "db"), "marlin");
    program(&desk, "sops", "#!/bin/sh\necho no key >&2; exit 128\n");
    let failed = run(desk.command(&args).env("PATH", &path));
    assert!(failed.code == Some(1) && failed.err.contains("no key\n"), "{failed:#?}");
    assert!(failed.err.contains("sops failed: exit status: 128"), "{failed:#?}");
    let piped = set_from_stdin(&desk, &["db", "-"], sealed.as_bytes());
    assert!(piped.code == Some(2) && piped.err.contains("stdin is encrypted with sops"), "{piped:#?}");
}

#[test]
fn no_value_is_in_the_store_in_messages_or_in_arguments() {
    let (desk, _) = desk();
    desk.write("value", VALUE);
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=db\n");
    let mut all = Vec::new();
    let mut told = |said: Said| {
        assert_eq!(said.code, Some(0), "{said:#?}");
        all.push(said.out + &said.err);
    };
    told(secret(&desk, &["-vv", "set", "db", "--file", "value"]));
    told(set_from_stdin(&desk, &["-vv", "db", "-"], VALUE.as_bytes()));
    let spy = "cat /proc/$PPID/cmdline /proc/$PPID/environ >seen; cat value";
    told(secret(&desk, &["-vv", "set", "db", "--command", spy]));
    told(desk.muster(&["-vv", "submit", "web.service"]));
    for args in [["list"].as_slice(), &["list", "-o", "json"], &["show", "db"], &["recipients", "list"]] {
        told(secret(&desk, &[&["-vv"], args].concat()));
    }
    for args in [["events", "-n", "1000", "-o", "json"].as_slice(), &["list-unit-files"], &["cat", "web.service"]] {
        told(desk.muster(args));
    }
    let seen = fs::read(desk.path("seen")).unwrap();
    let printed = format!("{}{}", all.concat(), String::from_utf8_lossy(&seen));
    assert!(printed.contains("secret_set") && printed.contains("muster"), "{printed}");
    assert!(!printed.contains(VALUE), "{printed}");
    let folder = desk.home(".local/state/muster");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        count += bytes.len();
        assert!(!bytes.windows(VALUE.len()).any(|part| part == VALUE.as_bytes()));
    }
    assert!(count > 1000, "the store was read");
    assert_eq!(reveal(&desk, "db"), VALUE);
}

#[test]
fn secrets_are_listed_with_the_units_that_name_them_and_removed() {
    let (desk, key) = desk();
    desk.write("value", VALUE);
    desk.write("web.service", "[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=db\nSecret=tls.key\n");
    desk.write("bad.service", "[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=../db\n");
    desk.fails(&["submit", "bad.service"], 2, &["[X-Muster] Secret=: invalid name of a secret \"../db\""]);
    desk.muster(&["submit", "web.service"]).ok();
    for name in ["db", "old"] {
        secret(&desk, &["set", name, "--file", "value"]).ok();
    }
    let said = secret(&desk, &["list", "--fields", "secret,size,units"]);
    assert_eq!(said.out, "SECRET\tSIZE\tUNITS\ndb\t14\tweb.service\nold\t14\t-\n");
    assert_eq!(said.err, "Warning: secret tls.key is not set, and is named by web.service\n");
    let rows = json(&desk, &["list"]);
    let row = &rows[0];
    assert_eq!((row["secret"].as_str(), row["size"].as_u64()), (Some("db"), Some(14)), "{row}");
    assert_eq!((&row["recipients"], &row["outdated"]), (&serde_json::json!([key]), &Value::Bool(false)));
    assert_eq!(row["version"].as_str().map(str::len), Some(32));
    let shown = secret(&desk, &["show", "db"]).ok();
    assert!(shown.starts_with("Secret: db\nVersion: ") && shown.contains("\nUnits: web.service\n"), "{shown}");
    assert!(shown.ends_with(&format!("\nRecipient: {key} (alice)\n")), "{shown}");
    assert_eq!(json(&desk, &["show", "db"])["secret"], "db");

    desk.fails(&["secret", "rm", "old", "db"], 1, &["secret db is named by web.service", "--force"]);
    desk.fails(&["secret", "rm", "old", "none"], 1, &["there is no secret none"]);
    assert_eq!(secret(&desk, &["rm", "old", "old"]).ok(), "secret old removed\n");
    assert_eq!(secret(&desk, &["rm", "--force", "db"]).ok(), "secret db removed\n");
    desk.fails(&["secret", "show", "db"], 1, &["there is no secret db"]);
    desk.fails(&["secret", "show", "db", "--reveal"], 1, &["secret db is not set"]);
    let events = desk.muster(&["events"]).ok();
    let removed = events.lines().filter(|line| line.contains(" removed by ")).count();
    assert_eq!((removed, events.lines().filter(|line| line.contains("secret db set by ")).count()), (2, 1), "{events}");
}

#[test]
fn an_identity_that_other_users_can_read_is_refused() {
    let (desk, key) = desk();
    let path = desk.home(".config/muster/secret-identity");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let again = secret(&desk, &["init"]);
    assert_eq!(again.ok(), format!("{key}\n"), "the identity is kept");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    desk.fails(&["secret", "show", "db", "--reveal"], 2, &["other users can use the identity", "0640", "chmod 600"]);
    fs::write(&path, "AGE-SECRET-KEY-1DAMAGED\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let damaged = secret(&desk, &["show", "db", "--reveal"]);
    assert!(
        damaged.err.contains("line 1 is no private key of age") && !damaged.err.contains("DAMAGED"),
        "{damaged:#?}"
    );
    desk.write("muster.toml", "secret-identity = \"own\"\n");
    let other = secret(&desk, &["init", "--name", "other"]);
    assert!(
        other.err.contains("made the identity own\n") && desk.path("own").exists(),
        "the setting names the file: {other:#?}"
    );
    let named = run(desk.command(&["secret", "init"]).env("MUSTER_SECRET_IDENTITY", "third"));
    assert!(named.code == Some(0) && desk.path("third").exists(), "the variable wins: {named:#?}");
}

#[test]
fn a_second_operator_reads_the_secrets_once_it_was_added_and_no_more_after_its_removal() {
    let (desk, alice) = desk();
    desk.write("value", VALUE);
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    // The other operator has a home directory of its own, and the same store.
    let bob = Desk::empty();
    let store = format!("sqlite:{}", desk.home(".local/state/muster/muster.db").display());
    let at_bob = |args: &[&str]| bob.muster(&[&["--store", &store, "secret"], args].concat());
    let refused = at_bob(&["set", "db", "--command", "echo x"]);
    assert!(refused.code == Some(1) && refused.err.contains(&format!("not accepted: {alice} (alice)")), "{refused:#?}");
    let said = at_bob(&["init", "--name", "bob"]);
    let bobs = said.out.trim_end().to_owned();
    assert!(said.err.contains(&format!("accepted the recipient alice {alice}")), "{said:#?}");
    assert!(said.err.contains(&format!("secret recipients add {bobs} --name bob")), "{said:#?}");
    let closed = at_bob(&["show", "db", "--reveal"]);
    assert!(
        closed.code == Some(1) && closed.err.contains("secret db is not encrypted for a key of this"),
        "{closed:#?}"
    );
    at_bob(&["set", "web", "--command", "printf written"]).ok();
    assert_eq!(reveal(&desk, "web"), "written", "a secret is set without being able to read it");

    let added = secret(&desk, &["recipients", "add", &bobs, "--name", "bob"]);
    assert_eq!(added.out, format!("{bobs} is a recipient\n"));
    assert_eq!(added.err, "encrypted anew: db, web\n");
    assert_eq!(at_bob(&["show", "db", "--reveal"]).ok(), VALUE);
    let rows = json(&desk, &["recipients", "list"]);
    let row = rows.as_array().unwrap().iter().find(|row| row["name"] == "bob").unwrap();
    assert_eq!(
        (row["own"].as_bool(), row["accepted"].as_bool(), row["secrets"].as_u64()),
        (Some(false), Some(true), Some(2))
    );

    let removed = secret(&desk, &["recipients", "rm", "bob"]);
    assert_eq!(removed.out, format!("{bobs} is no recipient any more\n"));
    assert!(removed.err.contains("could read the values of these secrets until now"), "{removed:#?}");
    assert_eq!(at_bob(&["show", "db", "--reveal"]).code, Some(1));
    desk.fails(&["secret", "recipients", "rm", "alice"], 1, &["is the only recipient"]);
}

#[test]
fn a_recipient_that_the_store_names_is_not_trusted_before_it_was_accepted() {
    let (desk, alice) = desk();
    desk.write("value", VALUE);
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    let eve = Desk::empty();
    let eves = eve.muster(&["secret", "init", "--name", "eve"]).ok().trim_end().to_owned();
    change_recipients(&desk, |recipients| {
        let mut entry = recipients.values().next().unwrap().clone();
        "alice@desk".clone_into(&mut entry.name);
        recipients.insert(eves.parse().unwrap(), entry);
    });
    let parts = [&format!("not accepted: {eves} (alice@desk)"), "secret recipients accept KEY"];
    desk.fails(&["secret", "set", "db", "--file", "value"], 1, &parts);
    desk.fails(&["secret", "recipients", "add", &eves, "--name", "x"], 1, &parts);
    secret(&desk, &["init"]).ok();
    desk.fails(&["secret", "set", "db", "--file", "value"], 1, &parts);
    let said = secret(&desk, &["list"]);
    assert!(said.err.contains("Warning: not encrypted for the present recipients: db\n"), "{said:#?}");
    let listed = secret(&desk, &["recipients", "list", "--fields", "key,accepted"]).ok();
    assert!(listed.contains(&format!("{eves}\tno\n")) && listed.contains(&format!("{alice}\tyes\n")), "{listed}");

    desk.fails(&["secret", "recipients", "accept", &alice.replace("age1", "age2")], 2, &["invalid public key"]);
    assert_eq!(secret(&desk, &["recipients", "accept", &eves]).ok(), format!("accepted alice@desk {eves}\n"));
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    // A key that was removed by another operator is not accepted if it comes back.
    let mut removed = None;
    change_recipients(&desk, |recipients| removed = recipients.remove_entry(&eves.parse().unwrap()));
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    change_recipients(&desk, |recipients| drop(removed.map(|(key, entry)| recipients.insert(key, entry))));
    desk.fails(&["secret", "set", "db", "--file", "value"], 1, &parts);
    secret(&desk, &["recipients", "rm", &eves]).ok();
    secret(&desk, &["set", "db", "--file", "value"]).ok();
}

/// Runs a program with a text on stdin, and returns its stdout.
fn piped(command: &mut Command, stdin: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

#[test]
fn the_tools_of_age_read_and_write_the_same_keys_and_values() {
    if Command::new("age").arg("--version").output().is_err() {
        return skip("the package age is not installed");
    }
    let desk = Desk::empty();
    let made = Command::new("age-keygen").arg("-o").arg(desk.path("key")).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    desk.write("muster.toml", "secret-identity = \"key\"\n");
    let said = secret(&desk, &["init"]);
    assert!(said.err.starts_with("kept the identity key\n"), "{said:#?}");
    let key = said.ok().trim_end().to_owned();
    assert!(String::from_utf8_lossy(&made.stderr).contains(&key), "{made:?}");
    desk.write("value", VALUE);
    secret(&desk, &["set", "db", "--file", "value"]).ok();
    let version = json(&desk, &["show", "db"])["version"].as_str().unwrap().to_owned();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (store, keys) = desk.store().await;
        let at = keys.key(&Key::SecretValue("db".parse().unwrap()));
        let sealed = store.get(&at).await.unwrap().unwrap().value;
        let opened = piped(Command::new("age").args(["-d", "-i"]).arg(desk.path("key")), &sealed);
        assert_eq!(String::from_utf8(opened).unwrap(), format!("muster-secret-1 db {version}\n{VALUE}"));
        let text = format!("muster-secret-1 db {version}\nmarlin");
        let sealed = piped(Command::new("age").args(["-r", &key]), text.as_bytes());
        store.commit(vec![], vec![Op::put(at, sealed)]).await.unwrap().unwrap();
    });
    assert_eq!(reveal(&desk, "db"), "marlin", "a process that may write to the store can replace a value");
}

#[test]
fn a_cluster_that_is_deleted_leaves_no_values_and_names_are_completed() {
    let desk = Desk::empty();
    let token = desk.muster(&["discovery", "new", "--size", "1"]).ok().trim_end().to_owned();
    desk.muster(&["--token", &token, "secret", "init"]).ok();
    desk.muster(&["--token", &token, "secret", "set", "db", "--command", "echo x"]).ok();
    // A store that is slow to answer has no names.
    let names = || desk.muster(&["names", "--", "--token", &token, "secret", "rm"]).ok();
    assert_eq!((0..50).map(|_| names()).find(|names| !names.is_empty()), Some("db\n".to_owned()));
    desk.muster(&["discovery", "delete", &token]).ok();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (store, _) = desk.store().await;
        assert_eq!(store.list("/").await.unwrap().entries, []);
    });
}

#[test]
fn a_cluster_whose_private_keys_are_all_lost_begins_anew() {
    let (desk, lost) = desk();
    secret(&desk, &["set", "db", "--command", "printf x"]).ok();
    fs::remove_file(desk.home(".config/muster/secret-identity")).unwrap();
    desk.fails(&["secret", "show", "db", "--reveal"], 2, &["there is no identity"]);
    let new = secret(&desk, &["init"]).ok().trim_end().to_owned();
    let add = ["secret", "recipients", "add", &new, "--name", "new"];
    desk.fails(&add, 1, &["no key of your identity can read the secrets db"]);
    secret(&desk, &["rm", "--force", "db"]).ok();
    desk.muster(&add).ok();
    secret(&desk, &["recipients", "rm", &lost]).ok();
    secret(&desk, &["set", "db", "--command", "printf y"]).ok();
    assert_eq!(reveal(&desk, "db"), "y");
}

#[test]
fn without_a_cluster_or_a_recipient_the_error_says_what_to_do() {
    let desk = Desk::new();
    desk.fails(&["secret", "set", "db", "--command", "echo x"], 1, &["the cluster has no recipients", "secret init"]);
    desk.fails(&["secret", "show", "db", "--reveal"], 2, &["there is no identity", "muster secret init"]);
    assert_eq!(secret(&desk, &["list"]).ok(), "SECRET\tVERSION\tSIZE\tSET\tBY\tUNITS\n");
    let empty = Desk::empty();
    empty.fails(&["secret", "list"], 2, &["does not exist"]);
    desk.fails(&["--token", "none", "secret", "init"], 2, &["token none is not known to the store"]);
}
