//! A connection over a stream inside the test: panics in the library's task, and hosts that stop answering.

use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use russh::ChannelId;
use russh::keys::PrivateKey;
use russh::keys::key::safe_rng;
use russh::server;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::DuplexStream;
use tokio::io::ReadBuf;

use super::super::shell::ScriptRun;
use super::super::shell::Shell;
use super::*;
use crate::core::model::Address;
use crate::remote::OUR_FAULT;
use crate::remote::Progress;
use crate::remote::Target;
use crate::remote::known_hosts::KnownHosts;
use crate::remote::ssh_config::Config;
use crate::remote::ssh_config::StrictHostKey;

/// A stream on which only a number of reads succeed.
struct Trap {
    stream: DuplexStream,
    reads: Arc<AtomicUsize>,
}

impl AsyncRead for Trap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let left = self.reads.load(Ordering::SeqCst);
        assert!(left > 0, "the trap");
        self.reads.store(left - 1, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Trap {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// How the host treats a script.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Prints the end after a minute, and answers meanwhile.
    Slow,
    /// Prints the end at once.
    Quick,
    /// Sends nothing any more.
    Hang,
}

/// A host that accepts every user, opens every session and starts the resident shell.
struct Open(Way);

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

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut server::Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(id)?;
        session.data(id, b"muster-shell-is-ready\n".to_vec())
    }

    async fn data(&mut self, id: ChannelId, _: &[u8], session: &mut server::Session) -> Result<(), russh::Error> {
        let wait = match self.0 {
            Way::Slow => Duration::from_mins(1),
            Way::Quick => Duration::ZERO,
            Way::Hang => std::future::pending().await,
        };
        let handle = session.handle();
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = handle.data(id, b"end\n".to_vec()).await;
        });
        Ok(())
    }
}

/// Connects to a host over a stream on which only a number of reads succeed.
async fn connect(reads: &Arc<AtomicUsize>) -> Result<Arc<Connection>, Failure> {
    connect_to(Way::Quick, reads, &Arc::default()).await
}

async fn connect_to(
    way: Way,
    reads: &Arc<AtomicUsize>,
    listeners: &Arc<Listeners>,
) -> Result<Arc<Connection>, Failure> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    let config = Arc::new(server::Config { keys: vec![key], ..server::Config::default() });
    tokio::spawn(async move {
        let session = server::run_stream(config, theirs, Open(way)).await?;
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
        record_in: None,
        hashed: false,
    };
    let permits = Semaphore::new(1);
    let (host, options, permits) = ("core-01", &options, &permits);
    let spare = std::sync::Weak::<NoSessions>::new();
    let handshake =
        Handshake { host, destination: &destination, options, check, permits, carried_by: None, listeners, spare };
    let trap = Trap { stream: ours, reads: reads.clone() };
    Connection::open(Box::new(trap), handshake).await.map(Arc::new)
}

struct NoSessions;

impl SpareSessions for NoSessions {
    fn close(&self) {}
}

#[tokio::test]
async fn a_panic_in_the_handshake_is_our_fault_and_no_throttling() {
    // The greeting arrives.
    let failure = connect(&Arc::new(AtomicUsize::new(1))).await.err().unwrap();
    assert_eq!((failure.phase, failure.kind), (Phase::KeyExchange, FailureKind::Local), "{failure}");
    assert_eq!(failure.detail, OUR_FAULT);
}

#[tokio::test]
async fn a_panic_under_a_connection_ends_it_and_is_our_fault() {
    let reads = Arc::new(AtomicUsize::new(usize::MAX));
    let connection = connect(&reads).await.unwrap();
    let at = ErrorContext { host: "core-01", phase: Phase::Run };
    drop(connection.session(at, Duration::from_secs(20)).await.unwrap());
    reads.store(0, Ordering::SeqCst);
    let failure = connection.session(at, Duration::from_secs(20)).await.err().unwrap();
    assert_eq!((failure.kind, failure.detail.as_str()), (FailureKind::Local, OUR_FAULT));
    assert!(!connection.is_usable(), "the next call must make another");
}

/// Runs a script on a host and returns its result, its duration and the phases that were reported.
async fn run_on(way: Way) -> (Result<Vec<u8>, Failure>, Duration, Vec<Phase>) {
    let listeners = Arc::new(Listeners::default());
    let phases = Arc::new(Mutex::new(Vec::new()));
    let reported = phases.clone();
    let _listening = listeners.add(&Progress::new(move |phase| reported.lock().unwrap().push(phase)));
    let connection = connect_to(way, &Arc::new(AtomicUsize::new(usize::MAX)), &listeners).await.unwrap();
    let limit = Duration::from_secs(20);
    let mut shell = Shell::start(&connection, "core-01", limit).await.unwrap();
    let began = Instant::now();
    let script =
        ScriptRun { text: "true", end: "end", limit: limit * 6, room: 1000, listeners: &listeners, is_told: false };
    let printed = shell.run(&script, ErrorContext { host: "core-01", phase: Phase::Run }).await;
    let phases = phases.lock().unwrap().clone();
    (printed, began.elapsed(), phases)
}

const LOGIN: [Phase; 3] = [Phase::KeyExchange, Phase::Authenticate, Phase::Shell];

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_answering_during_a_script_is_silent_after_four_seconds() {
    let (printed, took, phases) = run_on(Way::Hang).await;
    let failure = printed.unwrap_err();
    assert_eq!(failure.to_string(), "core-01: run: the host stopped answering");
    assert_eq!((failure.kind, took), (FailureKind::Silent, Duration::from_secs(4)));
    assert_eq!(phases, LOGIN);
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_script_is_slow_but_that_answers_may_take_its_time() {
    let (printed, took, phases) = run_on(Way::Slow).await;
    assert_eq!(printed.unwrap(), b"end\n");
    assert_eq!(took, Duration::from_mins(1));
    // Nothing is asked in the first second, and one answer arrives in each of the others.
    assert_eq!(phases, [LOGIN.as_slice(), &[Phase::Run; 59]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_quick_script_is_not_asked_for_a_sign_of_life() {
    let (printed, took, phases) = run_on(Way::Quick).await;
    assert_eq!((printed.unwrap().as_slice(), phases.as_slice()), (b"end\n".as_slice(), LOGIN.as_slice()));
    assert!(took < Duration::from_secs(1), "{took:?}");
}
