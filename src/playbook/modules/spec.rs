//! What a module takes: its parameters with types, aliases and choices. A task is checked against it before anything runs.

use serde_json::Value;

use crate::playbook::mode::Mode;
use crate::playbook::template;

/// The description of a module.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// The name in a playbook.
    pub name: &'static str,
    /// The collections under whose names the module is known too: `ansible.builtin`.
    pub collections: &'static [&'static str],
    /// What the module does, as one sentence.
    pub summary: &'static str,
    /// The parameters that only this module has.
    pub(super) own: &'static [Parameter],
    /// The parameters that it shares with other modules.
    pub(super) shared: &'static [Parameter],
    /// Sets of parameters of which exactly one must be given.
    pub one_of: &'static [&'static [&'static str]],
    /// Sets of parameters of which at most one may be given.
    pub exclusive: &'static [&'static [&'static str]],
    /// How arguments on one line are read.
    pub line: Line,
}

/// How the arguments of a task are read if they stand on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// As pairs: `path=/x state=absent`.
    Pairs,
    /// As a command with options among its words. The command goes into the parameter of this name.
    Command(&'static str),
    /// As the value of the parameter of this name, with pairs after it.
    Word(&'static str),
}

/// A parameter of a module.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The type.
    pub kind: Kind,
    /// What it is for, as one sentence.
    pub summary: &'static str,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text. Numbers and booleans become text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A boolean.
    Flag,
    /// A whole number that is not negative.
    Number,
    /// A list of words of a command.
    Words,
    /// A list of texts, or texts with commas between them.
    List,
    /// Permissions, in octal digits or symbolic.
    Mode,
    /// Permissions, or the word `preserve`.
    ModeOrPreserve,
    /// Any value.
    Any,
}

impl Spec {
    /// Describes a module of a collection, whose arguments may stand on one line as pairs.
    pub const fn new(
        name: &'static str,
        collections: &'static [&'static str],
        summary: &'static str,
        own: &'static [Parameter],
    ) -> Self {
        Self { name, collections, summary, own, shared: &[], one_of: &[], exclusive: &[], line: Line::Pairs }
    }

    /// Adds parameters that several modules have.
    #[must_use]
    pub const fn with(self, shared: &'static [Parameter]) -> Self {
        Self { shared, ..self }
    }

    /// Adds sets of parameters of which exactly one must be given.
    #[must_use]
    pub const fn needs(self, one_of: &'static [&'static [&'static str]]) -> Self {
        Self { one_of, ..self }
    }

    /// Adds sets of parameters of which at most one may be given.
    #[must_use]
    pub const fn excludes(self, exclusive: &'static [&'static [&'static str]]) -> Self {
        Self { exclusive, ..self }
    }

    /// Says how arguments on one line are read.
    #[must_use]
    pub const fn on_line(self, line: Line) -> Self {
        Self { line, ..self }
    }

    /// Checks that of each set of parameters as many are given as must be. `given` are the parameters of the task,
    /// `fixed` those of them that are certainly there.
    pub fn check_choices<'n>(
        &self,
        fixed: impl IntoIterator<Item = &'n str>,
        given: impl IntoIterator<Item = &'n str>,
    ) -> Result<(), String> {
        let (fixed, given): (Vec<&str>, Vec<&str>) = (fixed.into_iter().collect(), given.into_iter().collect());
        let count = |names: &[&str], choice: &[&str]| choice.iter().filter(|name| names.contains(name)).count();
        for choice in self.one_of {
            if count(&fixed, choice) > 1 || count(&given, choice) == 0 {
                let names: Vec<String> = choice.iter().map(|name| format!("`{name}`")).collect();
                let either = if choice.len() > 1 { "either " } else { "" };
                return Err(format!("module `{}` needs {either}{}", self.name, names.join(" or ")));
            }
        }
        let both = self.exclusive.iter().find(|choice| count(&fixed, choice) > 1);
        both.map_or(Ok(()), |choice| Err(format!("module `{}` takes only one of {}", self.name, choice.join(", "))))
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> + use<> {
        self.own.iter().chain(self.shared)
    }

    /// Returns the parameter with a name or an alias.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters().find(|parameter| parameter.name == name || parameter.aliases.contains(&name))
    }

    /// Returns the names of the parameters, for messages.
    pub fn names(&self) -> Vec<&'static str> {
        self.parameters().map(|parameter| parameter.name).collect()
    }
}

impl Parameter {
    /// Makes a parameter without aliases.
    pub const fn new(name: &'static str, kind: Kind, summary: &'static str) -> Self {
        Self { name, aliases: &[], kind, summary }
    }

    /// Adds aliases.
    #[must_use]
    pub const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Returns why a value cannot be the parameter's, if it cannot. A template may become any value.
    pub fn fault(&self, value: &Value) -> Option<String> {
        if value.is_null() || template::has_template(value) {
            return None;
        }
        let name = self.name;
        let text = scalar_text(value);
        let fault = match self.kind {
            Kind::Any => false,
            Kind::Text => text.is_none(),
            Kind::Choice(words) => !text.is_some_and(|text| words.contains(&text.as_str())),
            Kind::Flag => text.and_then(|text| template::parse_bool(&text)).is_none(),
            Kind::Number => text.and_then(|text| text.parse::<u64>().ok()).is_none(),
            Kind::Words => !is_texts(value),
            Kind::List => text.is_none() && !is_texts(value),
            Kind::Mode if text.as_deref() == Some("preserve") => true,
            Kind::Mode | Kind::ModeOrPreserve => return Mode::read(value).err(),
        };
        fault.then(|| format!("`{name}` must be {}", self.kind.expected()))
    }
}

impl Kind {
    /// Returns the name of the type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Choice(_) => "choice",
            Self::Flag => "boolean",
            Self::Number => "number",
            Self::Words => "words",
            Self::List => "list",
            Self::Mode | Self::ModeOrPreserve => "mode",
            Self::Any => "any",
        }
    }

    /// Returns what a value of the type is, for messages.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Choice(words) => match words {
                [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                words => words.join(", "),
            },
            Self::Flag => "true or false".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::Words => "a list of words".to_owned(),
            Self::List => "a list of texts".to_owned(),
            Self::Mode | Self::ModeOrPreserve => {
                "octal digits in quotes, such as '0644', or as in `u=rw,g=r`".to_owned()
            }
            Self::Any => "any value".to_owned(),
        }
    }
}

fn is_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(|item| scalar_text(item).is_some()))
}

/// Returns a scalar as text, as Ansible writes it; `None` for a list, a map or null.
pub fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(template::text_of(value)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
