//! os-release, and the release files of single distributions: `CentOS Linux release 7.9.2009 (Core)`.

use super::host_text::HostText;

/// The variables of os-release.
pub(super) struct OsRelease {
    vars: Vec<(String, String)>,
}

impl OsRelease {
    /// Reads the variables of the host.
    pub(super) fn read(text: &HostText<'_>) -> Self {
        let path = if text.has("/etc/os-release") { "/etc/os-release" } else { "/usr/lib/os-release" };
        let words = text.lines(path).filter_map(shlex::split).flatten();
        let pair = |word: String| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { vars: words.filter_map(pair).collect() }
    }

    /// Returns the value of a variable, which may be empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.vars.iter().rev().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }

    /// Returns the id of the distribution, as Ansible writes it.
    pub(super) fn id(&self) -> String {
        let id = self.get("ID").unwrap_or_default().to_lowercase().replace(' ', "_");
        match id.as_str() {
            "ol" => "oracle".to_owned(),
            "opensuse-leap" => "opensuse".to_owned(),
            _ => id,
        }
    }

    /// Reports whether the distribution is this one or made of it.
    pub(super) fn is_like(&self, id: &str) -> bool {
        self.id() == id || self.get("ID_LIKE").unwrap_or_default().split_whitespace().any(|it| it == id)
    }

    /// Returns the code name. It may be empty, if the distribution says that it has none.
    pub(super) fn codename(&self) -> Option<String> {
        let named = self.get("VERSION_CODENAME").or_else(|| self.get("UBUNTU_CODENAME"));
        named.map(str::to_owned).or_else(|| in_version(self.get("VERSION")?))
    }
}

/// Returns the code name in a version: `7 (Core)` or `14.04, Trusty Tahr`. It has no digits.
fn in_version(version: &str) -> Option<String> {
    let is_name = |name: &&str| !name.is_empty() && !name.contains(|c: char| c.is_ascii_digit());
    let brackets = version.split('(').skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name);
    let name = brackets.clone().find(is_name).or_else(|| {
        let rest = version.split_once(',')?.1.trim_start();
        Some(rest.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default()).filter(is_name)
    });
    name.map(str::to_owned)
}

/// The first line of a release file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReleaseLine {
    /// The version.
    pub(super) version: Option<String>,
    /// The code name in brackets.
    pub(super) codename: Option<String>,
}

/// The release files that say less than others.
const IGNORED: [&str; 9] = [
    "/etc/debian_version",
    "/etc/lsb-release",
    "/etc/oem-release",
    "/etc/os-release",
    "/etc/system-release",
    "/etc/plesk-release",
    "/etc/iredmail-release",
    "/etc/board-release",
    "/etc/ec2_version",
];

impl ReleaseLine {
    /// Returns the line of the first release file of the host that is not empty.
    pub(super) fn of_host(text: &HostText<'_>) -> Self {
        let is_release = |name: &&str| {
            let endings = ["-release", "_release", "-version", "_version"];
            let stem =
                name.strip_prefix("/etc/").and_then(|it| endings.iter().find_map(|ending| it.strip_suffix(ending)));
            stem.is_some_and(|stem| !stem.contains(['-', '.'])) && !IGNORED.contains(name)
        };
        text.names().filter(is_release).find_map(|name| text.line(name)).map(Self::parse).unwrap_or_default()
    }

    /// Parses `NAME release VERSION (CODENAME)`.
    pub(super) fn parse(line: &str) -> Self {
        let (head, codename) = match line.split_once('(') {
            Some((head, rest)) => (head, rest.rsplit_once(')').map(|(codename, _)| codename.to_owned())),
            None => (line, None),
        };
        let is_version = |word: &&str| {
            let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase() || b".+-".contains(&byte);
            word.bytes().all(fits) && word.ends_with(|c: char| c.is_ascii_digit())
        };
        let version = head.split_whitespace().skip(1).filter(is_version).last().map(str::to_owned);
        Self { codename: codename.filter(|_| version.is_some()), version }
    }
}
