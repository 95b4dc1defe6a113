//! Another user than the login user, as which a script runs.

use std::fmt;

/// A user, and how a script becomes that user.
///
/// A login as root becomes any user without a password. Any other login needs sudo on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAs {
    user: String,
    password: Option<Password>,
}

/// A password, for sudo or for a login. It is never printed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

impl Password {
    /// Makes a password of one line of text.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let text = text.into();
        if text.contains(['\n', '\r', '\0']) {
            Err("a password is one line of text".to_owned())
        } else {
            Ok(Self(text))
        }
    }

    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl RunAs {
    /// Makes the user root, by `sudo -n` without a password.
    pub fn root() -> Self {
        Self { user: "root".to_owned(), password: None }
    }

    /// Makes a user, as useradd(8) allows names, with the password for sudo if it asks for one.
    pub fn user(name: &str, password: Option<Password>) -> Result<Self, String> {
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        let body = name.strip_suffix('$').unwrap_or(name);
        if body.is_empty() || name.len() > 256 || name.starts_with('-') || !body.chars().all(word) {
            return Err(format!("`{name}` cannot be the name of a user"));
        }
        Ok(Self { user: name.to_owned(), password })
    }

    /// Returns the name of the user.
    pub fn name(&self) -> &str {
        &self.user
    }

    /// Reports whether the user is root.
    pub fn is_root(&self) -> bool {
        self.user == "root"
    }

    /// Returns the password for sudo.
    pub(super) const fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::Password;
    use super::RunAs;

    #[test]
    fn a_name_has_only_what_useradd_allows_and_a_password_is_never_printed() {
        for (name, is_good) in [
            ("root", true),
            ("web-1.x", true),
            ("samba$", true),
            ("", false),
            ("-x", false),
            ("a b", false),
            ("a'b", false),
        ] {
            assert_eq!(RunAs::user(name, None).is_ok(), is_good, "{name}");
        }
        let password = Password::new("hunter2").unwrap();
        assert!(!format!("{:?}", RunAs::user("x", Some(password))).contains("hunter2"));
        assert!(Password::new("a\nb").is_err());
    }
}
