//! The tables and their queries. Every function runs inside a transaction that the actor opened.

use rusqlite::Connection;
use rusqlite::OptionalExtension as _;
use rusqlite::Result;
use rusqlite::Row;
use rusqlite::params;
use rusqlite::types::ValueRef;

use super::super::Entry;
use super::super::LeaseId;
use super::super::Listing;
use super::super::Op;
use super::super::Precondition;
use super::super::Revision;
use super::super::WatchEvent;
use super::clock::Now;

/// The number of changes that are kept for watches.
const HISTORY_LIMIT: i64 = 8192;

/// The tables. `AUTOINCREMENT` never uses the number of a lease twice: a process that was suspended must not keep the lease
/// of another process alive.
pub(super) const SCHEMA: &str = "
    CREATE TABLE clock (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
    INSERT INTO clock VALUES (0, 0);
    CREATE TABLE entries (
        key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL,
        created INTEGER NOT NULL, modified INTEGER NOT NULL, lease INTEGER
    );
    CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL;
    CREATE TABLE leases (
        id INTEGER PRIMARY KEY AUTOINCREMENT, ttl INTEGER NOT NULL,
        expires INTEGER NOT NULL, boot TEXT NOT NULL, boot_expires INTEGER NOT NULL
    );
    CREATE TABLE history (
        id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, created INTEGER
    );
    CREATE INDEX history_by_revision ON history (revision);
";

/// The leases that have expired, in a query with the parameters of a [`Now`].
const EXPIRED: &str = "CASE boot WHEN ?2 THEN boot_expires <= ?3 ELSE expires <= ?1 END";

/// The outcome of a commit.
pub(super) enum CommitOutcome {
    Committed(Revision),
    PreconditionFailed,
    LeaseExpired(LeaseId),
}

/// The tables, within one transaction.
pub(super) struct Tables<'a> {
    connection: &'a Connection,
}

impl<'a> Tables<'a> {
    pub(super) const fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    pub(super) fn data_version(&self) -> Result<i64> {
        self.connection.pragma_query_value(None, "data_version", |row| row.get(0))
    }

