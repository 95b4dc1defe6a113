//! The items of a loop: `loop`, and the `with_*` forms. Those that need more than their value are lookups.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::template::Scope;
use super::template::lookup_named;
use super::template::lookup_short;

/// How a task's value becomes the items of its loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopKind {
    /// `loop`: the value is the list.
    Loop,
    /// `with_list`: the value is the list.
    List,
    /// `with_items`: lists in the list are flattened by one level, and another value is the only item.
    Items,
    /// `with_flattened`: lists are flattened at every level.
    Flattened,
    /// `with_dict`: one item with `key` and `value` for each entry.
    Dict,
    /// `with_indexed_items`: each item with its index.
    Indexed,
    /// `with_subelements`: each entry with each item of a list in it.
    Subelements,
    /// `with_sequence`: numbers.
    Sequence,
    /// What a lookup finds, such as `with_nested` and `with_fileglob`.
    Lookup(&'static str),
}

/// The most items that a loop may have.
const LIMIT: usize = 100_000;

impl LoopKind {
    /// Returns the kind of a task's key.
    pub fn of(key: &str) -> Option<Self> {
        // The name of a lookup may begin with its collection.
        let short = key.strip_prefix("with_").map(|name| format!("with_{}", lookup_short(name)));
        Some(match short.as_deref().unwrap_or(key) {
            "loop" => Self::Loop,
            "with_list" => Self::List,
            "with_items" => Self::Items,
            "with_flattened" => Self::Flattened,
            "with_dict" => Self::Dict,
            "with_indexed_items" => Self::Indexed,
            "with_subelements" => Self::Subelements,
            "with_sequence" => Self::Sequence,
            key => Self::Lookup(lookup_named(key.strip_prefix("with_")?)?),
        })
    }

    /// Returns the items of the value of a loop. `kind` is the folder of the files that a lookup looks for.
    pub fn items_in(self, value: &Value, scope: &Scope, kind: &str) -> Result<Vec<Value>, String> {
        let Self::Lookup(name) = self else { return self.items(scope.fill(value)?) };
        let terms = match value {
            // As in Ansible, a file with an unknown name is not found.
            Value::Array(terms) if name == "first_found" => terms.iter().flat_map(|term| scope.fill(term)).collect(),
            value => match scope.fill(value)? {
                Value::Array(terms) => terms,
                term => vec![term],
            },
        };
        bounded(scope.look_up_terms(name, &terms, kind).map_err(|why| format!("`with_{name}`: {why}"))?)
    }

    /// Returns the items of a value in which every template is filled in.
    fn items(self, value: Value) -> Result<Vec<Value>, String> {
        let items = match self {
            Self::Loop => match value {
                Value::Array(items) => items,
                _ => return Err("`loop` is not a list".to_owned()),
            },
            Self::List => match value {
                Value::Array(items) => items,
                _ => return Err("`with_list` is not a list".to_owned()),
            },
            Self::Items => flattened(value, false),
            Self::Flattened => flattened(value, true),
            Self::Dict => dict(value)?,
            Self::Indexed => (0..).zip(flattened(value, false)).map(|(index, item)| json!([index, item])).collect(),
            Self::Subelements => subelements(value)?,
            Self::Sequence => sequence(value)?,
            Self::Lookup(name) => return Err(format!("`with_{name}` needs variables")),
        };
        bounded(items)
    }
}

fn bounded(items: Vec<Value>) -> Result<Vec<Value>, String> {
    if items.len() > LIMIT { Err(format!("a loop has at most {LIMIT} items")) } else { Ok(items) }
}

/// Flattens the lists in a list by one level, or at every level. Another value is a list of one item.
fn flattened(value: Value, is_deep: bool) -> Vec<Value> {
    let inner = |item: Value| match item {
        item @ Value::Array(_) if is_deep => flattened(item, true),
        Value::Array(items) => items,
        item => vec![item],
    };
    match value {
        Value::Array(items) => items.into_iter().flat_map(inner).collect(),
        Value::Null => Vec::new(),
        value => vec![value],
    }
}

fn dict(value: Value) -> Result<Vec<Value>, String> {
    let Value::Object(entries) = value else { return Err("`with_dict` is not a map".to_owned()) };
    Ok(entries.into_iter().map(|(key, value)| json!({"key": key, "value": value})).collect())
}

/// Returns each entry of the first element, without the list that the second one names, with each item of that list.
fn subelements(value: Value) -> Result<Vec<Value>, String> {
    let what = "`with_subelements` must be a list of entries and the name of a list in them";
    let Value::Array(terms) = value else { return Err(what.to_owned()) };
    let mut terms = terms.into_iter();
    let (Some(entries), Some(Value::String(path))) = (terms.next(), terms.next()) else { return Err(what.to_owned()) };
    let skips = terms.next().is_some_and(|flags| flags.get("skip_missing") == Some(&Value::Bool(true)));
    let entries = match entries {
        Value::Array(entries) => entries,
        Value::Object(entries) => entries.into_iter().map(|(_, entry)| entry).collect(),
        _ => return Err(what.to_owned()),
    };
    let mut items = Vec::new();
    for mut entry in entries {
        let keys: Vec<&str> = path.split('.').collect();
        match remove(&mut entry, &keys) {
            Some(Value::Array(list)) => items.extend(list.into_iter().map(|item| json!([entry.clone(), item]))),
            None if skips => {}
            _ => return Err(format!("`with_subelements`: an entry has no list `{path}`")),
        }
    }
    Ok(items)
}

