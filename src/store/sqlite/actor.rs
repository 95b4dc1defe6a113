//! The thread that owns the connection, and the handle through which the process sends it jobs.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rusqlite::TransactionBehavior;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::super::StoreError;
use super::clock::Now;
use super::file::DatabaseFile;
use super::file::explain;
use super::file::is_full;
use super::table::Tables;

/// The most jobs that wait for the thread. Further callers wait until there is room.
const QUEUE_LIMIT: usize = 64;

/// How often the thread asks whether another process has written, while there is a watch.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

type Job = Box<dyn FnOnce(&mut SqliteActor) + Send>;

/// A handle to the thread, which ends with the last handle.
#[derive(Clone)]
pub(super) struct SqliteHandle {
    path: Arc<Path>,
    jobs: mpsc::Sender<Job>,
    /// Each job in the queue holds a permit.
    queue: Arc<Semaphore>,
    changed: watch::Sender<()>,
}

impl fmt::Debug for SqliteHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl SqliteHandle {
    pub(super) fn start(path: &Path) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::channel();
        let changed = watch::Sender::new(());
        let mut actor =
            SqliteActor { path: path.to_owned(), file: None, was_open: false, version: 0, changed: changed.clone() };
        let thread = std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || actor.serve(&inbox));
        let handle = Self { path: path.into(), jobs, queue: Arc::new(Semaphore::new(QUEUE_LIMIT)), changed };
        thread.map_err(|error| handle.unavailable(format!("cannot start a thread: {error}")))?;
        Ok(handle)
    }

    /// Returns the name of this store in errors.
    pub(super) fn name(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// Returns a receiver that is notified when the file may have changed. The thread polls while there is a receiver.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn ended(&self) -> StoreError {
        self.unavailable("its thread has ended".to_owned())
    }

    fn unavailable(&self, detail: String) -> StoreError {
        StoreError::Unavailable { store: self.name(), detail }
    }

    /// Reads in one transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |actor| actor.read(work)).await
    }

    /// Reads and writes in one transaction, which is on the disk when this returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |actor| actor.write(work)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteActor) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _wait = tracing::info_span!("wait", what = "the store");
        let permit = Arc::clone(&self.queue).acquire_owned().await.map_err(|_| self.ended())?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |actor| {
            // A caller that was cancelled while the job was queued needs no answer.
            if !reply.is_closed() {
                let _ = reply.send(work(actor));
            }
            drop(permit);
        });
        self.jobs.send(job).map_err(|_| self.ended())?;
        answer.await.map_err(|_| self.ended())?
    }
}

/// The state of the thread.
struct SqliteActor {
    path: PathBuf,
    file: Option<DatabaseFile>,
    /// Set once the file has been open. A new file in its place would be an empty cluster.
    was_open: bool,
    /// sqlite's `data_version`, which differs when another connection has committed.
    version: i64,
    changed: watch::Sender<()>,
}

impl SqliteActor {
    fn serve(&mut self, inbox: &mpsc::Receiver<Job>) {
        let mut polled = Instant::now();
        loop {
            let watched = self.changed.receiver_count() > 0;
            let job = if watched {
                inbox.recv_timeout(POLL_INTERVAL)
            } else {
                inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            };
            match job {
                Ok(job) => job(self),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if watched && polled.elapsed() >= POLL_INTERVAL {
                polled = Instant::now();
                self.poll();
            }
        }
    }

    /// Notifies watches if another process has written, a lease has expired, or the file cannot be read.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method has one lifetime, the closure any")]
    fn poll(&mut self) {
        let version = self.read(|tables| tables.data_version());
        if version.as_ref().ok() != Some(&self.version) {
            self.version = version.unwrap_or_default();
            self.changed.send_replace(());
        }
    }

    fn open(&mut self) -> Result<&mut DatabaseFile, StoreError> {
        // After the file was removed or replaced, this process would go on with a file that no other process sees.
        if self.file.as_ref().is_some_and(|file| !file.is_still_at(&self.path)) {
            self.file = None;
        }
        if self.file.is_none() && self.was_open && !self.path.exists() {
            let detail = "its file is gone: nothing is changed until the file is back".to_owned();
            return Err(StoreError::Unavailable { store: format!("sqlite:{}", self.path.display()), detail });
        }
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = DatabaseFile::open(&self.path)?;
                self.was_open = true;
                Ok(none.insert(file))
            }
        }
    }

    fn read<T>(&mut self, work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let has_room = self.end_leases()?;
        let file = self.open()?;
        let answer = if has_room {
            file.transact(TransactionBehavior::Deferred, work)
        } else {
            file.read_past_leases(Now::read(), work)
        };
        answer.map_err(|error| explain(&self.path, &error))
    }

    /// Ends the leases that have expired. Returns false if the disk has no room for that: they are over all the same.
    fn end_leases(&mut self) -> Result<bool, StoreError> {
        let file = self.open()?;
        let now = Now::read();
        let ended = match Tables::new(&file.connection).any_expired(now) {
            Ok(false) => return Ok(true),
            Ok(true) => file.transact(TransactionBehavior::Immediate, |tables| tables.expire(now)),
            Err(error) => Err(error),
        };
        self.changed.send_replace(());
        match ended {
            Err(error) if is_full(&error) => Ok(false),
            ended => ended.map(|()| true).map_err(|error| explain(&self.path, &error)),
        }
    }

    fn write<T>(&mut self, work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let file = self.open()?;
        let answer = file.transact(TransactionBehavior::Immediate, |tables| {
            tables.expire(Now::read())?;
            work(tables)
        });
        self.changed.send_replace(());
        answer.map_err(|error| explain(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_job_whose_caller_is_gone_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let handle = SqliteHandle::start(&folder.path().join("db")).unwrap();
        let (unblock, blocked) = mpsc::channel::<()>();
        let mut first = Box::pin(handle.read(move |_| Ok(blocked.recv().is_ok())));
        assert!(first.as_mut().now_or_never().is_none());
        let has_run = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&has_run);
        assert!(handle.read(move |_| Ok(flag.swap(true, Ordering::SeqCst))).now_or_never().is_none());
        unblock.send(()).unwrap();
        assert!(first.await.unwrap());
        handle.read(|_| Ok(())).await.unwrap();
        assert!(!has_run.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn callers_wait_while_the_queue_is_full() {
        let folder = tempfile::tempdir().unwrap();
        let handle = SqliteHandle::start(&folder.path().join("db")).unwrap();
        let (unblock, blocked) = mpsc::channel::<()>();
        let mut first = Box::pin(handle.read(move |_| Ok(blocked.recv().is_ok())));
        assert!(first.as_mut().now_or_never().is_none());
        let mut others: Vec<_> = (0..QUEUE_LIMIT + 8).map(|n| Box::pin(handle.read(move |_| Ok(n)))).collect();
        assert!(others.iter_mut().all(|other| other.as_mut().now_or_never().is_none()));
        assert_eq!(handle.queue.available_permits(), 0);
        unblock.send(()).unwrap();
        assert!(first.await.unwrap());
        for (n, answer) in futures_util::future::join_all(others).await.into_iter().enumerate() {
            assert_eq!(answer.unwrap(), n);
        }
    }
}
