//! Text that others wrote, made fit to be shown: hosts, units and inventories may hold what would steer a terminal.
//!
//! One rule for all: a control character (C0, DEL, C1) is shown as U+FFFD, and only line breaks and tabs are let through.
//! Nothing is printed here. What is kept of others' text in messages and records is cut as well.

/// What is shown in the place of a control character.
const SHOWN: char = '\u{fffd}';

/// Makes text of any number of lines fit to be shown.
pub fn text(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { SHOWN } else { c }).collect()
}

/// Makes text fit for one line: a line break or a tab becomes a blank.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { if c.is_whitespace() { ' ' } else { SHOWN } } else { c }).collect()
}

/// How many characters of one saying of a host's are kept.
pub const MESSAGE_LIMIT: usize = 512;

/// Makes text words on one line, of at most so many characters: what is left out shows as an ellipsis at the end.
pub fn truncate(text: &str, most: usize) -> String {
    let words = text.split_whitespace().flat_map(|word| std::iter::once(' ').chain(word.chars())).skip(1);
    let mut clean = words.map(|c| if c.is_control() { SHOWN } else { c });
    let mut kept: String = clean.by_ref().take(most).collect();
    if clean.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// Makes what a host sent fit for a message: words on one line, at most 200 characters.
pub fn printable(bytes: &[u8]) -> String {
    truncate(&String::from_utf8_lossy(bytes), 200)
}

/// Escapes in JSON what JSON lets through and a terminal obeys: DEL and C1.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c >= '\u{7f}' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Makes bytes that come in pieces fit to be shown, whole characters at a time.
#[derive(Debug, Default)]
pub struct Stream {
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl Stream {
    /// Takes the next piece and returns what can be shown of it.
    pub fn take(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let unfinished = all.utf8_chunks().last().map_or(0, |last| {
            let tail = last.invalid();
            let more = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
            if more { tail.len() } else { 0 }
        });
        self.begun = all.split_off(all.len() - unfinished);
        text(&String::from_utf8_lossy(&all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_let_through() {
        let evil = "a\u{1b}[2J\u{7}b\u{7f}\u{9b}31m\r\nc\td";
        assert_eq!(text(evil), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}31m\u{fffd}\nc\td");
        assert_eq!(line("a\u{1b}b\n\tc"), "a\u{fffd}b  c");
        assert_eq!(printable(b" one\r\n\x1b]0;two \x9b\n"), "one \u{fffd}]0;two \u{fffd}");
        assert_eq!(printable(&[b'x'; 300]).chars().count(), 200);
    }

    #[test]
    fn what_is_said_becomes_one_short_line() {
        for (text, most, expected) in [
            ("", 10, ""),
            ("  Unit a.service\n\tnot found.\n", 40, "Unit a.service not found."),
            ("0123456789", 10, "0123456789"),
            ("0123456789a", 10, "012345678…"),
            ("ééééé ééééé", 10, "ééééé ééé…"),
        ] {
            assert_eq!(truncate(text, most), expected, "{text:?}");
        }
    }

    #[test]
    fn json_is_escaped_and_means_the_same() {
        let value = serde_json::json!({"a\u{9b}": "\u{7f}\u{85}é\u{1b}"});
        let escaped = json(&value.to_string());
        assert_eq!(escaped, r#"{"a\u009b":"\u007f\u0085é\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_character_that_comes_in_pieces_is_one_and_what_is_none_is_shown() {
        let mut stream = Stream::default();
        assert_eq!(stream.take(b"\xc3"), "");
        assert_eq!(stream.take(b"\xa9\xf0\x9f"), "é");
        assert_eq!(stream.take(b"\x98\x80 \xc2"), "😀 ");
        // A control character of two bytes does not slip through between two pieces.
        assert_eq!(stream.take(b"\x9b"), "\u{fffd}");
        assert_eq!(stream.take(b"\xff\n"), "\u{fffd}\n");
    }
}
