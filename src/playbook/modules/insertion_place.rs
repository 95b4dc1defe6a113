//! Where a module for text files puts new lines: the parameters `insertafter` and `insertbefore`.

use super::Arguments;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;

/// Where new lines go.
pub(super) enum InsertionPlace {
    /// To the begin of the file.
    Begin,
    /// To the end of the file.
    End,
    /// After a line that matches.
    After(Pattern),
    /// Before a line that matches.
    Before(Pattern),
}

impl InsertionPlace {
    /// Reads the parameters.
    pub(super) fn read(arguments: &Arguments<'_>) -> Result<Self, String> {
        let compile = |text: &str| python_regex::compile(text, Flags::default());
        Ok(match (arguments.text("insertbefore")?.as_deref(), arguments.text("insertafter")?.as_deref()) {
            (Some("BOF"), _) | (None, Some("BOF")) => Self::Begin,
            (Some(before), _) => Self::Before(compile(before)?),
            (None, None | Some("EOF")) => Self::End,
            (None, Some(after)) => Self::After(compile(after)?),
        })
    }

    /// Returns the place beside a line, if the line matches.
    pub(super) fn beside(&self, number: usize, line: &str) -> Result<Option<usize>, String> {
        Ok(match self {
            Self::After(pattern) => pattern.find(line, 0)?.map(|_| number + 1),
            Self::Before(pattern) => pattern.find(line, 0)?.map(|_| number),
            Self::Begin | Self::End => None,
        })
    }
}
