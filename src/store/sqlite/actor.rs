//! The thread that owns the connection, and the handle that the rest of the process talks to it through.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::super::StoreError;
use super::file::DatabaseFile;
use super::file::explain;
use super::now;
use super::table::Tables;

/// How often a watch asks whether another process has written.
const POLL: Duration = Duration::from_millis(100);

type Job = Box<dyn FnOnce(&mut SqliteActor) + Send>;

/// A handle to the thread. The thread ends with the last handle.
#[derive(Clone)]
pub(super) struct SqliteHandle {
    path: Arc<Path>,
    jobs: mpsc::Sender<Job>,
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
        let mut actor = SqliteActor { path: path.to_owned(), file: None, version: 0, changed: changed.clone() };
        let thread = std::thread::Builder::new().name("sqlite".to_owned()).spawn(move || actor.serve(&inbox));
        let handle = Self { path: path.into(), jobs, changed };
        thread.map_err(|error| handle.away(format!("cannot start a thread: {error}")))?;
        Ok(handle)
    }

    /// Returns what errors call this store.
    pub(super) fn name(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    /// Returns what changed whenever the file may have changed. While such a receiver lives, the thread polls.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn gone(&self) -> StoreError {
        self.away("its thread has ended".to_owned())
    }

    fn away(&self, detail: String) -> StoreError {
        StoreError::Unavailable { store: self.name(), detail }
    }

    /// Reads in one transaction.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask(move |actor| actor.read(work)).await
    }

    /// Reads and writes in one transaction; what it wrote is on the disk when this returns.
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
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |actor| {
            // Nobody is waiting any more if this fails.
            let _ = reply.send(work(actor));
        });
        self.jobs.send(job).map_err(|_| self.gone())?;
        answer.await.map_err(|_| self.gone())?
    }
}

/// What the thread has before it.
struct SqliteActor {
    path: PathBuf,
    file: Option<DatabaseFile>,
    /// sqlite's `data_version`: differs when another connection has committed.
    version: i64,
    changed: watch::Sender<()>,
}

impl SqliteActor {
    fn serve(&mut self, inbox: &mpsc::Receiver<Job>) {
        let mut polled = Instant::now();
        loop {
            let watched = self.changed.receiver_count() > 0;
            let job = if watched {
                inbox.recv_timeout(POLL)
            } else {
                inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            };
            match job {
                Ok(job) => job(self),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            if watched && polled.elapsed() >= POLL {
                polled = Instant::now();
                self.poll();
            }
        }
    }

    /// Tells watches to look if another process has written, something has expired, or the file cannot be asked.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method alone is for one lifetime, not for any")]
    fn poll(&mut self) {
        let version = self.read(|tables| tables.data_version());
        if version.as_ref().ok() != Some(&self.version) {
            self.version = version.unwrap_or_default();
            self.changed.send_replace(());
        }
    }

    fn open(&mut self) -> Result<&mut DatabaseFile, StoreError> {
        // A file that was removed or replaced would keep this process alone with what is no longer there.
        if self.file.as_ref().is_some_and(|file| !file.is_still_at(&self.path)) {
            self.file = None;
        }
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(DatabaseFile::open(&self.path)?)),
        }
    }

    fn read<T>(&mut self, work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let file = self.open()?;
        let expired = Tables::new(&file.connection).any_expired(now());
        if expired.map_err(|error| explain(&self.path, &error))? {
            self.write(|_| Ok(()))?;
        }
        self.transact(TransactionBehavior::Deferred, work)
    }

    fn write<T>(&mut self, work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let answer = self.transact(TransactionBehavior::Immediate, |tables| {
            tables.expire(now())?;
            work(tables)
        });
        self.changed.send_replace(());
        answer
    }

    fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let file = self.open()?;
        let transaction = file.connection.transaction_with_behavior(behavior);
        let answer = transaction.and_then(|transaction| {
            let answer = work(&Tables::new(&transaction))?;
            transaction.commit()?;
            Ok(answer)
        });
        answer.map_err(|error| explain(&self.path, &error))
    }
}
