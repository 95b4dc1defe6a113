//! Filters for text.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::Table;
use super::wrap;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::methods;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("center", center),
    ("comment", comment),
    ("format", format),
    ("indent", indent),
    ("replace", replace),
    ("quote", |_, value, _| Ok(Value::from(quote(&text(value))))),
    ("split", split),
    ("striptags", |_, value, _| Ok(Value::from(striptags(&text(value))))),
    ("trim", trim),
    ("truncate", truncate),
    ("wordcount", |_, value, _| Ok(Value::from(text(value).split_whitespace().count()))),
    ("wordwrap", wordwrap),
];

/// The widest line that a filter makes.
const WIDTH: usize = 10_000;

fn width(arguments: &Arguments, position: usize, name: &str, default: i64) -> Result<usize, Error> {
    let width = usize::try_from(arguments.integer(position, name, default)?).ok().filter(|width| *width <= WIDTH);
    width.ok_or_else(|| wrong(format!("`{name}` must be from 0 to {WIDTH}")))
}

fn center(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(methods::center(&text(value), width(arguments, 0, "width", 80)?, ' ')))
}

/// Formats as `%` does, with the arguments by position or by name.
fn format(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let named = arguments.named();
    let values = match (arguments.positional(), named.is_empty()) {
        (positional, true) => value::tuple(positional.to_vec()),
        ([], false) => value::map(named.into_iter().map(|(name, value)| (Value::from(name), value))),
        _ => return Err(wrong("`format` takes arguments with names or without, not both")),
    };
    methods::printf(&text(value), &values).map(Value::from)
}

/// Replaces a text by another one, at most so many times.
fn replace(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let [old, new] = [arguments.required(0, "old")?, arguments.required(1, "new")?].map(|value| text(&value));
    let count = match arguments.get(2, "count").filter(|count| !count.is_none()) {
        None => usize::MAX,
        Some(_) => usize::try_from(arguments.integer(2, "count", -1)?).unwrap_or(usize::MAX),
    };
    Ok(Value::from(text(value).replacen(&old, &new, count)))
}

fn trim(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let subject = text(value);
    Ok(Value::from(match arguments.get(0, "chars").filter(|chars| !chars.is_none()) {
        None => subject.trim(),
        Some(chars) => subject.trim_matches(|c| text(&chars).contains(c)),
    }))
}

/// Indents the lines of a text, the first one and empty ones only if asked.
fn indent(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let indent = match arguments.get(0, "width").filter(|width| width.as_str().is_some()) {
        Some(indent) => text(&indent),
        None => " ".repeat(width(arguments, 0, "width", 4)?),
    };
    let (first, blank) = (arguments.flag(1, "first", false), arguments.flag(2, "blank", false));
    let indented = text(value).split('\n').enumerate().fold(String::new(), |mut indented, (number, line)| {
        if number > 0 {
            indented.push('\n');
        }
        if if number == 0 { first } else { blank || !line.is_empty() } {
            indented.push_str(&indent);
        }
        indented.push_str(line);
        indented
    });
    Ok(Value::from(indented))
}

/// Returns a text as one word of a shell's command.
fn quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    }
}

fn split(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let most = arguments.integer(1, "maxsplit", -1)?;
    let separator = arguments.get(0, "sep").filter(|separator| !separator.is_none()).map(|separator| text(&separator));
    methods::split(&text(value), separator.as_deref(), usize::try_from(most).ok())
}

fn striptags(text: &str) -> String {
    let mut stripped = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        let (before, tag) = rest.split_at(start);
        let end =
            if tag.starts_with("<!--") { tag.find("-->").map(|end| end + 3) } else { tag.find('>').map(|end| end + 1) };
        let Some(end) = end else { break };
        stripped.push_str(before);
        rest = tag.get(end..).unwrap_or_default();
    }
    stripped.push_str(rest);
    stripped.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn truncate(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let text = text(value);
    let length = width(arguments, 0, "length", 255)?;
    let end = arguments.text(2, "end", "...");
    if text.chars().count() <= length + width(arguments, 3, "leeway", 5)? {
        return Ok(Value::from(text));
    }
    let kept = length.checked_sub(end.chars().count()).ok_or_else(|| wrong("`length` is shorter than `end`"))?;
    let mut cut: String = text.chars().take(kept).collect();
    if !arguments.flag(1, "killwords", false) {
        cut.truncate(cut.rfind(' ').unwrap_or(cut.len()));
    }
    Ok(Value::from(cut + &end))
}

fn wordwrap(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let width = width(arguments, 0, "width", 79)?.max(1);
    let breaks_words = arguments.flag(1, "break_long_words", true);
    let line_break = arguments.text(2, "wrapstring", "\n");
    let at_hyphens = arguments.flag(3, "break_on_hyphens", true);
    let text = text(value);
    let wrapped = text.lines().map(|line| wrap::wrap(line, width, breaks_words, at_hyphens).join(&line_break));
    Ok(Value::from(wrapped.collect::<Vec<_>>().join(&line_break)))
}

/// The styles of comments: begin, decoration, end.
const COMMENTS: [(&str, [&str; 3]); 5] = [
    ("plain", ["", "# ", ""]),
    ("erlang", ["", "% ", ""]),
    ("c", ["", "// ", ""]),
    ("cblock", ["/*", " * ", " */"]),
    ("xml", ["<!--", " - ", "-->"]),
];

fn comment(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let style = arguments.text(0, "style", "plain");
    let known = COMMENTS.iter().find(|(name, _)| *name == style).map(|(_, parts)| parts);
    let [begin, decoration, end] = known.ok_or_else(|| wrong(format!("there is no style `{style}` of comments")))?;
    let named =
        |name: &str, default: &str| arguments.by_name(name).map_or_else(|| default.to_owned(), |value| text(&value));
    let count = |name: &str| {
        let count = arguments.by_name(name).map_or(Some(1), |count| count.as_usize());
        count.filter(|count| *count <= WIDTH).ok_or_else(|| wrong(format!("`{name}` must be from 0 to {WIDTH}")))
    };
    let newline = named("newline", "\n");
    let decoration = named("decoration", decoration);
    let bare = decoration.trim_end();
    let (begin, end) = (named("beginning", begin), named("end", end));
    let (prefix, postfix) = (named("prefix", bare), named("postfix", bare));
    let mut comment = String::new();
    if !begin.is_empty() {
        comment.push_str(&format!("{begin}{newline}"));
    }
    if !prefix.is_empty() {
        let line = if prefix == newline { newline.clone() } else { format!("{prefix}{newline}") };
        comment.push_str(&line.repeat(count("prefix_count")?));
    }
    let body = format!("{decoration}{}", value::text(value).replace(&newline, &format!("{newline}{decoration}")));
    comment.push_str(&body.replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}")));
    comment.push_str(&format!("{newline}{postfix}").repeat(count("postfix_count")?));
    if !end.is_empty() {
        comment.push_str(&format!("{newline}{end}"));
    }
    Ok(Value::from(comment))
}
