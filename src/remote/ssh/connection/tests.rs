//! A panic in the library's task of a connection, made by what carries the bytes.

use std::io;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use russh::keys::PrivateKey;
use russh::keys::key::safe_rng;
use russh::server;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;

use super::*;
use crate::core::model::Address;
use crate::remote::OUR_FAULT;
use crate::remote::Target;
use crate::remote::known_hosts::KnownHosts;
use crate::remote::ssh_config::Config;
use crate::remote::ssh_config::StrictHostKey;

/// A line on which only so many reads go well.
struct Trap {
    line: DuplexStream,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Trap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.line).poll_read(context, buffer))?;
        let left = self.reads.load(Ordering::SeqCst);
        assert!(left > 0, "the trap");
        self.reads.store(left - 1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trap {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.line).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.line).poll_shutdown(context)
    }
}

/// A host that lets everybody in and opens every session.
struct Open;

impl server::Handler for Open {
    type Error = russh::Error;

    async fn auth_none(&mut self, _: &str) -> Result<server::Auth, russh::Error> {
        Ok(server::Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<server::Msg>,
        reply: server::ChannelOpenHandle,
        _: &mut server::Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }
}

/// Connects to a host over a line on which only so many reads go well.
async fn connect(reads: &Arc<AtomicUsize>) -> Result<Arc<Connection>, Failure> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
    tokio::spawn(async move {
        let session = server::run_stream(config, theirs, Open).await?;
        session.await
    });
    let options = Options { home: Some("/nonexistent".into()), ..Options::default() };
    let address = Address { user: Some("root".to_owned()), host: "192.0.2.1".to_owned(), port: None };
    let target = Target { name: "core-01".to_owned(), address, ..Target::default() };
    let destination = Destination::resolve(&target, &Config::default(), &options).unwrap();
    let check = KeyCheck {
        known: Arc::new(KnownHosts::read(std::iter::empty()).unwrap()),
        host: destination.known_as(),
        strict: StrictHostKey::No,
        note_in: None,
        hashed: false,
    };
    let turns = Semaphore::new(1);
    let terms =
        Terms { host: "core-01", destination: &destination, options: &options, check, turns: &turns, carried_by: None };
    let trap = Trap { line: ours, reads: reads.clone() };
    Connection::open(Box::new(trap), terms).await.map(Arc::new)
}

#[tokio::test]
async fn a_panic_in_the_handshake_is_our_fault_and_no_throttling() {
    // The greeting comes through.
    let failure = connect(&Arc::new(AtomicUsize::new(1))).await.err().unwrap();
    assert_eq!((failure.phase, failure.kind), (Phase::KeyExchange, FailureKind::Local), "{failure}");
    assert_eq!(failure.detail, OUR_FAULT);
}

#[tokio::test]
async fn a_panic_under_a_connection_ends_it_and_is_our_fault() {
    let reads = Arc::new(AtomicUsize::new(usize::MAX));
    let connection = connect(&reads).await.unwrap();
    let at = At { host: "core-01", phase: Phase::Run };
    drop(connection.session(at, Duration::from_secs(20)).await.unwrap());
    reads.store(0, Ordering::SeqCst);
    let failure = connection.session(at, Duration::from_secs(20)).await.err().unwrap();
    assert_eq!((failure.kind, failure.detail.as_str()), (FailureKind::Local, OUR_FAULT));
    assert!(!connection.is_usable(), "the next call must make another");
}
