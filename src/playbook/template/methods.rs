//! Methods of text, lists and maps, as Python has them.
//!
//! `minijinja_contrib::pycompat` has those that change nothing; here are the rest.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::formatting::FormatStyle;
use minijinja::formatting::format;
use minijinja::value::ValueKind;
use minijinja_contrib::pycompat;

use super::arguments::Arguments;
use super::value;
use super::value::List;
use super::value::Map;
use super::value::describe;
use super::value::text;
use super::value::wrong;

/// The names of all methods, for messages.
pub(super) const NAMES: [&str; 63] = [
    "__setitem__",
    "append",
    "capitalize",
    "casefold",
    "center",
    "changed",
    "clear",
    "copy",
    "count",
    "cycle",
    "date",
    "endswith",
    "expandtabs",
    "extend",
    "find",
    "format",
    "get",
    "index",
    "insert",
    "isalnum",
    "isalpha",
    "isascii",
    "isdigit",
    "islower",
    "isnumeric",
    "isoformat",
    "isspace",
    "isupper",
    "items",
    "join",
    "keys",
    "ljust",
    "lower",
    "lstrip",
    "next",
    "partition",
    "pop",
    "remove",
    "removeprefix",
    "removesuffix",
    "replace",
    "reset",
    "reverse",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "setdefault",
    "sort",
    "split",
    "splitlines",
    "startswith",
    "strftime",
    "strip",
    "swapcase",
    "timestamp",
    "title",
    "update",
    "upper",
    "values",
    "zfill",
];

/// The longest text that a method makes.
const TEXT: usize = 1 << 20;

/// Calls a method of a value.
pub(super) fn call(state: &mut State<'_, '_>, object: &Value, method: &str, given: &[Value]) -> Result<Value, Error> {
    let arguments = Arguments::new(given);
    let own = if let Some(list) = object.downcast_object_ref::<List>() {
        of_list(list, method, &arguments)?
    } else if let Some(map) = object.downcast_object_ref::<Map>() {
        of_map(map, method, &arguments)?
    } else if let Some(text) = object.as_str() {
        of_text(text, method, &arguments)?
    } else {
        None
    };
    let is_list = matches!(object.kind(), ValueKind::Seq | ValueKind::Iterable);
    match own {
        // These do not need the list afterwards. A change of a list without a name would be lost.
        None if is_list && matches!(method, "pop" | "index") => {
            let copy = List::new(value::items(object)?);
            Ok(of_list(&copy, method, &arguments)?.unwrap_or_default())
        }
        Some(value) => Ok(value),
        None if method == "copy" && is_list => Ok(value::list(value::items(object)?)),
        None if method == "copy" && object.kind() == ValueKind::Map => Ok(value::map(value::entries(object)?)),
        None => pycompat::unknown_method_callback(state, object, method, given),
    }
}

/// The widest column of [`printf`].
const COLUMN: usize = 10_000;

/// Formats a text with values as Python's `%` does.
pub(super) fn printf(pattern: &str, values: &[Value]) -> Result<Value, Error> {
    for specifier in pattern.replace("%%", "").split('%').skip(1) {
        let specifier =
            specifier.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(specifier, |(_, rest)| rest);
        let end = specifier.find(|c: char| !(c.is_ascii_digit() || "#-+ .".contains(c))).unwrap_or(specifier.len());
        let (widths, kind) = specifier.split_at(end);
        let is_wide = |width: &str| !width.is_empty() && width.parse::<usize>().map_or(true, |width| width > COLUMN);
        if kind.starts_with('*') || widths.split(|c: char| !c.is_ascii_digit()).any(is_wide) {
            return Err(wrong(format!("a column of a format may have at most {COLUMN} characters")));
        }
    }
    format(FormatStyle::Printf, pattern, values).map(Value::from)
}

fn none() -> Value {
    Value::from(())
}

