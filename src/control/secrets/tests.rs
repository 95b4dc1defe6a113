//! Tests of the changes of secrets, with the store in memory.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::core::model::DesiredState;
use crate::core::model::Unit;
use crate::core::unit::UnitFile;
use crate::secret::FetchError;
use crate::secret::fetch;
use crate::store::Entry;
use crate::store::LeaseId;
use crate::store::Listing;
use crate::store::MemoryStore;
use crate::store::Store;
use crate::store::Watch;

/// A cluster with an operator that can read its secrets.
struct Desk {
    context: SecretContext,
    alice: Identity,
    accepted: Accepted,
}

impl Desk {
    async fn new() -> Self {
        let context = SecretContext {
            store: Arc::new(MemoryStore::new()),
            keys: Keyspace::new("default").unwrap(),
            clock: Clock::start(),
            operator: "alice@desk".to_owned(),
        };
        let mut desk = Self { context, alice: Identity::generate(), accepted: Accepted::default() };
        let key = desk.accept(&desk.alice.clone());
        assert_eq!(add_recipient(&desk.context, &key, "alice", None, &desk.accepted).await.unwrap(), []);
        desk
    }

    /// Accepts the key of an identity, and returns the key.
    fn accept(&mut self, identity: &Identity) -> RecipientKey {
        let key = key(identity);
        self.accepted.insert(key.clone());
        key
    }

    async fn set(&self, secret: &str, value: &str) -> Result<SecretRecord, SecretError> {
        set(&self.context, &name(secret), &bytes(value), &self.accepted).await
    }

    async fn read(&self, identity: &Identity, secret: &str) -> Result<(SecretVersion, String), FetchError> {
        let secret = fetch(&*self.context.store, &self.context.keys, identity, &name(secret)).await?;
        Ok((secret.version, String::from_utf8(secret.value.expose_secret().to_vec()).unwrap()))
    }

    async fn snapshot(&self) -> Snapshot {
        layout::read(&*self.context.store, &self.context.keys).await.unwrap()
    }

    /// Puts a record into the store as another process does.
    async fn put(&self, op: Op) {
        self.context.store.commit(vec![], vec![op]).await.unwrap().unwrap();
    }

    async fn events(&self) -> Vec<(EventKind, Option<String>)> {
        let events = layout::read_events(&*self.context.store, &self.context.keys).await.unwrap();
        events.into_iter().map(|event| (event.kind, event.subject.actor)).collect()
    }
}

