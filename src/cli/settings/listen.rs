//! The socket on which a controller serves the API, as a flag or a setting names it.

use std::path::PathBuf;

use serde::Deserialize;

/// Where the API is served.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Listen {
    /// On a socket of this host.
    Unix(PathBuf),
    /// Nowhere.
    None,
}

/// Reads the flag.
pub(super) fn parse(text: &str) -> Result<Listen, String> {
    match (text, text.strip_prefix("unix:")) {
        ("none", _) => Ok(Listen::None),
        (_, Some(path)) if path.starts_with('/') => Ok(Listen::Unix(PathBuf::from(path))),
        _ => Err("expected unix:/PATH, or none".to_owned()),
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_path_from_the_root() {
        assert_eq!(parse("unix:/run/m.sock"), Ok(Listen::Unix(PathBuf::from("/run/m.sock"))));
        assert_eq!(parse("none"), Ok(Listen::None));
        for wrong in ["", "/run/m.sock", "unix:m.sock", "127.0.0.1:80", "unix:"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