    fn revision(&self) -> Result<Revision> {
        self.connection.query_row("SELECT revision FROM clock", [], |row| row.get(0))
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Entry>> {
        let sql = "SELECT key, value, created, modified FROM entries WHERE key = ?1";
        self.connection.query_row(sql, [key], entry).optional()
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Listing> {
        let revision = self.revision()?;
        let mut query = self
            .connection
            .prepare("SELECT key, value, created, modified FROM entries WHERE key >= ?1 ORDER BY key")?;
        let mut rows = query.query([prefix])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            if !row.get_ref(0)?.as_str()?.starts_with(prefix) {
                break;
            }
            entries.push(entry(row)?);
        }
        Ok(Listing { revision, entries })
    }

    pub(super) fn commit(&self, preconditions: &[Precondition], ops: &[Op]) -> Result<CommitOutcome> {
        for precondition in preconditions {
            if !self.holds(precondition)? {
                return Ok(CommitOutcome::PreconditionFailed);
            }
        }
        for op in ops {
            if let Op::Put { lease: Some(lease), .. } = op
                && !self.is_granted(*lease)?
            {
                return Ok(CommitOutcome::LeaseExpired(*lease));
            }
        }
        self.apply(ops).map(CommitOutcome::Committed)
    }

    fn holds(&self, precondition: &Precondition) -> Result<bool> {
        let sql = "SELECT created, modified FROM entries WHERE key = ?1";
        let found: Option<(Revision, Revision)> =
            self.connection.query_row(sql, [precondition.key()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(match precondition {
            Precondition::Absent(_) => found.is_none(),
            Precondition::Created(_, revision) => found.is_some_and(|(created, _)| created == *revision),
            Precondition::Modified(_, revision) => found.is_some_and(|(_, modified)| modified == *revision),
        })
    }

    fn is_granted(&self, lease: LeaseId) -> Result<bool> {
        self.connection.query_row("SELECT EXISTS (SELECT 1 FROM leases WHERE id = ?1)", [lease.0], |row| row.get(0))
    }

    fn apply(&self, ops: &[Op]) -> Result<Revision> {
        let before = self.revision()?;
        let revision = before + 1;
        let mut put = self.connection.prepare(
            "INSERT INTO entries VALUES (?1, ?2, ?3, ?3, ?4) ON CONFLICT (key) DO UPDATE
             SET value = ?2, modified = ?3, lease = ?4 RETURNING created",
        )?;
        let mut delete = self.connection.prepare("DELETE FROM entries WHERE key = ?1")?;
        let mut record =
            self.connection.prepare("INSERT INTO history (revision, key, value, created) VALUES (?1, ?2, ?3, ?4)")?;
        let mut changed = false;
        for op in ops {
            match op {
                Op::Put { key, value, lease } => {
                    let lease = lease.map(|lease| lease.0);
                    let created: Revision = put.query_row(params![key, value, revision, lease], |row| row.get(0))?;
                    record.execute(params![revision, key, value, created])?;
                }
                Op::Delete(key) if delete.execute([key])? == 0 => continue,
                Op::Delete(key) => {
                    record.execute(params![revision, key, None::<Vec<u8>>, None::<Revision>])?;
                }
            }
            changed = true;
        }
        if !changed {
            return Ok(before);
        }
        self.connection.execute("UPDATE clock SET revision = ?1", [revision])?;
        self.prune()?;
        Ok(revision)
    }

    fn prune(&self) -> Result<()> {
        let limit: i64 = self.connection.query_row("SELECT coalesce(max(id), 0) FROM history", [], |row| row.get(0))?;
        let limit = limit - HISTORY_LIMIT;
        let sql = "SELECT max(revision) FROM history WHERE id <= ?1";
        let compacted: Option<Revision> = self.connection.query_row(sql, [limit], |row| row.get(0))?;
        if let Some(compacted) = compacted {
            self.connection.execute("DELETE FROM history WHERE id <= ?1", [limit])?;
            self.connection.execute("UPDATE clock SET compacted = ?1", [compacted])?;
        }
        Ok(())
    }

    /// Returns the store's revision and the changes since `after`. Returns `None` if these were compacted, or if the store
    /// has not reached `after`.
    pub(super) fn changes(&self, prefix: &str, after: Revision) -> Result<Option<(Revision, Vec<WatchEvent>)>> {
        let sql = "SELECT revision, compacted FROM clock";
        let (revision, compacted): (Revision, Revision) =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if after < compacted || after > revision {
            return Ok(None);
        }
        let mut query = self
            .connection
            .prepare("SELECT key, value, created, revision FROM history WHERE revision > ?1 ORDER BY id")?;
        let mut rows = query.query([after])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            if !row.get_ref(0)?.as_str()?.starts_with(prefix) {
                continue;
            }
            changes.push(match row.get_ref(1)? {
                ValueRef::Null => WatchEvent::Delete { key: row.get(0)?, revision: row.get(3)? },
                _ => WatchEvent::Put(entry(row)?),
            });
        }
        Ok(Some((revision, changes)))
    }

    pub(super) fn grant(&self, ttl: i64, now: Now) -> Result<LeaseId> {
        let sql = "INSERT INTO leases (ttl, expires, boot, boot_expires) VALUES (?1, ?2 + ?1, ?3, ?4 + ?1)";
        self.connection.execute(sql, params![ttl, now.wall, now.boot, now.since_boot])?;
        Ok(LeaseId(self.connection.last_insert_rowid()))
    }

    pub(super) fn keep_alive(&self, lease: LeaseId, now: Now) -> Result<bool> {
        let sql = "UPDATE leases SET expires = ?2 + ttl, boot = ?3, boot_expires = ?4 + ttl WHERE id = ?1";
        Ok(self.connection.execute(sql, params![lease.0, now.wall, now.boot, now.since_boot])? > 0)
    }

    pub(super) fn revoke(&self, lease: LeaseId) -> Result<()> {
        let mut query = self.connection.prepare("SELECT key FROM entries WHERE lease = ?1 ORDER BY key")?;
        let keys = query.query_map([lease.0], |row| row.get(0))?;
        let deletes = keys.map(|key| key.map(Op::Delete)).collect::<Result<Vec<_>>>()?;
        self.connection.execute("DELETE FROM leases WHERE id = ?1", [lease.0])?;
        self.apply(&deletes)?;
        Ok(())
    }

    /// Reports whether [`Self::expire`] would change anything.
    pub(super) fn any_expired(&self, now: Now) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM leases WHERE
            CASE boot WHEN ?2 THEN boot_expires <= ?3 ELSE expires <= ?1 OR expires - ttl > ?1 END)";
        self.connection.query_row(sql, params![now.wall, now.boot, now.since_boot], |row| row.get(0))
    }

    /// Removes the keys of expired leases, and no more: the revision stays, as this is never committed.
    pub(super) fn hide_expired(&self, now: Now) -> Result<()> {
        let sql = format!("DELETE FROM entries WHERE lease IN (SELECT id FROM leases WHERE {EXPIRED})");
        self.connection.execute(&sql, params![now.wall, now.boot, now.since_boot])?;
        Ok(())
    }

    /// Ends expired leases. A lease of an earlier boot must not last longer than its time because the clock was set back.
    pub(super) fn expire(&self, now: Now) -> Result<()> {
        let sql = "UPDATE leases SET expires = ?1 + ttl WHERE boot <> ?2 AND expires - ttl > ?1";
        self.connection.execute(sql, params![now.wall, now.boot])?;
        let sql = format!("SELECT id FROM leases WHERE {EXPIRED} ORDER BY id");
        let mut query = self.connection.prepare(&sql)?;
        let expired = query.query_map(params![now.wall, now.boot, now.since_boot], |row| row.get(0))?;
        let expired = expired.collect::<Result<Vec<i64>>>()?;
        expired.into_iter().try_for_each(|id| self.revoke(LeaseId(id)))
    }
}

/// Reads an entry from the columns key, value, created and modified.
fn entry(row: &Row<'_>) -> Result<Entry> {
    let value = value_of(row.get_ref(1)?)?;
    Ok(Entry { key: row.get(0)?, value, created: row.get(2)?, modified: row.get(3)? })
}

/// Returns the bytes of a value. The sqlite3 shell, which an operator may use to repair a record, stores text and numbers.
fn value_of(value: ValueRef<'_>) -> Result<Vec<u8>> {
    Ok(match value {
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        value => value.as_bytes()?.to_vec(),
    })
}
