//! Which requests the discovery service takes: only those that name one of its own addresses, and only so many new
//! tokens for each client.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::header::ORIGIN;
use tokio::time::Instant;

/// How many tokens one client may create within [`WINDOW`].
pub(super) const TOKENS_PER_CLIENT: usize = 20;

/// The time in which the tokens of a client are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// How many clients are counted at once.
const CLIENTS: usize = 1024;

/// When each client created tokens.
#[derive(Debug, Default)]
pub(super) struct TokenRate(Mutex<BTreeMap<IpAddr, Vec<Instant>>>);

impl TokenRate {
    /// Counts a token for a client. Reports whether the client may create it.
    pub(super) fn allows(&self, client: IpAddr) -> bool {
        let now = Instant::now();
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.retain(|_, created| {
            created.retain(|at| now.duration_since(*at) < WINDOW);
            !created.is_empty()
        });
        if clients.len() >= CLIENTS && !clients.contains_key(&client) {
            return false;
        }
        let created = clients.entry(client).or_default();
        let allowed = created.len() < TOKENS_PER_CLIENT;
        if allowed {
            created.push(now);
        }
        allowed
    }
}

/// Reports whether a request names this service: by an IP address, `localhost`, the name of this host, or the host of the
/// public URL. A web page that lets its own name point to this service names another host.
pub(super) fn is_addressed(headers: &HeaderMap, public_url: Option<&str>, hostname: &str) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(authority) = host.to_str() else { return false };
    let public = public_url.and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
    let public = public.and_then(|rest| rest.split('/').next());
    let name = without_port(authority);
    let is_ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    let own = [Some("localhost"), Some(hostname), hostname.split('.').next(), public.map(without_port)];
    is_ip || own.into_iter().flatten().any(|own| name.eq_ignore_ascii_case(own))
}

/// Reports whether another web page makes a browser send the request.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    headers.contains_key(ORIGIN) || site.is_some_and(|site| !matches!(site, "none" | "same-origin"))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        [(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_request_must_name_the_service() {
        let is_own = |host| is_addressed(&headers("host", host), Some("https://disco.example:8443/"), "desk.lan");
        for own in ["192.0.2.1:8087", "192.0.2.1", "[::1]:8087", "localhost:8087", "DESK", "desk.lan", "disco.example"]
        {
            assert!(is_own(own), "{own}");
        }
        for other in ["evil.example:8087", "localhost.evil.example", "", "desk.evil"] {
            assert!(!is_own(other), "{other}");
        }
        assert!(is_addressed(&HeaderMap::new(), None, "desk"), "HTTP/1.0 names no host");
    }

    #[test]
    fn a_request_of_another_web_page_is_recognised() {
        assert!(is_cross_site(&headers("sec-fetch-site", "cross-site")));
        assert!(is_cross_site(&headers("origin", "http://evil.example")));
        assert!(!is_cross_site(&headers("sec-fetch-site", "none")) && !is_cross_site(&HeaderMap::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn each_client_has_a_share_of_new_tokens() {
        let (rate, client, other) = (TokenRate::default(), IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert!((0..TOKENS_PER_CLIENT).all(|_| rate.allows(client)));
        assert!(!rate.allows(client) && rate.allows(other));
        tokio::time::advance(WINDOW).await;
        assert!(rate.allows(client));
    }
}
