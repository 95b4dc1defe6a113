//! Encodings of text, by the names that Python has for them: bytes of a text, and text of bytes.

/// An encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEncoding {
    Ascii,
    Latin1,
    Utf8,
    /// With a mark of the order of bytes, which is that of small ends.
    Utf16,
    Utf16Little,
    Utf16Big,
}

/// The mark of the order of bytes.
const MARK: char = '\u{feff}';

impl TextEncoding {
    /// Returns the encoding with a name.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        Ok(match name.to_lowercase().replace(['_', ' '], "-").as_str() {
            "ascii" | "us-ascii" => Self::Ascii,
            "latin-1" | "latin1" | "iso-8859-1" | "iso8859-1" | "l1" => Self::Latin1,
            "utf-8" | "utf8" | "u8" => Self::Utf8,
            "utf-16" | "utf16" => Self::Utf16,
            "utf-16-le" | "utf-16le" => Self::Utf16Little,
            "utf-16-be" | "utf-16be" => Self::Utf16Big,
            _ => {
                let known = "ascii, latin-1, utf-8, utf-16, utf-16-le and utf-16-be";
                return Err(format!("muster does not know the encoding `{name}`: it knows {known}"));
            }
        })
    }

    /// Reports whether the encoding has a character.
    pub(super) fn has(self, c: char) -> bool {
        match self {
            Self::Ascii => c.is_ascii(),
            Self::Latin1 => u32::from(c) < 256,
            _ => true,
        }
    }

    /// Returns the bytes of a text. A character that the encoding does not have is an error.
    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, String> {
        let small = |limit: u32| {
            let byte = |c: char| u8::try_from(u32::from(c)).ok().filter(|byte| u32::from(*byte) < limit);
            text.chars().map(|c| byte(c).ok_or_else(|| format!("the encoding has no character {c:?}"))).collect()
        };
        let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect();
        match self {
            Self::Ascii => small(128),
            Self::Latin1 => small(256),
            Self::Utf8 => Ok(text.as_bytes().to_vec()),
            Self::Utf16 => Self::Utf16Little.encode(&format!("{MARK}{text}")),
            Self::Utf16Little => Ok(wide(u16::to_le_bytes)),
            Self::Utf16Big => Ok(wide(u16::to_be_bytes)),
        }
    }

    /// Returns the text of bytes; `None` if they are no text in this encoding.
    pub(super) fn decode(self, bytes: Vec<u8>) -> Option<String> {
        let wide = |number: fn([u8; 2]) -> u16| {
            let pairs: Option<Vec<u16>> = bytes.chunks(2).map(|pair| pair.try_into().ok().map(number)).collect();
            String::from_utf16(&pairs?).ok()
        };
        match self {
            Self::Ascii => String::from_utf8(bytes).ok().filter(|text| text.is_ascii()),
            Self::Latin1 => Some(bytes.into_iter().map(char::from).collect()),
            Self::Utf8 => String::from_utf8(bytes).ok(),
            Self::Utf16 if bytes.starts_with(&[0xfe, 0xff]) => wide(u16::from_be_bytes).map(without_mark),
            Self::Utf16 => wide(u16::from_le_bytes).map(without_mark),
            Self::Utf16Little => wide(u16::from_le_bytes),
            Self::Utf16Big => wide(u16::from_be_bytes),
        }
    }
}

impl TextEncoding {
    /// Returns the text of bytes, with another text instead of what is no text.
    pub(super) fn decode_lossy(self, bytes: &[u8], instead: &str) -> String {
        let wide = |number: fn([u8; 2]) -> u16| {
            let numbers = bytes.chunks(2).filter_map(|pair| pair.try_into().ok().map(number));
            let text = |c: Result<char, _>| c.map_or_else(|_| instead.to_owned(), String::from);
            char::decode_utf16(numbers).map(text).collect()
        };
        match self {
            Self::Ascii => bytes
                .iter()
                .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { instead.to_owned() })
                .collect(),
            Self::Latin1 => bytes.iter().copied().map(char::from).collect(),
            Self::Utf8 => {
                let text = |chunk: std::str::Utf8Chunk<'_>| {
                    chunk.valid().to_owned() + if chunk.invalid().is_empty() { "" } else { instead }
                };
                bytes.utf8_chunks().map(text).collect()
            }
            Self::Utf16 if bytes.starts_with(&[0xfe, 0xff]) => without_mark(wide(u16::from_be_bytes)),
            Self::Utf16 => without_mark(wide(u16::from_le_bytes)),
            Self::Utf16Little => wide(u16::from_le_bytes),
            Self::Utf16Big => wide(u16::from_be_bytes),
        }
    }
}

fn without_mark(text: String) -> String {
    text.strip_prefix(MARK).map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::TextEncoding;

    #[test]
    fn a_text_becomes_the_bytes_that_python_makes_and_comes_back() {
        for (name, text, bytes) in [
            ("utf-8", "é", &b"\xc3\xa9"[..]),
            ("Latin_1", "é", b"\xe9"),
            ("ascii", "e", b"e"),
            ("UTF-16", "é", b"\xff\xfe\xe9\0"),
            ("utf-16-le", "é😀", b"\xe9\0\x3d\xd8\x00\xde"),
            ("utf-16-be", "é", b"\0\xe9"),
        ] {
            let encoding = TextEncoding::named(name).unwrap();
            assert_eq!(encoding.encode(text).unwrap(), bytes, "{name}");
            assert_eq!(encoding.decode(bytes.to_vec()).unwrap(), text, "{name}");
        }
        assert_eq!(TextEncoding::Utf16.decode(b"\xfe\xff\0e".to_vec()).unwrap(), "e");
    }

    #[test]
    fn what_the_encoding_does_not_have_is_an_error() {
        assert_eq!(TextEncoding::Ascii.encode("é").unwrap_err(), "the encoding has no character 'é'");
        assert_eq!(TextEncoding::Latin1.encode("€").unwrap_err(), "the encoding has no character '€'");
        for (encoding, bytes) in [
            (TextEncoding::Ascii, &b"\xe9"[..]),
            (TextEncoding::Utf8, b"\xe9"),
            (TextEncoding::Utf16Little, b"a"),
            (TextEncoding::Utf16Little, b"\x3d\xd8"),
        ] {
            assert_eq!(encoding.decode(bytes.to_vec()), None, "{encoding:?}");
        }
        let why = "muster does not know the encoding `cp500`: it knows ascii, latin-1, utf-8, utf-16, utf-16-le and utf-16-be";
        assert_eq!(TextEncoding::named("cp500").unwrap_err(), why);
    }
}
