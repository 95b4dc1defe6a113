//! Two texts as a unified difference. The lines are matched as Python's `difflib` matches them, so that the hunks are those
//! that Ansible prints.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

/// How many lines are shown before and after a change.
const CONTEXT: usize = 3;

/// The most comparisons for two texts. Texts that need more are shown as if they had no further line in common.
const LIMIT: usize = 4_000_000;

/// From this number of lines on, a line that makes up more than a hundredth of a text matches no other by itself.
const MANY: usize = 200;

/// A part of both texts: equal lines, or lines that replace others.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    is_equal: bool,
    old: Range<usize>,
    new: Range<usize>,
}

/// Returns the difference of two texts, with a newline at its end; `None` if they are the same.
pub fn unified(old: &str, new: &str, (before, after): (&str, &str)) -> Option<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(old), lines(new));
    let parts = Matcher::new(&old, &new).parts();
    let hunks = hunks(&parts);
    if hunks.is_empty() {
        return None;
    }
    let mut out = format!("--- {before}\n+++ {after}\n");
    for hunk in hunks {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else { continue };
        let (old_range, new_range) = (first.old.start..last.old.end, first.new.start..last.new.end);
        out.push_str(&format!("@@ -{} +{} @@\n", range(&old_range), range(&new_range)));
        for part in &hunk {
            let signs = if part.is_equal { &[(' ', true)][..] } else { &[('-', true), ('+', false)][..] };
            for (sign, is_old) in signs {
                let lines = if *is_old { lines_of(&old, &part.old) } else { lines_of(&new, &part.new) };
                for line in lines {
                    push(&mut out, *sign, line);
                }
            }
        }
    }
    Some(out)
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn lines_of<'a, 't>(lines: &'a [&'t str], range: &Range<usize>) -> &'a [&'t str] {
    lines.get(range.clone()).unwrap_or_default()
}

fn push(out: &mut String, sign: char, line: &str) {
    out.push(sign);
    out.push_str(line);
    if !line.ends_with('\n') {
        out.push_str("\n\\ No newline at end of file\n");
    }
}

fn range(lines: &Range<usize>) -> String {
    match lines.len() {
        1 => (lines.start + 1).to_string(),
        0 => format!("{},0", lines.start),
        length => format!("{},{length}", lines.start + 1),
    }
}

/// Groups the parts into hunks, each with some equal lines around its changes.
fn hunks(parts: &[Part]) -> Vec<Vec<Part>> {
    let (mut hunks, mut hunk) = (Vec::new(), Vec::new());
    for (index, part) in parts.iter().enumerate() {
        let length = part.old.len();
        let (is_first, is_last) = (index == 0, index + 1 == parts.len());
        let head = |part: &Part, count: usize| Part {
            old: part.old.start..(part.old.start + count).min(part.old.end),
            new: part.new.start..(part.new.start + count).min(part.new.end),
            ..part.clone()
        };
        let tail = |part: &Part, count: usize| Part {
            old: part.old.end.saturating_sub(count).max(part.old.start)..part.old.end,
            new: part.new.end.saturating_sub(count).max(part.new.start)..part.new.end,
            ..part.clone()
        };
        if !part.is_equal {
            hunk.push(part.clone());
        } else if is_first {
            hunk.push(tail(part, CONTEXT));
        } else if is_last {
            hunk.push(head(part, CONTEXT));
        } else if length > 2 * CONTEXT {
            hunk.push(head(part, CONTEXT));
            hunks.push(std::mem::replace(&mut hunk, vec![tail(part, CONTEXT)]));
        } else {
            hunk.push(part.clone());
        }
    }
    hunks.push(hunk);
    hunks.retain(|hunk| hunk.iter().any(|part| !part.is_equal));
    hunks
}

/// Finds the lines that two texts have in common.
struct Matcher<'a, 't> {
    old: &'a [&'t str],
    new: &'a [&'t str],
    /// The places of each line of the new text.
    places: HashMap<&'t str, Vec<usize>>,
    left: usize,
}

