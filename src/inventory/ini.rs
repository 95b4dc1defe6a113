//! INI inventories, as Ansible reads them: `[group]`, `[group:children]`, `[group:vars]`, host lines of shell words.

use std::path::Path;

use super::draft::Draft;
use super::draft::UNGROUPED;
use super::draft::host_names;
use super::fault::Fault;
use super::fault::Place;
use super::fault::did_you_mean;
use super::literal;

/// Adds what an INI file says to the draft.
pub(super) fn read(file: &Path, text: &str, draft: &mut Draft) -> Result<(), Fault> {
    let mut reader = Reader { file, draft, pending: Vec::new(), section: Section::Hosts(UNGROUPED.to_owned()) };
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        if number == 1 && line.starts_with("$ANSIBLE_VAULT") {
            return Err(Fault::new(
                file,
                Place::new(1, 1),
                "the file is encrypted with Ansible Vault, which muster cannot open",
            )
            .hint("Decrypt it first (`ansible-vault decrypt`)."));
        }
        reader.line(number, line)?;
    }
    reader.finish()
}

/// What the lines under a section's head are.
enum Section {
    Hosts(String),
    Children(String),
    Vars(String),
}

/// A group that was named before it was declared.
struct Pending {
    at: Place,
    group: String,
    /// The group that it is to be in; none if it was given variables.
    parent: Option<String>,
}

struct Reader<'a> {
    file: &'a Path,
    draft: &'a mut Draft,
    pending: Vec<Pending>,
    section: Section,
}

impl Reader<'_> {
    fn line(&mut self, number: u64, line: &str) -> Result<(), Fault> {
        let indent = line.chars().take_while(|c| c.is_whitespace()).count() as u64;
        let at = Place::new(number, indent + 1);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            return Ok(());
        }
        if let Some(head) = section_head(line) {
            return self.head(at, head);
        }
        match &self.section {
            Section::Hosts(group) => {
                // A host line may begin with a range or an IPv6 address; what else begins with `[` was meant as a head.
                if line.starts_with('[') && line.ends_with(']') && !line.contains('=') && host_names(line).is_err() {
                    return Err(self
                        .fault(at, format!("`{line}` is not a section"))
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

    fn fault(&self, at: Place, what: impl Into<String>) -> Fault {
        Fault::new(self.file, at, what)
    }

    fn head(&mut self, at: Place, (group, kind): (&str, Option<&str>)) -> Result<(), Fault> {
        let owned = group.to_owned();
        self.section = match kind {
            None | Some("hosts") => Section::Hosts(owned),
            Some("children") => Section::Children(owned),
            Some("vars") => {
                if !self.draft.groups.contains_key(group) {
                    self.pending.push(Pending { at, group: owned.clone(), parent: None });
                }
                self.section = Section::Vars(owned);
                return Ok(());
            }
            Some(kind) => {
                let mut fault = self.fault(at, format!("Section [{group}:{kind}] has unknown type: {kind}"));
                fault.hint = did_you_mean(kind, ["hosts", "children", "vars"]);
                return Err(fault);
            }
        };
        self.draft.group(group);
        let waiting = std::mem::take(&mut self.pending);
        let (declared, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|pending| pending.group == group);
        self.pending = waiting;
        for Pending { at, parent, .. } in declared {
            if let Some(parent) = parent {
                self.draft.adopt(&parent, group).map_err(|what| self.fault(at, what))?;
            }
        }
        Ok(())
    }

    fn host(&mut self, at: Place, group: &str, line: &str) -> Result<(), Fault> {
        let words = words(line).map_err(|what| self.fault(at, what))?;
        let Some(((_, pattern), assignments)) = words.split_first() else {
            return Ok(());
        };
        let (names, port) = host_names(pattern).map_err(|what| {
            let fault = self.fault(at, what);
            if pattern.contains('=') {
                fault.hint("A variable stands after its host's name, or under a [group:vars] section.")
            } else if pattern == "---" {
                fault.hint("Name the file .yaml if that is what it is.")
            } else {
                fault
            }
        })?;
        let mut vars = Vec::new();
        vars.extend(port.map(|port| ("ansible_port".to_owned(), port.into())));
        for (column, word) in assignments {
            let Some((name, value)) = word.split_once('=') else {
                let at = Place::new(at.line, at.column + column);
                return Err(self
                    .fault(at, format!("Expected key=value host variable assignment, got: {word}"))
                    .hint("Write each host on a line of its own, and quote values with blanks: key=\"a b\"."));
            };
            vars.push((name.to_owned(), literal::value(value)));
        }
        for name in names {
            self.draft.host(group, &name).extend(vars.clone());
        }
        Ok(())
    }

    fn child(&mut self, at: Place, parent: &str, line: &str) -> Result<(), Fault> {
        let child = line.split('#').next().unwrap_or_default().trim_end();
        if child.contains([':', ']', ' ', '\t']) {
            return Err(self.fault(at, format!("Expected a group's name, got: {line}")));
        }
        if self.draft.groups.contains_key(child) {
            return self.draft.adopt(parent, child).map_err(|what| self.fault(at, what));
        }
        self.pending.push(Pending { at, group: child.to_owned(), parent: Some(parent.to_owned()) });
        Ok(())
    }

    fn var(&mut self, at: Place, group: &str, line: &str) -> Result<(), Fault> {
        let (name, value) = line.split_once('=').map(|(name, value)| (name.trim(), value.trim())).unwrap_or_default();
        if name.is_empty() {
            return Err(self.fault(at, format!("Expected key=value, got: {line}")));
        }
        self.draft.set(group, name, literal::value(value)).map_err(|what| self.fault(at, what))
    }

    fn finish(self) -> Result<(), Fault> {
        let Some(Pending { at, group, parent }) = self.pending.first() else {
            return Ok(());
        };
        let what = match parent {
            Some(parent) => format!("Section [{parent}:children] includes undefined group: {group}"),
            None => format!("Section [{group}:vars] not valid for undefined group: {group}"),
        };
        let undeclared = |name: &&str| !self.pending.iter().any(|pending| pending.group == **name);
        let mut fault = self.fault(*at, what);
        fault.hint = did_you_mean(group, self.draft.groups.keys().map(String::as_str).filter(undeclared));
        Err(fault)
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

/// Splits a line into words as Python's `shlex.split(line, comments=True)` does, each with how far into the line it begins.
fn words(line: &str) -> Result<Vec<(u64, String)>, String> {
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
        let (_, text) = word.get_or_insert_with(|| (column, String::new()));
        match c {
            '\'' => loop {
                match chars.next() {
                    Some((_, '\'')) => break,
                    Some((_, c)) => text.push(c),
                    None => return Err("a ' is never closed".to_owned()),
                }
            },
            '"' => loop {
                match chars.next() {
                    Some((_, '"')) => break,
                    Some((_, '\\')) => match chars.next() {
                        Some((_, c @ ('"' | '\\'))) => text.push(c),
                        Some((_, c)) => text.extend(['\\', c]),
                        None => return Err("a \" is never closed".to_owned()),
                    },
                    Some((_, c)) => text.push(c),
                    None => return Err("a \" is never closed".to_owned()),
                }
            },
            '\\' => text.push(chars.next().ok_or("the line ends in a \\")?.1),
            c => text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
