//! The turns of a reconciler, and the wait between two of them, which measures how long this process stood still.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;
use tokio::time::Instant;

use super::supervision::Pulse;
use crate::core::model::Timestamp;
use crate::core::reconcile::Input;
use crate::core::reconcile::Output;
use crate::core::reconcile::Reconciler;

/// A turn that takes longer is logged.
const SLOW_TURN: Duration = Duration::from_millis(50);

/// A timer that fires at most this late is on time.
const TOLERANCE: Duration = Duration::from_millis(500);

/// How long one timer lasts at most. A process that stands still between two timers is noticed only by the later one.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Hands inputs to the reconciler. Returns its outputs, and how long it took.
pub(super) fn reconcile(
    reconciler: &mut Reconciler,
    inputs: impl IntoIterator<Item = Input>,
    now: Timestamp,
) -> (Vec<Output>, Duration) {
    let began = std::time::Instant::now();
    let outputs = reconciler.handle_all(inputs, now);
    let took = began.elapsed();
    if took > SLOW_TURN {
        tracing::debug!(?took, outputs = outputs.len(), "slow reconcile turn");
    }
    (outputs, took)
}

/// Waits for the next turn and measures stalls: time in which this process did not run. The process was stopped, had no
/// processor, or the machine was suspended.
#[derive(Debug)]
pub(super) struct TurnTimer {
    /// When the turn began. The timer of a turn that lasts longer than planned fires late: that is a stall, too.
    began: Instant,
    /// For how long the machine had been suspended since boot, at the last measurement.
    suspended: Duration,
    /// Reads for how long the machine has been suspended since boot.
    clock: fn() -> Duration,
    /// Counts how often the timer fires and events come.
    pulse: Arc<Pulse>,
}

/// The end of a wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Woken<T> {
    /// How long this process stood still meanwhile, if it did.
    pub(super) stalled: Option<Duration>,
    /// The event that ended the wait; `None` if the time came first.
    pub(super) event: Option<T>,
}

impl TurnTimer {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, ..Self::with_clock(suspended) }
    }

    fn with_clock(clock: fn() -> Duration) -> Self {
        Self { began: Instant::now(), suspended: clock(), clock, pulse: Arc::default() }
    }

    /// Waits for an event, at most until `wake`; forever without it. The wait also ends when a stall is noticed. The event
    /// is then dropped, so it must be safe to drop half-way.
    pub(super) async fn wait<T>(&mut self, wake: Option<Instant>, event: impl Future<Output = T>) -> Woken<T> {
        let mut event = std::pin::pin!(event);
        loop {
            self.pulse.beat();
            let beat = self.began + HEARTBEAT;
            let planned = wake.map_or(beat, |wake| wake.clamp(self.began, beat));
            let event = tokio::select! {
                biased;
                event = &mut event => Some(event),
                () = tokio::time::sleep_until(planned) => None,
            };
            let now = Instant::now();
            let stalled = self.measure(planned, now, (self.clock)());
            if event.is_some() || stalled.is_some() || wake.is_some_and(|wake| wake <= now) {
                return Woken { stalled, event };
            }
        }
    }

    /// Returns how long this process stood still, given when its timer should have fired, the time now, and for how long
    /// the machine has been suspended since boot. The next turn begins now.
    fn measure(&mut self, planned: Instant, now: Instant, suspended: Duration) -> Option<Duration> {
        let slept = suspended.saturating_sub(self.suspended);
        (self.began, self.suspended) = (now, suspended);
        let stalled = stall(planned, now, slept)?;
        tracing::debug!(?stalled, ?slept, "this process stood still");
        Some(stalled)
    }
}

impl<T, E> Woken<Result<T, E>> {
    /// Returns the error of an event that failed.
    pub(super) fn transpose(self) -> Result<Woken<T>, E> {
        Ok(Woken { stalled: self.stalled, event: self.event.transpose()? })
    }
}

