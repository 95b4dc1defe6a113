//! The lines of one section of an INI file, and how an option in it is set or removed.

/// How options are written, and which lines are options.
pub(super) struct Form {
    /// What stands between the option and its value.
    pub(super) separator: &'static str,
    /// Set to leave a line that differs only in blanks.
    pub(super) ignores_spaces: bool,
    /// Set to write an option without value and separator.
    pub(super) allows_no_value: bool,
    /// Set to replace a comment that has the option.
    pub(super) uses_comments: bool,
}

/// A section: its heading, then its lines.
pub(super) struct IniSection {
    lines: Vec<SectionLine>,
    msg: &'static str,
}

/// A line of a section.
struct SectionLine {
    text: String,
    /// Set if the line is as it has to be.
    is_done: bool,
}

/// A line with an option.
struct Found<'a> {
    is_comment: bool,
    has_separator: bool,
    value: &'a str,
}

/// Returns the option in a line, if it is this one.
fn find<'a>(line: &'a str, option: &str, with_comments: bool) -> Option<Found<'a>> {
    let blank = [' ', '\t'];
    let line = line.strip_suffix('\n').unwrap_or(line).trim_start_matches(blank);
    let comment = line.strip_prefix(['#', ';']).filter(|_| with_comments);
    let rest = comment.unwrap_or(line).trim_start_matches(blank).strip_prefix(option)?.trim_start_matches(blank);
    let value = rest.strip_prefix('=');
    let found = Found {
        is_comment: comment.is_some(),
        has_separator: value.is_some(),
        value: value.unwrap_or_default().trim_start_matches(blank),
    };
    (found.has_separator || rest.is_empty()).then_some(found)
}

impl IniSection {
    /// Makes a section of its lines.
    pub(super) fn new(lines: Vec<String>) -> Self {
        let lines = lines.into_iter().map(|text| SectionLine { text, is_done: false }).collect();
        Self { lines, msg: "OK" }
    }

    /// Returns the lines.
    pub(super) fn into_lines(self) -> impl Iterator<Item = String> {
        self.lines.into_iter().map(|line| line.text)
    }

    /// Adds a line.
    pub(super) fn push(&mut self, text: String) {
        self.lines.push(SectionLine { text, is_done: true });
    }

    /// Removes all lines.
    pub(super) fn clear(&mut self) -> &'static str {
        self.lines.clear();
        "section removed"
    }

    /// Removes an option, or only these values of it.
    pub(super) fn remove(&mut self, option: &str, values: Option<&[String]>) -> &'static str {
        let before = self.lines.len();
        self.lines.retain(|line| {
            let found = find(&line.text, option, false);
            found.is_none_or(|found| values.is_some_and(|values| !values.iter().any(|value| value == found.value)))
        });
        if self.lines.len() == before { "OK" } else { "option changed" }
    }

    /// Gives an option these values: lines that have one of them stay, other lines of the option are used for the rest or
    /// removed, and lines for what is then missing come to the end.
    pub(super) fn set(&mut self, option: &str, values: &[String], exclusive: bool, form: &Form) -> &'static str {
        let mut missing = values.to_vec();
        let has_plain = self.keep_values(option, &mut missing, form);
        if exclusive && !form.allows_no_value {
            self.reuse_lines(option, &mut missing, form);
        }
        let mut added: Vec<String> =
            missing.iter().map(|value| format!("{option}{}{value}\n", form.separator)).collect();
        if values.is_empty() && form.allows_no_value && !has_plain {
            added.push(format!("{option}\n"));
        }
        if !added.is_empty() {
            let last = self.lines.iter().skip(1).rposition(|line| !is_blank_or_comment(&line.text));
            let at = last.map_or(1, |last| last + 2).min(self.lines.len());
            self.lines.splice(at..at, added.into_iter().map(|text| SectionLine { text, is_done: true }));
            self.msg = "option added";
        }
        self.msg
    }

    /// Rewrites the lines that have one of the values, and takes those values off the list. Reports whether the option
    /// stands without a value.
    fn keep_values(&mut self, option: &str, missing: &mut Vec<String>, form: &Form) -> bool {
        for number in 0..self.lines.len() {
            let Some(line) = self.lines.get(number) else { break };
            let Some(found) = find(&line.text, option, form.uses_comments) else { continue };
            let place = missing.iter().position(|value| value == found.value);
            if place.is_none() && !(missing.is_empty() && form.allows_no_value) {
                continue;
            }
            let value = place.map(|place| missing.remove(place)).filter(|value| !value.is_empty());
            match value {
                None if form.allows_no_value => {
                    self.rewrite(number, option, format!("{option}\n"), form);
                    return true;
                }
                value => {
                    let text = format!("{option}{}{}\n", form.separator, value.unwrap_or_default());
                    self.rewrite(number, option, text, form);
                }
            }
        }
        false
    }

    /// Uses other lines of the option for the values that are missing, and removes the rest of these lines.
    fn reuse_lines(&mut self, option: &str, missing: &mut Vec<String>, form: &Form) {
        let mut number = 0;
        while let Some(line) = self.lines.get(number) {
            let found = find(&line.text, option, form.uses_comments);
            let is_other = !line.is_done && found.is_some_and(|found| !found.is_comment || found.has_separator);
            if is_other && missing.is_empty() {
                self.lines.remove(number);
                self.msg = "option changed";
                continue;
            }
            if is_other {
                let text = format!("{option}{}{}\n", form.separator, missing.remove(0));
                self.rewrite(number, option, text, form);
            }
            number += 1;
        }
    }

    fn rewrite(&mut self, number: usize, option: &str, text: String, form: &Form) {
        let Some(line) = self.lines.get_mut(number) else { return };
        line.is_done = true;
        let value = |text: &str| find(text, option, true).map(|found| (found.is_comment, found.value.to_owned()));
        let only_spaces =
            value(&line.text).is_some_and(|(is_comment, _)| !is_comment) && value(&line.text) == value(&text);
        if line.text != text && !(form.ignores_spaces && only_spaces) {
            line.text = text;
            self.msg = "option changed";
        }
    }
}

fn is_blank_or_comment(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t']);
    line.trim_end_matches('\n').is_empty() || line.starts_with(['#', ';'])
}
