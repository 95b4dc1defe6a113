//! The methods that the types of values have.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::Scope;
use super::hosts::HostVars;
use super::value::Map;

/// The methods of maps.
pub(super) const OF_MAP: &[&str] =
    &["clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"];

const OF_LIST: &[&str] =
    &["append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

const OF_TUPLE: &[&str] = &["count", "index"];

const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "encode",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "maketrans",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "translate",
    "upper",
    "zfill",
];

const OF_BYTES: &[&str] = &["decode", "hex"];

const OF_INTEGER: &[&str] = &["bit_length"];

const OF_FLOAT: &[&str] = &["is_integer"];

/// The methods of loops, times, and what `cycler` makes.
const OF_OTHERS: &[&str] =
    &["__setitem__", "changed", "cycle", "date", "isoformat", "next", "reset", "strftime", "timestamp"];

/// Returns the names of all methods, for messages. Some are there more than once.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    [OF_MAP, OF_LIST, OF_TEXT, OF_BYTES, OF_INTEGER, OF_FLOAT, OF_OTHERS].into_iter().flatten().copied()
}

fn is_map(value: &Value) -> bool {
    value.downcast_object_ref::<Map>().is_some()
        || value.downcast_object_ref::<Scope>().is_some()
        || value.downcast_object_ref::<HostVars>().is_some()
}

/// Returns the methods of the type of a value.
pub(super) fn of_type(value: &Value) -> &'static [&'static str] {
    match value.kind() {
        // Others are no maps to a template, such as a namespace.
        ValueKind::Map if is_map(value) => OF_MAP,
        ValueKind::Seq if value.is_tuple() => OF_TUPLE,
        ValueKind::Seq => OF_LIST,
        ValueKind::String => OF_TEXT,
        ValueKind::Bytes => OF_BYTES,
        ValueKind::Bool => OF_INTEGER,
        ValueKind::Number if value.is_integer() => OF_INTEGER,
        ValueKind::Number => OF_FLOAT,
        _ => &[],
    }
}