fn key(identity: &Identity) -> RecipientKey {
    identity.public_keys().remove(0)
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn bytes(text: &str) -> SecretSlice<u8> {
    text.as_bytes().to_vec().into()
}

#[tokio::test]
async fn a_secret_that_was_set_is_read_back_and_each_set_has_a_version_of_its_own() {
    let desk = Desk::new().await;
    let first = desk.set("db", "swordfish").await.unwrap();
    assert_eq!((first.size, first.set_by.as_str()), (9, "alice@desk"));
    assert_eq!(desk.snapshot().await.secrets, [(name("db"), first.clone())].into());
    assert_eq!(desk.read(&desk.alice, "db").await.unwrap(), (first.version, "swordfish".to_owned()));
    let second = desk.set("db", "swordfish").await.unwrap();
    assert_ne!(first.version, second.version, "the version is not made of the value");
    let actor = Some("alice@desk".to_owned());
    let added = EventKind::RecipientAdded { name: "alice".to_owned(), key: key(&desk.alice) };
    let set = EventKind::SecretSet(name("db"));
    let mut events = desk.events().await;
    events.sort_by_key(|(kind, _)| *kind == set);
    // Two equal events of one millisecond are one.
    events.dedup();
    assert_eq!(events, [(added, actor.clone()), (set, actor)]);
}

#[tokio::test]
async fn no_value_is_encrypted_for_a_recipient_that_was_not_accepted() {
    let mut desk = Desk::new().await;
    let eve = Identity::generate();
    let mut recipients = recipients(&desk.context).await.unwrap();
    let entry = Recipient { name: "alice".to_owned(), ..recipients.values().next().unwrap().clone() };
    recipients.insert(key(&eve), entry);
    desk.put(desk.context.keys.put(&Key::SecretRecipients, &recipients)).await;
    let message = format!("the store names recipients that you have not accepted: {} (alice)", key(&eve));
    assert_eq!(desk.set("db", "swordfish").await.unwrap_err().to_string(), message);
    let bob = desk.accept(&Identity::generate());
    let added = add_recipient(&desk.context, &bob, "bob", Some(&desk.alice), &desk.accepted).await;
    assert_eq!(added.unwrap_err().to_string(), message);
    assert!(desk.snapshot().await.secrets.is_empty());
    let (removed, _) = remove_recipient(&desk.context, key(&eve).as_str(), None, &desk.accepted).await.unwrap();
    assert_eq!(removed, key(&eve));
    desk.set("db", "swordfish").await.unwrap();
    assert!(desk.read(&eve, "db").await.is_err());
}

#[tokio::test]
async fn a_new_recipient_reads_every_secret_and_a_removed_one_none() {
    let mut desk = Desk::new().await;
    let (db, web) = (desk.set("db", "swordfish").await.unwrap(), desk.set("web", "marlin").await.unwrap());
    let bob = Identity::generate();
    let bobs = desk.accept(&bob);
    let none = add_recipient(&desk.context, &bobs, "bob", None, &desk.accepted).await.unwrap_err();
    assert_eq!(none.to_string(), "you have no identity, which is needed to encrypt the secrets anew");
    let closed = add_recipient(&desk.context, &bobs, "bob", Some(&bob), &desk.accepted).await.unwrap_err();
    assert_eq!(closed.to_string(), "no key of your identity can read the secrets db, web");
    assert_eq!(recipients(&desk.context).await.unwrap().len(), 1, "nothing was changed");
    assert!(desk.read(&bob, "db").await.is_err());

    let anew = add_recipient(&desk.context, &bobs, "bob", Some(&desk.alice), &desk.accepted).await.unwrap();
    assert_eq!(anew, [name("db"), name("web")]);
    for reader in [&desk.alice, &bob] {
        assert_eq!(desk.read(reader, "db").await.unwrap(), (db.version, "swordfish".to_owned()), "the version stays");
        assert_eq!(desk.read(reader, "web").await.unwrap(), (web.version, "marlin".to_owned()));
    }
    let again = add_recipient(&desk.context, &bobs, "bob", None, &desk.accepted).await.unwrap();
    assert_eq!(again, [], "nothing is to do");

    let (removed, anew) = remove_recipient(&desk.context, "alice", Some(&bob), &desk.accepted).await.unwrap();
    assert_eq!((removed, anew), (key(&desk.alice), vec![name("db"), name("web")]));
    assert!(desk.read(&desk.alice, "db").await.is_err() && desk.read(&bob, "db").await.is_ok());
    let last = remove_recipient(&desk.context, "bob", Some(&bob), &desk.accepted).await.unwrap_err();
    assert_eq!(last.to_string(), format!("{bobs} is the only recipient: no secret could be read without it"));
    let unknown = remove_recipient(&desk.context, "eve", Some(&bob), &desk.accepted).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no recipient \"eve\"");
}

#[tokio::test]
async fn a_removal_of_a_recipient_that_did_not_come_to_its_end_is_repeated() {
    let mut desk = Desk::new().await;
    let bob = Identity::generate();
    let bobs = desk.accept(&bob);
    add_recipient(&desk.context, &bobs, "bob", None, &desk.accepted).await.unwrap();
    desk.set("db", "swordfish").await.unwrap();
    let mut recipients = recipients(&desk.context).await.unwrap();
    recipients.remove(&bobs).unwrap();
    desk.put(desk.context.keys.put(&Key::SecretRecipients, &recipients)).await;
    assert!(desk.read(&bob, "db").await.is_ok());
    let (removed, anew) =
        remove_recipient(&desk.context, bobs.as_str(), Some(&desk.alice), &desk.accepted).await.unwrap();
    assert_eq!((removed, anew), (bobs.clone(), vec![name("db")]));
    assert!(desk.read(&bob, "db").await.is_err());
    let done = remove_recipient(&desk.context, bobs.as_str(), Some(&desk.alice), &desk.accepted).await;
    assert!(matches!(done, Err(SecretError::UnknownRecipient(_))));
}

