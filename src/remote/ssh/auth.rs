//! Logging in: finds the keys and offers them one by one, then the password if there is one. Secrets do not leave this module.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use russh::AgentAuthError;
use russh::MethodKind;
use russh::Signer;
use russh::client::AuthResult;
use russh::client::Handle;
use russh::client::KeyboardInteractiveAuthResponse;
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
use super::failure::ErrorContext;
use super::failure::hint;
use super::host_key::Client;
use super::host_key::SharedCloseReason;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::remote::OUR_FAULT;
use crate::remote::Password;

/// How many keys are offered. sshd(8) disconnects after six (`MaxAuthTries`).
const MAX_OFFERS: usize = 5;

/// How many questions are answered with a password. PAM asks one, and ends with an empty one.
const MAX_QUESTIONS: usize = 3;

/// How many bytes of the file of a key are read. The largest key in use has less than half of them.
const KEY_BYTES: u64 = 64 << 10;

/// A key or certificate to offer, and the place of its private key.
struct Offer {
    identity: AgentIdentity,
    source: KeySource,
}

enum KeySource {
    /// The private key was read from a file.
    File(Arc<PrivateKey>),
    /// The agent has the private key.
    Agent,
}

/// The keys to offer, and the keys that cannot be used.
#[derive(Default)]
struct Offers {
    list: Vec<Offer>,
    /// Keys with a passphrase that the agent does not have.
    locked: Vec<PathBuf>,
    /// Configured keys that cannot be used, with the reason.
    broken: Vec<String>,
}

/// Logs in to a host with the first key that it accepts.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    destination: &Destination,
    close_reason: &SharedCloseReason,
    at: ErrorContext<'_>,
) -> Result<(), Failure> {
    let mut agent = Agent::connect(destination.agent.as_deref(), handle).await;
    let (owned, held) = (destination.clone(), agent.identities.clone());
    // Keys may be on a slow file system, and parsing them costs CPU.
    let collected = tokio::task::spawn_blocking(move || collect(&owned, &held)).await;
    let offers = collected.map_err(|_| at.local(OUR_FAULT))?;
    let user = &destination.config.user;
    let mut tried = 0;
    for offer in offers.list.iter().take(MAX_OFFERS) {
        tried += 1;
        match try_one(handle, user, offer, &mut agent, close_reason, at).await? {
            Answer::Accepted => return Ok(()),
            Answer::Refused { may_retry: true } => {}
            Answer::Refused { may_retry: false } => break,
            Answer::More(methods) => {
                let detail = format!("the host accepts the key of {user:?} and asks for more: {methods}");
                return Err(at.failure(FailureKind::Denied, detail));
            }
        }
    }
    if let Some(password) = &destination.password {
        if try_password(handle, user, password, close_reason, at).await? {
            return Ok(());
        }
        return Err(at.failure(FailureKind::Denied, format!("the host refused the password of {user:?}")));
    }
    // A host may accept any user, or trust this machine's address.
    if tried == 0 {
        let answer = handle.authenticate_none(user).await.map_err(|error| at.ssh(&error))?;
        if answer.success() {
            return Ok(());
        }
        check_alive(handle, close_reason, at)?;
    }
    Err(denied(&offers, user, tried, at))
}

fn denied(offers: &Offers, user: &str, tried: usize, at: ErrorContext<'_>) -> Failure {
    let detail = match tried {
        0 => format!("there is no key to log in with as {user:?}"),
        1 => format!("the host refused the only key for {user:?}"),
        _ => format!("the host refused all {tried} keys that were offered for {user:?}"),
    };
    let detail = offers.broken.iter().fold(detail, |detail, why| format!("{detail}; {why}"));
    let advice = if let Some(locked) = offers.locked.first() {
        format!("Run `ssh-add {0}` first: the key has a passphrase.", locked.display())
    } else if offers.list.len() > MAX_OFFERS {
        format!(
            "Name the right key with IdentityFile: only the first {MAX_OFFERS} of {} keys were offered.",
            offers.list.len()
        )
    } else if tried == 0 {
        "Name a key with IdentityFile or `ansible_ssh_private_key_file`, or load one with `ssh-add`.".to_owned()
    } else {
        format!("Check that the public key is in the authorized_keys of {user:?} on the host.")
    };
    hint(at.failure(FailureKind::Denied, detail), advice)
}

