//! Methods of text.

use std::sync::LazyLock;

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;
use regex::Regex;

use super::Arguments;
use super::bytes;
use super::format::Fields;
use super::format::format;
use super::value;
use super::value::describe;
use super::value::text;
use super::wrong;
use crate::playbook::captured_output::is_line_end;

/// The longest text that a method makes.
const TEXT: usize = 1 << 20;

/// Returns the result of a method; `None` if the text has none with this name here.
pub(super) fn call(subject: &str, method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
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
        Ok::<_, Error>(Value::from(place))
    };
    if let Some(kind) = kind_of(method) {
        return Ok(Some(Value::from(kind.is_match(subject))));
    }
    Ok(Some(match method {
        "casefold" => Value::from(subject.to_lowercase().replace('ß', "ss")),
        "center" => Value::from(filled(center)?),
        "expandtabs" => Value::from(expand_tabs(subject, arguments.integer(0, "tabsize", 8)?)),
        "capitalize" => Value::from(capitalize(subject)),
        "count" => Value::from(part(subject, arguments, 1)?.map_or(0, |(_, part)| count(part, &argument(0)))),
        "endswith" => ends_with(subject, arguments, |part, end| part.ends_with(end))?,
        "find" => Value::from(find(subject, arguments, |part, wanted| part.find(wanted))?.map_or(-1, as_i64)),
        "encode" => bytes::encode(subject, arguments)?,
        "format" => Value::from(format(subject, &Fields::Arguments(arguments))?),
        "format_map" => Value::from(format(subject, &Fields::Map(&arguments.required(0, "mapping")?))?),
        "index" => found(find(subject, arguments, |part, wanted| part.find(wanted))?)?,
        "istitle" => Value::from(is_title(subject)),
        "maketrans" => make_table(arguments)?,
        "ljust" => Value::from(filled(|text, width, c| text.to_owned() + &fill(text, width, c))?),
        "partition" | "rpartition" if argument(0).is_empty() => return Err(wrong("the separator is empty")),
        "partition" => partition(subject, subject.find(&argument(0)), &argument(0), false),
        "removeprefix" => Value::from(subject.strip_prefix(&argument(0)).unwrap_or(subject)),
        "removesuffix" => Value::from(subject.strip_suffix(&argument(0)).unwrap_or(subject)),
        "rfind" => Value::from(find(subject, arguments, |part, wanted| part.rfind(wanted))?.map_or(-1, as_i64)),
        "rindex" => found(find(subject, arguments, |part, wanted| part.rfind(wanted))?)?,
        "rjust" => Value::from(filled(|text, width, c| fill(text, width, c) + text)?),
        "rpartition" => partition(subject, subject.rfind(&argument(0)), &argument(0), true),
        "rsplit" => return rsplit(subject, arguments).map(Some),
        "split" => {
            let separator = separator(arguments);
            return split(subject, separator.as_deref(), most(arguments)?).map(Some);
        }
        "splitlines" => split_lines(subject, arguments.flag(0, "keepends", false)),
        "startswith" => ends_with(subject, arguments, |part, begin| part.starts_with(begin))?,
        "swapcase" => Value::from(subject.chars().map(swap_case).collect::<String>()),
        "title" => Value::from(title(subject)),
        "translate" => Value::from(translate(subject, &arguments.required(0, "table")?)?),
        "zfill" => {
            let (sign, digits) = subject.split_at(usize::from(subject.starts_with(['-', '+'])));
            let zeros = filled(|text, width, _| fill(text, width, '0'))?;
            Value::from(format!("{sign}{zeros}{digits}"))
        }
        _ => return Ok(None),
    }))
}

