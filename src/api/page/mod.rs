//! The page: the files that a browser loads. They are part of the binary, hold nothing of the cluster, and ask no other server
//! for anything.
//!
//! They need no token, and links of other sites may lead to them. Their policy forbids scripts, styles and requests of any other
//! origin, and that another page shows them in a frame.

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::ETAG;
use axum::http::header::IF_NONE_MATCH;
use axum::http::header::REFERRER_POLICY;
use axum::response::IntoResponse as _;
use axum::response::Response;
use axum::routing::get;
use sha2::Digest as _;
use sha2::Sha256;

use crate::core::hex;

/// The policy of the page: only files and answers of this service.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// How many digits of its hash name a file.
const TAG_DIGITS: usize = 32;

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
struct File {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

macro_rules! file {
    ($path:literal, $name:literal, $media_type:expr) => {
        File { path: $path, media_type: $media_type, text: include_str!($name) }
    };
}

const FILES: [File; 10] = [
    file!("/", "index.html", "text/html; charset=utf-8"),
    file!("/style.css", "style.css", "text/css; charset=utf-8"),
    file!("/app.js", "app.js", SCRIPT),
    file!("/actions.js", "actions.js", SCRIPT),
    file!("/client.js", "client.js", SCRIPT),
    file!("/details.js", "details.js", SCRIPT),
    file!("/dom.js", "dom.js", SCRIPT),
    file!("/grid.js", "grid.js", SCRIPT),
    file!("/model.js", "model.js", SCRIPT),
    file!("/views.js", "views.js", SCRIPT),
];

/// The name of each version of each file, in the same order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| {
        let digits = hex::digits(&Sha256::digest(file.text));
        format!("\"{}\"", digits.get(..TAG_DIGITS).unwrap_or(&digits))
    };
    FILES.iter().map(tag).collect()
});

/// Returns the routes of the files.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.iter().zip(TAGS.iter()).fold(Router::new(), |router, (file, tag)| {
        router.route(file.path, get(async move |headers: HeaderMap| answer(file, tag, &headers)))
    })
}

/// Reports whether a request is for a file of the page.
pub(super) fn is_for_file(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && FILES.iter().any(|file| file.path == path)
}

fn answer(file: &File, tag: &'static str, headers: &HeaderMap) -> Response {
    let is_known = headers
        .get(IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok())
        .is_some_and(|known| known.split(',').any(|known| known.trim().trim_start_matches("W/") == tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, file.media_type)], file.text).into_response()
    };
    let own = [
        (ETAG, tag),
        // A browser asks each time, so that the page is that of the service that serves it.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in own {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_names_only_files_that_are_served_and_no_other_server() {
        let name = regex::Regex::new(r#"["']\.?(/[a-z]+\.(?:css|js))["']"#).unwrap();
        assert!(name.is_match(FILES[0].text));
        for file in &FILES {
            for name in name.captures_iter(file.text).map(|found| found[1].to_owned()) {
                assert!(FILES.iter().any(|other| other.path == name), "{}: {name}", file.path);
            }
            let addresses = file.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!addresses.contains("http:") && !addresses.contains("https:"), "{}", file.path);
        }
    }

    #[test]
    fn no_text_becomes_markup_or_a_script() {
        let ways =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser"];
        for file in &FILES {
            for way in ways {
                assert!(!file.text.contains(way), "{}: {way}", file.path);
            }
        }
        let page = FILES[0].text;
        assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let [file, ..] = &FILES;
        let tag = TAGS[0].as_str();
        let known = |text: &str| {
            let headers: HeaderMap = [(IF_NONE_MATCH, text.parse().unwrap())].into_iter().collect();
            answer(file, tag, &headers).status()
        };
        assert_eq!(known(tag), StatusCode::NOT_MODIFIED);
        assert_eq!(known(&format!("\"x\", W/{tag}")), StatusCode::NOT_MODIFIED);
        assert_eq!(known("\"x\""), StatusCode::OK);
        assert_eq!(answer(file, tag, &HeaderMap::new()).status(), StatusCode::OK);
    }
}
