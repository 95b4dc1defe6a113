//! How one value is formatted: its width, sign, precision and type.

use std::iter::Peekable;
use std::str::Chars;

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::super::value;
use super::super::wrong;

/// The widest column, and the most digits.
pub(super) const COLUMN: usize = 10_000;

/// Python's specification of a format: `[[FILL]ALIGN][SIGN][z][#][0][WIDTH][GROUPING][.PRECISION][TYPE]`.
#[derive(Debug, Default)]
pub(super) struct Specification {
    pub(super) fill: Option<char>,
    /// `<`, `>`, `^`, or `=` for blanks between the sign and the digits.
    pub(super) align: Option<char>,
    /// `+` or a blank before numbers that are not negative.
    pub(super) sign: Option<char>,
    /// Set if a zero has no sign.
    pub(super) positive_zero: bool,
    /// Set if a number has a prefix such as `0x`, and always a decimal point.
    pub(super) alternate: bool,
    /// Set if zeros fill the column.
    pub(super) zeros: bool,
    pub(super) width: usize,
    pub(super) grouping: Option<char>,
    pub(super) precision: Option<usize>,
    pub(super) kind: Option<char>,
}

/// A number with the parts between which a column is filled.
struct Digits {
    sign: &'static str,
    prefix: &'static str,
    whole: String,
    rest: String,
}

