//! Lookups that make lists of their terms.

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::super::Scope;
use super::super::arguments::Arguments;
use super::super::filters;
use super::super::methods;
use super::super::random::Random;
use super::super::value;
use super::super::value::describe;
use super::super::value::text;
use super::super::value::wrong;

/// The most items that a lookup makes.
const ITEMS: usize = 100_000;

/// How deep lists are flattened.
const DEPTH: usize = 100;

pub(super) fn items(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    flat(terms)
}

/// Flattens lists by one level.
fn flat(terms: &[Value]) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        if is_list(term) { all.extend(value::items(term)?) } else { all.push(term.clone()) }
    }
    Ok(all)
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

pub(super) fn flattened(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let mut flat = Vec::new();
    flatten(terms, 0, &mut flat)?;
    Ok(flat)
}

fn flatten(terms: &[Value], depth: usize, flat: &mut Vec<Value>) -> Result<(), Error> {
    if depth > DEPTH || flat.len() > ITEMS {
        return Err(wrong("the list is too large or too deep"));
    }
    for term in terms {
        if is_list(term) {
            flatten(&value::items(term)?, depth + 1, flat)?;
        } else {
            flat.push(term.clone());
        }
    }
    Ok(())
}

pub(super) fn dict(_: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in items(&Scope::new(Vec::new()), terms, arguments)? {
        all.extend(value::items(&filters::dict2items(&term, &Arguments::new(&[]))?)?);
    }
    Ok(all)
}

/// Returns the items of a term, as Python iterates over it: the keys of a map, the characters of text.
fn iterated(term: &Value) -> Result<Vec<Value>, Error> {
    match term.kind() {
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String => value::items(term),
        _ => Err(wrong(format!("{} is not a list", describe(term)))),
    }
}

/// Returns the first term and the others.
fn first_and_others(terms: &[Value]) -> Result<(&Value, &[Value]), Error> {
    terms.split_first().ok_or_else(|| wrong("at least one list is needed"))
}

/// Every combination of the items of the lists. What is no list is a list of one item.
pub(super) fn cartesian(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let list = |term: &Value| match iterated(term) {
        Ok(items) if term.kind() != ValueKind::String => items,
        _ => vec![term.clone()],
    };
    let (first, others) = first_and_others(terms)?;
    let first = list(first).into_iter().map(|item| vec![item]).collect();
    let rows = others.iter().try_fold(first, |rows, term| combine(rows, &list(term)))?;
    rows.iter().map(|row| flat(row).map(value::list)).collect()
}

/// Every combination of the items of the lists. Ansible flattens a row at each list that it adds, and at the end.
pub(super) fn nested(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let (first, others) = first_and_others(terms)?;
    let mut rows = iterated(first)?;
    for term in others {
        let combined = combine(rows.into_iter().map(|row| vec![row]).collect(), &iterated(term)?)?;
        rows = combined.iter().map(|row| flat(row).map(value::list)).collect::<Result<_, _>>()?;
    }
    rows.iter().map(|row| flat(&iterated(row)?).map(value::list)).collect()
}

/// Appends each item of a list to each row.
fn combine(rows: Vec<Vec<Value>>, list: &[Value]) -> Result<Vec<Vec<Value>>, Error> {
    if rows.len().saturating_mul(list.len()) > ITEMS {
        return Err(wrong(format!("the list would have more than {ITEMS} items")));
    }
    let longer = |row: Vec<Value>| -> Vec<Vec<Value>> {
        list.iter().map(|item| [row.as_slice(), std::slice::from_ref(item)].concat()).collect()
    };
    Ok(rows.into_iter().flat_map(longer).collect())
}

/// The first items of all lists, then the second ones. A list that is too short has null.
pub(super) fn together(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    first_and_others(terms)?;
    let lists = terms.iter().map(iterated).collect::<Result<Vec<_>, _>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let row = |at: usize| -> Vec<Value> {
        lists.iter().map(|list| list.get(at).cloned().unwrap_or_else(|| Value::from(()))).collect()
    };
    (0..longest).map(|at| flat(&row(at)).map(value::list)).collect()
}

pub(super) fn indexed_items(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let items = items(scope, terms, arguments)?;
    Ok(items.into_iter().enumerate().map(|(index, item)| value::list(vec![Value::from(index), item])).collect())
}

pub(super) fn random_choice(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let chosen = usize::try_from(Random::new(None).below(terms.len() as u64)).unwrap_or_default();
    Ok(terms.get(chosen).cloned().into_iter().collect())
}

