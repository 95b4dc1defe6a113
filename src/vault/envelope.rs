//! The text of a vault: a header, then hexadecimal digits of the salt, the signature and the encrypted content.

use std::fmt::Write as _;

use super::VaultError;

/// What the text of a vault begins with.
const MARK: &str = "$ANSIBLE_VAULT";

/// The only cipher of the versions that are in use.
const CIPHER: &str = "AES256";

/// The label that stands for none: the header of such a vault has no label.
pub const DEFAULT_LABEL: &str = "default";

/// How many digits a line has.
const WIDTH: usize = 80;

/// The most characters of a label, so that messages stay short.
const LABEL_LIMIT: usize = 128;

/// Reports whether a text or a file is a vault.
pub fn is_vault(text: impl AsRef<[u8]>) -> bool {
    text.as_ref().starts_with(MARK.as_bytes())
}

/// A vault that is not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The label of the password. The version 1.1 has none.
    pub label: Option<String>,
    pub(super) salt: Vec<u8>,
    pub(super) signature: Vec<u8>,
    pub(super) content: Vec<u8>,
}

impl Envelope {
    /// Reads the text of a vault.
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let mut lines = text.lines();
        let label = header(lines.next().unwrap_or_default())?;
        let outer = digits((2..).zip(lines))?;
        let mut parts = outer.split(|byte| *byte == b'\n').map(inner);
        let mut part = || parts.next().unwrap_or_else(|| Err(VaultError::damaged("a part is missing")));
        let (salt, signature, content) = (part()?, part()?, part()?);
        if parts.next().is_some() {
            return Err(VaultError::damaged("it has more than three parts"));
        }
        if salt.is_empty() || content.is_empty() {
            return Err(VaultError::damaged("a part is empty"));
        }
        Ok(Self { label, salt, signature, content })
    }

    /// Returns the text of the vault, with a line break at the end.
    pub fn to_text(&self) -> String {
        let label = self.label.as_deref().filter(|label| *label != DEFAULT_LABEL);
        let mut text = match label {
            Some(label) => format!("{MARK};1.2;{CIPHER};{label}\n"),
            None => format!("{MARK};1.1;{CIPHER}\n"),
        };
        let parts = [&self.salt, &self.signature, &self.content].map(|part| hexadecimal(part));
        let all = hexadecimal(parts.join("\n").as_bytes());
        for line in all.as_bytes().chunks(WIDTH) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text
    }
}

/// Reads the first line and returns the label.
fn header(line: &str) -> Result<Option<String>, VaultError> {
    let wrong = |what| Err(VaultError::Damaged { line: 1, column: 1, what });
    let mut parts = line.trim_end().split(';').map(str::trim);
    if parts.next() != Some(MARK) {
        return wrong("expected `$ANSIBLE_VAULT;1.1;AES256`");
    }
    let (version, cipher, label) = (parts.next(), parts.next(), parts.next());
    let label = match (version, label) {
        (Some("1.1"), _) => None,
        (Some("1.2"), Some(label)) if !label.is_empty() => Some(label),
        (Some("1.2"), _) => return wrong("version 1.2 needs a label after the cipher"),
        _ => return wrong("the version is neither 1.1 nor 1.2"),
    };
    if cipher != Some(CIPHER) {
        return wrong("the cipher is not AES256");
    }
    let is_printable = |label: &str| label.chars().count() <= LABEL_LIMIT && !label.contains(char::is_control);
    if !label.is_none_or(is_printable) {
        return wrong("the label is too long, or has control characters");
    }
    Ok(label.filter(|label| *label != DEFAULT_LABEL).map(str::to_owned))
}

/// Reads the digits of numbered lines. Blanks around them are left out.
fn digits<'t>(lines: impl Iterator<Item = (u64, &'t str)>) -> Result<Vec<u8>, VaultError> {
    let mut bytes = Vec::new();
    let mut half: Option<u8> = None;
    for (number, line) in lines {
        let indent = line.chars().take_while(|c| c.is_whitespace()).count() as u64;
        for (column, c) in (indent + 1..).zip(line.trim().chars()) {
            let value = c.to_digit(16).and_then(|value| u8::try_from(value).ok());
            let what = "expected a hexadecimal digit";
            let value = value.ok_or(VaultError::Damaged { line: number, column, what })?;
            match half.take() {
                None => half = Some(value),
                Some(high) => bytes.push(high * 16 + value),
            }
        }
    }
    if half.is_some() {
        return Err(VaultError::damaged("the number of its digits is odd: it has lost its end"));
    }
    Ok(bytes)
}

/// Reads the digits within the digits.
fn inner(part: &[u8]) -> Result<Vec<u8>, VaultError> {
    let wrong = || VaultError::damaged("a part is not hexadecimal: it has lost its beginning or its end");
    let text = std::str::from_utf8(part).map_err(|_| wrong())?;
    digits([(0, text)].into_iter()).map_err(|_| wrong())
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
