//! `archive`, with names that a recorded play cannot have.

use serde_json::json;

use super::Stage;

#[tokio::test]
async fn a_file_of_any_name_is_packed_and_unpacked() {
    let stage = Stage::new();
    let names = ["-rf", "it's $(touch x) `id`", "two\nlines", "*", "plain"];
    std::fs::create_dir(stage.path("tree")).unwrap();
    for name in names {
        stage.write(&format!("tree/{name}"), name);
    }
    let book = "- hosts: h1\n  tasks:\n    - archive: {path: DIR/tree, dest: 'DIR/a;b.tgz', exclusion_patterns: ['tree/pl*']}\n\
                \x20   - shell: mkdir out && tar -xzf 'a;b.tgz' -C out\n      args: {chdir: DIR}\n\
                \x20   - archive: {path: DIR/tree/, dest: 'DIR/a;b.tgz', remove: true}\n";
    let (document, code) = stage.document(book).await;
    let result = |task: usize| document["plays"][0]["tasks"][task]["hosts"]["h1"].clone();
    assert_eq!(code, 0, "{document:#}");
    for name in names.iter().filter(|name| **name != "plain") {
        assert_eq!(stage.read(&format!("out/tree/{name}")), *name);
    }
    assert_eq!(Stage::names(&stage.path("out/tree")).len(), 4);
    assert_eq!((&result(0)["missing"], &result(2)["changed"]), (&json!([]), &true.into()));
    assert!(!stage.path("tree").exists() && !stage.path("x").exists());
}

#[tokio::test]
async fn a_zip_archive_is_made_once() {
    if !std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join("zip").exists()) {
        eprintln!("skipped: there is no zip");
        return;
    }
    let stage = Stage::new();
    std::fs::create_dir(stage.path("tree")).unwrap();
    stage.write("tree/-a b", "one");
    let book = "- hosts: h1\n  tasks:\n    - archive: {path: DIR/tree, dest: DIR/a.zip, format: zip}\n";
    for changed in [true, false] {
        let (document, _) = stage.document(book).await;
        let result = &document["plays"][0]["tasks"][0]["hosts"]["h1"];
        assert_eq!((&result["changed"], &result["dest_state"]), (&changed.into(), &"archive".into()), "{result:#}");
    }
    stage.write("tree/-a b", "two");
    let (document, _) = stage.document(book).await;
    assert_eq!(document["plays"][0]["tasks"][0]["hosts"]["h1"]["changed"], true);
}
