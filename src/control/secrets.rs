//! The secrets of a cluster: they are set, removed, and encrypted anew when their recipients change.
//!
//! The value and the record of a secret are written in one commit, on condition that the list of recipients is the one for
//! which the value was encrypted. So no value is ever encrypted for another list than that of its record, and of two
//! operators that set a secret at once, the later one wins wholly. No value is encrypted for a recipient that the operator
//! has not accepted.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use super::retry::Attempts;
use super::retry::Contended;
use crate::core::command;
use crate::core::model::About;
use crate::core::model::Event;
use crate::core::model::EventKind;
use crate::core::model::Recipient;
use crate::core::model::RecipientKey;
use crate::core::model::Recipients;
use crate::core::model::SecretRecord;
use crate::core::model::SecretVersion;
use crate::core::model::Snapshot;
use crate::core::model::Unit;
use crate::core::model::Write;
use crate::core::sanitize::truncate;
use crate::core::secret_name::SecretName;
use crate::core::unit::UnitName;
use crate::runner::Clock;
use crate::secret;
use crate::secret::Accepted;
use crate::secret::Identity;
use crate::secret::OpenError;
use crate::secret::RECIPIENT_LIMIT;
use crate::secret::SealError;
use crate::store::COMMIT_LIMIT;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::Revision;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;

/// How many secrets are removed in one commit: each takes one precondition and three operations.
const REMOVED_PER_COMMIT: usize = COMMIT_LIMIT / 3;

/// The most recipients that an error names, and the most characters of a name. The store supplies both.
const SHOWN_KEYS: usize = 8;
const SHOWN_CHARACTERS: usize = 64;

/// The handles that the operations on secrets need. They reach no host.
#[derive(Debug, Clone)]
pub struct SecretContext {
    /// The store.
    pub store: SharedStore,
    /// The keys of the cluster.
    pub keys: Keyspace,
    /// The clock.
    pub clock: Clock,
    /// The operator: `user@host`.
    pub operator: String,
}

