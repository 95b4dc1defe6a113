//! The output of a command without the text that the login shell's start files print before it.

use crate::core::sanitize;
use crate::remote::Sink;

/// The line that the command's own output follows, on stdout and on stderr.
const MARK: &[u8] = b"muster-command-starts\n";

/// What the prompt of sudo begins with. The name of the user of the password follows, and a colon.
pub(super) const PROMPT: &str = "muster-asks-for-the-password-of:";

/// How many bytes the start files may print to one stream.
const NOISE_LIMIT: usize = 256 << 10;

/// Passes on what follows the mark on each stream.
pub(super) struct Started<'a, S: Sink + ?Sized> {
    sink: &'a mut S,
    stdout: Noise,
    stderr: Noise,
}

/// The text of one stream before the mark; `None` after the mark.
struct Noise(Option<Vec<u8>>);

impl Noise {
    /// Returns the bytes that follow the mark.
    fn strip(&mut self, data: &[u8]) -> Vec<u8> {
        let Some(noise) = &mut self.0 else { return data.to_vec() };
        // The mark may come in pieces.
        let from = noise.len().saturating_sub(MARK.len());
        noise.extend_from_slice(data);
        let seen = noise.get(from..).unwrap_or_default().windows(MARK.len()).position(|window| window == MARK);
        let Some(mark) = seen else { return Vec::new() };
        let rest = noise.split_off(from + mark + MARK.len());
        self.0 = None;
        rest
    }
}

impl<'a, S: Sink + ?Sized> Started<'a, S> {
    /// Waits for the mark on both streams.
    pub(super) fn new(sink: &'a mut S) -> Self {
        Self { sink, stdout: Noise(Some(Vec::new())), stderr: Noise(Some(Vec::new())) }
    }

    /// Passes on everything: the marks have come before.
    pub(super) fn passed(sink: &'a mut S) -> Self {
        Self { sink, stdout: Noise(None), stderr: Noise(None) }
    }

    /// Returns what the output is passed on to.
    pub(super) fn sink(&self) -> &S {
        self.sink
    }

    /// Reports whether the command has started.
    pub(super) fn has_started(&self) -> bool {
        self.stdout.0.is_none()
    }

    /// Reports whether sudo has refused a password: it has asked again, or says so. PAM may ask with words of its own.
    pub(super) fn is_refused(&self) -> bool {
        let Some(noise) = &self.stderr.0 else { return false };
        let said = String::from_utf8_lossy(noise);
        said.matches(PROMPT).count() > 1 || ["try again", "incorrect password"].iter().any(|text| said.contains(text))
    }

    /// Returns the name of the user that sudo has asked for the password of; it is empty if sudo has not asked.
    pub(super) fn user(&self) -> String {
        let said = String::from_utf8_lossy(self.stderr.0.as_deref().unwrap_or_default());
        let name = said.split(PROMPT).nth(1).and_then(|rest| rest.split_once(':')).map_or("", |(name, _)| name);
        sanitize::printable(name.as_bytes())
    }

    /// Takes bytes of stdout.
    pub(super) fn stdout(&mut self, data: &[u8]) {
        let own = self.stdout.strip(data);
        if !own.is_empty() {
            self.sink.stdout(&own);
        }
    }

    /// Takes bytes of stderr.
    pub(super) fn stderr(&mut self, data: &[u8]) {
        let own = self.stderr.strip(data);
        if !own.is_empty() {
            self.sink.stderr(&own);
        }
    }

    /// Reports whether the start files have printed more than the limit.
    pub(super) fn is_too_noisy(&self) -> bool {
        [&self.stdout, &self.stderr].iter().any(|noise| noise.0.as_ref().is_some_and(|noise| noise.len() > NOISE_LIMIT))
    }

    /// Returns the text on stderr if the command never started. The sink gets all text then, since it says why.
    pub(super) fn end(self) -> Option<String> {
        let (stdout, stderr) = (self.stdout.0?, self.stderr.0.unwrap_or_default());
        self.sink.stdout(&stdout);
        self.sink.stderr(&stderr);
        Some(String::from_utf8_lossy(&stderr).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Kept(String, String);

    impl Sink for Kept {
        fn stdout(&mut self, bytes: &[u8]) {
            self.0.push_str(&String::from_utf8_lossy(bytes));
        }

        fn stderr(&mut self, bytes: &[u8]) {
            self.1.push_str(&String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn only_what_follows_the_mark_is_passed_on() {
        for parts in [&["muster-command-starts\nown\n"][..], &["*** Welcome ***muster-comm", "and-starts\no", "wn\n"]] {
            let mut kept = Kept::default();
            let mut output = Started::new(&mut kept);
            for part in parts {
                output.stdout(part.as_bytes());
                output.stderr(part.as_bytes());
            }
            assert_eq!(output.end(), None);
            assert_eq!((kept.0.as_str(), kept.1.as_str()), ("own\n", "own\n"));
        }
    }

    #[test]
    fn a_command_that_never_started_leaves_the_text_that_says_why() {
        let mut kept = Kept::default();
        let mut output = Started::new(&mut kept);
        output.stdout(b"This account is not available.\n");
        output.stderr(b"sudo: a password is required\n");
        assert_eq!(output.end().as_deref(), Some("sudo: a password is required\n"));
        assert_eq!(
            (kept.0.as_str(), kept.1.as_str()),
            ("This account is not available.\n", "sudo: a password is required\n")
        );
    }

    #[test]
    fn a_login_shell_that_prints_without_end_is_noticed() {
        let mut kept = Kept::default();
        let mut output = Started::new(&mut kept);
        output.stderr(&vec![b'x'; NOISE_LIMIT]);
        assert!(!output.is_too_noisy());
        output.stderr(b"x");
        assert!(output.is_too_noisy());
    }
}
