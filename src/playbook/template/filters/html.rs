//! Filters for HTML and XML.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use regex::Regex;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("e", |_, value, _| Ok(Value::from(escaped(&text(value))))),
    ("escape", |_, value, _| Ok(Value::from(escaped(&text(value))))),
    ("forceescape", |_, value, _| Ok(Value::from(escaped(&text(value))))),
    ("urlize", urlize),
    ("xmlattr", xmlattr),
];

/// Returns a text in which no character has a meaning in HTML.
fn escaped(text: &str) -> String {
    let escapes = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&#34;"), ('\'', "&#39;")];
    escapes.iter().fold(text.to_owned(), |text, (c, escape)| text.replace(*c, escape))
}

/// Returns the attributes of an element. Those without a value are left out.
fn xmlattr(_: &State<'_, '_>, map: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let mut attributes = String::new();
    for (key, value) in value::entries(map)?.into_iter().filter(|(_, value)| !value.is_none()) {
        let key = text(&key);
        if key.contains(|c: char| c.is_whitespace() || "/>=".contains(c)) {
            return Err(wrong(format!("invalid name of an attribute `{key}`")));
        }
        attributes.push_str(&format!(" {}=\"{}\"", escaped(&key), escaped(&text(&value))));
    }
    let from = usize::from(!arguments.flag(0, "autospace", true) && !attributes.is_empty());
    Ok(Value::from(attributes.split_off(from)))
}

/// Addresses of the web: with a scheme or `www.`, or names under a well-known domain, perhaps with a port and a path.
const ADDRESS: &str = r"(?i)^(?:(?:https?://|www\.)(?:[\w%-]+\.)*(?:[a-z]{2,63}|xn--[\w%]{2,59})|(?:[\w%-]{2,63}\.)+(?:com|net|int|edu|gov|org|info|mil)|https?://(?:\d{1,3}(?:\.\d{1,3}){3}|\[(?:[\da-f]{0,4}:){2}(?:[\da-f]{0,4}:?){1,6}\]))(?::\d{1,5})?(?:[/?#]\S*)?$";

static WEB: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(ADDRESS).ok());

static MAIL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\S+@\w[\w.-]*\.\w+$").ok());

fn is_match(pattern: Option<&Regex>, text: &str) -> bool {
    pattern.is_some_and(|pattern| pattern.is_match(text))
}

/// How links are written.
struct Links {
    /// The longest text of a link.
    limit: Option<usize>,
    /// The attributes of a link.
    attributes: String,
    /// Further schemes that make an address.
    schemes: Vec<String>,
}

/// Returns a text for HTML in which addresses are links.
fn urlize(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let given = |position, name| arguments.get(position, name).filter(|value| !value.is_none());
    let limit = given(0, "trim_url_limit").map(|_| arguments.integer(0, "trim_url_limit", 0)).transpose()?;
    let mut relations: BTreeSet<String> = BTreeSet::from(["noopener".to_owned()]);
    relations.extend(arguments.flag(1, "nofollow", false).then(|| "nofollow".to_owned()));
    relations.extend(
        given(3, "rel").iter().flat_map(|rel| text(rel).split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
    );
    let rel = relations.into_iter().collect::<Vec<_>>().join(" ");
    let target = given(2, "target").map(|target| format!(" target=\"{}\"", escaped(&text(&target))));
    let schemes = given(4, "extra_schemes").map(|schemes| value::items(&schemes)).transpose()?;
    let links = Links {
        limit: limit.map(|limit| usize::try_from(limit).unwrap_or_default()),
        attributes: format!(" rel=\"{}\"{}", escaped(&rel), target.unwrap_or_default()),
        schemes: schemes.unwrap_or_default().iter().map(text).collect(),
    };
    let escaped = escaped(&text(value));
    Ok(Value::from(escaped.split_inclusive(char::is_whitespace).map(|word| links.word(word)).collect::<String>()))
}

impl Links {
    /// Returns a word as a link if it is an address, with the signs around it and the blank after it.
    fn word(&self, word: &str) -> String {
        let blank = word.trim_end();
        let (word, blank) = (blank, &word[blank.len()..]);
        let (head, rest) = split_head(word);
        let (middle, tail) = split_tail(rest);
        let link = self.link(middle).unwrap_or_else(|| middle.to_owned());
        format!("{head}{link}{tail}{blank}")
    }

    fn link(&self, address: &str) -> Option<String> {
        let Self { attributes, .. } = self;
        let mail = |address: &str| is_match(MAIL.as_ref(), address);
        if is_match(WEB.as_ref(), address) {
            let has_scheme = address.starts_with("https://") || address.starts_with("http://");
            let scheme = if has_scheme { "" } else { "https://" };
            return Some(format!("<a href=\"{scheme}{address}\"{attributes}>{}</a>", self.trimmed(address)));
        }
        if let Some(name) = address.strip_prefix("mailto:").filter(|name| mail(name)) {
            return Some(format!("<a href=\"{address}\">{name}</a>"));
        }
        if !address.starts_with(['@']) && !address.starts_with("www.") && !address.contains(':') && mail(address) {
            return Some(format!("<a href=\"mailto:{address}\">{address}</a>"));
        }
        let is_of = |scheme: &String| address != scheme && address.starts_with(scheme.as_str());
        self.schemes.iter().any(is_of).then(|| format!("<a href=\"{address}\"{attributes}>{address}</a>"))
    }

    fn trimmed(&self, address: &str) -> String {
        match self.limit {
            Some(limit) if address.chars().count() > limit => {
                address.chars().take(limit).chain("...".chars()).collect()
            }
            _ => address.to_owned(),
        }
    }
}

/// Splits off the brackets before an address.
fn split_head(word: &str) -> (&str, &str) {
    let mut rest = word;
    while let Some(next) = ["(", "<", "&lt;"].iter().find_map(|sign| rest.strip_prefix(sign)) {
        rest = next;
    }
    word.split_at(word.len() - rest.len())
}

/// Splits off the signs after an address. A bracket that closes one of the address belongs to it.
fn split_tail(word: &str) -> (&str, &str) {
    let mut end = word.len();
    let before = |end: usize| {
        let middle = word.get(..end)?;
        [")", ">", ".", ",", "&gt;"].iter().find_map(|sign| middle.strip_suffix(sign)).map(str::len)
    };
    while let Some(shorter) = before(end) {
        end = shorter;
    }
    for (open, close) in [("(", ")"), ("<", ">"), ("&lt;", "&gt;")] {
        let (middle, tail) = word.split_at(end);
        let missing = middle.matches(open).count().saturating_sub(middle.matches(close).count());
        let closes = tail.match_indices(close).map(|(at, _)| end + at + close.len()).take(missing);
        end = closes.last().unwrap_or(end);
    }
    word.split_at(end)
}
