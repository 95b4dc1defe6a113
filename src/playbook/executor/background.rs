//! Tasks with `async`: those that go on while others run (`poll: 0`), what has become of them (`async_status`), and those
//! that the play waits for.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;

use crate::inventory::Vars;
use crate::playbook::action::HostAction;
use crate::playbook::detached::Detached;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;

/// How often Ansible looks whether the time of a job is over. A job may take longer by this.
const STEP: u64 = 5;

/// The jobs of a run.
pub(super) struct Jobs<'e> {
    queue: UnboundedSender<BoxFuture<'e, ()>>,
    known: Known,
    /// How many ids there are.
    ids: AtomicUsize,
}

/// How a task waits for a job.
pub(super) struct Wait {
    /// The host.
    pub(super) host: String,
    /// The longest wait.
    pub(super) limit: Duration,
    /// The time between two looks.
    pub(super) poll: Duration,
    /// Set if the id is not shown at the end (`no_log`).
    pub(super) censored: bool,
}

/// What lets the jobs go on.
pub(super) struct Driver<'e> {
    queue: UnboundedReceiver<BoxFuture<'e, ()>>,
    running: FuturesUnordered<BoxFuture<'e, ()>>,
    known: Known,
}

/// The jobs by their ids.
type Known = Arc<Mutex<BTreeMap<String, Job>>>;

/// A job.
struct Job {
    /// Set if the host does the rest by itself once it has begun.
    goes_on_alone: bool,
    begun: Arc<AtomicBool>,
    /// How it ended.
    outcome: Option<Outcome>,
}

impl Job {
    fn needs_muster(&self) -> bool {
        self.outcome.is_none() && !(self.goes_on_alone && self.begun.load(Ordering::Acquire))
    }
}

/// Makes the jobs of a run.
pub(super) fn jobs<'e>() -> (Jobs<'e>, Driver<'e>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let known = Known::default();
    let driver = Driver { queue: receiver, running: FuturesUnordered::new(), known: Arc::clone(&known) };
    (Jobs { queue: sender, known, ids: AtomicUsize::default() }, driver)
}

fn lock(known: &Known) -> MutexGuard<'_, BTreeMap<String, Job>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'e> Jobs<'e> {
    /// Starts an action as a job, and returns the outcome of the task that starts it.
    pub(super) fn start(
        &self,
        action: Arc<dyn HostAction>,
        connection: HostConnection<'e>,
        limit: Duration,
    ) -> Outcome {
        let limit = Duration::from_secs(limit.as_secs().div_ceil(STEP).saturating_mul(STEP));
        let begun = Arc::<AtomicBool>::default();
        let connection = HostConnection { detached: Some(Detached { limit, begun: Arc::clone(&begun) }), ..connection };
        let id = self.new_id();
        lock(&self.known).insert(id.clone(), Job { goes_on_alone: action.is_one_script(), begun, outcome: None });
        let (known, job) = (Arc::clone(&self.known), id.clone());
        let run = async move {
            let outcome = action.run(&connection).await.unwrap_or_else(|failure| failure);
            if let Some(job) = lock(&known).get_mut(&job) {
                job.outcome = Some(outcome);
            }
        };
        // The driver lives as long as the run.
        let _ = self.queue.send(Box::pin(run));
        Outcome::done(true, fields(&id, false))
    }

    /// Returns an id for a job.
    fn new_id(&self) -> String {
        format!("j{}.{}", std::process::id(), self.ids.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Waits for an action as for a job, and shows the lines that Ansible prints meanwhile.
    pub(super) async fn wait(&self, run: impl Future<Output = Outcome>, wait: &Wait, show: impl Fn(String)) -> Outcome {
        let (id, mut run, mut left) = (self.new_id(), pin!(run), wait.limit);
        let outcome = loop {
            if left.is_zero() {
                break late(&id, wait.limit);
            }
            let step = wait.poll.min(left);
            if let Ok(mut outcome) = tokio::time::timeout(step, &mut run).await {
                outcome.detail.extend(fields(&id, true));
                break add_output(outcome);
            }
            left = left.saturating_sub(step);
            if step == wait.poll {
                show(format!("ASYNC POLL on {}: jid={id} started=True finished=False", wait.host));
            }
        };
        let jid = if wait.censored { "None" } else { id.as_str() };
        match outcome.status {
            Status::Unreachable => {}
            Status::Failed => show(format!("ASYNC FAILED on {}: jid={jid}", wait.host)),
            _ => show(format!("ASYNC OK on {}: jid={jid}", wait.host)),
        }
        outcome
    }

    /// Returns what has become of a job.
    pub(super) fn status(&self, id: &str) -> Outcome {
        let known = lock(&self.known);
        let Some(job) = known.get(id) else {
            let mut outcome = Outcome::failed("could not find job");
            outcome.detail.extend(fields(id, true));
            return add_output(outcome);
        };
        match &job.outcome {
            None => add_output(Outcome::done(false, fields(id, false))),
            Some(outcome) => {
                let mut outcome = outcome.clone();
                if outcome.status == Status::Unreachable {
                    outcome.status = Status::Failed;
                }
                outcome.detail.extend(fields(id, true));
                add_output(outcome)
            }
        }
    }

    /// Forgets a job.
    pub(super) fn forget(&self, id: &str) -> Outcome {
        lock(&self.known).remove(id);
        let mut detail = fields(id, false);
        detail.extend([("erased".to_owned(), id.into()), ("started".to_owned(), false.into())]);
        add_output(Outcome::done(false, detail))
    }
}

/// Returns the outcome of a job that takes too long.
fn late(id: &str, limit: Duration) -> Outcome {
    let message = format!("async task did not complete within the requested time - {}s", limit.as_secs());
    let mut outcome = Outcome::failed(message);
    let job = add_output(Outcome { detail: fields(id, false), ..Outcome::default() });
    outcome.detail.insert("async_result".to_owned(), Value::Object(job.detail));
    outcome
}

/// Adds the output of a job, which Ansible has for every module.
fn add_output(mut outcome: Outcome) -> Outcome {
    let none = [("stderr", json!("")), ("stderr_lines", json!([])), ("stdout", json!("")), ("stdout_lines", json!([]))];
    for (key, value) in none {
        outcome.detail.entry(key).or_insert(value);
    }
    outcome
}

fn fields(id: &str, is_finished: bool) -> Vars {
    let fields = json!({"ansible_job_id": id, "finished": is_finished, "started": true});
    fields.as_object().cloned().unwrap_or_default()
}

impl Driver<'_> {
    /// Lets the jobs go on beside a run. After it, only the jobs go on that need muster.
    pub(super) async fn drive<T>(mut self, run: impl Future<Output = T>) -> T {
        let mut run = pin!(run);
        let result = loop {
            tokio::select! {
                result = &mut run => break result,
                () = self.step() => {}
            }
        };
        while lock(&self.known).values().any(Job::needs_muster) {
            // A job that has begun gives no sign.
            let _ = tokio::time::timeout(Duration::from_millis(50), self.step()).await;
        }
        result
    }

    /// Waits until a job is added or ends.
    async fn step(&mut self) {
        tokio::select! {
            Some(job) = self.queue.recv() => self.running.push(job),
            Some(()) = self.running.next(), if !self.running.is_empty() => {}
            else => std::future::pending().await,
        }
    }
}
