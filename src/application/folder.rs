//! Reads a folder: its unit files, their drop-ins, and the files that they name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use super::Application;
use super::ApplicationUnit;
use super::BadApplication;
use super::companions;
use super::templates;
use super::templates::Templates;
use crate::core::unit::Contents;
use crate::core::unit::Hash;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;
use crate::core::unit::application::is_name;
use crate::store::COMMIT_BYTES;

/// The longest unit file or drop-in, in bytes: the limit of systemd for one line.
const FILE_LIMIT: u64 = 1 << 20;

/// How many bytes the files of one unit may have together: they are stored at once with the unit.
const CONTENT_LIMIT: usize = COMMIT_BYTES / 2;

/// How many files of the folder a unit may name: they are stored in one commit.
const FILES: usize = 100;

/// The options of `[X-Muster]` that are written here.
const WRITTEN: [&str; 2] = ["Application", "File"];

/// Reads an application from its folder.
pub(super) fn read(folder: &Path, templates: &dyn Templates) -> Result<Application, BadApplication> {
    let whole = fs::canonicalize(folder).map_err(|error| BadApplication::Unreadable(folder.to_owned(), error))?;
    if !whole.is_dir() {
        return Err(BadApplication::NoFolder(folder.to_owned()));
    }
    let name = whole.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name));
    let name = name.ok_or_else(|| BadApplication::Name(whole.clone()))?.to_owned();
    let (files, drop_ins) = sort(entries(folder)?)?;
    if files.is_empty() {
        return Err(BadApplication::NoUnits(folder.to_owned()));
    }
    if let Some((unit, (path, _))) = drop_ins.iter().find(|(unit, _)| !has(&files, unit)) {
        return Err(BadApplication::NoSuchUnit { path: path.clone(), unit: unit.clone() });
    }
    let reader = Reader { folder, templates };
    let units = files.into_iter().map(|(unit, path)| {
        let parts = reader.merged(&unit, &path, &drop_ins)?;
        let read = reader.finish(&name, &unit, path, &parts)?;
        Ok((unit, read))
    });
    let units = units.collect::<Result<_, BadApplication>>()?;
    Ok(Application { name, units })
}

/// Returns the entries of a folder, by name, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BadApplication> {
    let unreadable = |error| BadApplication::Unreadable(folder.to_owned(), error);
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if !name_of(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the name of a file. A template has the name of what it makes.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.strip_suffix(templates::ENDING).map(str::to_owned).unwrap_or(name)
}

/// The unit files of a folder, by the names of their units.
type Files = BTreeMap<UnitName, PathBuf>;

/// The drop-ins of units: the path of their folder and the files in it, by name.
type DropIns = BTreeMap<UnitName, (PathBuf, BTreeMap<String, PathBuf>)>;

/// Returns the unit files and the drop-ins among the entries of a folder.
fn sort(entries: Vec<PathBuf>) -> Result<(Files, DropIns), BadApplication> {
    let (mut files, mut drop_ins) = (Files::new(), DropIns::new());
    for path in entries {
        let name = name_of(&path);
        if path.is_dir() {
            if let Some(unit) = name.strip_suffix(".d").and_then(|unit| unit.parse().ok()) {
                let found = self::entries(&path)?.into_iter().map(|path| (name_of(&path), path));
                let found = found.filter(|(name, _)| Path::new(name).extension().is_some_and(|it| it == "conf"));
                drop_ins.insert(unit, (path, found.collect()));
            }
        } else if name.rsplit_once('.').is_some_and(|(_, kind)| is_type(kind)) {
            let unit = name.parse().map_err(|error| BadApplication::BadName { path: path.clone(), error })?;
            if let Some(other) = files.insert(unit, path.clone()) {
                return Err(BadApplication::Twice { path, other });
            }
        }
    }
    Ok((files, drop_ins))
}

/// Reports whether a file with this ending is a unit file.
fn is_type(ending: &str) -> bool {
    UnitType::ALL.iter().any(|kind| kind.as_str() == ending)
}

/// Reports whether a folder has the file of a unit or of an instance of it.
fn has(files: &Files, unit: &UnitName) -> bool {
    files.keys().any(|other| other == unit || other.template().as_ref() == Some(unit))
}

fn content(path: &Path, limit: u64) -> Result<Vec<u8>, BadApplication> {
    let unreadable = |error: io::Error| BadApplication::Unreadable(path.to_owned(), error);
    let data = fs::metadata(path).map_err(unreadable)?;
    if !data.is_file() {
        return Err(unreadable(io::Error::other("not a file")));
    }
    if data.len() > limit {
        return Err(BadApplication::TooLong { path: path.to_owned(), limit });
    }
    fs::read(path).map_err(unreadable)
}

/// Reads the files of one folder.
struct Reader<'a> {
    folder: &'a Path,
    templates: &'a dyn Templates,
}

