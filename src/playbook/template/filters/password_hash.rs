//! The filter `password_hash`: hashes for /etc/shadow and for files of passwords.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use sha_crypt::Params;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::random::Random;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[("password_hash", password_hash)];

/// The digits of the hashes of the C library, and those of bcrypt.
const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BCRYPT_DIGITS: &[u8; 64] = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The most rounds that are computed: a template must not run for minutes.
const ROUNDS: i64 = 10_000_000;
const BCRYPT_ROUNDS: i64 = 16;

/// The rounds that a hash does not name.
const UNNAMED: u32 = 5000;

fn password_hash(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let password = value.as_str().ok_or_else(|| wrong(format!("a password must be text, not {}", describe(value))))?;
    if password.contains('\0') {
        return Err(wrong("a password cannot have a NUL"));
    }
    let given = |position, name| arguments.get(position, name).filter(Value::is_true);
    let kind = arguments.text(0, "hashtype", "sha512");
    let number = |position, name, default, range: std::ops::RangeInclusive<i64>| match given(position, name) {
        None => Ok(default),
        Some(value) => value
            .as_i64()
            .filter(|number| range.contains(number))
            .ok_or_else(|| wrong(format!("`{name}` must be a number from {} to {}", range.start(), range.end()))),
    };
    let salt = given(1, "salt").map(|salt| text(&salt));
    let hash = match kind.as_str() {
        "sha512" | "sha512_crypt" | "sha256" | "sha256_crypt" => {
            let is_long = kind.starts_with("sha512");
            let salt = match salt {
                Some(salt) => salt,
                None => random(number(2, "salt_size", 16, 0..=16)?),
            };
            let rounds = number(3, "rounds", if is_long { 656_000 } else { 535_000 }, 1000..=ROUNDS)?;
            sha_crypt(password, &salt, is_long, u32::try_from(rounds).unwrap_or(UNNAMED))?
        }
        "bcrypt" | "blowfish" => {
            let rounds = number(3, "rounds", 12, 4..=BCRYPT_ROUNDS)?;
            let version =
                arguments.get(4, "ident").filter(Value::is_true).map_or_else(|| "2b".to_owned(), |it| text(&it));
            bcrypt(password, salt.as_deref(), u32::try_from(rounds).unwrap_or(12), &version)?
        }
        _ => return Err(wrong(format!("muster has no hash `{kind}` for passwords: it has sha512, sha256 and bcrypt"))),
    };
    Ok(Value::from(hash))
}

/// Returns so many digits by chance.
fn random(length: i64) -> String {
    let mut random = Random::new(None);
    let mut digit = || usize::try_from(random.below(64)).ok().and_then(|at| DIGITS.get(at)).map(|it| char::from(*it));
    (0..length).filter_map(|_| digit()).collect()
}

/// Returns a hash as `crypt` of the C library writes it.
fn sha_crypt(password: &str, salt: &str, is_long: bool, rounds: u32) -> Result<String, Error> {
    if salt.len() > 16 || !salt.bytes().all(|c| DIGITS.contains(&c)) {
        return Err(wrong("`salt` must be at most 16 letters, digits, dots and slashes"));
    }
    let params = Params::new(rounds).map_err(|error| wrong(error.to_string()))?;
    let (password, salted) = (password.as_bytes(), salt.as_bytes());
    let hash = if is_long {
        encode(&sha_crypt::sha512_crypt(password, salted, params), 21, |(a, b, c)| (b, c, a))
    } else {
        encode(&sha_crypt::sha256_crypt(password, salted, params), 10, |(a, b, c)| (c, a, b))
    };
    let named = if rounds == UNNAMED { String::new() } else { format!("rounds={rounds}$") };
    Ok(format!("${}${named}{salt}${hash}", if is_long { 6 } else { 5 }))
}

type Triple = (usize, usize, usize);

/// Writes a digest in groups of three bytes. `next` says from which thirds of the digest the bytes of the next group come.
fn encode(digest: &[u8], groups: usize, next: fn(Triple) -> Triple) -> String {
    let byte = |at: usize| u32::from(digest.get(at).copied().unwrap_or_default());
    let mut text = String::new();
    let mut write = |number: u32, count: u32| {
        let digits = (0..count).filter_map(|digit| DIGITS.get((number >> (6 * digit)) as usize & 63));
        text.extend(digits.map(|digit| char::from(*digit)));
    };
    let mut thirds = (0, groups, 2 * groups);
    for group in 0..groups {
        let (high, middle, low) = thirds;
        write(byte(high + group) << 16 | byte(middle + group) << 8 | byte(low + group), 4);
        thirds = next(thirds);
    }
    match digest.get(3 * groups..).unwrap_or_default() {
        [last] => write(u32::from(*last), 2),
        [low, high] => write(u32::from(*high) << 8 | u32::from(*low), 3),
        _ => {}
    }
    text
}

/// Returns a hash of bcrypt.
fn bcrypt(password: &str, salt: Option<&str>, rounds: u32, version: &str) -> Result<String, Error> {
    let version = match version {
        "2a" => bcrypt::Version::TwoA,
        "2b" => bcrypt::Version::TwoB,
        "2y" => bcrypt::Version::TwoY,
        _ => return Err(wrong(format!("muster has no version `{version}` of bcrypt"))),
    };
    let mut bytes = [0; 16];
    match salt {
        None => getrandom::fill(&mut bytes).map_err(|error| wrong(error.to_string()))?,
        Some(salt) => {
            let bad = || wrong("`salt` of bcrypt must be 22 letters, digits, dots and slashes");
            let digit = |c: u8| BCRYPT_DIGITS.iter().position(|digit| *digit == c);
            let digits = salt.bytes().map(digit).collect::<Option<Vec<_>>>().filter(|digits| digits.len() == 22);
            let mut bits = digits.ok_or_else(bad)?.into_iter().fold(0_u128, |bits, digit| bits << 6 | digit as u128);
            // 22 digits have four bits more than 16 bytes. The first ones have gone, and the last ones have no meaning.
            bits = bits >> 4 | high_bits(salt);
            bytes = bits.to_be_bytes();
        }
    }
    let hash = bcrypt::hash_with_salt(password, rounds, bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(hash.format_for_version(version))
}

/// Returns the four highest bits of a salt, in their place.
fn high_bits(salt: &str) -> u128 {
    let first = salt.bytes().next().and_then(|c| BCRYPT_DIGITS.iter().position(|digit| *digit == c));
    (first.unwrap_or_default() as u128 >> 2) << 124
}
