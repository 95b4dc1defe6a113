//! Host patterns: `web:&prod:!web3`, `db[0:2]`, `*.example.com`, `~web\d+`, `h1,h2`.
//!
//! Unlike in Ansible, a term without a match is an error on the command line, so that a misspelt name never leaves hosts
//! out silently. In a playbook it is a warning, because playbooks name groups that an inventory may lack.

use indexmap::IndexMap;
use indexmap::IndexSet;
use regex::Regex;

use super::Host;
use super::Inventory;
use super::InventoryError;
use super::builder::ALL;

use crate::core::similar::similar;

impl Inventory {
    /// Returns the hosts that a pattern selects, each once, in the order of the pattern's terms.
    pub fn select(&self, pattern: &str) -> Result<Vec<&Host>, InventoryError> {
        let (hosts, unmatched) = self.select_known(pattern)?;
        match unmatched.first() {
            None => Ok(hosts),
            Some(term) => Err(InventoryError::NoMatch {
                term: (*term).to_owned(),
                pattern: pattern.to_owned(),
                near: similar(term, self.groups.keys().chain(self.hosts.keys()).map(String::as_str))
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            }),
        }
    }

    /// Returns the hosts that a pattern selects, and the terms without a match, which select no host.
    pub fn select_known<'p>(&self, pattern: &'p str) -> Result<(Vec<&Host>, Vec<&'p str>), InventoryError> {
        let terms = split(pattern);
        let of = |mark: Option<char>| {
            let marked = move |term: &&str| term.chars().next().filter(|c| matches!(c, '&' | '!')) == mark;
            terms.iter().copied().filter(marked).map(move |term| term.trim_start_matches(['&', '!']))
        };
        let mut unmatched = Vec::new();
        let mut matching = |term: &'p str| {
            let names = self.matching(pattern, term)?;
            if names.is_none() {
                unmatched.push(term);
            }
            Ok::<_, InventoryError>(names.unwrap_or_default())
        };
        let mut selected: IndexSet<&str> = IndexSet::new();
        let plain: Vec<&str> = of(None).collect();
        for term in if plain.is_empty() && !terms.is_empty() { vec![ALL] } else { plain } {
            selected.extend(matching(term)?);
        }
        for term in of(Some('&')) {
            let required = matching(term)?;
            selected.retain(|host| required.contains(host));
        }
        let mut excluded: IndexSet<&str> = IndexSet::new();
        for term in of(Some('!')) {
            excluded.extend(matching(term)?);
        }
        selected.retain(|host| !excluded.contains(host));
        Ok((selected.into_iter().filter_map(|name| self.hosts.get(name)).collect(), unmatched))
    }

    /// Returns the names of the hosts that one term selects, without its `&` or `!`; `None` if it matches nothing.
    fn matching(&self, pattern: &str, term: &str) -> Result<Option<IndexSet<&str>>, InventoryError> {
        let (name, part) = if term.starts_with('~') { (term, None) } else { subscript(term) };
        let matcher = Matcher::new(name)
            .map_err(|error| InventoryError::Pattern { pattern: pattern.to_owned(), detail: error.to_string() })?;
        let groups = matcher.find(&self.groups);
        let members = groups.iter().flat_map(|(_, group)| group.hosts.iter().map(String::as_str));
        let mut names: IndexSet<&str> = members.collect();
        let mut known = !groups.is_empty();
        if !known || name.starts_with('~') || name.contains(['.', '?', '*', '[']) {
            names.extend(matcher.find(&self.hosts).into_iter().map(|(host, _)| host));
            known |= !names.is_empty();
        }
        if let Some((first, last)) = part {
            names = slice(&names, first, last);
            known &= !names.is_empty();
        }
        Ok(known.then_some(names))
    }
}

/// The names that a term stands for.
enum Matcher<'t> {
    /// One name. It is looked up, because a pattern may have as many terms as there are hosts.
    Name(&'t str),
    Pattern(Regex),
}

impl<'t> Matcher<'t> {
    fn new(term: &'t str) -> Result<Self, regex::Error> {
        if term.starts_with('~') || term.contains(['*', '?', '[']) {
            return compile(term).map(Self::Pattern);
        }
        Ok(Self::Name(term))
    }

