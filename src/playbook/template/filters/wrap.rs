//! Lines of limited width, as Python's `textwrap` makes them.

/// Breaks a line into lines of at most `width` characters. A longer word may be cut.
pub(super) fn wrap(line: &str, width: usize, breaks_words: bool, at_hyphens: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    for chunk in chunks(line, at_hyphens) {
        let mut chunk = chunk;
        if chunk.trim().is_empty() && current.is_empty() && !lines.is_empty() {
            continue;
        }
        if length(&current) + length(chunk) > width {
            if chunk.trim().is_empty() {
                finish(&mut lines, &mut current);
                continue;
            }
            if length(chunk) <= width || !breaks_words {
                finish(&mut lines, &mut current);
            }
            while breaks_words && length(&current) + length(chunk) > width {
                let room = (width - length(&current)).max(usize::from(current.is_empty()));
                let at = chunk.char_indices().nth(room).map_or(chunk.len(), |(at, _)| at);
                let (head, tail) = chunk.split_at(at);
                current.push_str(head);
                finish(&mut lines, &mut current);
                chunk = tail;
            }
        }
        current.push_str(chunk);
    }
    finish(&mut lines, &mut current);
    lines
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Ends a line, without the blanks at its end.
fn finish(lines: &mut Vec<String>, current: &mut String) {
    let line = std::mem::take(current);
    if !line.trim_end().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
}

/// Splits a line into words and blanks. A word may end after a hyphen between letters.
fn chunks(line: &str, at_hyphens: bool) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut before: [Option<char>; 2] = [None, None];
    for (at, c) in line.char_indices() {
        let [second, last] = before;
        let changes = last.is_some_and(|last| last.is_whitespace() != c.is_whitespace());
        let hyphen = at_hyphens && last == Some('-') && second.is_some_and(char::is_alphabetic) && c.is_alphabetic();
        if changes || hyphen {
            chunks.push(line.get(start..at).unwrap_or_default());
            start = at;
        }
        before = [last, Some(c)];
    }
    chunks.push(line.get(start..).unwrap_or_default());
    chunks
}
