//! The keys that are pressed on a terminal in raw mode. They are read on a thread of its own, because a read from a terminal
//! cannot be cancelled; the thread ends with its reader.
//!
//! A terminal that is gone ends the keys: the thread never waits for it in a loop.

use std::io;
use std::io::PipeReader;
use std::io::PipeWriter;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;
use rustix::io::Errno;
use tokio::sync::mpsc;

/// How long the bytes after an escape may take that belong to the same key.
const SEQUENCE_LIMIT: Duration = Duration::from_millis(50);

/// The longest sequence of a key. A longer one is dropped.
const SEQUENCE_BYTES: usize = 32;

/// How many keys wait for the reader.
const WAITING: usize = 64;

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// A letter, in lower case, with the control key.
    Control(char),
    /// The enter key.
    Enter,
    /// The escape key.
    Escape,
    /// The tab key.
    Tab,
    /// The tab key with the shift key.
    BackTab,
    /// The backspace key.
    Backspace,
    /// An arrow key.
    Up,
    /// An arrow key.
    Down,
    /// An arrow key.
    Left,
    /// An arrow key.
    Right,
    /// The key for the page before.
    PageUp,
    /// The key for the next page.
    PageDown,
    /// The key for the beginning.
    Home,
    /// The key for the end.
    End,
}

/// Reads keys from stdin until it is dropped.
#[derive(Debug)]
pub struct Keys {
    keys: mpsc::Receiver<Key>,
    /// Ends the thread when it is dropped.
    _guard: PipeWriter,
}

impl Keys {
    /// Starts to read.
    pub fn start() -> io::Result<Self> {
        let (ended, guard) = io::pipe()?;
        let (sender, keys) = mpsc::channel(WAITING);
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || read(&ended, &sender))?;
        Ok(Self { keys, _guard: guard })
    }

    /// Waits for the next key; `None` once the terminal is gone.
    pub async fn next(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

fn read(ended: &PipeReader, keys: &mpsc::Sender<Key>) {
    let (stdin, mut decoder, mut buffer) = (io::stdin(), Decoder::default(), [0; 1024]);
    loop {
        let limit = decoder.is_open().then_some(SEQUENCE_LIMIT);
        let timeout = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut sources = [PollFd::new(ended, PollFlags::IN), PollFd::new(&stdin, PollFlags::IN)];
        let ready = match poll(&mut sources, timeout.as_ref()) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(ready) => ready,
        };
        if !sources.first().is_some_and(|ended| ended.revents().is_empty()) {
            return;
        }
        let decoded = if ready == 0 {
            decoder.end().into_iter().collect()
        } else {
            match rustix::io::read(&stdin, &mut buffer) {
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Ok(0) | Err(_) => return,
                Ok(count) => decoder.take(buffer.get(..count).unwrap_or_default()),
            }
        };
        for key in decoded {
            if keys.blocking_send(key).is_err() {
                return;
            }
        }
    }
}

/// Makes keys of the bytes that a terminal sends.
#[derive(Debug, Default)]
struct Decoder {
    /// The first bytes of a key whose other bytes have not come yet.
    pending: Vec<u8>,
}

/// What the first bytes of a text are.
enum First {
    /// A key, or `None` for one that is not known, and how many bytes it takes.
    Key(Option<Key>, usize),
    /// The beginning of a key.
    Open,
}

impl Decoder {
    /// Reports whether a key has begun and not ended.
    fn is_open(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes bytes, and returns the keys that they end.
    fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let First::Key(key, length) = first(&self.pending) {
            keys.extend(key);
            self.pending.drain(..length.min(self.pending.len()));
        }
        if self.pending.len() > SEQUENCE_BYTES {
            self.pending.clear();
        }
        keys
    }

    /// Returns the key that has begun if no more bytes come.
    fn end(&mut self) -> Option<Key> {
        let pending = std::mem::take(&mut self.pending);
        (pending == [0x1b]).then_some(Key::Escape)
    }
}

