//! The output of one script among all that a user shell prints.
//!
//! A mark that the script cannot know stands on stdout before the script and before the exit, and ends each stream. See
//! `setup.sh`.

use crate::core::sanitize;
use crate::remote::Exit;
use crate::remote::Sink;

/// Passes on the output of a script, and reads how the script ended.
pub(super) struct Reply<'a> {
    sink: &'a mut dyn Sink,
    stdout: Stream,
    stderr: Stream,
    has_started: bool,
    finds_processes: bool,
    exit: Option<Exit>,
}

/// The word after the first mark. More words follow if the shell finds the processes that a program has left behind.
pub(super) const STARTS: &str = "starts";

/// One stream.
struct Stream {
    mark: Vec<u8>,
    /// Bytes that may be the beginning of a mark.
    held: Vec<u8>,
    is_over: bool,
}

impl Stream {
    fn new(mark: &str) -> Self {
        Self { mark: mark.as_bytes().to_vec(), held: Vec::new(), is_over: false }
    }

    /// Takes bytes, passes on those of the script, and returns the text after a mark, if one is complete.
    fn take(&mut self, bytes: &[u8], mut pass: impl FnMut(&[u8])) -> Vec<String> {
        let mut texts = Vec::new();
        self.held.extend_from_slice(bytes);
        while let Some(at) = self.held.windows(self.mark.len()).position(|window| window == self.mark) {
            let Some(length) = self.held.iter().skip(at).position(|byte| *byte == b'\n') else {
                let rest = self.held.split_off(at);
                emit(&self.held, &mut pass);
                self.held = rest;
                return texts;
            };
            let rest = self.held.split_off(at + length + 1);
            let line = self.held.split_off(at);
            emit(&self.held, &mut pass);
            self.held = rest;
            let text = sanitize::printable(line.get(self.mark.len()..length).unwrap_or_default());
            self.is_over |= text.is_empty();
            texts.push(text);
        }
        let safe = self.held.len().saturating_sub(self.mark.len() - 1);
        let rest = self.held.split_off(safe);
        emit(&self.held, &mut pass);
        self.held = rest;
        texts
    }
}

fn emit(bytes: &[u8], pass: &mut impl FnMut(&[u8])) {
    if !bytes.is_empty() {
        pass(bytes);
    }
}

impl<'a> Reply<'a> {
    /// Makes a reply with this mark, which is not empty.
    pub(super) fn new(sink: &'a mut dyn Sink, mark: &str) -> Self {
        let (stdout, stderr) = (Stream::new(mark), Stream::new(mark));
        Self { sink, stdout, stderr, has_started: false, finds_processes: false, exit: None }
    }

    /// Reports whether the shell has begun with the script.
    pub(super) fn has_started(&self) -> bool {
        self.has_started
    }

    /// Reports whether the shell finds the processes that a program has left behind.
    pub(super) fn finds_processes(&self) -> bool {
        self.finds_processes
    }

    /// Returns how the script ended, once that is known.
    pub(super) fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// Reports whether all output has arrived.
    pub(super) fn is_over(&self) -> bool {
        self.stdout.is_over && self.stderr.is_over
    }

    /// Passes on what might have been the beginning of a mark: no more will come.
    pub(super) fn end(self) -> Option<Exit> {
        emit(&self.stdout.held, &mut |bytes| self.sink.stdout(bytes));
        emit(&self.stderr.held, &mut |bytes| self.sink.stderr(bytes));
        self.exit
    }
}

impl Sink for Reply<'_> {
    fn stdout(&mut self, bytes: &[u8]) {
        let texts = self.stdout.take(bytes, |bytes| self.sink.stdout(bytes));
        for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
            if let Some(more) = text.strip_prefix(STARTS) {
                self.has_started = true;
                self.finds_processes = !more.is_empty();
                continue;
            }
            self.exit = Some(text.parse().map_or_else(|_| Exit::Signal(text.to_owned()), Exit::Code));
        }
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.take(bytes, |bytes| self.sink.stderr(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::CapturedOutput;

    #[test]
    fn marks_in_any_pieces_are_no_output() {
        let printed = b"@1e starts\na@1f 0\n@1b@1e 0\nlate@1e\n";
        for size in 1..=printed.len() {
            let mut kept = CapturedOutput::with_limit(100);
            let mut reply = Reply::new(&mut kept, "@1e");
            for piece in printed.chunks(size) {
                reply.stdout(piece);
            }
            assert_eq!((reply.exit(), reply.is_over()), (Some(&Exit::Code(0)), false));
            assert!(reply.has_started());
            reply.stderr(b"bad@1e\n");
            assert!(reply.is_over());
            assert_eq!(reply.end(), Some(Exit::Code(0)));
            assert_eq!(
                (kept.stdout.as_slice(), kept.stderr.as_slice()),
                (&b"a@1f 0\n@1blate"[..], &b"bad"[..]),
                "{size}"
            );
        }
    }

    #[test]
    fn a_word_after_the_first_says_that_the_shell_finds_processes() {
        for (printed, finds) in [("@1e starts \n", false), ("@1e starts 1\n", true)] {
            let mut kept = CapturedOutput::with_limit(100);
            let mut reply = Reply::new(&mut kept, "@1e");
            reply.stdout(printed.as_bytes());
            assert_eq!((reply.has_started(), reply.finds_processes()), (true, finds));
        }
    }

    #[test]
    fn a_reply_that_was_cut_off_has_no_exit_and_all_of_the_output() {
        let mut kept = CapturedOutput::with_limit(100);
        let mut reply = Reply::new(&mut kept, "@1e");
        reply.stdout(b"out@1");
        reply.stderr(b"err@");
        assert!(!reply.has_started());
        assert_eq!((reply.is_over(), reply.end()), (false, None));
        assert_eq!((kept.stdout.as_slice(), kept.stderr.as_slice()), (&b"out@1"[..], &b"err@"[..]));
    }
}
