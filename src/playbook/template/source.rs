//! The source of a template before the engine compiles it.
//!
//! The engine's parser recurses with each operator, so a tag may have only so many. And the engine refuses to look into an
//! undefined value, while Ansible allows that before `default` and `is defined`: there a lookup becomes a call of
//! [`LOOKUP`], which gives an undefined value. Lists and maps in the text become calls of [`LIST`] and [`MAP`], because
//! Python's can be changed (`list.append(1)`), and `%` becomes a call of [`PERCENT`], because it formats text.

mod tag;

use tag::Tag;
use tag::is_word;
pub(super) use tag::short;

/// The function that looks up keys one after the other: `a.b['c'] | default(1)` becomes `LOOKUP(a, "b", 'c') | default(1)`.
pub(super) const LOOKUP: &str = "__lookup";

/// The function that looks up an attribute which may be a method: `a.keys` becomes `ATTRIBUTE(a, "keys")`.
pub(super) const ATTRIBUTE: &str = "__attribute";

/// The function that makes a list that can be changed.
pub(super) const LIST: &str = "__list";

/// The function that makes a map that can be changed.
pub(super) const MAP: &str = "__map";

/// The function that makes what `set` gives a name changeable.
pub(super) const OWN: &str = "__own";

/// The function that formats a text or computes a remainder.
pub(super) const PERCENT: &str = "__percent";

/// How many `elif` may follow each other. The parser treats each as an `if` in the one before.
const ALTERNATIVES: usize = 200;

/// The delimiters of statements, expressions and comments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delimiters {
    pub(super) block: [String; 2],
    pub(super) variable: [String; 2],
    pub(super) comment: [String; 2],
}

impl Default for Delimiters {
    fn default() -> Self {
        let pair = |start: &str, end: &str| [start.to_owned(), end.to_owned()];
        Self { block: pair("{%", "%}"), variable: pair("{{", "}}"), comment: pair("{#", "#}") }
    }
}

/// How a string in an expression is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backslashes {
    /// A backslash escapes the next character: in template files and conditions.
    Escape,
    /// A backslash is a backslash, except before the quote: in the expressions of a playbook, as in Ansible.
    Literal,
}

/// A name in an expression that stands for a function of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Filter(String),
    Test(String),
    Method(String),
    Lookup(String),
}

/// The text for the engine, and the names in it.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) text: String,
    pub(super) names: Vec<Name>,
}

/// Prepares a template. `backslashes` is about its expressions; strings in its statements have escapes.
pub(super) fn template(text: &str, delimiters: &Delimiters, backslashes: Backslashes) -> Result<Prepared, String> {
    let mut prepared = String::new();
    let mut names = Vec::new();
    let mut starts = Starts::new(text, delimiters);
    let (mut at, mut alternatives) = (0, 0);
    while let Some((begin, [start, end])) = starts.next(at) {
        let inner = begin + start.len();
        prepared.push_str(text.get(at..inner).unwrap_or_default());
        let tail = text.get(inner..).unwrap_or_default();
        let verbatim = |from: usize, length: usize| tail.get(from..from + length).unwrap_or_default();
        if *start == delimiters.comment[0] {
            let comment = verbatim(0, tail.find(end.as_str()).map_or(tail.len(), |at| at + end.len()));
            prepared.push_str(comment);
            at = inner + comment.len();
            continue;
        }
        let is_expression = *start == delimiters.variable[0];
        let backslashes = if is_expression { backslashes } else { Backslashes::Escape };
        let mut tag = Tag::new(tail, Some(end), backslashes);
        let word = first_word(tail).filter(|_| *start == delimiters.block[0]);
        tag.sets = word == Some("set");
        tag.expression()?;
        let whole = tag.prepared.strip_suffix(end.as_str()).filter(|_| word == Some("raw"));
        if let Some(whole) = whole.filter(|whole| !whole.ends_with(['-', '+'])) {
            // A line break after the tag stays.
            tag.prepared = format!("{whole}+{end}");
        }
        prepared.push_str(&tag.prepared);
        names.append(&mut tag.names);
        at = inner + tag.at;
        match word {
            Some("raw") => {
                let raw = verbatim(tag.at, end_of_raw(tail.get(tag.at..).unwrap_or_default(), delimiters));
                prepared.push_str(raw);
                at += raw.len();
            }
            Some("elif") => alternatives += 1,
            Some("endif") => alternatives = 0,
            _ => {}
        }
        if alternatives > ALTERNATIVES {
            return Err(format!("an `if` has more than {ALTERNATIVES} `elif`"));
        }
    }
    prepared.push_str(text.get(at..).unwrap_or_default());
    Ok(Prepared { text: prepared, names })
}

