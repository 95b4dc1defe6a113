//! The database file: created for its owner only, opened so that several processes can share it. Errors of sqlite become
//! errors of the store here.

use std::cmp::Ordering;
use std::fs::DirBuilder;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::TransactionBehavior;

use super::super::StoreError;
use super::clock::Now;
use super::table;
use super::table::Tables;

/// How long a process waits for the lock of another process.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Marks the file as muster's (sqlite's `application_id`): "must".
const APPLICATION: i64 = 0x6d75_7374;

/// The version of the tables. It grows with each change that an older muster cannot read.
const LAYOUT: i64 = 2;

/// An open database, with the device and inode of its file.
pub(super) struct DatabaseFile {
    pub(super) connection: Connection,
    identity: (u64, u64),
}

impl DatabaseFile {
    /// Opens the file. Creates the file and its folders if they do not exist.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let identity = create(path).map_err(|error| refused(path, format!("cannot open the file: {error}")))?;
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            // Switching a new file to write-ahead logging fails at once if another process is doing the same.
            match connect(path) {
                Err(OpenError::Sqlite(error)) if is_busy(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(OpenError::Sqlite(error)) => return Err(explain(path, &error)),
                Err(OpenError::Not(what)) => return Err(refused(path, what)),
                Ok(connection) => {
                    warn_of_others(path);
                    return Ok(Self { connection, identity });
                }
            }
        }
    }

    /// Runs in one transaction, which is on the disk when this returns.
    pub(super) fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let answer = work(&Tables::new(&transaction))?;
        transaction.commit()?;
        Ok(answer)
    }

    /// Reads as if the leases that have expired had ended. Nothing is written: the transaction is rolled back, and needs no room
    /// on the disk.
    pub(super) fn read_past_leases<T>(
        &mut self,
        now: Now,
        work: impl FnOnce(&Tables<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let tables = Tables::new(&transaction);
        tables.hide_expired(now)?;
        work(&tables)
    }

    /// Reports whether the path still names this file.
    pub(super) fn is_still_at(&self, path: &Path) -> bool {
        std::fs::metadata(path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.identity)
    }
}

/// Creates the folders and the file if they do not exist. They name hosts and units, so only their owner may read them.
fn create(path: &Path) -> io::Result<(u64, u64)> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| io::Error::new(error.kind(), format!("cannot create {}: {error}", folder.display())))?;
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((meta.dev(), meta.ino()))
}

/// Warns if other users can use the database.
fn warn_of_others(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o007 != 0) {
        tracing::warn!("other users can read or write {}: run `chmod 600` on it", path.display());
    }
}

enum OpenError {
    Sqlite(rusqlite::Error),
    Not(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    let fresh = is_fresh(&connection)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        let what = "processes cannot share the file on its file system, as on a network file system: use a local disk";
        return Err(OpenError::Not(what.to_owned()));
    }
    // A commit that was answered survives a power cut.
    connection.pragma_update(None, "synchronous", "full")?;
    if fresh {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if is_fresh(&transaction)? {
            transaction.execute_batch(table::SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", LAYOUT)?;
        }
        transaction.commit()?;
    }
    Ok(connection)
}

/// Reports whether the database is empty. Rejects a database of another program, and one of another version of muster.
fn is_fresh(connection: &Connection) -> Result<bool, OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match number("application_id")? {
        APPLICATION => match number("user_version")?.cmp(&LAYOUT) {
            Ordering::Equal => Ok(false),
            Ordering::Less => Err(OpenError::Not(
                "the database is of an older muster: use that version, or make a new store".to_owned(),
            )),
            Ordering::Greater => Err(OpenError::Not("the database is of a newer muster: use that version".to_owned())),
        },
        0 if tables == 0 => Ok(true),
        _ => Err(OpenError::Not("the file is the database of another program: name another file".to_owned())),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Reports whether the disk is full. The index of the write-ahead log has an error of its own.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    let is_index = |error: &rusqlite::ffi::Error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || error.sqlite_error().is_some_and(is_index)
}

fn refused(path: &Path, detail: String) -> StoreError {
    StoreError::Refused { store: format!("sqlite:{}", path.display()), detail }
}

/// Converts an error of sqlite to an error of the store.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    let unavailable = |detail: String| StoreError::Unavailable { store: format!("sqlite:{}", path.display()), detail };
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => unavailable(format!(
            "the file is locked: another process did not release it within {} s",
            LOCK_TIMEOUT.as_secs()
        )),
        _ if is_full(error) => unavailable("the disk is full: free space on it".to_owned()),
        Some(ErrorCode::SystemIoFailure) => unavailable(format!("the file cannot be read or written: {error}")),
        Some(ErrorCode::ReadOnly) => {
            refused(path, "the file cannot be written: the file or its file system is read-only".to_owned())
        }
        Some(ErrorCode::NotADatabase) => refused(path, "the file is not a database: name another file".to_owned()),
        Some(ErrorCode::DatabaseCorrupt) => refused(
            path,
            format!("the file is damaged ({error}): restore a backup, or move the file and join the machines again"),
        ),
        _ => refused(path, error.to_string()),
    }
}
