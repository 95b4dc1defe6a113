//! Where a receiver is reached over HTTP. Its URL and its token may be secrets: they are never shown.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use secrecy::ExposeSecret as _;
use secrecy::SecretString;

use crate::http::client::first_line;

/// Where a URL or a token comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The settings.
    Text(SecretString),
    /// The first line of a file, which is read for each message.
    File(PathBuf),
}

/// The URL and the token of a receiver.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The URL.
    pub url: Source,
    /// The token that the receiver asks for (`Authorization: Bearer`).
    pub token: Option<Source>,
}

/// A text is no URL over which a message can be sent. The text is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadUrl;

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the URL is invalid: expected http://HOST/PATH or https://HOST/PATH")
    }
}

impl std::error::Error for BadUrl {}

/// Reads a URL.
fn url(text: &str) -> Result<Url, BadUrl> {
    let url = Url::parse(text.trim()).map_err(|_| BadUrl)?;
    Some(url).filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or(BadUrl)
}

impl Source {
    /// Takes a URL of the settings.
    pub fn url(text: String) -> Result<Self, BadUrl> {
        url(&text)?;
        Ok(Self::Text(text.into()))
    }

    /// Returns the text.
    async fn read(&self) -> Result<SecretString, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || first_line(&path)).await;
                read.map_err(|error| error.to_string())?
            }
        }
    }
}

impl Endpoint {
    /// Returns the URL and the token.
    pub(super) async fn read(&self) -> Result<(Url, Option<SecretString>), String> {
        let url = url(self.url.read().await?.expose_secret()).map_err(|error| error.to_string())?;
        let token = match &self.token {
            Some(token) => Some(token.read().await?),
            None => None,
        };
        Ok((url, token))
    }
}
