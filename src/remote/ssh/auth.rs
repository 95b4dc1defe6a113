//! Proving who we are: which keys there are, and offering them one by one. Secrets stay in here.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use russh::AgentAuthError;
use russh::MethodKind;
use russh::Signer;
use russh::client::AuthResult;
use russh::client::Handle;
use russh::keys::Certificate;
use russh::keys::HashAlg;
use russh::keys::PrivateKey;
use russh::keys::PrivateKeyWithHashAlg;
use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::private::KeypairData;
use tokio::net::UnixStream;

use super::destination::Destination;
use super::failure::At;
use super::failure::hint;
use super::host_key::Client;
use super::host_key::Why;
use crate::core::model::Failure;
use crate::core::model::FailureKind;

/// How many keys are offered. sshd(8) hangs up after six (`MaxAuthTries`).
const MAX_OFFERS: usize = 5;

/// One thing to offer: whose signature, and by whom.
struct Offer {
    what: AgentIdentity,
    by: By,
}

enum By {
    /// We have the private key.
    Us(Arc<PrivateKey>),
    /// The agent has it.
    Agent,
}

/// What there is to offer, and what there would be if it could be used.
#[derive(Default)]
struct Offers {
    list: Vec<Offer>,
    /// Keys with a passphrase that the agent does not have.
    locked: Vec<PathBuf>,
    /// Keys that somebody asked for by name and that cannot be used, with the reason.
    broken: Vec<String>,
}

/// Proves who we are to a host, by the first key it takes.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    destination: &Destination,
    why: &Why,
    at: At<'_>,
) -> Result<(), Failure> {
    let mut agent = Agent::connect(destination.agent.as_deref(), handle).await;
    let offers = collect(destination, &agent.identities);
    let user = &destination.config.user;
    let mut tried = 0;
    for offer in offers.list.iter().take(MAX_OFFERS) {
        tried += 1;
        match try_one(handle, user, offer, &mut agent, why, at).await? {
            Answer::Yes => return Ok(()),
            Answer::No { go_on: true } => {}
            Answer::No { go_on: false } => break,
            Answer::More(methods) => {
                let detail = format!("it takes the key of {user:?} and wants more than that: {methods}");
                return Err(at.failure(FailureKind::Denied, detail));
            }
        }
    }
    // A host may let everybody in, or trust who comes from our address.
    if tried == 0 {
        let answer = handle.authenticate_none(user).await.map_err(|error| at.ssh(&error))?;
        if answer.success() {
            return Ok(());
        }
        alive(handle, why, at)?;
    }
    Err(denied(&offers, user, tried, at))
}

fn denied(offers: &Offers, user: &str, tried: usize, at: At<'_>) -> Failure {
    let detail = match tried {
        0 => format!("there is no key to log in with as {user:?}"),
        1 => format!("it refused the one key we have for {user:?}"),
        _ => format!("it refused all {tried} keys that we offered for {user:?}"),
    };
    let detail = offers.broken.iter().fold(detail, |detail, why| format!("{detail}; {why}"));
    let advice = if let Some(locked) = offers.locked.first() {
        format!("{0} has a passphrase: `ssh-add {0}` first.", locked.display())
    } else if offers.list.len() > MAX_OFFERS {
        format!(
            "Only the first {MAX_OFFERS} of {} keys were offered: name the right one with IdentityFile.",
            offers.list.len()
        )
    } else if tried == 0 {
        "Name a key with IdentityFile or `ansible_ssh_private_key_file`, or load one with `ssh-add`.".to_owned()
    } else {
        format!("Check that the public key is in the authorized_keys of {user:?} there.")
    };
    hint(at.failure(FailureKind::Denied, detail), advice)
}

enum Answer {
    Yes,
    /// Another key may be offered, or not.
    No {
        go_on: bool,
    },
    /// The key was taken and is not enough.
    More(String),
}

async fn try_one(
    handle: &mut Handle<Client>,
    user: &str,
    offer: &Offer,
    agent: &mut Agent,
    why: &Why,
    at: At<'_>,
) -> Result<Answer, Failure> {
    let key = offer.what.public_key().into_owned();
    // Without a word from the server, SHA-2 is the better guess: SHA-1 has been off by default since OpenSSH 8.8.
    let hash = if key.algorithm().is_rsa() {
        let best = handle.best_supported_rsa_hash().await.map_err(|error| at.ssh(&error))?;
        Some(best.flatten().unwrap_or(HashAlg::Sha512))
    } else {
        None
    };
    let mut pen = match &offer.by {
        By::Us(key) => Pen::Ours(key.clone(), hash),
        By::Agent => Pen::Agents(agent),
    };
    let result = match &offer.what {
        AgentIdentity::PublicKey { .. } => handle.authenticate_publickey_with(user, key, hash, &mut pen).await,
        AgentIdentity::Certificate { certificate, .. } => {
            handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut pen).await
        }
    };
    match result {
        Ok(AuthResult::Success) => Ok(Answer::Yes),
        Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
            alive(handle, why, at)?;
            if partial_success {
                let names: Vec<String> = remaining_methods.iter().map(String::from).collect();
                return Ok(Answer::More(names.join(", ")));
            }
            Ok(Answer::No { go_on: remaining_methods.contains(&MethodKind::PublicKey) })
        }
        Err(AgentAuthError::Send(_)) => Err(at.failure(FailureKind::Reset, "the connection was closed")),
        // The agent would not sign: its user said no, or the key is gone. The next one may do.
        Err(AgentAuthError::Key(error)) => {
            tracing::debug!("{}: no signature: {error}", at.host);
            Ok(Answer::No { go_on: true })
        }
    }
}

