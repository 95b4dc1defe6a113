//! Sanitises text from hosts, units and inventories, which may contain control sequences of terminals.
//!
//! A control character (C0, DEL, C1) is replaced by U+FFFD; only line breaks and tabs may stay. So is a character that
//! changes the direction of the text or ends the line, because it could make a text look like another one. Text in messages and
//! records is also cut to a limit. Nothing is printed here.

/// The replacement of a control character.
const REPLACEMENT: char = '\u{fffd}';

/// Reports whether a character must not be shown.
fn is_unsafe(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// Reports whether a character sets the direction of text, or separates lines or paragraphs.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reports whether a text is a name that is safe in a key, a path and a message: 1 to `most` of A-Z, a-z, 0-9, `_`, `.` and `-`,
/// and no dot at the start.
pub fn is_plain_name(text: &str, most: usize) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=most).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_valid)
}

/// Sanitises text of any number of lines.
pub fn text(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) && c != '\n' && c != '\t' { REPLACEMENT } else { c }).collect()
}

/// Sanitises text for one line. A line break or a tab becomes a blank.
pub fn line(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { if c.is_whitespace() { ' ' } else { REPLACEMENT } } else { c }).collect()
}

/// The most characters that are kept of one message of a host.
pub const MESSAGE_LIMIT: usize = 512;

/// Sanitises text for one line of at most `most` characters, with single blanks. Longer text ends in an ellipsis.
pub fn truncate(text: &str, most: usize) -> String {
    let words = text.split_whitespace().flat_map(|word| std::iter::once(' ').chain(word.chars())).skip(1);
    let mut clean = words.map(|c| if is_unsafe(c) { REPLACEMENT } else { c });
    let mut kept: String = clean.by_ref().take(most).collect();
    if clean.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// Sanitises bytes from a host for a message: one line of at most 200 characters.
pub fn printable(bytes: &[u8]) -> String {
    truncate(&String::from_utf8_lossy(bytes), 200)
}

/// Escapes the unsafe characters that JSON allows in strings: DEL, C1 and those that set the direction of text.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && c >= '\u{7f}' {
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Sanitises a stream of bytes, whole characters at a time.
#[derive(Debug, Default)]
pub struct Stream {
    /// The first bytes of a character whose other bytes have not arrived yet.
    pending: Vec<u8>,
}

impl Stream {
    /// Adds bytes and returns the sanitised text of all complete characters.
    pub fn take(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.pending);
        all.extend_from_slice(bytes);
        let unfinished = all.utf8_chunks().last().map_or(0, |last| {
            let tail = last.invalid();
            let more = std::str::from_utf8(tail).is_err_and(|error| error.error_len().is_none());
            if more { tail.len() } else { 0 }
        });
        self.pending = all.split_off(all.len() - unfinished);
        text(&String::from_utf8_lossy(&all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        let evil = "a\u{1b}[2J\u{7}b\u{7f}\u{9b}31m\r\nc\td";
        assert_eq!(text(evil), "a\u{fffd}[2J\u{fffd}b\u{fffd}\u{fffd}31m\u{fffd}\nc\td");
        assert_eq!(line("a\u{1b}b\n\tc"), "a\u{fffd}b  c");
        assert_eq!(printable(b" one\r\n\x1b]0;two \x9b\n"), "one \u{fffd}]0;two \u{fffd}");
        assert_eq!(printable(&[b'x'; 300]).chars().count(), 200);
    }

    #[test]
    fn characters_that_make_a_text_look_like_another_are_replaced() {
        assert_eq!(text("a\u{202e}b\u{2066}c\u{200f}d"), "a\u{fffd}b\u{fffd}c\u{fffd}d");
        assert_eq!(line("a\u{2028}b"), "a b");
        assert_eq!(truncate("web\u{202e}db", 10), "web\u{fffd}db");
        assert_eq!(json("\"\u{202e}\""), "\"\\u202e\"");
    }

    #[test]
    fn a_truncated_text_is_one_short_line() {
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
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({"a\u{9b}": "\u{7f}\u{85}é\u{1b}"});
        let escaped = json(&value.to_string());
        assert_eq!(escaped, r#"{"a\u009b":"\u007f\u0085é\u001b"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }

    #[test]
    fn a_split_character_is_joined_and_an_invalid_one_is_replaced() {
        let mut stream = Stream::default();
        assert_eq!(stream.take(b"\xc3"), "");
        assert_eq!(stream.take(b"\xa9\xf0\x9f"), "é");
        assert_eq!(stream.take(b"\x98\x80 \xc2"), "😀 ");
        // A control character of two bytes is replaced even if it is split.
        assert_eq!(stream.take(b"\x9b"), "\u{fffd}");
        assert_eq!(stream.take(b"\xff\n"), "\u{fffd}\n");
    }
}
