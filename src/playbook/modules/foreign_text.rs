//! Text of files that may not be UTF-8: each other byte becomes one character, and that byte again.

/// The character for the byte 0. Python has a similar rule, with characters that Rust does not have.
const BASE: u32 = 0x0010_fe00;

/// Returns the text of a file.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_stand_in(c) {
                // Such a character of the file becomes stand-ins of its bytes.
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|byte| text.push(stand_in(byte)));
            } else {
                text.push(c);
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push(stand_in(*byte)));
    }
    text
}

/// Returns the bytes of a text.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(u32::from(c).wrapping_sub(BASE)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

fn is_stand_in(c: char) -> bool {
    u8::try_from(u32::from(c).wrapping_sub(BASE)).is_ok()
}

fn stand_in(byte: u8) -> char {
    char::from_u32(BASE + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::decode;
    use super::encode;

    #[test]
    fn other_bytes_are_characters() {
        assert_eq!(decode(b"caf\xe9\n").chars().count(), 5);
        let character = "\u{10fe41}".as_bytes();
        assert_eq!(encode(&decode(character)), character);
    }

    proptest! {
        #[test]
        fn every_file_stays_as_it_is(bytes: Vec<u8>) {
            prop_assert_eq!(encode(&decode(&bytes)), bytes);
        }
    }
}
