//! `lineinfile`: a line that a text file is to have, or not to have.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::destination;
use super::edited_file;
use super::edited_file::Edit;
use super::edited_file::Edited;
use super::edited_file::EditedFile;
use super::edited_file::Refusal;
use super::insertion_place::InsertionPlace;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::template::python_regex;
use crate::playbook::template::python_regex::Captures;
use crate::playbook::template::python_regex::Flags;
use crate::playbook::template::python_regex::Pattern;
use crate::playbook::template::python_regex::Replacement;

/// Edits a line.
pub(super) struct Lineinfile;

static SPEC: Spec = Spec::new(
    "lineinfile",
    &["ansible.builtin", "ansible.legacy"],
    "Brings a line into a text file, or removes lines.",
    &[
        edited_file::PATH,
        Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether the line is there (default: present)."),
        Parameter::new("line", Kind::Text, "The line.").or(&["value"]),
        Parameter::new("regexp", Kind::Text, "The expression of the line to replace, or of the lines to remove.")
            .or(&["regex"]),
        Parameter::new("search_string", Kind::Text, "A text in the line to replace, or in the lines to remove."),
        Parameter::new(
            "insertafter",
            Kind::Text,
            "The expression of the line before a new line, or EOF (the default).",
        ),
        Parameter::new("insertbefore", Kind::Text, "The expression of the line after a new line, or BOF."),
        Parameter::new("backrefs", Kind::Flag, "Whether groups of the expression are filled into the line."),
        Parameter::new("firstmatch", Kind::Flag, "Whether the first line that matches counts, and not the last one."),
        Parameter::new("create", Kind::Flag, "Whether a file that does not exist is made."),
        destination::BACKUP,
        destination::VALIDATE,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["path"]])
.excludes(&[&["insertbefore", "insertafter"], &["regexp", "search_string"], &["backrefs", "search_string"]]);

impl Module for Lineinfile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(EditedFile::new(arguments, LineEdit::new(arguments)?)?))
    }
}

/// How the line to replace is found.
enum Search {
    Regexp(Box<Pattern>),
    Text(String),
}

/// An edit of a line.
struct LineEdit {
    is_present: bool,
    line: Option<String>,
    search: Option<Search>,
    place: InsertionPlace,
    /// The line with groups of the expression.
    replacement: Option<Replacement>,
    first: bool,
    create: bool,
}

impl LineEdit {
    fn new(arguments: &Arguments<'_>) -> Result<Self, String> {
        let line = arguments.text("line")?;
        let is_present = arguments.text("state")?.is_none_or(|state| state == "present");
        let compile = |text: &str| python_regex::compile(text, Flags::default());
        let search = match (arguments.text("regexp")?, arguments.text("search_string")?) {
            (Some(pattern), _) => Some(Search::Regexp(Box::new(compile(&pattern)?))),
            (None, text) => text.map(Search::Text),
        };
        let place = InsertionPlace::read(arguments)?;
        let backrefs = is_present && arguments.flag("backrefs")?.unwrap_or(false);
        let replacement = match (&search, &line) {
            (Some(Search::Regexp(pattern)), Some(line)) if backrefs => Some(Replacement::parse(line, pattern)?),
            _ if backrefs && line.is_some() => return Err("regexp is required with backrefs=true".to_owned()),
            _ => None,
        };
        if is_present && line.is_none() {
            return Err("line is required with state=present".to_owned());
        }
        if !is_present && line.is_none() && search.is_none() {
            return Err("one of line, search_string, or regexp is required with state=absent".to_owned());
        }
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        Ok(Self { is_present, line, search, place, replacement, first: flag("firstmatch")?, create: flag("create")? })
    }

