//! Where a request comes from, as far as its head tells: a web page of another site must not act through the browser of a
//! person who may.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::header::ORIGIN;

/// The header in which a browser says how the page that makes the request is related to this service.
const SITE: &str = "sec-fetch-site";

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

/// How a request has come, which is the scheme of the origin of this service's own page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

/// Reports whether a browser makes the request for a web page, as far as the head tells. Such a request must name this service
/// even on a socket of this host: a port may be forwarded to it.
pub fn is_of_page(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) || headers.contains_key(SITE)
}

/// Reports whether a web page that this service did not serve makes a browser send the request. `own` is the scheme of the pages
/// that the service serves, if it serves any: the origin of such a page is this scheme and the host that the request is addressed
/// to. The caller checks that host with [`is_addressed`].
pub fn is_cross_site(headers: &HeaderMap, own: Option<Scheme>) -> bool {
    let site = headers.get(SITE).and_then(|site| site.to_str().ok());
    let is_own = own.is_some_and(|scheme| is_own_origin(headers, scheme));
    let is_foreign = headers.contains_key(ORIGIN) && !is_own;
    is_foreign || site.is_some_and(|site| !matches!(site, "none" | "same-origin"))
}

/// Reports whether the request has one origin and one host, and the origin is the scheme and that host.
fn is_own_origin(headers: &HeaderMap, scheme: Scheme) -> bool {
    let only = |name| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok())?;
        values.next().is_none().then_some(first)
    };
    let (Some(origin), Some(host)) = (only(ORIGIN), only(HOST)) else { return false };
    // A browser leaves out the port that is the default of the scheme, in both.
    origin.strip_prefix(scheme.prefix()).is_some_and(|authority| authority.eq_ignore_ascii_case(host))
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
        for site in ["cross-site", "same-site", ""] {
            assert!(is_cross_site(&headers("sec-fetch-site", site), Some(Scheme::Http)), "{site}");
        }
        assert!(is_cross_site(&headers("origin", "http://evil.example"), Some(Scheme::Http)));
        assert!(!is_cross_site(&headers("sec-fetch-site", "none"), Some(Scheme::Http)));
        assert!(!is_cross_site(&HeaderMap::new(), Some(Scheme::Http)));
    }

    #[test]
    fn only_the_origin_to_which_a_request_is_addressed_is_the_own_one() {
        let cross = |host: &'static str, origin: &'static str, scheme| {
            let mut both = headers("host", host);
            both.extend(headers("origin", origin));
            is_cross_site(&both, Some(scheme))
        };
        assert!(!cross("127.0.0.1:8087", "http://127.0.0.1:8087", Scheme::Http));
        assert!(!cross("Muster.example", "https://muster.example", Scheme::Https));
        for (host, origin, scheme) in [
            ("127.0.0.1:8087", "http://127.0.0.1:8088", Scheme::Http),
            ("127.0.0.1:8087", "http://127.0.0.1", Scheme::Http),
            ("127.0.0.1:8087", "http://localhost:8087", Scheme::Http),
            ("muster.example", "http://muster.example", Scheme::Https),
            ("muster.example", "https://muster.example", Scheme::Http),
            ("muster.example", "https://muster.example.evil.example", Scheme::Https),
            ("muster.example", "https://muster.example/", Scheme::Https),
            ("muster.example", "null", Scheme::Https),
        ] {
            assert!(cross(host, origin, scheme), "{host} {origin}");
        }
        let mut two = headers("host", "muster.example");
        two.extend(headers("origin", "https://muster.example"));
        two.append("origin", "https://evil.example".parse().unwrap());
        assert!(is_cross_site(&two, Some(Scheme::Https)), "two origins");
        let mut site = headers("host", "muster.example");
        site.extend(headers("origin", "https://muster.example"));
        site.extend(headers("sec-fetch-site", "cross-site"));
        assert!(is_cross_site(&site, Some(Scheme::Https)), "the browser says that the page is another one");
        assert!(is_cross_site(&headers("origin", "https://muster.example"), Some(Scheme::Https)), "no host");
        let mut same = headers("host", "muster.example");
        same.extend(headers("origin", "https://muster.example"));
        assert!(is_cross_site(&same, None), "a service without pages");
    }

    #[test]
    fn a_request_for_a_page_is_told_from_that_of_a_program() {
        assert!(is_of_page(&headers("origin", "http://127.0.0.1")) && is_of_page(&headers("sec-fetch-site", "none")));
        assert!(!is_of_page(&headers("host", "muster")));
    }
}
