//! Messages over HTTP: a webhook that takes JSON, a chat that takes what Slack takes, ntfy.
//!
//! The body of the answer is not read: it may be endless, and it may quote a secret.

use reqwest::Client;
use reqwest::RequestBuilder;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;

use super::Endpoint;
use super::LIMIT;
use super::json;
use crate::core::alert::Message;
use crate::core::alert::Status;
use crate::core::sanitize::truncate;
use crate::http::client::first_cause;

/// How many characters of an error are quoted.
const QUOTED: usize = 200;

/// What a receiver understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// muster's own JSON.
    Webhook,
    /// JSON with a text, as Slack, Mattermost and Rocket.Chat take it.
    Slack,
    /// The text, with headers for the title, the priority and the tags.
    Ntfy,
}

/// A receiver that is reached over HTTP.
#[derive(Debug, Clone)]
pub struct HttpReceiver {
    service: Service,
    endpoint: Endpoint,
    client: Client,
}

impl HttpReceiver {
    /// Makes a receiver. A redirect is a refusal: it could send the message and its secrets to another host.
    pub fn new(service: Service, endpoint: Endpoint) -> Result<Self, String> {
        let client = Client::builder().redirect(Policy::none()).timeout(LIMIT).pool_max_idle_per_host(0);
        let client = client.user_agent(concat!("muster/", env!("CARGO_PKG_VERSION"))).build();
        Ok(Self { service, endpoint, client: client.map_err(cause)? })
    }

    /// Sends a message. Returns the status of the answer.
    pub(super) async fn deliver(&self, message: &Message) -> Result<String, String> {
        let (url, token) = self.endpoint.read().await?;
        let mut request = self.client.post(url);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        let answer = self.filled(request, message).send().await.map_err(cause)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(format!("answered {status}"));
        }
        let redirect = if status.is_redirection() { ": redirects are not followed" } else { "" };
        Err(format!("answered {status}{redirect}"))
    }

    fn filled(&self, request: RequestBuilder, message: &Message) -> RequestBuilder {
        match self.service {
            Service::Webhook => request.json(&json::document(message)),
            Service::Slack => request.json(&serde_json::json!({ "text": slack(message) })),
            Service::Ntfy => {
                let (priority, tag) = match message.status {
                    Status::Problem => ("high", "rotating_light"),
                    Status::Reminder => ("default", "warning"),
                    Status::Clear => ("default", "white_check_mark"),
                    Status::Test => ("default", "test_tube"),
                };
                let title = HeaderValue::from_str(&ascii(&message.title()));
                let title = title.unwrap_or_else(|_| HeaderValue::from_static("muster"));
                let request = request.header("Title", title).header("Priority", priority).header("Tags", tag);
                request.header("X-Muster-Message", message.id.as_str()).body(message.text())
            }
        }
    }
}

/// Returns the text as Slack takes it (api.slack.com/reference/surfaces/formatting#escaping).
fn slack(message: &Message) -> String {
    let text = format!("{}\n{}", message.title(), message.text());
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Replaces what a header cannot have.
fn ascii(text: &str) -> String {
    text.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Returns why a request got no answer, without the URL.
fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let kind = match () {
        () if error.is_timeout() => "no answer within the time",
        () if error.is_connect() => "cannot connect",
        () => "the request failed",
    };
    format!("{kind}: {}", truncate(&first_cause(&error), QUOTED))
}
