//! The template engine with Ansible's filters, tests and texts.

use minijinja::Environment;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::UndefinedBehavior;
use minijinja::filters;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::value::Rest;
use minijinja::value::ValueKind;
use minijinja::value::ValueOrKwargs;

use super::arguments::Arguments;
use super::attributes;
use super::capture;
use super::checks;
use super::cycles;
use super::filters as own_filters;
use super::lookups;
use super::methods;
use super::source::ATTRIBUTE;
use super::source::Delimiters;
use super::source::LIST;
use super::source::LOOKUP;
use super::source::MAP;
use super::source::OWN;
use super::source::PERCENT;
use super::value;
use super::value::Tuples;
use super::value::parse_bool;
use super::value::wrong;

/// The most steps that one template may take.
pub(super) const FUEL: u64 = 500_000;

/// The syntax of a template, which its first line may change (`#jinja2: lstrip_blocks: True`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syntax {
    pub(super) delimiters: Delimiters,
    pub(super) newline: String,
    trim_blocks: bool,
    lstrip_blocks: bool,
    pub(super) keep_trailing_newline: bool,
}

impl Default for Syntax {
    fn default() -> Self {
        Self {
            delimiters: Delimiters::default(),
            newline: "\n".to_owned(),
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: true,
        }
    }
}

/// How the first line of a file begins that changes the syntax.
const HEADER: &str = "#jinja2:";

impl Syntax {
    /// Splits off the first line of a template if it changes the syntax, and returns the syntax and the rest.
    pub(super) fn split(mut syntax: Self, text: &str) -> Result<(Self, &str), String> {
        let Some(header) = text.strip_prefix(HEADER) else { return Ok((syntax, text)) };
        let (line, rest) = header.split_once('\n').unwrap_or((header, ""));
        for pair in line.split(',') {
            let (name, value) = pair.split_once(':').ok_or_else(|| {
                format!("invalid `{}` in the first line: expected `{HEADER} NAME: VALUE, …`", pair.trim())
            })?;
            syntax.set(name.trim(), value.trim())?;
        }
        Ok((syntax, rest))
    }

    /// Changes one thing, as the first line of a file has it.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = |expected: &str| format!("invalid `{name}` {value} in the first line: expected {expected}");
        if let Some(slot) = self.flag(name) {
            *slot = match value {
                "True" | "true" => true,
                "False" | "false" => false,
                _ => return Err(wrong("True or False")),
            };
            return Ok(());
        }
        let slot =
            self.text(name).ok_or_else(|| format!("muster knows no `{name}` in the first line of a template"))?;
        let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
        let text = within('\'').or_else(|| within('"')).filter(|text| !text.is_empty());
        *slot = text.ok_or_else(|| wrong("a text in quotes"))?.replace("\\r", "\r").replace("\\n", "\n");
        Ok(())
    }

    /// Returns the switch with a name.
    pub(in crate::playbook) fn flag(&mut self, name: &str) -> Option<&mut bool> {
        Some(match name {
            "trim_blocks" => &mut self.trim_blocks,
            "lstrip_blocks" => &mut self.lstrip_blocks,
            "keep_trailing_newline" => &mut self.keep_trailing_newline,
            _ => return None,
        })
    }

    /// Returns the text with a name.
    pub(in crate::playbook) fn text(&mut self, name: &str) -> Option<&mut String> {
        let Delimiters { block, variable, comment } = &mut self.delimiters;
        let ([block, block_end], [variable, variable_end], [comment, comment_end]) = (block, variable, comment);
        Some(match name {
            "newline_sequence" => &mut self.newline,
            "block_start_string" => block,
            "block_end_string" => block_end,
            "variable_start_string" => variable,
            "variable_end_string" => variable_end,
            "comment_start_string" => comment,
            "comment_end_string" => comment_end,
            _ => return None,
        })
    }

    fn config(&self) -> Result<SyntaxConfig, Error> {
        let Delimiters { block, variable, comment } = self.delimiters.clone();
        let ([block, block_end], [variable, variable_end], [comment, comment_end]) = (block, variable, comment);
        SyntaxConfig::builder()
            .block_delimiters(block, block_end)
            .variable_delimiters(variable, variable_end)
            .comment_delimiters(comment, comment_end)
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(false)
            .build()
    }
}

/// Returns the engine for templates of this syntax.
pub(super) fn environment(syntax: &Syntax) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_syntax(syntax.config()?);
    // Text goes into configuration files and commands, never into HTML.
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_formatter(|out, state, value| {
        capture::note(value);
        if value.is_undefined() {
            return minijinja::escape_formatter(out, state, value);
        }
        out.write_str(&printed(&value::valid(value.clone())?)).map_err(Error::from)
    });
    environment.set_unknown_method_callback(methods::call);
    environment.add_filter("bool", |value: minijinja::Value| bool_filter(&value));
    environment.add_filter("int", int_filter);
    environment.add_filter("float", float_filter);
    own_filters::add(&mut environment);
    checks::add(&mut environment);
    add_functions(&mut environment);
    Ok(environment)
}

/// Returns a value as a template prints it: as Ansible does, so that rendered files have the same text.
pub(super) fn printed(value: &minijinja::Value) -> String {
    match value.as_str() {
        // Also bytes that are text.
        Some(text) => text.to_owned(),
        None if value.is_none() => String::new(),
        None => value::repr(value, Tuples::AsLists),
    }
}