/// Returns the first word of a statement.
fn first_word(statement: &str) -> Option<&str> {
    let statement = statement.trim_start_matches(['-', '+']).trim_start();
    statement.split(|c| !is_word(c)).next()
}

/// Prepares an expression without delimiters.
pub(super) fn expression(text: &str, backslashes: Backslashes) -> Result<Prepared, String> {
    let mut tag = Tag::new(text, None, backslashes);
    tag.expression()?;
    Ok(Prepared { text: tag.prepared, names: tag.names })
}

/// The places where tags begin.
struct Starts<'t> {
    text: &'t str,
    kinds: [&'t [String; 2]; 3],
    /// The next place of each kind, as far as it was searched. A kind that a text lacks is searched once.
    places: [Option<usize>; 3],
}

impl<'t> Starts<'t> {
    fn new(text: &'t str, delimiters: &'t Delimiters) -> Self {
        let kinds = [&delimiters.block, &delimiters.variable, &delimiters.comment];
        Self { text, kinds, places: [None; 3] }
    }

    /// Returns the first place from here, and the delimiters there.
    fn next(&mut self, from: usize) -> Option<(usize, &'t [String; 2])> {
        for (place, kind) in self.places.iter_mut().zip(self.kinds) {
            if place.is_none_or(|place| place < from) {
                let found = self.text.get(from..)?.find(kind[0].as_str());
                *place = Some(found.map_or(usize::MAX, |found| from + found));
            }
        }
        let known = self.places.into_iter().flatten().zip(self.kinds).filter(|(place, _)| *place < usize::MAX);
        // Of two delimiters at one place the longer one counts.
        known.min_by_key(|(place, kind)| (*place, usize::MAX - kind[0].len()))
    }
}

