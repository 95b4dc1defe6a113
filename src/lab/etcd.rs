//! The etcd on the lab's hosts: a member on each of the first three. They find each other through muster's own discovery
//! service, as in the walk-through.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::error::LabError;
use super::record::Host;
use crate::discovery::service::serve;
use crate::store::Credentials;
use crate::store::MemoryStore;
use crate::store::Op;
use crate::store::Precondition;
use crate::store::SharedStore;
use crate::store::Store;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;
use crate::store::open;

/// The port for clients.
pub(super) const CLIENT_PORT: u16 = 2379;

/// The port for other members.
const PEER_PORT: u16 = 2380;

/// How long the members may take to find each other and elect a leader.
const READY_TIMEOUT: Duration = Duration::from_mins(1);

/// Returns the number of members. Two would tolerate no more losses than one.
pub(super) const fn members(hosts: usize) -> usize {
    if hosts < 3 { 1 } else { 3 }
}

/// Returns the settings of a member, as environment variables that etcd and its unit read.
pub(super) fn settings(host: &Host, discovery: &str) -> String {
    let address = host.address;
    // etcd starts on a processor that it calls untested only with this setting.
    let unsupported_arch = match std::env::consts::ARCH {
        "aarch64" => "ETCD_UNSUPPORTED_ARCH=arm64\n",
        _ => "",
    };
    format!(
        "ETCD_LISTEN_PEER_URLS=http://{address}:{PEER_PORT}\n\
         ETCD_INITIAL_ADVERTISE_PEER_URLS=http://{address}:{PEER_PORT}\n\
         ETCD_LISTEN_CLIENT_URLS=http://{address}:{CLIENT_PORT},http://127.0.0.1:{CLIENT_PORT}\n\
         ETCD_ADVERTISE_CLIENT_URLS=http://{address}:{CLIENT_PORT}\n\
         ETCD_DISCOVERY={discovery}\n{unsupported_arch}"
    )
}

/// The discovery service, which runs until this is dropped. The members need it to find each other.
#[derive(Debug)]
pub(super) struct Discovery {
    url: String,
    stop: CancellationToken,
    server: Option<thread::JoinHandle<()>>,
}

impl Discovery {
    /// Starts the service for the members of one cluster, at this machine's address in the lab.
    pub(super) fn start(gateway: Ipv4Addr, token: &str, members: usize) -> Result<Self, LabError> {
        let failed = |error: std::io::Error| LabError::Discovery(error.to_string());
        let runtime = runtime().map_err(failed)?;
        let listener = TcpListener::bind((gateway, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let url = format!("http://{}/{token}", listener.local_addr().map_err(failed)?);
        let stop = CancellationToken::new();
        let (cancelled, token) = (stop.clone(), token.to_owned());
        let (report, reported) = channel();
        let server = thread::spawn(move || {
            runtime.block_on(async {
                let store: SharedStore = Arc::new(MemoryStore::new());
                let listener = match create_token(&*store, &token, members).await {
                    Ok(()) => tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string()),
                    Err(error) => Err(error),
                };
                match listener {
                    Ok(listener) => {
                        let _ = report.send(Ok(()));
                        // Open requests are dropped: no member needs an answer any more.
                        cancelled.run_until_cancelled(serve(listener, store, None, cancelled.clone())).await;
                    }
                    Err(error) => drop(report.send(Err(error))),
                }
            });
        });
        let discovery = Self { url, stop, server: Some(server) };
        let ready = reported.recv().unwrap_or_else(|_| Err("the service ended at once".to_owned()));
        ready.map(|()| discovery).map_err(LabError::Discovery)
    }

    /// Returns the discovery URL of the members.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            // An error of the service no longer matters.
            let _ = server.join();
        }
    }
}

/// Sets the size of the token in the etcd that was formed with it, so that the token names a cluster there too.
pub(super) fn hand_over(store: &str, token: &str, members: usize) -> Result<(), LabError> {
    let runtime = runtime().map_err(|error| LabError::Discovery(error.to_string()))?;
    let work = || {
        runtime.block_on(async {
            let store = open(store, &Credentials::default()).await.map_err(|error| error.to_string())?;
            create_token(&*store, token, members).await
        })
    };
    // A thread of its own, because the caller may already be in a runtime.
    let done = thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(LabError::Discovery)
}

/// Creates a token with the number of members that its cluster starts with.
async fn create_token(store: &dyn Store, token: &str, members: usize) -> Result<(), String> {
    let keyspace = Keyspace::new(token).map_err(|error| error.to_string())?;
    let key = keyspace.key(&Key::Size);
    let result = store.commit(vec![Precondition::Absent(key.clone())], vec![Op::put(key, members.to_string())]).await;
    match result.map_err(|error| error.to_string())? {
        Some(_) => Ok(()),
        None => Err(format!("the token {token} is in use")),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Waits until a member reports that the cluster has a leader.
pub(super) fn wait_ready(host: &Host, stop: &dyn Fn() -> bool) -> Result<(), LabError> {
    let start = Instant::now();
    loop {
        let detail = match health(host.address) {
            Ok(answer) if answer.contains(r#""health":"true""#) => return Ok(()),
            Ok(answer) => answer.lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        if stop() {
            return Err(LabError::Interrupted);
        }
        if start.elapsed() > READY_TIMEOUT {
            let (name, address) = (host.name.clone(), host.address);
            return Err(LabError::Boot { host: name, address, port: CLIENT_PORT, waited: READY_TIMEOUT, detail });
        }
        thread::sleep(Duration::from_millis(25));
    }
}

fn health(address: Ipv4Addr) -> std::io::Result<String> {
    let limit = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, CLIENT_PORT)), limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}
