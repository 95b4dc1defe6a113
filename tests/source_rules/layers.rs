//! The layers of `docs/architecture.md`: a folder of the source tree imports only the folders below it, and no two files
//! import each other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use super::assert_nowhere;
use super::code;
use super::files;
use super::folders;

/// The folders and files of the source tree, from the highest layer to the lowest.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["api"],
    &["ui"],
    &["playbook", "control"],
    &["runner"],
    &["application", "lab", "discovery", "inventory", "metrics"],
    &["secret", "vault"],
    &["remote", "store"],
    &["http", "notify"],
    &["core/simulation"],
    &["core/reconcile"],
    &["core/alert"],
    &[
        "core/command",
        "core/explain",
        "core/health",
        "core/lease",
        "core/machine_lookup",
        "core/plan",
        "core/schedule",
        "core/simulated_host",
    ],
    &["core/model", "core/unit"],
    &[
        "core/fingerprint",
        "core/hex",
        "core/machine_id",
        "core/sanitize",
        "core/secret_name",
        "core/secrets",
        "core/similar",
        "core/text_record",
        "accounts",
        "child_process",
        "difference",
    ],
];

#[test]
fn no_folder_imports_a_layer_above_it() {
    for (number, layer) in LAYERS.iter().enumerate().skip(1) {
        let above = LAYERS.iter().take(number).flat_map(|layer| layer.iter());
        let above: Vec<String> = above.map(|room| format!("crate::{}", room.replace('/', "::"))).collect();
        let above: Vec<&str> = above.iter().map(String::as_str).collect();
        for room in *layer {
            assert_nowhere(&format!("src/{room}"), &above, &[]);
        }
    }
}

#[test]
fn each_folder_and_file_has_its_layer() {
    let rooms: BTreeSet<&str> = LAYERS.iter().flat_map(|layer| layer.iter()).copied().collect();
    let source = files("src").into_iter().map(|path| module(&path));
    let lost = source.filter(|module| !matches!(module.as_str(), "lib" | "main" | "core"));
    let lost: Vec<String> =
        lost.filter(|module| !rooms.iter().any(|room| is_within(module, &room.replace('/', "::")))).collect();
    assert!(lost.is_empty(), "these modules are in no layer: {lost:?}");
}

#[test]
fn no_two_files_import_each_other() {
    for folder in folders("src") {
        let imports = imports(&folder);
        let circles: Vec<&String> = imports.keys().filter(|file| reaches(&imports, file, file)).collect();
        assert!(circles.is_empty(), "a circle through {circles:?} of {imports:#?}");
    }
}

/// Returns the files of a folder, each as the path of its module, with the modules that it imports. A module and its own
/// children may import each other.
fn imports(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let paths: Vec<_> =
        files(&format!("src/{folder}")).into_iter().filter(|path| !path.ends_with("tests.rs")).collect();
    let modules: BTreeSet<String> = paths.iter().map(|path| module(path)).collect();
    let imports = |path: &Path| {
        let own = module(path);
        let lines = code(path).into_iter().filter_map(|(_, line)| imported(&own, &line));
        let files = lines.filter_map(|path| modules.iter().filter(|other| is_within(&path, other)).max().cloned());
        files.filter(|other| !is_within(&own, other) && !is_within(other, &own)).collect()
    };
    paths.iter().map(|path| (module(path), imports(path))).collect()
}

/// Returns the path of a file's module: `control::membership::join`.
fn module(path: &Path) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = path.strip_prefix(source).unwrap().with_extension("").display().to_string().replace('/', "::");
    path.strip_suffix("::mod").map_or_else(|| path.clone(), str::to_owned)
}

/// Returns the path that a line of a module imports.
fn imported(own: &str, line: &str) -> Option<String> {
    let mut rest = line.trim_start_matches("pub ").strip_prefix("use ")?;
    if let Some(path) = rest.strip_prefix("crate::") {
        return Some(path.to_owned());
    }
    let mut base = own;
    while let Some(shorter) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once("::").map_or("", |(parent, _)| parent), shorter);
    }
    (base != own).then(|| format!("{base}::{rest}"))
}

/// Reports whether a path is a module or within it.
fn is_within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with(';'))
}

/// Reports whether a file imports another one, by itself or through others.
fn reaches(imports: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut open = vec![from];
    let mut seen = BTreeSet::new();
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if next == to {
                return true;
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

#[test]
fn imports_are_read_as_the_compiler_reads_them() {
    assert_eq!(imported("control::sweep", "use super::problems::Problem;").unwrap(), "control::problems::Problem;");
    assert_eq!(imported("control::a::b", "pub use super::super::goal;").unwrap(), "control::goal;");
    assert_eq!(imported("control::sweep", "use crate::runner;").unwrap(), "runner;");
    assert_eq!(imported("control::sweep", "use std::fmt;"), None);
    assert!(is_within("control::goal;", "control::goal") && !is_within("control::goals", "control::goal"));
    let all = imports("control");
    assert!(all["control::operation"].contains("control::follow"), "{all:#?}");
    assert!(!all["control::membership::join"].contains("control::membership"), "{all:#?}");
}

#[test]
fn a_circle_is_found() {
    let import = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
    let imports = BTreeMap::from([import("a", "b"), import("b", "c"), import("c", "b")]);
    assert!(reaches(&imports, "b", "b") && reaches(&imports, "c", "c") && !reaches(&imports, "a", "a"));
}
