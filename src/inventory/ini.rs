//! INI inventories, as Ansible reads them: `[group]`, `[group:children]`, `[group:vars]`, host lines of shell words.

use std::path::Path;

use super::builder::InventoryBuilder;
use super::builder::UNGROUPED;
use super::builder::host_names;
use super::diagnostic::Diagnostic;
use super::diagnostic::Position;
use super::diagnostic::did_you_mean;
use super::literal;

/// Adds the hosts, groups and variables of an INI file to the builder.
pub(super) fn read(file: &Path, text: &str, builder: &mut InventoryBuilder) -> Result<(), Diagnostic> {
    let mut parser = IniParser { file, builder, pending: Vec::new(), section: Section::Hosts(UNGROUPED.to_owned()) };
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        parser.line(number, line)?;
    }
    parser.finish()
}

/// The kind of a section, with its group.
enum Section {
    Hosts(String),
    Children(String),
    Vars(String),
}

/// A group that was used before it was declared.
struct Pending {
    at: Position,
    group: String,
    /// The group that it was added to, or none if it was given variables.
    parent: Option<String>,
}

struct IniParser<'a> {
    file: &'a Path,
    builder: &'a mut InventoryBuilder,
    pending: Vec<Pending>,
    section: Section,
}

impl IniParser<'_> {
    fn line(&mut self, number: u64, line: &str) -> Result<(), Diagnostic> {
        let indent = line.chars().take_while(|c| c.is_whitespace()).count() as u64;
        let at = Position::new(number, indent + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some(head) = section_head(line) {
            return self.head(at, head);
        }
        match &self.section {
            Section::Hosts(group) => {
                // A host line may begin with a range or an IPv6 address. Any other line in brackets is a misspelt section.
                if line.starts_with('[') && line.ends_with(']') && !line.contains('=') && host_names(line).is_err() {
                    return Err(self
                        .error(at, format!("`{line}` is not a section"))
                        .hint("Write [group], [group:children] or [group:vars], without blanks inside."));
                }
                let group = group.clone();
                self.host(at, &group, line)
            }
            Section::Children(parent) => {
                let parent = parent.clone();
                self.child(at, &parent, line)
            }
            Section::Vars(group) => {
                let group = group.clone();
                self.var(at, &group, line)
            }
        }
    }

    fn error(&self, at: Position, what: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self.file, at, what)
    }

    fn head(&mut self, at: Position, (group, kind): (&str, Option<&str>)) -> Result<(), Diagnostic> {
        let owned = group.to_owned();
        self.section = match kind {
            None | Some("hosts") => Section::Hosts(owned),
            Some("children") => Section::Children(owned),
            Some("vars") => {
                if !self.builder.groups.contains_key(group) {
                    self.pending.push(Pending { at, group: owned.clone(), parent: None });
                }
                self.section = Section::Vars(owned);
                return Ok(());
            }
            Some(kind) => {
                let mut error = self.error(at, format!("Section [{group}:{kind}] has unknown type: {kind}"));
                error.hint = did_you_mean(kind, ["hosts", "children", "vars"]);
                return Err(error);
            }
        };
        self.builder.add_group(group);
        let waiting = std::mem::take(&mut self.pending);
        let (declared, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|pending| pending.group == group);
        self.pending = waiting;
        for Pending { at, parent, .. } in declared {
            if let Some(parent) = parent {
                self.builder.add_child(&parent, group).map_err(|what| self.error(at, what))?;
            }
        }
        Ok(())
    }

    fn host(&mut self, at: Position, group: &str, line: &str) -> Result<(), Diagnostic> {
        let words = split_words(line).map_err(|what| self.error(at, what))?;
        let Some(((_, pattern), assignments)) = words.split_first() else {
            return Ok(());
        };
        let (names, port) = host_names(pattern).map_err(|what| {
            let error = self.error(at, what);
            if pattern.contains('=') {
                error.hint("Write a variable after its host's name, or under a [group:vars] section.")
            } else if pattern == "---" {
                error.hint("Name the file .yaml if it is YAML.")
            } else {
                error
            }
        })?;
        let mut vars = Vec::new();
        vars.extend(port.map(|port| ("ansible_port".to_owned(), port.into())));
        for (column, word) in assignments {
            let Some((name, value)) = word.split_once('=') else {
                let at = Position::new(at.line, at.column + column);
                return Err(self
                    .error(at, format!("Expected key=value host variable assignment, got: {word}"))
                    .hint("Write each host on a line of its own, and quote values with blanks: key=\"a b\"."));
            };
            vars.push((name.to_owned(), literal::parse(value)));
        }
        let Some((last, names)) = names.split_last() else { return Ok(()) };
        for name in names {
            self.builder.add_host(group, name).extend(vars.clone());
        }
        self.builder.add_host(group, last).extend(vars);
        Ok(())
    }

    fn child(&mut self, at: Position, parent: &str, line: &str) -> Result<(), Diagnostic> {
        let child = line.split('#').next().unwrap_or_default().trim_end();
        if child.contains([':', ']', ' ', '\t']) {
            return Err(self.error(at, format!("Expected a group's name, got: {line}")));
        }
        if self.builder.groups.contains_key(child) {
            return self.builder.add_child(parent, child).map_err(|what| self.error(at, what));
        }
        self.pending.push(Pending { at, group: child.to_owned(), parent: Some(parent.to_owned()) });
        Ok(())
    }

    fn var(&mut self, at: Position, group: &str, line: &str) -> Result<(), Diagnostic> {
        let (name, value) = line.split_once('=').map(|(name, value)| (name.trim(), value.trim())).unwrap_or_default();
        if name.is_empty() {
            return Err(self.error(at, format!("Expected key=value, got: {line}")));
        }
        self.builder.set_variable(group, name, literal::parse(value)).map_err(|what| self.error(at, what))
    }

    fn finish(self) -> Result<(), Diagnostic> {
        let Some(Pending { at, group, parent }) = self.pending.first() else {
            return Ok(());
        };
        let what = match parent {
            Some(parent) => format!("Section [{parent}:children] includes undefined group: {group}"),
            None => format!("Section [{group}:vars] not valid for undefined group: {group}"),
        };
        let undeclared = |name: &&str| !self.pending.iter().any(|pending| pending.group == **name);
        let mut error = self.error(*at, what);
        error.hint = did_you_mean(group, self.builder.groups.keys().map(String::as_str).filter(undeclared));
        Err(error)
    }
}

