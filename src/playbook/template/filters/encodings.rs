//! Filters for hashes, Base64 and identities.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;
use sha1::Digest;
use sha1::Sha1;
use sha2::Sha224;
use sha2::Sha256;
use sha2::Sha384;
use sha2::Sha512;

use super::Table;
use crate::core::hex;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;
use crate::playbook::text_encoding::TextEncoding;

pub(super) const FILTERS: Table = &[
    ("b64decode", b64decode),
    ("b64encode", b64encode),
    ("checksum", sha1),
    ("hash", hash),
    ("md5", |_, value, _| Ok(Value::from(hex::digits(&md5::compute(bytes(value, TextEncoding::Utf8)?).0)))),
    ("sha1", sha1),
    ("to_uuid", to_uuid),
];

/// The namespace of Ansible's identities.
const NAMESPACE: &str = "361E6D51-FAEC-444A-9079-341386DA8E2E";

fn encoding(arguments: &Arguments) -> Result<TextEncoding, Error> {
    TextEncoding::named(&arguments.text(0, "encoding", "utf-8")).map_err(wrong)
}

fn b64encode(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let bytes = bytes(value, encoding(arguments)?)?;
    Ok(Value::from(BASE64_STANDARD.encode(bytes)))
}

/// Returns the bytes of a value, which may be bytes already.
fn bytes(value: &Value, encoding: TextEncoding) -> Result<Vec<u8>, Error> {
    match value.as_bytes().filter(|_| value.kind() == ValueKind::Bytes) {
        Some(bytes) => Ok(bytes.to_vec()),
        None => encoding.encode(&text(value)).map_err(wrong),
    }
}

fn b64decode(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    // As in Python, other characters than those of the alphabet are skipped.
    let is_known = |c: &char| c.is_ascii_alphanumeric() || "+/=".contains(*c);
    let known: String = text(value).chars().filter(is_known).collect();
    let bytes = BASE64_STANDARD.decode(known).map_err(|error| wrong(format!("invalid Base64: {error}")))?;
    let encoding = encoding(arguments)?;
    let failed = || match encoding {
        TextEncoding::Utf8 => wrong("the decoded Base64 is not UTF-8"),
        _ => wrong("the decoded Base64 is no text in this encoding"),
    };
    encoding.decode(bytes).map(Value::from).ok_or_else(failed)
}

fn sha1(_: &State<'_, '_>, value: &Value, _: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(hex::digits(&Sha1::digest(bytes(value, TextEncoding::Utf8)?))))
}

fn hash(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let bytes = bytes(value, TextEncoding::Utf8)?;
    Ok(Value::from(match arguments.text(0, "hashtype", "sha1").as_str() {
        "md5" => hex::digits(&md5::compute(bytes).0),
        "sha1" => hex::digits(&Sha1::digest(bytes)),
        "sha224" => hex::digits(&Sha224::digest(bytes)),
        "sha256" => hex::digits(&Sha256::digest(bytes)),
        "sha384" => hex::digits(&Sha384::digest(bytes)),
        "sha512" => hex::digits(&Sha512::digest(bytes)),
        kind => return Err(wrong(format!("there is no hash `{kind}`"))),
    }))
}

/// Returns the identity (version 5) of a text.
fn to_uuid(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let namespace = arguments.text(0, "namespace", NAMESPACE);
    let digits: String = namespace.chars().filter(|c| *c != '-').collect();
    let byte = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..16).map(|number| byte(2 * number)).collect();
    let mut bytes =
        bytes.filter(|_| digits.len() == 32).ok_or_else(|| wrong(format!("invalid namespace `{namespace}`")))?;
    bytes.extend(text(value).bytes());
    let mut hash = Sha1::digest(bytes);
    let marks = [(6, 0x0f, 0x50), (8, 0x3f, 0x80)];
    for (at, kept, set) in marks {
        if let Some(byte) = hash.get_mut(at) {
            *byte = *byte & kept | set;
        }
    }
    let digits = hex::digits(hash.get(..16).unwrap_or_default());
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default().to_owned());
    Ok(Value::from(parts.join("-")))
}
