//! `copy`: writes a file, or all files of a folder, on the host.

use std::path::Path;

use super::Arguments;
use super::Module;
use super::arguments::DECRYPT;
use super::arguments::file_name;
use super::copied_folder::CopiedFolder;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::playbook::action::Action;
use crate::playbook::file::Content;
use crate::playbook::file::File;
use crate::playbook::template;

/// Writes a file.
pub(super) struct Copy;

static SPEC: Spec = Spec::new("copy", &["ansible.builtin", "ansible.legacy"], "Writes a file, or all files of a folder, on the host.", &[
        Parameter::new(
            "src",
            Kind::Text,
            "The file or folder, in `files` or beside the playbook; of a folder with `/` at the end only the content is copied.",
        ),
        Parameter::new("content", Kind::Any, "The content; a list or a map becomes JSON."),
        Parameter::new("remote_src", Kind::Flag, "Whether `src` is a file on the host."),
        DECRYPT,
        Parameter::new("directory_mode", Kind::Mode, "The permissions of folders that are made."),
        Parameter::new("checksum", Kind::Text, "The SHA-1 that the content must have."),
        destination::DEST,
        destination::MODE_OR_PRESERVE,
        destination::BACKUP,
        destination::VALIDATE,
        destination::FORCE,
        destination::FOLLOW,
        destination::UNSAFE_WRITES,
    ]).with(&destination::ATTRIBUTES).needs(&[&["src", "content"], &["dest"]]);

impl Module for Copy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        if let Some(value) = arguments.value("content") {
            let text = scalar_text(value).unwrap_or_else(|| template::to_json(value));
            let content = Content::Bytes(text.into());
            return Ok(Action::on_host(destination::file(arguments, content, None, None)?));
        }
        if arguments.flag("remote_src")?.unwrap_or(false) {
            let source = arguments.required("src")?;
            let name = source.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
            return Ok(Action::on_host(destination::file(arguments, Content::OnHost(source), name, None)?));
        }
        if arguments.value("src").is_none() {
            return Err("src (or content) is required".to_owned());
        }
        let path = arguments.find("src", "files")?;
        if path.is_dir() {
            return Ok(Action::on_host(CopiedFolder::read(arguments, &path)?));
        }
        Ok(Action::on_host(of_source(arguments, &path)?))
    }
}

/// Returns the copy of a file of the playbook.
fn of_source(arguments: &Arguments<'_>, path: &Path) -> Result<File, String> {
    destination::file(arguments, Content::Bytes(arguments.read(path)?), Some(file_name(path)), Some(path))
}
