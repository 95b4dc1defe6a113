//! `--step`: the operator is asked before each task.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use super::play::Task;

/// Asks a question and returns the line that is typed.
type Ask = fn(&str) -> io::Result<String>;

/// The questions of one run.
#[derive(Debug)]
pub struct Step {
    ask: Ask,
    /// Set when the operator wants to be asked no more in this play.
    is_over: AtomicBool,
}

impl Step {
    /// Begins to ask.
    pub const fn new(ask: Ask) -> Self {
        Self { ask, is_over: AtomicBool::new(false) }
    }

    /// Asks again, after the operator wanted to be asked no more in the play before.
    pub(super) fn begin_play(&self) {
        self.is_over.store(false, Ordering::Relaxed);
    }

    /// Asks whether a task runs. An answer that cannot be read is a no.
    pub(super) async fn allows(&self, task: &Task, is_handler: bool) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return true;
        }
        let kind = if is_handler { "HANDLER" } else { "TASK" };
        let question = format!("Perform task: {kind}: {} (N)o/(y)es/(c)ontinue: ", task.title());
        let ask = self.ask;
        let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
        let answer = answer.ok().and_then(Result::ok).unwrap_or_default().trim().to_lowercase();
        let goes_on = matches!(answer.as_str(), "c" | "continue");
        self.is_over.store(goes_on, Ordering::Relaxed);
        goes_on || matches!(answer.as_str(), "y" | "yes")
    }
}
