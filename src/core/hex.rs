//! Identities that are written as hexadecimal digits: one parser, one error, one form in JSON.

/// The text is not an identity of this kind. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {noun} {text:?}: expected {digits} hexadecimal digits")]
pub struct BadHex {
    noun: &'static str,
    text: String,
    digits: usize,
}

/// Writes bytes as hexadecimal digits.
pub fn digits<'b>(bytes: impl IntoIterator<Item = &'b u8>) -> String {
    bytes.into_iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Parses the hexadecimal digits of `N` bytes.
pub(super) fn parse<const N: usize>(noun: &'static str, text: &str) -> Result<[u8; N], BadHex> {
    decode(text).ok_or_else(|| BadHex { noun, text: text.chars().take(64).collect(), digits: 2 * N })
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte * 16 + u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

/// Implements text and JSON forms for a type that has `from_bytes` and `to_bytes`.
macro_rules! hex_identity {
    ($name:ident, $noun:literal) => {
        impl std::str::FromStr for $name {
            type Err = $crate::core::hex::BadHex;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::core::hex::parse($noun, text).map(Self::from_bytes)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        $crate::core::text_record::text_record!($name);
    };
}

pub(super) use hex_identity;
