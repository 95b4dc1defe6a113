//! The pattern of `--limit`. `@FILE` in it stands for the hosts in a file, one on each line, as in Ansible's `.retry`
//! files. Pure over the contents of the files.

use std::io;
use std::path::Path;
use std::path::PathBuf;

/// The limit is invalid. No host was changed.
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
    /// A file names no host. An empty pattern would mean all hosts.
    #[error("@{} names no host", _0.display())]
    NoHosts(PathBuf),
}

/// Returns the pattern of a limit. `read` returns the text of a file.
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
            if names.is_empty() { Err(BadLimit::NoHosts(path.to_owned())) } else { Ok(names.join(",")) }
        }
        None => Ok(term.to_owned()),
    };
    Ok(limit.split(',').map(term).collect::<Result<Vec<_>, _>>()?.join(","))
}

/// Returns a line without its comment, which begins at a `#` after a blank.
fn without_comment(line: &str) -> &str {
    let starts = |at: usize| line.get(..at).is_some_and(|before| before.trim_end() != before || before.is_empty());
    let comment = line.match_indices('#').map(|(at, _)| at).find(|at| starts(*at));
    line.get(..comment.unwrap_or(line.len())).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(limit: &str) -> Result<String, String> {
        let files = |path: &Path| match path.to_str() {
            Some("retry") => Ok("# failed hosts\r\n\r\n  h1\r\nh2 # the slow one\r\n\t# h3\nh#4\n".to_owned()),
            Some("one") => Ok("web:&prod\n".to_owned()),
            Some("empty") => Ok("\n  # no host\n".to_owned()),
            _ => Err(io::Error::other("no such file")),
        };
        read(limit, files).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_has_one_host_on_each_line_and_may_have_comments() {
        for (limit, expected) in [
            ("@retry", "h1,h2,h#4"),
            ("@one", "web:&prod"),
            ("db, @retry,!h2", "db,h1,h2,h#4,!h2"),
            // Without a file a limit is only a pattern.
            ("web:&prod", "web:&prod"),
            ("~h(1|2){1,2}", "~h(1|2){1,2}"),
            ("root@h1", "root@h1"),
        ] {
            assert_eq!(pattern(limit).as_deref(), Ok(expected), "{limit}");
        }
    }

    #[test]
    fn a_missing_or_empty_file_is_named() {
        for (limit, expected) in [
            ("@retri", "cannot read @retri: no such file"),
            ("h1,@", "cannot read @: no file is named"),
            ("@empty", "@empty names no host"),
            // This must not mean all hosts but h1.
            ("@empty,!h1", "@empty names no host"),
        ] {
            assert_eq!(pattern(limit).unwrap_err(), expected, "{limit}");
        }
    }
}