fn swap_case(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// Returns a character as a word begins with it.
fn title_case(c: char) -> String {
    let upper: String = c.to_uppercase().collect();
    let mut parts = upper.chars();
    parts.next().map(String::from).unwrap_or_default() + &parts.as_str().to_lowercase()
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(title_case).unwrap_or_default() + &chars.as_str().to_lowercase()
}

fn is_cased(c: char) -> bool {
    c.is_uppercase() || c.is_lowercase()
}

/// Returns a text in which each word begins with a capital letter. A word is what has upper and lower case.
fn title(text: &str) -> String {
    let mut within = false;
    let word = |c: char| {
        let cased = if within { c.to_lowercase().collect() } else { title_case(c) };
        within = is_cased(c);
        cased
    };
    text.chars().map(word).collect()
}

fn is_title(text: &str) -> bool {
    let (mut within, mut has_word) = (false, false);
    for c in text.chars() {
        if within && c.is_uppercase() || !within && c.is_lowercase() {
            return false;
        }
        within = is_cased(c);
        has_word |= within;
    }
    has_word
}

/// Returns the pattern of a text for which a method says yes.
fn kind_of(method: &str) -> Option<&'static Regex> {
    static KINDS: LazyLock<[Option<Regex>; 5]> = LazyLock::new(|| {
        [
            r"^\p{Nd}+$",
            "^[\\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒]+$",
            r"^[\p{XID_Start}_]\p{XID_Continue}*$",
            r"^(?: |[^\p{C}\p{Z}])*$",
            r"^\p{L}+$",
        ]
        .map(|pattern| Regex::new(pattern).ok())
    });
    let names = ["isdecimal", "isdigit", "isidentifier", "isprintable", "isalpha"];
    let at = names.iter().position(|name| *name == method)?;
    KINDS.get(at)?.as_ref()
}

/// Returns the part of a text between the places that two arguments give, and where it begins.
fn part<'t>(subject: &'t str, arguments: &Arguments, at: usize) -> Result<Option<(usize, &'t str)>, Error> {
    let length = subject.chars().count();
    let place = |at: usize, default: usize| match arguments.positional().get(at).filter(|place| !place.is_none()) {
        None => Ok::<usize, Error>(default),
        Some(place) => {
            let place = place.as_i64().ok_or_else(|| wrong(format!("a place in a text is no {}", describe(place))))?;
            Ok(super::place(place, length))
        }
    };
    let (begin, end) = (place(at, 0)?, place(at + 1, length)?.min(length));
    if begin > end {
        return Ok(None);
    }
    let byte = |place| subject.char_indices().nth(place).map_or(subject.len(), |(byte, _)| byte);
    Ok(Some((begin, subject.get(byte(begin)..byte(end)).unwrap_or_default())))
}

/// Returns the place at which a text is found.
fn find(subject: &str, arguments: &Arguments, search: fn(&str, &str) -> Option<usize>) -> Result<Option<usize>, Error> {
    let wanted = text(&arguments.required(0, "sub")?);
    let Some((begin, part)) = part(subject, arguments, 1)? else { return Ok(None) };
    let at = search(part, &wanted);
    Ok(at.map(|at| begin + part.get(..at).unwrap_or_default().chars().count()))
}

