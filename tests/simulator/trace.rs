//! The events of a run as text. Nothing is kept unless the run is known to fail.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::fmt::Write as _;

/// How many of the latest events are kept.
const KEPT: usize = 80;

#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Option<VecDeque<String>>,
    /// How many events there were, and a hash over their times: two runs of one seed must agree.
    pub(super) digest: (u64, u64),
}

impl Trace {
    pub(super) fn new(kept: bool) -> Self {
        Self { lines: kept.then(VecDeque::new), digest: (0, 0) }
    }

    pub(super) fn note(&mut self, now: u64, what: Arguments<'_>) {
        self.digest.0 += 1;
        self.digest.1 = (self.digest.1 ^ now).wrapping_mul(0x0100_0000_01b3);
        let Some(lines) = &mut self.lines else { return };
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(format!("{:>4}.{:03}  {what}", now / 1000, now % 1000));
    }

    pub(super) fn print(&self) -> String {
        self.lines.iter().flatten().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }
}
