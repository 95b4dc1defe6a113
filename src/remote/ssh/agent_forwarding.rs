//! Agent forwarding: on the order of the operator, a host may use the SSH agent of this machine while an interactive
//! session lasts. Any other host that asks for the agent is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use russh::Channel;
use russh::client::ChannelOpenHandle;
use russh::client::Msg;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;

/// How many programs of a host may use the agent at once.
const CHANNELS: usize = 16;

/// The agent that a host may use; none until a session asks for it.
pub(super) struct ForwardedAgent {
    socket: OnceLock<PathBuf>,
    permits: Arc<Semaphore>,
}

impl Default for ForwardedAgent {
    fn default() -> Self {
        Self { socket: OnceLock::new(), permits: Arc::new(Semaphore::new(CHANNELS)) }
    }
}

impl ForwardedAgent {
    /// Lets the host use the agent at this socket while the connection lasts.
    pub(super) fn allow(&self, socket: PathBuf) {
        // A second session of the connection forwards the same agent.
        let _ = self.socket.set(socket);
    }

    /// Connects a channel of the host with the agent. A dropped reply is a refusal.
    pub(super) fn serve(&self, channel: Channel<Msg>, reply: ChannelOpenHandle) {
        let Some(socket) = self.socket.get().cloned() else { return };
        let Ok(permit) = self.permits.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            let Ok(mut agent) = UnixStream::connect(socket).await else { return };
            reply.accept().await;
            let _ = tokio::io::copy_bidirectional(&mut channel.into_stream(), &mut agent).await;
            drop(permit);
        });
    }
}