fn of_list(list: &List, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    let first = || arguments.required(0, "object");
    let position = |wanted: &Value| {
        let found = list.items().iter().position(|item| item == wanted);
        found.ok_or_else(|| wrong(format!("{} is not in the list", describe(wanted))))
    };
    match method {
        "append" => {
            let item = first()?;
            list.check(&item)?;
            list.items().push(item);
        }
        "extend" => {
            let more = value::items(&first()?)?;
            more.iter().try_for_each(|item| list.check(item))?;
            list.items().extend(more);
        }
        "insert" => {
            let item = arguments.required(1, "object")?;
            list.check(&item)?;
            let mut items = list.items();
            let at = place(arguments.integer(0, "index", 0)?, items.len()).min(items.len());
            items.insert(at, item);
        }
        "pop" => {
            let mut items = list.items();
            let at = place(arguments.integer(0, "index", -1)?, items.len());
            if at >= items.len() {
                return Err(wrong("the list has no such item to remove"));
            }
            return Ok(Some(items.remove(at)));
        }
        "remove" => {
            let at = position(&first()?)?;
            list.items().remove(at);
        }
        "index" => return position(&first()?).map(|at| Some(Value::from(at))),
        "reverse" => list.items().reverse(),
        "sort" => {
            let mut items = list.items();
            items.sort();
            if arguments.by_name("reverse").is_some_and(|flag| flag.is_true()) {
                items.reverse();
            }
        }
        "clear" => list.items().clear(),
        "copy" => return Ok(Some(value::list(list.items().clone()))),
        _ => return Ok(None),
    }
    Ok(Some(none()))
}