#[tokio::test]
async fn a_secret_that_a_unit_names_is_removed_only_by_force() {
    let desk = Desk::new().await;
    for secret in ["db", "web", "old"] {
        desk.set(secret, "swordfish").await.unwrap();
    }
    let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n\n[X-Muster]\nSecret=db\nSecret=web\n").unwrap();
    let unit = Unit::new(file.hash(), DesiredState::Inactive);
    let ops = layout::submit(&desk.context.keys, &"web.service".parse().unwrap(), &unit, &file);
    desk.context.store.commit(vec![], ops).await.unwrap().unwrap();
    let both = [name("db"), name("old")];
    let refusal = remove(&desk.context, &both, false).await.unwrap_err();
    assert_eq!(refusal.to_string(), "secret db is named by web.service");
    let unknown = remove(&desk.context, &[name("old"), name("x"), name("y")], true).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no secret x, y");
    assert_eq!(desk.snapshot().await.secrets.len(), 3, "nothing was changed");
    remove(&desk.context, &both, true).await.unwrap();
    assert_eq!(desk.snapshot().await.secrets.into_keys().collect::<Vec<_>>(), [name("web")]);
    assert_eq!(desk.read(&desk.alice, "db").await.unwrap_err().to_string(), "secret db is not set");
    let removed = desk.events().await.into_iter().filter(|(kind, _)| matches!(kind, EventKind::SecretRemoved(_)));
    assert_eq!(removed.count(), 2);
}

#[tokio::test]
async fn of_many_that_set_a_secret_at_once_one_wins_wholly() {
    let desk = Desk::new().await;
    let values: Vec<String> = (0..20).map(|number| number.to_string().repeat(1000)).collect();
    let sets = futures_util::future::join_all(values.iter().map(|value| desk.set("db", value))).await;
    let versions: Vec<SecretVersion> = sets.into_iter().map(|record| record.unwrap().version).collect();
    let record = desk.snapshot().await.secrets.remove(&name("db")).unwrap();
    let (version, value) = desk.read(&desk.alice, "db").await.unwrap();
    let winner = versions.iter().position(|other| *other == version).unwrap();
    assert_eq!((record.version, record.size), (version, u64::try_from(value.len()).unwrap()));
    assert_eq!(values.get(winner), Some(&value));
}

/// A store in which another process commits once, just before the next commit.
#[derive(Debug)]
struct Interrupted {
    store: SharedStore,
    ops: Mutex<Vec<Op>>,
}

