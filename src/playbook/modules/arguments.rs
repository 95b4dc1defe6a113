//! The arguments of a task after templating, read by type.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::spec::Kind;
use super::spec::Parameter;
use super::spec::scalar_text;
use crate::inventory::Vars;
use crate::playbook::free_form::comma_words;
use crate::playbook::host_script::Attributes;
use crate::playbook::mode::Mode;
use crate::playbook::template;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::playbook::template::Syntax;
use crate::playbook::template::file_variables::file_variables;

/// The parameter of modules that read files of the playbook.
pub(super) const DECRYPT: Parameter =
    Parameter::new("decrypt", Kind::Flag, "Whether a file of Ansible Vault is decrypted (default: true).");

/// The arguments of a task on one host.
#[derive(Debug)]
pub struct Arguments<'a> {
    /// The arguments by the names of the parameters, with every template filled in.
    pub args: &'a Vars,
    /// The variables of the host.
    pub scope: &'a Scope,
    /// The folders in which files are looked up, the first one first.
    pub folders: &'a [PathBuf],
    /// The file of the task.
    pub file: &'a Path,
    /// The folder of its role.
    pub role: Option<&'a Path>,
}

impl Arguments<'_> {
    /// Returns an argument unless it is missing or null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.args.get(name).filter(|value| !value.is_null())
    }

    /// Returns a text, if the argument is given. As in Ansible, any other value becomes text.
    pub fn text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.value(name).map(template::text_of))
    }

    /// Returns a text unless it is empty.
    pub fn non_empty(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// Returns a text that must be given.
    pub fn required(&self, name: &str) -> Result<String, String> {
        self.non_empty(name)?.ok_or_else(|| format!("`{name}` is empty"))
    }

    /// Returns a boolean, if the argument is given.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, String> {
        let flag = |text: String| template::parse_bool(&text).ok_or_else(|| format!("`{name}` must be true or false"));
        self.text(name)?.map(flag).transpose()
    }

    /// Returns a whole number, if the argument is given.
    pub fn number(&self, name: &str) -> Result<Option<u64>, String> {
        let parse = |text: String| text.parse().map_err(|_| format!("`{name}` must be a whole number, not `{text}`"));
        self.text(name)?.map(parse).transpose()
    }

    /// Returns the texts of a list, if the argument is given. A text is split at its commas, and its empty parts
    /// do not count.
    pub fn list(&self, name: &str) -> Result<Option<Vec<String>>, String> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = |item: &Value| if item.is_null() { String::new() } else { template::text_of(item) };
        let items = match value {
            Value::Array(items) => Some(items.iter().map(text).collect()),
            value => scalar_text(value).map(|text| comma_words(&text)),
        };
        items.map(Some).ok_or_else(|| format!("`{name}` must be a list of texts"))
    }

    /// Returns permissions, if they are given.
    pub(in crate::playbook) fn mode(&self, name: &str) -> Result<Option<Mode>, String> {
        self.value(name).map(Mode::read).transpose()
    }

    /// Returns the owner, the group and the mode that the task gives to a file.
    pub(in crate::playbook) fn attributes(&self) -> Result<Attributes, String> {
        let account = |name: &str| match self.non_empty(name)? {
            Some(text) if text.contains(':') => Err(format!("`{name}` must be one name or number, not `{text}`")),
            text => Ok(text),
        };
        let [user, role, kind, level] = ["seuser", "serole", "setype", "selevel"].map(|name| self.non_empty(name));
        let flags = self.non_empty("attributes")?;
        if let Some(flags) = flags.as_ref().filter(|flags| !flags.chars().all(is_file_flag)) {
            return Err(format!("`attributes` must be letters as in chattr(1), such as `+i`, not `{flags}`"));
        }
        Ok(Attributes {
            mode: self.mode("mode")?,
            owner: account("owner")?,
            group: account("group")?,
            context: [user?, role?, kind?, level?],
            flags,
        })
    }

    /// Returns the path of a file of the role or the playbook: in its folder of this name, or else beside that.
    pub fn find_file(&self, name: &str, folder: &str) -> Result<PathBuf, String> {
        self.look_up(&self.required(name)?, folder, Path::is_file).map_err(|why| format!("`{name}`: {why}"))
    }

    /// Returns the path of a file or a folder, as [`Self::find_file`] does.
    pub(super) fn find(&self, name: &str, folder: &str) -> Result<PathBuf, String> {
        self.look_up(&self.required(name)?, folder, Path::exists).map_err(|why| format!("`{name}`: {why}"))
    }

    /// Returns the first path of these names that is right.
    pub(super) fn look_up(&self, given: &str, folder: &str, is_right: fn(&Path) -> bool) -> Result<PathBuf, String> {
        find_in(self.folders, folder, given, is_right).ok_or_else(|| self.not_found("file", given))
    }

    /// Returns the path of a folder of the role or the playbook: in its folder of this name, or else beside that.
    pub(super) fn find_folder(&self, given: &str, folder: &str) -> Result<PathBuf, String> {
        find_in(self.folders, folder, given, Path::is_dir).ok_or_else(|| self.not_found("folder", given))
    }

    fn not_found(&self, what: &str, given: &str) -> String {
        let folders: Vec<String> = self.folders.iter().map(|folder| display(folder)).collect();
        format!("there is no {what} {given} in {}", folders.join(", "))
    }

    /// Returns the content of a file of the playbook. A file that is encrypted is opened unless the task says `decrypt: false`.
    pub(super) fn read(&self, path: &Path) -> Result<Bytes, String> {
        let open = |bytes| {
            let opened = self.scope.vault().open_file(bytes);
            opened.map_err(|error| format!("{} {error}", path.display()))
        };
        self.scope.local_files().read(path, (self.flag("decrypt")? != Some(false)).then_some(open))
    }

    /// Returns the content of a template file with its templates filled in. The argument of this name has its name.
    pub fn render_file(&self, name: &str, path: &Path, syntax: Syntax) -> Result<String, String> {
        let text =
            String::from_utf8(self.read(path)?.into()).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
        let mut variables = file_variables(path, &self.required(name)?);
        variables.extend(self.text("dest")?.map(|dest| ("template_destpath".to_owned(), dest.into())));
        let scope = self.scope.with(Layer::data(Arc::new(variables)));
        scope.render_file_in(&text, path.parent(), syntax).map_err(|detail| format!("{}: {detail}", path.display()))
    }
}

/// Returns the first path of a name that is right: in the folder of each base, or else in the base itself.
pub fn find_in(bases: &[PathBuf], folder: &str, name: &str, is_right: fn(&Path) -> bool) -> Option<PathBuf> {
    let candidates = bases.iter().flat_map(|base| [base.join(folder).join(name), base.join(name)]);
    candidates.into_iter().find(|path| is_right(path))
}

/// Reports whether a character may stand in the flags of a file.
fn is_file_flag(c: char) -> bool {
    c.is_ascii_alphabetic() || "+-=".contains(c)
}

/// Returns a folder for a message.
fn display(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { ".".to_owned() } else { folder.display().to_string() }
}

/// Returns the last part of a path.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
