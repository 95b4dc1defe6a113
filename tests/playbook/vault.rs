//! Closed values in playbooks: they are opened when a template reads them, and only with a password.

use std::path::Path;
use std::path::PathBuf;

use muster::vault::seal;

use super::Stage;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vault").join(name)
}

/// Returns a text, encrypted with the password of the recorded vaults.
fn sealed(text: &str) -> String {
    seal(text.as_bytes(), &"test-password".into(), None, None).unwrap().to_text()
}

/// Returns an encrypted text as a value in YAML.
fn inline(text: &str) -> String {
    format!("!vault |\n{}", sealed(text).lines().map(|line| format!("          {line}\n")).collect::<String>())
}

#[tokio::test]
async fn a_play_without_a_password_runs_until_a_closed_value_is_read() {
    let stage = Stage::new();
    let (token, password) = (inline("tok"), inline("pw"));
    let vars = format!("  vars:\n    token: {token}    db:\n      user: joe\n      password: {password}");
    let task = |text: &str| format!("    - debug: {{msg: \"{text}\"}}\n      ignore_errors: true\n");
    let reads = ["{{ db.user }}", "{{ token }}", "{{ db.password | default('x', true) }}", "{{ token is defined }}"];
    let tasks: String = reads.map(task).concat();
    let play = format!("- hosts: h1\n{vars}  tasks:\n{tasks}    - debug: {{msg: '{{{{ db }}}}'}}\n");
    let (printed, code) = stage.play(&play).await;
    assert!(
        code == 2 && printed.contains("\"msg\": \"joe\"") && printed.matches("...ignoring").count() == 3,
        "{printed}"
    );
    let file = stage.path("play.yaml").display().to_string();
    let give = "is encrypted with Ansible Vault: give --vault-password-file";
    assert_eq!(printed.matches(&format!("`token` in {file}:3:12 {give}")).count(), 2, "{printed}");
    assert_eq!(printed.matches(&format!("`db` in {file}:12:17 {give}")).count(), 2, "{printed}");
}

#[tokio::test]
async fn a_password_that_does_not_fit_is_named_by_its_label_only() {
    let stage = Stage::new().with_password_of(&data("other-password"));
    let play = format!("- hosts: h1\n  vars:\n    a: {}  tasks:\n    - command: echo {{{{ a }}}}\n", inline("tok"));
    let (printed, code) = stage.play(&play).await;
    let why = "is encrypted with Ansible Vault, and none of the given passwords opens it (labels: default)";
    assert!(code == 2 && printed.contains(why) && !printed.contains("other-test"), "{printed}");
    let damaged = "- hosts: h1\n  vars: {a: !vault x}\n  tasks:\n    - command: echo {{ a }}\n";
    let (printed, _) = stage.play(damaged).await;
    assert!(printed.contains("is a damaged vault: expected `$ANSIBLE_VAULT;1.1;AES256`"), "{printed}");
}

#[tokio::test]
async fn an_undefined_variable_is_explained_with_the_files_that_are_left_out() {
    let stage = Stage::new();
    stage.write("secrets.yml", &sealed("a: 1\n"));
    let play =
        "- hosts: h1\n  vars_files: secrets.yml\n  tasks:\n    - debug: {msg: here}\n    - debug: {msg: '{{ a }}'}\n";
    let (printed, code) = stage.play(play).await;
    let why = format!(
        "`a` is undefined; {} is encrypted with Ansible Vault: give --vault-password-file",
        stage.path("secrets.yml").display()
    );
    assert!(code == 2 && printed.contains("here") && printed.contains(&why), "{printed}");
    let open = Stage { folder: stage.folder, ..Stage::new().with_password_of(&data("password")) };
    let (printed, code) = open.play(play).await;
    assert!(code == 0 && printed.contains("\"msg\": 1"), "{printed}");
}

#[tokio::test]
async fn a_task_that_reads_an_encrypted_file_fails_without_a_password() {
    let stage = Stage::new();
    for file in ["v.yml", "key", "book.yml"] {
        stage.write(file, &sealed("a: 1\n"));
    }
    for task in
        ["include_vars: v.yml", "copy: {src: key, dest: DIR/out}", "debug: {msg: \"{{ lookup('file', 'key') }}\"}"]
    {
        let (printed, code) = stage.play(&format!("- hosts: h1\n  tasks:\n    - {task}\n")).await;
        assert!(code == 2 && printed.contains("is encrypted with Ansible Vault: give "), "{task}: {printed}");
    }
    assert!(!stage.path("out").exists());
}

#[tokio::test]
async fn what_a_host_prints_is_never_opened() {
    let stage = Stage::new().with_password_of(&data("password"));
    stage.write("said", &serde_json::json!({"__ansible_vault": sealed("tok")}).to_string());
    let play = "- hosts: h1\n  vars: {indirect: '{{ said.stdout | from_json }}'}\n  tasks:\n    - command: cat DIR/said\n      \
                register: said\n    - set_fact: {kept: '{{ said.stdout | from_json }}'}\n    - debug: {msg: '{{ kept }} {{ indirect }}'}\n";
    let (printed, code) = stage.play(play).await;
    assert!(code == 0 && !printed.contains("tok") && printed.matches("$ANSIBLE_VAULT;1.1").count() == 2, "{printed}");
}

#[tokio::test]
async fn the_password_of_sudo_may_be_a_closed_value() {
    let play = |value: &str| {
        format!(
            "- hosts: h1\n  become: true\n  vars:\n    ansible_become_password: {value}  tasks:\n    - command: id\n"
        )
    };
    let stage = Stage::new();
    let (printed, code) = stage.play(&play(&inline("pw"))).await;
    assert!(
        code == 2 && printed.contains("`ansible_become_password` in ") && stage.shells.ran.lock().unwrap().is_empty()
    );
    let stage = Stage::new().with_password_of(&data("password"));
    for (text, expected) in [("pw", None), ("two\nlines", Some("a password is one line of text"))] {
        let (printed, code) = stage.play(&play(&inline(text))).await;
        assert!(expected.map_or(code == 0, |why| code == 2 && printed.contains(why)), "{printed}");
    }
    assert_eq!(stage.shells.ran.lock().unwrap().as_slice(), [("h1".to_owned(), Some("root".to_owned()))]);
}
