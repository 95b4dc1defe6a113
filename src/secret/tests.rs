//! Tests of encryption: for recipients, bound to names, within the limits of a commit.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use super::*;
use crate::core::model::Recipient;
use crate::core::model::RecipientKey;
use crate::core::model::Recipients;
use crate::core::model::SecretRecord;
use crate::core::model::SecretVersion;
use crate::core::model::Timestamp;
use crate::core::secret_name::SecretName;
use crate::store::MemoryStore;
use crate::store::Op;
use crate::store::Store as _;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;
use crate::store::layout::encode;

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn value(bytes: impl Into<Vec<u8>>) -> SecretSlice<u8> {
    bytes.into().into()
}

fn keys(identities: &[&Identity]) -> BTreeSet<RecipientKey> {
    identities.iter().flat_map(|identity| identity.public_keys()).collect()
}

fn version() -> SecretVersion {
    SecretVersion::from_bits(7)
}

#[test]
fn a_value_is_read_with_the_key_of_each_recipient_and_with_no_other() {
    let (alice, bob, eve) = (Identity::generate(), Identity::generate(), Identity::generate());
    for bytes in [b"swordfish\n".to_vec(), vec![0, 255, 10, 0], Vec::new()] {
        let sealed = seal(&name("db"), version(), &value(bytes.clone()), &keys(&[&alice, &bob])).unwrap();
        assert!(!sealed.windows(9).any(|part| part == b"swordfish"));
        for reader in [&alice, &bob] {
            let (version_read, read) = open(&name("db"), &sealed, reader).unwrap();
            assert_eq!((version_read, read.expose_secret()), (version(), bytes.as_slice()));
        }
        assert_eq!(open(&name("db"), &sealed, &eve).unwrap_err(), OpenError::NoKey);
    }
    assert!(matches!(seal(&name("db"), version(), &value("x"), &keys(&[])), Err(SealError::Age(_))));
}

#[test]
fn a_value_in_the_place_of_another_and_a_changed_one_are_refused() {
    let alice = Identity::generate();
    let sealed = seal(&name("db"), version(), &value("swordfish"), &keys(&[&alice])).unwrap();
    let error = open(&name("web"), &sealed, &alice).unwrap_err();
    assert_eq!(
        (&error, error.to_string().as_str()),
        (&OpenError::Misplaced(name("db")), "has the value of another secret, db, in the store")
    );
    for at in [0, 50, 120, sealed.len() - 40, sealed.len() - 1] {
        let mut changed = sealed.clone();
        *changed.get_mut(at).unwrap() ^= 1;
        let error = open(&name("db"), &changed, &alice).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("swordfish"), "{error}");
    }
    for length in [0, 10, sealed.len() - 1] {
        assert!(open(&name("db"), sealed.get(..length).unwrap(), &alice).is_err(), "{length}");
    }
}

#[test]
fn a_value_of_the_largest_size_for_as_many_recipients_as_allowed_fits_into_one_commit() {
    let identities: Vec<Identity> = (0..RECIPIENT_LIMIT).map(|_| Identity::generate()).collect();
    let recipients = keys(&identities.iter().collect::<Vec<_>>());
    let long = name(&"n".repeat(255));
    let sealed = seal(&long, version(), &value(vec![7; VALUE_LIMIT]), &recipients).unwrap();
    let record = SecretRecord {
        version: version(),
        size: 1,
        set_at: Timestamp::from_millis(0),
        set_by: "u".repeat(500),
        recipients: recipients.clone(),
    };
    // The event and the keys take less than 8 KiB.
    let bytes = sealed.len() + encode(&record).len() + 8192;
    assert!(bytes <= crate::store::COMMIT_BYTES, "{bytes}");
    let (_, read) = open(&long, &sealed, identities.first().unwrap()).unwrap();
    assert_eq!(read.expose_secret().len(), VALUE_LIMIT);
    let error = seal(&long, version(), &value(vec![7; VALUE_LIMIT + 1]), &recipients).unwrap_err();
    assert_eq!(error.to_string(), "the value has 1000001 bytes: expected at most 1000000");
}