fn add_functions(environment: &mut Environment<'_>) {
    environment.add_function(LOOKUP, |value: minijinja::Value, keys: Rest<minijinja::Value>| look_up(value, &keys));
    environment.add_function(ATTRIBUTE, |value: minijinja::Value, name: String| attributes::attribute(&value, &name));
    environment.add_function(LIST, |list: minijinja::Value| value::check_depth(value::list(value::items(&list)?)));
    environment.add_function(MAP, |map: minijinja::Value| value::check_depth(value::map(value::entries(&map)?)));
    environment.add_function(PERCENT, |left: minijinja::Value, right: minijinja::Value| percent(&left, &right));
    environment.add_function(OWN, |given: Rest<minijinja::Value>| own(given.0));
    environment.add_function("joiner", |separator: Option<String>| cycles::joiner(separator));
    environment.add_function("cycler", |items: Rest<minijinja::Value>| cycles::cycler(items.0));
    environment.add_function("lookup", |state: &State<'_, '_>, given: Rest<ValueOrKwargs>| {
        lookups::call(state, &given.into_values(), false)
    });
    for name in ["query", "q"] {
        environment.add_function(name, |state: &State<'_, '_>, given: Rest<ValueOrKwargs>| {
            lookups::call(state, &given.into_values(), true)
        });
    }
    environment.add_function("dict", |given: Rest<ValueOrKwargs>| {
        let arguments = Arguments::new(&given.into_values());
        let mut entries = match arguments.positional().first() {
            None => Vec::new(),
            Some(map) if map.kind() == ValueKind::Map => value::entries(map)?,
            Some(pairs) => methods::pairs_of(pairs)?,
        };
        entries.extend(arguments.named().into_iter().map(|(name, value)| (name.into(), value)));
        Ok::<_, Error>(value::map(entries))
    });
    environment
        .add_function("now", |given: Rest<ValueOrKwargs>| own_filters::now(&Arguments::new(&given.into_values())));
    environment.add_function("undef", |given: Rest<ValueOrKwargs>| {
        let hint = Arguments::new(&given.into_values()).text(0, "hint", "the value is undefined");
        Err::<minijinja::Value, _>(Error::new(ErrorKind::UndefinedError, hint))
    });
}

/// Makes a value that can be changed of one that a template gives a name.
fn own(mut given: Vec<minijinja::Value>) -> Result<minijinja::Value, Error> {
    if given.len() != 1 {
        return Ok(value::tuple(given));
    }
    let given = given.pop().unwrap_or_default();
    let is_changeable =
        given.downcast_object_ref::<value::List>().is_some() || given.downcast_object_ref::<value::Map>().is_some();
    match given.kind() {
        _ if is_changeable || given.is_tuple() => Ok(given),
        ValueKind::Seq | ValueKind::Iterable => Ok(value::list(value::items(&given)?)),
        _ => Ok(given),
    }
}

/// Formats a text with values, or computes the remainder of numbers: Python's `%`.
fn percent(left: &minijinja::Value, right: &minijinja::Value) -> Result<minijinja::Value, Error> {
    if let Some(pattern) = left.as_str() {
        return methods::printf(pattern, right).map(minijinja::Value::from);
    }
    if let (true, true, Some(left), Some(right)) =
        (left.is_integer(), right.is_integer(), left.as_i64(), right.as_i64())
    {
        let remainder = left.checked_rem(right).ok_or_else(|| wrong("the remainder of a division by zero"))?;
        let adjusts = remainder != 0 && (remainder < 0) != (right < 0);
        return Ok(minijinja::Value::from(if adjusts { remainder + right } else { remainder }));
    }
    match (f64::try_from(left.clone()), f64::try_from(right.clone())) {
        (Ok(left), Ok(right)) if right != 0.0 => Ok(minijinja::Value::from(left - right * (left / right).floor())),
        _ => Err(wrong(format!(
            "`%` needs a text or two numbers, not {} and {}",
            value::describe(left),
            value::describe(right)
        ))),
    }
}

/// Looks up keys one after the other. The lookup in an undefined value is undefined. A name in a list is that of an
/// attribute which may be a method.
fn look_up(value: minijinja::Value, keys: &[minijinja::Value]) -> Result<minijinja::Value, Error> {
    keys.iter().try_fold(value, |value, key| match key.kind() {
        ValueKind::Seq if value.is_undefined() => Ok(value),
        ValueKind::Seq => attributes::attribute(&value, &value::text(&key.get_item_by_index(0)?)),
        _ => attributes::item(&value, key),
    })
}

/// Converts to a whole number. As in Ansible, text that is no number is 0 unless there is a default.
fn int_filter(
    state: &State<'_, '_>,
    value: &minijinja::Value,
    default: Option<minijinja::Value>,
    base: Option<u32>,
    kwargs: Kwargs,
) -> Result<minijinja::Value, Error> {
    let default = default.or_else(|| (!kwargs.has("default")).then(|| 0.into()));
    filters::int(state, &number_text(value), default, base, kwargs)
}

/// Converts to a float. As in Ansible, text that is no number is 0.0 unless there is a default.
fn float_filter(
    state: &State<'_, '_>,
    value: &minijinja::Value,
    default: Option<minijinja::Value>,
    kwargs: Kwargs,
) -> Result<minijinja::Value, Error> {
    let default = default.or_else(|| (!kwargs.has("default")).then(|| 0.0.into()));
    filters::float(state, &number_text(value), default, kwargs)
}

/// Returns the text of a number as the engine reads it: Python also reads blanks around it and `_` between digits.
fn number_text(value: &minijinja::Value) -> minijinja::Value {
    let Some(text) = value.as_str() else { return value.clone() };
    let is_grouped = text.split('_').all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()) && !part.is_empty());
    minijinja::Value::from(if is_grouped { text.replace('_', "") } else { text.trim().to_owned() })
}

/// Converts a value to a boolean. As in Ansible, any other text than a word for true is false.
fn bool_filter(value: &minijinja::Value) -> Result<bool, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(parse_bool(&value.to_string()).unwrap_or(false))
}
