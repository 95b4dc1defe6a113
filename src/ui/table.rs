//! Tables as fleet printed them: the layout of Go's `text/tabwriter` with tabs of eight, so that scripts which read
//! fleet's output read this.

use crate::core::sanitize;

/// How wide a tab is.
const TAB: usize = 8;

/// Lays rows of cells out: cells are followed by as many tabs as align the next column, the last one by none.
///
/// A cell is one line: a tab in it would be a cell of its own.
pub fn lay_out(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| sanitize::line(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(|column| (longest(column) + 1).next_multiple_of(TAB)).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            text.push_str(cell);
            if column + 1 < row.len() {
                let tabs = (width - cell.chars().count()).div_ceil(TAB);
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
        lay_out(&rows).replace('\t', "→")
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
    fn a_cell_is_measured_in_characters_and_holds_no_control_character() {
        assert_eq!(laid_out(&[&["ééééééé", "a\tb\u{1b}[2J\n"], &["a", "b"]]), "ééééééé→a b\u{fffd}[2J \na→b\n");
        assert_eq!(laid_out(&[]), "");
    }

    proptest! {
        #[test]
        fn columns_start_at_the_same_place(rows in prop::collection::vec(prop::collection::vec("[a-zé]{0,20}", 3), 1..8)) {
            let text = lay_out(&rows);
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
