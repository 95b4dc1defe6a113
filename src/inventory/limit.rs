//! What `--limit` says: a pattern in which `@FILE` stands for the hosts that a file names, one on each line, as in the
//! `.retry` files of Ansible. Pure over what the files say.

use std::io;
use std::path::Path;
use std::path::PathBuf;

/// A limit that cannot be told. Nothing was done to any host.
#[derive(Debug, thiserror::Error)]
pub enum BadLimit {
    /// A file cannot be read.
    #[error("cannot read @{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file names nobody, which must not come to mean everybody.
    #[error("@{} names no host", _0.display())]
    Nobody(PathBuf),
}

/// Returns the pattern that a limit comes to. `read` returns what a file says.
pub fn read(limit: &str, read: impl Fn(&Path) -> io::Result<String>) -> Result<String, BadLimit> {
    if !limit.contains('@') {
        return Ok(limit.to_owned());
    }
    let term = |term: &str| match term.trim().strip_prefix('@') {
        Some(path) => {
            let path = Path::new(path);
            let text = if path.as_os_str().is_empty() { Err(io::Error::other("no file is named")) } else { read(path) };
            let text = text.map_err(|error| BadLimit::Unreadable { path: path.to_owned(), error })?;
            let names: Vec<&str> = text.lines().map(without_comment).filter(|line| !line.is_empty()).collect();
            if names.is_empty() { Err(BadLimit::Nobody(path.to_owned())) } else { Ok(names.join(",")) }
        }
        None => Ok(term.to_owned()),
    };
    Ok(limit.split(',').map(term).collect::<Result<Vec<_>, _>>()?.join(","))
}

/// Returns a line up to a `#` that does not belong to a word.
fn without_comment(line: &str) -> &str {
    let starts = |at: usize| line.get(..at).is_some_and(|before| before.trim_end() != before || before.is_empty());
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| starts(*at));
    line.get(..comment.unwrap_or(line.len())).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limit: &str) -> Result<String, String> {
        let files = |path: &Path| match path.to_str() {
            Some("retry") => Ok("# who failed\r\n\r\n  h1\r\nh2 # the slow one\r\n\t# h3\nh#4\n".to_owned()),
            Some("one") => Ok("web:&prod\n".to_owned()),
            Some("nobody") => Ok("\n  # nobody\n".to_owned()),
            _ => Err(io::Error::other("no such file")),
        };
        read(limit, files).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_has_a_host_on_each_line_beside_comments_and_blank_lines() {
        for (limit, expected) in [
            ("@retry", "h1,h2,h#4"),
            ("@one", "web:&prod"),
            ("db, @retry,!h2", "db,h1,h2,h#4,!h2"),
            // Without a file a limit is only a pattern.
            ("web:&prod", "web:&prod"),
            ("~h(1|2){1,2}", "~h(1|2){1,2}"),
            ("root@h1", "root@h1"),
        ] {
            assert_eq!(told(limit).as_deref(), Ok(expected), "{limit}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_names_nobody_is_named() {
        for (limit, expected) in [
            ("@retri", "cannot read @retri: no such file"),
            ("h1,@", "cannot read @: no file is named"),
            ("@nobody", "@nobody names no host"),
            // This must not be everybody but h1.
            ("@nobody,!h1", "@nobody names no host"),
        ] {
            assert_eq!(told(limit).unwrap_err(), expected, "{limit}");
        }
    }
}
