//! ssh_config(5) files as they are read: blocks, settings and the files they include, each with its place.
//!
//! Files in, values out. What a block means for a host is decided in [`super::resolve`].

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::ConfigError;
use super::words;

/// How deep files may include each other, as in OpenSSH. A file that includes itself ends here.
const MAX_DEPTH: usize = 16;

/// A line that matters.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Where it stands.
    pub(super) place: Place,
    /// What it says.
    pub(super) what: What,
}

/// A file and a line in it, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: std::sync::Arc<Path>,
    pub(super) line: usize,
}

impl Place {
    /// Makes an error about this line.
    pub(super) fn error(&self, what: impl Into<String>) -> ConfigError {
        ConfigError::Line { file: self.file.to_path_buf(), line: self.line, what: what.into() }
    }
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// `Host PATTERN…`
    Host(Vec<String>),
    /// `Match CRITERION…`
    Match(Vec<String>),
    /// `Include`: the files it named, in order.
    Include(Vec<Vec<Line>>),
    /// Any other keyword, in lower case, with its arguments.
    Set(String, Vec<String>),
}

/// Where relative and `~` names in `Include` lead.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) home: Option<PathBuf>,
    /// `~/.ssh` for a user's file, `/etc/ssh` for the system's.
    pub(super) relative: PathBuf,
    /// Set where nobody but us and root may be able to write, as for all that `~/.ssh/config` includes.
    pub(super) private: bool,
}

/// Reads a file and all it includes. A file that is not there has no lines.
pub(super) fn read(path: &Path, roots: &Roots) -> Result<Vec<Line>, ConfigError> {
    read_at(path, roots, 0)
}

fn read_at(path: &Path, roots: &Roots, depth: usize) -> Result<Vec<Line>, ConfigError> {
    let text = match read_text(path, roots.private) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ConfigError::Unreadable { file: path.to_path_buf(), why: error.to_string() }),
    };
    let file: std::sync::Arc<Path> = path.into();
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = Place { file: file.clone(), line: number + 1 };
        let Some((keyword, arguments)) = words::split(line).map_err(|what| place.error(what))? else { continue };
        if arguments.is_empty() {
            return Err(place.error(format!("{keyword} says nothing")));
        }
        let what = match keyword.as_str() {
            "host" => What::Host(arguments),
            "match" => What::Match(arguments),
            "include" if depth >= MAX_DEPTH => {
                return Err(place.error("files include each other more than 16 deep"));
            }
            "include" => What::Include(included(&arguments, roots, depth)?),
            _ => What::Set(keyword, arguments),
        };
        lines.push(Line { place, what });
    }
    Ok(lines)
}

/// Reads a file. A private one that somebody else could have written is not believed: it may name programs to run and
/// keys to trust.
fn read_text(path: &Path, private: bool) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let about = file.metadata()?;
    let ours = about.uid() == 0 || about.uid() == rustix::process::getuid().as_raw();
    if private && !(ours && about.mode() & 0o022 == 0) {
        return Err(io::Error::other("others may write to it: chmod 600 it, and chown it to yourself"));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn included(patterns: &[String], roots: &Roots, depth: usize) -> Result<Vec<Vec<Line>>, ConfigError> {
    let mut files = Vec::new();
    for pattern in patterns {
        let path = match (pattern.strip_prefix("~/"), &roots.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => roots.relative.join(pattern),
        };
        for path in expand(&path) {
            files.push(read_at(&path, roots, depth + 1)?);
        }
    }
    Ok(files)
}

/// Expands a glob(7) part by part, sorted as the shell sorts. Hidden files need their dot spelled out.
fn expand(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in path.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let Ok(glob) = globset::GlobBuilder::new(&text).literal_separator(true).build() else { return Vec::new() };
        let glob = glob.compile_matcher();
        let fits = |name: &str| glob.is_match(name) && (text.starts_with('.') || !name.starts_with('.'));
        let mut next = Vec::new();
        for folder in found {
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            next.extend(entries.filter(|entry| fits(&entry.file_name().to_string_lossy())).map(|entry| entry.path()));
        }
        next.sort();
        found = next;
    }
    found
}