/// The library says "refused" for a connection that has ended; this tells the two apart.
fn alive(handle: &Handle<Client>, why: &Why, at: At<'_>) -> Result<(), Failure> {
    if !handle.is_closed() {
        return Ok(());
    }
    Err(match why.get() {
        // "Too many authentication failures" and the like.
        Some(end) if end.said => at.failure(FailureKind::Denied, &end.text),
        Some(end) => at.failure(end.kind, &end.text),
        None => at.failure(FailureKind::Reset, "the connection was closed"),
    })
}

fn collect(destination: &Destination, held: &[AgentIdentity]) -> Offers {
    let mut offers = Offers::default();
    let certificates: Vec<Certificate> = destination.certificates.iter().filter_map(|path| certificate(path)).collect();
    for (path, named) in &destination.keys {
        let Some((key, by)) = read_key(path, *named, held, &mut offers) else { continue };
        let beside = certificate(&with_suffix(path, "-cert.pub"));
        let ours = certificates.iter().cloned().chain(beside).filter(|it| it.public_key() == key.key_data());
        for certificate in ours {
            offers.add(certificate.into(), &by);
        }
        offers.add(key.into(), &by);
    }
    if !destination.config.identities_only {
        for identity in held {
            offers.add(identity.clone(), &By::Agent);
        }
    }
    offers
}

impl Offers {
    fn add(&mut self, what: AgentIdentity, by: &By) {
        let same = |offer: &Offer| match (&offer.what, &what) {
            (AgentIdentity::PublicKey { key: one, .. }, AgentIdentity::PublicKey { key: other, .. }) => {
                one.key_data() == other.key_data()
            }
            (
                AgentIdentity::Certificate { certificate: one, .. },
                AgentIdentity::Certificate { certificate: other, .. },
            ) => one == other,
            _ => false,
        };
        if !self.list.iter().any(same) {
            let by = match by {
                By::Us(key) => By::Us(key.clone()),
                By::Agent => By::Agent,
            };
            self.list.push(Offer { what, by });
        }
    }
}

/// Reads a private key, or the public half of one that the agent holds.
fn read_key(path: &Path, named: bool, held: &[AgentIdentity], offers: &mut Offers) -> Option<(PublicKey, By)> {
    let held = |key: &PublicKey| held.iter().any(|identity| identity.public_key().key_data() == key.key_data());
    let public = || russh::keys::load_public_key(with_suffix(path, ".pub")).ok();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            // The public half is enough where the agent has the rest.
            if let Some(key) = public().filter(|key| held(key)) {
                return Some((key, By::Agent));
            }
            if named {
                offers.broken.push(format!("cannot read {}: {error}", path.display()));
            }
            return None;
        }
    };
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        if held(&key) {
            return Some((key, By::Agent));
        }
        offers.broken.push(format!("{} is a public key, and the agent does not have its other half", path.display()));
        return None;
    }
    match russh::keys::decode_secret_key(&text, None) {
        Ok(key) => Some((key.public_key().clone(), By::Us(Arc::new(key)))),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let key = PrivateKey::from_openssh(&text).ok().map(|key| key.public_key().clone()).or_else(public);
            let key = key.filter(|key| held(key));
            if key.is_none() {
                offers.locked.push(path.to_path_buf());
            }
            key.map(|key| (key, By::Agent))
        }
        Err(error) => {
            offers.broken.push(format!("{} is not a key we can use: {error}", path.display()));
            None
        }
    }
}

fn certificate(path: &Path) -> Option<Certificate> {
    russh::keys::load_openssh_certificate(path).ok()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The agent, if there is one, and what it holds.
struct Agent {
    client: Option<AgentClient<UnixStream>>,
    identities: Vec<AgentIdentity>,
}

impl Agent {
    async fn connect(socket: Option<&Path>, handle: &Handle<Client>) -> Self {
        let mut agent = Self { client: None, identities: Vec::new() };
        let Some(socket) = socket else { return agent };
        let talk = async {
            let mut client = AgentClient::connect_uds(socket).await?;
            if let Some(binding) = handle.agent_session_binding() {
                // Agents older than OpenSSH 8.9 do not know it, and need not.
                let _ = client.bind_session(binding, false).await;
            }
            let identities = client.request_identities().await?;
            Ok::<_, russh::keys::Error>((client, identities))
        };
        match talk.await {
            Ok((client, identities)) => (agent.client, agent.identities) = (Some(client), identities),
            Err(error) => tracing::warn!("the SSH agent at {} does not answer: {error}", socket.display()),
        }
        agent
    }
}

/// Signs, with our key or by the agent.
enum Pen<'a> {
    Ours(Arc<PrivateKey>, Option<HashAlg>),
    Agents(&'a mut Agent),
}

impl Signer for Pen<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        match self {
            Self::Agents(Agent { client: Some(client), .. }) => client.auth_sign(key, hash, data).await,
            Self::Agents(_) => Err(AgentAuthError::Key(russh::keys::Error::AgentFailure)),
            Self::Ours(key, hash) => {
                let signature = sign(key, *hash, &data).map_err(|error| AgentAuthError::Key(error.into()))?;
                let length = u32::try_from(signature.len()).unwrap_or(u32::MAX);
                data.extend_from_slice(&length.to_be_bytes());
                data.extend_from_slice(&signature);
                Ok(data)
            }
        }
    }
}

fn sign(key: &Arc<PrivateKey>, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, russh::keys::ssh_key::Error> {
    let key = PrivateKeyWithHashAlg::new(key.clone(), hash);
    let signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, key.hash_alg()).try_sign(data)?,
        pair => pair.try_sign(data)?,
    };
    Vec::try_from(signature)
}