/// Returns where a raw block ends: at the tag that ends it, or at the end of the text.
fn end_of_raw(text: &str, delimiters: &Delimiters) -> usize {
    let [start, _] = &delimiters.block;
    let ends = |at: &usize| {
        let tag = text.get(at + start.len()..).unwrap_or_default();
        tag.trim_start_matches(['-', '+']).trim_start().starts_with("endraw")
    };
    let mut starts = text.match_indices(start.as_str()).map(|(at, _)| at);
    starts.find(|at| ends(at)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::Backslashes;
    use super::Delimiters;

    fn template(text: &str, delimiters: &Delimiters) -> Result<String, String> {
        super::template(text, delimiters, Backslashes::Escape).map(|prepared| prepared.text)
    }

    fn expression(text: &str) -> Result<String, String> {
        super::expression(text, Backslashes::Escape).map(|prepared| prepared.text)
    }

    fn prepared(text: &str) -> String {
        template(text, &Delimiters::default()).unwrap()
    }

    #[test]
    fn lookups_before_default_and_defined_become_calls() {
        for (text, expected) in [
            ("a.b.c | default('z')", "__lookup(a, \"b\", \"c\") | default('z')"),
            ("a.b.c|d('z')", "__lookup(a, \"b\", \"c\")|d('z')"),
            ("a['b'].c[i.j] is defined", "__lookup(a, 'b', \"c\", i.j) is defined"),
            ("not a.b is not  defined", "not __lookup(a, \"b\") is not  defined"),
            ("a.b is undefined and c.d", "__lookup(a, \"b\") is undefined and c.d"),
            ("a[b.c | default(0)] | default(1)", "__lookup(a, __lookup(b, \"c\") | default(0)) | default(1)"),
            (
                "f(a.b | default(c.d | default('a.b|d')))",
                "f(__lookup(a, \"b\") | default(__lookup(c, \"d\") | default('a.b|d')))",
            ),
            ("a.b | default_other", "a.b | default_other"),
            ("a.b | x.default(1)", "a.b | x.default(1)"),
            ("a | f.g | default(1)", "a | f.g | default(1)"),
            ("a[1:2] | default(1)", "a[1:2] | default(1)"),
            ("a.b() | default(1)", "a.b() | default(1)"),
            ("a is f.g.defined", "a is f.g.defined"),
            ("1.5 | default(1)", "1.5 | default(1)"),
            ("a.b.c == 'é'", "a.b.c == 'é'"),
            ("[1, {'a': b[0]}]", "__list([1, __map({'a': b[0]})])"),
            ("x in [1] or a[0] == [f([])]", "x in __list([1]) or a[0] == __list([f(__list([]))])"),
            ("'%s' % a.b[0] | f if c", "__percent('%s' , a.b[0] | f) if c"),
            ("('%s' % (a, b))", "(__percent('%s' , (a, b)))"),
            ("a * b % c", "a * b % c"),
            ("a.keys", "__attribute(a, \"keys\")"),
            ("x ~ a.b.items.c", "x ~ __attribute(a.b, \"items\").c"),
            ("a.keys() | list", "a.keys() | list"),
            ("a[b]().c", "__lookup(a, b)().c"),
            ("a['b'].c['keys']() | list", "__lookup(a, 'b', \"c\", 'keys')() | list"),
            ("'a'['upper']()", "__lookup('a', 'upper')()"),
            ("a[b].c()", "a[b].c()"),
            ("a.b.keys is defined", "__lookup(a, \"b\", [\"keys\"]) is defined"),
            ("a['keys'] is callable", "__lookup(a, 'keys') is callable"),
            ("f(x).values", "__attribute(f(x), \"values\")"),
            ("'a' 'b' ~ \"c\"", "'a' ~'b' ~ \"c\""),
            ("a | ansible.builtin.default(1) is ansible.builtin.version('1')", "a | default(1) is version('1')"),
            ("'a.b | d' ~ \"\\\"a.b|d\"", "'a.b | d' ~ \"\\\"a.b|d\""),
        ] {
            assert_eq!(expression(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn text_comments_and_raw_blocks_stay() {
        for text in [
            "a.b | default(1)",
            "{# {{ a.b | default(1) }} #} a.b | default(1)",
            "{% raw -%}{{ a.b | default(1) }}{%- endraw -%}",
            "{%-raw+%}{{ a.b | default(1) }}{%endraw%}",
            "{{ '}}' }} a.b | d",
            "{{ open",
            "{% raw",
        ] {
            assert_eq!(prepared(text), text);
        }
        assert_eq!(
            prepared("{% raw %}{{{% endraw %}{% if a.b is defined %}x"),
            "{% raw +%}{{{% endraw %}{% if __lookup(a, \"b\") is defined %}x"
        );
    }

    #[test]
    fn a_name_that_gets_a_value_is_no_method() {
        assert_eq!(prepared("{% set n.items = m.items %}"), "{% set n.items =__own( __attribute(m, \"items\") )%}");
    }

    #[test]
    fn operators_and_brackets_are_bounded() {
        let many = |part: &str, count: usize| part.repeat(count);
        for text in [
            many("-", 1001) + "1",
            many("not ", 1001) + "a",
            "a".to_owned() + &many(".a", 1001),
            "a".to_owned() + &many("['a']", 1001),
            "a".to_owned() + &many("|d", 1001),
            "1".to_owned() + &many("**1", 1001),
            "a".to_owned() + &many(" is defined", 1001),
            many("(", 101),
            "a".to_owned() + &many("()", 1001),
            "a[".to_owned() + &many("[", 101),
        ] {
            assert!(expression(&text).is_err(), "{}", &text[..12]);
            assert!(template(&format!("{{{{ {text} }}}}"), &Delimiters::default()).is_err(), "{}", &text[..12]);
        }
        assert!(template(&many("{% elif a %}", 201), &Delimiters::default()).is_err());
        let list = format!("[{}]", many("{'a': [1, (2)]}, ", 10_000));
        assert!(expression(&list).is_ok());
    }
}
