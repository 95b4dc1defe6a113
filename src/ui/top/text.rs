//! Text as lines that fit the width of a terminal.

use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

use crate::core::sanitize;

/// The distance between the places to which a tab goes.
const TAB: usize = 8;

/// Returns how many columns a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// Returns the lines of a text, sanitised, with blanks in place of tabs, none wider than a width. A line is broken at a blank
/// if it has one.
pub(super) fn wrap(text: &str, limit: usize) -> Vec<String> {
    let text = sanitize::text(text);
    text.lines().flat_map(|line| broken(&without_tabs(line), limit.max(2))).collect()
}

/// Tables align by the number of characters.
fn without_tabs(line: &str) -> String {
    let mut spread = String::with_capacity(line.len());
    let mut count = 0;
    for c in line.chars() {
        let blanks = if c == '\t' { TAB - count % TAB } else { 0 };
        if blanks == 0 {
            spread.push(c);
            count += 1;
        } else {
            spread.extend(std::iter::repeat_n(' ', blanks));
            count += blanks;
        }
    }
    spread
}

fn broken(line: &str, limit: usize) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), line);
    while width(rest) > limit {
        let mut columns = 0;
        let is_beyond = |c: char| {
            columns += c.width().unwrap_or(0);
            columns > limit
        };
        let end = rest.find(is_beyond).unwrap_or(rest.len());
        let (fits, beyond) = rest.split_at(end);
        // The indentation is no place to break.
        let blank = if beyond.starts_with(' ') { Some(end) } else { fits.trim_start().rfind(' ') };
        let indented = fits.len() - fits.trim_start().len();
        let at = match blank {
            Some(at) if at == end => end,
            Some(at) => at + indented,
            None => end,
        };
        let (first, others) = rest.split_at(at);
        lines.push(first.trim_end().to_owned());
        rest = others.trim_start_matches(' ');
    }
    lines.push(rest.to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_broken_at_blanks_and_tabs_align() {
        assert_eq!(wrap("Unit:\ta.service\n\nlast", 40), ["Unit:   a.service", "", "last"]);
        assert_eq!(wrap("one two three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("  abcdefghij", 5), ["  abc", "defgh", "ij"]);
        assert_eq!(wrap("日本語日本語", 5), ["日本", "語日", "本語"]);
        assert_eq!(wrap("a\u{1b}[2Jb", 40), ["a\u{fffd}[2Jb"]);
        assert_eq!(wrap("", 40), [""; 0]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_limit_and_no_word_is_lost(text in "[ a-c日é\t\n]{0,80}", limit in 2_usize..30) {
            let lines = wrap(&text, limit);
            prop_assert!(lines.iter().all(|line| width(line) <= limit), "{lines:?}");
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
