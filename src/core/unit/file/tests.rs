use proptest::prelude::*;

use super::*;
use crate::core::unit::WarningKind;

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    raw: String,
    serialized: Option<String>,
    sha1: Option<String>,
    error: Option<String>,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../../../tests/data/unit_hash_vectors.json")).unwrap();
    assert_eq!(vectors.len(), 37);
    vectors
}

/// Files that fleet accepted and then stored with another meaning.
const CHANGES_WHEN_STORED: [(&str, SyntaxError); 2] =
    [("continuation_at_eof", SyntaxError::EndsContinued), ("continuation_trailing_space", SyntaxError::AfterBackslash)];

#[test]
fn files_have_fleets_text_and_hash() {
    for vector in vectors() {
        let (Some(text), Some(hash)) = (&vector.serialized, &vector.sha1) else { continue };
        let read = UnitFile::parse(&vector.raw);
        if let Some((_, error)) = CHANGES_WHEN_STORED.iter().find(|(name, _)| *name == vector.name) {
            assert_eq!(read.unwrap_err().error, *error, "{}", vector.name);
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(read.text(), text, "{}", vector.name);
        assert_eq!(read.hash().to_string(), *hash, "{}", vector.name);
    }
}

#[test]
fn files_that_fleet_refused_are_errors_except_for_long_lines() {
    for vector in vectors() {
        let Some(error) = &vector.error else { continue };
        let read = UnitFile::parse(&vector.raw);
        let long = error.starts_with("line too long");
        assert_eq!(read.is_ok(), long, "{}: {read:?}", vector.name);
        if long {
            assert!(vector.raw.lines().any(|line| line.len() >= 2048), "{}", vector.name);
        }
    }
}

#[test]
fn the_two_refused_continuations_would_change_when_stored() {
    let stored = |name: &str| {
        let vector = vectors().into_iter().find(|vector| vector.name == name).unwrap();
        (UnitFile::parse(vector.serialized.as_ref().unwrap()).unwrap(), vector.serialized.unwrap())
    };
    let (again, text) = stored("continuation_at_eof");
    assert_ne!(again.text(), text);
    let (again, _) = stored("continuation_trailing_space");
    assert_eq!(again.values("Service", "ExecStop").count(), 0, "ExecStop=a was swallowed");
}

#[test]
fn the_walk_throughs_unit_has_the_hash_that_its_slides_show() {
    let hello = "[Unit]\nDescription=Hello World\n\n[Service]\nExecStart=/bin/bash -c \"while true; do echo \\\"Hello, world\\\"; sleep 1; done\"\n";
    assert_eq!(UnitFile::parse(hello).unwrap().hash().short(), "e55c0ae");
}

#[test]
fn errors_have_a_position_and_a_hint() {
    let cases = [
        ("[Unit]\n[Service\nA=1\n", "2:1: this section's name has no `]` on its line"),
        ("[Service\nEnvironment=[x]\n", "1:1: this section's name has no `]` on its line"),
        ("[Service]  foo\n", "1:12: text after the section's name"),
        ("[Unit]Description=a\n", "1:7: text after the section's name"),
        ("[Unit]\n  nonsense\nA=1\n", "2:3: no `=` in this line"),
        ("[Unit]\nnonsense", "2:1: no `=` in this line"),
        ("[Service]\nExecStart=/bin/a \\\n# why\n b\n", "3:1: a comment between the lines of a continued value"),
        ("[Unit]\nBad\rName=1\n", "2:1: no `=` in this line"),
        ("[Unit]\nA=é \\ \t\nB=1\n", "2:5: this backslash is followed by white space"),
        ("[Unit]\r\nA=a \\\r\n b\r\n", "2:5: this backslash is followed by white space"),
        ("[Unit]\nA=a \\\n b \\", "3:4: the file ends in a continued line"),
        ("[Unit]\nA=\u{0}1\n", "2:3: a NUL byte"),
    ];
    for (text, message) in cases {
        let error = UnitFile::parse(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text:?} gave {error:?}");
        assert!(error.contains(": ") && !error.ends_with('.'), "{error:?}");
    }
}

#[test]
fn invalid_utf8_is_an_error_with_its_position() {
    let error = UnitFile::from_bytes(b"[Unit]\nA=\xc3\xa9\xff\n").unwrap_err();
    assert_eq!((error.line, error.column, error.error), (2, 4, SyntaxError::NotUtf8));
    assert_eq!(UnitFile::from_bytes(b"[Unit]\nA=1\n").unwrap(), UnitFile::parse("[Unit]\nA=1\n").unwrap());
}

#[test]
fn a_file_has_at_most_one_mebibyte() {
    let fill = |size: usize| format!("[Unit]\nA={}\n", "x".repeat(size - 10));
    assert_eq!(fill(parse::MAX_BYTES).len(), parse::MAX_BYTES);
    assert_eq!(UnitFile::parse(&fill(parse::MAX_BYTES)).unwrap().text().len(), parse::MAX_BYTES);
    assert_eq!(UnitFile::parse(&fill(parse::MAX_BYTES + 1)).unwrap_err().error, SyntaxError::TooLarge);
}

#[test]
fn each_kind_of_warning_is_given_once() {
    let text = "\u{feff}lost\nlost=1\n[Unit]\n=1\n =2\nAfter=a\rb\n";
    let warnings: Vec<String> = UnitFile::parse(text).unwrap().warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "1:2: text before the first section is ignored",
            "4:1: systemd ignores a line without a name before its `=`",
            "6:7: systemd ends the line at this carriage return",
        ]
    );
    let empty = UnitFile::parse("# nothing\n[Unit]\n").unwrap();
    assert_eq!(empty.warnings().iter().map(|warning| &warning.kind).collect::<Vec<_>>(), [&WarningKind::NoOptions]);
    assert!(UnitFile::parse("\u{feff}\r\n[Unit]\r\nAfter=1\r\n").unwrap().warnings().is_empty());
}