fn as_i64(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn count(text: &str, wanted: &str) -> usize {
    text.matches(wanted).count()
}

/// Reports whether a text begins or ends with another one, or with one of several.
fn ends_with(subject: &str, arguments: &Arguments, fits: fn(&str, &str) -> bool) -> Result<Value, Error> {
    let wanted = arguments.required(0, "a text")?;
    let wanted = match wanted.as_str() {
        Some(_) => vec![wanted],
        None if wanted.is_tuple() => value::items(&wanted)?,
        None => return Err(wrong(format!("expected a text or a tuple of texts, not {}", describe(&wanted)))),
    };
    let part = part(subject, arguments, 1)?;
    Ok(Value::from(part.is_some_and(|(_, part)| wanted.iter().any(|wanted| fits(part, &text(wanted))))))
}

/// Makes the table of characters for [`translate`]. As in Ansible, no map can be its only argument.
fn make_table(arguments: &Arguments) -> Result<Value, Error> {
    let [from, to] = [0, 1].map(|at| arguments.positional().get(at).and_then(Value::as_str));
    let (Some(from), Some(to)) = (from, to) else {
        return Err(wrong("`maketrans` needs two texts, or three"));
    };
    if from.chars().count() != to.chars().count() {
        return Err(wrong("the first two texts of `maketrans` must have the same length"));
    }
    let removed = arguments.positional().get(2).and_then(Value::as_str).unwrap_or_default();
    let pairs = from.chars().zip(to.chars()).map(|(from, to)| (code(from), code(to)));
    Ok(value::map(pairs.chain(removed.chars().map(|c| (code(c), Value::from(()))))))
}

fn code(c: char) -> Value {
    Value::from(u32::from(c))
}

/// Replaces characters by what a table has for their codes: a text, the code of another character, or nothing.
fn translate(subject: &str, table: &Value) -> Result<String, Error> {
    let mut translated = String::new();
    for c in subject.chars() {
        let new = match table.kind() {
            ValueKind::Map | ValueKind::Seq => table.get_item(&code(c))?,
            _ => Value::UNDEFINED,
        };
        match (new.as_str(), new.as_i64()) {
            (Some(text), _) => translated.push_str(text),
            (None, Some(code)) => {
                let c = u32::try_from(code).ok().and_then(char::from_u32);
                translated.push(c.ok_or_else(|| wrong(format!("there is no character {code}")))?);
            }
            (None, None) if new.is_none() => {}
            (None, None) if new.is_undefined() => translated.push(c),
            (None, None) => return Err(wrong(format!("a table of characters has {} for {c:?}", describe(&new)))),
        }
        if translated.len() > TEXT {
            return Err(wrong(format!("the text would have more than {TEXT} characters")));
        }
    }
    Ok(translated)
}

fn split_lines(subject: &str, keeps_ends: bool) -> Value {
    let (mut lines, mut rest) = (Vec::new(), subject);
    while !rest.is_empty() {
        let end = rest.find(is_line_end).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        let length = if tail.starts_with("\r\n") { 2 } else { tail.chars().next().map_or(0, char::len_utf8) };
        let whole = end + length;
        lines.push(Value::from(if keeps_ends { rest.get(..whole).unwrap_or_default() } else { line }));
        rest = rest.get(whole..).unwrap_or_default();
    }
    value::list(lines)
}

fn fill(text: &str, width: usize, c: char) -> String {
    std::iter::repeat_n(c, width.saturating_sub(text.chars().count())).collect()
}

/// Puts a text into the middle, as Python's `center` does.
pub(in crate::playbook::template) fn center(text: &str, width: usize, c: char) -> String {
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
pub(in crate::playbook::template) fn split(
    text: &str,
    separator: Option<&str>,
    most: Option<usize>,
) -> Result<Value, Error> {
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

fn separator(arguments: &Arguments) -> Option<String> {
    arguments.get(0, "sep").filter(|separator| !separator.is_none()).map(|separator| text(&separator))
}

/// Returns how often a text is split at most.
fn most(arguments: &Arguments) -> Result<Option<usize>, Error> {
    Ok(usize::try_from(arguments.integer(1, "maxsplit", -1)?).ok())
}

fn rsplit(subject: &str, arguments: &Arguments) -> Result<Value, Error> {
    let (separator, most) = match (separator(arguments), most(arguments)?) {
        (separator, None) => return split(subject, separator.as_deref(), None),
        (None, Some(most)) => return Ok(rsplit_at_blanks(subject, most)),
        (Some(separator), Some(most)) => (separator, most),
    };
    if separator.is_empty() {
        return Err(wrong("the separator is empty"));
    }
    let mut parts: Vec<Value> = subject.rsplitn(most.saturating_add(1), separator.as_str()).map(Value::from).collect();
    parts.reverse();
    Ok(value::list(parts))
}

fn rsplit_at_blanks(subject: &str, most: usize) -> Value {
    let (mut parts, mut rest) = (Vec::new(), subject.trim_end());
    while !rest.is_empty() {
        let begin = rest.rfind(char::is_whitespace).filter(|_| parts.len() < most);
        let begin =
            begin.map_or(0, |at| at + rest.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8));
        let (head, word) = rest.split_at(begin);
        parts.push(Value::from(word));
        rest = head.trim_end();
    }
    parts.reverse();
    value::list(parts)
}
