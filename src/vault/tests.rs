//! The vaults in tests/data/vault are from `ansible-vault` of ansible-core 2.19.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::ClosedValue;
use super::DEFAULT_LABEL;
use super::Envelope;
use super::Keyring;
use super::LabelledPassword;
use super::VaultError;
use super::listed;
use super::seal;

fn recorded(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vault").join(name)).unwrap()
}

fn password(label: &str, password: &str) -> LabelledPassword {
    LabelledPassword { label: label.to_owned(), password: password.into() }
}

/// The passwords of the recorded vaults.
fn keyring() -> Keyring {
    let (own, other) = (recorded("password"), recorded("other-password"));
    Keyring::new(vec![password(DEFAULT_LABEL, own.trim()), password("prod", other.trim())])
}

const FILES: [(&str, &str); 4] =
    [("file-1.1.vault", "plain.yml"), ("file-1.2.vault", "plain.yml"), ("empty.vault", ""), ("block.vault", "")];

fn content(plain: &str, name: &str) -> Vec<u8> {
    match (plain, name) {
        ("", "block.vault") => b"aaaaaaaaaaaaaaaa".to_vec(),
        ("", _) => Vec::new(),
        _ => recorded(plain).into_bytes(),
    }
}

#[test]
fn what_ansible_has_written_is_opened_and_written_again_in_the_same_bytes() {
    let keyring = keyring();
    for (name, plain) in FILES {
        let text = recorded(name);
        let (password, opened) = keyring.decrypt(&text).unwrap();
        assert_eq!(opened.expose_secret(), content(plain, name), "{name}");
        let vault = Envelope::parse(&text).unwrap();
        let label = (password.label != DEFAULT_LABEL).then_some(password.label.as_str());
        assert_eq!(vault.label.as_deref(), label, "{name}");
        let again = seal(opened.expose_secret(), &password.password, label, Some(&vault.salt)).unwrap();
        assert_eq!(again.to_text(), text, "{name}");
    }
}

#[test]
fn a_vault_may_be_indented_and_have_line_breaks_of_windows() {
    let text = recorded("file-1.2.vault");
    let changed = [text.replace('\n', "\r\n"), text.replace('\n', "  \n   "), format!("{text}\n\n")];
    for text in changed {
        assert_eq!(keyring().open(&text).unwrap(), recorded("plain.yml").into_bytes(), "{text}");
    }
}

#[test]
fn an_error_says_which_password_is_missing_and_never_has_one_in_it() {
    let text = recorded("file-1.2.vault");
    let none = Keyring::default().open(&text).unwrap_err();
    let give = "give --vault-password-file, or --vault-id prod@FILE";
    assert_eq!(none.to_string(), format!("is encrypted with Ansible Vault (label prod): {give}"));
    let others = Keyring::new(vec![password("dev", "wrong-secret"), password(DEFAULT_LABEL, "wrong-secret")]);
    let wrong = others.open(&text).unwrap_err();
    let tried = "none of the given passwords opens it (labels: dev, default)";
    assert_eq!(wrong.to_string(), format!("is encrypted with Ansible Vault (label prod), and {tried}"));
    let unlabelled = Keyring::default().open(&recorded("file-1.1.vault")).unwrap_err();
    assert_eq!(unlabelled.to_string(), "is encrypted with Ansible Vault: give --vault-password-file");
    let shown = format!("{others:?} {:?} {wrong:?} {none:?}", others.passwords());
    assert!(!shown.contains("wrong-secret"), "{shown}");
}

