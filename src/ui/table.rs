//! Tables as fleet printed them: the layout of Go's `text/tabwriter` with tabs of eight, so that scripts which read
//! fleet's output read this.

use super::terminal::Tone;
use crate::core::sanitize;

/// The width of a tab.
const TAB: usize = 8;

/// The text of a cell and its colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Option<Tone>,
}

impl Cell {
    /// Makes a cell that is printed in a colour.
    pub fn colored(text: impl Into<String>, tone: Option<Tone>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, tone: None }
    }
}

/// Lays rows of cells out: tabs align the next column, and none follow the last cell.
///
/// A cell is one line: a tab in it would be a cell of its own.
pub fn lay_out<C: Clone + Into<Cell>>(rows: &[Vec<C>], has_color: bool) -> String {
    let clean = |cell: &C| {
        let cell: Cell = cell.clone().into();
        Cell { text: sanitize::line(&cell.text), ..cell }
    };
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(clean).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(|column| (longest(column) + 1).next_multiple_of(TAB)).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(&cell.tone.map_or_else(|| cell.text.clone(), |tone| tone.paint(&cell.text, has_color)));
            if column + 1 < row.len() {
                let tabs = (width - cell.text.chars().count()).div_ceil(TAB);
                text.extend(std::iter::repeat_n('\t', tabs));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn laid_out(rows: &[&[&str]]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        lay_out(&rows, false).replace('\t', "→")
    }

    #[test]
    fn tables_are_byte_for_byte_those_of_gos_tabwriter() {
        let unit_files: &[&[&str]] = &[
            &["UNIT", "HASH", "DSTATE", "STATE", "TARGET"],
            &["goodbye.service", "d4c61bf", "launched", "launched", "85c0c595.../172.17.8.102"],
            &["hello.service", "e55c0ae", "launched", "launched", "113f16a7.../172.17.8.103"],
        ];
        assert_eq!(
            laid_out(unit_files),
            "UNIT→→HASH→DSTATE→→STATE→→TARGET\n\
             goodbye.service→d4c61bf→launched→launched→85c0c595.../172.17.8.102\n\
             hello.service→e55c0ae→launched→launched→113f16a7.../172.17.8.103\n"
        );
        let units: &[&[&str]] = &[
            &["UNIT", "MACHINE", "ACTIVE", "SUB"],
            &["goodbye.service", "85c0c595.../172.17.8.102", "active", "running"],
            &["hello.service", "113f16a7.../172.17.8.103", "active", "running"],
        ];
        assert_eq!(
            laid_out(units),
            "UNIT→→MACHINE→→→→ACTIVE→SUB\n\
             goodbye.service→85c0c595.../172.17.8.102→active→running\n\
             hello.service→113f16a7.../172.17.8.103→active→running\n"
        );
        let machines: &[&[&str]] = &[
            &["MACHINE", "IP", "METADATA"],
            &["113f16a7...", "172.17.8.103", "az=us-west-1b"],
            &["85c0c595...", "172.17.8.102", "-"],
        ];
        assert_eq!(
            laid_out(machines),
            "MACHINE→→IP→→METADATA\n\
             113f16a7...→172.17.8.103→az=us-west-1b\n\
             85c0c595...→172.17.8.102→-\n"
        );
    }

    #[test]
    fn a_colour_has_no_width() {
        let cell = |text: &str, tone| Cell::colored(text, tone);
        let rows = [vec![cell("down", Some(Tone::Error)), cell("x", None)], vec![cell("alive", None), cell("y", None)]];
        assert_eq!(lay_out(&rows, true), "\u{1b}[1;31mdown\u{1b}[0m\tx\nalive\ty\n");
        assert_eq!(lay_out(&rows, false), "down\tx\nalive\ty\n");
    }

    #[test]
    fn a_cell_is_measured_in_characters_and_holds_no_control_character() {
        assert_eq!(laid_out(&[&["ééééééé", "a\tb\u{1b}[2J\n"], &["a", "b"]]), "ééééééé→a b\u{fffd}[2J \na→b\n");
        assert_eq!(laid_out(&[]), "");
    }

    proptest! {
        #[test]
        fn columns_start_at_the_same_place(rows in prop::collection::vec(prop::collection::vec("[a-zé]{0,20}", 3), 1..8)) {
            let text = lay_out(&rows, false);
            let mut starts = std::collections::BTreeSet::new();
            for (line, row) in text.lines().zip(&rows) {
                let (mut at, mut here) = (0, Vec::new());
                let mut gap = false;
                for c in line.chars() {
                    if c == '\t' {
                        at = (at / TAB + 1) * TAB;
                        gap = true;
                    } else {
                        if gap { here.push(at); }
                        gap = false;
                        at += 1;
                    }
                }
                if row.iter().all(|cell| !cell.is_empty()) {
                    starts.insert(here);
                }
            }
            prop_assert!(starts.len() <= 1, "{text:?}");
        }
    }
}
