//! A client of the API of a controller: over a socket of this host, or with TLS. It must not send an access token to a host
//! whose certificate it does not trust, nor through a connection that others can read.

use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Certificate;
use reqwest::Identity;
use reqwest::Method;
use reqwest::RequestBuilder;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long the parts of an answer may stay away. A stream without news sends a sign of life more often.
const READ_LIMIT: Duration = Duration::from_secs(40);

/// How many bytes of a file with a secret are read.
const SECRET_BYTES: u64 = 4096;

/// The longest answer, in bytes.
const ANSWER_BYTES: usize = 1 << 30;

/// Where the API of a controller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiLocation {
    /// On a socket of this host.
    Unix(PathBuf),
    /// At `https://HOST[:PORT]`, or at `http://` of this host itself.
    Url(String),
}

/// What a client proves itself with, and how it recognises the controller.
#[derive(Debug, Clone, Default)]
pub struct ApiCredentials {
    /// The access token.
    pub token: Option<SecretString>,
    /// The file whose first line is the access token, unless the token is given.
    pub token_file: Option<PathBuf>,
    /// The CA of the controller (PEM); without one, those that this host trusts.
    pub ca_file: Option<PathBuf>,
    /// The certificate of the client (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of that certificate (PEM).
    pub key_file: Option<PathBuf>,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// No answer came.
    #[error("{0}")]
    Unavailable(String),
    /// The controller refused the request, or the answer makes no sense.
    #[error("{message}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Why.
        message: String,
    },
}

/// A client of one controller.
#[derive(Debug, Clone)]
pub struct ApiClient {
    http: reqwest::Client,
    base: String,
    token: Option<SecretString>,
}

impl ApiClient {
    /// Makes a client. Nothing is sent.
    pub fn new(location: &ApiLocation, credentials: &ApiCredentials) -> Result<Self, String> {
        let token = token(credentials)?;
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(READ_LIMIT)
            .redirect(Policy::none())
            .no_proxy()
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")));
        let (builder, base) = match location {
            ApiLocation::Unix(path) => (builder.unix_socket(path.as_path()), "http://muster".to_owned()),
            ApiLocation::Url(url) => (builder, url.clone()),
        };
        let builder = match &credentials.ca_file {
            None => builder,
            Some(path) => {
                let bundle = Certificate::from_pem_bundle(&read(path)?).map_err(|error| wrong(path, &error))?;
                builder.tls_certs_only(bundle)
            }
        };
        let builder = match (&credentials.cert_file, &credentials.key_file) {
            (None, None) => builder,
            (Some(certificate), Some(key)) => {
                let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
                builder.identity(Identity::from_pem(&pem).map_err(|error| wrong(certificate, &error))?)
            }
            _ => return Err("a certificate needs its key, and a key its certificate".to_owned()),
        };
        let http = builder.build().map_err(|error| describe(&error))?;
        Ok(Self { http, base, token })
    }

    /// Asks for a resource. The parameters are pairs of a name and a value.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, parameters: &[(&str, &str)]) -> Result<T, ClientError> {
        read_json(self.send(self.request(Method::GET, path, parameters)).await?).await
    }

    /// Sends a value.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClientError> {
        read_json(self.send(self.request(Method::POST, path, &[]).json(body)).await?).await
    }

    /// Asks for a resource that goes on until the client ends it.
    pub async fn stream(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Chunks, ClientError> {
        Ok(Chunks(self.send(self.request(Method::GET, path, parameters)).await?))
    }

    fn request(&self, method: Method, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        let request = self.http.request(method, format!("{}{path}{mark}{query}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::Unavailable(describe(&error)))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await)
    }
}

/// The parts of an answer, as they come.
#[derive(Debug)]
pub struct Chunks(Response);

impl Chunks {
    /// Returns a number that a header of the answer has.
    pub fn number(&self, header: &str) -> Option<u32> {
        self.0.headers().get(header)?.to_str().ok()?.parse().ok()
    }

    /// Waits for the next part; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        self.0.chunk().await.map_err(|error| ClientError::Unavailable(describe(&error)))
    }
}

/// Writes a text so that it can be a part of a path or of a query.
pub fn encode(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, ClientError> {
    let status = response.status().as_u16();
    let bytes = read_body(response).await?;
    serde_json::from_slice(&bytes)
        .map_err(|error| ClientError::Refused { status, message: format!("the answer is not of the API: {error}") })
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| ClientError::Unavailable(describe(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES {
            return Err(ClientError::Unavailable(format!("the answer is longer than {} MiB", ANSWER_BYTES >> 20)));
        }
    }
    Ok(bytes)
}

/// Reads why a request was refused.
async fn refused(response: Response) -> ClientError {
    #[derive(Deserialize)]
    struct Body {
        error: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        message: String,
    }
    let status = response.status();
    let message = match read_body(response).await.map(|bytes| serde_json::from_slice::<Body>(&bytes)) {
        Ok(Ok(body)) => body.error.message,
        _ => format!("it answered {status}"),
    };
    match status {
        StatusCode::SERVICE_UNAVAILABLE => ClientError::Unavailable(message),
        _ => ClientError::Refused { status: status.as_u16(), message },
    }
}

fn token(credentials: &ApiCredentials) -> Result<Option<SecretString>, String> {
    match (&credentials.token, &credentials.token_file) {
        (None, Some(path)) => first_line(path).map(Some),
        (token, _) => Ok(token.clone()),
    }
}

/// Reads a secret, which is the first line of a file.
pub fn first_line(path: &Path) -> Result<SecretString, String> {
    let cannot = |error| format!("cannot read {}: {error}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(SECRET_BYTES).read_to_string(&mut text).map_err(cannot)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(line.into()) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn wrong(path: &Path, error: &reqwest::Error) -> String {
    format!("{}: {}", path.display(), describe(error))
}

/// Says why no answer came. The error itself quotes the URL.
fn describe(error: &reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { first_cause(error) }
}

/// Returns the first cause of an error, which says what happened.
pub fn first_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(earlier) = cause.source() {
        cause = earlier;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_a_query_cannot_add_another_parameter() {
        assert_eq!(encode("a b&c=/é"), "a%20b%26c%3D%2F%C3%A9");
    }
}
