//! Our end of an SSH session as the library calls it: it judges the host's key, refuses whatever the host would open
//! on its own, and keeps the reason why the session ended.

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

use super::failure::At;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::core::sanitize;
use crate::remote::OUR_FAULT;
use crate::remote::known_hosts::HostName;
use crate::remote::known_hosts::KnownHosts;
use crate::remote::known_hosts::Verdict;
use crate::remote::known_hosts::note;
use crate::remote::ssh_config::StrictHostKey;

/// Why a session came to nothing.
#[derive(Debug)]
pub(super) enum Broken {
    /// The library's reason.
    Ssh(russh::Error),
    /// The host's key is not to be trusted: why, and what to do.
    HostKey { detail: String, hint: String },
}

impl From<russh::Error> for Broken {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

/// Why a session ended.
#[derive(Debug)]
pub(super) struct End {
    /// What it shows.
    pub(super) kind: FailureKind,
    /// The reason, in a sentence.
    pub(super) text: String,
    /// Set when the host itself took its leave, and gave a reason.
    pub(super) said: bool,
}

/// Where the reason is kept. Set once.
pub(super) type Why = Arc<OnceLock<End>>;

/// What a host's key is judged by.
#[derive(Debug)]
pub(super) struct KeyCheck {
    pub(super) known: Arc<KnownHosts>,
    pub(super) host: HostName,
    pub(super) strict: StrictHostKey,
    /// Where a new key is noted, and whether under a hashed name.
    pub(super) note_in: Option<PathBuf>,
    pub(super) hashed: bool,
}

impl KeyCheck {
    fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), Broken> {
        let key = shown.public_key();
        let mut about = String::new();
        if let PublicKeyOrCertificate::Certificate(certificate) = shown {
            match self.known.judge_certificate(&self.host, certificate, now()) {
                Ok(verdict) => return self.act(&verdict, &key, &about),
                // The key inside may still be known for itself.
                Err(why) => about = format!("; its certificate {why}"),
            }
        }
        self.act(&self.known.judge(&self.host, &key), &key, &about)
    }

    fn act(&self, verdict: &Verdict, key: &PublicKey, about: &str) -> Result<(), Broken> {
        let print = format!("{} host key {}", key.algorithm(), key.fingerprint(HashAlg::Sha256));
        let name = self.host.noted();
        let refuse = |detail: String, hint: String| Err(Broken::HostKey { detail, hint });
        match verdict {
            Verdict::Trusted(_) | Verdict::TrustedByAuthority(_) => Ok(()),
            Verdict::Revoked(place) => refuse(
                format!("its {print} was revoked: {place}"),
                "Somebody may hold the key of this host. Do not go on before it has a new one.".to_owned(),
            ),
            Verdict::Changed(_) | Verdict::Unknown(_) if self.strict == StrictHostKey::No => {
                tracing::warn!("{name}: {print} is accepted unseen (StrictHostKeyChecking no)");
                if matches!(verdict, Verdict::Unknown(others) if others.is_empty()) {
                    self.note(key);
                }
                Ok(())
            }
            Verdict::Changed(place) => refuse(
                format!("its {print} is not the one in {place}{about}"),
                format!(
                    "If the host was installed anew, forget its old key with `ssh-keygen -f {} -R {}`. If not, \
                     somebody may be in between.",
                    shown(&place.file.to_string_lossy()),
                    shown(name)
                ),
            ),
            Verdict::Unknown(others) => match others.first() {
                None if self.strict == StrictHostKey::AcceptNew => {
                    self.note(key);
                    Ok(())
                }
                None => refuse(
                    format!("its {print} is not known{about}"),
                    "Compare the fingerprint and note the key by logging in once with `ssh`, or trust hosts at first \
                     sight with `--strict-host-key-checking accept-new`."
                        .to_owned(),
                ),
                Some((algorithm, place)) => refuse(
                    format!("its {print} is not known, but its {algorithm} key is: {place}{about}"),
                    format!(
                        "If it has a new key, note it by hand, or forget the old one with `ssh-keygen -R {}`.",
                        shown(name)
                    ),
                ),
            },
        }
    }

    fn note(&self, key: &PublicKey) {
        let Some(file) = &self.note_in else { return };
        let (algorithm, name, file_name) = (key.algorithm(), self.host.noted(), file.display());
        match note(file, &self.host, key, self.hashed) {
            Ok(()) => tracing::info!("noted the {algorithm} key of {name} in {file_name}"),
            Err(error) => tracing::warn!("cannot note the key of {name} in {file_name}: {error}"),
        }
    }
}

/// Quotes a word so that it can be typed.
fn shown(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Our end of one session.
pub(super) struct Client {
    pub(super) check: KeyCheck,
    pub(super) why: Why,
    /// Tells that the session is over, however it ended: it goes with the library's task.
    pub(super) _over: DropGuard,
}

impl Drop for Client {
    fn drop(&mut self) {
        // A fault of ours in the library's task takes the session with it, and must not look like the host's doing.
        if std::thread::panicking() {
            let _ = self.why.set(End { kind: FailureKind::Local, text: OUR_FAULT.to_owned(), said: false });
        }
    }
}

/// Refuses a channel that the host wants to open: we serve nothing. A reply that is dropped says no.
macro_rules! refuse {
    ($($callback:ident($($argument:ty),*);)*) => {$(
        async fn $callback(
            &mut self, _: Channel<Msg>, $(_: $argument,)* reply: ChannelOpenHandle, _: &mut Session,
        ) -> Result<(), Broken> {
            drop(reply);
            Ok(())
        }
    )*};
}

impl Handler for Client {
    type Error = Broken;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Broken> {
        self.check.check(shown).map(|()| true)
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Broken>) -> Result<(), Broken> {
        let end = match reason {
            DisconnectReason::ReceivedDisconnect(said) => {
                let text = format!("the host hung up: {}", sanitize::printable(said.message.as_bytes()));
                End { kind: FailureKind::Reset, text, said: true }
            }
            DisconnectReason::Error(Broken::Ssh(error)) => {
                let failure = At { host: "", phase: Phase::Run }.ssh(&error);
                End { kind: failure.kind, text: failure.detail, said: false }
            }
            DisconnectReason::Error(Broken::HostKey { detail, .. }) => {
                End { kind: FailureKind::HostKey, text: detail, said: false }
            }
        };
        // Only the first reason counts.
        let _ = self.why.set(end);
        Ok(())
    }

    refuse! {
        server_channel_open_session();
        server_channel_open_agent_forward();
        server_channel_open_forwarded_tcpip(&str, u32, &str, u32);
        server_channel_open_forwarded_streamlocal(&str);
        server_channel_open_direct_tcpip(&str, u32, &str, u32);
        server_channel_open_direct_streamlocal(&str);
        server_channel_open_x11(&str, u32);
    }
}
