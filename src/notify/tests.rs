//! Receivers that answer, refuse, hang and lie, on loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::core::alert::Notice;
use crate::core::alert::Selector;
use crate::core::alert::Status;
use crate::core::model::Timestamp;

const SECRET: &str = "hunter2";

fn message(text: &str) -> Message {
    let since = Timestamp::from_millis(1_700_000_000_000);
    let notice = Notice {
        id: "1a2b3c4d5e6f".to_owned(),
        kind: "machine down".to_owned(),
        machine: Some("web1".to_owned()),
        unit: None,
        since,
        ended: None,
        text: text.to_owned(),
        shared: None,
    };
    let (id, cluster) = ("0123456789ab".to_owned(), "prod".to_owned());
    Message { id, status: Status::Problem, cluster, at: since, incidents: vec![notice], omitted: 0 }
}

fn receiver(channel: Channel) -> Receiver {
    let rules = Rules { selector: Selector::default(), min_duration: None, clears: true, remind: None };
    Receiver { channel, rules }
}

fn http(service: Service, url: String) -> Receiver {
    let token = Some(Source::Text(SECRET.to_owned().into()));
    let endpoint = Endpoint { url: Source::url(url).unwrap(), token };
    receiver(Channel::Http(HttpReceiver::new(service, endpoint).unwrap()))
}

