//! The values that a template of a playbook prints: if it prints one value and nothing else, the value keeps its type.

use std::cell::RefCell;

use minijinja::Value;

thread_local! {
    /// The values printed so far by the innermost template, or nothing if they do not matter.
    static PRINTED: RefCell<Vec<Value>> = const { RefCell::new(Vec::new()) };
}

/// How many values are kept: two are enough to know that there is more than one.
const KEPT: usize = 2;

/// Notes that a value is printed.
pub(super) fn note(value: &Value) {
    PRINTED.with_borrow_mut(|printed| {
        if printed.len() < KEPT {
            printed.push(value.clone());
        }
    });
}

/// Renders, and returns the value if it is the only one that was printed.
pub(super) fn only<T>(render: impl FnOnce() -> T) -> (T, Option<Value>) {
    let before = PRINTED.replace(Vec::new());
    let rendered = render();
    let printed = PRINTED.replace(before);
    (rendered, <[Value; 1]>::try_from(printed).ok().map(|[only]| only))
}