    /// Returns the last line that is searched for, or the first one, with the match of the expression.
    fn found(&self, lines: &[String]) -> Result<Option<(usize, Option<Captures>)>, String> {
        let mut found = None;
        for (number, line) in lines.iter().enumerate() {
            let captures = match &self.search {
                None => None,
                Some(Search::Text(text)) => line.contains(text.as_str()).then_some(None),
                Some(Search::Regexp(pattern)) => pattern.find(line, 0)?.map(Some),
            };
            found = captures.map(|captures| (number, captures)).or(found);
            if self.first && found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Returns the place of a line that is the new one already, and the place for a new one.
    fn places(&self, lines: &[String], new: &str) -> Result<(Option<usize>, Option<usize>), String> {
        let (mut same, mut place) = (None, None);
        for (number, line) in lines.iter().enumerate() {
            if line.trim_end_matches(['\r', '\n']) == new {
                same = Some(number);
                continue;
            }
            let found = self.place.beside(number, line)?;
            place = found.or(place);
            if self.first && found.is_some() {
                break;
            }
        }
        Ok((same, place))
    }

    /// Brings the line into the lines, and returns what was done.
    fn insert(&self, lines: &mut Vec<String>) -> Result<&'static str, String> {
        let new = self.line.as_deref().unwrap_or_default();
        let ended = |text: &str| if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
        let found = self.found(lines)?;
        let (same, place) = if found.is_some() { (None, None) } else { self.places(lines, new)? };
        if let Some(number) = found.as_ref().map(|(number, _)| *number).or(same) {
            let Some(old) = lines.get_mut(number) else { return Ok("") };
            let mut text = new.to_owned();
            if let (Some(replacement), Some((_, Some(captures)))) = (&self.replacement, &found) {
                text.clear();
                replacement.expand(old, captures, &mut text);
            }
            let text = ended(&text);
            return Ok(if std::mem::replace(old, text.clone()) == text { "" } else { "line replaced" });
        }
        if self.replacement.is_some() {
            return Ok("");
        }
        let number = match (&self.place, place) {
            (InsertionPlace::Begin, _) => 0,
            (_, Some(number)) => number,
            (_, None) => lines.len(),
        };
        // A line is not added after one that is the same.
        let beside = if matches!(self.place, InsertionPlace::After(_)) { lines.get(number) } else { None };
        if place.is_some() && beside.is_some_and(|line| line.trim_end_matches(['\r', '\n']) == new) {
            return Ok("");
        }
        if let Some(last) = lines.last_mut().filter(|last| number > 0 && !last.ends_with(['\r', '\n'])) {
            last.push('\n');
        }
        lines.insert(number, ended(new));
        Ok("line added")
    }

    /// Removes the lines from the lines, and returns how many.
    fn remove(&self, lines: &mut Vec<String>) -> Result<usize, String> {
        let (before, mut fault) = (lines.len(), None);
        lines.retain(|line| match &self.search {
            Some(Search::Regexp(pattern)) => match pattern.find(line, 0) {
                Ok(found) => found.is_none(),
                Err(why) => {
                    fault = Some(why);
                    true
                }
            },
            Some(Search::Text(text)) => !line.contains(text.as_str()),
            None => Some(line.trim_end_matches(['\r', '\n'])) != self.line.as_deref(),
        });
        fault.map_or(Ok(before - lines.len()), Err)
    }
}

impl Edit for LineEdit {
    fn edit(&self, path: &str, old: Option<&str>) -> Result<Edited, Refusal> {
        if old.is_none() && !self.is_present {
            return Ok(Edited::nothing("file not present"));
        }
        if old.is_none() && !self.create {
            return Err(Refusal::numbered(257, format!("Destination {path} does not exist !")));
        }
        let mut lines: Vec<String> = old.unwrap_or_default().split_inclusive('\n').map(str::to_owned).collect();
        let mut edited = Edited::default();
        edited.vars.insert("backup".to_owned(), Value::from(""));
        let is_changed = if self.is_present {
            self.insert(&mut lines)?.clone_into(&mut edited.msg);
            !edited.msg.is_empty()
        } else {
            let count = self.remove(&mut lines)?;
            edited.vars.insert("found".to_owned(), count.into());
            if count > 0 {
                edited.msg = format!("{count} line(s) removed");
            }
            count > 0
        };
        edited.text = is_changed.then(|| lines.concat());
        Ok(edited)
    }
}
