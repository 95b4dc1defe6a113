//! `copy`: writes a file on the host.

use super::Arguments;
use super::Module;
use super::arguments::file_name;
use super::arguments::read_bytes;
use super::spec::Kind;
use super::spec::Line;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::playbook::action::Action;
use crate::playbook::file::File;
use crate::playbook::template;

/// Writes a file.
pub(super) struct Copy;

pub(super) const DEST: Parameter = Parameter::new("dest", Kind::Text, "The absolute path of the file on the host.");
pub(super) const MODE: Parameter = Parameter::new("mode", Kind::Mode, "The permissions.");
pub(super) const OWNER: Parameter = Parameter::new("owner", Kind::Text, "The owner.");
pub(super) const GROUP: Parameter = Parameter::new("group", Kind::Text, "The group.");

static SPEC: Spec = Spec {
    name: "copy",
    collections: &["ansible.builtin", "ansible.legacy"],
    summary: "Writes a file on the host.",
    parameters: &[
        Parameter::new("src", Kind::Text, "The file, in `files` or beside the playbook."),
        Parameter::new("content", Kind::Any, "The content; a list or a map becomes JSON."),
        DEST,
        MODE,
        OWNER,
        GROUP,
    ],
    one_of: &[&["src", "content"], &["dest"]],
    exclusive: &[],
    line: Line::Pairs,
};

impl Module for Copy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        if let Some(value) = arguments.args.get("content") {
            let text = scalar_text(value).unwrap_or_else(|| template::to_json(value));
            return file(arguments, text.into_bytes(), None);
        }
        let path = arguments.find_file("src", "files")?;
        file(arguments, read_bytes(&path)?, Some(file_name(&path)))
    }
}

/// Returns the action that writes this content.
pub(super) fn file(arguments: &Arguments<'_>, content: Vec<u8>, name: Option<String>) -> Result<Action, String> {
    let dest = arguments.required("dest")?;
    if !dest.starts_with(['/', '~']) {
        return Err(format!("`dest` must be an absolute path, not `{dest}`"));
    }
    if name.is_none() && dest.ends_with('/') {
        return Err("`dest` must name a file when the task brings its `content`".to_owned());
    }
    let (owner, group) = (arguments.text("owner")?, arguments.text("group")?);
    Ok(Action::on_host(File { content, dest, name, mode: arguments.mode()?, owner, group }))
}
