//! `replace`: replaces each match of an expression in a text file.

use super::Arguments;
use super::Module;
use super::destination;
use super::edited_file;
use super::edited_file::Edit;
use super::edited_file::Edited;
use super::edited_file::EditedFile;
use super::edited_file::Refusal;
use super::edited_file::Shown;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;
use crate::playbook::template::python_regex::Replacement;

/// Replaces text.
pub(super) struct Replace;

static SPEC: Spec = Spec::new(
    "replace",
    &["ansible.builtin", "ansible.legacy"],
    "Replaces each match of an expression in a text file.",
    &[
        edited_file::PATH,
        Parameter::new("regexp", Kind::Text, "The expression; ^ and $ match at each line."),
        Parameter::new(
            "replace",
            Kind::Text,
            "What replaces a match, with \\1 and the like for groups (default: nothing).",
        ),
        Parameter::new("after", Kind::Text, "The expression of the text after which matches are replaced."),
        Parameter::new("before", Kind::Text, "The expression of the text before which matches are replaced."),
        destination::BACKUP,
        destination::VALIDATE,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["path"], &["regexp"]]);

impl Module for Replace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(EditedFile::new(arguments, Replacing::new(arguments)?)?))
    }
}

/// A replacement of all matches.
struct Replacing {
    pattern: Pattern,
    replacement: Replacement,
    /// The part of the file in which matches are replaced, as text and compiled.
    section: Option<(String, Pattern)>,
}

impl Replacing {
    fn new(arguments: &Arguments<'_>) -> Result<Self, String> {
        let section = match (arguments.non_empty("after")?, arguments.non_empty("before")?) {
            (Some(after), Some(before)) => Some(format!("{after}(?P<subsection>.*?){before}")),
            (Some(after), None) => Some(format!("{after}(?P<subsection>.*)")),
            (None, Some(before)) => Some(format!("(?P<subsection>.*){before}")),
            (None, None) => None,
        };
        let dot_all = Flags { dot_all: true, ..Flags::default() };
        let section = section.map(|text| python_regex::compile(&text, dot_all).map(|pattern| (text, pattern)));
        let multiline = Flags { multiline: true, ..Flags::default() };
        let pattern = python_regex::compile(&arguments.text("regexp")?.unwrap_or_default(), multiline)?;
        let replacement = Replacement::parse(&arguments.text("replace")?.unwrap_or_default(), &pattern)?;
        Ok(Self { pattern, replacement, section: section.transpose()? })
    }

    fn try_edit(&self, old: &str) -> Result<Edited, String> {
        let mut edited = Edited::default();
        edited.vars.insert("rc".to_owned(), 0.into());
        let mut range = 0..old.len();
        if let Some((text, pattern)) = &self.section {
            let found = pattern.find(old, 0)?;
            let group = pattern.group("subsection").and_then(|group| group.checked_sub(1));
            let subsection = found.zip(group).and_then(|(found, group)| found.groups.get(group).cloned().flatten());
            let Some(subsection) = subsection else {
                edited.msg = format!("Pattern for before/after params did not match the given file: {text}");
                edited.is_final = true;
                return Ok(edited);
            };
            range = subsection;
        }
        let part = |range: std::ops::Range<usize>| old.get(range).unwrap_or_default();
        let section = part(range.clone());
        let (new, count) = self.pattern.replace(section, &self.replacement, 0)?;
        if count > 0 && new != section {
            edited.text = Some(format!("{}{new}{}", part(0..range.start), part(range.end..old.len())));
            edited.msg = format!("{count} replacements made");
        }
        Ok(edited)
    }
}

impl Edit for Replacing {
    fn edit(&self, path: &str, old: Option<&str>) -> Result<Edited, Refusal> {
        match old {
            Some(old) => Ok(self.try_edit(old)?),
            None => Err(Refusal::numbered(257, format!("Path {path} does not exist !"))),
        }
    }

    fn shown(&self) -> Shown {
        Shown::ChangedContent
    }
}
