//! `template`: writes a file that is rendered from a template.

use super::Arguments;
use super::Module;
use super::arguments::file_name;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::action::Action;
use crate::playbook::file::Content;

/// Writes a file from a template.
pub(super) struct Template;

static SPEC: Spec = Spec::new(
    "template",
    &["ansible.builtin", "ansible.legacy"],
    "Writes a file that is rendered from a template.",
    &[
        Parameter::new("src", Kind::Text, "The template, in `templates` or beside the playbook."),
        destination::DEST,
        destination::MODE_OR_PRESERVE,
        destination::BACKUP,
        destination::VALIDATE,
        destination::FORCE,
        destination::FOLLOW,
        destination::UNSAFE_WRITES,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["src"], &["dest"]]);

impl Module for Template {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let path = arguments.find_file("src", "templates")?;
        let name = file_name(&path);
        let content = Content::Bytes(arguments.render_file("src", &path)?.into_bytes());
        Ok(Action::on_host(destination::file(arguments, content, Some(name), Some(&path))?))
    }
}