    /// Returns the entries whose names match.
    fn find<'m, T>(&self, map: &'m IndexMap<String, T>) -> Vec<(&'m str, &'m T)> {
        let entry = |(name, value): (&'m String, &'m T)| (name.as_str(), value);
        match self {
            Self::Name(name) => map.get_key_value(*name).map(entry).into_iter().collect(),
            Self::Pattern(regex) => map.iter().filter(|(name, _)| regex.is_match(name)).map(entry).collect(),
        }
    }
}

/// Splits a pattern into its terms: at commas if there are any, else at colons outside brackets.
fn split(pattern: &str) -> Vec<&str> {
    let terms: Vec<&str> = if pattern.contains(',') {
        pattern.split(',').collect()
    } else if is_address(pattern.trim()) {
        vec![pattern]
    } else {
        let mut depth = 0_usize;
        let at_colon = |c: char| {
            depth = if c == '[' { depth + 1 } else { depth.saturating_sub(usize::from(c == ']')) };
            c == ':' && depth == 0
        };
        pattern.split(at_colon).collect()
    };
    terms.into_iter().map(str::trim).filter(|term| !term.is_empty()).collect()
}

/// Reports whether the whole pattern is one IPv6 address.
fn is_address(pattern: &str) -> bool {
    pattern.parse::<std::net::Ipv6Addr>().is_ok()
}

/// Splits off a subscript: `web[0]`, `web[-1]`, `web[0:2]`, `web[1:]`, `web[:3]`; both ends included.
fn subscript(term: &str) -> (&str, Option<(i64, Option<i64>)>) {
    let parsed = || {
        let (name, inner) = term.strip_suffix(']')?.rsplit_once('[')?;
        if name.is_empty() {
            return None;
        }
        if let Ok(index) = inner.parse() {
            return Some((name, Some((index, Some(index)))));
        }
        let (first, last) = inner.split_once(':')?;
        let bound = |text: &str, empty| if text.is_empty() { Some(empty) } else { text.parse::<u32>().ok().map(Some) };
        let (first, last) = (bound(first, None)?, bound(last, None)?);
        (first.is_some() || last.is_some()).then(|| (name, Some((first.map_or(0, i64::from), last.map(i64::from)))))
    };
    parsed().unwrap_or((term, None))
}

/// Returns the hosts from one index to another, both included. Negative indices count from the end.
fn slice<'a>(hosts: &IndexSet<&'a str>, first: i64, last: Option<i64>) -> IndexSet<&'a str> {
    let count = i64::try_from(hosts.len()).unwrap_or(i64::MAX);
    let index = |index: i64| if index < 0 { index + count } else { index };
    let (first, last) = (index(first), index(last.unwrap_or(count - 1)));
    (0..).zip(hosts).filter(|(at, _)| (first..=last).contains(at)).map(|(_, host)| *host).collect()
}

/// A shell pattern with the rules of Python's `fnmatch`.
pub struct ShellPattern(Regex);

impl ShellPattern {
    /// Compiles a pattern. It fails if the pattern is too large.
    pub fn parse(glob: &str) -> Result<Self, regex::Error> {
        Regex::new(&translate(glob)).map(Self)
    }

    /// Reports whether the pattern matches a whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// Compiles a term: a regular expression after `~`, or else a shell pattern with the rules of Python's `fnmatch`.
fn compile(term: &str) -> Result<Regex, regex::Error> {
    match term.strip_prefix('~') {
        Some(expression) => Regex::new(&format!("^(?:{expression})")),
        None => Regex::new(&translate(term)),
    }
}

fn translate(glob: &str) -> String {
    let mut regex = String::from("(?s)^");
    let mut rest = glob;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match class(rest) {
                Some((class, tail)) => {
                    regex.push_str(&class);
                    rest = tail;
                }
                // A bracket that is not closed is a literal character.
                None => regex.push_str(r"\["),
            },
            c => regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

/// Reads a character class after its `[`. A `]` in first place is a member.
fn class(rest: &str) -> Option<(String, &str)> {
    let (not, body) = rest.strip_prefix('!').map_or(("", rest), |body| ("^", body));
    let end = body.char_indices().skip(1).find(|(_, c)| *c == ']')?.0;
    let (inner, tail) = body.split_at_checked(end)?;
    let escaped: String = inner
        .chars()
        .flat_map(|c| if matches!(c, '\\' | '[' | ']' | '&' | '~' | '^') { vec!['\\', c] } else { vec![c] })
        .collect();
    Some((format!("[{not}{escaped}]"), tail.get(1..)?))
}
