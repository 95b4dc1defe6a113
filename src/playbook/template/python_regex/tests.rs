//! Patterns and replacements with the results of Python's `re.sub`.

use super::Flags;
use super::Replacement;
use super::compile;
use super::escape;

fn sub(pattern: &str, replacement: &str, text: &str) -> Result<String, String> {
    let pattern = compile(pattern, Flags::default())?;
    Ok(pattern.replace(text, &Replacement::parse(replacement, &pattern)?, 0)?.0)
}

#[test]
fn matches_are_replaced_as_by_python() {
    for (pattern, replacement, text, expected) in [
        ("a", "b", "banana", "bbnbnb"),
        (r"^(\w+)\s+(\w+)$", r"\2 \1", "hello world", "world hello"),
        (r"(?P<host>[^:]+):(?P<port>\d+)", r"\g<port>@\g<host>", "web1:80", "80@web1"),
        ("(a)(b)?", r"[\1\2\g<0>]", "abaab", "[abab][aa][abab]"),
        ("x*", "-", "abxd", "-a-b--d-"),
        (r"\s+$", "", "text \n", "text"),
        ("$", "!", "a\n", "a!\n!"),
        ("$", "!", "a", "a!"),
        ("(?m)$", "!", "a\nb\n", "a!\nb!\n!"),
        ("(?m)^", "# ", "a\nb\n", "# a\n# b\n# "),
        (r"\Z", "!", "a\n", "a\n!"),
        ("[[]", "(", "a[b[c", "a(b(c"),
        ("[]]", ")", "a]b]c", "a)b)c"),
        ("[a&&b]", "_", "a&b&&c", "_____c"),
        (r"[^a-c\-\]]", "_", "abc-]d e", "abc-]___"),
        ("[a-]", "_", "a-b", "__b"),
        (r"[\w.-]+@", "<>", "a.b-c@d", "<>d"),
        (r"[\x41-\u0043]", "_", "ABCD", "___D"),
        ("{{", "<<", "a {{ b }}", "a << b }}"),
        ("a{2}", "X", "aaaa", "XX"),
        ("a{,2}b", "X", "aabab", "XX"),
        ("a{2,}?", "X", "aaaaa", "XXa"),
        ("a{x}", "X", "a{x}", "X"),
        (r"\<tag\>", "X", "<tag>", "X"),
        (r#"\"(.*?)\""#, r"<\1>", r#""a" "b""#, "<a> <b>"),
        ("(?i)HELLO", "bye", "Hello hello", "bye bye"),
        ("(?i:A)b", "X", "ab AB Ab aB", "X AB X aB"),
        (r"(?x) a \s b # comment (", "X", "a b", "X"),
        ("(?x) [ #] ", "X", "a b#", "aXbX"),
        ("(?s)a.b", "X", "a\nb", "X"),
        ("a.b", "X", "a\nb", "a\nb"),
        ("(?#remark)a", "X", "abc", "Xbc"),
        ("(?<=/)[^/]+$", "X", "/usr/local/bin", "/usr/local/X"),
        ("(?<!a)b", "X", "ab bb", "ab XX"),
        (r"(?!foo)\b\w+", "X", "foo bar", "foo X"),
        ("foo(?=bar)", "X", "foobar foobaz", "Xbar foobaz"),
        (r"(\w)\1", r"<\1>", "aabbcd", "<a><b>cd"),
        (r#"(?P<q>[\'"]).*?(?P=q)"#, "Q", r#"'a"b' "c""#, "Q Q"),
        ("(a)?(?(1)b|c)", "X", "ab c b", "X X b"),
        ("(?>a+)b", "X", "aaab", "X"),
        ("a++b", "X", "aaab", "X"),
        ("a|b|", "X", "abc", "XXXcX"),
        (r"\.", r"\\.", "a.b", r"a\.b"),
        ("b", r"\n\t\.", "abc", "a\n\t\\.c"),
        ("b", r"\g<0>\g<0>", "abc", "abbc"),
        ("(b)", r"\g<1>0", "abc", "ab0c"),
        ("é", "e", "café", "cafe"),
        (r"\d", "N", "a1b22", "aNbNN"),
        (r"(?u)\W", "_", "a-é b", "a_é_b"),
        (r"\A\s*|\s*\Z", "", "  a b  ", "a b"),
        (r"^\s*#.*$", "", "# a\nb", "# a\nb"),
        ("^(.*)$", r#""\1""#, "a", r#""a""#),
        ("^(.*)$", r#""\1""#, "", r#""""#),
        ("(.*)", r"<\1>", "abc", "<abc><>"),
        (r"\0", "N", "a\0b", "aNb"),
        (r"\101", "X", "ABA", "XBX"),
        (r"(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\10", r"\10!\1", "abcdefghijj", "j!a"),
        ("a b", "X", "a b", "X"),
        ("a#b", "X", "a#b", "X"),
    ] {
        assert_eq!(sub(pattern, replacement, text).as_deref(), Ok(expected), "{pattern} {replacement} {text:?}");
    }
}

#[test]
fn a_pattern_or_replacement_that_python_refuses_is_refused() {
    for (pattern, replacement) in [
        ("[~a--b]", "X"),
        (r"[\d-x]", "X"),
        ("a**", ""),
        ("*a", ""),
        ("(a", ""),
        ("a)", ""),
        ("[a", ""),
        (r"\h", ""),
        ("a(?i)b", ""),
        (r"\z", ""),
        ("(?<n>a)", ""),
        (r"\p{L}", ""),
        ("(a)", r"\2"),
        ("a", r"\g<x>"),
        ("a", r"\q"),
        ("a", r"\"),
        (r"(b)\2", ""),
        (r"a\", ""),
        ("[z-a]", ""),
        (r"[\d-\w]", ""),
        ("(?P<1>a)", ""),
        ("(?y)a", ""),
        ("(?<=a+)b", ""),
        ("a{2,1}", ""),
        ("(|*)", ""),
        ("(?P<a>x)(?P<a>y)", ""),
        ("^*", "X"),
        ("(?P=n)", ""),
    ] {
        let result = sub(pattern, replacement, "a");
        assert!(result.is_err(), "{pattern} {replacement}: {result:?}");
    }
}

#[test]
fn a_message_names_the_pattern_and_the_reason() {
    for (pattern, replacement, expected) in [
        ("(a", "", "invalid regular expression `(a`: a parenthesis is not closed"),
        (r"\h", "", r"invalid regular expression `\h`: `\h` has no meaning in Python"),
        ("(?a)x", "", "invalid regular expression `(?a)x`: muster does not know the flag `a` (ASCII)"),
        ("(a)", r"\2", r"invalid replacement `\2`: the pattern has no group `2`"),
    ] {
        assert_eq!(sub(pattern, replacement, "a"), Err(expected.to_owned()));
    }
}

#[test]
fn the_steps_of_a_pattern_are_bounded() {
    let slow = compile(r"(x+x+)+(?=y)\1z", Flags::default()).unwrap();
    let why = slow.find(&("x".repeat(64) + "yz"), 0).unwrap_err();
    assert!(why.contains("takes more than"), "{why}");
    assert!(compile(&"(".repeat(70_000), Flags::default()).is_err());
    let _ = compile(&"(".repeat(60_000), Flags::default());
    let _ = compile(&("(".repeat(30_000) + &")".repeat(30_000)), Flags::default());
    assert!(compile(r"(\w{1000}){1000}", Flags::default()).is_err());
    let linear = compile(r"(a|b|ab)*bc$", Flags::default()).unwrap();
    assert_eq!(linear.find(&("ab".repeat(2000) + "ac"), 0), Ok(None));
}

#[test]
fn flags_and_counts_are_obeyed() {
    let flags = Flags { multiline: true, ignore_case: true, dot_all: false };
    let pattern = compile("^A.*$", flags).unwrap();
    let replaced = pattern.replace("a1\nb\nA2\n", &Replacement::literal(r"\1"), 0).unwrap();
    assert_eq!(replaced, ("\\1\nb\n\\1\n".to_owned(), 2));
    assert_eq!(pattern.replace("a1\na2", &Replacement::literal("x"), 1).unwrap().0, "x\na2");
    let start = compile("b", Flags::default()).unwrap();
    assert_eq!(start.find_at_start("ab"), Ok(None));
    assert_eq!(escape("a.b-c d/é_#"), r"a\.b\-c\ d/é_\#");
}
