//! Scripts that go on by themselves: the host runs them in a session of their own, so that they outlive the connection.
//!
//! Another shell on the host waits for the script and passes its output on. If that shell is gone, the script goes on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shlex::QuoteError;

use crate::remote::CapturedOutput;
use crate::remote::Sink;

/// How a script is run by itself.
#[derive(Debug, Clone)]
pub struct Detached {
    /// How long it may take.
    pub limit: Duration,
    /// Set as soon as a script has begun.
    pub begun: Arc<AtomicBool>,
}

/// The first line of the output: the script has begun.
const BEGUN: &[u8] = b"begun\n";
/// The next line: the script has ended by itself.
const ENDED: &[u8] = b"ended\n";

impl Detached {
    /// Returns the script that starts another one and waits for it.
    pub(super) fn script(&self, script: &str) -> Result<String, QuoteError> {
        Ok(format!(
            "limit={}\nscript={}\n{}",
            self.limit.as_secs().max(1),
            shlex::try_quote(script)?,
            include_str!("detached.sh")
        ))
    }

    /// Returns what takes the output of [`Self::script`].
    pub(super) fn sink(&self, limit: usize) -> DetachedOutput {
        let limit = limit.saturating_add(BEGUN.len() + ENDED.len());
        DetachedOutput { output: CapturedOutput::with_limit(limit), begun: Arc::clone(&self.begun) }
    }
}

/// The output of a script that runs by itself.
pub(super) struct DetachedOutput {
    output: CapturedOutput,
    begun: Arc<AtomicBool>,
}

impl DetachedOutput {
    /// Returns the output of the script itself; `None` if it took too long.
    pub(super) fn of_script(mut self) -> Option<CapturedOutput> {
        let rest = self.output.stdout.strip_prefix(BEGUN).map(|rest| (rest.strip_prefix(ENDED), rest));
        match rest {
            Some((Some(own), _)) => self.output.stdout = own.to_vec(),
            // The script could not be started; stderr says why.
            None => {}
            Some((None, _)) => return None,
        }
        Some(self.output)
    }
}

impl Sink for DetachedOutput {
    fn stdout(&mut self, bytes: &[u8]) {
        self.output.stdout(bytes);
        if self.output.stdout.starts_with(BEGUN) {
            self.begun.store(true, Ordering::Release);
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.output.stderr(bytes);
    }
}
