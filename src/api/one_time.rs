//! Access to a page through an address that works once: the address has a key, and the page changes it for an access token. Every
//! request but those for the files of the page needs the token.
//!
//! The token is no cookie: a browser would send a cookie to each port of this host, and so to the servers of other users.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use axum::Json;
use axum::Router;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::HOST;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::access::Refusal;
use super::access::bearer_token;
use super::error::ApiError;
use super::page;
use super::request;
use crate::core::fingerprint::Fingerprint;
use crate::core::hex;
use crate::http::connections::Client;
use crate::http::origin;
use crate::http::origin::Scheme;

/// How many random bytes a key and a token have.
const SECRET_BYTES: usize = 32;

/// Where the page changes its key for the token.
const EXCHANGE: &str = "/api/v1/session";

/// The key of the address, until it was used, and the token.
pub struct OneTimeAccess {
    port: u16,
    /// The user of this process, for the event log.
    user: u32,
    key: Mutex<Option<Secret>>,
    token: Secret,
}

impl fmt::Debug for OneTimeAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTimeAccess").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A random text.
struct Secret(String);

impl Secret {
    fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex::digits(&bytes)))
    }

    /// Reports whether a text is the secret. How long that takes says nothing about the secret, because hashes are compared.
    fn is(&self, text: &str) -> bool {
        Fingerprint::of(self.0.as_bytes()) == Fingerprint::of(text.as_bytes())
    }
}

/// What a page sends for its token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    key: String,
}

impl OneTimeAccess {
    /// Makes the access to a service on this port of 127.0.0.1, and the address that works once.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(port: u16) -> Result<(Self, String), getrandom::Error> {
        let key = Secret::new()?;
        let address = format!("http://127.0.0.1:{port}/#key={}", key.0);
        let user = rustix::process::getuid().as_raw();
        Ok((Self { port, user, key: Mutex::new(Some(key)), token: Secret::new()? }, address))
    }

    /// Reports whether a request names the service as its address does. A page that lets its own name point to 127.0.0.1 names
    /// another host.
    fn is_addressed(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        host.and_then(|host| host.rsplit_once(':'))
            .is_some_and(|(name, port)| matches!(name, "127.0.0.1" | "localhost") && port.parse() == Ok(self.port))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        bearer_token(headers).is_some_and(|token| self.token.is(token))
    }

    /// Changes the key for the token. A key that was used does not work again.
    async fn exchange(&self, request: Request) -> Response {
        if origin::is_cross_site(request.headers(), Some(Scheme::Http)) {
            return ApiError::new(StatusCode::FORBIDDEN, "a page of another site cannot use this address")
                .into_response();
        }
        let (parts, body) = request.into_parts();
        let Exchange { key } = match request::json(&parts.headers, body).await {
            Ok(exchange) => exchange,
            Err(error) => return error.into_response(),
        };
        let mut open = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if open.take_if(|open| open.is(&key)).is_none() {
            return Refusal::Unproven("this address was used already, or is not the one that `muster ui` has printed")
                .into_response();
        }
        ([(CACHE_CONTROL, "no-store")], Json(json!({"token": self.token.0}))).into_response()
    }
}

/// Lets only requests with the token reach the routes, except those for the files of the page.
pub fn guard(router: Router, access: Arc<OneTimeAccess>) -> Router {
    router.layer(middleware::from_fn_with_state(access, check))
}

async fn check(State(access): State<Arc<OneTimeAccess>>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if !access.is_addressed(request.headers()) {
        return ApiError::new(StatusCode::MISDIRECTED_REQUEST, "this service has no such name").into_response();
    }
    if page::is_for_file(&method, &path) {
        return next.run(request).await;
    }
    if method == Method::POST && path == EXCHANGE {
        return access.exchange(request).await;
    }
    if !access.has_token(request.headers()) {
        return Refusal::Unproven("open the page with the address that `muster ui` prints").into_response();
    }
    // The token shows that the user of this process has opened the page.
    request.extensions_mut().insert(Client::User(access.user));
    next.run(request).await
}
