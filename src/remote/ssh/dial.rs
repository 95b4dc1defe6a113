//! Opens a TCP connection to a host: resolves its name and tries its addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::failure::ErrorContext;
use super::stream::ByteStream;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;

/// Resolves a name to addresses, in the order that the system prefers.
pub(super) async fn resolve(host: &str, name: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let at = ErrorContext { host, phase: Phase::Resolve };
    let began = Instant::now();
    let look_up = async {
        match tokio::net::lookup_host((name, port)).await {
            Ok(found) => Ok(found.collect::<Vec<_>>()),
            Err(error) => {
                let text = error.to_string();
                let why = text.rsplit(": ").next().unwrap_or(&text).to_owned();
                Err(at.failure(FailureKind::Local, format!("no address for {name:?}: {why}")))
            }
        }
    };
    // A silent name service says nothing about the host.
    let found = tokio::time::timeout(limit, look_up)
        .await
        .unwrap_or_else(|_| Err(Failure { kind: FailureKind::Local, ..at.silent(limit) }))?;
    if found.is_empty() {
        return Err(at.failure(FailureKind::Local, format!("no address for {name:?}")));
    }
    tracing::debug!(host, name, addresses = found.len(), elapsed = ?began.elapsed(), "resolved");
    Ok(found)
}

/// Opens a TCP connection to the first address that answers, within `limit` for all addresses together.
pub(super) async fn connect(
    host: &str,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<Box<dyn ByteStream>, Failure> {
    let at = ErrorContext { host, phase: Phase::Connect };
    let began = Instant::now();
    let end = began + limit;
    let mut last = None;
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len().saturating_sub(tried)).unwrap_or(u32::MAX).max(1);
        // A silent address must not use the time of the addresses after it.
        let share = end.saturating_duration_since(Instant::now()) / left;
        let failure = match tokio::time::timeout(share, dial(*address)).await {
            Ok(Ok(stream)) => {
                tracing::debug!(host, %address, elapsed = ?began.elapsed(), "connected");
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => at.io(&error),
            Err(_) => at.silent(limit),
        };
        tracing::debug!(host, %address, elapsed = ?began.elapsed(), "not connected: {}", failure.detail);
        let detail = format!("{address}: {}", failure.detail);
        // An address that answered says more about the host than one that did not.
        let better = last.as_ref().is_none_or(|last: &Failure| last.kind != FailureKind::Refused);
        if better {
            last = Some(Failure { detail, ..failure });
        }
    }
    Err(last.unwrap_or_else(|| at.failure(FailureKind::Local, "the host has no address")))
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
