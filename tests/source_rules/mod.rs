//! Rules of the source tree that the compiler does not know.

mod words;

mod layers;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use muster::cli::variables;
use regex::Regex;

/// Returns the names of the folders in a folder of the source tree.
fn folders(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let folders = entries.map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(!names.is_empty(), "no folder in {folder}");
    names
}

/// Returns every Rust file of a module of the source tree: a folder, or a file without its ending with its children.
fn files(module: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(module);
    let file = path.with_extension("rs");
    let mut found: Vec<PathBuf> = file.is_file().then_some(file).into_iter().collect();
    let mut open: Vec<PathBuf> = path.is_dir().then_some(path).into_iter().collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no source under {module}");
    found
}

/// Returns the lines of a file that are code, each with its number.
fn code(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim().to_owned()));
    lines.filter(|(_, line)| !line.starts_with("//")).collect()
}

fn assert_nowhere(folder: &str, words: &[&str], allowed: &[&str]) {
    let mut found = Vec::new();
    for path in files(folder) {
        let relative = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        if allowed.iter().any(|room| relative.starts_with(room)) {
            continue;
        }
        for (number, line) in code(&path) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                found.push(format!("{relative}:{number}: {word}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let world = [
        "tokio",
        "russh",
        "etcd_client",
        "rusqlite",
        "tracing",
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "std::thread",
        "std::io",
        "Instant",
        "SystemTime",
        "HashMap",
        "HashSet",
        "rand",
        "crate::store",
        "crate::remote",
        "crate::runner",
        "crate::control",
        "crate::ui",
        "crate::cli",
        "println!",
        "eprintln!",
        "async ",
    ];
    assert_nowhere("src/core", &world, &[]);
}

#[test]
fn the_ui_renders_values_and_knows_nothing_of_the_layers_above() {
    assert_nowhere("src/ui", &["crate::cli", "crate::control", "crate::playbook", "crate::runner"], &[]);
}

#[test]
fn each_library_is_named_in_its_room_only() {
    assert_nowhere("src", &["russh::"], &["src/remote/"]);
    assert_nowhere("src", &["ratatui::", "unicode_width::"], &["src/ui/"]);
    assert_nowhere("src", &["etcd_client::", "rusqlite::"], &["src/store/"]);
}

#[test]
fn each_variable_that_the_source_names_is_known() {
    let (known, name) = (variables::known(), Regex::new("MUSTER_[A-Z]+(_[A-Z]+)*").unwrap());
    // Its tests misspell some.
    for path in files("src").into_iter().filter(|path| !path.ends_with("cli/variables.rs")) {
        for (number, line) in code(&path).into_iter().filter(|(_, line)| !line.contains("MUSTER_WRITE_DOCS")) {
            let unknown = name.find_iter(&line).map(|it| it.as_str()).find(|name| !known.contains(*name));
            assert_eq!(unknown, None, "{}:{number}", path.display());
        }
    }
}
