//! The keys of `muster top`, for its help and for its footer.

use super::text;

/// The keys and what each does, as groups with a title.
const KEYS: &[(&str, &[(&str, &str)])] = &[
    (
        "Move",
        &[
            ("1 2 3 4 5, Tab", "machines, units, applications, events, problems"),
            ("up down, j k", "one row; PageUp, PageDown, Home, End, g, G as well"),
            ("left right", "columns that do not fit"),
            ("/", "filter: rows with this text in any column"),
            ("o", "sort by the next column"),
            ("Enter", "details; for an application, its units"),
            ("u", "units of the machine"),
            ("Esc", "back; without details, remove the filter"),
        ],
    ),
    (
        "Show",
        &[
            ("w", "why the unit is on its machine, or does not run"),
            ("f", "the file of the unit"),
            ("l", "the journal of the unit, followed"),
            ("x", "what would follow if the machine died"),
            ("r", "observe the machines now"),
        ],
    ),
    (
        "Change, after the plan was shown and y was pressed",
        &[
            ("S T R", "start, stop, restart the unit"),
            ("c", "cordon or uncordon the machine"),
            ("d", "drain the machine: move its units elsewhere"),
        ],
    ),
    (
        "Other",
        &[
            ("s", "shell on the machine; top goes on when the shell ends"),
            ("Ctrl-L", "draw the screen anew"),
            ("?", "this help"),
            ("q, Ctrl-C", "quit"),
        ],
    ),
];

/// The keys at the foot of a list.
pub(super) const OF_LISTS: &str = "Enter details  / filter  l journal  w why  s shell  R restart  ? all keys  q quit";

/// The keys at the foot of details.
pub(super) const OF_DETAILS: &str = "Tab next page  Esc back  l journal  f file  s shell  ? all keys  q quit";

/// The keys of a question.
pub(super) const OF_QUESTIONS: &str = "y do it   n, Esc leave it";

/// The keys of a text.
pub(super) const OF_TEXTS: &str = "Esc back";

/// Returns the help.
pub(super) fn all() -> String {
    let widest = KEYS.iter().flat_map(|(_, keys)| *keys).map(|(key, _)| text::width(key)).max().unwrap_or_default();
    let groups = KEYS.iter().map(|(title, keys)| {
        let lines = keys.iter().map(|(key, what)| format!("  {key:widest$}  {what}\n"));
        format!("{title}\n{}", lines.collect::<String>())
    });
    groups.collect::<Vec<_>>().join("\n")
}
