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
use super::comparison::compare;
use super::filters;
use super::method::Method;
use super::value;
use super::value::describe;
use super::value::parse_bool;
use super::value::text;
use super::value::wrong;
use super::version;

type Test = fn(&Value, &Arguments) -> Result<bool, Error>;

const TESTS: [(&str, Test); 76] = [
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
    ("callable", |value, _| Ok(value.downcast_object_ref::<Method>().is_some())),
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
    ("sequence", |value, _| {
        Ok(matches!(value.kind(), ValueKind::String | ValueKind::Bytes | ValueKind::Seq | ValueKind::Map))
    }),
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
    ("divisibleby", divisible),
    ("endingwith", |value, arguments| Ok(text(value).ends_with(&arguments.text(0, "other", "")))),
    ("startingwith", |value, arguments| Ok(text(value).starts_with(&arguments.text(0, "other", "")))),
    ("eq", equal),
    ("equalto", equal),
    ("escaped", |_, _| Ok(false)),
    ("even", |number, _| is_divisible(number, 2)),
    ("odd", |number, _| is_divisible(number, 2).map(|even| !even)),
    ("false", |value, _| Ok(value.kind() == ValueKind::Bool && !value.is_true())),
    ("true", |value, _| Ok(value.kind() == ValueKind::Bool && value.is_true())),
    ("ge", at_least),
    ("greaterthan", more),
    ("gt", more),
    ("le", at_most),
    ("lessthan", less),
    ("lt", less),
    ("ne", different),
    ("in", |item, arguments| holds(&arguments.required(0, "seq")?, item)),
    ("lower", |value, _| Ok(is_of_case(&text(value), char::is_uppercase))),
    ("upper", |value, _| Ok(is_of_case(&text(value), char::is_lowercase))),
    ("safe", |_, _| Ok(false)),
    ("version_compare", version),
    ("int", |value, _| Ok(value.kind() == ValueKind::Number && value.is_integer())),
];

/// Tests that take an undefined value, or the name of a filter or test.
const OF_ENGINE: [&str; 4] = ["defined", "filter", "test", "undefined"];

/// Returns the names of all tests.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TESTS.iter().map(|(name, _)| *name).chain(OF_ENGINE)
}

/// Comparisons by their signs, for `select` and its like.
const COMPARISONS: [(&str, Test); 6] =
    [("!=", different), ("<", less), ("<=", at_most), ("==", equal), (">", more), (">=", at_least)];

/// Reports whether there is a test with a name.
pub(super) fn is_known(name: &str) -> bool {
    COMPARISONS.iter().any(|(sign, _)| *sign == name) || names().any(|known| known == name)
}

/// Adds the tests to the engine.
pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, test) in TESTS.into_iter().chain(COMPARISONS) {
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
    holds(container, &arguments.required(0, "value")?)
}

/// Reports whether a text, a list or a map holds an item.
fn holds(container: &Value, item: &Value) -> Result<bool, Error> {
    match container.as_str() {
        Some(container) => Ok(container.contains(&text(item))),
        None => Ok(value::items(container)?.contains(item)),
    }
}

fn other(arguments: &Arguments) -> Result<Value, Error> {
    arguments.required(0, "other")
}

fn equal(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    Ok(*one == other(arguments)?)
}

fn different(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    Ok(*one != other(arguments)?)
}

fn less(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    compare(one, &other(arguments)?).map(Ordering::is_lt)
}

fn at_most(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    compare(one, &other(arguments)?).map(Ordering::is_le)
}

fn more(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    compare(one, &other(arguments)?).map(Ordering::is_gt)
}

fn at_least(one: &Value, arguments: &Arguments) -> Result<bool, Error> {
    compare(one, &other(arguments)?).map(Ordering::is_ge)
}

fn divisible(number: &Value, arguments: &Arguments) -> Result<bool, Error> {
    is_divisible(number, arguments.integer(0, "num", 0)?)
}

fn is_divisible(number: &Value, divisor: i64) -> Result<bool, Error> {
    let is_number = matches!(number.kind(), ValueKind::Number | ValueKind::Bool);
    let number = is_number.then(|| number.as_i64()).flatten();
    let number = number.ok_or_else(|| wrong("only a whole number can be divided here"))?;
    let remainder = number.checked_rem(divisor);
    remainder.map(|remainder| remainder == 0).ok_or_else(|| wrong("the remainder of a division by zero"))
}

/// Reports whether a text has letters, and none of the other case.
fn is_of_case(text: &str, is_other: fn(char) -> bool) -> bool {
    text.chars().any(|c| c.is_uppercase() || c.is_lowercase()) && !text.chars().any(is_other)
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