/// Returns the place of an index, which counts from the end if it is negative.
fn place(index: i64, length: usize) -> usize {
    match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => length.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

fn of_map(map: &Map, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    match method {
        "update" => {
            let mut new = match arguments.positional().first() {
                None => Vec::new(),
                Some(other) if other.kind() == ValueKind::Map => value::entries(other)?,
                Some(pairs) => pairs_of(pairs)?,
            };
            new.extend(arguments.named().into_iter().map(|(name, value)| (Value::from(name), value)));
            new.iter().try_for_each(|(_, value)| map.check(value))?;
            map.entries().extend(new);
        }
        "__setitem__" => {
            let (key, value) = (arguments.required(0, "key")?, arguments.required(1, "value")?);
            map.check(&value)?;
            map.entries().insert(key, value);
        }
        "pop" => {
            let key = arguments.required(0, "key")?;
            let removed = map.entries().shift_remove(&key).or_else(|| arguments.get(1, "default"));
            return removed.map(Some).ok_or_else(|| wrong(format!("the map has no key {}", describe(&key))));
        }
        "setdefault" => {
            let (key, default) = (arguments.required(0, "key")?, arguments.get(1, "default").unwrap_or_else(none));
            map.check(&default)?;
            return Ok(Some(map.entries().entry(key).or_insert(default).clone()));
        }
        "clear" => map.entries().clear(),
        _ => return Ok(None),
    }
    Ok(Some(none()))
}

/// Returns the pairs of a list.
pub(super) fn pairs_of(pairs: &Value) -> Result<Vec<(Value, Value)>, Error> {
    let pair = |pair: Value| match value::items(&pair)?.as_slice() {
        [key, value] => Ok((key.clone(), value.clone())),
        _ => Err(wrong(format!("expected a pair of key and value, not {}", describe(&pair)))),
    };
    value::items(pairs)?.into_iter().map(pair).collect()
}

fn of_text(subject: &str, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    let argument = |position| arguments.positional().get(position).map(text).unwrap_or_default();
    let filled = |align: fn(&str, usize, char) -> String| {
        let width = usize::try_from(arguments.integer(0, "width", 0)?).unwrap_or_default();
        if width > TEXT {
            return Err(wrong(format!("the text would have more than {TEXT} characters")));
        }
        Ok(align(subject, width, arguments.text(1, "fillchar", " ").chars().next().unwrap_or(' ')))
    };
    let found = |place: Option<usize>| {
        let place = place.ok_or_else(|| wrong(format!("`{}` is not in the text", argument(0))))?;
        Ok::<_, Error>(Value::from(subject.get(..place).unwrap_or_default().chars().count()))
    };
    Ok(Some(match method {
        "casefold" => Value::from(subject.to_lowercase().replace('ß', "ss")),
        "center" => Value::from(filled(center)?),
        "expandtabs" => Value::from(expand_tabs(subject, arguments.integer(0, "tabsize", 8)?)),
        "index" => found(subject.find(&argument(0)))?,
        "ljust" => Value::from(filled(|text, width, c| text.to_owned() + &fill(text, width, c))?),
        "partition" => partition(subject, subject.find(&argument(0)), &argument(0), false),
        "removeprefix" => Value::from(subject.strip_prefix(&argument(0)).unwrap_or(subject)),
        "removesuffix" => Value::from(subject.strip_suffix(&argument(0)).unwrap_or(subject)),
        "rindex" => found(subject.rfind(&argument(0)))?,
        "rjust" => Value::from(filled(|text, width, c| fill(text, width, c) + text)?),
        "rpartition" => partition(subject, subject.rfind(&argument(0)), &argument(0), true),
        "rsplit" => return rsplit(subject, arguments).map(Some),
        "swapcase" => Value::from(subject.chars().map(swap_case).collect::<String>()),
        "zfill" => {
            let (sign, digits) = subject.split_at(usize::from(subject.starts_with(['-', '+'])));
            let zeros = filled(|text, width, _| fill(text, width, '0'))?;
            Value::from(format!("{sign}{zeros}{digits}"))
        }
        _ => return Ok(None),
    }))
}

fn swap_case(c: char) -> char {
    if c.is_uppercase() { c.to_lowercase().next().unwrap_or(c) } else { c.to_uppercase().next().unwrap_or(c) }
}

fn fill(text: &str, width: usize, c: char) -> String {
    std::iter::repeat_n(c, width.saturating_sub(text.chars().count())).collect()
}

/// Puts a text into the middle, as Python's `center` does.
pub(super) fn center(text: &str, width: usize, c: char) -> String {
    let length = text.chars().count();
    let margin = width.saturating_sub(length);
    let left = margin / 2 + (margin & width & 1);
    let side = |count| std::iter::repeat_n(c, count).collect::<String>();
    format!("{}{text}{}", side(left), side(margin - left))
}

fn expand_tabs(text: &str, size: i64) -> String {
    let size = usize::try_from(size).unwrap_or_default().min(64);
    let mut column = 0;
    text.chars().fold(String::new(), |mut expanded, c| {
        if c == '\t' {
            let blanks = if size == 0 { 0 } else { size - column % size };
            expanded.push_str(&" ".repeat(blanks));
            column += blanks;
        } else {
            expanded.push(c);
            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
        }
        expanded
    })
}

fn partition(text: &str, at: Option<usize>, separator: &str, from_right: bool) -> Value {
    let parts = match at {
        Some(at) => [text.get(..at), Some(separator), text.get(at + separator.len()..)].map(Option::unwrap_or_default),
        None if from_right => ["", "", text],
        None => [text, "", ""],
    };
    value::tuple(parts.map(Value::from).to_vec())
}

/// Splits a text at a separator, or at blanks, at most so many times.
pub(super) fn split(text: &str, separator: Option<&str>, most: Option<usize>) -> Result<Value, Error> {
    let parts = match (separator, most) {
        (Some(""), _) => return Err(wrong("the separator is empty")),
        (Some(separator), None) => text.split(separator).map(Value::from).collect(),
        (Some(separator), Some(most)) => text.splitn(most.saturating_add(1), separator).map(Value::from).collect(),
        (None, None) => text.split_whitespace().map(Value::from).collect(),
        (None, Some(most)) => {
            let mut parts = Vec::new();
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                let end = rest.find(char::is_whitespace).filter(|_| parts.len() < most).unwrap_or(rest.len());
                let (word, tail) = rest.split_at(end);
                parts.push(Value::from(word));
                rest = tail.trim_start();
            }
            parts
        }
    };
    Ok(value::list(parts))
}

fn rsplit(subject: &str, arguments: &Arguments) -> Result<Value, Error> {
    let most = usize::try_from(arguments.integer(1, "maxsplit", -1)?).ok();
    let separator = arguments.get(0, "sep").filter(|separator| !separator.is_none()).map(|separator| text(&separator));
    let (Some(separator), Some(most)) = (separator.as_deref(), most) else {
        return split(subject, separator.as_deref(), None);
    };
    if separator.is_empty() {
        return Err(wrong("the separator is empty"));
    }
    let mut parts: Vec<Value> = subject.rsplitn(most.saturating_add(1), separator).map(Value::from).collect();
    parts.reverse();
    Ok(value::list(parts))
}