/// A change of secrets that was not made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The cluster has no recipients. Nothing was changed.
    #[error("the cluster has no recipients for which a secret could be encrypted")]
    NoRecipients,
    /// The store names recipients that the operator has not accepted. Nothing was changed.
    #[error("the store names recipients that you have not accepted: {}", listed_keys(.0))]
    NotAccepted(Vec<(RecipientKey, String)>),
    /// A record was written by a newer muster, or by hand. Nothing was changed.
    #[error("the record {key} of the store cannot be parsed: {why}")]
    Unreadable {
        /// The key of the record.
        key: String,
        /// The error of the parser.
        why: String,
    },
    /// The cluster has no such secrets. Nothing was changed.
    #[error("there is no secret {}", names(.0))]
    Unknown(Vec<SecretName>),
    /// Units name the secrets. Nothing was changed.
    #[error("{}", in_use(.0))]
    InUse(Vec<(SecretName, BTreeSet<UnitName>)>),
    /// The list has no such recipient. Nothing was changed.
    #[error("there is no recipient {0:?}")]
    UnknownRecipient(String),
    /// Several recipients have the name. Nothing was changed.
    #[error("there are several recipients with the name {0:?}")]
    AmbiguousRecipient(String),
    /// It is the only recipient. Nothing was changed.
    #[error("{0} is the only recipient: no secret could be read without it")]
    LastRecipient(RecipientKey),
    /// There are as many recipients as a value can be encrypted for. Nothing was changed.
    #[error("there are {RECIPIENT_LIMIT} recipients already, which is the most that there can be")]
    TooMany,
    /// Secrets are encrypted for other keys than those of the operator. Nothing was changed.
    #[error("no key of your identity can read the secrets {}", names(.0))]
    NoKey(Vec<SecretName>),
    /// Secrets must be encrypted anew, and the operator has no identity. Nothing was changed.
    #[error("you have no identity, which is needed to encrypt the secrets anew")]
    NoIdentity,
    /// A value could not be encrypted. Nothing was changed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A value could not be decrypted. The secrets before it in the alphabet were encrypted anew.
    #[error("secret {0} {1}")]
    Open(SecretName, OpenError),
    /// The value of a secret is not in the store, although its record is.
    #[error("the store has no value of the secret {0}")]
    NoValue(SecretName),
    /// Other processes kept changing the same records. Nothing was changed.
    #[error(transparent)]
    Contended(#[from] Contended),
    /// The system has no random number for the version. Nothing was changed.
    #[error("no random number for the version of the secret: {0}")]
    NoRandomness(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn names(names: &[SecretName]) -> String {
    names.iter().map(SecretName::as_str).collect::<Vec<_>>().join(", ")
}

fn listed_keys(keys: &[(RecipientKey, String)]) -> String {
    let one = |(key, name): &(RecipientKey, String)| format!("{key} ({})", truncate(name, SHOWN_CHARACTERS));
    let shown: Vec<String> = keys.iter().take(SHOWN_KEYS).map(one).collect();
    let more = keys.len().saturating_sub(SHOWN_KEYS);
    shown.join(", ") + &if more == 0 { String::new() } else { format!(" and {more} more") }
}

fn in_use(secrets: &[(SecretName, BTreeSet<UnitName>)]) -> String {
    let one = |(name, units): &(SecretName, BTreeSet<UnitName>)| {
        let units: Vec<&str> = units.iter().map(UnitName::as_str).collect();
        format!("secret {name} is named by {}", units.join(", "))
    };
    secrets.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// The recipients in the store, and the condition that they are the same when something is written.
struct Listed {
    recipients: Recipients,
    unchanged: Precondition,
}

impl Listed {
    async fn read(context: &SecretContext) -> Result<Self, SecretError> {
        let key = context.keys.key(&Key::SecretRecipients);
        let Some(entry) = context.store.get(&key).await? else {
            return Ok(Self { recipients: Recipients::new(), unchanged: Precondition::Absent(key) });
        };
        let recipients =
            layout::decode(&entry.value).map_err(|why| SecretError::Unreadable { key: key.clone(), why })?;
        Ok(Self { recipients, unchanged: Precondition::Modified(key, entry.modified) })
    }

    /// Returns the keys for which values are encrypted. All of them must have been accepted.
    fn accepted_keys(&self, accepted: &Accepted) -> Result<BTreeSet<RecipientKey>, SecretError> {
        let missing = accepted.missing(&self.recipients);
        if !missing.is_empty() {
            return Err(SecretError::NotAccepted(missing));
        }
        if self.recipients.is_empty() { Err(SecretError::NoRecipients) } else { Ok(keys(&self.recipients)) }
    }
}

fn keys(recipients: &Recipients) -> BTreeSet<RecipientKey> {
    recipients.keys().cloned().collect()
}

/// Returns the recipients that the store names.
pub async fn recipients(context: &SecretContext) -> Result<Recipients, SecretError> {
    Ok(Listed::read(context).await?.recipients)
}

/// Sets a secret, which may exist. Returns its record.
pub async fn set(
    context: &SecretContext,
    name: &SecretName,
    value: &SecretSlice<u8>,
    accepted: &Accepted,
) -> Result<SecretRecord, SecretError> {
    let mut attempts = Attempts::at("the recipients");
    loop {
        attempts.next()?;
        let listed = Listed::read(context).await?;
        let recipients = listed.accepted_keys(accepted)?;
        let version = random_version()?;
        let sealed = secret::seal(name, version, value, &recipients)?;
        let size = u64::try_from(value.expose_secret().len()).unwrap_or(u64::MAX);
        let (set_at, set_by) = (context.clock.now(), context.operator.clone());
        let record = SecretRecord { version, size, set_at, set_by, recipients };
        let mut ops = stored(context, name, &record, sealed);
        ops.extend(logged(context, [EventKind::SecretSet(name.clone())]));
        if context.store.commit(vec![listed.unchanged], ops).await?.is_some() {
            return Ok(record);
        }
    }
}

/// The units that a new version of a secret changes.
#[derive(Debug, Default)]
pub struct RenewedUnits {
    /// The units that name the secret and get other files.
    pub units: BTreeSet<UnitName>,
    /// A warning for each other unit that stops and starts with one of them.
    pub warnings: Vec<String>,
}

/// Lets the units that name a secret get its present version, because their files name the version: a controller or the next
/// sweep replaces them, and starts the units again that systemd stops together with them.
pub async fn renew_units(context: &SecretContext, name: &SecretName) -> Result<RenewedUnits, SecretError> {
    let mut renewed = BTreeSet::new();
    let mut attempts = Attempts::at("the units that name the secret");
    loop {
        attempts.next()?;
        let unit = |key| if let Key::Unit(unit) = key { Some(unit) } else { None };
        let (snapshot, revisions) = layout::read_with_revisions(&*context.store, &context.keys, unit).await?;
        let mut is_done = true;
        for unit in snapshot.units_by_secret().remove(name).unwrap_or_default() {
            let (record, file) = (snapshot.units.get(&unit), snapshot.file(&unit));
            let Some(((record, file), revision)) = record.zip(file).zip(revisions.get(&unit)) else { continue };
            let file = command::with_secrets(&snapshot, file);
            if file.hash() == record.hash {
                continue;
            }
            let unchanged = Precondition::Modified(context.keys.key(&Key::Unit(unit.clone())), *revision);
            let record = Unit { hash: file.hash(), ..*record };
            let ops = layout::submit(&context.keys, &unit, &record, &file);
            if context.store.commit(vec![unchanged], ops).await?.is_some() {
                renewed.insert(unit);
            } else {
                is_done = false;
            }
        }
        if is_done {
            let warnings = command::replacement_warnings(&snapshot, &renewed);
            return Ok(RenewedUnits { units: renewed, warnings });
        }
    }
}

fn random_version() -> Result<SecretVersion, SecretError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::NoRandomness(error.to_string()))?;
    Ok(SecretVersion::from_bits(u128::from_be_bytes(bytes)))
}

/// Returns the operations that store a secret. They belong in one commit.
fn stored(context: &SecretContext, name: &SecretName, record: &SecretRecord, sealed: Vec<u8>) -> Vec<Op> {
    let value = Op::put(context.keys.key(&Key::SecretValue(name.clone())), sealed);
    vec![value, context.keys.put(&Key::Secret(name.clone()), record)]
}

/// Returns the operations that log changes of the operator.
fn logged(context: &SecretContext, kinds: impl IntoIterator<Item = EventKind>) -> Vec<Op> {
    let now = context.clock.now();
    let event = |kind| Write::Log(Event::new(now, None, None, kind).by(&context.operator));
    context.keys.ops(&kinds.into_iter().map(event).collect::<Vec<_>>())
}

/// Reads the cluster, and the revision of each secret's record.
async fn read(context: &SecretContext) -> Result<(Snapshot, BTreeMap<SecretName, Revision>), StoreError> {
    let secret = |key| if let Key::Secret(name) = key { Some(name) } else { None };
    layout::read_with_revisions(&*context.store, &context.keys, secret).await
}

/// Removes secrets. Without `force`, no unit may name one of them.
pub async fn remove(context: &SecretContext, secrets: &[SecretName], force: bool) -> Result<(), SecretError> {
    let mut left: BTreeSet<SecretName> = secrets.iter().cloned().collect();
    let mut attempts = Attempts::at("the same secrets");
    let mut is_first = true;
    while !left.is_empty() {
        attempts.next()?;
        let (snapshot, revisions) = read(context).await?;
        let unknown: Vec<SecretName> = left.iter().filter(|name| !revisions.contains_key(*name)).cloned().collect();
        if is_first && !unknown.is_empty() {
            return Err(SecretError::Unknown(unknown));
        }
        is_first = false;
        let mut units = snapshot.units_by_secret();
        let in_use = left.iter().filter_map(|name| Some((name.clone(), units.remove(name)?)));
        let in_use: Vec<_> = in_use.filter(|_| !force).collect();
        if !in_use.is_empty() {
            return Err(SecretError::InUse(in_use));
        }
        let found: Vec<_> = left.iter().filter_map(|name| Some((name.clone(), *revisions.get(name)?))).collect();
        left.clear();
        for portion in found.chunks(REMOVED_PER_COMMIT) {
            if !commit_removal(context, portion).await? {
                left.extend(portion.iter().map(|(name, _)| name.clone()));
            }
        }
    }
    Ok(())
}

/// Removes secrets unless one was changed since it was read. Reports whether they were removed.
async fn commit_removal(context: &SecretContext, secrets: &[(SecretName, Revision)]) -> Result<bool, StoreError> {
    let mut unchanged = Vec::new();
    let mut ops = logged(context, secrets.iter().map(|(name, _)| EventKind::SecretRemoved(name.clone())));
    for (name, revision) in secrets {
        let key = Key::Secret(name.clone());
        unchanged.push(Precondition::Modified(context.keys.key(&key), *revision));
        ops.extend([context.keys.delete(&key), context.keys.delete(&Key::SecretValue(name.clone()))]);
    }
    Ok(context.store.commit(unchanged, ops).await?.is_some())
}

/// Adds a recipient, which must be among the accepted ones, and encrypts the secrets anew. One that is in the list already
/// keeps its entry. Returns the secrets that were encrypted anew.
pub async fn add_recipient(
    context: &SecretContext,
    key: &RecipientKey,
    name: &str,
    identity: Option<&Identity>,
    accepted: &Accepted,
) -> Result<Vec<SecretName>, SecretError> {
    secret::check(key)?;
    let change = |recipients: &mut Recipients| {
        if recipients.contains_key(key) {
            return Ok(None);
        }
        if recipients.len() >= RECIPIENT_LIMIT {
            return Err(SecretError::TooMany);
        }
        let (added_at, added_by) = (context.clock.now(), context.operator.clone());
        recipients.insert(key.clone(), Recipient { name: name.to_owned(), added_at, added_by });
        Ok(Some(EventKind::RecipientAdded { name: name.to_owned(), key: key.clone() }))
    };
    change_recipients(context, identity, accepted, change).await?;
    encrypt_anew(context, identity, accepted).await
}

/// Removes a recipient, given by its key or by its name, and encrypts the secrets anew. Returns its key and the secrets that
/// were encrypted anew. They must be set to other values, because the recipient could read these.
pub async fn remove_recipient(
    context: &SecretContext,
    text: &str,
    identity: Option<&Identity>,
    accepted: &Accepted,
) -> Result<(RecipientKey, Vec<SecretName>), SecretError> {
    let mut removed = None;
    // A removal that did not come to its end is repeated: the key is in the list no more, and secrets still have it.
    let is_gone = |recipients: &Recipients| text.parse().is_ok_and(|key| !recipients.contains_key(&key));
    let change = |recipients: &mut Recipients| {
        if is_gone(recipients) {
            return Ok(None);
        }
        let key = find(recipients, text)?;
        if recipients.len() == 1 {
            return Err(SecretError::LastRecipient(key));
        }
        let name = recipients.remove(&key).map(|recipient| recipient.name).unwrap_or_default();
        Ok(Some(EventKind::RecipientRemoved { name, key: removed.insert(key).clone() }))
    };
    change_recipients(context, identity, accepted, change).await?;
    let secrets = encrypt_anew(context, identity, accepted).await?;
    let repeated = || text.parse().ok().filter(|_| !secrets.is_empty());
    let key = removed.or_else(repeated).ok_or_else(|| SecretError::UnknownRecipient(text.to_owned()))?;
    Ok((key, secrets))
}

/// Returns the key of a recipient that is given by its key or by its name.
fn find(recipients: &Recipients, text: &str) -> Result<RecipientKey, SecretError> {
    let named = |(key, recipient): &(&RecipientKey, &Recipient)| key.as_str() == text || recipient.name == text;
    let mut found = recipients.iter().filter(named).map(|(key, _)| key.clone());
    let unknown = || SecretError::UnknownRecipient(text.chars().take(80).collect());
    let key = found.next().ok_or_else(unknown)?;
    if found.next().is_some() { Err(SecretError::AmbiguousRecipient(text.to_owned())) } else { Ok(key) }
}

/// Changes the list of recipients, if the operator can then encrypt the secrets anew.
async fn change_recipients(
    context: &SecretContext,
    identity: Option<&Identity>,
    accepted: &Accepted,
    mut change: impl FnMut(&mut Recipients) -> Result<Option<EventKind>, SecretError>,
) -> Result<(), SecretError> {
    let mut attempts = Attempts::at("the recipients");
    loop {
        attempts.next()?;
        let Listed { recipients, unchanged } = Listed::read(context).await?;
        let mut changed = Listed { recipients, unchanged };
        let Some(event) = change(&mut changed.recipients)? else { return Ok(()) };
        let keys = changed.accepted_keys(accepted)?;
        stale(&read(context).await?.0, &keys, identity)?;
        let mut ops = logged(context, [event]);
        ops.push(context.keys.put(&Key::SecretRecipients, &changed.recipients));
        if context.store.commit(vec![changed.unchanged], ops).await?.is_some() {
            return Ok(());
        }
    }
}

/// Returns the secrets that are encrypted for other recipients than these. The identity must be able to read them.
fn stale(
    snapshot: &Snapshot,
    recipients: &BTreeSet<RecipientKey>,
    identity: Option<&Identity>,
) -> Result<Vec<SecretName>, SecretError> {
    let is_secret = |about: &About| matches!(about, About::Secret(_));
    if let Some((key, record)) = snapshot.unreadable.iter().find(|(_, record)| is_secret(&record.about)) {
        return Err(SecretError::Unreadable { key: key.clone(), why: record.why.clone() });
    }
    let stale: Vec<_> = snapshot.secrets.iter().filter(|(_, record)| record.recipients != *recipients).collect();
    if stale.is_empty() {
        return Ok(Vec::new());
    }
    let identity = identity.ok_or(SecretError::NoIdentity)?;
    let closed = stale.iter().filter(|(_, record)| !identity.reads(&record.recipients));
    let closed: Vec<SecretName> = closed.map(|(name, _)| (*name).clone()).collect();
    if !closed.is_empty() {
        return Err(SecretError::NoKey(closed));
    }
    Ok(stale.into_iter().map(|(name, _)| name.clone()).collect())
}

/// Encrypts the secrets anew that are encrypted for other recipients than those in the list. Their versions stay. Returns
/// their names.
async fn encrypt_anew(
    context: &SecretContext,
    identity: Option<&Identity>,
    accepted: &Accepted,
) -> Result<Vec<SecretName>, SecretError> {
    let recipients = Listed::read(context).await?.accepted_keys(accepted)?;
    let names = stale(&read(context).await?.0, &recipients, identity)?;
    let Some(identity) = identity.filter(|_| !names.is_empty()) else { return Ok(Vec::new()) };
    for name in &names {
        encrypt_one_anew(context, name, identity, accepted).await?;
    }
    Ok(names)
}

async fn encrypt_one_anew(
    context: &SecretContext,
    name: &SecretName,
    identity: &Identity,
    accepted: &Accepted,
) -> Result<(), SecretError> {
    let (record_key, value_key) = (Key::Secret(name.clone()), Key::SecretValue(name.clone()));
    let (record_key, value_key) = (context.keys.key(&record_key), context.keys.key(&value_key));
    let mut attempts = Attempts::at("the same secret");
    loop {
        attempts.next()?;
        let listed = Listed::read(context).await?;
        let recipients = listed.accepted_keys(accepted)?;
        let Some(entry) = context.store.get(&record_key).await? else { return Ok(()) };
        let unreadable = |why| SecretError::Unreadable { key: record_key.clone(), why };
        let record: SecretRecord = layout::decode(&entry.value).map_err(unreadable)?;
        if record.recipients == recipients {
            return Ok(());
        }
        let value = context.store.get(&value_key).await?.ok_or_else(|| SecretError::NoValue(name.clone()))?;
        let opened = secret::open(name, &value.value, identity);
        let (version, text) = opened.map_err(|why| SecretError::Open(name.clone(), why))?;
        let sealed = secret::seal(name, version, &text, &recipients)?;
        let record = SecretRecord { version, recipients, ..record };
        let unchanged = vec![
            listed.unchanged,
            Precondition::Modified(record_key.clone(), entry.modified),
            Precondition::Modified(value_key.clone(), value.modified),
        ];
        if context.store.commit(unchanged, stored(context, name, &record, sealed)).await?.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
