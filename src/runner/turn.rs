//! The turns of a reconciler, and the wait between two of them.

use std::time::Duration;

use tokio::time::Instant;

use crate::core::model::Timestamp;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;

/// A turn that takes longer is logged.
const SLOW_TURN: Duration = Duration::from_millis(50);

/// Hands inputs to the reconciler and returns its outputs.
pub(super) fn reconcile(
    reconciler: &mut Reconciler,
    inputs: impl IntoIterator<Item = Input>,
    now: Timestamp,
) -> Vec<Output> {
    let began = std::time::Instant::now();
    let outputs = reconciler.handle_all(inputs, now);
    let took = began.elapsed();
    if took > SLOW_TURN {
        tracing::debug!(?took, outputs = outputs.len(), "slow reconcile turn");
    }
    outputs
}

/// Sleeps until an instant; forever without one.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
