//! Bytes, and the text that they are made of.

use minijinja::Error;
use minijinja::Value;

use super::Arguments;
use super::wrong;
use crate::core::hex;
use crate::playbook::text_encoding::TextEncoding;

/// Returns the result of a method of bytes; `None` if they have none with this name here.
pub(super) fn call(bytes: &[u8], method: &str, arguments: &Arguments) -> Result<Option<Value>, Error> {
    Ok(match method {
        "decode" => Some(Value::from(decode(bytes, arguments)?)),
        "hex" => Some(Value::from(hex::digits(bytes))),
        _ => None,
    })
}

fn encoding(arguments: &Arguments) -> Result<TextEncoding, Error> {
    TextEncoding::named(&arguments.text(0, "encoding", "utf-8")).map_err(wrong)
}

/// Returns the bytes of a text. `errors` says what becomes of a character that the encoding does not have.
pub(super) fn encode(text: &str, arguments: &Arguments) -> Result<Value, Error> {
    let encoding = encoding(arguments)?;
    let instead: fn(char) -> String = match arguments.text(1, "errors", "strict").as_str() {
        "strict" => return encoding.encode(text).map(Value::from_bytes).map_err(wrong),
        "ignore" => |_| String::new(),
        "replace" => |_| "?".to_owned(),
        "xmlcharrefreplace" => |c| format!("&#{};", u32::from(c)),
        "backslashreplace" => super::format::escaped,
        errors => return Err(unknown_errors(errors)),
    };
    let known = |c: char| if encoding.has(c) { c.to_string() } else { instead(c) };
    encoding.encode(&text.chars().map(known).collect::<String>()).map(Value::from_bytes).map_err(wrong)
}

fn decode(bytes: &[u8], arguments: &Arguments) -> Result<String, Error> {
    let encoding = encoding(arguments)?;
    match arguments.text(1, "errors", "strict").as_str() {
        "strict" => encoding.decode(bytes.to_vec()).ok_or_else(|| wrong("the bytes are no text in this encoding")),
        "ignore" => Ok(encoding.decode_lossy(bytes, "")),
        "replace" => Ok(encoding.decode_lossy(bytes, "\u{fffd}")),
        errors => Err(unknown_errors(errors)),
    }
}

fn unknown_errors(errors: &str) -> Error {
    wrong(format!("muster does not know `{errors}` for the errors of an encoding"))
}
