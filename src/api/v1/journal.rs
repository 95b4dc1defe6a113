//! The journal of a unit, and its status as text: only its machine has them. Each answer costs a command on that machine,
//! over a connection of the API's own, so that the visits of the leader do not wait for it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;

use super::no_such_unit;
use super::parse;
use crate::api::Api;
use crate::api::EXIT_CODE;
use crate::api::Reply;
use crate::api::error::ApiError;
use crate::control::unit_output;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Machine;
use crate::core::model::Snapshot;
use crate::core::unit::UnitName;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;
use crate::remote::Unquotable;
use crate::runner;

/// How many commands of clients run on machines at once.
pub(in crate::api) const COMMANDS: usize = 16;

/// How long a command may take that ends by itself.
const LIMIT: Duration = Duration::from_secs(20);

/// The longest answer, in bytes.
const BYTES: usize = 4 << 20;

/// How many lines of the journal without a number, and at most.
const LINES: (u32, u32) = (100, 10_000);

/// How many parts of a journal wait for a slow reader. Then the answer ends.
const PARTS: usize = 256;

/// Set if the beginning of a longer answer was sent.
const CUT: &str = "muster-cut";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JournalParameters {
    lines: Option<u32>,
    /// The format, as journalctl(1) names it.
    output: Option<String>,
    #[serde(default)]
    follow: bool,
    machine: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusParameters {
    machine: Option<String>,
}

pub(super) async fn journal(
    State(api): State<Arc<Api>>,
    Path(unit): Path<String>,
    Query(parameters): Query<JournalParameters>,
) -> Reply {
    let unit = parse(&unit)?;
    let lines = parameters.lines.unwrap_or(LINES.0);
    if lines > LINES.1 {
        return Err(ApiError::bad(format!("lines is at most {}", LINES.1)));
    }
    let output = parameters.output.as_deref().unwrap_or("short");
    let command = unit_output::journal(&unit, lines, output, parameters.follow).map_err(unquotable)?;
    let place = Place::find(&api, &unit, parameters.machine.as_deref())?;
    if parameters.follow { place.follow(command) } else { place.run(command).await }
}

pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Path(unit): Path<String>,
    Query(StatusParameters { machine }): Query<StatusParameters>,
) -> Reply {
    let unit = parse(&unit)?;
    let command = unit_output::status(&unit).map_err(unquotable)?;
    Place::find(&api, &unit, machine.as_deref())?.run(command).await
}

/// A machine on which a command runs for a client.
struct Place {
    api: Arc<Api>,
    snapshot: Arc<Snapshot>,
    machine: Machine,
    permit: OwnedSemaphorePermit,
}

impl Place {
    /// Finds the machine of a unit, or checks that the named one has it.
    fn find(api: &Arc<Api>, unit: &UnitName, named: Option<&str>) -> Result<Self, ApiError> {
        let snapshot = api.published()?.snapshot();
        if !snapshot.units.contains_key(unit) {
            return Err(no_such_unit(unit));
        }
        let on = snapshot.states.get(unit);
        let machine = if let Some(name) = named {
            let machine = find_machine(&snapshot, name).map_err(|error| ApiError::not_found(error.to_string()))?;
            Some(machine).filter(|machine| on.is_some_and(|on| on.contains_key(&machine.id)))
        } else {
            let placed = snapshot.placements.get(unit).map(|placement| placement.machine);
            let machine = placed.or_else(|| on.and_then(|on| on.keys().next().copied()));
            machine.and_then(|machine| snapshot.machines.get(&machine))
        };
        let machine = machine.cloned().ok_or_else(|| {
            let place = named.map_or_else(|| "any machine".to_owned(), |name| format!("the machine {name}"));
            ApiError::conflict(format!("Unit {unit} is not on {place}"))
        })?;
        let busy = |_| {
            let why = format!("{COMMANDS} commands of clients are under way: wait for the end of one");
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, why)
        };
        let permit = Arc::clone(&api.commands).try_acquire_owned().map_err(busy)?;
        Ok(Self { api: Arc::clone(api), snapshot, machine, permit })
    }

    /// Runs a command that ends, and answers with its output.
    async fn run(self, command: Command) -> Reply {
        let command = Command { limit: Some(LIMIT), ..command };
        let mut output = CapturedOutput::with_limit(BYTES);
        let (target, _) = runner::route(&self.api.cluster.remote, &self.snapshot, &self.machine).await;
        let exit = tokio::time::timeout(LIMIT, self.api.cluster.remote.exec(&target, &command, &mut output)).await;
        let unreached = |why: String| ApiError::new(StatusCode::BAD_GATEWAY, format!("{}: {why}", self.machine.name));
        let exit = exit.map_err(|_| unreached(format!("no answer within {} s", LIMIT.as_secs())))?;
        let code = match exit.map_err(|failure| unreached(failure.to_string()))? {
            Exit::Code(code) => code,
            Exit::Signal(_) => 255,
        };
        let text = [output.stdout, output.stderr].concat();
        let mut response = as_text(Body::from(text));
        response.headers_mut().insert(EXIT_CODE, HeaderValue::from(code));
        if output.dropped > 0 {
            response.headers_mut().insert(CUT, HeaderValue::from(output.dropped));
        }
        Ok(response)
    }

    /// Runs a command until its client is gone, and answers with its output as it comes.
    #[expect(clippy::unnecessary_wraps, reason = "it is an answer as the others are")]
    fn follow(self, command: Command) -> Reply {
        let (sender, receiver) = mpsc::channel(PARTS);
        let stop = self.api.stop.clone();
        let run = async move {
            let Self { api, snapshot, machine, permit } = self;
            let mut parts = Parts { sender: sender.clone(), is_slow: false };
            let (target, _) = runner::route(&api.cluster.remote, &snapshot, &machine).await;
            tokio::select! {
                exit = api.cluster.remote.exec(&target, &command, &mut parts) => {
                    if let Err(failure) = exit {
                        parts.stderr(format!("{failure}\n").as_bytes());
                    }
                }
                () = sender.closed() => {}
                () = stop.cancelled() => {}
            }
            drop(permit);
        };
        tokio::spawn(run);
        Ok(as_text(Body::from_stream(parts(receiver))))
    }
}

/// The parts of an output, for a reader that keeps up.
struct Parts {
    sender: mpsc::Sender<Bytes>,
    is_slow: bool,
}

impl Parts {
    fn send(&mut self, bytes: &[u8]) {
        // What comes after a gap would look as if it belonged to what came before.
        self.is_slow = self.is_slow || self.sender.try_send(Bytes::copy_from_slice(bytes)).is_err();
    }
}

impl Sink for Parts {
    fn stdout(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.send(bytes);
    }
}

fn parts(receiver: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::unfold(receiver, async |mut receiver| Some((Ok(receiver.recv().await?), receiver)))
}

fn as_text(body: Body) -> Response {
    ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

fn unquotable(error: Unquotable) -> ApiError {
    ApiError::bad(format!("invalid name or format: {error}"))
}
