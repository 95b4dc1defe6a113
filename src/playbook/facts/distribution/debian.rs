//! Debian and the distributions that are made of it.

use super::HostText;
use super::OsRelease;
use super::Vars;
use super::major;
use super::set;
use super::vars;

/// A distribution that is made of Debian.
struct Derived {
    /// The words of which os-release has one.
    words: &'static [&'static str],
    name: &'static str,
    /// Set if the version is that of os-release.
    has_version: bool,
    codename: Codename,
}

/// Where the code name stands, if it is not where other distributions have it.
#[derive(Clone, Copy)]
enum Codename {
    Usual,
    InBrackets,
    Variable(&'static str),
}

const fn derived(words: &'static [&'static str], name: &'static str, has_version: bool, codename: Codename) -> Derived {
    Derived { words, name, has_version, codename }
}

/// The distributions that are made of Debian. The first one that fits counts.
const DERIVED: [Derived; 10] = [
    derived(&["Ubuntu"], "Ubuntu", false, Codename::Usual),
    derived(&["SteamOS"], "SteamOS", false, Codename::Usual),
    derived(&["Kali"], "Kali", false, Codename::Usual),
    derived(&["Parrot"], "Parrot", false, Codename::Usual),
    derived(&["Devuan"], "Devuan", true, Codename::InBrackets),
    derived(&["Cumulus"], "Cumulus Linux", true, Codename::Variable("VERSION")),
    derived(&["Mint"], "Linux Mint", true, Codename::Usual),
    derived(&["UOS", "Uos", "uos"], "Uos", true, Codename::Variable("VERSION_CODENAME")),
    derived(&["Deepin", "deepin"], "Deepin", true, Codename::Variable("VERSION_CODENAME")),
    derived(&["LMDE"], "Linux Mint Debian Edition", false, Codename::Usual),
];

/// Returns what the file says, if the host has one of these distributions.
pub(super) fn debian(content: &str, text: &HostText<'_>, release: &OsRelease) -> Option<Vars> {
    let has = |word: &&str| content.contains(*word);
    let in_brackets = || {
        let (_, rest) = release.get("PRETTY_NAME")?.split_once('(')?;
        Some(rest.split_once(')')?.0)
    };
    let set_known = |facts: &mut Vars, name, value: Option<&str>| {
        if let Some(value) = value {
            set(facts, &[(name, value)]);
        }
    };
    if ["Debian", "Raspbian"].iter().any(has) {
        let mut facts = vars(&[("distribution", "Debian")]);
        set_known(&mut facts, "distribution_release", in_brackets());
        set_known(&mut facts, "distribution_minor_version", minor(text));
        return Some(facts);
    }
    let derived = DERIVED.iter().find(|derived| derived.words.iter().any(has))?;
    let mut facts = vars(&[("distribution", derived.name)]);
    let version = release.get("VERSION_ID").filter(|_| derived.has_version);
    set_known(&mut facts, "distribution_version", version);
    set_known(&mut facts, "distribution_major_version", version.map(major));
    let codename = match derived.codename {
        Codename::Usual => None,
        Codename::InBrackets => in_brackets(),
        Codename::Variable(name) => release.get(name),
    };
    set_known(&mut facts, "distribution_release", codename);
    Some(facts)
}

/// Returns the number behind the point in /etc/debian_version.
fn minor<'a>(text: &HostText<'a>) -> Option<&'a str> {
    let (_, minor) = text.line("/etc/debian_version")?.split_once('.')?;
    let minor = minor.split(|c: char| !c.is_ascii_digit()).next()?;
    (!minor.is_empty()).then_some(minor)
}
