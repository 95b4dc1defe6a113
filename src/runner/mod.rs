//! The runner around the core's reconciler: it makes the in_flight, tells the store and reads the clock.
//!
//! It decides nothing. What to do comes from [`crate::core::reconcile::Reconciler`], and every way of running muster goes through
//! [`run`].

mod dry_run;
mod fence;
mod in_flight;
mod lease_only;
mod route;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::control::ClusterContext;
use crate::core::model::Event;
use crate::core::model::Machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::model::Write;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;
use crate::remote::SharedRemote;
use crate::remote::Target;
use crate::store::StoreError;
use crate::store::follow::Follower;
use crate::store::follow::Update;
use crate::store::layout;
use crate::store::layout::EVENTS_KEPT;
use crate::store::layout::Keys;
use crate::store::leader_election::Leadership;

pub use dry_run::dry_run;
use in_flight::InFlight;
pub use lease_only::lease_only;
pub use route::route;

/// The time of day that never goes back while the process runs.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    at: Timestamp,
}

impl Clock {
    /// Reads the wall clock once; from then on time is counted.
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), at: Timestamp::ZERO + wall }
    }

    /// Returns the time.
    pub fn now(&self) -> Timestamp {
        self.at + self.began.elapsed()
    }

    /// Returns the instant at which a time comes.
    fn instant(&self, at: Timestamp) -> Instant {
        self.began + at.since(self.at)
    }
}

/// After how many events of its own a run sees to it that the log keeps no more than it should.
const EVENTS_BETWEEN_PRUNES: usize = 300;

/// How long a reconciler that was told to stop waits for what it is doing.
const LINGER: Duration = Duration::from_secs(5);

/// When a run ends.
#[derive(Debug, Clone)]
pub enum StopCondition {
    /// When all that can be done has been done, and what was started has settled or had this long to.
    Settled(std::time::Duration),
    /// When that is so and the machine has none of the units left, or has had this long to get rid of them.
    Emptied(MachineId, std::time::Duration),
    /// Never by itself: it goes on until it is stopped.
    Stopped,
}

/// What a run works with.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The lead, which every write carries.
    pub lead: Arc<Leadership>,
    /// The cluster's keys.
    pub keys: Keys,
    /// The way to the hosts.
    pub remote: SharedRemote,
    /// The clock.
    pub clock: Clock,
    /// Set when the run should end early: what is on its way is waited for, nothing new is begun.
    pub stop: CancellationToken,
}

impl RunContext {
    /// Puts together what a run needs once the lead is taken.
    pub fn new(context: &ClusterContext, lead: Leadership) -> Self {
        let ClusterContext { keys, remote, clock, stop, .. } = context.clone();
        Self { lead: Arc::new(lead), keys, remote, clock, stop }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// As it should.
    Finished,
    /// It was stopped.
    Stopped,
    /// Somebody else leads now.
    Deposed,
}

/// Takes what is logged as it happens, beside the cluster as it was then.
pub type Tell<'a> = dyn FnMut(&Snapshot, &Event) + Send + 'a;

/// Runs a reconciler until it ends. `tell` hears everything that is logged, as it happens.
///
/// # Errors
/// The store's: what was sent to hosts was sent, and the next reconcile finds out what came of it. Hosts' failures are in
/// the reconciler.
pub async fn run(
    reconciler: &mut Reconciler,
    run_context: &RunContext,
    mut follower: Option<Follower>,
    stop_when: StopCondition,
    tell: &mut Tell<'_>,
) -> Result<RunOutcome, StoreError> {
    let mut runner = Runner::new(run_context);
    let mut inputs = vec![Input::Tick];
    loop {
        for output in reconciler.handle_all(inputs, run_context.clock.now()) {
            match output {
                Output::Deposed => return Ok(RunOutcome::Deposed),
                Output::Commit(writes) => runner.commit(reconciler.snapshot(), &writes, tell),
                Output::Visit { machine, visit, quick, through } => {
                    runner.in_flight.visit(reconciler.snapshot(), machine, visit, quick, through);
                }
                Output::Probe { machine, neighbour } => {
                    runner.in_flight.probe(reconciler.snapshot(), machine, neighbour);
                }
                Output::Leave(machine) => runner.in_flight.leave(machine),
                // Between the store's word and now we may have been away.
                Output::Fence(_) if !run_context.lead.is_valid() => return Ok(RunOutcome::Deposed),
                Output::Fence(machine) => runner.in_flight.fence(reconciler.snapshot(), machine),
            }
        }
        if runner.is_stopped(reconciler) {
            return Ok(RunOutcome::Stopped);
        }
        if runner.is_finished(reconciler, &stop_when) {
            return Ok(RunOutcome::Finished);
        }
        let first = runner.wait(reconciler, follower.as_mut()).await?;
        inputs = std::iter::once(first).chain(runner.in_flight.ready()).collect();
    }
}

type Commit = Pin<Box<dyn Future<Output = Result<bool, StoreError>> + Send>>;

/// What is under way.
struct Runner<'a> {
    run_context: &'a RunContext,
    in_flight: InFlight,
    commit: Option<Commit>,
    settled: Option<Instant>,
    /// Set once the reconciler has been told to stop: until when what is under way is waited for.
    stop_by: Option<Instant>,
    /// Events since the log was last shortened.
    logged: usize,
}