pub(super) fn subelements(_: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let (list, keys, options) = match terms {
        [list, keys] => (list, keys, None),
        [list, keys, options] => (list, keys, Some(options)),
        _ => return Err(wrong("expected a list and the name of a list in its items")),
    };
    let skips = match options {
        None => false,
        Some(options) if options.kind() == ValueKind::Map => options.get_attr("skip_missing")?.is_true(),
        Some(_) => return Err(wrong("the third term must be a map with `skip_missing`")),
    };
    let path = text(keys);
    let path: Vec<&str> = path.split('.').collect();
    let parents = if list.kind() == ValueKind::Map {
        value::entries(list)?.into_iter().map(|(_, value)| value).collect()
    } else {
        value::items(list)?
    };
    // Items of a task with a loop that did not run have no results.
    let parents = parents.into_iter().filter(|parent| !parent.get_attr("skipped").is_ok_and(|flag| flag.is_true()));
    let without_list = |pair: Value| {
        let (parent, item) = (pair.get_item_by_index(0)?, pair.get_item_by_index(1)?);
        Ok(value::list(vec![without(&parent, &path)?, item]))
    };
    let pairs = filters::subelements(&value::list(parents.collect()), keys, skips)?;
    value::items(&pairs)?.into_iter().map(without_list).collect()
}

/// Returns a map without what is at a path of keys.
fn without(map: &Value, path: &[&str]) -> Result<Value, Error> {
    let Some((first, rest)) = path.split_first() else { return Ok(map.clone()) };
    let mut entries = Vec::new();
    for (key, inner) in value::entries(map)? {
        match key.as_str() == Some(first) {
            false => entries.push((key, inner)),
            true if rest.is_empty() => {}
            true => entries.push((key, without(&inner, rest)?)),
        }
    }
    Ok(value::map(entries))
}

/// The numbers of a sequence.
struct Sequence {
    start: i64,
    end: Option<i64>,
    count: Option<i64>,
    stride: i64,
    format: String,
}

pub(super) fn sequence(_: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    let texts: Vec<String> = if terms.is_empty() { vec![String::new()] } else { terms.iter().map(text).collect() };
    for term in texts {
        let mut sequence = Sequence { start: 1, end: None, count: None, stride: 1, format: "%d".to_owned() };
        for option in term.split_whitespace() {
            match option.split_once('=') {
                Some((name, value)) => sequence.set(name, value)?,
                None => sequence.range(option)?,
            }
        }
        for (name, value) in arguments.named().iter().filter(|(name, _)| name != "wantlist") {
            sequence.set(name, &text(value))?;
        }
        all.extend(sequence.texts()?);
    }
    Ok(all)
}

fn integer(text: &str) -> Result<i64, Error> {
    let hex = text.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16));
    hex.unwrap_or_else(|| text.parse()).map_err(|_| wrong(format!("`{text}` is no whole number")))
}

impl Sequence {
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "start" => self.start = integer(value)?,
            "end" => self.end = Some(integer(value)?),
            "count" => self.count = Some(integer(value)?),
            "stride" => self.stride = integer(value)?,
            "format" => value.clone_into(&mut self.format),
            _ => return Err(wrong(format!("a sequence has no `{name}`"))),
        }
        Ok(())
    }

    /// Reads `END`, `START-END`, `START-END/STRIDE` and `…:FORMAT`.
    fn range(&mut self, text: &str) -> Result<(), Error> {
        let (range, format) = text.split_once(':').map_or((text, None), |(range, format)| (range, Some(format)));
        let (range, stride) = range.split_once('/').map_or((range, None), |(range, stride)| (range, Some(stride)));
        let (start, end) = range.split_once('-').filter(|(start, _)| !start.is_empty()).unwrap_or(("1", range));
        (self.start, self.end) = (integer(start)?, Some(integer(end)?));
        self.stride = stride.map_or(Ok(1), integer)?;
        format.unwrap_or(&self.format).to_owned().clone_into(&mut self.format);
        Ok(())
    }

    fn texts(&self) -> Result<Vec<Value>, Error> {
        let (start, stride) = (self.start, self.stride);
        let end = match (self.count, self.end) {
            (Some(0), None) => return Ok(Vec::new()),
            (Some(count), None) => start.saturating_add((count - 1).saturating_mul(stride)),
            (None, Some(end)) => end,
            (None, None) => return Err(wrong("a sequence needs `end` or `count`")),
            (Some(_), Some(_)) => return Err(wrong("a sequence has either `end` or `count`")),
        };
        if stride > 0 && end < start || stride < 0 && end > start {
            return Err(wrong(format!("no steps of {stride} lead from {start} to {end}")));
        }
        if self.format.matches('%').count() != 1 {
            return Err(wrong(format!("the format `{}` needs exactly one `%`", self.format)));
        }
        if stride == 0 {
            return Ok(Vec::new());
        }
        let mut texts = Vec::new();
        let mut number = self.start;
        while if self.stride > 0 { number <= end } else { number >= end } {
            if texts.len() == ITEMS {
                return Err(wrong(format!("a sequence may have at most {ITEMS} numbers")));
            }
            texts.push(methods::printf(&self.format, &Value::from(number)).map(Value::from)?);
            number = number.saturating_add(self.stride);
        }
        Ok(texts)
    }
}
