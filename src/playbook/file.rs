//! Writing a file on a host: the script that does it in one round trip, atomically.
//!
//! A short content comes with the script, and another one on stdin. The script checks the SHA-256 of what came on stdin
//! before it replaces the old file, so that a connection that breaks leaves the old file in place. The folder may belong to another user than the script runs as, who must gain
//! nothing: see `file.sh`.

use bytes::Bytes;
use sha1::Sha1;
use sha2::Digest as _;
use sha2::Sha256;
use shlex::QuoteError;

use super::action::HostAction;
use super::diff;
use super::diff::Diffs;
use super::diff::Side;
use super::host_connection::HostConnection;
use super::host_script::Attributes;
use super::host_script::HostReport;
use super::host_script::HostScript;
use super::mode::Mode;
use super::outcome::Outcome;
use crate::core::hex;
use crate::inventory::Vars;

/// A file to write on a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct File {
    /// The content.
    pub(super) content: Content,
    /// The destination: an absolute path, or a path in a home directory (`~/x`). If it ends in `/` or is a directory, the
    /// file is written into it.
    pub(super) dest: String,
    /// The rest of the destination, in which nothing is expanded on the host.
    pub(super) below: String,
    /// Set to make the folder of the file if it is missing.
    pub(super) makes_folders: bool,
    /// The file's name if the destination is a directory. Without a name the destination must not be one.
    pub(super) name: Option<String>,
    /// Owner, group and mode. The defaults are the old file's, or the user that writes the file and 0644.
    pub(super) attributes: Attributes,
    /// The mode of folders that are made.
    pub(super) folder_mode: Option<Mode>,
    /// Set to keep the old file under another name.
    pub(super) backup: bool,
    /// Set to leave a file that exists as it is.
    pub(super) keep: bool,
    /// Set to write to the target of a link.
    pub(super) follow: bool,
    /// The command that checks the new file, with `%s` for its path.
    pub(super) validate: Option<String>,
    /// Set to show how the content changes, if the run shows differences.
    pub(super) is_shown: bool,
    /// The file of the playbook that has the content.
    pub(super) source: Option<String>,
    /// Set to write a file in its place if it cannot be replaced.
    pub(super) in_place: bool,
    /// The SHA-1 that the new content must have.
    pub(super) checksum: Option<String>,
    /// What the old file must be: the version that a script has read, or `absent`.
    pub(super) expected: Option<String>,
    /// The owner, the group and the mode of the old file, if they have been read and the content is another one.
    pub(super) found: Option<String>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// That of a file on the host.
    OnHost(String),
    /// That of a URL, which the host gets.
    Download(Download),
}

/// A file that the host gets from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Download {
    /// The URL.
    pub(super) url: String,
    /// The name of the file in a list of hashes and in a directory.
    pub(super) name: String,
    /// Set to get a file that is there already.
    pub(super) is_forced: bool,
    /// Lines of the configuration of curl.
    pub(super) options: String,
    /// The algorithm of the hash, or nothing.
    pub(super) algorithm: String,
    /// The hash, or the URL of a list of hashes, or nothing.
    pub(super) checksum: String,
}

