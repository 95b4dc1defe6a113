//! The callbacks of the SSH library for one session: they check the host's key, refuse channels that the host opens,
//! and keep the reason why the session ended.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use russh::Channel;
use russh::client::ChannelOpenHandle;
use russh::client::DisconnectReason;
use russh::client::Handler;
use russh::client::Msg;
use russh::client::Session;
use russh::keys::HashAlg;
use russh::keys::PublicKey;
use russh::keys::PublicKeyOrCertificate;
use tokio_util::sync::DropGuard;

use super::agent_forwarding::ForwardedAgent;
use super::failure::ErrorContext;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::OUR_FAULT;
use crate::remote::known_hosts::HostName;
use crate::remote::known_hosts::KeyStatus;
use crate::remote::known_hosts::KnownHosts;
use crate::remote::known_hosts::record;
use crate::remote::ssh_config::StrictHostKey;

/// The error with which a session ends.
#[derive(Debug)]
pub(super) enum SessionError {
    /// An error of the library.
    Ssh(russh::Error),
    /// The host's key is not trusted. A key other than the known one is that of another machine.
    HostKey { kind: FailureKind, detail: String, hint: String },
}

impl From<russh::Error> for SessionError {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// Why a session ended.
#[derive(Debug)]
pub(super) struct CloseReason {
    /// What the end shows about the host.
    pub(super) kind: FailureKind,
    /// The reason, as the detail of a failure.
    pub(super) text: String,
    /// Set when the host itself disconnected and sent the reason.
    pub(super) said: bool,
}

/// A shared slot for the reason, which is set once.
pub(super) type SharedCloseReason = Arc<OnceLock<CloseReason>>;

/// The rules by which a host's key is checked.
#[derive(Debug)]
pub(super) struct KeyCheck {
    pub(super) known: Arc<KnownHosts>,
    pub(super) host: HostName,
    pub(super) strict: StrictHostKey,
    /// The file in which a new key is recorded, and whether under a hashed name.
    pub(super) record_in: Option<PathBuf>,
    pub(super) hashed: bool,
}

impl KeyCheck {
    /// Checks the key or certificate of the host, and reports whether the key is new and is to be recorded.
    fn check(&self, shown: &PublicKeyOrCertificate) -> Result<bool, SessionError> {
        let key = shown.public_key();
        let mut about = String::new();
        if let PublicKeyOrCertificate::Certificate(certificate) = shown {
            match self.known.check_certificate(&self.host, certificate, now()) {
                Ok(status) => return self.act(&status, &key, &about),
                // The key inside the certificate may still be known by itself.
                Err(why) => about = format!("; its certificate {why}"),
            }
        }
        self.act(&self.known.check(&self.host, &key), &key, &about)
    }