#[async_trait::async_trait]
impl Store for Interrupted {
    async fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        self.store.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        self.store.list(prefix).await
    }

    async fn commit(&self, preconditions: Vec<Precondition>, ops: Vec<Op>) -> Result<Option<Revision>, StoreError> {
        let first = std::mem::take(&mut *self.ops.lock().unwrap());
        self.store.commit(vec![], first).await?;
        self.store.commit(preconditions, ops).await
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, StoreError> {
        self.store.grant(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.store.keep_alive(lease).await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), StoreError> {
        self.store.revoke(lease).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<Box<dyn Watch>, StoreError> {
        self.store.watch(prefix, after).await
    }
}

/// Returns the handles of an operator, just before whose next commit another process makes these changes.
fn interrupted(desk: &Desk, ops: Vec<Op>) -> SecretContext {
    let store = Interrupted { store: Arc::clone(&desk.context.store), ops: Mutex::new(ops) };
    SecretContext { store: Arc::new(store), ..desk.context.clone() }
}

#[tokio::test]
async fn no_value_that_is_set_while_a_recipient_is_removed_is_encrypted_for_it() {
    let mut desk = Desk::new().await;
    let bob = Identity::generate();
    let bobs = desk.accept(&bob);
    add_recipient(&desk.context, &bobs, "bob", None, &desk.accepted).await.unwrap();
    let mut without = recipients(&desk.context).await.unwrap();
    without.remove(&bobs).unwrap();
    let removal = desk.context.keys.put(&Key::SecretRecipients, &without);
    let context = interrupted(&desk, vec![removal]);
    let record = set(&context, &name("db"), &bytes("swordfish"), &desk.accepted).await.unwrap();
    assert_eq!(record.recipients, [key(&desk.alice)].into());
    assert!(desk.read(&bob, "db").await.is_err() && desk.read(&desk.alice, "db").await.is_ok());
}

#[tokio::test]
async fn a_value_that_is_set_while_it_is_encrypted_anew_is_the_one_that_stays() {
    let mut desk = Desk::new().await;
    let bob = Identity::generate();
    let bobs = desk.accept(&bob);
    desk.set("db", "old").await.unwrap();
    let mut with = recipients(&desk.context).await.unwrap();
    with.insert(bobs.clone(), with.values().next().unwrap().clone());
    desk.put(desk.context.keys.put(&Key::SecretRecipients, &with)).await;
    // The other process has read the list before bob was added to it.
    let only = [key(&desk.alice)].into();
    let (version, value) = (SecretVersion::from_bits(7), bytes("new"));
    let sealed = secret::seal(&name("db"), version, &value, &only).unwrap();
    let record = SecretRecord { version, recipients: only, ..desk.snapshot().await.secrets[&name("db")].clone() };
    let context = interrupted(&desk, stored(&desk.context, &name("db"), &record, sealed));
    let anew = add_recipient(&context, &bobs, "bob", Some(&desk.alice), &desk.accepted).await.unwrap();
    assert_eq!(anew, [name("db")]);
    for reader in [&desk.alice, &bob] {
        assert_eq!(desk.read(reader, "db").await.unwrap(), (version, "new".to_owned()));
    }
}

#[tokio::test]
async fn a_secret_that_is_set_while_it_is_removed_is_removed_with_its_value() {
    let desk = Desk::new().await;
    let record = desk.set("db", "old").await.unwrap();
    let sealed = secret::seal(&name("db"), record.version, &bytes("new"), &record.recipients).unwrap();
    let context = interrupted(&desk, stored(&desk.context, &name("db"), &record, sealed));
    remove(&context, &[name("db")], false).await.unwrap();
    assert!(desk.snapshot().await.secrets.is_empty() && desk.read(&desk.alice, "db").await.is_err());
}

#[test]
fn an_error_about_many_recipients_names_the_first_ones() {
    let key: RecipientKey = format!("age1{}", "q".repeat(58)).parse().unwrap();
    let error = SecretError::NotAccepted(vec![(key, "x".repeat(1000)); 10]).to_string();
    assert!(error.ends_with(" and 2 more") && error.len() < 1500, "{error}");
}

#[tokio::test]
async fn a_list_of_recipients_that_cannot_be_parsed_and_one_that_is_missing_are_errors() {
    let desk = Desk::new().await;
    desk.put(Op::put(desk.context.keys.key(&Key::SecretRecipients), "[]")).await;
    let error = desk.set("db", "x").await.unwrap_err().to_string();
    assert!(
        error.starts_with("the record /muster/default/secret-recipients of the store cannot be parsed: "),
        "{error}"
    );
    desk.put(desk.context.keys.delete(&Key::SecretRecipients)).await;
    let error = desk.set("db", "x").await.unwrap_err().to_string();
    assert_eq!(error, "the cluster has no recipients for which a secret could be encrypted");
}