impl Woken<Input> {
    /// Returns the inputs of the next turn. The stall comes first: it changes what the silence of a machine means.
    pub(super) fn inputs(self) -> impl Iterator<Item = Input> {
        let tick = self.event.is_none().then_some(Input::Tick);
        self.stalled.map(Input::Stalled).into_iter().chain(self.event).chain(tick)
    }
}

/// Returns for how long a process stood still whose timer should have fired at `planned`, if that is longer than the
/// tolerance. The clock of the timer does not count the time in which the machine `slept`.
fn stall(planned: Instant, now: Instant, slept: Duration) -> Option<Duration> {
    let stalled = now.saturating_duration_since(planned) + slept;
    (stalled > TOLERANCE).then_some(stalled)
}

/// Returns for how long the machine has been suspended since boot.
fn suspended() -> Duration {
    let read = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    // The monotonic clock is read first, so the difference is never negative.
    let monotonic = read(ClockId::Monotonic);
    read(ClockId::Boottime).saturating_sub(monotonic)
}

/// Sleeps until an instant; forever without one.
pub async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stall_is_the_lateness_of_a_timer_and_the_time_that_the_machine_was_suspended() {
        let planned = Instant::now() + SECOND * 60;
        let stall =
            |late: u64, slept: u64| stall(planned, planned + Duration::from_millis(late), Duration::from_millis(slept));
        assert_eq!(stall(0, 0), None);
        assert_eq!(stall(500, 0), None, "a timer may be late by the tolerance");
        assert_eq!(stall(501, 0), Some(Duration::from_millis(501)));
        assert_eq!(stall(0, 3_600_000), Some(SECOND * 3600));
        assert_eq!(stall(2000, 1000), Some(SECOND * 3));
        assert_eq!(super::stall(planned, planned - SECOND, Duration::ZERO), None, "an event came before the timer");
    }

    #[test]
    fn a_suspension_counts_once() {
        let mut timer = TurnTimer::with_clock(|| Duration::ZERO);
        let (now, before) = (Instant::now(), timer.suspended);
        assert_eq!(timer.measure(now, now, before + SECOND * 9), Some(SECOND * 9));
        assert_eq!(timer.measure(now, now, before + SECOND * 9), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_that_fires_on_time_is_no_stall() {
        let mut timer = TurnTimer::with_clock(|| Duration::ZERO);
        let wake = Instant::now() + SECOND * 30;
        assert_eq!(timer.wait(Some(wake), pending::<()>()).await, Woken { stalled: None, event: None });
        assert_eq!(Instant::now(), wake);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stands_still_notices_it_long_before_it_had_to_wake() {
        for wake in [None, Some(Instant::now() + SECOND * 3600)] {
            let mut timer = TurnTimer::with_clock(|| Duration::ZERO);
            let (woken, ()) = tokio::join!(timer.wait(wake, pending::<()>()), tokio::time::advance(SECOND * 5));
            assert_eq!(woken, Woken { stalled: Some(SECOND * 4), event: None });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_is_noticed_although_an_event_came_meanwhile_and_is_the_first_input() {
        let mut timer = TurnTimer::with_clock(|| Duration::ZERO);
        let event = async {
            tokio::time::sleep(SECOND * 2).await;
            Input::Committed(true)
        };
        let (woken, ()) = tokio::join!(timer.wait(None, event), tokio::time::advance(SECOND * 5));
        let inputs: Vec<Input> = woken.inputs().collect();
        assert!(
            matches!(inputs.as_slice(), [Input::Stalled(stalled), Input::Committed(true)] if *stalled == SECOND * 4),
            "{inputs:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_takes_too_long_is_a_stall() {
        let mut timer = TurnTimer::with_clock(|| Duration::ZERO);
        // The turn itself: it should have ended before the time to wake.
        tokio::time::advance(SECOND * 3).await;
        let wake = Instant::now() - SECOND * 2;
        let woken = timer.wait(Some(wake), pending::<()>()).await;
        assert_eq!(woken, Woken { stalled: Some(SECOND * 2), event: None });
        // A time to wake that has passed long ago is no stall by itself.
        let woken = timer.wait(Some(wake), pending::<()>()).await;
        assert_eq!(woken, Woken { stalled: None, event: None });
    }
}