/// Reads `[group]` or `[group:kind]`, perhaps followed by a comment.
fn section_head(line: &str) -> Option<(&str, Option<&str>)> {
    let (inner, tail) = line.strip_prefix('[')?.split_once(']')?;
    let tail = tail.trim_start();
    if !(tail.is_empty() || tail.starts_with('#')) || inner.contains(char::is_whitespace) {
        return None;
    }
    let (group, kind) = inner.split_once(':').map_or((inner, None), |(group, kind)| (group, Some(kind)));
    let word = kind.is_none_or(|kind| !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '_'));
    (word && !group.is_empty()).then_some((group, kind))
}

/// Splits a line into words as Python's `shlex.split(line, comments=True)` does, each with its column.
fn split_words(line: &str) -> Result<Vec<(u64, String)>, String> {
    let mut words: Vec<(u64, String)> = Vec::new();
    let mut word: Option<(u64, String)> = None;
    let mut chars = (0..).zip(line.chars());
    while let Some((column, c)) = chars.next() {
        if c == '#' {
            break;
        }
        if c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        let (_, text) = word.get_or_insert_with(|| (column, String::with_capacity(line.len())));
        match c {
            '\'' => loop {
                match chars.next() {
                    Some((_, '\'')) => break,
                    Some((_, c)) => text.push(c),
                    None => return Err("a ' is not closed".to_owned()),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some((_, '"')) => break,
                    Some((_, '\\')) => match chars.next() {
                        Some((_, c @ ('"' | '\\'))) => text.push(c),
                        Some((_, c)) => text.extend(['\\', c]),
                        None => return Err("a \" is not closed".to_owned()),
                    },
                    Some((_, c)) => text.push(c),
                    None => return Err("a \" is not closed".to_owned()),
                }
            },
            '\\' => text.push(chars.next().ok_or("the line ends in a \\")?.1),
            c => text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
