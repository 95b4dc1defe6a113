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
use crate::playbook::template::Syntax;
use crate::playbook::text_encoding::TextEncoding;

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
        Parameter::new("trim_blocks", Kind::Flag, "Whether the newline after a block is removed (default: true)."),
        Parameter::new("lstrip_blocks", Kind::Flag, "Whether the blanks before a block are removed (default: false)."),
        Parameter::new("newline_sequence", Kind::Text, "The end of a line: \\n, \\r or \\r\\n (default: \\n)."),
        Parameter::new("block_start_string", Kind::Text, "The text with which a block begins."),
        Parameter::new("block_end_string", Kind::Text, "The text with which a block ends."),
        Parameter::new("variable_start_string", Kind::Text, "The text with which an expression begins."),
        Parameter::new("variable_end_string", Kind::Text, "The text with which an expression ends."),
        Parameter::new("comment_start_string", Kind::Text, "The text with which a comment begins."),
        Parameter::new("comment_end_string", Kind::Text, "The text with which a comment ends."),
        Parameter::new("output_encoding", Kind::Text, "The encoding of the file, such as latin-1 (default: utf-8)."),
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
        let text = arguments.render_file("src", &path, syntax(arguments)?)?;
        let encoding = arguments.non_empty("output_encoding")?;
        let encoding = encoding.map_or(Ok(TextEncoding::Utf8), |name| TextEncoding::named(&name))?;
        let content = encoding.encode(&text).map_err(|why| format!("`output_encoding`: {why}"))?;
        Ok(Action::on_host(destination::file(arguments, Content::Bytes(content.into()), Some(name), Some(&path))?))
    }
}

/// Returns the syntax of the template. Its first line may change it further.
fn syntax(arguments: &Arguments<'_>) -> Result<Syntax, String> {
    let mut syntax = Syntax::default();
    for Parameter { name, .. } in SPEC.own {
        if let Some(slot) = syntax.flag(name) {
            *slot = arguments.flag(name)?.unwrap_or(*slot);
        } else if let Some((slot, text)) = syntax.text(name).zip(arguments.non_empty(name)?) {
            *slot = if *name == "newline_sequence" { newline(&text)? } else { text };
        }
    }
    Ok(syntax)
}

/// Returns the end of a line. It may be written with backslashes.
fn newline(text: &str) -> Result<String, String> {
    let newline = text.replace("\\r", "\r").replace("\\n", "\n");
    let is_known = ["\n", "\r", "\r\n"].contains(&newline.as_str());
    is_known.then_some(newline).ok_or_else(|| "newline_sequence needs to be one of: \\n, \\r or \\r\\n".to_owned())
}
