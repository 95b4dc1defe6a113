//! The API of a controller, on a thread of its own with a lower priority: however much clients ask, the visits and the leases
//! of the hosts come first.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::api::Api;
use crate::cli::error::CommandError;
use crate::control::read_model::ReadModel;
use crate::http::connections::Listener;
use crate::http::unix_socket::UnixSocket;
use crate::runner::ClusterContext;
use crate::runner::Supervision;
use crate::ui;
use crate::ui::messages;

/// How much lower the priority of the thread is: the steps of nice(1).
const NICE: i32 = 5;

/// How often a socket is tried that another process serves.
const RETRY: Duration = Duration::from_secs(1);

/// How long the end of the API may take.
const END_LIMIT: Duration = Duration::from_secs(6);

/// The API that runs beside a controller.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Running {
    /// Ends the API. Its clients get the answers to the requests in flight.
    pub(super) async fn end(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(END_LIMIT, self.ended).await;
    }
}

/// Starts the API on a socket; without one, nothing is served.
pub(super) fn start(
    cluster: &ClusterContext,
    supervision: Supervision,
    socket: Option<PathBuf>,
) -> Result<Running, CommandError> {
    let (stop, (ends, ended)) = (CancellationToken::new(), oneshot::channel());
    let running = Running { stop: stop.clone(), ended };
    let Some(path) = socket else { return Ok(running) };
    let (first, runtime) = (bind(&path)?, tokio::runtime::Builder::new_current_thread().enable_all().build());
    let failed = |error: io::Error| CommandError::failed("the API cannot be started").caused_by(error);
    let (runtime, cluster) = (runtime.map_err(failed)?, cluster.clone());
    let serve = move || {
        // Without permission the priority stays as it is.
        let _ = rustix::process::nice(NICE);
        runtime.block_on(serve((cluster, supervision), path, first, stop));
        let _ = ends.send(());
    };
    thread::Builder::new().name("api".to_owned()).spawn(serve).map_err(failed)?;
    Ok(running)
}

/// Makes the socket, or returns `None` while another process serves it.
fn bind(path: &Path) -> Result<Option<(UnixSocket, std::os::unix::net::UnixListener)>, CommandError> {
    match UnixSocket::bind(path) {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(CommandError::usage(format!("--listen: cannot serve {}", path.display())).caused_by(error)),
    }
}

/// Serves until it is stopped. A socket that another controller serves is taken over when that one ends.
async fn serve(
    (cluster, supervision): (ClusterContext, Supervision),
    path: PathBuf,
    mut bound: Option<(UnixSocket, std::os::unix::net::UnixListener)>,
    stop: CancellationToken,
) {
    if bound.is_none() {
        ui::note(&messages::socket_in_use(&path));
    }
    let (socket, listener) = loop {
        if let Some(bound) = bound {
            break bound;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return,
        }
        bound = match bind(&path) {
            Ok(bound) => bound,
            Err(error) => {
                ui::report(&[error]);
                return;
            }
        };
    };
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => Listener::Unix(listener),
        Err(error) => return ui::warn(&format!("the API is not served: {error}")),
    };
    ui::status(&messages::serves(&path));
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    tokio::select! {
        () = model.run() => {}
        () = api::serve(listener, Api::new(cluster, view, supervision, stop)) => {}
    }
    drop(socket);
}
