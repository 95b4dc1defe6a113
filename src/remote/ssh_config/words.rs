//! Splits one line of ssh_config(5) into words: quotes, backslashes, comments, `Key=value`. This module is pure.

/// Splits a line into its keyword (lower case) and its arguments; `None` for an empty line or a comment.
///
/// # Errors
/// A quote that is not closed.
pub(super) fn split(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\x0c');
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    // One `=` with or without blanks may separate the two.
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let keyword = keyword.trim_matches('"').to_ascii_lowercase();
    if keyword == "proxycommand" {
        // A shell reads the command, so quotes stay.
        let command = rest.trim_ascii_start();
        return Ok(Some((keyword, if command.is_empty() { Vec::new() } else { vec![command.to_owned()] })));
    }
    Ok(Some((keyword, arguments(rest)?)))
}

/// Splits the arguments. A word that starts with `#` ends the line.
fn arguments(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(char::is_ascii_whitespace).is_some() {}
        match chars.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => words.push(word(&mut chars)?),
        }
    }
}

fn word(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '\\' if matches!(next, Some('"' | '\'' | '\\')) || (quote.is_none() && next == Some(' ')) => {
                word.extend(chars.next());
            }
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            _ if quote.is_none() && c.is_ascii_whitespace() => return Ok(word),
            _ => word.push(c),
        }
    }
    match quote {
        Some(quote) => Err(format!("the quote {quote} is not closed")),
        None => Ok(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<(String, Vec<String>)> {
        split(line).unwrap()
    }

    #[test]
    fn a_line_is_a_keyword_and_words() {
        let expect = |line: &str, keyword: &str, arguments: &[&str]| {
            let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(words(line), Some((keyword.to_owned(), arguments)), "{line:?}");
        };
        expect("HostName core-01", "hostname", &["core-01"]);
        expect("\thostname=core-01\r", "hostname", &["core-01"]);
        expect("HostName = core-01 # ours", "hostname", &["core-01"]);
        expect("Host a b  c", "host", &["a", "b", "c"]);
        expect("IdentityFile \"~/my keys/id\"", "identityfile", &["~/my keys/id"]);
        expect("IdentityFile my\\ key", "identityfile", &["my key"]);
        expect("User a#b", "user", &["a#b"]);
        expect("User ''", "user", &[""]);
        expect("ProxyCommand nc -X 5 \"%h\" %p", "proxycommand", &["nc -X 5 \"%h\" %p"]);
        expect("ProxyCommand", "proxycommand", &[]);
    }

    #[test]
    fn comments_and_empty_lines_have_no_words_and_an_open_quote_is_an_error() {
        assert_eq!(words(""), None);
        assert_eq!(words("   # Host x"), None);
        assert!(split("User \"core").is_err());
    }
}
