//! The stream of events: live, and from where a client left it.

use std::time::Duration;

use muster::core::model::Event;
use muster::core::model::EventKind;
use muster::core::model::MachineId;
use muster::core::model::Timestamp;
use muster::core::model::Write;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use super::Served;
use crate::control::keys;
use crate::store::soon;

async fn log(served: &Served, at: u64) {
    let event = Event::new(Timestamp::from_millis(at), Some(MachineId::from_bits(7)), None, EventKind::LeaseEnded);
    served.cluster.store.commit(vec![], keys().ops(&[Write::Log(event)])).await.unwrap();
}

/// A stream of events.
struct Stream(UnixStream, String);

impl Stream {
    async fn open(served: &Served, path: &str, last: Option<&str>) -> Self {
        let mut stream = served.connect().await;
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!("GET {path} HTTP/1.1\r\nHost: muster\r\nAccept: text/event-stream\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut opened = Self(stream, String::new());
        opened.read_until("\r\n\r\n").await;
        opened
    }

    /// Reads up to a text, and returns what is before it.
    async fn read_until(&mut self, end: &str) -> String {
        loop {
            if let Some((before, rest)) = self.1.split_once(end) {
                let (before, rest) = (before.to_owned(), rest.to_owned());
                self.1 = rest;
                return before;
            }
            let mut bytes = [0; 4096];
            let count = soon(self.0.read(&mut bytes)).await.unwrap();
            assert!(count > 0, "the stream has ended after {:?}", self.1);
            self.1.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        }
    }

    /// Returns the id of the next event, and when it was.
    async fn next(&mut self) -> (String, u64) {
        let text = self.read_until("\n\n").await;
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap().to_owned();
        let data: serde_json::Value = serde_json::from_str(&field("data:")).unwrap();
        assert_eq!(field("event:"), "event");
        let at: Timestamp = serde_json::from_value(data["at"].clone()).unwrap();
        (field("id:"), at.as_millis())
    }
}

#[tokio::test]
async fn a_client_gets_each_event_once_though_it_was_cut_off() {
    let served = Served::start().await;
    log(&served, 1).await;
    assert!(served.view.until(Duration::from_secs(5), |it| it.events.end() == 1).await);
    let mut stream = Stream::open(&served, "/api/v1/events", None).await;
    log(&served, 2).await;
    log(&served, 3).await;
    let (second, at) = stream.next().await;
    assert_eq!(at, 2, "without a number of lines, only new events come");
    assert_eq!(stream.next().await.1, 3);
    drop(stream);
    log(&served, 4).await;
    let mut again = Stream::open(&served, "/api/v1/events", Some(&second)).await;
    assert_eq!((again.next().await.1, again.next().await.1), (3, 4));
    let mut all = Stream::open(&served, "/api/v1/events?lines=10", None).await;
    for at in 1..=4 {
        assert_eq!(all.next().await.1, at);
    }
}

#[tokio::test]
async fn a_stream_says_that_records_have_changed_and_is_silent_while_they_have_not() {
    let served = Served::start().await;
    assert!(served.view.until(Duration::from_secs(5), |it| it.is_read).await);
    let mut stream = Stream::open(&served, "/api/v1/events?changes=true", None).await;
    let first = stream.read_until("\n\n").await;
    assert!(first.contains("event: change") && first.contains("\"stale_since\":null"), "{first}");
    // An event is no change of a record: it comes alone.
    log(&served, 1).await;
    assert_eq!(stream.next().await.1, 1);
    let ops = crate::control::want("web.service", "[Service]\nExecStart=/bin/true\n");
    served.cluster.store.commit(vec![], ops).await.unwrap();
    let second = stream.read_until("\n\n").await;
    assert!(second.contains("event: change") && second != first, "{second}");
}

#[tokio::test]
async fn a_stream_ends_with_the_service() {
    let served = Served::start().await;
    let mut stream = Stream::open(&served, "/api/v1/events", None).await;
    served.stop.cancel();
    let mut rest = Vec::new();
    soon(stream.0.read_to_end(&mut rest)).await.unwrap();
}
