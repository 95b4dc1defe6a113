//! The configuration of curl(1), which is given on its stdin: other users cannot read a password there.

/// Returns an option with a value. No value can become another option.
pub(super) fn option(key: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("{key} = \"{value}\"")
}

/// Returns the option of a header.
pub(super) fn header(name: &str, value: &str) -> Result<String, String> {
    if name.contains([':', '\n', '\r']) || value.contains(['\n', '\r']) {
        return Err(format!("the header `{name}` cannot have a newline"));
    }
    Ok(option("header", &format!("{name}: {value}")))
}

#[cfg(test)]
mod tests {
    use super::header;
    use super::option;

    #[test]
    fn a_value_cannot_become_an_option_of_curl() {
        assert_eq!(option("user", r#"a"b\"#), r#"user = "a\"b\\""#);
        assert_eq!(option("user", "a\noutput = /etc/passwd"), r#"user = "a\noutput = /etc/passwd""#);
        assert_eq!(header("a", "b\nc: d").unwrap_err(), "the header `a` cannot have a newline");
    }
}