/// Removes what is at a path of keys.
fn remove(value: &mut Value, keys: &[&str]) -> Option<Value> {
    let entries: &mut Map<String, Value> = value.as_object_mut()?;
    match keys {
        [key] => entries.shift_remove(*key),
        [key, rest @ ..] => remove(entries.get_mut(*key)?, rest),
        [] => None,
    }
}

/// Returns the numbers of a sequence: `start=0 end=10 stride=2 format=web%02d`, or the same as a map.
fn sequence(value: Value) -> Result<Vec<Value>, String> {
    let pairs: Vec<(String, String)> = match value {
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
        Value::String(text) => {
            let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            let words: Option<Vec<_>> = text.split_whitespace().map(pair).collect();
            words.ok_or_else(|| format!("`with_sequence`: `{text}` has a word that is not NAME=VALUE"))?
        }
        value => return Err(format!("`with_sequence` must be pairs such as `start=1 end=4`, not {value}")),
    };
    let mut numbers: [Option<i64>; 4] = [None; 4];
    let mut format = "%d".to_owned();
    for (key, text) in pairs {
        let place = ["start", "end", "stride", "count"].iter().position(|name| *name == key);
        match place.and_then(|place| numbers.get_mut(place)) {
            Some(number) => {
                let parsed = text.parse().map_err(|_| format!("`with_sequence`: {key}={text} is no number"))?;
                *number = Some(parsed);
            }
            None if key == "format" => format = text,
            None => return Err(format!("`with_sequence` has no `{key}`")),
        }
    }
    let [start, end, stride, count] = numbers;
    let (start, stride) = (start.unwrap_or(i64::from(count.is_some())), stride.unwrap_or(1));
    let end = match (end, count) {
        (Some(end), None) => end,
        (None, Some(count)) => start.saturating_add(stride.saturating_mul(count - 1)),
        _ => return Err("`with_sequence` needs either `end` or `count`".to_owned()),
    };
    if stride == 0 || count == Some(0) {
        return Ok(Vec::new());
    }
    if (stride > 0) != (end >= start) && end != start {
        return Err(format!("`with_sequence` does not get from {start} to {end} in steps of {stride}"));
    }
    let length = usize::try_from((end - start) / stride).unwrap_or(usize::MAX);
    if length >= LIMIT {
        return Err(format!("a loop has at most {LIMIT} items"));
    }
    let number = |index: i64| formatted(&format, start + index * stride).map(Value::String);
    (0..).take(length + 1).map(number).collect()
}

/// Writes a number in a format such as `web%02d` or `0x%x`.
fn formatted(format: &str, number: i64) -> Result<String, String> {
    let wrong = || format!("`with_sequence`: muster does not know the format {format}");
    let (head, rest) = format.split_once('%').ok_or_else(wrong)?;
    let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (width, tail) = rest.split_at(end);
    let zeros = width.starts_with('0');
    let width: usize =
        if width.is_empty() { 0 } else { width.parse().ok().filter(|width| *width < 100).ok_or_else(wrong)? };
    let (kind, tail) = tail.split_at(1);
    let digits = match kind {
        "d" | "i" | "u" => number.to_string(),
        "x" => format!("{number:x}"),
        "X" => format!("{number:X}"),
        "o" => format!("{number:o}"),
        _ => return Err(wrong()),
    };
    let padded = if zeros { format!("{digits:0>width$}") } else { format!("{digits:>width$}") };
    Ok(format!("{head}{padded}{}", tail.replace("%%", "%")))
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
            ("with_items", json!(null), "[]"),
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
            ("with_sequence", json!("start=1 end=6 stride=2 format=t%02d"), r#"["t01","t03","t05"]"#),
            ("with_sequence", json!("count=3"), r#"["1","2","3"]"#),
            ("with_sequence", json!({"start": 4, "end": 0, "stride": -2}), r#"["4","2","0"]"#),
            ("with_sequence", json!("end=2 format=%x%%"), r#"["0%","1%","2%"]"#),
        ] {
            assert_eq!(items(key, &value), expected, "{key} {value}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_form_is_an_error_and_the_number_of_items_is_bounded() {
        for (key, value, expected) in [
            ("loop", json!("x"), "`loop` is not a list"),
            ("with_dict", json!([1]), "`with_dict` is not a map"),
            ("with_nested", json!([[1], 5]), "`with_nested`: `5` is not a list"),
            ("with_nested", json!([]), "`with_nested`: at least one list is needed"),
            ("with_together", json!([[1], null]), "`with_together`: `None` is not a list"),
            ("with_subelements", json!([[{"n": 1}], "k"]), "`with_subelements`: an entry has no list `k`"),
            ("with_sequence", json!("end=5 step=2"), "`with_sequence` has no `step`"),
            ("with_sequence", json!("start=1"), "`with_sequence` needs either `end` or `count`"),
            ("with_sequence", json!("start=9 end=1"), "`with_sequence` does not get from 9 to 1 in steps of 1"),
            ("with_sequence", json!("end=999999"), "a loop has at most 100000 items"),
            ("with_sequence", json!("end=3 format=%s"), "`with_sequence`: muster does not know the format %s"),
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