/// Returns the first key of some bytes.
fn first(bytes: &[u8]) -> First {
    match bytes {
        [] | [0x1b] | [0x1b, b'O'] => First::Open,
        [0x1b, 0x1b, ..] => First::Key(Some(Key::Escape), 1),
        [0x1b, b'O', last, ..] => First::Key(named(*last), 3),
        [0x1b, b'[', rest @ ..] => match rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) {
            Some(end) => First::Key(of_sequence(rest.get(..=end).unwrap_or_default()), end + 3),
            None => First::Open,
        },
        // A character with the Alt key.
        [0x1b, ..] => First::Key(None, 2),
        [b'\r' | b'\n', ..] => First::Key(Some(Key::Enter), 1),
        [b'\t', ..] => First::Key(Some(Key::Tab), 1),
        [0x7f | 0x08, ..] => First::Key(Some(Key::Backspace), 1),
        [control @ 1..=26, ..] => First::Key(Some(Key::Control(char::from(control + b'a' - 1))), 1),
        [0..=31, ..] => First::Key(None, 1),
        _ => character(bytes),
    }
}

/// Returns the character that some bytes begin with.
fn character(bytes: &[u8]) -> First {
    let Some(chunk) = bytes.utf8_chunks().next() else { return First::Open };
    if let Some(c) = chunk.valid().chars().next() {
        return First::Key((!c.is_control()).then_some(Key::Char(c)), c.len_utf8());
    }
    let invalid = chunk.invalid();
    let is_open =
        invalid.len() == bytes.len() && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
    if is_open { First::Open } else { First::Key(None, invalid.len().max(1)) }
}

/// Returns the key of a control sequence, without its introducer.
fn of_sequence(sequence: &[u8]) -> Option<Key> {
    let (last, parameters) = sequence.split_last()?;
    if *last != b'~' {
        return named(*last);
    }
    match parameters.split(|byte| *byte == b';').next()? {
        b"1" | b"7" => Some(Key::Home),
        b"4" | b"8" => Some(Key::End),
        b"5" => Some(Key::PageUp),
        b"6" => Some(Key::PageDown),
        _ => None,
    }
}

const fn named(last: u8) -> Option<Key> {
    Some(match last {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'Z' => Key::BackTab,
        b'M' => Key::Enter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(parts: &[&[u8]]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        let mut keys: Vec<Key> = parts.iter().flat_map(|part| decoder.take(part)).collect();
        keys.extend(decoder.end());
        keys
    }

    #[test]
    fn bytes_are_decoded_as_terminals_send_them() {
        for (bytes, expected) in [
            (&b"q\xc3\xa9\r\t\x7f"[..], &[Key::Char('q'), Key::Char('é'), Key::Enter, Key::Tab, Key::Backspace][..]),
            (b"\x1b[A\x1bOB\x1b[1;5C\x1b[D", &[Key::Up, Key::Down, Key::Right, Key::Left]),
            (
                b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[5~\x1b[6~",
                &[Key::Home, Key::End, Key::Home, Key::End, Key::PageUp, Key::PageDown],
            ),
            (b"\x1b[Z\x03\x0c", &[Key::BackTab, Key::Control('c'), Key::Control('l')]),
            (b"\x1b", &[Key::Escape]),
            (b"\x1b\x1b", &[Key::Escape, Key::Escape]),
            (b"\x1bx\x1b[200~a\x00\xffb", &[Key::Char('a'), Key::Char('b')]),
        ] {
            assert_eq!(keys(&[bytes]), expected, "{bytes:?}");
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(keys(&single), expected, "{bytes:?} in single bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_kept_for_long(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
            let mut decoder = Decoder::default();
            for part in parts {
                decoder.take(&part);
                prop_assert!(decoder.pending.len() <= SEQUENCE_BYTES);
            }
        }
    }
}