impl<'a, 't> Matcher<'a, 't> {
    fn new(old: &'a [&'t str], new: &'a [&'t str]) -> Self {
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, line) in new.iter().enumerate() {
            places.entry(line).or_default().push(index);
        }
        if new.len() >= MANY {
            places.retain(|_, places| places.len() <= new.len() / 100 + 1);
        }
        Self { old, new, places, left: LIMIT }
    }

    /// Returns the first of the longest runs of lines that both ranges have: its places and its length.
    fn longest(&mut self, old: &Range<usize>, new: &Range<usize>) -> (usize, usize, usize) {
        let (mut at, mut to, mut size) = (old.start, new.start, 0);
        let mut lengths: HashMap<usize, usize> = HashMap::new();
        for index in old.clone() {
            let mut next = HashMap::new();
            let places = self.old.get(index).and_then(|line| self.places.get(line)).map_or(&[][..], Vec::as_slice);
            let from = places.partition_point(|place| *place < new.start);
            let until = places.partition_point(|place| *place < new.end);
            let places = places.get(from..until).unwrap_or_default();
            for place in places.iter().copied() {
                let length = place.checked_sub(1).and_then(|before| lengths.get(&before)).copied().unwrap_or(0) + 1;
                next.insert(place, length);
                if length > size {
                    (at, to, size) = (index + 1 - length, place + 1 - length, length);
                }
            }
            self.left = self.left.saturating_sub(places.len() + 1);
            if self.left == 0 {
                return (old.start, new.start, 0);
            }
            lengths = next;
        }
        // Lines that are too frequent to begin a run may lengthen one.
        let is_same = |at: usize, to: usize| self.old.get(at) == self.new.get(to);
        while at > old.start && to > new.start && is_same(at - 1, to - 1) {
            (at, to, size) = (at - 1, to - 1, size + 1);
        }
        while at + size < old.end && to + size < new.end && is_same(at + size, to + size) {
            size += 1;
        }
        (at, to, size)
    }

    /// Returns the runs of common lines: the place in the old text, then that in the new one and the length.
    fn common(&mut self) -> BTreeMap<usize, (usize, usize)> {
        let mut open = vec![(0..self.old.len(), 0..self.new.len())];
        let mut found = BTreeMap::new();
        while let Some((old, new)) = open.pop() {
            let (at, to, size) = self.longest(&old, &new);
            if size == 0 {
                continue;
            }
            found.insert(at, (to, size));
            if old.start < at && new.start < to {
                open.push((old.start..at, new.start..to));
            }
            if at + size < old.end && to + size < new.end {
                open.push((at + size..old.end, to + size..new.end));
            }
        }
        found
    }

    fn parts(mut self) -> Vec<Part> {
        let (mut parts, mut old, mut new): (Vec<Part>, usize, usize) = (Vec::new(), 0, 0);
        let end = (self.old.len(), (self.new.len(), 0));
        for (at, (to, size)) in self.common().into_iter().chain([end]) {
            if old < at || new < to {
                parts.push(Part { is_equal: false, old: old..at, new: new..to });
            }
            (old, new) = (at + size, to + size);
            match parts.last_mut() {
                Some(last) if last.is_equal && size > 0 => (last.old.end, last.new.end) = (old, new),
                _ if size > 0 => parts.push(Part { is_equal: true, old: at..old, new: to..new }),
                _ => {}
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::unified;

    fn shown(old: &str, new: &str) -> String {
        unified(old, new, ("before", "after: x")).unwrap_or_default()
    }

    #[test]
    fn the_same_texts_have_no_difference() {
        assert_eq!([shown("", ""), shown("a\n", "a\n")], ["", ""]);
    }

    #[test]
    fn lines_are_removed_and_added() {
        assert_eq!(shown("", "a\n"), "--- before\n+++ after: x\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(shown("a\nb\n", ""), "--- before\n+++ after: x\n@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(
            shown("a\nb\nc\n", "a\nB\nc"),
            "--- before\n+++ after: x\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n+B\n+c\n\\ No newline at end of file\n"
        );
    }

    #[test]
    fn changes_with_many_lines_between_them_are_two_hunks() {
        let old: String = (0..20).map(|number| format!("{number}\n")).collect();
        let new = old.replace("\n2\n", "\ntwo\n").replace("\n11\n", "\n").replace("19\n", "19\n20\n");
        assert_eq!(
            shown(&old, &new),
            "--- before\n+++ after: x\n@@ -1,6 +1,6 @@\n 0\n 1\n-2\n+two\n 3\n 4\n 5\n\
             @@ -9,7 +9,6 @@\n 8\n 9\n 10\n-11\n 12\n 13\n 14\n@@ -18,3 +17,4 @@\n 17\n 18\n 19\n+20\n"
        );
    }

    /// Python's `difflib` gives the same lines.
    #[test]
    fn the_longest_run_is_kept_and_not_the_shortest_difference() {
        assert_eq!(
            shown("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n"),
            "--- before\n+++ after: x\n@@ -1,7 +1,6 @@\n+c\n+b\n a\n b\n+a\n c\n-a\n-b\n-b\n-a\n"
        );
    }

    #[test]
    fn frequent_lines_of_long_texts_only_lengthen_a_run() {
        let old = "{\n".repeat(150) + "x\n" + &"}\n".repeat(150);
        let new = "{\n".repeat(150) + "y\n" + &"}\n".repeat(149);
        let lines = shown(&old, &new);
        assert!(
            lines.starts_with("--- before\n+++ after: x\n@@ -148,154 +148,153 @@\n {\n {\n {\n-x\n-}\n"),
            "{lines}"
        );
    }

    #[test]
    fn texts_that_would_take_too_long_are_replaced_as_a_whole() {
        let text = |salt: usize| (0..40_000).map(|number| format!("{}\n", (number * salt) % 400)).collect::<String>();
        assert!(shown(&text(7), &text(11)).contains("@@ -1,40000 +1,40000 @@"));
    }
}
