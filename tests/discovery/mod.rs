//! The discovery service in one process: clients that are slow, many, or not what they seem.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use muster::discovery::service;
use muster::store::MemoryStore;
use muster::store::SharedStore;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::store::soon;

async fn start() -> (SocketAddr, SharedStore) {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(service::serve(listener, store.clone(), None, CancellationToken::new()));
    (address, store)
}

/// Sends the head of a request, and returns the status and the body of the answer.
async fn ask(address: SocketAddr, line: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = if line.starts_with("PUT") { "Content-Type: application/x-www-form-urlencoded\r\n" } else { "" };
    let body = line.split_once('|').map_or("", |(_, body)| body);
    let line = line.split('|').next().unwrap();
    let request = format!("{line} HTTP/1.0\r\n{headers}{length}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_head_never_ends_is_given_up() {
    let (address, _) = start().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127").await.unwrap();
    let began = tokio::time::Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!((10..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_client_has_a_share_of_the_connections() {
    let (address, _) = start().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
        soon(stream.read_u8()).await.unwrap();
        open.push(stream);
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let _ = refused.write_all(b"GET /health HTTP/1.0\r\n\r\n").await;
    assert!(soon(refused.read_u8()).await.is_err(), "another connection of the same client was served");
    drop(open);
}

#[tokio::test]
async fn a_web_page_and_a_client_that_asks_too_often_create_no_tokens() {
    let (address, _) = start().await;
    assert_eq!(ask(address, "GET /new", "Host: evil.example\r\n").await.0, 421);
    assert_eq!(ask(address, "GET /new", "Sec-Fetch-Site: cross-site\r\n").await.0, 403);
    for _ in 0..20 {
        assert_eq!(ask(address, "GET /new", "").await.0, 200);
    }
    assert_eq!(ask(address, "GET /new", "").await.0, 429);
}

#[tokio::test(start_paused = true)]
async fn a_token_without_members_expires_and_one_with_a_member_lasts() {
    let (address, _) = start().await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let (_, url) = ask(address, "GET /new?size=3", "").await;
        tokens.push(url.rsplit_once('/').unwrap().1.to_owned());
    }
    let register = format!("PUT /{}/1?prevExist=false|value=a%3Dhttp://192.0.2.1:2380", tokens[0]);
    assert_eq!(ask(address, &register, "").await.0, 201);
    tokio::time::advance(Duration::from_hours(7)).await;
    let mut statuses = Vec::new();
    for token in &tokens {
        statuses.push(ask(address, &format!("GET /{token}"), "").await.0);
    }
    assert_eq!(statuses, [200, 404]);
}
