//! Where a request comes from, as far as its head tells: a web page of another site must not act through the browser of a
//! person who may.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::header::ORIGIN;

/// Reports whether a request names this service: by an IP address, `localhost`, the name of this host, or the host of the
/// public URL. A web page that lets its own name point to this service names another host.
pub fn is_addressed(headers: &HeaderMap, public_url: Option<&str>, hostname: &str) -> bool {
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
pub fn is_cross_site(headers: &HeaderMap) -> bool {
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
}
