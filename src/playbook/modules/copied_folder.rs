//! A folder of the playbook that `copy` copies to the host: its files one after the other, then its empty folders.

use std::path::Path;
use std::path::PathBuf;

use super::Arguments;
use super::destination;
use crate::inventory::Vars;
use crate::playbook::action::HostAction;
use crate::playbook::diff::Diffs;
use crate::playbook::file::Content;
use crate::playbook::file::File;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
use crate::playbook::host_script::HostScript;
use crate::playbook::host_script::expand_before;
use crate::playbook::mode::Mode;
use crate::playbook::outcome::Outcome;

/// The most files that a folder may have.
const LIMIT: usize = 10_000;

/// The copy of a folder.
pub(super) struct CopiedFolder {
    files: Vec<File>,
    folders: Vec<String>,
    attributes: Attributes,
    source: String,
    dest: String,
}

impl CopiedFolder {
    /// Reads a folder. Its own name is a part of the destination unless the source ends in `/`.
    pub(super) fn read(arguments: &Arguments<'_>, source: &Path) -> Result<Self, String> {
        let given = arguments.required("src")?;
        let dest = format!("{}/", arguments.required("dest")?.trim_end_matches('/'));
        let top = if given.ends_with('/') {
            PathBuf::new()
        } else {
            source.file_name().map(PathBuf::from).unwrap_or_default()
        };
        let (mut files, mut empty) = (Vec::new(), Vec::new());
        walk(source, &top, &mut files, &mut empty)?;
        let copied = |(source, relative): &(PathBuf, PathBuf)| {
            let name = relative.file_name().map(|name| name.to_string_lossy().into_owned());
            let content = Content::Bytes(arguments.read(source)?);
            let mut file = destination::file(arguments, content, name, Some(source))?;
            file.dest.clone_from(&dest);
            let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty());
            file.below = parent.map(|parent| format!("{}/", parent.display())).unwrap_or_default();
            Ok(file)
        };
        Ok(Self {
            files: files.iter().map(copied).collect::<Result<_, String>>()?,
            folders: empty.iter().map(|relative| relative.display().to_string()).collect(),
            attributes: Attributes { mode: arguments.mode("directory_mode")?, ..arguments.attributes()? },
            source: source.display().to_string() + if given.ends_with('/') { "/" } else { "" },
            dest,
        })
    }
}

/// The script that makes the empty folders.
const FOLDERS: &str = r#"
start=$PWD
make() {
  cd -- "$start" || exit 1
  if [ ! -d "$1" ]; then
    altered=1
    [ -n "$check" ] || make_folders "$1" || fail "cannot make the directory $1"
    return
  fi
  path=$1
  enter || exit 1
  set_attributes
}
folders
[ -z "$altered" ] || say changed 1
"#;

/// Collects the files of a folder, each with its path in the copy, and the folders that have none.
fn walk(
    folder: &Path,
    relative: &Path,
    files: &mut Vec<(PathBuf, PathBuf)>,
    empty: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let entries = std::fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut paths: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    paths.sort();
    if paths.is_empty() {
        empty.push(relative.to_owned());
    }
    for path in paths {
        let below = relative.join(path.file_name().unwrap_or_default());
        if files.len() == LIMIT || below.components().count() > 100 {
            return Err(format!("{} has too many files", folder.display()));
        }
        if path.is_dir() {
            walk(&path, &below, files, empty)?;
        } else {
            files.push((path, below));
        }
    }
    Ok(())
}

#[async_trait::async_trait]
impl HostAction for CopiedFolder {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let (mut changed, mut diff) = (false, Diffs::None);
        for file in &self.files {
            let report = file.write(connection).await?;
            changed |= report.is("changed");
            diff = file.diff(connection, &report);
        }
        // As in Ansible, only the file of a folder that has no other is shown.
        if self.files.len() > 1 {
            diff = Diffs::None;
        }
        if !self.folders.is_empty() {
            let line = |folder: &String| Ok(format!("make {}", expand_before(&self.dest, folder)?));
            let lines = self.folders.iter().map(line).collect::<Result<Vec<_>, _>>().map(|lines| lines.join("\n"));
            let mode = self.attributes.mode.as_ref().map(Mode::arithmetic).unwrap_or_default();
            let script = HostScript::new(FOLDERS).attributes(&self.attributes).set("mode", &mode);
            changed |= script.function("folders", lines).run(connection).await?.is("changed");
        }
        let vars = [("dest", &self.dest), ("src", &self.source)];
        let vars = Vars::from_iter(vars.map(|(name, value)| (name.to_owned(), value.clone().into())));
        Ok(Outcome::done(changed, vars).with_diff(diff))
    }
}
