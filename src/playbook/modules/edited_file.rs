//! A text file on the host that a module edits: read it, compute the new text here, write it back.
//!
//! The file is written only if it still is what was read, and read again otherwise. Links are followed, but not those of
//! other users.

use super::Arguments;
use super::destination;
use super::foreign_text;
use super::spec::Parameter;
use crate::inventory::Vars;
use crate::playbook::action::HostAction;
use crate::playbook::diff;
use crate::playbook::diff::Diff;
use crate::playbook::diff::Diffs;
use crate::playbook::diff::Side;
use crate::playbook::file::Content;
use crate::playbook::file::File;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// How often a file is read again that changes all the time.
const ATTEMPTS: usize = 3;

/// The path of the file.
pub(super) const PATH: Parameter =
    Parameter::new("path", super::spec::Kind::Text, "The path of the file.").or(&["dest", "destfile", "name"]);

/// A change of a text.
pub(super) trait Edit: Send + Sync {
    /// Computes the new text of a file, or why the task fails. A file that does not exist has no text.
    fn edit(&self, path: &str, old: Option<&str>) -> Result<Edited, Refusal>;

    /// Returns how a change is shown.
    fn shown(&self) -> Shown {
        Shown::Both
    }
}

/// How the change of a file is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// The content, then the owner, the group and the mode.
    Both,
    /// The content.
    Content,
    /// The content if it changed, under the bare path.
    ChangedContent,
}

/// The result of an edit.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Edited {
    /// The new text, if it differs.
    pub(super) text: Option<String>,
    /// What was done.
    pub(super) msg: String,
    /// Further results.
    pub(super) vars: Vars,
    /// Set if the result does not say that the owner, the group or the mode changed.
    pub(super) keeps_msg: bool,
    /// Set if nothing more is to be done, not even with the owner, the group and the mode.
    pub(super) is_final: bool,
}

/// Why an edit fails.
pub(super) struct Refusal {
    rc: Option<u64>,
    msg: String,
}

impl Refusal {
    /// Makes a failure that has a number in Ansible.
    pub(super) fn numbered(rc: u64, msg: String) -> Self {
        Self { rc: Some(rc), msg }
    }

    fn into_outcome(self) -> Outcome {
        let mut failed = Outcome::failed(self.msg);
        failed.detail.extend(self.rc.map(|rc| ("rc".to_owned(), rc.into())));
        failed
    }
}

impl From<String> for Refusal {
    fn from(msg: String) -> Self {
        Self { rc: None, msg }
    }
}

impl Edited {
    /// Makes the result of an edit that has nothing to do.
    pub(super) fn nothing(msg: impl Into<String>) -> Self {
        Self { msg: msg.into(), is_final: true, ..Self::default() }
    }
}

/// A file to edit.
pub(super) struct EditedFile<E> {
    edit: E,
    path: String,
    attributes: Attributes,
    backup: bool,
    in_place: bool,
    validate: Option<String>,
}

/// A file as it was read.
struct Read {
    /// The path without links.
    path: String,
    /// What changes when the file is written or replaced.
    version: String,
    /// The owner, the group and the mode, if the file exists.
    found: Option<String>,
    /// The content, if the file exists.
    content: Option<Vec<u8>>,
}

impl<E: Edit> EditedFile<E> {
    /// Makes the action of a task.
    pub(super) fn new(arguments: &Arguments<'_>, edit: E) -> Result<Self, String> {
        Ok(Self {
            edit,
            path: arguments.required("path")?,
            attributes: arguments.attributes()?,
            backup: arguments.flag("backup")?.unwrap_or(false),
            in_place: arguments.flag("unsafe_writes")?.unwrap_or(false),
            validate: destination::validation(arguments)?,
        })
    }

    async fn read(&self, connection: &HostConnection<'_>) -> Result<Read, Outcome> {
        let report = HostScript::new(SCRIPT).path("path", &self.path).run(connection).await?;
        let content = report.is("exists").then(|| report.content.clone());
        let text = |name: &str| report.get(name).map(str::to_owned);
        Ok(Read {
            path: text("real").unwrap_or_default(),
            version: text("version").unwrap_or_else(|| "absent".to_owned()),
            found: text("found"),
            content,
        })
    }

