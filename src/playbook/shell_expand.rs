//! Quoting for the host's shell that leaves `~` and `$NAME` to be expanded there, as Ansible does with paths and with the
//! words of a command. Nothing else is expanded: no command runs, no word is split or globbed.

use std::sync::LazyLock;

use regex::Regex;
use shlex::QuoteError;

/// The pattern of an environment variable. It is fixed and always compiles.
static VARIABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})").ok());

/// Quotes a word for sh, except for a home directory at its beginning and variables in it. On the host, an unset variable
/// and the home of an unknown user stay as they are written.
pub(super) fn quote_expanding(word: &str) -> Result<String, QuoteError> {
    let (home, rest) = split_home(word);
    let mut quoted = home.to_owned();
    let mut end = 0;
    for found in VARIABLE.iter().flat_map(|variable| variable.captures_iter(rest)) {
        let (Some(whole), Some(name)) = (found.get(0), found.get(1).or_else(|| found.get(2))) else { continue };
        quoted.push_str(&literal(rest.get(end..whole.start()).unwrap_or_default())?);
        let unset = whole.as_str().replace('$', r"\$").replace('}', r"\}");
        quoted.push_str(&format!("\"${{{}-{unset}}}\"", name.as_str()));
        end = whole.end();
    }
    quoted.push_str(&literal(rest.get(end..).unwrap_or_default())?);
    Ok(if quoted.is_empty() { "''".to_owned() } else { quoted })
}

/// Splits off a home directory with the slash after it. sh expands `~user/` even if quoted text follows it.
fn split_home(word: &str) -> (&str, &str) {
    let end = word.find('/').map_or(word.len(), |slash| slash + 1);
    let user = |head: &str| head.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    match word.split_at_checked(end) {
        Some((head, rest)) if head.strip_prefix('~').is_some_and(|name| user(name.trim_end_matches('/'))) => {
            (head, rest)
        }
        _ => ("", word),
    }
}

fn literal(text: &str) -> Result<String, QuoteError> {
    if text.is_empty() { Ok(String::new()) } else { shlex::try_quote(text).map(String::from) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote_expanding;

    /// Returns a word after sh has expanded it.
    fn expand(word: &str) -> String {
        let script = format!("printf %s {}", quote_expanding(word).unwrap());
        let mut sh = Command::new("sh");
        let output = sh.args(["-c", &script]).env_clear().env("HOME", "/h o").env("A_1", "va  lue*").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn homes_and_variables_are_expanded_by_the_shell() {
        for (word, expected) in [
            ("", ""),
            ("~", "/h o"),
            ("~/x y/*", "/h o/x y/*"),
            ("~root", "/root"),
            ("~root/$A_1", "/root/va  lue*"),
            ("~no-such-user/x", "~no-such-user/x"),
            ("a~", "a~"),
            ("x=~", "x=~"),
            ("~$(id)", "~$(id)"),
            ("<${A_1}$A_1>$A_12", "<va  lue*va  lue*>$A_12"),
            ("$NOPE${NOPE}$", "$NOPE${NOPE}$"),
            ("$1${}${A_1:-x}$$ $(id) `id` \\$A_1", "$1${}${A_1:-x}$$ $(id) `id` \\va  lue*"),
        ] {
            assert_eq!(expand(word), expected, "{word}");
        }
        assert!(quote_expanding("a\0").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_word_is_run_as_a_command(word in r#"[a-z'"`;&|<>(){}!*?\\ \n=/~-]{0,24}"#) {
            prop_assume!(!word.starts_with('~'));
            prop_assert_eq!(expand(&word), word);
        }
    }
}