enum Answer {
    Accepted,
    /// The host refused the key. Another key may be offered, or not.
    Refused {
        may_retry: bool,
    },
    /// The host accepted the key and asks for more.
    More(String),
}

async fn try_one(
    handle: &mut Handle<Client>,
    user: &str,
    offer: &Offer,
    agent: &mut Agent,
    close_reason: &SharedCloseReason,
    at: ErrorContext<'_>,
) -> Result<Answer, Failure> {
    let key = offer.identity.public_key().into_owned();
    // If the server names no algorithm, SHA-2 is the better guess: OpenSSH disables SHA-1 since 8.8.
    let hash = if key.algorithm().is_rsa() {
        let best = handle.best_supported_rsa_hash().await.map_err(|error| at.ssh(&error))?;
        Some(best.flatten().unwrap_or(HashAlg::Sha512))
    } else {
        None
    };
    let mut signer = match &offer.source {
        KeySource::File(key) => KeySigner::Local(key.clone(), hash),
        KeySource::Agent => KeySigner::Agent(agent),
    };
    let result = match &offer.identity {
        AgentIdentity::PublicKey { .. } => handle.authenticate_publickey_with(user, key, hash, &mut signer).await,
        AgentIdentity::Certificate { certificate, .. } => {
            handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut signer).await
        }
    };
    match result {
        Ok(AuthResult::Success) => Ok(Answer::Accepted),
        Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
            check_alive(handle, close_reason, at)?;
            if partial_success {
                let names: Vec<String> = remaining_methods.iter().map(String::from).collect();
                return Ok(Answer::More(names.join(", ")));
            }
            Ok(Answer::Refused { may_retry: remaining_methods.contains(&MethodKind::PublicKey) })
        }
        Err(AgentAuthError::Send(_)) => Err(at.failure(FailureKind::Reset, "the connection was closed")),
        // The agent did not sign: its user refused, or the key is gone. The next key may work.
        Err(AgentAuthError::Key(error)) => {
            tracing::debug!("{}: the agent gave no signature: {error}", at.host);
            Ok(Answer::Refused { may_retry: true })
        }
    }
}

