//! What hosts and other people's files say, made fit for messages and records.

/// How many characters of one saying of a host's are kept.
pub const SAYING: usize = 512;

/// Returns text as one line without control characters, of at most so many characters: what is left out of it shows as
/// an ellipsis at the end.
pub fn tame(text: &str, most: usize) -> String {
    let words = text.split_whitespace().flat_map(|word| std::iter::once(' ').chain(word.chars())).skip(1);
    let mut clean = words.filter(|letter| !letter.is_control());
    let mut kept: String = clean.by_ref().take(most).collect();
    if clean.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_becomes_one_short_line() {
        for (text, most, expected) in [
            ("", 10, ""),
            ("  Unit a.service\n\tnot found.\n", 40, "Unit a.service not found."),
            ("\u{1b}[31mred\u{7}\u{9b}", 40, "[31mred"),
            ("0123456789", 10, "0123456789"),
            ("0123456789a", 10, "012345678…"),
            ("ééééé ééééé", 10, "ééééé ééé…"),
        ] {
            assert_eq!(tame(text, most), expected, "{text:?}");
        }
    }
}
