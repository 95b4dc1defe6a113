//! The content of known_hosts files, read again only after a file has changed.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::SystemTime;

use super::KnownHosts;
use super::Unreadable;

/// Files of known keys, and files of revoked keys.
type Files = (Vec<PathBuf>, Vec<PathBuf>);

/// The size and the time of change of a file; `None` if it cannot be read.
type Stamp = Option<(u64, SystemTime)>;

/// The content of files and their stamps when they were read.
#[derive(Debug)]
struct Entry {
    stamps: Vec<Stamp>,
    known: Arc<KnownHosts>,
}

/// A cache of known_hosts files and files of revoked keys.
#[derive(Debug, Default)]
pub struct KnownHostsCache(Mutex<HashMap<Files, Entry>>);

impl KnownHostsCache {
    /// Reads files of known and of revoked keys, unless none of them has changed since they were read last. It blocks.
    pub fn read(&self, files: Vec<PathBuf>, revoked: Vec<PathBuf>) -> Result<Arc<KnownHosts>, Unreadable> {
        let stamps: Vec<Stamp> = files.iter().chain(&revoked).map(|file| stamp(file)).collect();
        // The lock is held while the files are read: connections to many hosts read them once.
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (files, revoked);
        if let Some(entry) = cache.get(&key).filter(|entry| entry.stamps == stamps) {
            return Ok(entry.known.clone());
        }
        let known = KnownHosts::read(key.0.iter().map(PathBuf::as_path))?;
        let known = Arc::new(known.without(key.1.iter().map(PathBuf::as_path))?);
        cache.insert(key, Entry { stamps, known: known.clone() });
        Ok(known)
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
