//! The API of a controller, on a thread of its own with a lower priority: however much clients ask, the visits and the leases
//! of the hosts come first.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpListener;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::api::Api;
use crate::api::access::AccessList;
use crate::cli::error::CommandError;
use crate::cli::settings::Listen;
use crate::cli::settings::ListenArgs;
use crate::cli::settings::Settings;
use crate::control::read_model::ReadModel;
use crate::http::connections::Listener;
use crate::http::tls::BadTls;
use crate::http::unix_socket::UnixSocket;
use crate::remote::ssh;
use crate::remote::ssh::Ssh;
use crate::remote::ssh_config::ConfigError;
use crate::runner::ClusterContext;
use crate::runner::Supervision;
use crate::store::GuestStore;
use crate::ui;
use crate::ui::messages;

/// How much lower the priority of the thread is: the steps of nice(1).
const NICE: i32 = 5;

/// How often a place is tried that another process serves.
const RETRY: Duration = Duration::from_secs(1);

/// How long the end of the API may take.
const END_LIMIT: Duration = Duration::from_secs(6);

/// The API that runs beside a controller.
#[derive(Debug)]
pub(super) struct Running {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
    access: watch::Sender<Arc<AccessList>>,
    /// `None` if it is not served to other hosts.
    tls: Option<watch::Sender<Arc<ServerConfig>>>,
    remote: Arc<Ssh>,
}

/// What a reload of the settings has read for the API.
pub(super) struct FreshAccess {
    access: Arc<AccessList>,
    tls: Option<Arc<ServerConfig>>,
}

impl FreshAccess {
    /// Reads who may use the API, and the certificates.
    pub(super) fn read(args: &ListenArgs, settings: &Settings) -> Result<Self, CommandError> {
        let is_tls = args.places(settings).iter().any(|place| matches!(place, Listen::Tls(_)));
        let tls = is_tls.then(|| args.tls(settings)).transpose()?;
        let tls = tls
            .map(|files| files.read())
            .transpose()
            .map_err(|error: BadTls| CommandError::usage(format!("the API cannot be served with TLS: {error}")))?;
        if is_tls && settings.access.0.is_empty() {
            return Err(CommandError::usage(
                "the API would be served to other hosts, and no client is in the access list",
            )
            .hint("`muster access new NAME` prints an access token, and the lines for muster.toml."));
        }
        Ok(Self { access: Arc::clone(&settings.access), tls })
    }
}

impl Running {
    /// Puts settings into force that were read again. Where the API is served does not change.
    pub(super) async fn reload(&self, fresh: FreshAccess, options: ssh::Options) -> Result<(), ConfigError> {
        self.access.send_replace(fresh.access);
        if let Some((tls, fresh)) = self.tls.as_ref().zip(fresh.tls) {
            tls.send_replace(fresh);
        }
        self.remote.reload(options).await
    }

    /// Ends the API. Its clients get the answers to the requests in flight.
    pub(super) async fn end(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(END_LIMIT, self.ended).await;
    }
}

/// Starts the API in some places, with connections of its own to the hosts. Without a place, nothing is served.
pub(super) fn start(
    cluster: &ClusterContext,
    supervision: Supervision,
    places: Vec<Listen>,
    fresh: FreshAccess,
    remote: Arc<Ssh>,
) -> Result<Running, CommandError> {
    let (stop, (ends, ended)) = (CancellationToken::new(), oneshot::channel());
    let (access, access_list) = watch::channel(fresh.access);
    let (tls, tls_config) = fresh.tls.map(watch::channel).unzip();
    let running = Running { stop: stop.clone(), ended, access, tls, remote: Arc::clone(&remote) };
    if places.is_empty() {
        return Ok(running);
    }
    let places = places.into_iter().map(|place| Ok((bind(&place)?, place)));
    let places = places.collect::<Result<Vec<_>, CommandError>>()?;
    let failed = |error: io::Error| CommandError::failed("the API cannot be started").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // The leader is the controller itself, and not one of its clients.
    let store = Arc::new(GuestStore(cluster.store.clone()));
    let cluster = ClusterContext { remote, store, stop: stop.clone(), ..cluster.clone() };
    let serve = move || {
        // Without permission the priority stays as it is.
        let _ = rustix::process::nice(NICE);
        runtime.block_on(async {
            let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
            let api = Arc::new(Api::new(cluster, view, supervision, access_list, stop.clone()));
            let serve = |(first, place)| serve(Arc::clone(&api), place, first, tls_config.clone(), &stop);
            tokio::select! {
                () = model.run() => {}
                _ = join_all(places.into_iter().map(serve)) => {}
            }
        });
        let _ = ends.send(());
    };
    thread::Builder::new().name("api".to_owned()).spawn(serve).map_err(failed)?;
    Ok(running)
}

/// A place that this process has.
enum Bound {
    Unix(UnixSocket, std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
}

/// Takes a place, or returns `None` while another process serves it.
fn bind(place: &Listen) -> Result<Option<Bound>, CommandError> {
    let bound = match place {
        Listen::None => return Ok(None),
        Listen::Unix(path) => UnixSocket::bind(path).map(|(socket, listener)| Bound::Unix(socket, listener)),
        Listen::Tls(address) => {
            let listener = std::net::TcpListener::bind(address);
            let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
            listener.map(Bound::Tcp)
        }
    };
    let in_use = |error: &io::Error| match place {
        Listen::Tls(_) => error.kind() == io::ErrorKind::AddrInUse,
        _ => error.kind() == io::ErrorKind::WouldBlock,
    };
    match bound {
        Ok(bound) => Ok(Some(bound)),
        Err(error) if in_use(&error) => Ok(None),
        Err(error) => Err(CommandError::usage(format!("--listen: cannot serve {place}")).caused_by(error)),
    }
}

/// Serves one place until it is stopped. A place that another controller serves is taken over when that one ends.
async fn serve(
    api: Arc<Api>,
    place: Listen,
    mut bound: Option<Bound>,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    stop: &CancellationToken,
) {
    if bound.is_none() {
        ui::note(&messages::place_in_use(&place.to_string()));
    }
    let bound = loop {
        if let Some(bound) = bound {
            break bound;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return,
        }
        bound = match bind(&place) {
            Ok(bound) => bound,
            Err(error) => {
                ui::report(&[error]);
                return;
            }
        };
    };
    if let Err(error) = answer(api, bound, &place, tls).await {
        ui::warn(&format!("the API is not served at {place}: {error}"));
    }
}

/// Answers clients until it is stopped.
async fn answer(
    api: Arc<Api>,
    bound: Bound,
    place: &Listen,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
) -> io::Result<()> {
    match (bound, tls) {
        (Bound::Unix(socket, listener), _) => {
            let listener = UnixListener::from_std(listener)?;
            ui::status(&messages::serves(&place.to_string()));
            api::serve(Listener::Unix(listener), api).await;
            drop(socket);
        }
        (Bound::Tcp(listener), Some(tls)) => {
            let listener = TcpListener::from_std(listener)?;
            // The port may have been left to the kernel.
            ui::status(&messages::serves(&Listen::Tls(listener.local_addr()?).to_string()));
            api::serve(Listener::Tls(listener, tls), api).await;
        }
        (Bound::Tcp(_), None) => {}
    }
    Ok(())
}
