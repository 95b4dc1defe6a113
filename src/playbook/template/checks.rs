//! Ansible's tests (`x is NAME`), and those of Jinja2 that the engine lacks or has otherwise.

use std::cmp::Ordering;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::Value;
use minijinja::value::Rest;
use minijinja::value::ValueKind;
use minijinja::value::ValueOrKwargs;

use super::arguments::Arguments;
use super::filters;
use super::value;
use super::value::describe;
use super::value::parse_bool;
use super::value::text;
use super::value::wrong;
use super::version;

type Test = fn(&Value, &Arguments) -> Result<bool, Error>;

const TESTS: [(&str, Test); 53] = [
    ("string", |value, _| Ok(value.kind() == ValueKind::String)),
    ("none", |value, _| Ok(value.is_none())),
    ("mapping", |value, _| Ok(value.kind() == ValueKind::Map)),
    ("iterable", |value, _| {
        Ok(matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map))
    }),
    ("integer", |value, _| Ok(value.kind() == ValueKind::Number && value.is_integer())),
    ("float", |value, _| Ok(value.kind() == ValueKind::Number && !value.is_integer())),
    ("boolean", |value, _| Ok(value.kind() == ValueKind::Bool)),
    ("abs", |path, _| Ok(text(path).starts_with('/'))),
    ("all", |list, _| Ok(value::items(list)?.iter().all(Value::is_true))),
    ("any", |list, _| Ok(value::items(list)?.iter().any(Value::is_true))),
    ("callable", |_, _| Ok(false)),
    ("change", |result, _| flag(result, "changed")),
    ("changed", |result, _| flag(result, "changed")),
    ("contains", contains),
    ("directory", |path, _| Ok(Path::new(&text(path)).is_dir())),
    ("exists", |path, _| Ok(Path::new(&text(path)).exists())),
    ("failed", |result, _| flag(result, "failed")),
    ("failure", |result, _| flag(result, "failed")),
    ("falsy", |value, arguments| truthy(value, arguments).map(|truthy| !truthy)),
    ("file", |path, _| Ok(Path::new(&text(path)).is_file())),
    ("finished", |result, _| flag(result, "finished")),
    ("is_abs", |path, _| Ok(text(path).starts_with('/'))),
    ("is_dir", |path, _| Ok(Path::new(&text(path)).is_dir())),
    ("is_file", |path, _| Ok(Path::new(&text(path)).is_file())),
    ("is_link", |path, _| Ok(Path::new(&text(path)).is_symlink())),
    ("isnan", |number, _| Ok(is_nan(number))),
    ("issubset", subset),
    ("issuperset", |list, arguments| superset(list, arguments)),
    ("link", |path, _| Ok(Path::new(&text(path)).is_symlink())),
    ("link_exists", |path, _| Ok(Path::new(&text(path)).symlink_metadata().is_ok())),
    ("match", |value, arguments| pattern(value, arguments, true)),
    ("mount", mount),
    ("nan", |number, _| Ok(is_nan(number))),
    ("number", |value, _| Ok(matches!(value.kind(), ValueKind::Number | ValueKind::Bool))),
    ("regex", regex),
    ("same_file", same_file),
    ("sameas", |value, arguments| Ok(same(value, &arguments.required(0, "other")?))),
    ("search", |value, arguments| pattern(value, arguments, false)),
    ("sequence", |value, _| Ok(matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map))),
    ("skip", |result, _| flag(result, "skipped")),
    ("skipped", |result, _| flag(result, "skipped")),
    ("started", |result, _| flag(result, "started")),
    ("subset", subset),
    ("succeeded", |result, _| flag(result, "failed").map(|failed| !failed)),
    ("success", |result, _| flag(result, "failed").map(|failed| !failed)),
    ("successful", |result, _| flag(result, "failed").map(|failed| !failed)),
    ("superset", superset),
    ("truthy", truthy),
    ("unreachable", |result, _| flag(result, "unreachable")),
    ("uri", |value, arguments| uri(value, arguments, |scheme| !scheme.is_empty())),
    ("url", url),
    ("urn", |value, arguments| uri(value, arguments, |scheme| scheme == "urn")),
    ("version", version),
];

/// The engine's own tests that playbooks use.
const OF_ENGINE: [&str; 27] = [
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "le",
    "lessthan",
    "lower",
    "lt",
    "ne",
    "odd",
    "safe",
    "startingwith",
    "test",
    "true",
    "undefined",
    "upper",
    "version_compare",
    "int",
];

/// Returns the names of all tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|(name, _)| *name).chain(OF_ENGINE)
}

/// The names of comparisons for `select` and its like.
pub(super) const COMPARISONS: [&str; 6] = ["!=", "<", "<=", "==", ">", ">="];

