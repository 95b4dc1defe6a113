//! Applications: units of one folder, and the files that go with each unit. The unit file names its application and the hash
//! of the content of each such file, so that another content makes another unit file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Hash;
use super::UnitFile;
use super::UnitOption;

/// The contents of files that go with units, by hash.
pub type Contents = BTreeMap<Hash, Arc<[u8]>>;

/// The longest name of an application.
const LONGEST: usize = 64;

/// Reports whether a text can be the name of an application.
pub fn is_name(text: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !text.is_empty() && text.len() <= LONGEST && !text.starts_with('.') && text.bytes().all(is_valid)
}

/// A file that goes with a unit: it is on the host before the unit starts, and is removed with the unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompanionFile {
    /// Its path in the folder of the unit's files.
    pub path: String,
    /// The hash of its content.
    pub hash: Hash,
}

impl CompanionFile {
    /// Parses the value of `File=`: a path and a hash, with a space between them.
    pub fn parse(value: &str) -> Option<Self> {
        let (path, hash) = value.rsplit_once(' ')?;
        let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_path = path.split('/').all(is_part) && !path.chars().any(char::is_control);
        let hash = hash.parse().ok().filter(|_| is_path)?;
        Some(Self { path: path.to_owned(), hash })
    }
}

impl UnitFile {
    /// Returns the name of the application to which the unit belongs.
    pub fn application(&self) -> Option<&str> {
        self.values("X-Muster", "Application").next_back().filter(|name| is_name(name))
    }

    /// Reports whether the unit need not be on the machine of the other units of its application.
    pub fn is_spread(&self) -> bool {
        self.values("X-Muster", "Placement").next_back() == Some("spread")
    }

    /// Reports whether a unit with this file goes on after it had an earlier one, and reloads: it says so, and only the contents
    /// of files that go with it differ.
    pub fn reloads_after(&self, before: &Self) -> bool {
        let is_other = |option: &&UnitOption| option.section != "X-Muster" || option.name != "File";
        let others = |file: &Self| file.options().iter().filter(is_other).cloned().collect::<Vec<_>>();
        let paths = |file: &Self| file.companions().map(|companion| companion.path).collect::<BTreeSet<_>>();
        let says = self.values("X-Muster", "OnChange").next_back() == Some("reload");
        says && paths(self) == paths(before) && others(self) == others(before)
    }

    /// Returns the files that go with the unit.
    pub fn companions(&self) -> impl Iterator<Item = CompanionFile> {
        self.values("X-Muster", "File").filter_map(CompanionFile::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_with_a_unit_has_a_relative_path_and_a_hash() {
        let hash = Hash::of(b"x");
        let parse = |path: &str| CompanionFile::parse(&format!("{path} {hash}"));
        assert_eq!(parse("conf/my site.conf"), Some(CompanionFile { path: "conf/my site.conf".to_owned(), hash }));
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/", "a\nb"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
        assert_eq!(CompanionFile::parse("env"), None);
        assert_eq!(CompanionFile::parse("env 123"), None);
    }

    #[test]
    fn a_unit_file_names_its_application_and_its_files() {
        let hash = Hash::of(b"x");
        let text =
            format!("[Service]\nExecStart=/x\n[X-Muster]\nApplication=shop\nPlacement=spread\nFile=env {hash}\n");
        let file = UnitFile::parse(&text).unwrap();
        assert_eq!((file.application(), file.is_spread()), (Some("shop"), true));
        assert_eq!(file.companions().map(|it| it.path).collect::<Vec<_>>(), ["env"]);
    }
}
