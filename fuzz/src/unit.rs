//! Unit files and the patterns in them.

use muster::core::unit::Glob;
use muster::core::unit::Requirements;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;

/// Parses a unit file. Its text must be parsed as the same file again.
pub fn unit(data: &[u8]) {
    let Ok(file) = UnitFile::from_bytes(data) else { return };
    let again = UnitFile::parse(file.text()).expect("the text of a unit file is a unit file");
    assert_eq!(again.hash(), file.hash());
    let name: UnitName = "a@1.service".parse().expect("a name");
    assert_eq!(Requirements::of(&name, &again), Requirements::of(&name, &file));
}

/// Matches the first line, a pattern, with each further line.
pub fn glob(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let Ok(glob) = Glob::parse(lines.next().unwrap_or_default()) else { return };
    let prefix = glob.prefix();
    let wider = Glob::parse(&format!("*{glob}*")).expect("a pattern between two others");
    for name in lines.take(20) {
        if glob.matches(name) {
            assert!(name.starts_with(&prefix), "{glob} matches {name}");
            assert!(wider.matches(name), "{wider} matches {name}");
        }
        let quoted: String = name.chars().flat_map(|c| ['\\', c]).collect();
        let literal = Glob::parse(&quoted).expect("a quoted name");
        assert!(literal.matches(name) && literal.prefix() == name, "{quoted}");
        assert_eq!(literal.matches(glob.as_str()), name == glob.as_str());
    }
}
