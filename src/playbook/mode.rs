//! Permissions of a task: octal, or symbolic as in chmod(1).

use std::fmt::Write as _;

use serde_json::Value;

/// Permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// These bits.
    Bits(u32),
    /// A change of the bits that a file has, such as `u=rw,g+X`.
    Symbolic(Vec<Change>),
    /// The bits of the file that is copied.
    Preserve,
}

/// One part of a symbolic mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Some of `u`, `g` and `o`. If it is empty, all of them, without the bits of the umask.
    users: String,
    /// `+`, `-` or `=`.
    operator: char,
    /// Some of `rwxXstugo`.
    permissions: String,
}

impl Mode {
    /// Reads permissions.
    pub fn read(value: &Value) -> Result<Self, String> {
        let hint = "write it as octal digits in quotes, such as '0644', or as in `u=rw,g=r`";
        let Value::String(text) = value else { return Err(format!("`mode` {value} is ambiguous; {hint}")) };
        if text == "preserve" {
            return Ok(Self::Preserve);
        }
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let is_octal = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let bits = u32::from_str_radix(digits, 8).ok().filter(|bits| is_octal && digits.len() >= 3 && *bits <= 0o7777);
        let symbolic = || text.split(',').map(changes).collect::<Option<Vec<_>>>().map(|changes| changes.concat());
        let mode = bits.map(Self::Bits).or_else(|| symbolic().map(Self::Symbolic));
        mode.ok_or_else(|| format!("invalid `mode` {text}; {hint}"))
    }

    /// Returns a script in which `m` becomes the new bits. Before it, `m` is the old bits, `isdir` 1 for a directory, and
    /// `mask` the umask.
    pub(super) fn arithmetic(&self) -> String {
        match self {
            Self::Bits(bits) => format!("m=$((0{bits:o}))"),
            Self::Preserve => String::new(),
            Self::Symbolic(changes) => changes.iter().map(Change::arithmetic).collect(),
        }
    }

    /// Returns the permissions as chmod takes them for a whole tree.
    pub(super) fn for_chmod(&self) -> String {
        match self {
            Self::Bits(bits) => format!("0{bits:04o}"),
            Self::Preserve => String::new(),
            Self::Symbolic(changes) => {
                let text = |it: &Change| format!("{}{}{}", it.users, it.operator, it.permissions);
                changes.iter().map(text).collect::<Vec<_>>().join(",")
            }
        }
    }
}

/// Reads a part such as `ug=rw+X`.
fn changes(part: &str) -> Option<Vec<Change>> {
    let is_operator = |c: char| matches!(c, '+' | '-' | '=');
    let start = part.find(is_operator)?;
    let (users, mut rest) = part.split_at(start);
    let users = if users == "a" { "ugo" } else { users };
    let mut changes = Vec::new();
    while let Some(operator) = rest.chars().next() {
        let after = rest.get(1..)?;
        let end = after.find(is_operator).unwrap_or(after.len());
        let (permissions, next) = after.split_at(end);
        rest = next;
        let (users, permissions) = (users.to_owned(), permissions.to_owned());
        changes.push(Change { users, operator, permissions });
    }
    let is_valid = |it: &Change| {
        it.users.chars().all(|c| "ugo".contains(c)) && it.permissions.chars().all(|c| "rwxXstugo".contains(c))
    };
    changes.iter().all(is_valid).then_some(changes)
}

impl Change {
    fn arithmetic(&self) -> String {
        let masked = self.users.is_empty();
        let users = if masked { "ugo" } else { &self.users };
        let mut script = String::new();
        for user in users.chars() {
            let (shift, special) = match user {
                'u' => (6, 0o4000),
                'g' => (3, 0o2000),
                _ => (0, 0o1000),
            };
            let bits = self.permissions.chars().map(|permission| term(permission, user, shift, masked));
            let bits = ["0".to_owned()].into_iter().chain(bits).collect::<Vec<_>>().join("|");
            let all = (7 << shift) | special;
            // Writing to a string cannot fail.
            let _ = match self.operator {
                '+' => writeln!(script, "m=$((m|{bits}))"),
                '-' => writeln!(script, "m=$((m&~({bits})))"),
                _ => writeln!(script, "m=$((m&~{all}|{bits}))"),
            };
        }
        script
    }
}

/// Returns the bits of a permission for a user, as a term in arithmetic of the shell.
fn term(permission: char, user: char, shift: u32, masked: bool) -> String {
    let bits = |bits: u32| {
        if masked { format!("{}&~mask", bits << shift) } else { format!("{}", bits << shift) }
    };
    let copied = |from: u32| format!("((m>>{from}&7)<<{shift})");
    match (permission, user) {
        ('r', _) => format!("({})", bits(4)),
        ('w', _) => format!("({})", bits(2)),
        ('x', _) => format!("({})", bits(1)),
        // Not masked, as in Ansible.
        ('X', _) => format!("((isdir||(m&73))*{})", 1 << shift),
        ('s', 'u') => "2048".to_owned(),
        ('s', 'g') => "1024".to_owned(),
        ('t', 'o') => "512".to_owned(),
        ('u', _) => copied(6),
        ('g', _) => copied(3),
        ('o', _) => copied(0),
        _ => "0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use serde_json::json;

    use super::Mode;

    /// Returns the new bits of a file or a directory after sh has computed them.
    fn compute(mode: &str, old: u32, is_dir: bool) -> String {
        let mode = Mode::read(&json!(mode)).unwrap();
        let isdir = u8::from(is_dir);
        let script = format!("m=$((0{old:o})) mask=$((0022)) isdir={isdir}\n{}\nprintf %04o $m", mode.arithmetic());
        String::from_utf8(Command::new("sh").args(["-c", &script]).output().unwrap().stdout).unwrap()
    }

    #[test]
    fn symbolic_modes_are_computed_as_in_ansible() {
        for (mode, old, is_dir, expected) in [
            ("0644", 0o777, false, "0644"),
            ("0o755", 0, false, "0755"),
            ("02755", 0, true, "2755"),
            ("u=rw,g=r,o=", 0o777, false, "0640"),
            ("u=rwX,g=rX,o=rX", 0o600, false, "0644"),
            ("u=rwX,g=rX,o=rX", 0o600, true, "0755"),
            ("a+x", 0o644, false, "0755"),
            ("+w", 0o444, false, "0644"),
            ("=rw", 0o777, false, "0644"),
            ("g=u,o-rwx", 0o642, false, "0660"),
            ("u+s,g+s,o+t", 0o755, false, "7755"),
            ("ug=rw+X", 0o111, false, "0771"),
            ("u=", 0o4755, false, "0055"),
            ("g-w+x", 0o664, false, "0654"),
        ] {
            assert_eq!(compute(mode, old, is_dir), expected, "{mode} of {old:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for mode in
            [json!("rw"), json!("z=r"), json!("u=q"), json!("999"), json!("77777"), json!("44"), json!(""), json!(644)]
        {
            assert!(Mode::read(&mode).is_err(), "{mode}");
        }
        assert_eq!(Mode::read(&json!("u=rw,g+X")).unwrap().for_chmod(), "u=rw,g+X");
        assert_eq!(Mode::read(&json!("644")).unwrap().for_chmod(), "00644");
    }
}
