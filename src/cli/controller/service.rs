//! The controller as a service of systemd: sd_notify(3) messages about its state, and the watchdog.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::control::controller::ControllerStatus;
use crate::core::model::Event;
use crate::core::model::Snapshot;
use crate::core::sanitize;
use crate::runner::ClusterSummary;
use crate::runner::Pulse;
use crate::ui;
use crate::ui::messages;

/// How often the state is looked at, without a watchdog that asks more often.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many characters of the last trouble the status line has.
const QUOTED: usize = 200;

/// What the service manager is told.
#[derive(Debug)]
pub(super) struct Service {
    pulse: Arc<Pulse>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    leads: bool,
    role: String,
    trouble: String,
}

impl Service {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        Self { pulse, state: Mutex::default() }
    }

    /// Takes in a change in the role of the controller. A controller that stands by is ready, too.
    pub(super) fn shows(&self, status: &ControllerStatus<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            ControllerStatus::Leads(epoch) => state.role = messages::leads(*epoch),
            ControllerStatus::StandsBy(holder) => state.role = messages::stands_by_for(holder),
            ControllerStatus::Deposed(leader) => state.role = messages::deposed(*leader),
            ControllerStatus::StoreAway(error) => state.role = messages::store_away(error),
            ControllerStatus::NoMachines | ControllerStatus::Abandons(..) => return,
        }
        state.leads = matches!(status, ControllerStatus::Leads(_));
        if !std::mem::replace(&mut state.is_ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// Takes in an event.
    pub(super) fn heard(&self, snapshot: &Snapshot, event: &Event) {
        if event.kind.is_trouble() {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.trouble = format!("{} {}", ui::time(event.at), ui::line(snapshot, event).trim_end());
        }
    }

    /// Tells the service manager the state whenever it has changed, and that the loop turns; forever.
    pub(super) async fn notify(&self, stop: CancellationToken) {
        let watchdog = sd_notify::watchdog_enabled();
        let interval = watchdog.map_or(INTERVAL, |limit| INTERVAL.min(limit / 4));
        let (mut turns, mut shown) = (0, String::new());
        loop {
            let turned = self.pulse.turns();
            if std::mem::replace(&mut turns, turned) != turned && watchdog.is_some() {
                tell(&[NotifyState::Watchdog]);
            }
            let text = self.text();
            if shown != text {
                tell(&[NotifyState::Status(&text)]);
                shown = text;
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = stop.cancelled() => break,
            }
        }
        tell(&[NotifyState::Stopping]);
        std::future::pending::<()>().await;
    }

    /// Returns the status line.
    fn text(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = state.role.clone();
        if state.leads {
            let ClusterSummary { machines, alive, units } = self.pulse.summary();
            text.push_str(&messages::cluster_summary(machines, alive, units));
        }
        if !state.trouble.is_empty() {
            text.push_str(&format!("; last trouble: {}", sanitize::truncate(&state.trouble, QUOTED)));
        }
        sanitize::line(&text)
    }
}

/// Reports that the settings are read again, or that this has ended.
pub(super) fn reloads(begins: bool) {
    match (begins, NotifyState::monotonic_usec_now()) {
        (true, Ok(now)) => tell(&[NotifyState::Reloading, now]),
        (true, Err(_)) => tell(&[NotifyState::Reloading]),
        (false, _) => tell(&[NotifyState::Ready]),
    }
}

/// Tells the service manager something. Without a service manager nothing happens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager was not told: {error}");
    }
}
