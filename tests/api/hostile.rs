//! Clients that are slow, many, or not what they seem.

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::Served;
use crate::store::soon;

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let served = Served::start().await;
    let head = format!("{JSON}Content-Length: 100000000\r\n");
    let answer = served.send("PUT /fleet/v1/units/a.service", &head, "").await;
    assert_eq!(answer.error(), (413, "the body is longer than 3 MiB".to_owned()));
    let long = json!({"text": "x".repeat(4 << 20)});
    let answer = served.put("/api/v1/unit-files/a.service", &long).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let served = Served::start().await;
    let mut stream = served.connect().await;
    let head = format!("PUT /api/v1/unit-files/a.service HTTP/1.1\r\nHost: m\r\n{JSON}Content-Length: 9\r\n\r\n{{\"te");
    stream.write_all(head.as_bytes()).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!((30..40).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn idle_connections_of_one_user_do_not_keep_the_service_from_answering_the_others() {
    let served = Served::start().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(served.connect().await);
    }
    // The same user gets no more, and is told by the end of the connection.
    let mut refused = served.connect().await;
    let _ = refused.write_all(b"GET /api/v1/cluster HTTP/1.0\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = soon(refused.read_to_end(&mut answer)).await;
    assert!(answer.is_empty(), "{answer:?}");
    drop(open);
    soon(async {
        loop {
            let mut stream = served.connect().await;
            let _ = stream.write_all(b"GET /api/v1/cluster HTTP/1.0\r\n\r\n").await;
            let mut answer = Vec::new();
            if stream.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.0 200") {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_of_another_site_is_refused() {
    let served = Served::start().await;
    for head in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let answer = served.send("POST /api/v1/units/web.service/start", head, "").await;
        assert_eq!(answer.error().0, 403, "{head}");
    }
}

#[tokio::test]
async fn a_page_reaches_a_forwarded_socket_only_under_a_name_of_this_host() {
    let served = Served::start().await;
    let ask = async |host: &str, head: &str| {
        let mut stream = served.connect().await;
        let request = format!(
            "POST /api/v1/units/none.service/start HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let same = "Sec-Fetch-Site: same-origin\r\n";
    assert_eq!(ask("localhost:8087", &format!("Origin: http://localhost:8087\r\n{same}")).await, "404");
    assert_eq!(ask("localhost:8087", "Origin: http://localhost:8088\r\n").await, "403", "another port");
    // A page whose own name was changed to lead to the forwarded port.
    assert_eq!(ask("evil.example:8087", &format!("Origin: http://evil.example:8087\r\n{same}")).await, "421");
    assert_eq!(ask("evil.example:8087", same).await, "421");
    assert_eq!(ask("muster", "").await, "404", "a program writes what it likes");
}

#[tokio::test]
async fn the_page_forbids_what_is_not_its_own_and_a_link_may_lead_to_it() {
    let served = Served::start().await;
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n";
    let get = async |path: &str, host: &str| {
        let mut stream = served.connect().await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{link}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        answer.to_lowercase()
    };
    let page = get("/", "localhost:8087").await;
    for part in [
        "http/1.1 200",
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "etag: \"",
    ] {
        assert!(page.contains(part), "{part}: {}", &page[..600]);
    }
    assert!(get("/app.js", "localhost:8087").await.starts_with("http/1.1 200"));
    assert!(get("/", "evil.example").await.starts_with("http/1.1 421"));
    assert!(get("/api/v1/cluster", "localhost:8087").await.starts_with("http/1.1 403"));
}

#[tokio::test]
async fn bytes_that_are_no_request_end_the_connection_and_nothing_else() {
    let served = Served::start().await;
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\0\0\0\xff\r\n\r\n"] {
        let mut stream = served.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    }
    for path in
        ["/api/v1/../../etc/passwd", "/api/v1/unit-files/..%2f..%2fetc%2fpasswd", "/%ff%00", "/fleet/v1/units/%00"]
    {
        let status = served.get(path).await.status;
        assert!([400, 404].contains(&status), "{path}: {status}");
    }
    assert_eq!(served.get("/api/v1/cluster").await.status, 200);
}
