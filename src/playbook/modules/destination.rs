//! The file that a module writes on the host, and the parameters that say where and how.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::Arguments;
use super::spec::Kind;
use super::spec::Parameter;
use crate::playbook::file::Content;
use crate::playbook::file::File;
use crate::playbook::mode::Mode;

pub(super) const DEST: Parameter = Parameter::new("dest", Kind::Text, "The absolute path of the file on the host.");
pub(super) const MODE: Parameter = Parameter::new("mode", Kind::Mode, "The permissions.");
pub(super) const MODE_OR_PRESERVE: Parameter =
    Parameter::new("mode", Kind::ModeOrPreserve, "The permissions, or `preserve` for those of the source.");
const OWNER: Parameter = Parameter::new("owner", Kind::Text, "The owner.");
const GROUP: Parameter = Parameter::new("group", Kind::Text, "The group.");
const SEUSER: Parameter = Parameter::new("seuser", Kind::Text, "The user of SELinux, on a host that has SELinux.");
const SEROLE: Parameter = Parameter::new("serole", Kind::Text, "The role of SELinux, on a host that has SELinux.");
const SETYPE: Parameter = Parameter::new("setype", Kind::Text, "The type of SELinux, on a host that has SELinux.");
const SELEVEL: Parameter = Parameter::new("selevel", Kind::Text, "The level of SELinux, on a host that has SELinux.");
const FLAGS: Parameter =
    Parameter::new("attributes", Kind::Text, "The flags of the file system, as chattr takes them.").or(&["attr"]);
pub(super) const UNSAFE_WRITES: Parameter = Parameter::new(
    "unsafe_writes",
    Kind::Flag,
    "Whether a file that cannot be replaced is written in its place (default: false).",
);
/// What a module that makes a file takes besides its mode.
pub(super) static ATTRIBUTES: [Parameter; 7] = [OWNER, SEUSER, SEROLE, SETYPE, SELEVEL, FLAGS, GROUP];
pub(super) const BACKUP: Parameter =
    Parameter::new("backup", Kind::Flag, "Whether to keep the old file, with the time in its name.");
pub(super) const VALIDATE: Parameter =
    Parameter::new("validate", Kind::Text, "The command that checks the new file before it is used; %s is its path.");
pub(super) const FORCE: Parameter =
    Parameter::new("force", Kind::Flag, "Whether a file that exists is replaced (default: true).");
pub(super) const FOLLOW: Parameter =
    Parameter::new("follow", Kind::Flag, "Whether a link is followed (default: false).");

/// Returns the file that is written. `source` is the file of the playbook whose permissions it may get.
pub(super) fn file(
    arguments: &Arguments<'_>,
    content: Content,
    name: Option<String>,
    source: Option<&Path>,
) -> Result<File, String> {
    let dest = arguments.required("dest")?;
    if !dest.starts_with(['/', '~', '$']) {
        return Err(format!("`dest` must be an absolute path, not `{dest}`"));
    }
    if name.is_none() && dest.ends_with('/') {
        return Err("can not use content with a dir as dest".to_owned());
    }
    let mut attributes = arguments.attributes()?;
    if attributes.mode == Some(Mode::Preserve) {
        attributes.mode = match (source, &content) {
            (Some(source), _) => Some(preserved(source)?),
            (None, Content::OnHost(_)) => Some(Mode::Preserve),
            (None, Content::Bytes(_) | Content::Download(_)) => {
                return Err("`mode` cannot be preserve without `src`".to_owned());
            }
        };
    }
    let checksum = match content {
        // The checksum of a download has an algorithm, and is checked before.
        Content::Download(_) => None,
        Content::Bytes(_) | Content::OnHost(_) => arguments.non_empty("checksum")?,
    };
    Ok(File {
        content,
        checksum,
        dest,
        name,
        attributes,
        folder_mode: arguments.mode("directory_mode")?,
        backup: arguments.flag("backup")?.unwrap_or(false),
        keep: !arguments.flag("force")?.unwrap_or(true),
        follow: arguments.flag("follow")?.unwrap_or(false),
        in_place: arguments.flag("unsafe_writes")?.unwrap_or(false),
        validate: validation(arguments)?,
        is_shown: true,
        source: source.map(|source| source.display().to_string()),
        ..File::default()
    })
}

/// Returns the command that checks a new file.
pub(super) fn validation(arguments: &Arguments<'_>) -> Result<Option<String>, String> {
    let command = arguments.non_empty("validate")?;
    match command {
        Some(command) if !command.contains("%s") => Err(format!("validate must contain %s: {command}")),
        command => Ok(command),
    }
}

/// Returns the permissions of a file of the playbook.
fn preserved(source: &Path) -> Result<Mode, String> {
    let data = source.metadata().map_err(|error| format!("cannot read {}: {error}", source.display()))?;
    Ok(Mode::Bits(data.permissions().mode() & 0o7777))
}