impl Specification {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || wrong(format!("invalid format `{text}`"));
        let mut specification = Self::default();
        let mut chars = text.chars().peekable();
        let is_align = |c: Option<char>| c.is_some_and(|c| "<>^=".contains(c));
        if is_align(text.chars().nth(1)) {
            specification.fill = chars.next();
        }
        if is_align(chars.peek().copied()) {
            specification.align = chars.next();
        }
        specification.sign = chars.next_if(|c| "+- ".contains(*c));
        specification.positive_zero = chars.next_if_eq(&'z').is_some();
        specification.alternate = chars.next_if_eq(&'#').is_some();
        specification.zeros = chars.next_if_eq(&'0').is_some();
        specification.width = leading_column(&mut chars)?.unwrap_or_default();
        specification.grouping = chars.next_if(|c| matches!(c, ',' | '_'));
        if chars.next_if_eq(&'.').is_some() {
            specification.precision = Some(leading_column(&mut chars)?.ok_or_else(invalid)?);
        }
        specification.kind = chars.next();
        if chars.next().is_some() { Err(invalid()) } else { Ok(specification) }
    }

    fn wrong_kind(&self, value: &str) -> Error {
        wrong(format!("the type `{}` of a format does not suit {value}", self.kind.unwrap_or_default()))
    }

    /// Formats a text.
    pub(super) fn text(&self, text: &str) -> Result<String, Error> {
        let is_of_numbers = self.align == Some('=') || self.sign.is_some() || self.alternate || self.grouping.is_some();
        if is_of_numbers || self.positive_zero || !matches!(self.kind, None | Some('s')) {
            return Err(self.kind.filter(|kind| *kind != 's').map_or_else(
                || wrong("a format has a sign, `=`, `#` or a grouping for a text"),
                |_| self.wrong_kind("a text"),
            ));
        }
        let cut: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        let fill = self.fill.unwrap_or(if self.zeros { '0' } else { ' ' });
        Ok(self.aligned(&cut, fill, self.align.unwrap_or('<')))
    }

    /// Puts a text into its column.
    pub(super) fn aligned(&self, text: &str, fill: char, align: char) -> String {
        let blanks = self.width.saturating_sub(text.chars().count());
        let left = match align {
            '<' => 0,
            '^' => blanks / 2,
            _ => blanks,
        };
        let side = |count| std::iter::repeat_n(fill, count).collect::<String>();
        side(left) + text + &side(blanks - left)
    }

    /// Formats a number or a boolean.
    pub(super) fn number(&self, number: &Value) -> Result<String, Error> {
        let is_whole = number.kind() == ValueKind::Bool || number.is_integer();
        match self.kind {
            None | Some('d' | 'n' | 'b' | 'o' | 'x' | 'X') if is_whole => self.whole(number),
            Some('c') if is_whole => {
                let code = number.as_i64().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                let c = code.ok_or_else(|| self.wrong_kind(&value::describe(number)))?;
                Ok(self.aligned(&c.to_string(), self.fill.unwrap_or(' '), self.align.unwrap_or('>')))
            }
            None | Some('n') if !is_whole => self.float(number),
            Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') => self.float(number),
            _ => Err(self.wrong_kind(&value::describe(number))),
        }
    }

    fn whole(&self, number: &Value) -> Result<String, Error> {
        let whole = integer(number).ok_or_else(|| self.wrong_kind(&value::describe(number)))?;
        if self.precision.is_some() {
            return Err(wrong("a format has a precision for a whole number"));
        }
        let size = whole.unsigned_abs();
        let (prefix, whole_digits) = match self.kind {
            Some('b') => ("0b", format!("{size:b}")),
            Some('o') => ("0o", format!("{size:o}")),
            Some('x') => ("0x", format!("{size:x}")),
            Some('X') => ("0X", format!("{size:X}")),
            _ => ("", size.to_string()),
        };
        let prefix = if self.alternate { prefix } else { "" };
        self.in_column(Digits { sign: self.sign_of(whole < 0), prefix, whole: whole_digits, rest: String::new() })
    }

    fn float(&self, number: &Value) -> Result<String, Error> {
        let float = if number.kind() == ValueKind::Bool {
            f64::from(u8::from(number.is_true()))
        } else {
            f64::try_from(number.clone()).map_err(|_| self.wrong_kind(&value::describe(number)))?
        };
        let text = self.float_digits(float.abs());
        let is_zero = self.positive_zero && !text.contains(|c: char| matches!(c, '1'..='9'));
        let at = text.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0).unwrap_or(text.len());
        let (whole, rest) = if float.is_finite() { text.split_at(at) } else { ("", text.as_str()) };
        let sign = self.sign_of(float.is_sign_negative() && !float.is_nan() && !is_zero);
        self.in_column(Digits { sign, prefix: "", whole: whole.to_owned(), rest: rest.to_owned() })
    }

    fn sign_of(&self, is_negative: bool) -> &'static str {
        match self.sign {
            _ if is_negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        }
    }

    /// Returns the digits of a float that is not negative.
    fn float_digits(&self, float: f64) -> String {
        let upper = self.kind.is_some_and(char::is_uppercase);
        if !float.is_finite() {
            let text = if float.is_nan() { "nan" } else { "inf" };
            return if upper { text.to_uppercase() } else { text.to_owned() };
        }
        let precision = self.precision.unwrap_or(6);
        let digits = match self.kind {
            Some('f' | 'F') => self.with_point(format!("{float:.precision$}")),
            Some('%') => self.with_point(format!("{:.precision$}", float * 100.0)) + "%",
            Some('e' | 'E') => self.scientific(float, precision),
            None if self.precision.is_none() => value::float_text(float),
            _ => self.general(float, precision.max(1)),
        };
        if upper { digits.to_uppercase() } else { digits }
    }

    fn with_point(&self, digits: String) -> String {
        if self.alternate && !digits.contains('.') { digits + "." } else { digits }
    }

    fn scientific(&self, float: f64, precision: usize) -> String {
        let text = format!("{float:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", self.with_point(mantissa.to_owned()), exponent.abs())
    }

    /// Returns so many digits that count, in the shorter notation. Without a type, a float has a digit after the point.
    fn general(&self, float: f64, precision: usize) -> String {
        let rounded = format!("{float:.*e}", precision - 1);
        let exponent =
            rounded.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or_default();
        let places = i32::try_from(precision).unwrap_or(i32::MAX);
        if exponent < -4 || exponent >= places - i32::from(self.kind.is_none()) {
            let text = self.scientific(float, precision - 1);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, ""));
            return format!("{}e{exponent}", self.without_zeros(mantissa));
        }
        let digits = format!("{float:.*}", usize::try_from(places - 1 - exponent).unwrap_or_default());
        let digits = self.without_zeros(&self.with_point(digits)).to_owned();
        if self.kind.is_none() && !digits.contains('.') { digits + ".0" } else { digits }
    }

    fn without_zeros<'t>(&self, digits: &'t str) -> &'t str {
        if self.alternate || !digits.contains('.') {
            digits
        } else {
            digits.trim_end_matches('0').trim_end_matches('.')
        }
    }

    fn in_column(&self, digits: Digits) -> Result<String, Error> {
        let Digits { sign, prefix, mut whole, rest } = digits;
        let fill = self.fill.unwrap_or(if self.zeros { '0' } else { ' ' });
        let align = self.align.unwrap_or(if self.zeros { '=' } else { '>' });
        let head = sign.to_owned() + prefix;
        let length = |whole: &str| head.len() + whole.chars().count() + rest.chars().count();
        if let Some(separator) = self.grouping {
            let size = match self.kind {
                Some('b' | 'o' | 'x' | 'X') if separator == '_' => 4,
                Some('b' | 'o' | 'x' | 'X' | 'n') => return Err(wrong("a format has a `,` for a type without it")),
                _ => 3,
            };
            let mut grouped = in_groups(&whole, separator, size);
            // Zeros are grouped too.
            while fill == '0' && align == '=' && !whole.is_empty() && length(&grouped) < self.width {
                whole.insert(0, '0');
                grouped = in_groups(&whole, separator, size);
            }
            whole = grouped;
        }
        if align == '=' {
            let blanks = self.width.saturating_sub(length(&whole));
            return Ok(head + &std::iter::repeat_n(fill, blanks).collect::<String>() + &whole + &rest);
        }
        Ok(self.aligned(&(head + &whole + &rest), fill, align))
    }
}

fn leading_column(chars: &mut Peekable<Chars<'_>>) -> Result<Option<usize>, Error> {
    let mut digits = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    column(&digits)
}

/// Reads the width of a column, or a count of digits.
pub(super) fn column(digits: &str) -> Result<Option<usize>, Error> {
    if digits.is_empty() {
        return Ok(None);
    }
    let column = digits.parse::<usize>().ok().filter(|column| *column <= COLUMN);
    column.map(Some).ok_or_else(|| wrong(format!("a column of a format may have at most {COLUMN} characters")))
}

fn integer(number: &Value) -> Option<i128> {
    if number.kind() == ValueKind::Bool {
        Some(i128::from(number.is_true()))
    } else {
        i128::try_from(number.clone()).ok()
    }
}

fn in_groups(digits: &str, separator: char, size: usize) -> String {
    let count = digits.len();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (count - at).is_multiple_of(size) {
            grouped.push(separator);
        }
        grouped.push(digit);
    }
    grouped
}
