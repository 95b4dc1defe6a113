//! Reads ssh_config(5) files: blocks, settings and included files, each with its place.
//!
//! The module `resolve` applies them to a host.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::ConfigError;
use super::keywords::Support;
use super::keywords::support;
use super::words;
use crate::remote::ssh_pattern::matches_any;

/// How deep files may include each other, as in OpenSSH. The limit also stops a file that includes itself.
const MAX_DEPTH: usize = 16;

/// A line with a keyword.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The place of the line.
    pub(super) place: Place,
    /// The content of the line.
    pub(super) directive: Directive,
}

/// A file and the number of a line in it, from 1.
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
pub(super) enum Directive {
    /// `Host PATTERN…`
    Host(Vec<String>),
    /// `Match CRITERION…`
    Match(Vec<String>),
    /// `Include`: the lines of the included files, in order.
    Include(Vec<Vec<Line>>),
    /// Any other keyword, in lower case, with its arguments.
    Set(String, Vec<String>),
}

/// The directories of relative and `~` names in `Include`.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    pub(super) home: Option<PathBuf>,
    /// `~/.ssh` for a user's file, `/etc/ssh` for the system's.
    pub(super) relative: PathBuf,
    /// Set when only root and the user that runs muster may write to the files, as for `~/.ssh/config` and its
    /// includes.
    pub(super) private: bool,
}

/// Reads a file and its includes. A missing file has no lines.
pub(super) fn read(path: &Path, roots: &Roots) -> Result<Vec<Line>, ConfigError> {
    read_at(path, roots, 0)
}

/// Reads options as for `ssh -o`. They apply to every host.
pub(super) fn options(texts: &[String]) -> Result<Vec<Line>, ConfigError> {
    let file: std::sync::Arc<Path> = Path::new("-o").into();
    let mut lines = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let place = Place { file: file.clone(), line: number + 1 };
        if let Some((keyword, arguments)) = words::split(text).map_err(|what| place.error(what))? {
            lines.push(Line { place, directive: Directive::Set(keyword, arguments) });
        }
    }
    Ok(lines)
}

/// Returns a warning for each keyword, and each criterion of `Match`, that muster does not know. `IgnoreUnknown` names
/// keywords that are no mistakes.
pub(super) fn unknown(files: &[Vec<Line>]) -> Vec<String> {
    let mut unknown = Unknown::default();
    for lines in files {
        unknown.read(lines);
    }
    let is_meant = |keyword: &str| matches_any(keyword, unknown.meant.iter().map(String::as_str));
    let keywords = unknown.keywords.iter().filter(|(keyword, _)| !is_meant(keyword));
    let keywords = keywords.map(|(keyword, at)| format!("{at}: unknown keyword {keyword}: the line is ignored"));
    keywords.chain(unknown.criteria).collect()
}

#[derive(Default)]
struct Unknown {
    meant: Vec<String>,
    keywords: BTreeMap<String, String>,
    criteria: Vec<String>,
}

impl Unknown {
    fn read(&mut self, lines: &[Line]) {
        for Line { place, directive } in lines {
            let at = || format!("{}:{}", place.file.display(), place.line);
            match directive {
                Directive::Set(keyword, arguments) if keyword == "ignoreunknown" => {
                    let patterns = arguments.iter().flat_map(|list| list.split(','));
                    self.meant.extend(patterns.map(str::to_ascii_lowercase));
                }
                Directive::Set(keyword, _) if support(keyword) == Support::Unknown => {
                    self.keywords.entry(keyword.clone()).or_insert_with(at);
                }
                Directive::Match(criteria) => {
                    let found = unknown_criterion(criteria);
                    self.criteria.extend(
                        found.map(|name| format!("{}: unknown criterion Match {name}: the block is skipped", at())),
                    );
                }
                Directive::Include(files) => files.iter().for_each(|lines| self.read(lines)),
                Directive::Set(..) | Directive::Host(_) => {}
            }
        }
    }
}

/// Returns the first criterion of a `Match` that muster does not know.
fn unknown_criterion(criteria: &[String]) -> Option<&str> {
    let mut words = criteria.iter().flat_map(|word| word.splitn(2, '=')).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let name = word.strip_prefix('!').unwrap_or(word);
        match name.to_ascii_lowercase().as_str() {
            "all" | "final" | "canonical" => {}
            "host" | "originalhost" | "user" | "localuser" => drop(words.next()),
            _ => return Some(name),
        }
    }
    None
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
            return Err(place.error(format!("{keyword} has no value")));
        }
        let directive = match keyword.as_str() {
            "host" => Directive::Host(arguments),
            "match" => Directive::Match(arguments),
            "include" if depth >= MAX_DEPTH => {
                return Err(place.error("files include each other more than 16 deep"));
            }
            "include" => Directive::Include(included(&arguments, roots, depth)?),
            _ => Directive::Set(keyword, arguments),
        };
        lines.push(Line { place, directive });
    }
    Ok(lines)
}

/// Reads a file. It is an error if another user may write to a private file, which names programs to run and keys to
/// trust.
fn read_text(path: &Path, private: bool) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let about = file.metadata()?;
    let ours = about.uid() == 0 || about.uid() == rustix::process::getuid().as_raw();
    if private && !(ours && about.mode() & 0o022 == 0) {
        return Err(io::Error::other(
            "other users may write to it: expected mode 600 and its owner to be the user that runs muster",
        ));
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

/// Expands a glob(7) part by part, sorted as a shell sorts. Only a pattern with a leading dot matches hidden files.
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
