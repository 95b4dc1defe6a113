//! `ini_file`: an option in a section of an INI file.

use super::Arguments;
use super::Module;
use super::destination;
use super::edited_file;
use super::edited_file::Edit;
use super::edited_file::Edited;
use super::edited_file::EditedFile;
use super::edited_file::Refusal;
use super::edited_file::Shown;
use super::ini_section::Form;
use super::ini_section::IniSection;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;

/// Edits an option.
pub(super) struct IniFile;

static SPEC: Spec = Spec::new(
    "ini_file",
    &["community.general"],
    "Sets or removes an option in an INI file.",
    &[
        edited_file::PATH,
        Parameter::new("section", Kind::Text, "The section (default: what precedes the first section)."),
        Parameter::new("option", Kind::Text, "The option; without it the whole section is meant."),
        Parameter::new("value", Kind::Text, "The value."),
        Parameter::new("values", Kind::List, "The values of an option that occurs more than once."),
        Parameter::new(
            "state",
            Kind::Choice(&["absent", "present"]),
            "Whether the option is there (default: present).",
        ),
        Parameter::new("exclusive", Kind::Flag, "Whether other values of the option are removed (default: true)."),
        Parameter::new("no_extra_spaces", Kind::Flag, "Whether to write no blanks around `=`."),
        Parameter::new("ignore_spaces", Kind::Flag, "Whether a line stays that differs only in blanks around `=`."),
        Parameter::new("allow_no_value", Kind::Flag, "Whether the option may have no value."),
        Parameter::new(
            "modify_inactive_option",
            Kind::Flag,
            "Whether a comment with the option becomes the option (default: true).",
        ),
        Parameter::new("create", Kind::Flag, "Whether a file that does not exist is made (default: true)."),
        destination::BACKUP,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["path"]])
.excludes(&[&["value", "values"]]);

impl Module for IniFile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(EditedFile::new(arguments, OptionEdit::new(arguments)?)?))
    }
}

/// An edit of an option.
struct OptionEdit {
    section: Option<String>,
    option: Option<String>,
    values: Vec<String>,
    is_present: bool,
    exclusive: bool,
    form: Form,
    create: bool,
}

impl OptionEdit {
    fn new(arguments: &Arguments<'_>) -> Result<Self, String> {
        let flag = |name: &str, default: bool| Ok::<_, String>(arguments.flag(name)?.unwrap_or(default));
        let value = arguments.text("value")?;
        let mut values = arguments.list("values")?.unwrap_or_default();
        let mut seen = std::collections::BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        let is_present = arguments.text("state")?.is_none_or(|state| state == "present");
        let allows_no_value = flag("allow_no_value", false)?;
        if is_present && !allows_no_value && value.is_none() && values.is_empty() {
            return Err("Parameter 'value(s)' must be defined if state=present and allow_no_value=False.".to_owned());
        }
        Ok(Self {
            section: arguments.non_empty("section")?,
            option: arguments.non_empty("option")?,
            values: value.map_or(values, |value| vec![value]),
            is_present,
            exclusive: flag("exclusive", true)?,
            form: Form {
                separator: if flag("no_extra_spaces", false)? { "=" } else { " = " },
                ignores_spaces: flag("ignore_spaces", false)?,
                allows_no_value,
                uses_comments: flag("modify_inactive_option", true)?,
            },
            create: flag("create", true)?,
        })
    }

    /// Edits the lines, and returns what was done.
    fn change(&self, lines: &mut Vec<String>) -> &'static str {
        let found = find_section(lines, self.section.as_deref());
        let (start, end) = found.unwrap_or((lines.len(), lines.len()));
        let mut section = IniSection::new(lines.drain(start..end).collect());
        let msg = match (&self.option, self.is_present) {
            _ if found.is_none() && self.is_present => self.add_section(&mut section),
            (Some(option), true) => section.set(option, &self.values, self.exclusive, &self.form),
            (Some(option), false) => section.remove(option, (!self.exclusive).then_some(&self.values[..])),
            (None, false) if found.is_some() => section.clear(),
            (None, _) => "OK",
        };
        lines.splice(start..start, section.into_lines());
        msg
    }

    fn add_section(&self, section: &mut IniSection) -> &'static str {
        section.push(format!("[{}]\n", self.section.as_deref().unwrap_or_default()));
        let Some(option) = &self.option else { return "only section added" };
        if self.values.is_empty() {
            section.push(format!("{option}\n"));
        }
        for value in &self.values {
            section.push(format!("{option}{}{value}\n", self.form.separator));
        }
        "section and option added"
    }
}

/// Returns the lines of a section with its heading. What precedes the first section has an empty heading.
fn find_section(lines: &[String], name: Option<&str>) -> Option<(usize, usize)> {
    let start = match name {
        None => 0,
        Some(name) => lines.iter().position(|line| {
            let heading = line.strip_prefix('[').map(str::trim_start).and_then(|line| line.strip_prefix(name.trim()));
            heading.is_some_and(|rest| rest.trim_start().starts_with(']'))
        })?,
    };
    let end = lines.iter().skip(start + 1).position(|line| line.starts_with('['));
    Some((start, end.map_or(lines.len(), |end| start + 1 + end)))
}

impl Edit for OptionEdit {
    fn edit(&self, path: &str, old: Option<&str>) -> Result<Edited, Refusal> {
        if old.is_none() && !self.create {
            return Err(Refusal::numbered(257, format!("Destination {path} does not exist!")));
        }
        let text = old.unwrap_or_default();
        // An empty heading stands before the first line.
        let mut lines = vec![String::new()];
        lines.extend(text.strip_prefix('\u{feff}').unwrap_or(text).split_inclusive('\n').map(str::to_owned));
        if lines.len() == 1 {
            lines.push("\n".to_owned());
        }
        let last = lines.last_mut().filter(|last| !last.ends_with('\n'));
        let is_ended = last.map(|last| last.push('\n')).is_some();
        let msg = self.change(&mut lines);
        let mut edited = Edited { msg: msg.to_owned(), keeps_msg: true, ..Edited::default() };
        edited.text = (is_ended || msg != "OK").then(|| lines.concat());
        edited.vars.insert("path".to_owned(), path.into());
        Ok(edited)
    }

    fn shown(&self) -> Shown {
        Shown::Content
    }
}
