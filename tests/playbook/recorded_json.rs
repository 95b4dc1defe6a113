//! Plays of which ansible-playbook has printed a JSON document before: each of its values must be in muster's document too.
//!
//! `scripts/record-json-plays` records them, and leaves out what cannot be the same. Each play has a folder in
//! `tests/data/json-plays`.

use std::path::Path;

use serde_json::Value;

use super::Stage;

/// Stands for a value that cannot be the same.
const ANY: &str = "…";

/// Returns where the document lacks an expected value, or has another one.
fn missing(place: &str, expected: &Value, found: Option<&Value>) -> Vec<String> {
    match (expected, found) {
        (Value::String(any), Some(_)) if any == ANY => Vec::new(),
        (Value::Object(expected), Some(Value::Object(found))) => {
            let below = |(key, value): (&String, _)| missing(&format!("{place}.{key}"), value, found.get(key));
            expected.iter().flat_map(below).collect()
        }
        (Value::Array(expected), Some(Value::Array(found))) if expected.len() == found.len() => {
            let below = |(at, value)| missing(&format!("{place}[{at}]"), value, found.get(at));
            expected.iter().enumerate().flat_map(below).collect()
        }
        (expected, Some(found)) if expected == found => Vec::new(),
        (expected, found) => vec![format!("{place}: expected {expected}, found {found:?}")],
    }
}

#[tokio::test]
async fn the_document_has_each_value_that_ansibles_document_has() {
    let plays = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/json-plays");
    for name in Stage::names(&plays) {
        let folder = plays.join(&name);
        let expected: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
        let mut stage = Stage::new();
        stage.shells.unreachable.insert("h3".to_owned());
        let work = tempfile::tempdir().unwrap();
        let work = work.path().display().to_string();
        stage.extra.insert("work".to_owned(), work.clone().into());
        let document = stage.document_of_file(&folder.join("play.yml")).await.to_string();
        let document = document.replace(&format!("{}/", folder.display()), "PLAY/").replace(&work, "WORK");
        let missing = missing("", &expected, Some(&serde_json::from_str(&document).unwrap()));
        assert!(missing.is_empty(), "{name}:\n{}", missing.join("\n"));
    }
}
