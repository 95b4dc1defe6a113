//! What the fuzz targets do with their input. `tests/fuzz/` runs the same functions on the corpora.

mod api;
mod facts;
mod inventory;
mod names;
mod playbook;
mod reconcile;
mod report;
mod ssh;
mod unit;
mod vault;

use std::fs;
use std::path::Path;

use muster::inventory::diagnostic::Position;
use tempfile::TempDir;

pub use api::api;
pub use facts::facts;
pub use inventory::ini;
pub use inventory::pattern;
pub use inventory::toml;
pub use inventory::yaml;
pub use names::name;
pub use playbook::playbook;
pub use playbook::template;
pub use reconcile::reconcile;
pub use report::report;
pub use ssh::known_hosts;
pub use ssh::ssh_config;
pub use unit::glob;
pub use unit::unit;
pub use vault::vault;

/// A function that panics if its input shows a fault.
pub type Target = fn(&[u8]);

/// The targets by name. Each has a binary in `fuzz_targets/` and a folder in `corpus/`.
pub const TARGETS: [(&str, Target); 16] = [
    ("api", api),
    ("facts", facts),
    ("glob", glob),
    ("ini", ini),
    ("known_hosts", known_hosts),
    ("name", name),
    ("pattern", pattern),
    ("playbook", playbook),
    ("reconcile", reconcile),
    ("report", report),
    ("ssh_config", ssh_config),
    ("template", template),
    ("toml", toml),
    ("unit", unit),
    ("vault", vault),
    ("yaml", yaml),
];

thread_local! {
    /// A folder for the readers of files. No other file is in it.
    static FOLDER: TempDir = tempfile::tempdir().expect("a temporary folder");
}

/// Writes a file, reads it and removes it.
fn in_file<T>(name: &str, data: &[u8], read: impl FnOnce(&Path) -> T) -> T {
    FOLDER.with(|folder| {
        let file = folder.path().join(name);
        fs::write(&file, data).expect("a file");
        let result = read(&file);
        fs::remove_file(&file).expect("the file");
        result
    })
}

/// Checks that a text has the line of a position.
fn assert_within(at: Position, text: &str) {
    let ends =
        text.chars().filter(|c| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'));
    assert!(at.line <= ends.count() as u64 + 1, "line {} of {text:?}", at.line);
}