impl<'a> Runner<'a> {
    fn new(run_context: &'a RunContext) -> Self {
        let in_flight = InFlight::new(run_context.remote.clone());
        Self { run_context, in_flight, commit: None, settled: None, stop_by: None, logged: 0 }
    }

    fn commit(&mut self, snapshot: &Snapshot, writes: &[Write], tell: &mut Tell<'_>) {
        for write in writes {
            if let Write::Log(event) = write {
                tell(snapshot, event);
                self.logged += 1;
            }
        }
        let keys = self.run_context.keys.clone();
        let lead = self.run_context.lead.clone();
        let changes = keys.changes(writes);
        let prune = self.logged >= EVENTS_BETWEEN_PRUNES;
        self.logged = if prune { 0 } else { self.logged };
        self.commit = Some(Box::pin(async move {
            Ok(lead.commit(changes).await? && (!prune || layout::prune_events(&lead, &keys, EVENTS_KEPT).await?))
        }));
    }

    /// Says whether the reconciler was told to stop and nothing that it is doing is waited for any longer. Steps on their way are
    /// finished by their host in any case, and somebody else may have to lead soon: leases are not renewed meanwhile.
    fn is_stopped(&self, reconciler: &Reconciler) -> bool {
        let over = self.stop_by.is_some_and(|by| Instant::now() >= by);
        over || self.stop_by.is_some() && self.commit.is_none() && !reconciler.is_acting()
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.commit.is_none()
    }

    /// Says whether all has been done, and what was started has settled or had its time.
    fn is_finished(&mut self, reconciler: &Reconciler, stop_when: &StopCondition) -> bool {
        let (detection, waits) = match stop_when {
            StopCondition::Settled(detection) => (detection, reconciler.is_changing()),
            StopCondition::Emptied(machine, detection) => {
                (detection, reconciler.is_changing() || reconciler.is_occupied(*machine))
            }
            StopCondition::Stopped => return false,
        };
        if !self.is_idle() || !reconciler.is_settled() {
            return false;
        }
        let since = *self.settled.get_or_insert_with(Instant::now);
        !waits || since.elapsed() >= *detection
    }

    /// Waits until something happens that the reconciler has to know.
    async fn wait(
        &mut self,
        reconciler: &mut Reconciler,
        follower: Option<&mut Follower>,
    ) -> Result<Input, StoreError> {
        let stopping = self.stop_by.is_some();
        let wake = reconciler.wake_at().map(|at| self.run_context.clock.instant(at));
        tokio::select! {
            taken = poll(&mut self.commit) => {
                self.commit = None;
                Ok(Input::Committed(taken?))
            }
            input = self.in_flight.next() => Ok(input),
            update = next(follower) => Ok(learn(reconciler, &self.run_context.keys, update)),
            () = sleep_until(if stopping { self.stop_by } else { wake }) => Ok(Input::Tick),
            () = self.run_context.stop.cancelled(), if !stopping => {
                self.stop_by = Some(Instant::now() + LINGER);
                Ok(Input::Stop)
            }
            () = self.run_context.lead.lost() => Ok(Input::Lost),
        }
    }
}

/// Takes in what others wrote. What only a leader writes is known here first, and the store's word on it may be old.
fn learn(reconciler: &mut Reconciler, keys: &Keys, update: Update) -> Input {
    match update {
        Update::Reset(listing) => {
            let fresh = layout::snapshot(keys, &listing);
            reconciler.learn(|known| known.renew(fresh));
        }
        Update::Changes(mut changes) => {
            changes.retain(|changed| !keys.is_leaders(changed.key()));
            if !changes.is_empty() {
                reconciler.learn(|known| layout::apply(known, keys, &changes));
            }
        }
        // What we know stays true until the lead runs out.
        Update::Away(_) => {}
    }
    Input::Tick
}

/// Returns how a machine is reached.
pub fn target(machine: &Machine) -> Target {
    Target {
        name: machine.name.clone(),
        address: machine.address.clone(),
        identity_files: machine.identity_files.clone(),
        jump: machine.jump.clone(),
        through: None,
    }
}

/// Waits for a commit that is under way; forever if none is.
async fn poll(commit: &mut Option<Commit>) -> Result<bool, StoreError> {
    match commit {
        Some(commit) => commit.await,
        None => std::future::pending().await,
    }
}

/// Waits for what others write; forever if nobody listens.
async fn next(follower: Option<&mut Follower>) -> Update {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}

/// Sleeps until then; forever without a time.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
