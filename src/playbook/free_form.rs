//! The free form of a command: the program's words, with the options `creates=`, `removes=` and `chdir=` among them.
//!
//! It is parsed before templating, as Ansible does, so that no variable, and no host that printed one, can add or remove
//! an option.

/// The options of a free form. Any other `name=value` is a word of the program.
const OPTIONS: [&str; 8] =
    ["creates", "removes", "chdir", "executable", "warn", "stdin", "stdin_add_newline", "strip_empty_ends"];

/// A parsed free form. Templates in it are not filled in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FreeForm {
    /// The command, with its quotes.
    pub(super) command: String,
    /// The options with their names, in order.
    pub(super) options: Vec<(String, String)>,
}

/// Parses a free form. Returns `None` if a quote or a template in it is not closed.
pub(super) fn read(line: &str) -> Option<FreeForm> {
    read_with(line, |name| OPTIONS.contains(&name))
}

/// Parses pairs: `path=/x state=absent`. Words that are no pairs are the command. Returns `None` if a quote or a template is
/// not closed.
pub(super) fn read_pairs(line: &str) -> Option<FreeForm> {
    read_with(line, is_name)
}

/// Splits the words of a line into pairs with these names and all others.
fn read_with(line: &str, is_option: impl Fn(&str) -> bool) -> Option<FreeForm> {
    let (mut form, mut is_continued) = (FreeForm::default(), false);
    for Word { blanks, text } in split_words(line)? {
        match text.split_once('=') {
            Some((name, value)) if is_option(name) => {
                form.options.push((name.to_owned(), unquoted(&unescaped(value)).to_owned()));
            }
            // A single backslash remains where a line is continued.
            _ if text == "\\" => is_continued = true,
            _ => {
                // As with Ansible, the lines of a script stay lines.
                let blanks = if is_continued { " " } else { &blanks };
                form.command.push_str(if form.command.is_empty() { "" } else { blanks });
                form.command.push_str(&text);
                is_continued = false;
            }
        }
    }
    Some(form)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}

/// A word of a line, with the blanks before it.
#[derive(Default)]
struct Word {
    blanks: String,
    text: String,
}

/// Splits at blanks outside quotes and templates. The words keep their quotes.
fn split_words(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let (mut quote, mut template) = (None, None);
    let mut before = ' ';
    for c in line.chars() {
        match (template, quote) {
            (None, None) if c.is_whitespace() => {
                if !word.text.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                word.blanks.push(c);
            }
            _ => word.text.push(c),
        }
        match (template, before, c) {
            (None, '{', '{') => template = Some('}'),
            (None, '{', '%' | '#') => template = Some(c),
            (Some(end), _, '}') if before == end => template = None,
            (None, _, '"' | '\'') if before != '\\' => {
                quote = match quote {
                    None => Some(c),
                    Some(open) => Some(open).filter(|open| *open != c),
                };
            }
            _ => {}
        }
        before = c;
    }
    words.push(word);
    words.retain(|word| !word.text.is_empty());
    (template.is_none() && quote.is_none()).then_some(words)
}

/// Replaces the escapes of Python in a value, as Ansible does with quotes and without. Other backslashes stay.
fn unescaped(value: &str) -> String {
    let (mut text, mut rest) = (String::new(), value);
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        if let Some((c, remaining)) = escaped(after) {
            text.push(c);
            rest = remaining;
        } else {
            text.push('\\');
            rest = after;
        }
    }
    text + rest
}

/// Returns the character of an escape, whose backslash is left out, and the text after it.
fn escaped(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    let digits = |count: usize| {
        let (digits, rest) = text.get(1..)?.split_at_checked(count)?;
        let is_number = digits.chars().all(|c| c.is_ascii_hexdigit());
        let code = u32::from_str_radix(digits, 16).ok().filter(|_| is_number);
        Some((char::from_u32(code?)?, rest))
    };
    let c = match chars.next()? {
        'x' => return digits(2),
        'u' => return digits(4),
        'U' => return digits(8),
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        c @ ('\\' | '\'' | '"') => c,
        _ => return None,
    };
    Some((c, chars.as_str()))
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

/// Returns the words between commas.
pub(super) fn comma_words(text: &str) -> Vec<String> {
    text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::read;
    use super::read_pairs;

    #[test]
    fn pairs_have_the_names_of_arguments() {
        let form = read_pairs("a daemon-reload=true _raw=1 é=2").unwrap();
        let pairs = [("daemon-reload", "true"), ("_raw", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((form.command.as_str(), form.options), ("a é=2", pairs.to_vec()));
    }

    #[test]
    fn options_are_found_anywhere_and_other_words_stay() {
        for (line, command, options) in [
            ("ls", "ls", &[][..]),
            ("touch x creates=/y chdir=/z", "touch x", &[("creates", "/y"), ("chdir", "/z")]),
            ("creates='/a b' touch removes=\"c*\" x", "touch x", &[("creates", "/a b"), ("removes", "c*")]),
            // The first word may be an option. The command follows it.
            ("dd if=/dev/zero of=/y CHDIR=/z", "dd if=/dev/zero of=/y CHDIR=/z", &[]),
            ("echo \"creates=/y\" 'chdir=/z' creates\\=/x", "echo \"creates=/y\" 'chdir=/z' creates\\=/x", &[]),
            ("echo {{ a b }} creates={{ c ~ ' d' }}", "echo {{ a b }}", &[("creates", "{{ c ~ ' d' }}")]),
            ("echo {% if a %} x {% endif %} {# it's #}", "echo {% if a %} x {% endif %} {# it's #}", &[]),
            ("echo {{ creates=1 }}", "echo {{ creates=1 }}", &[]),
            ("echo a \\\n  b\n  chdir=/z\n", "echo a b", &[("chdir", "/z")]),
            ("set -e\nif a; then\n    echo  b\nfi\n", "set -e\nif a; then\n    echo  b\nfi", &[]),
            ("echo a\nchdir=/z\necho b", "echo a\necho b", &[("chdir", "/z")]),
            ("echo it\\'s '  ' warn=no", "echo it\\'s '  '", &[("warn", "no")]),
            ("ls creates=", "ls", &[("creates", "")]),
            ("creates=/x", "", &[("creates", "/x")]),
            (r"ls stdin='a\n\x41\u00e9\q\1' \n", r"ls \n", &[("stdin", "a\nA\u{e9}\\q\\1")]),
            (r#"ls stdin="\\n \"q\"" chdir=a\tb\"#, "ls", &[("stdin", "\\n \"q\""), ("chdir", "a\tb\\")]),
        ] {
            let form = read(line).unwrap();
            let found: Vec<_> = form.options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!((form.command.as_str(), &found[..]), (command, options), "{line}");
        }
        for open in ["echo 'a", "echo it's", "echo {{ a", "echo {% a }}", "echo \"a' b"] {
            assert_eq!(read(open), None, "{open}");
        }
    }
}
