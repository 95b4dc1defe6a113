//! The variables that `register` makes of a command's output.

use serde_json::Value;

use crate::inventory::Vars;
use crate::remote::CapturedOutput;

/// How many lines of each stream `register` keeps as a list. A line costs more memory than an empty one has bytes.
const LINE_LIMIT: usize = 100_000;

impl CapturedOutput {
    /// Returns the variables that `register` keeps: text and lines, without newlines at the end; `msg` and
    /// `warnings` if something was dropped.
    pub fn into_vars(self) -> Vars {
        self.into_vars_with(|text| text.trim_end_matches(['\r', '\n']))
    }

    /// Returns the variables that `register` keeps of modules for which Ansible keeps the newlines at the end.
    pub fn into_whole_vars(self) -> Vars {
        self.into_vars_with(|text| text)
    }

    fn into_vars_with(self, end: fn(&str) -> &str) -> Vars {
        let (mut vars, mut is_cut, mut warnings) = (Vars::new(), false, Vec::new());
        for (name, bytes) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            let text = String::from_utf8_lossy(bytes);
            let text = end(&text);
            vars.insert(name.to_owned(), text.into());
            let mut all = lines(text);
            let lines: Vec<Value> = all.by_ref().take(LINE_LIMIT).map(Value::from).collect();
            is_cut |= all.next().is_some();
            vars.insert(format!("{name}_lines"), lines.into());
        }
        if is_cut {
            let message = format!("only the first {LINE_LIMIT} lines of each stream are kept as a list");
            warnings.push(message);
        }
        if self.dropped > 0 {
            let (dropped, limit) = (self.dropped, self.limit);
            let message =
                format!("{dropped} bytes of its output were dropped: only the first {limit} of each stream are kept");
            warnings.push(message);
        }
        if let Some(message) = warnings.last() {
            vars.insert("msg".to_owned(), message.clone().into());
            vars.insert("warnings".to_owned(), warnings.into());
        }
        vars
    }
}

/// Reports whether a line ends with a character, as in Python.
pub(super) const fn is_line_end(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns the lines of a text, as Python splits them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (line, tail) = rest.split_at_checked(rest.find(is_line_end).unwrap_or(rest.len()))?;
        if line.is_empty() && tail.is_empty() {
            return None;
        }
        let mut after = tail.chars();
        after.next();
        rest = tail.strip_prefix("\r\n").unwrap_or(after.as_str());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::CapturedOutput;
    use super::LINE_LIMIT;
    use crate::remote::Sink as _;

    #[test]
    fn the_list_of_lines_is_bounded_and_the_text_is_whole() {
        let mut output = CapturedOutput::with_limit(8 << 20);
        output.stdout(&b"a\n".repeat(LINE_LIMIT + 1));
        output.stderr(&b"a\n".repeat(LINE_LIMIT));
        let vars = output.into_vars();
        let count = |name: &str| vars[name].as_array().unwrap().len();
        assert_eq!((count("stdout_lines"), count("stderr_lines")), (LINE_LIMIT, LINE_LIMIT));
        assert_eq!(vars["stdout"].as_str().unwrap().len(), 2 * LINE_LIMIT + 1);
        assert_eq!(vars["msg"], "only the first 100000 lines of each stream are kept as a list");
    }

    #[test]
    fn lines_end_where_they_end_in_python() {
        let output = || {
            let mut output = CapturedOutput::with_limit(100);
            output.stdout("10%\r99%\r\n\n\u{b}a\u{2028}b\n".as_bytes());
            output.stderr(b"\n");
            output
        };
        let (trimmed, whole) = (output().into_vars(), output().into_whole_vars());
        assert_eq!(trimmed["stdout_lines"], json!(["10%", "99%", "", "", "a", "b"]));
        assert_eq!((&trimmed["stderr_lines"], &whole["stderr_lines"]), (&json!([]), &json!([""])));
    }

    #[test]
    fn output_over_the_limit_is_dropped_and_counted() {
        let mut output = CapturedOutput::with_limit(4);
        for bytes in [&b"one"[..], b"two", b"three"] {
            output.stdout(bytes);
        }
        output.stderr(b"ok\r\n");
        let vars = output.into_vars();
        assert_eq!((&vars["stdout"], &vars["stderr_lines"][0]), (&"onet".into(), &"ok".into()));
        assert_eq!(vars["warnings"][0], vars["msg"]);
        assert_eq!(vars["msg"], "7 bytes of its output were dropped: only the first 4 of each stream are kept");
    }
}