impl Download {
    fn add_to(&self, script: HostScript) -> HostScript {
        let quoted = |url: &str| url.replace('\\', "%5C").replace('"', "%22").replace(char::is_control, "");
        let script = script
            .before(include_str!("download.sh"))
            .set("source", "")
            .set("options", &self.options)
            .set("quoted_url", &quoted(&self.url))
            .set("list_url", &quoted(&self.checksum));
        script.set("wanted", &self.checksum).set("algorithm", &self.algorithm).flag("forced", self.is_forced)
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl File {
    /// Writes the file unless it is there already.
    pub(super) async fn write(&self, connection: &HostConnection<'_>) -> Result<HostReport, Outcome> {
        let optional = |text: &Option<String>| text.clone().unwrap_or_default();
        let mut script = HostScript::new(include_str!("file.sh"))
            .flag("makes_folders", self.makes_folders)
            .set("n", &optional(&self.name))
            .attributes(&self.attributes)
            .set("folder_mode", &self.folder_mode.as_ref().map(Mode::arithmetic).unwrap_or_default())
            .flag("backup", self.backup)
            .flag("in_place", self.in_place)
            .flag("keep", self.keep)
            .flag("follow", self.follow)
            .flag("preserve", self.attributes.mode == Some(Mode::Preserve))
            .flag("shows_old", connection.diff && self.is_shown)
            .set("diff_limit", &diff::LIMIT.to_string())
            .set("wanted_sha1", &optional(&self.checksum))
            .set("expected", &optional(&self.expected))
            .set("found", &optional(&self.found))
            .flag("validates", self.validate.is_some());
        script = script.path_below("d", &self.dest, &self.below);
        script = match &self.content {
            Content::Bytes(bytes) => script.set("source", "").set("sum", &sha256(bytes)).content(bytes),
            Content::OnHost(path) => script.set("length", "").flag("inline", false).path("source", path),
            Content::Download(download) => download.add_to(script.set("length", "").flag("inline", false)),
        };
        if let Some(command) = &self.validate {
            script = script.function("validate", validation(command).map_err(Outcome::failed)?);
        }
        script.run(connection).await
    }

    /// Returns how the content changed, or else the owner, the group and the mode. Only content that comes from the
    /// controller is shown, as in Ansible.
    pub(super) fn diff(&self, connection: &HostConnection<'_>, report: &HostReport) -> Diffs {
        let Content::Bytes(content) = &self.content else { return Diffs::None };
        if !connection.diff || !self.is_shown || report.get("msg").is_some() {
            return Diffs::None;
        }
        let path = report.get("dest").unwrap_or_default();
        if !report.is("rewritten") {
            return diff::of_attributes(&[("path", path.into())], report.changed_attributes());
        }
        let before = match report.get("old") {
            None => Side::bare(""),
            Some("large") => Side::large(),
            Some(_) => Side::file(path, &report.content),
        };
        Diffs::list(before, Side::file(self.source.as_deref().unwrap_or(path), content))
    }
}

/// Returns the SHA-256 of a content.
pub(super) fn sha256(content: &[u8]) -> String {
    hex::digits(&Sha256::digest(content))
}

/// Returns the line of the shell that checks the file `$1`.
fn validation(command: &str) -> Result<Result<String, QuoteError>, String> {
    let words = shlex::split(command).ok_or("the quotes in `validate` do not match")?;
    let quoted = |word: &String| {
        let parts: Result<Vec<_>, _> = word.split("%s").map(|part| shlex::try_quote(part).map(String::from)).collect();
        parts.map(|parts| parts.join("\"$1\""))
    };
    Ok(words.iter().map(quoted).collect::<Result<Vec<_>, _>>().map(|words| words.join(" ")))
}

#[async_trait::async_trait]
impl HostAction for File {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let report = self.write(connection).await?;
        // As in Ansible, a check knows nothing of a file that it does not write.
        if connection.check && report.is("rewritten") {
            return Ok(Outcome::done(true, Vars::new()).with_diff(self.diff(connection, &report)));
        }
        let mut vars = report.vars(&["dest", "src", "backup_file", "msg", "checksum"]);
        if let Content::Bytes(bytes) = &self.content {
            vars.insert("checksum".to_owned(), hex::digits(&Sha1::digest(bytes)).into());
            // As in Ansible, a file that has its content already was looked at by another module, which says `path`.
            if let Some(path) = report.get("dest").filter(|_| !report.is("rewritten") && report.get("msg").is_none()) {
                vars.insert("path".to_owned(), path.into());
            }
        }
        Ok(Outcome::done(report.is("changed"), vars).with_diff(self.diff(connection, &report)))
    }
}
