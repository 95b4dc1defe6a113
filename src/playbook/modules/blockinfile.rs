//! `blockinfile`: a block of lines between two markers in a text file.

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

/// Edits a block.
pub(super) struct Blockinfile;

static SPEC: Spec = Spec::new(
    "blockinfile",
    &["ansible.builtin", "ansible.legacy"],
    "Brings a block of lines between two markers into a text file, or removes it.",
    &[
        edited_file::PATH,
        Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether the block is there (default: present)."),
        Parameter::new("block", Kind::Text, "The lines; without lines the block is removed.").or(&["content"]),
        Parameter::new(
            "marker",
            Kind::Text,
            "The line before and after the block (default: # {mark} ANSIBLE MANAGED BLOCK).",
        ),
        Parameter::new("marker_begin", Kind::Text, "What {mark} is before the block (default: BEGIN)."),
        Parameter::new("marker_end", Kind::Text, "What {mark} is after the block (default: END)."),
        Parameter::new(
            "insertafter",
            Kind::Text,
            "The expression of the line before a new block, or EOF (the default).",
        ),
        Parameter::new("insertbefore", Kind::Text, "The expression of the line after a new block, or BOF."),
        Parameter::new("append_newline", Kind::Flag, "Whether an empty line follows the block."),
        Parameter::new("prepend_newline", Kind::Flag, "Whether an empty line precedes the block."),
        Parameter::new("create", Kind::Flag, "Whether a file that does not exist is made."),
        destination::BACKUP,
        destination::VALIDATE,
        destination::MODE,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["path"]])
.excludes(&[&["insertbefore", "insertafter"]]);

impl Module for Blockinfile {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        Ok(Action::on_host(EditedFile::new(arguments, BlockEdit::new(arguments)?)?))
    }
}

/// An edit of a block.
struct BlockEdit {
    is_present: bool,
    block: String,
    begin: String,
    end: String,
    place: InsertionPlace,
    appends: bool,
    prepends: bool,
    create: bool,
}

impl BlockEdit {
    fn new(arguments: &Arguments<'_>) -> Result<Self, String> {
        let text =
            |name: &str, default: &str| Ok::<_, String>(arguments.text(name)?.unwrap_or_else(|| default.to_owned()));
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        let marker = text("marker", "# {mark} ANSIBLE MANAGED BLOCK")?;
        let line = |mark: String| marker.replace("{mark}", &mark) + "\n";
        // As in Ansible, BOF has no meaning after `insertafter`.
        let is_lost = arguments.text("insertafter")?.is_some_and(|after| after == "BOF");
        let place = if is_lost { InsertionPlace::End } else { InsertionPlace::read(arguments)? };
        let mut block = text("block", "")?;
        if !block.is_empty() && !block.ends_with('\n') {
            block.push('\n');
        }
        Ok(Self {
            is_present: text("state", "present")? == "present",
            block,
            begin: line(text("marker_begin", "BEGIN")?),
            end: line(text("marker_end", "END")?),
            place,
            appends: flag("append_newline")?,
            prepends: flag("prepend_newline")?,
            create: flag("create")?,
        })
    }

    /// Returns the place of a new block.
    fn place(&self, lines: &[String]) -> Result<usize, String> {
        if let InsertionPlace::Begin = self.place {
            return Ok(0);
        }
        let mut place = None;
        for (number, line) in lines.iter().enumerate() {
            place = self.place.beside(number, line)?.or(place);
        }
        Ok(place.unwrap_or(lines.len()))
    }

    /// Replaces the block in the lines, and reports whether there is one now.
    fn replace(&self, lines: &mut Vec<String>) -> Result<bool, String> {
        let last = |marker: &String| lines.iter().rposition(|line| line == marker);
        let mut at = match (last(&self.begin), last(&self.end)) {
            (Some(begin), Some(end)) => {
                let at = begin.min(end);
                lines.drain(at..=begin.max(end));
                at
            }
            _ => self.place(lines)?,
        };
        if let Some(before) = at.checked_sub(1).and_then(|before| lines.get_mut(before)) {
            if !before.ends_with('\n') {
                before.push('\n');
            }
            if self.prepends && self.is_present && before != "\n" {
                lines.insert(at, "\n".to_owned());
                at += 1;
            }
        }
        let has_block = self.is_present && !self.block.is_empty();
        let block = [&self.begin, &self.block, &self.end].map(Clone::clone);
        let length = if has_block { block.len() } else { 0 };
        lines.splice(at..at, block.into_iter().take(length));
        if self.appends && self.is_present && lines.get(at + length).is_some_and(|line| line != "\n") {
            lines.insert(at + length, "\n".to_owned());
        }
        Ok(has_block)
    }
}

impl Edit for BlockEdit {
    fn edit(&self, path: &str, old: Option<&str>) -> Result<Edited, Refusal> {
        if old.is_none() && !self.create {
            return Err(Refusal::numbered(257, format!("Path {path} does not exist !")));
        }
        if old.is_none() && !self.is_present {
            return Ok(Edited::nothing(format!("File {path} not present")));
        }
        let mut lines: Vec<String> = old.unwrap_or_default().split_inclusive('\n').map(str::to_owned).collect();
        let has_block = self.replace(&mut lines)?;
        let text = lines.concat();
        let msg = match old {
            Some(old) if old == text => return Ok(Edited::default()),
            None => "File created",
            Some(_) if has_block => "Block inserted",
            Some(_) => "Block removed",
        };
        Ok(Edited { text: Some(text), msg: msg.to_owned(), ..Edited::default() })
    }
}
