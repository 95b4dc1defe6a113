//! The contract that all stores keep, and the tests of each back end.

pub(crate) mod contract;
pub(crate) mod etcd;
pub(crate) mod server;
mod sqlite;

use std::time::Duration;

/// Waits up to 20 s for something that must happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it did not happen within 20 s")
}

/// Reports that a test is skipped. With `CI` set this is a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "skipped: {why}");
    eprintln!("skipped: {why}");
}
