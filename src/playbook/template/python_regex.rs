//! Regular expressions as Python's `re` reads them.
//!
//! The engine matches in linear time, except for patterns with look-around, back-references or atomic groups, which may
//! take a limited number of steps. Patterns that the engine cannot match as Python does are refused.

mod replacement;
mod syntax;

#[cfg(test)]
mod tests;

use std::ops::Range;

use fancy_regex::Regex;
use fancy_regex::RegexBuilder;

use crate::core::sanitize;
pub use replacement::Replacement;

/// The most steps that a pattern with look-around or back-references may take on one text.
const STEPS: usize = 1_000_000;

/// The largest size of a compiled pattern in bytes.
const COMPILED_BYTES: usize = 4 << 20;

/// The longest pattern in bytes.
const PATTERN_BYTES: usize = 64 << 10;

/// How much of a pattern a message quotes.
const QUOTED: usize = 60;

/// The flags of a pattern, as the arguments of Ansible's filters name them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flags {
    /// `^` and `$` match at each line.
    pub multiline: bool,
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// `.` matches a line break too.
    pub dot_all: bool,
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    /// The pattern for text with a line break at its end, before which `$` also matches.
    before_line_break: Option<Regex>,
    names: Vec<Option<String>>,
}

/// The places of a match and its groups in a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captures {
    /// The whole match.
    pub whole: Range<usize>,
    /// The groups, the first one first. A group that did not take part has no place.
    pub groups: Vec<Option<Range<usize>>>,
}

impl Captures {
    /// Returns the text of the whole match (0) or of a group. A group that did not take part has none.
    pub fn text<'t>(&self, text: &'t str, number: usize) -> Option<&'t str> {
        match number.checked_sub(1) {
            None => text.get(self.whole.clone()),
            Some(index) => text.get(self.groups.get(index)?.clone()?),
        }
    }
}

/// Compiles a pattern.
pub fn compile(pattern: &str, flags: Flags) -> Result<Pattern, String> {
    let wrong = |why: String| format!("invalid regular expression `{}`: {why}", sanitize::truncate(pattern, QUOTED));
    if pattern.len() > PATTERN_BYTES {
        return Err(wrong(format!("it has more than {PATTERN_BYTES} bytes")));
    }
    let translated = syntax::translate(pattern, flags.multiline).map_err(wrong)?;
    let build = |text: &str| build(text, flags).map_err(wrong);
    let regex = build(&translated.text)?;
    let names = regex.capture_names().map(|name| name.map(str::to_owned)).collect();
    let before_line_break = translated.before_line_break.as_deref().map(build).transpose()?;
    Ok(Pattern { regex, before_line_break, names })
}

fn build(text: &str, flags: Flags) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(text);
    builder.multi_line(flags.multiline).case_insensitive(flags.ignore_case).dot_matches_new_line(flags.dot_all);
    builder.backtrack_limit(STEPS).delegate_size_limit(COMPILED_BYTES);
    builder.build().map_err(|error| sanitize::truncate(&error.to_string(), sanitize::MESSAGE_LIMIT))
}

impl Pattern {
    /// Returns the number of groups.
    pub fn groups(&self) -> usize {
        self.names.len().saturating_sub(1)
    }

    /// Returns the number of the group with this name.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.as_deref() == Some(name))
    }

    /// Returns the names of groups with their numbers.
    pub fn named_groups(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().enumerate().filter_map(|(number, name)| Some((name.as_deref()?, number)))
    }

    /// Returns the first match at or after a place in the text, as `search` does.
    pub fn find(&self, text: &str, from: usize) -> Result<Option<Captures>, String> {
        let regex = self.before_line_break.as_ref().filter(|_| text.ends_with('\n')).unwrap_or(&self.regex);
        let found = regex.captures_from_pos(text, from).map_err(|_| {
            let pattern = sanitize::truncate(self.regex.as_str(), QUOTED);
            format!("the regular expression `{pattern}` takes more than {STEPS} steps")
        })?;
        Ok(found.and_then(|found| {
            let place = |number: usize| found.get(number).map(|group| group.start()..group.end());
            Some(Captures { whole: place(0)?, groups: (1..self.names.len()).map(place).collect() })
        }))
    }

    /// Returns the match at the begin of the text, as `match` does.
    pub fn find_at_start(&self, text: &str) -> Result<Option<Captures>, String> {
        Ok(self.find(text, 0)?.filter(|found| found.whole.start == 0))
    }

    /// Returns all matches that do not overlap, at most `most`, as `finditer` does.
    pub fn find_all(&self, text: &str, most: usize) -> Result<Vec<Captures>, String> {
        let mut all = Vec::new();
        let mut from = 0;
        while all.len() < most && from <= text.len() {
            let Some(found) = self.find(text, from)? else { break };
            from = found.whole.end;
            if found.whole.is_empty() {
                from += text.get(from..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
            }
            all.push(found);
        }
        Ok(all)
    }

    /// Replaces the matches, as `subn` does: returns the new text and the number of replacements. A `count` of 0 means
    /// all.
    pub fn replace(&self, text: &str, replacement: &Replacement, count: usize) -> Result<(String, usize), String> {
        let found = self.find_all(text, if count == 0 { usize::MAX } else { count })?;
        let mut replaced = String::new();
        let mut at = 0;
        for captures in &found {
            replaced.push_str(text.get(at..captures.whole.start).unwrap_or_default());
            replacement.expand(text, captures, &mut replaced);
            at = captures.whole.end;
        }
        replaced.push_str(text.get(at..).unwrap_or_default());
        Ok((replaced, found.len()))
    }
}

/// Returns a text as a pattern that matches this text alone, as Python's `re.escape` writes it.
pub fn escape(text: &str) -> String {
    let special = |c: char| r"()[]{}?*+-|^$\.&~# ".contains(c) || ('\t'..='\r').contains(&c);
    text.chars().fold(String::new(), |mut escaped, c| {
        escaped.extend(special(c).then_some('\\'));
        escaped.push(c);
        escaped
    })
}