#[test]
fn an_identity_file_is_that_of_age_and_its_errors_show_no_key() {
    let one = Identity::generate();
    let text = one.text();
    let text = text.expose_secret();
    assert!(text.starts_with("# public key: age1") && text.contains("\nAGE-SECRET-KEY-1"), "the form of age-keygen");
    assert_eq!(Identity::parse(text).unwrap().public_keys(), one.public_keys());
    let other = Identity::generate();
    let both = format!("{text}\n\n  # the old key\n{}", other.text().expose_secret());
    assert_eq!(Identity::parse(&both).unwrap().public_keys(), [one.public_keys(), other.public_keys()].concat());
    assert_eq!(Identity::parse("# nothing\n").unwrap_err(), BadIdentity::Empty);
    let damaged = text.replace("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q");
    let error = Identity::parse(&damaged).unwrap_err().to_string();
    assert!(error.starts_with("line 2 is no private key of age: ") && !error.contains("KEY-1"), "{error}");
    let shown = format!("{one:?}");
    assert!(shown.contains("age1") && !shown.contains("SECRET"), "{shown}");
}

#[test]
fn a_public_key_with_a_wrong_checksum_is_refused() {
    let key = Identity::generate().public_keys().remove(0);
    check(&key).unwrap();
    let last = if key.as_str().ends_with('q') { 'p' } else { 'q' };
    let wrong: RecipientKey = format!("{}{last}", key.as_str().get(..61).unwrap()).parse().unwrap();
    assert!(matches!(check(&wrong), Err(SealError::Key(key, _)) if key == wrong));
}

#[test]
fn accepted_recipients_are_kept_as_text_and_forgotten_with_their_removal() {
    let (alice, bob) = (Identity::generate().public_keys().remove(0), Identity::generate().public_keys().remove(0));
    let recipient = |name: &str| Recipient {
        name: name.to_owned(),
        added_at: Timestamp::from_millis(0),
        added_by: "op@desk".to_owned(),
    };
    let mut recipients = Recipients::from([(alice.clone(), recipient("alice"))]);
    let mut accepted = Accepted::default();
    assert_eq!(accepted.missing(&recipients), [(alice.clone(), "alice".to_owned())]);
    accepted.insert(alice.clone());
    accepted.insert(bob.clone());
    assert!(accepted.missing(&recipients).is_empty());
    let text = accepted.text("default in\nsqlite:db");
    assert!(
        text.starts_with("# The recipients of secrets that were accepted for default in sqlite:db.\nage1"),
        "{text}"
    );
    assert_eq!(Accepted::parse(&text).unwrap(), accepted);
    accepted.retain(&recipients);
    recipients.insert(bob.clone(), recipient("bob"));
    assert_eq!(accepted.missing(&recipients), [(bob, "bob".to_owned())]);
    assert!(Accepted::parse("\n# x\nage2\n").unwrap_err().starts_with("line 3: invalid public key"));
}

#[tokio::test]
async fn a_secret_is_fetched_with_its_version_and_shows_no_value() {
    let (store, keyspace) = (MemoryStore::new(), Keyspace::new("default").unwrap());
    let (alice, eve) = (Identity::generate(), Identity::generate());
    let sealed = seal(&name("db"), version(), &value("swordfish"), &keys(&[&alice])).unwrap();
    let put = Op::put(keyspace.key(&Key::SecretValue(name("db"))), sealed);
    store.commit(vec![], vec![put]).await.unwrap().unwrap();
    let secret = fetch(&store, &keyspace, &alice, &name("db")).await.unwrap();
    assert_eq!((&secret.name, secret.version), (&name("db"), version()));
    assert_eq!(secret.value.expose_secret(), b"swordfish");
    assert!(!format!("{secret:?}").contains("swordfish"));
    let refusal = async |identity: &Identity, text: &str| {
        fetch(&store, &keyspace, identity, &name(text)).await.unwrap_err().to_string()
    };
    assert_eq!(refusal(&alice, "web").await, "secret web is not set");
    assert_eq!(refusal(&eve, "db").await, "secret db is not encrypted for a key of this identity");
}
