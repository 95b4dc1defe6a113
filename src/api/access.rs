//! The clients of the API, and their roles. A user of a socket of this host has passed the mode of the socket. Any other client
//! proves with an access token or a certificate that it is in the access list.

use std::fmt;
use std::sync::Arc;

use axum::Extension;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::header::RETRY_AFTER;
use axum::http::header::WWW_AUTHENTICATE;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;

use super::Api;
use super::error::ApiError;
use super::page;
use crate::accounts;
use crate::core::fingerprint::Fingerprint;
use crate::http::connections::Client;
use crate::http::connections::Transport;
use crate::http::rate::WINDOW;

/// How many wrong tokens one client may send within a minute.
pub const GUESSES: usize = 10;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read everything but the values of secrets, which are encrypted.
    Read,
    /// Change the cluster too. That is as much as to be root on all machines, because units run as root.
    Operate,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
        })
    }
}

/// What a client proves itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The access token with this SHA-256.
    Token(Fingerprint),
    /// The certificate whose DER has this SHA-256, signed by the CA of clients.
    Certificate(Fingerprint),
}

/// A client of other hosts that may use the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Its name in the event log.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What it proves itself with.
    pub proof: Proof,
}

/// The clients of other hosts that may use the API.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessList(pub Vec<AccessRule>);

impl AccessList {
    fn find(&self, proof: Proof) -> Option<&AccessRule> {
        self.0.iter().find(|rule| rule.proof == proof)
    }
}

/// The client of a request, once it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// Its name in the event log.
    pub(super) name: String,
    /// What it may do.
    pub(super) role: Role,
}

/// Lets the client of a request through that is known and whose role suffices. The request then has its [`Caller`].
pub(super) async fn check(
    State(api): State<Arc<Api>>,
    Extension(client): Extension<Client>,
    Extension(transport): Extension<Transport>,
    mut request: Request,
    next: Next,
) -> Response {
    // The files of the page say nothing about the cluster, and the page must be there to ask for a token.
    if page::is_for_file(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let caller = match caller(&api, client, transport, request.headers()) {
        Ok(caller) => caller,
        Err(refusal) => return refusal.into_response(),
    };
    let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if caller.role < Role::Operate && !only_reads {
        return ApiError::new(StatusCode::FORBIDDEN, "this needs the role operate: the client has the role read")
            .into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn caller(api: &Api, client: Client, transport: Transport, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let address = match client {
        Client::User(user) => {
            let name = accounts::find(user).map_or_else(|| user.to_string(), |account| account.name);
            return Ok(Caller { name: format!("{name}@{} (API)", api.hostname), role: Role::Operate });
        }
        Client::Address(address) => address,
    };
    let access = api.access.borrow();
    let known = |rule: &AccessRule| Caller { name: format!("{}@{address} (API)", rule.name), role: rule.role };
    if let Transport::Tls(Some(certificate)) = transport
        && let Some(rule) = access.find(Proof::Certificate(certificate))
    {
        return Ok(known(rule));
    }
    let Some(token) = bearer_token(headers) else {
        return Err(Refusal::Unproven("an access token or a client certificate is needed"));
    };
    if api.guesses.is_used_up(client) {
        return Err(Refusal::TooManyGuesses);
    }
    let rule = access.find(Proof::Token(Fingerprint::of(token.as_bytes())));
    rule.map(known).ok_or_else(|| {
        api.guesses.allows(client);
        tracing::warn!("a client at {address} sent an access token that is not in the access list");
        Refusal::Unproven("the access token is not in the access list of this controller")
    })
}

/// Returns the token that a request carries.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a client is not let in.
pub(super) enum Refusal {
    /// It has not proved who it is, for this reason.
    Unproven(&'static str),
    /// It has sent too many wrong tokens.
    TooManyGuesses,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why, header, value) = match self {
            Self::Unproven(why) => {
                (StatusCode::UNAUTHORIZED, why.to_owned(), WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::TooManyGuesses => {
                let why =
                    format!("{GUESSES} wrong access tokens came from this address within a minute: wait a minute");
                (StatusCode::TOO_MANY_REQUESTS, why, RETRY_AFTER, HeaderValue::from(WINDOW.as_secs()))
            }
        };
        let mut response = ApiError::new(status, why).into_response();
        response.headers_mut().insert(header, value);
        response
    }
}
