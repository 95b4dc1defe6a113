//! The patterns of ssh_config(5) and known_hosts: `*`, `?`, lists and `!`. This module is pure.

/// Reports whether `text` matches one pattern of `*` (any run) and `?` (any one character).
pub(crate) fn matches(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    let (mut at, mut of) = (0, 0);
    // Matching resumes here when the text after the last `*` does not match, so the time is never exponential.
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(of) {
            Some('*') => {
                back = Some((at, of));
                of += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(at) => {
                at += 1;
                of += 1;
            }
            _ => {
                let Some((start, star)) = back else { return false };
                back = Some((start + 1, star));
                at = start + 1;
                of = star + 1;
            }
        }
    }
    pattern.get(of..).is_none_or(|rest| rest.iter().all(|c| *c == '*'))
}

/// Reports whether `text` matches a list of patterns: at least one of them, and none that is negated with `!`.
pub(crate) fn matches_any<'a>(text: &str, patterns: impl IntoIterator<Item = &'a str>) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(text, pattern) => return false,
            Some(_) => {}
            None => found |= matches(text, pattern),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_runs_and_single_characters() {
        let table = [
            ("core-01", "core-01", true),
            ("core-01", "core-0?", true),
            ("core-01", "core-*", true),
            ("core-01", "*", true),
            ("", "*", true),
            ("", "", true),
            ("", "?", false),
            ("core-01", "*0*", true),
            ("core-01", "core", false),
            ("core-01", "*-02", false),
            ("aaab", "*ab", true),
            ("aaaa", "a*b", false),
            ("a", "a***", true),
        ];
        for (text, pattern, expected) in table {
            assert_eq!(matches(text, pattern), expected, "{text:?} {pattern:?}");
        }
    }

    #[test]
    fn a_pattern_with_many_stars_does_not_take_exponential_time() {
        assert!(!matches(&"a".repeat(4000), &format!("{}b", "a*".repeat(200))));
    }

    #[test]
    fn a_negated_pattern_wins_at_any_position() {
        assert!(matches_any("web1", ["web*"]));
        assert!(!matches_any("web1", ["web*", "!web1"]));
        assert!(!matches_any("web1", ["!web1", "web*"]));
        assert!(!matches_any("web1", ["!db*"]));
    }
}
