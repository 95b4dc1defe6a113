//! The files of the playbook that tasks send to hosts. Hosts that are sent the same file at the same time share one copy
//! of its content. This module keeps no content that no host needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::SystemTime;

use bytes::Bytes;

/// The largest file of a playbook.
const FILE_LIMIT: u64 = 64 << 20;

/// The contents that hosts need at present.
#[derive(Debug, Default)]
pub(super) struct LocalFiles(Mutex<BTreeMap<Key, Weak<Vec<u8>>>>);

/// A version of a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    path: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
    /// Whether an encrypted file was opened.
    opened: bool,
}

/// A content in use.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl LocalFiles {
    /// Returns the content of a file. `open` opens an encrypted one.
    pub(super) fn read(
        &self,
        path: &Path,
        open: Option<impl FnOnce(Vec<u8>) -> Result<Vec<u8>, String>>,
    ) -> Result<Bytes, String> {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let metadata = path.metadata().map_err(failed)?;
        let (size, modified) = (metadata.len(), metadata.modified().ok());
        if size > FILE_LIMIT {
            return Err(format!("{} is larger than {} MiB", path.display(), FILE_LIMIT >> 20));
        }
        let key = Key { path: path.to_owned(), size, modified, opened: open.is_some() };
        // Other hosts wait for the file that one of them reads.
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = files.get(&key).and_then(Weak::upgrade) {
            return Ok(Bytes::from_owner(Shared(content)));
        }
        let content = std::fs::read(path).map_err(failed)?;
        let content = match open {
            Some(open) => open(content)?,
            None => content,
        };
        let content = Arc::new(content);
        files.retain(|_, content| content.strong_count() > 0);
        files.insert(key, Arc::downgrade(&content));
        Ok(Bytes::from_owner(Shared(content)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Open = fn(Vec<u8>) -> Result<Vec<u8>, String>;

    #[test]
    fn hosts_that_need_a_file_at_the_same_time_share_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let (files, path) = (LocalFiles::default(), folder.path().join("motd"));
        std::fs::write(&path, "one").unwrap();
        let first = files.read(&path, None::<Open>).unwrap();
        let second = files.read(&path, None::<Open>).unwrap();
        assert_eq!((&first[..], first.as_ptr()), (&b"one"[..], second.as_ptr()));
        let opened = files.read(&path, Some(|_| Ok(b"opened".to_vec()))).unwrap();
        assert_eq!(opened, "opened");
        std::fs::write(&path, "changed").unwrap();
        assert_eq!(files.read(&path, None::<Open>).unwrap(), "changed");
        assert_eq!(first, "one", "a host gets one version of a file");
        drop((first, second, opened));
        std::fs::write(&path, "last").unwrap();
        assert_eq!(files.read(&path, None::<Open>).unwrap(), "last");
        assert_eq!(files.0.lock().unwrap().len(), 1, "contents that no host needs are forgotten");
    }

    #[test]
    fn a_file_that_cannot_be_read_or_opened_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (files, path) = (LocalFiles::default(), folder.path().join("secret"));
        let missing = files.read(&path, None::<Open>).unwrap_err();
        assert_eq!(missing, format!("cannot read {}: No such file or directory (os error 2)", path.display()));
        std::fs::File::create(&path).unwrap().set_len(FILE_LIMIT + 1).unwrap();
        let large = files.read(&path, None::<Open>).unwrap_err();
        assert_eq!(large, format!("{} is larger than 64 MiB", path.display()));
        std::fs::write(&path, "closed").unwrap();
        let closed = files.read(&path, Some(|_| Err("no password".to_owned()))).unwrap_err();
        assert_eq!(closed, "no password");
    }
}