/// Logs in with a password: as such, or as the answer to the questions of the host (PAM). Reports whether the host
/// accepts it.
async fn try_password(
    handle: &mut Handle<Client>,
    user: &str,
    password: &Password,
    close_reason: &SharedCloseReason,
    at: ErrorContext<'_>,
) -> Result<bool, Failure> {
    let answer = handle.authenticate_password(user, password.text()).await.map_err(|error| at.ssh(&error))?;
    let AuthResult::Failure { remaining_methods, .. } = answer else { return Ok(true) };
    check_alive(handle, close_reason, at)?;
    if !remaining_methods.contains(&MethodKind::KeyboardInteractive) {
        return Ok(false);
    }
    let started = handle.authenticate_keyboard_interactive_start(user, None).await;
    let mut response = started.map_err(|error| at.ssh(&error))?;
    for _ in 0..MAX_QUESTIONS {
        let prompts = match response {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => break,
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        let answers = match &prompts[..] {
            [] => Vec::new(),
            [prompt] if !prompt.echo => vec![password.text().to_owned()],
            _ => return Ok(false),
        };
        let responded = handle.authenticate_keyboard_interactive_respond(answers).await;
        response = responded.map_err(|error| at.ssh(&error))?;
    }
    check_alive(handle, close_reason, at)?;
    Ok(false)
}

/// Checks that the connection is alive: the library reports "refused" for a connection that has ended, too.
fn check_alive(handle: &Handle<Client>, close_reason: &SharedCloseReason, at: ErrorContext<'_>) -> Result<(), Failure> {
    if !handle.is_closed() {
        return Ok(());
    }
    Err(match close_reason.get() {
        // For example "Too many authentication failures".
        Some(reason) if reason.said => at.failure(FailureKind::Denied, &reason.text),
        Some(reason) => at.failure(reason.kind, &reason.text),
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
            offers.add(identity.clone(), &KeySource::Agent);
        }
    }
    offers
}

impl Offers {
    fn add(&mut self, identity: AgentIdentity, source: &KeySource) {
        let same = |offer: &Offer| match (&offer.identity, &identity) {
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
            let source = match source {
                KeySource::File(key) => KeySource::File(key.clone()),
                KeySource::Agent => KeySource::Agent,
            };
            self.list.push(Offer { identity, source });
        }
    }
}

/// Reads a private key, or the public half of one that the agent holds.
fn read_key(path: &Path, named: bool, held: &[AgentIdentity], offers: &mut Offers) -> Option<(PublicKey, KeySource)> {
    let held = |key: &PublicKey| held.iter().any(|identity| identity.public_key().key_data() == key.key_data());
    let public = || russh::keys::load_public_key(with_suffix(path, ".pub")).ok();
    let text = match read_key_file(path) {
        Ok(text) => text,
        Err(error) => {
            // The public key is enough if the agent has the private key.
            if let Some(key) = public().filter(|key| held(key)) {
                return Some((key, KeySource::Agent));
            }
            if named {
                offers.broken.push(format!("cannot read {}: {error}", path.display()));
            }
            return None;
        }
    };
    if let Ok(key) = PublicKey::from_openssh(text.trim()) {
        if held(&key) {
            return Some((key, KeySource::Agent));
        }
        offers.broken.push(format!("{} is a public key, and the agent does not have its private key", path.display()));
        return None;
    }
    match russh::keys::decode_secret_key(&text, None) {
        Ok(_) if is_exposed(path) => {
            offers.broken.push(format!("other users can read {}: run `chmod 600` on it", path.display()));
            None
        }
        Ok(key) => Some((key.public_key().clone(), KeySource::File(Arc::new(key)))),
        Err(russh::keys::Error::KeyIsEncrypted) => {
            let key = PrivateKey::from_openssh(&text).ok().map(|key| key.public_key().clone()).or_else(public);
            let key = key.filter(|key| held(key));
            if key.is_none() {
                offers.locked.push(path.to_path_buf());
            }
            key.map(|key| (key, KeySource::Agent))
        }
        Err(error) => {
            offers.broken.push(format!("{} is not a usable key: {error}", path.display()));
            None
        }
    }
}

/// Reads the file of a key. A record of the store may name any file.
fn read_key_file(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("expected a regular file"));
    }
    let mut text = String::new();
    file.take(KEY_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Reports whether other users can read a private key of the user of this process. OpenSSH does not use such a key either.
fn is_exposed(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    std::fs::metadata(path).is_ok_and(|it| it.uid() == own && it.mode() & 0o077 != 0)
}

fn certificate(path: &Path) -> Option<Certificate> {
    russh::keys::load_openssh_certificate(path).ok()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The agent, if there is one, and its keys.
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
                // Agents older than OpenSSH 8.9 do not know this request, and do not need it.
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

/// Signs with a private key or through the agent.
enum KeySigner<'a> {
    Local(Arc<PrivateKey>, Option<HashAlg>),
    Agent(&'a mut Agent),
}

impl Signer for KeySigner<'_> {
    type Error = AgentAuthError;

    async fn auth_sign(
        &mut self,
        key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, AgentAuthError> {
        match self {
            Self::Agent(Agent { client: Some(client), .. }) => client.auth_sign(key, hash, data).await,
            Self::Agent(_) => Err(AgentAuthError::Key(russh::keys::Error::AgentFailure)),
            Self::Local(key, hash) => {
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