#[test]
fn sections_and_directives_that_systemd_does_not_know_are_named_with_the_likely_ones() {
    let text = "[Unit]\nDescripton=a\nX-Own=1\nWantedBy=a.target\n[Sevice]\nExecStart=/bin/true\n[Service]\nExecStart=/bin/true\n  Restrat=no\nRestrat=no\n[X-fleet]\nGlobal=true\n[X-Own]\nAny=1\n[X-Fleet]\nGlobal=true\n";
    let warnings: Vec<String> = UnitFile::parse(text).unwrap().warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "2:1: systemd ignores `Descripton=` in [Unit]: did you mean `Description=`?",
            "4:1: systemd ignores `WantedBy=` in [Unit]: did you mean `WantedBy=` in [Install]?",
            "5:1: systemd ignores the section [Sevice]: did you mean [Service]?",
            "9:3: systemd ignores `Restrat=` in [Service]: did you mean `Restart=`?",
            "11:1: systemd ignores the section [X-fleet]: did you mean [X-Fleet]?",
        ]
    );
    let many: String = (0..100).map(|number| format!("Zz{number}=1\n")).collect();
    assert_eq!(UnitFile::parse(&format!("[Unit]\n{many}")).unwrap().warnings().len(), 20);
}

#[test]
fn properties_of_a_file_come_from_its_options() {
    let file = UnitFile::parse("[Unit]\nDescription=a\nDescription=b\n[Service]\nType=simple\nType=oneshot\n").unwrap();
    assert_eq!(file.description(), Some("a"));
    assert!(file.is_oneshot() && !file.has_install());
    let file = UnitFile::parse("[Service]\nType=oneshot\nType=simple\n[Install]\nWantedBy=a.service\n").unwrap();
    assert_eq!(file.description(), None);
    assert!(!file.is_oneshot() && file.has_install());
    assert!(UnitFile::parse("[Build]\nImageTag=a\n").unwrap().is_oneshot());
}

/// Texts made of the characters of the grammar.
fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "[", "]", "=", "\\", "\n", "\r", " ", "\t", "#", ";", "\"", "A", "b1", "é", "\u{a0}", "\u{2028}", "[Unit]\n",
        "\\\n", "A=", "\0",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics_and_the_stored_text_parses_to_the_same_file(text in texts()) {
        if let Ok(file) = UnitFile::parse(&text) {
            let again = UnitFile::parse(file.text()).unwrap();
            prop_assert_eq!(again.text(), file.text());
            prop_assert_eq!(again.hash(), file.hash());
            prop_assert_eq!(again.options().len(), file.options().len());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(file) = UnitFile::from_bytes(&bytes) {
            prop_assert_eq!(UnitFile::parse(file.text()).unwrap(), file);
        }
    }
}

#[test]
fn a_file_is_made_of_options() {
    let option = |section: &str, name: &str, value: &str| UnitOption {
        section: section.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let options = [option("Unit", "A", "1"), option("Service", "B", "2 \\\n  3"), option("Unit", "C", "")];
    let file = UnitFile::of_options(&options).unwrap();
    assert_eq!(file.text(), "[Unit]\nA=1\nC=\n\n[Service]\nB=2 \\\n  3\n");
    assert_eq!(UnitFile::parse(file.text()).unwrap().hash(), file.hash());
    for (section, name, value) in [
        ("Unit", "A", "1\n[Service]\nExecStart=/bin/evil"),
        ("Unit]\n[Service", "A", "1"),
        ("Unit", "A=1\nB", "2"),
        ("Unit", "#A", "1"),
        ("Unit", "", "1"),
        ("Unit", "A", " 1"),
        ("", "A", "1"),
    ] {
        let refused = UnitFile::of_options(&[option(section, name, value)]);
        assert!(refused.is_err(), "{section:?} {name:?} {value:?}: {refused:?}");
    }
}