    fn act(&self, status: &KeyStatus, key: &PublicKey, about: &str) -> Result<bool, SessionError> {
        let print = format!("{} host key {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        let name = self.host.recorded_as();
        let refuse = |detail, hint| Err(SessionError::HostKey { kind: FailureKind::HostKey, detail, hint });
        match status {
            KeyStatus::Trusted(_) | KeyStatus::TrustedByAuthority(_) => Ok(false),
            KeyStatus::Revoked(place) => refuse(
                format!("its {print} was revoked: {place}"),
                "Give the host a new key first: an attacker may have the revoked one.".to_owned(),
            ),
            KeyStatus::Changed(_) | KeyStatus::Unknown(_) if self.strict == StrictHostKey::No => {
                tracing::warn!("{name}: {print} is accepted without a check (StrictHostKeyChecking no)");
                Ok(matches!(status, KeyStatus::Unknown(others) if others.is_empty()))
            }
            KeyStatus::Changed(place) => Err(SessionError::HostKey {
                kind: FailureKind::WrongMachine,
                detail: format!("its {print} is not the one in {place}{about}"),
                hint: format!(
                    "If the host was installed anew, remove its old key with `ssh-keygen -f {} -R {}`. If not, \
                     an attacker may intercept the connection.",
                    shown(&place.file.to_string_lossy()),
                    shown(name)
                ),
            }),
            KeyStatus::Unknown(others) => match others.first() {
                None if self.strict == StrictHostKey::AcceptNew => Ok(true),
                None => refuse(
                    format!("its {print} is not known{about}"),
                    "Compare the fingerprint and record the key by logging in once with `ssh`, or accept the keys of new \
                     hosts with `--strict-host-key-checking accept-new`."
                        .to_owned(),
                ),
                Some((algorithm, place)) => refuse(
                    format!("its {print} is not known, but its {algorithm} key is: {place}{about}"),
                    format!(
                        "If the host has a new key, add it to known_hosts, or remove the old one with `ssh-keygen -R {}`.",
                        shown(name)
                    ),
                ),
            },
        }
    }

    /// Records a new key. Another process may hold the lock of the file, so a blocking thread waits for it.
    async fn record(&self, key: PublicKey) {
        let Some(file) = self.record_in.clone() else { return };
        let (algorithm, host, hashed) = (key.algorithm(), self.host.clone(), self.hashed);
        let path = file.clone();
        let write = tokio::task::spawn_blocking(move || record(&path, &host, &key, hashed));
        let (name, file_name) = (self.host.recorded_as(), file.display());
        match write.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => tracing::info!("recorded the {algorithm} key of {name} in {file_name}"),
            Err(error) => tracing::warn!("cannot record the key of {name} in {file_name}: {error}"),
        }
    }
}

/// Quotes a word for a shell command in a hint.
fn shown(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The client's side of one session.
pub(super) struct Client {
    pub(super) check: KeyCheck,
    pub(super) close_reason: SharedCloseReason,
    pub(super) agent: Arc<ForwardedAgent>,
    /// Cancels a token when the session is over: the library's task drops it.
    pub(super) _over: DropGuard,
}

impl Drop for Client {
    fn drop(&mut self) {
        // A panic in the library's task ends the session and must not look like a fault of the host.
        if std::thread::panicking() {
            let _ = self.close_reason.set(CloseReason {
                kind: FailureKind::Local,
                text: OUR_FAULT.to_owned(),
                said: false,
            });
        }
    }
}

/// Refuses channels that the host wants to open: muster serves nothing but an agent, and that on demand only. A dropped reply is a refusal.
macro_rules! refuse {
    ($($callback:ident($($argument:ty),*);)*) => {$(
        async fn $callback(
            &mut self, _: Channel<Msg>, $(_: $argument,)* reply: ChannelOpenHandle, _: &mut Session,
        ) -> Result<(), SessionError> {
            drop(reply);
            Ok(())
        }
    )*};
}

impl Handler for Client {
    type Error = SessionError;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, SessionError> {
        if self.check.check(shown)? {
            self.check.record(shown.public_key()).await;
        }
        Ok(true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<SessionError>) -> Result<(), SessionError> {
        let end = match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                let text = format!("the host disconnected: {}", sanitize::printable(said.message.as_bytes()));
                CloseReason { kind: FailureKind::Reset, text, said: true }
            }
            DisconnectReason::Error(SessionError::Ssh(error)) => {
                let failure = ErrorContext { host: "", phase: Phase::Run }.ssh(&error);
                CloseReason { kind: failure.kind, text: failure.detail, said: false }
            }
            DisconnectReason::Error(SessionError::HostKey { kind, detail, .. }) => {
                CloseReason { kind, text: detail, said: false }
            }
        };
        // Only the first reason counts.
        let _ = self.close_reason.set(end);
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), SessionError> {
        self.agent.serve(channel, reply);
        Ok(())
    }

    refuse! {
        server_channel_open_session();
        server_channel_open_forwarded_tcpip(&str, u32, &str, u32);
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
        server_channel_open_x11(&str, u32);
    }
}