#[test]
fn a_damaged_vault_is_named_with_the_place_of_the_fault() {
    let text = recorded("file-1.1.vault");
    let lines: Vec<&str> = text.lines().collect();
    let header = lines[0];
    let cut = |count: usize| text[..text.len() - count].to_owned();
    let swapped = text.replacen("\n3", "\n4", 1).replacen("\n6", "\n7", 1);
    for (text, position, what) in [
        (String::new(), Some((1, 1)), "expected `$ANSIBLE_VAULT;1.1;AES256`"),
        ("$ANSIBLE_VAULT".to_owned(), Some((1, 1)), "the version is neither 1.1 nor 1.2"),
        (text.replace("1.1", "1.0"), Some((1, 1)), "the version is neither 1.1 nor 1.2"),
        (text.replace("1.1;", "1.2;"), Some((1, 1)), "version 1.2 needs a label after the cipher"),
        (text.replace("AES256", "AES"), Some((1, 1)), "the cipher is not AES256"),
        (format!("{header}\n"), None, "a part is missing"),
        (format!("{header}\n  31x2"), Some((2, 5)), "expected a hexadecimal digit"),
        (format!("{header}\n31\n3é"), Some((3, 2)), "expected a hexadecimal digit"),
        (cut(2), None, "the number of its digits is odd: it has lost its end"),
        (cut(3), None, "a part is not hexadecimal: it has lost its beginning or its end"),
        (format!("{header}\n3132"), None, "a part is missing"),
        (format!("{header}\n31320a33340a35360a3738"), None, "it has more than three parts"),
        (format!("{header}\n0a33340a3536"), None, "a part is empty"),
    ] {
        let error = Envelope::parse(&text).unwrap_err();
        assert_eq!((error.position(), error.to_string()), (position, format!("is a damaged vault: {what}")), "{text}");
    }
    // A changed digit is not a fault of the form. The signature shows it.
    assert!(matches!(keyring().open(&swapped), Err(VaultError::WrongPassword { .. } | VaultError::Damaged { .. })));
}

#[test]
fn a_vault_is_opened_once() {
    let keyring = keyring();
    let text = recorded("file-1.1.vault");
    let begun = std::time::Instant::now();
    keyring.open(&text).unwrap();
    let once = begun.elapsed();
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        keyring.open(&text).unwrap();
    }
    assert!(begun.elapsed() < once * 10, "{once:?}, then {:?}", begun.elapsed());
}

#[test]
fn a_closed_value_keeps_its_place_but_no_listing_has_it() {
    let text = recorded("file-1.2.vault");
    let value = ClosedValue::at(&text, "vars.yml:3:4".to_owned());
    let closed = ClosedValue::of(&value).unwrap();
    assert_eq!((closed.vault, closed.place), (text.as_str(), Some("vars.yml:3:4")));
    assert_eq!(listed(&json!({"a": [value, {"b": 1}]})), json!({"a": [{"__ansible_vault": text}, {"b": 1}]}));
    for other in [json!({}), json!({"__ansible_vault": 1}), json!({"__ansible_vault": text, "b": 1}), json!("x")] {
        assert_eq!((ClosedValue::of(&other), listed(&other)), (None, other.clone()));
    }
    let why = Keyring::default().open_value(closed, Some("token")).unwrap_err();
    assert!(why.starts_with("`token` in vars.yml:3:4 is encrypted with Ansible Vault (label prod): give "), "{why}");
    let why = keyring().open_value(ClosedValue { vault: "$ANSIBLE_VAULT;1.1;AES256\nx", place: None }, None);
    let expected = "a value is a damaged vault: expected a hexadecimal digit (line 2 of the vault)";
    assert_eq!(why.unwrap_err(), expected);
}

#[test]
fn files_without_a_password_are_left_out_and_named() {
    let keyring = Arc::new(Keyring::default());
    assert_eq!(keyring.left_out(), None);
    assert!(!keyring.leaves_out(Path::new("a.yml"), "a: 1\n"));
    assert!(keyring.leaves_out(Path::new("b.yml"), recorded("file-1.1.vault")));
    let one = "b.yml is encrypted with Ansible Vault: give --vault-password-file";
    assert_eq!(keyring.left_out().as_deref(), Some(one));
    assert!(keyring.leaves_out(Path::new("a/c.yml"), recorded("file-1.1.vault")));
    let two = "a/c.yml, b.yml are encrypted with Ansible Vault: give --vault-password-file";
    assert_eq!(keyring.left_out().as_deref(), Some(two));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_is_opened(text in proptest::collection::vec(any::<u8>(), 0..200), salt: Option<[u8; 32]>) {
        let sealed = seal(&text, &"test-password".into(), Some("x"), salt.as_ref().map(<[u8; 32]>::as_slice)).unwrap().to_text();
        let keyring = Keyring::new(vec![password("x", "test-password")]);
        prop_assert_eq!(keyring.open(&sealed).unwrap(), text);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "(\\$ANSIBLE_VAULT;1\\.[12];AES256(;.{0,8})?\n)?[0-9a-f3\n \\PC]{0,200}") {
        let _ = keyring().open(&text);
    }
}