impl Reader<'_> {
    /// Reads a unit file and its drop-ins, in the order in which systemd reads them: those of an instance override those of its
    /// template by their names.
    fn merged(&self, unit: &UnitName, path: &Path, drop_ins: &DropIns) -> Result<UnitFile, BadApplication> {
        let of = |unit: &UnitName| drop_ins.get(unit).map(|(_, files)| files.clone()).unwrap_or_default();
        let mut files = unit.template().map(|template| of(&template)).unwrap_or_default();
        files.extend(of(unit));
        let mut text = self.parse(path)?.text().to_owned();
        for path in files.values() {
            text.push('\n');
            text.push_str(self.parse(path)?.text());
        }
        UnitFile::parse(&text).map_err(|error| BadApplication::Invalid { path: path.to_owned(), error })
    }

    fn parse(&self, path: &Path) -> Result<UnitFile, BadApplication> {
        let bytes = self.content(path)?;
        UnitFile::from_bytes(&bytes).map_err(|error| BadApplication::Invalid { path: path.to_owned(), error })
    }

    /// Adds to a unit file the name of its application and the files that it names, and writes where these are on a host.
    fn finish(
        &self,
        application: &str,
        unit: &UnitName,
        path: PathBuf,
        merged: &UnitFile,
    ) -> Result<ApplicationUnit, BadApplication> {
        let written =
            merged.options().iter().find(|it| it.section == "X-Muster" && WRITTEN.contains(&it.name.as_str()));
        if let Some(option) = written {
            return Err(BadApplication::Written { path, option: option.name.clone() });
        }
        let on_host = companions::folder_on_host(unit);
        let (mut text, mut named) = (String::new(), BTreeSet::new());
        for option in merged.options() {
            let found = companions::words(option);
            for word in &found {
                let (option, value) = (option.name.clone(), option.value.clone());
                if !companions::is_inside(&word.path) {
                    return Err(BadApplication::Outside { path, option, value });
                }
                if !self.find(&word.path).exists() {
                    return Err(BadApplication::NoSuchFile { path, option, value, word: word.path.clone() });
                }
                named.insert(word.path.clone());
            }
            let value = companions::replace(&option.value, &found, &on_host);
            text.push_str(&format!("[{}]\n{}={value}\n", option.section, option.name));
        }
        if !named.is_empty() && unit.as_str().contains('\\') {
            return Err(BadApplication::Backslash(path));
        }
        text.push_str(&format!("[X-Muster]\nApplication={application}\n"));
        let (mut contents, mut bytes) = (Contents::new(), 0);
        for (path, content) in self.files_below(named)? {
            let hash = Hash::of(&content);
            bytes += content.len();
            text.push_str(&format!("File={path} {hash}\n"));
            contents.insert(hash, content.into());
        }
        if bytes > CONTENT_LIMIT {
            return Err(BadApplication::TooMuch { unit: unit.clone(), bytes, limit: CONTENT_LIMIT });
        }
        let file = UnitFile::parse(&text).map_err(|error| BadApplication::Invalid { path: path.clone(), error })?;
        Ok(ApplicationUnit { file: Arc::new(file), path, contents })
    }

    /// Reads files, and all files in folders, by their paths in a folder.
    fn files_below(&self, named: BTreeSet<String>) -> Result<BTreeMap<String, Vec<u8>>, BadApplication> {
        let (mut files, mut open) = (BTreeMap::new(), Vec::from_iter(named));
        let canonical =
            |path: &Path| fs::canonicalize(path).map_err(|error| BadApplication::Unreadable(path.to_owned(), error));
        let inside = canonical(self.folder)?;
        while let Some(path) = open.pop() {
            let whole = self.find(&path);
            if path.chars().any(char::is_control) {
                return Err(BadApplication::FileName(whole));
            }
            if !canonical(&whole)?.starts_with(&inside) {
                return Err(BadApplication::Link(whole));
            }
            if whole.is_dir() {
                let inner = entries(&whole)?;
                open.extend(inner.iter().map(|inner| format!("{path}/{}", name_of(inner))));
            } else {
                files.insert(path, self.content(&whole)?);
            }
            if files.len() + open.len() > FILES {
                return Err(BadApplication::TooMany { path: whole, limit: FILES });
            }
        }
        Ok(files)
    }

    /// Returns the path of a file of the folder: that of a template which makes it, if there is no such file.
    fn find(&self, path: &str) -> PathBuf {
        let own = self.folder.join(path);
        let template = self.folder.join(format!("{path}{}", templates::ENDING));
        if !own.exists() && template.exists() { template } else { own }
    }

    /// Returns the content of a file, or what a template makes.
    fn content(&self, path: &Path) -> Result<Vec<u8>, BadApplication> {
        templates::rendered(self.templates, self.folder, path, content(path, FILE_LIMIT)?)
    }
}
