//! Patterns over unit names, with the grammar of Go's `path.Match`, for `Conflicts=` and `Replaces=`.
//!
//! `*` any run of characters, `?` one, `[a-z]` or `[^a-z]` one of a class, `\c` the character itself. A pattern
//! matches whole names, and neither `*` nor `?` matches `/`.

use std::fmt;

/// A pattern that matches unit names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Glob {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Run,
    Any,
    One(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// The text is not a pattern. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern {text:?}: {why}")]
pub struct BadGlob {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Glob {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, BadGlob> {
        let mut rest = text.chars();
        let mut parts = Vec::new();
        while let Some(c) = rest.next() {
            let part = match c {
                '*' => Ok(Part::Run),
                '?' => Ok(Part::Any),
                '[' => class(&mut rest),
                '\\' => rest.next().map(Part::One).ok_or("its last `\\` is followed by no character"),
                c => Ok(Part::One(c)),
            };
            let part = part.map_err(|why| BadGlob { text: text.to_owned(), why })?;
            if part != Part::Run || parts.last() != Some(&Part::Run) {
                parts.push(part);
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reports whether the pattern matches a whole name.
    pub fn matches(&self, name: &str) -> bool {
        // Backtracks to the last `*` only: the part before it has matched and stays matched.
        let (mut parts, mut rest) = (self.parts.as_slice(), name);
        let mut back: Option<(&[Part], &str)> = None;
        loop {
            if let Some((Part::Run, after)) = parts.split_first() {
                parts = after;
                back = Some((after, rest));
                continue;
            }
            let mut chars = rest.chars();
            match (parts.split_first(), chars.next()) {
                (None, None) => return true,
                (Some((part, after)), Some(c)) if part.takes(c) => {
                    parts = after;
                    rest = chars.as_str();
                }
                _ => {
                    let Some((after, from)) = back else { return false };
                    let mut chars = from.chars();
                    if chars.next().is_none_or(|c| c == '/') {
                        return false;
                    }
                    (parts, rest) = (after, chars.as_str());
                    back = Some((parts, rest));
                }
            }
        }
    }

    /// Returns the literal prefix of every name that the pattern matches.
    pub fn prefix(&self) -> String {
        let one = |part: &Part| if let Part::One(c) = part { Some(*c) } else { None };
        self.parts.iter().map_while(one).collect()
    }
}

impl Part {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Run => false,
            Self::Any => c != '/',
            Self::One(one) => *one == c,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// Reads a class after its `[`.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Part, &'static str> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.as_str().starts_with(']') {
            rest.next();
            return Ok(Part::Class { negated, ranges });
        }
        let low = member(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = member(rest)?;
        }
        ranges.push((low, high));
    }
}

/// Reads one character of a class.
fn member(rest: &mut std::str::Chars<'_>) -> Result<char, &'static str> {
    match rest.next() {
        None => Err("its `[` has no `]`"),
        Some('-' | ']') => Err("a `-` or `]` in brackets is written `\\-` or `\\]`, and brackets are never empty"),
        Some('\\') => rest.next().ok_or("its last `\\` is followed by no character"),
        Some(c) => Ok(c),
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_go_matches_them() {
        let cases = [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[d-b]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "-", true),
            ("[x\\-]", "z", false),
            ("[!a]", "!", true),
            ("[!a]", "b", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
            ("hello.*", "hello.service", true),
            ("conflict.*.service", "conflict.1.service", true),
            ("web@*.service", "web@1.service", true),
            ("web@*.service", "web@.service", true),
            ("web", "web.service", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Glob::parse(pattern).unwrap().matches(name), expected, "{pattern:?} on {name:?}");
        }
    }

    #[test]
    fn patterns_that_go_refuses_are_errors() {
        for pattern in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\", "[a\\", "[^]"] {
            assert!(Glob::parse(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn the_prefix_ends_at_the_first_wildcard() {
        let prefix = |text| Glob::parse(text).unwrap().prefix();
        assert_eq!(prefix("a.service"), "a.service");
        assert_eq!(prefix("\\*a?.service"), "*a");
        assert_eq!(prefix("*"), "");
    }

    proptest! {
        #[test]
        fn a_long_pattern_does_not_backtrack_exponentially(pattern in "[a*]{0,60}", name in "a{0,200}b?") {
            let needed = pattern.matches('a').count();
            let expected = match (pattern.contains('*'), name.ends_with('b')) {
                (false, false) => needed == name.len(),
                (false, true) => false,
                (true, false) => needed <= name.len(),
                (true, true) => pattern.ends_with('*') && needed < name.len(),
            };
            prop_assert_eq!(Glob::parse(&pattern).unwrap().matches(&name), expected);
        }
    }
}
