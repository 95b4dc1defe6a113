//! `authorized_key`: the SSH keys with which a user may log in.

use super::Arguments;
use super::group::account_name;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes keys.
pub(super) static AUTHORIZED_KEY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "authorized_key",
        &["ansible.posix", "ansible.builtin"],
        "Adds or removes the SSH keys with which a user may log in.",
        &[
            Parameter::new("user", Kind::Text, "The user."),
            Parameter::new("key", Kind::Text, "The keys, one in a line."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether they are there (default: present)."),
            Parameter::new("path", Kind::Text, "The file (default: .ssh/authorized_keys in the home)."),
            Parameter::new("manage_dir", Kind::Flag, "Whether the directory is made (default: true)."),
            Parameter::new("key_options", Kind::Text, "The options before each key."),
            Parameter::new("comment", Kind::Text, "The comment after each key."),
            Parameter::new("exclusive", Kind::Flag, "Whether all other keys are removed."),
            Parameter::new("follow", Kind::Flag, "No effect: a link is replaced."),
            Parameter::new("validate_certs", Kind::Flag, "No effect: keys are not read from URLs."),
        ],
    )
    .needs(&[&["user"], &["key"]]),
    text: include_str!("authorized_key.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let user = account_name(arguments, "user")?;
    let key = arguments.required("key")?;
    if key.contains("://") && !key.contains(' ') {
        return Err("muster reads no keys from URLs: use `get_url` or `lookup` and give the text".to_owned());
    }
    let options = arguments.non_empty("key_options")?;
    let comment = arguments.text("comment")?;
    if [&options, &comment].into_iter().flatten().any(|text| text.contains('\n')) {
        return Err("`key_options` and `comment` cannot have a newline".to_owned());
    }
    let mut lines = Vec::new();
    for line in key.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let key = PublicKey::read(line).ok_or_else(|| format!("invalid key specified: {line}"))?;
        lines.push(key.line(options.as_deref(), comment.as_deref()));
    }
    let run = run.set("keys", &lines.join("\n")).paths(&["path"], arguments)?.result("user", user);
    let run = run.echo(&["key", "key_options", "comment"], arguments);
    let exclusive = arguments.flag("exclusive")?.unwrap_or(false);
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    Ok(run.result("exclusive", exclusive).result("state", state))
}

/// A line of authorized_keys(5).
struct PublicKey<'a> {
    options: &'a str,
    kind: &'a str,
    blob: &'a str,
    comment: &'a str,
}

impl<'a> PublicKey<'a> {
    /// Reads a line. Options may have spaces between quotes.
    fn read(line: &'a str) -> Option<Self> {
        let is_kind = |word: &str| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start));
        let (options, rest) = if is_kind(line) { ("", line) } else { line.split_at(end_of_options(line)?) };
        let mut words = rest.trim_start().splitn(3, [' ', '\t']);
        let (kind, blob) = (words.next()?, words.next()?);
        let comment = words.next().unwrap_or_default().trim();
        (is_kind(kind) && !blob.is_empty()).then_some(Self { options, kind, blob, comment })
    }

    /// Returns the line with other options and another comment.
    fn line(&self, options: Option<&str>, comment: Option<&str>) -> String {
        let parts = [options.unwrap_or(self.options), self.kind, self.blob, comment.unwrap_or(self.comment)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// Returns the place of the first space outside quotes.
fn end_of_options(line: &str) -> Option<usize> {
    let (mut is_quoted, mut last) = (false, ' ');
    for (at, sign) in line.char_indices() {
        match sign {
            '"' if last != '\\' => is_quoted = !is_quoted,
            ' ' | '\t' if !is_quoted => return Some(at),
            _ => {}
        }
        last = sign;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::PublicKey;

    #[test]
    fn options_and_comments_are_replaced() {
        let line = "command=\"a \\\" b\",no-pty  ssh-rsa AAA me at home ";
        let key = PublicKey::read(line).unwrap();
        assert_eq!(key.line(None, None), "command=\"a \\\" b\",no-pty ssh-rsa AAA me at home");
        assert_eq!(key.line(Some("x"), Some("")), "x ssh-rsa AAA");
        assert!(PublicKey::read("ssh-rsa").is_none() && PublicKey::read("a b c").is_none());
    }
}