/// Serves one answer to each connection, after the request. Returns the URL and the requests.
async fn serve(answer: &'static [u8], repeats: bool) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook/{SECRET}?key={SECRET}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !is_whole(&request) && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
            let _ = sender.send(String::from_utf8_lossy(&request).into_owned());
            while stream.write_all(answer).await.is_ok() && repeats {}
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
        }
    });
    (url, requests)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.trim().parse().unwrap())
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn each_service_gets_the_message_in_its_form() {
    let message = message("web1 is <down> & out");
    let (url, mut requests) = serve(OK, false).await;
    for service in [Service::Webhook, Service::Slack, Service::Ntfy] {
        assert_eq!(http(service, url.clone()).deliver(&message).await.unwrap(), "answered 200 OK");
        let request = requests.recv().await.unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let head = head.to_lowercase();
        assert!(head.starts_with("post /hook/hunter2?key=hunter2 "), "{head}");
        assert!(head.contains("\r\nauthorization: bearer hunter2"), "{head}");
        match service {
            Service::Webhook => {
                let document: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(document["id"], "0123456789ab");
                assert_eq!((&document["status"], &document["cluster"]), (&"problem".into(), &"prod".into()));
                assert_eq!(document["incidents"][0]["id"], "1a2b3c4d5e6f");
                assert_eq!(document["incidents"][0]["since"], 1_700_000_000_000_u64);
                assert_eq!(document["title"], "muster prod: 1 problem");
            }
            Service::Slack => assert_eq!(
                body,
                "{\"text\":\"muster prod: 1 problem\\nweb1 is &lt;down&gt; &amp; out [1a2b3c4d5e6f]\\n(message \
                 0123456789ab)\"}"
            ),
            Service::Ntfy => {
                assert_eq!(body, "web1 is <down> & out [1a2b3c4d5e6f]\n(message 0123456789ab)");
                for header in ["title: muster prod: 1 problem", "priority: high", "tags: rotating_light"] {
                    assert!(head.contains(&format!("\r\n{header}")), "{head}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_without_the_secrets_of_the_url() {
    for (answer, repeats, expected) in [
        (&b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 7\r\n\r\nhunter2"[..], false, "answered 500"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false, "answered 404 Not Found"),
        (b"garbage hunter2\r\n\r\n", false, "the request failed: "),
        (b"HTTP/1.1 200 OK\r\nx: y\r\n", true, "the request failed: "),
    ] {
        let (url, _requests) = serve(answer, repeats).await;
        let error = http(Service::Slack, url).deliver(&message("x")).await.unwrap_err();
        assert!(error.starts_with(expected) && !error.contains(SECRET), "{error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:{SECRET}@{}/{SECRET}", listener.local_addr().unwrap());
    drop(listener);
    let receiver = http(Service::Webhook, url);
    let error = receiver.deliver(&message("x")).await.unwrap_err();
    assert!(error.starts_with("cannot connect: ") && !error.contains(SECRET), "{error}");
    assert!(!format!("{receiver:?}").contains(SECRET));
    let error = Source::url(format!("ftp://{SECRET}")).unwrap_err().to_string();
    assert_eq!(error, "the URL is invalid: expected http://HOST/PATH or https://HOST/PATH");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, mut other) = serve(OK, false).await;
    let answer = format!("HTTP/1.1 301 Moved Permanently\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
    let answer = answer.into_bytes().leak();
    let (url, _requests) = serve(answer, false).await;
    let error = http(Service::Webhook, url).deliver(&message("x")).await.unwrap_err();
    assert_eq!(error, "answered 301 Moved Permanently: redirects are not followed");
    assert!(other.try_recv().is_err());
}

#[tokio::test]
async fn a_body_without_an_end_is_not_read() {
    let began = Instant::now();
    let (url, _requests) = serve(b"HTTP/1.1 200 OK\r\n\r\n0123456789abcdef", true).await;
    // The head is repeated within the body.
    assert_eq!(http(Service::Webhook, url).deliver(&message("x")).await.unwrap(), "answered 200 OK");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_is_given_up_after_ten_seconds() {
    let (url, _requests) = serve(b"", false).await;
    let began = tokio::time::Instant::now();
    let error = http(Service::Webhook, url).deliver(&message("x")).await.unwrap_err();
    assert!(error.starts_with("no answer within "), "{error}");
    assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
}

#[tokio::test]
async fn a_url_and_a_token_are_read_from_files_for_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let (url, mut requests) = serve(OK, false).await;
    let (url_file, token_file) = (folder.path().join("url"), folder.path().join("token"));
    let endpoint = Endpoint { url: Source::File(url_file.clone()), token: Some(Source::File(token_file.clone())) };
    let receiver = receiver(Channel::Http(HttpReceiver::new(Service::Ntfy, endpoint).unwrap()));
    let error = receiver.deliver(&message("x")).await.unwrap_err();
    assert!(error.starts_with(&format!("cannot read {}", url_file.display())), "{error}");
    fs::write(&url_file, format!("{url}\n")).unwrap();
    fs::write(&token_file, "\n").unwrap();
    assert_eq!(receiver.deliver(&message("x")).await, Err(format!("{} is empty", token_file.display())));
    fs::write(&token_file, "  tk_1\n").unwrap();
    receiver.deliver(&message("x")).await.unwrap();
    assert!(requests.recv().await.unwrap().to_lowercase().contains("authorization: bearer tk_1\r\n"));
}

#[tokio::test]
async fn a_command_gets_json_and_variables_and_its_processes_end_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let command = |text: &str| receiver(Channel::Command(CommandReceiver { command: text.to_owned() }));
    let variables = "$MUSTER_ALERT_ID $MUSTER_ALERT_STATUS $MUSTER_ALERT_TITLE $MUSTER_ALERT_CLUSTER";
    let text = format!("{{ echo \"{variables}\"; cat; }} > {}", out.display());
    command(&text).deliver(&message("x")).await.unwrap();
    let written = fs::read_to_string(&out).unwrap();
    let (first, json) = written.split_once('\n').unwrap();
    assert_eq!(first, "0123456789ab problem muster prod: 1 problem prod");
    assert_eq!(serde_json::from_str::<serde_json::Value>(json).unwrap()["incidents"][0]["machine"], "web1");
    let error = command("echo no such pager >&2; exit 3").deliver(&message("x")).await;
    assert_eq!(error, Err("exit status: 3: no such pager".to_owned()));
    // A command need not read its stdin.
    let long = message(&"x".repeat(100_000));
    assert!(command("exit 0").deliver(&long).await.is_ok());
}

#[tokio::test]
async fn a_mail_goes_to_sendmail_and_no_text_adds_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let (sendmail, out) = (folder.path().join("sendmail"), folder.path().join("out"));
    fs::write(&sendmail, format!("#!/bin/sh\n{{ echo \"$@\"; cat; }} > {}\n", out.display())).unwrap();
    fs::set_permissions(&sendmail, fs::Permissions::from_mode(0o755)).unwrap();
    let to = ["ops@example.com", "root"].map(|it| it.parse().unwrap()).to_vec();
    let mail = MailReceiver { to, from: Some("muster@example.com".parse().unwrap()), sendmail };
    let message = message("web1 is down\r\nBcc: all@example.com");
    receiver(Channel::Mail(mail.clone())).deliver(&message).await.unwrap();
    let written = fs::read_to_string(&out).unwrap();
    let (head, body) = written.split_once("\n\n").unwrap();
    let expected = [
        "-t -i",
        "From: muster@example.com",
        "To: ops@example.com, root",
        "Subject: muster prod: 1 problem",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "Message-ID: <muster-0123456789ab@prod>",
        "X-Muster-Status: problem",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 7bit",
    ];
    assert_eq!(head.lines().collect::<Vec<_>>(), expected);
    assert!(body.starts_with("web1 is down\r\nBcc: "), "{body}");
    let foreign = Message { cluster: "prod\r\nBcc: all@example.com".to_owned(), ..message };
    let text = mail.mail(&foreign);
    let (head, _) = text.split_once("\n\n").unwrap();
    assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
    let unicode = mail.mail(&super::tests::message("web1 läuft nicht"));
    assert!(unicode.contains("Transfer-Encoding: base64\n\n"), "{unicode}");
    assert!(unicode.lines().all(|line| line.len() <= 76));
    for bad in ["", "-oQ/tmp", "a b@c", "a@b\nBcc: c@d", "a@b,c@d", "a@", "@b", "<a@b>"] {
        assert!(bad.parse::<MailAddress>().is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_sendmail_that_is_absent_is_an_error() {
    let mail = MailReceiver { to: vec!["root".parse().unwrap()], from: None, sendmail: "/nowhere/sendmail".into() };
    let error = receiver(Channel::Mail(mail)).deliver(&message("x")).await.unwrap_err();
    assert_eq!(error, "/nowhere/sendmail: No such file or directory (os error 2)");
    assert_eq!(LIMIT, Duration::from_secs(10));
}