    /// Writes the file. Returns nothing if it is not any more what was read.
    async fn write(
        &self,
        connection: &HostConnection<'_>,
        read: &Read,
        edited: Edited,
    ) -> Result<Option<Outcome>, Outcome> {
        let old = read.content.clone().unwrap_or_default();
        let file = File {
            content: Content::Bytes(edited.text.as_deref().map_or(old, foreign_text::encode).into()),
            below: read.path.clone(),
            attributes: self.attributes.clone(),
            backup: self.backup && read.content.is_some() && edited.text.is_some(),
            in_place: self.in_place,
            validate: self.validate.clone(),
            expected: Some(read.version.clone()),
            found: read.found.clone().filter(|_| edited.text.is_some()),
            makes_folders: true,
            ..File::default()
        };
        let report = file.write(connection).await.map_err(name_validation)?;
        if report.is("stale") {
            return Ok(None);
        }
        let diff = self.diff(connection, (read, &edited), Some(&report));
        let is_changed = edited.text.is_some();
        let mut edited = edited;
        if report.is("altered") && !edited.keeps_msg {
            let also = "ownership, perms or SE linux context changed";
            edited.msg = if edited.msg.is_empty() { also.to_owned() } else { format!("{} and {also}", edited.msg) };
        }
        let backup = report.get("backup_file").map(str::to_owned);
        Ok(Some(outcome(edited, is_changed || report.is("altered"), backup).with_diff(diff)))
    }

    /// Returns what an edit changes. Without a report the file was not written.
    fn diff(
        &self,
        connection: &HostConnection<'_>,
        (read, edited): (&Read, &Edited),
        report: Option<&HostReport>,
    ) -> Diffs {
        let shown = self.edit.shown();
        if !connection.diff || (shown == Shown::ChangedContent && edited.text.is_none()) {
            return Diffs::None;
        }
        let header = |what: &str| format!("{}{what}", self.path);
        let content = header(if shown == Shown::ChangedContent { "" } else { " (content)" });
        let old = diff::readable(read.content.as_deref().unwrap_or_default());
        let new =
            edited.text.as_deref().map_or_else(|| old.clone(), |text| diff::readable(&foreign_text::encode(text)));
        let (before, after) = (Side::text(&content, old), Side::text(&content, new));
        if shown != Shown::Both || (connection.check && read.content.is_none()) {
            return Diffs::one(before, after);
        }
        let (was, is) = report.map(HostReport::changed_attributes).unwrap_or_default();
        let attributes = |vars| Side::attributes(Some(header(" (file attributes)")), vars);
        let attributes = Diff::Change { before: attributes(was), after: attributes(is) };
        Diffs::List(vec![Diff::Change { before, after }, attributes])
    }
}

/// Returns the outcome of an edit.
fn outcome(edited: Edited, changed: bool, backup: Option<String>) -> Outcome {
    let mut vars = edited.vars;
    vars.insert("msg".to_owned(), edited.msg.into());
    // `lineinfile` always has a `backup`, which may be empty.
    if vars.contains_key("backup") {
        vars.insert("backup".to_owned(), backup.unwrap_or_default().into());
    } else if let Some(backup) = backup {
        vars.insert("backup_file".to_owned(), backup.into());
    }
    Outcome::done(changed, vars)
}

/// Returns the failure of a validation as the modules for text files report it.
fn name_validation(mut failed: Outcome) -> Outcome {
    if let (Some(rc), Some(stderr)) = (failed.detail.get("exit_status"), failed.detail.get("stderr")) {
        let msg = format!("failed to validate: rc:{rc} error:{}", stderr.as_str().unwrap_or_default());
        failed.detail.insert("msg".to_owned(), msg.into());
    }
    failed
}

/// The script that reads the file.
const SCRIPT: &str = r#"
shown=$path
case $path in /*) ;; *) path=$PWD/$path ;; esac
real=$path
if [ -d "$path" ]; then say rc 256 && fail "Path $shown is a directory !"; fi
enter || { say real "$real" && exit 0; }
follow_link
case $kind in
  absent) say real "$path" && exit 0 ;;
  file | hard) ;;
  *) fail "$path is neither a file nor a link" ;;
esac
[ -r "$name" ] || fail "[Errno 13] Permission denied: '$path'"
find_version
printf '%s=%s\0' real "$path" exists 1 version "$version" found "$of_user $of_group $bits" content ''
exec cat < "$name"
"#;

#[async_trait::async_trait]
impl<E: Edit> HostAction for EditedFile<E> {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        for _ in 0..ATTEMPTS {
            let read = self.read(connection).await?;
            let old = read.content.as_deref().map(foreign_text::decode);
            let edited = self.edit.edit(&self.path, old.as_deref()).map_err(Refusal::into_outcome)?;
            if edited.is_final || (edited.text.is_none() && self.attributes == Attributes::default()) {
                let diff = if edited.is_final { Diffs::None } else { self.diff(connection, (&read, &edited), None) };
                return Ok(outcome(edited, false, None).with_diff(diff));
            }
            if connection.check && read.content.is_none() {
                let diff = self.diff(connection, (&read, &edited), None);
                return Ok(outcome(edited, true, None).with_diff(diff));
            }
            if let Some(outcome) = self.write(connection, &read, edited).await? {
                return Ok(outcome);
            }
        }
        Err(Outcome::failed(format!("{} changed while it was edited", self.path)))
    }
}
