//! The bound on attempts to change records that other processes change at the same time.

/// How often records are read and written before a command gives up.
const ATTEMPTS: usize = 8;

/// Other processes changed the same records between each reading and writing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("other processes keep changing {0}: gave up after {ATTEMPTS} attempts")]
pub struct Contended(String);

/// Counts the attempts to change some records.
#[derive(Debug)]
pub(super) struct Attempts {
    records: &'static str,
    left: usize,
}

impl Attempts {
    /// Begins to count. `records` names the records in the error.
    pub(super) const fn at(records: &'static str) -> Self {
        Self { records, left: ATTEMPTS }
    }

    /// Permits one more attempt, or returns the error after the last one.
    pub(super) fn next(&mut self) -> Result<(), Contended> {
        self.left = self.left.checked_sub(1).ok_or_else(|| Contended(self.records.to_owned()))?;
        Ok(())
    }
}
