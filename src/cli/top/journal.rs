//! The output of journalctl on a host as lines for the screen. A host that writes faster than the screen takes it loses lines,
//! and the screen says so.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::session::News;
use crate::core::sanitize;
use crate::remote::Sink;
use crate::ui::top::Message;

/// The longest line that is shown, in bytes. A longer one is broken.
const LINE_BYTES: usize = 4096;

/// Makes lines of the output of a command.
#[derive(Debug)]
pub(super) struct Lines {
    /// The number of the journal on the screen.
    number: u64,
    news: mpsc::Sender<News>,
    out: sanitize::Stream,
    err: sanitize::Stream,
    /// The beginning of a line.
    open: String,
    /// How many lines were lost since the last that were taken.
    lost: usize,
}

impl Lines {
    pub(super) fn new(number: u64, news: mpsc::Sender<News>) -> Self {
        let (out, err) = (sanitize::Stream::default(), sanitize::Stream::default());
        Self { number, news, out, err, open: String::new(), lost: 0 }
    }

    fn take(&mut self, text: &str) {
        let mut lines = Vec::new();
        for part in text.split_inclusive('\n') {
            self.open.push_str(part);
            while self.open.len() > LINE_BYTES {
                let rest = self.open.split_off(self.open.floor_char_boundary(LINE_BYTES));
                lines.push(std::mem::replace(&mut self.open, rest));
            }
            if self.open.ends_with('\n') {
                lines.push(std::mem::take(&mut self.open).trim_end_matches('\n').to_owned());
            }
        }
        if lines.is_empty() {
            return;
        }
        let count = lines.len();
        if self.lost > 0 {
            lines.insert(0, format!("… {} lines are left out here: they came too fast", self.lost));
        }
        match self.news.try_send(News::Message(Message::Journal(self.number, lines, None))) {
            Ok(()) => self.lost = 0,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => self.lost += count,
        }
    }
}

impl Sink for Lines {
    fn stdout(&mut self, bytes: &[u8]) {
        let text = self.out.take(bytes);
        self.take(&text);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        let text = self.err.take(bytes);
        self.take(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(news: &mut mpsc::Receiver<News>) -> Vec<String> {
        let mut all = Vec::new();
        while let Ok(News::Message(Message::Journal(7, lines, None))) = news.try_recv() {
            all.extend(lines);
        }
        all
    }

    #[test]
    fn lines_are_whole_and_those_that_are_lost_are_counted() {
        let (sender, mut news) = mpsc::channel(1);
        let mut lines = Lines::new(7, sender);
        lines.stdout(b"one\ntw");
        assert_eq!(sent(&mut news), ["one"]);
        lines.stdout(b"o\x1b\n");
        lines.stdout(b"three\nfour\n");
        assert_eq!(sent(&mut news), ["two\u{fffd}"]);
        lines.stderr(b"five\n");
        assert_eq!(sent(&mut news), ["… 2 lines are left out here: they came too fast", "five"]);
        lines.stdout(&vec![b'x'; 2 * LINE_BYTES + 1]);
        lines.stdout(b"\n");
        assert_eq!(sent(&mut news), ["x".repeat(LINE_BYTES), "x".repeat(LINE_BYTES)]);
        lines.stdout(b"six\n");
        assert_eq!(sent(&mut news), ["… 1 lines are left out here: they came too fast", "six"]);
    }
}