/// Adds the tests to the engine.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, test) in TESTS.into_iter().chain([("version_compare", version as Test)]) {
        for full in [name.to_owned(), format!("ansible.builtin.{name}")] {
            environment.add_test(full, move |value: Value, rest: Rest<ValueOrKwargs>| {
                if value.is_undefined() {
                    return Err(Error::from(ErrorKind::UndefinedError));
                }
                test(&value, &Arguments::new(&rest.into_values()))
            });
        }
    }
    environment.add_test("filter", |name: &str| filters::is_known(name));
    environment.add_test("test", |name: &str| names().any(|known| known == name));
}

/// Reports whether a task's registered result has a flag set.
fn flag(result: &Value, key: &str) -> Result<bool, Error> {
    if result.kind() != ValueKind::Map {
        return Err(wrong(format!("expected the result of a task, not {}", describe(result))));
    }
    Ok(result.get_attr(key).is_ok_and(|flag| flag.is_true()))
}

fn truthy(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let converts = arguments.flag(0, "convert_bool", false);
    let word = value.as_str().filter(|_| converts).and_then(parse_bool);
    Ok(word.unwrap_or_else(|| value.is_true()))
}

fn is_nan(number: &Value) -> bool {
    number.kind() == ValueKind::Number && f64::try_from(number.clone()).is_ok_and(f64::is_nan)
}

/// Reports whether two values are the same object, as Python's `is` does for the values that templates compare so.
fn same(one: &Value, other: &Value) -> bool {
    one.kind() == other.kind() && one.is_integer() == other.is_integer() && one == other
}

fn contains(container: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let item = arguments.required(0, "value")?;
    match container.as_str() {
        Some(container) => Ok(container.contains(&text(&item))),
        None => Ok(value::items(container)?.contains(&item)),
    }
}

fn lists(value: &Value, arguments: &Arguments) -> Result<[Vec<Value>; 2], Error> {
    Ok([value::items(value)?, value::items(&arguments.required(0, "list")?)?])
}

fn subset(list: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let [small, large] = lists(list, arguments)?;
    Ok(small.iter().all(|item| large.contains(item)))
}

fn superset(list: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let [large, small] = lists(list, arguments)?;
    Ok(small.iter().all(|item| large.contains(item)))
}

fn pattern(value: &Value, arguments: &Arguments, at_start: bool) -> Result<bool, Error> {
    let mut flags = filters::pattern_flags(arguments);
    flags.ignore_case |= arguments.flag(1, "ignorecase", false);
    flags.multiline |= arguments.flag(2, "multiline", false);
    let pattern = filters::compiled_pattern(&arguments.text(0, "pattern", ""), flags)?;
    let subject = text(value);
    let found = if at_start { pattern.find_at_start(&subject) } else { pattern.find(&subject, 0) };
    Ok(found.map_err(wrong)?.is_some())
}

fn regex(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    match arguments.text(3, "match_type", "search").as_str() {
        "search" => pattern(value, arguments, false),
        "match" => pattern(value, arguments, true),
        kind => Err(wrong(format!("invalid match_type `{kind}`: expected search or match"))),
    }
}

fn mount(path: &Value, _: &Arguments) -> Result<bool, Error> {
    let path = text(path);
    let (here, above) = (Path::new(&path).symlink_metadata(), Path::new(&path).join("..").symlink_metadata());
    let (Ok(here), Ok(above)) = (here, above) else { return Ok(false) };
    Ok(!here.is_symlink() && (here.dev() != above.dev() || here.ino() == above.ino()))
}

fn same_file(path: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let real = |path: &str| Path::new(path).canonicalize().ok();
    let (one, other) = (real(&text(path)), real(&arguments.text(0, "other", "")));
    Ok(one.is_some() && one == other)
}

fn uri(value: &Value, arguments: &Arguments, fits: fn(&str) -> bool) -> Result<bool, Error> {
    let address = text(value);
    let is_scheme = |scheme: &str| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let scheme = address.split_once(':').map(|(scheme, _)| scheme.to_lowercase()).filter(|scheme| is_scheme(scheme));
    let Some(scheme) = scheme.filter(|scheme| fits(scheme)) else { return Ok(false) };
    match arguments.get(0, "schemes").filter(|schemes| !schemes.is_none()) {
        None => Ok(true),
        Some(schemes) => Ok(value::items(&schemes)?.iter().any(|known| text(known) == scheme)),
    }
}

fn url(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let address = text(value);
    let host = address.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
    Ok(host.is_some_and(|host| !host.is_empty()) && uri(value, arguments, |_| true)?)
}

fn version(value: &Value, arguments: &Arguments) -> Result<bool, Error> {
    let (one, other) = (text(value), arguments.text(0, "version", ""));
    let kind = match arguments.get(3, "version_type").filter(|kind| !kind.is_none()) {
        Some(kind) => text(&kind),
        None if arguments.flag(2, "strict", false) => "strict".to_owned(),
        None => "loose".to_owned(),
    };
    let order = version::compare(&one, &other, &kind).map_err(wrong)?;
    let operator = arguments.text(1, "operator", "eq");
    Ok(match operator.as_str() {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        _ => return Err(wrong(format!("invalid operator `{operator}` of a version: expected ==, !=, <, <=, > or >="))),
    })
}
