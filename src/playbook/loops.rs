//! The items of a loop: `loop`, and the `with_*` forms, which are lookups.

use serde_json::Value;

use super::template::Scope;
use super::template::lookup_named;

/// How a task's value becomes the items of its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    /// `loop`: the value is the list.
    Loop,
    /// What a lookup finds, such as `with_items` and `with_fileglob`.
    Lookup(&'static str),
}

/// The most items that a loop may have.
const LIMIT: usize = 100_000;

impl LoopKind {
    /// Returns the kind of a task's key. The name of a lookup may begin with its collection.
    pub fn of(key: &str) -> Option<Self> {
        match key {
            "loop" => Some(Self::Loop),
            key => lookup_named(key.strip_prefix("with_")?).map(Self::Lookup),
        }
    }

    /// Returns the items of the value of a loop. `kind` is the folder of the files that a lookup looks for.
    pub fn items_in(self, value: &Value, scope: &Scope, kind: &str) -> Result<Vec<Value>, String> {
        let items = match self {
            Self::Loop => match scope.fill(value)? {
                Value::Array(items) => items,
                _ => return Err("`loop` is not a list".to_owned()),
            },
            Self::Lookup(name) => {
                let found = scope.look_up_terms(name, &terms(name, value, scope)?, kind);
                found.map_err(|why| format!("`with_{name}`: {why}"))?
            }
        };
        if items.len() > LIMIT { Err(format!("a loop has at most {LIMIT} items")) } else { Ok(items) }
    }
}

/// Returns the terms of a lookup.
fn terms(name: &str, value: &Value, scope: &Scope) -> Result<Vec<Value>, String> {
    Ok(match value {
        // As in Ansible, a file with an unknown name is not found.
        Value::Array(terms) if name == "first_found" => terms.iter().flat_map(|term| scope.fill(term)).collect(),
        value => match scope.fill(value)? {
            Value::Array(terms) => terms,
            term => vec![term],
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::LoopKind;
    use crate::playbook::template::Scope;

    fn items(key: &str, value: &serde_json::Value) -> String {
        match LoopKind::of(key).unwrap().items_in(value, &Scope::new(Vec::new()), "files") {
            Ok(items) => serde_json::Value::from(items).to_string(),
            Err(why) => why,
        }
    }

    #[test]
    fn each_form_makes_the_items_that_ansible_makes() {
        for (key, value, expected) in [
            ("with_items", json!(["a", ["b", "c"], [["d"]]]), r#"["a","b","c",["d"]]"#),
            ("with_items", json!("single"), r#"["single"]"#),
            ("with_items", json!(null), "[null]"),
            ("with_items", json!({"x": 1}), r#"[{"x":1}]"#),
            ("with_list", json!("ab"), r#"["ab"]"#),
            ("with_flattened", json!(["a", ["b", ["c"]]]), r#"["a","b","c"]"#),
            ("with_list", json!(["a", ["b", "c"]]), r#"["a",["b","c"]]"#),
            ("with_dict", json!({"x": 1}), r#"[{"key":"x","value":1}]"#),
            ("with_indexed_items", json!(["a", ["b"]]), r#"[[0,"a"],[1,"b"]]"#),
            ("with_together", json!([["a"], [1, 2]]), r#"[["a",1],[null,2]]"#),
            ("with_together", json!([[[1, 2], [3]], [[[4]]]]), "[[1,2,[4]],[3,null]]"),
            ("with_nested", json!([[[[1]], 5], [[[2]]]]), "[[1,2],[5,2]]"),
            ("with_nested", json!("ab"), r#"[["a"],["b"]]"#),
            ("with_cartesian", json!([[[[1]]], [2], null]), "[[[1],2,null]]"),
            ("with_cartesian", json!({"a": 1}), r#"[["a"]]"#),
            ("with_nested", json!([["a", "b"], [1, 2]]), r#"[["a",1],["a",2],["b",1],["b",2]]"#),
            ("with_nested", json!(["ab", {"k": 1}]), r#"[["a","k"],["b","k"]]"#),
            ("with_together", json!(["ab", {"k": 1}]), r#"[["a","k"],["b",null]]"#),
            ("with_cartesian", json!([[], [1]]), "[]"),
            ("with_cartesian", json!(["ab", {"k": 1}, 5]), r#"[["ab","k",5]]"#),
            ("with_subelements", json!([[{"n": "u", "k": [1, 2]}], "k"]), r#"[[{"n":"u"},1],[{"n":"u"},2]]"#),
            ("with_subelements", json!([[{"n": 1}], "k", {"skip_missing": true}]), "[]"),
            ("with_subelements", json!([[{"n": 1, "skipped": true}], "k"]), "[]"),
            ("with_subelements", json!([{"u": {"o": {"k": [1]}}}, "o.k"]), r#"[[{"o":{}},1]]"#),
            ("with_dict", json!([{"x": 1}, {"y": 2}]), r#"[{"key":"x","value":1},{"key":"y","value":2}]"#),
            ("with_indexed_items", json!("one"), r#"[[0,"one"]]"#),
            ("with_sequence", json!("start=1 end=6 stride=2 format=t%02d"), r#"["t01","t03","t05"]"#),
            ("with_sequence", json!("count=3"), r#"["1","2","3"]"#),
            ("with_sequence", json!("start=4 end=0 stride=-2"), r#"["4","2","0"]"#),
            ("with_sequence", json!(["1-2", "start=5 count=2"]), r#"["1","2","5","6"]"#),
            ("with_sequence", json!("start=1 end=2 stride=0"), "[]"),
            ("with_sequence", json!("end=2 format=%s"), r#"["1","2"]"#),
        ] {
            assert_eq!(items(key, &value), expected, "{key} {value}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_an_error_and_the_number_of_items_is_bounded() {
        for (key, value, expected) in [
            ("loop", json!("x"), "`loop` is not a list"),
            ("with_dict", json!([1]), "`with_dict`: expected a map, not `1`"),
            ("with_nested", json!([[1], 5]), "`with_nested`: `5` is not a list"),
            ("with_nested", json!([]), "`with_nested`: at least one list is needed"),
            ("with_together", json!([[1], null]), "`with_together`: `None` is not a list"),
            ("with_subelements", json!([[{"n": 1}], "k"]), "`with_subelements`: an item has no list `k`"),
            (
                "with_subelements",
                json!([[{"n": 1}], "k", "skip_missing=true"]),
                "`with_subelements`: the third term must be a map with `skip_missing`",
            ),
            ("with_sequence", json!("end=5 step=2"), "`with_sequence`: a sequence has no `step`"),
            ("with_sequence", json!("start=1"), "`with_sequence`: a sequence needs `end` or `count`"),
            ("with_sequence", json!("end=1 count=1"), "`with_sequence`: a sequence has either `end` or `count`"),
            ("with_sequence", json!("start=9 end=1"), "`with_sequence`: no steps of 1 lead from 9 to 1"),
            ("with_sequence", json!("end=999999"), "`with_sequence`: a sequence may have at most 100000 numbers"),
            ("with_sequence", json!("end=2 format=%x%%"), "`with_sequence`: the format `%x%%` needs exactly one `%`"),
        ] {
            assert_eq!(items(key, &value), expected, "{key} {value}");
        }
        let long = json!(vec![0; 400]);
        assert_eq!(
            items("with_nested", &json!([long, long])),
            "`with_nested`: the list would have more than 100000 items"
        );
    }
}
