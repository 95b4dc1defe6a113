//! The words of STYLE.md: code, comments, messages and documents use none of the banned patterns.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use regex::Regex;
use regex::RegexBuilder;

/// The files and folders that are checked.
const ROOMS: &[&str] = &["src", "tests", "benches", "docs", "packaging", "playbooks", "README.md", "CONTRIBUTING.md"];

/// Files that quote the patterns or words that others wrote.
const EXEMPT: &[&str] = &["STYLE.md", "tests/data/playbook/record.yaml", "tests/data/playbook/record.expected.json"];

/// A banned pattern and the words to use instead.
struct Banned {
    pattern: Regex,
    advice: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads the `banned` block of a page: one pattern a line, ` => `, the advice.
fn banned(page: &str) -> Vec<Banned> {
    let block = page.split("\n```banned\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let block = block.expect("STYLE.md has a block of banned patterns");
    let banned = |line: &str| {
        let (pattern, advice) = line.split_once(" => ").unwrap_or_else(|| panic!("no advice: {line}"));
        // The fast search knows only the edges of ASCII words.
        let pattern = pattern.replace(r"\b", r"(?-u:\b)");
        let pattern = RegexBuilder::new(&pattern).case_insensitive(true).build().unwrap();
        Banned { pattern, advice: advice.to_owned() }
    };
    block.lines().map(banned).collect()
}

/// Returns the files of a room.
fn files(room: &Path) -> Vec<PathBuf> {
    if !room.is_dir() {
        return vec![room.to_owned()];
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(room).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().flat_map(|entry| files(entry)).collect()
}

/// Returns the pattern that matches a text if any line of it may have a banned one: one search is faster than many for each line.
fn any(banned: &[Banned]) -> Regex {
    let patterns: Vec<String> = banned.iter().map(|banned| format!("(?:{})", banned.pattern)).collect();
    RegexBuilder::new(&patterns.join("|")).case_insensitive(true).multi_line(true).build().unwrap()
}

/// Returns each banned pattern in a text, with its line and the advice.
fn hits(name: &str, text: &str, banned: &[Banned]) -> Vec<String> {
    let line = |(number, line): (usize, &str)| {
        let hit = banned.iter().find(|banned| banned.pattern.is_match(line))?;
        Some(format!("{name}:{}: {}\n    instead: {}", number + 1, line.trim(), hit.advice))
    };
    text.lines().enumerate().filter_map(line).collect()
}

#[test]
fn no_banned_word_is_used() {
    let banned = banned(&fs::read_to_string(root().join("STYLE.md")).unwrap());
    let any = any(&banned);
    let mut found = Vec::new();
    for path in ROOMS.iter().flat_map(|room| files(&root().join(room))) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if !EXEMPT.contains(&name.as_str()) {
            // Some data of tests is not text.
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            if any.is_match(&text) {
                found.extend(hits(&name, &text, &banned));
            }
        }
    }
    assert!(found.is_empty(), "{} lines\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_banned_word_is_found_with_its_line_and_the_advice() {
    let page = "# Style\n\n```banned\n\\bfoo\\b => bar\n\\bqu+x\\b => quux\n```\n\nThe foo.\n";
    let banned = banned(page);
    assert_eq!(banned.len(), 2);
    let text = "food\n  // The Foo of it.\nquuux\n";
    let expected = ["a.rs:2: // The Foo of it.\n    instead: bar", "a.rs:3: quuux\n    instead: quux"];
    assert_eq!(hits("a.rs", text, &banned), expected);
    let any = any(&banned);
    assert!(any.is_match(text) && !any.is_match("food\n  // The fo\no of it.\n"));
}
