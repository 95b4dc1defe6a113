//! Filters for numbers and sizes.

use minijinja::Error;
use minijinja::State;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[
    ("abs", |_, value, _| minijinja::filters::abs(without_bool(value))),
    ("filesizeformat", filesizeformat),
    ("human_readable", human_readable),
    ("human_to_bytes", human_to_bytes),
    ("log", log),
    ("pow", pow),
    ("root", root),
];

/// The units of sizes, the largest first.
const UNITS: [(&str, u8); 8] = [("Y", 8), ("Z", 7), ("E", 6), ("P", 5), ("T", 4), ("G", 3), ("M", 2), ("K", 1)];

fn without_bool(value: &Value) -> Value {
    if value.kind() == ValueKind::Bool { Value::from(u8::from(value.is_true())) } else { value.clone() }
}

fn number(value: &Value) -> Result<f64, Error> {
    let number = if value.is_number() || value.as_str().is_none() { f64::try_from(value.clone()).ok() } else { None };
    number.ok_or_else(|| wrong(format!("expected a number, not {}", describe(value))))
}

fn argument(arguments: &Arguments, name: &str, default: f64) -> Result<f64, Error> {
    arguments.get(0, name).map_or(Ok(default), |value| number(&value))
}

fn log(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let (value, base) = (number(value)?, argument(arguments, "base", std::f64::consts::E)?);
    let log = if (base - 10.0).abs() < f64::EPSILON { value.log10() } else { value.ln() / base.ln() };
    if log.is_finite() { Ok(Value::from(log)) } else { Err(wrong("the logarithm is not a number")) }
}

fn pow(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    Ok(Value::from(number(value)?.powf(argument(arguments, "y", 1.0)?)))
}

fn root(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let base = argument(arguments, "base", 2.0)?;
    let value = number(value)?;
    Ok(Value::from(if (base - 2.0).abs() < f64::EPSILON { value.sqrt() } else { value.powf(1.0 / base) }))
}

/// Returns a size as text: `1.00 MB`.
fn human_readable(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size = number(value)?;
    let base = if arguments.flag(0, "isbits", false) { "bits" } else { "Bytes" };
    let unit = arguments.get(1, "unit").filter(|unit| !unit.is_none()).map(|unit| text(&unit).to_uppercase());
    let chosen = UNITS.iter().find(|(name, power)| match &unit {
        None => size >= 1024_f64.powi((*power).into()),
        Some(unit) => unit.starts_with(name),
    });
    Ok(Value::from(match chosen {
        Some((name, power)) => {
            format!("{:.2} {name}{}", size / 1024_f64.powi((*power).into()), if base == "bits" { "b" } else { "B" })
        }
        None => format!("{size:.2} {base}"),
    }))
}

/// Returns the number of bytes of a size in text: `1.5G`.
fn human_to_bytes(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size = text(value);
    let bad = || wrong(format!("`{size}` is no size: expected a number and a unit such as `K` or `MB`"));
    let trimmed = size.trim();
    let end = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(end);
    let digits: f64 = digits.parse().map_err(|_| bad())?;
    let unit = Some(unit.trim()).filter(|unit| !unit.is_empty()).map(str::to_owned);
    let unit = unit.unwrap_or_else(|| arguments.text(0, "default_unit", "B")).to_uppercase();
    let power = match unit.as_str() {
        "B" | "BYTES" | "BITS" => 0,
        unit => UNITS.iter().find(|(name, _)| unit.starts_with(name)).map(|(_, power)| *power).ok_or_else(bad)?,
    };
    let bytes = (digits * 1024_f64.powi(power.into())).round();
    format!("{bytes:.0}").parse::<i64>().map(Value::from).map_err(|_| bad())
}

/// Returns a size as Jinja2 writes it: `1.5 MB`.
fn filesizeformat(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let size =
        value.as_str().map_or_else(|| number(value), |text| text.trim().parse().map_err(|_| wrong("no number")))?;
    let binary = arguments.flag(0, "binary", false);
    let (base, prefixes) = if binary {
        (1024.0, ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
    } else {
        (1000.0, ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
    };
    if size < base {
        let bytes = format!("{size:.0}");
        return Ok(Value::from(if bytes == "1" { "1 Byte".to_owned() } else { format!("{bytes} Bytes") }));
    }
    let mut unit: f64 = base;
    let mut name = "";
    for prefix in prefixes {
        name = prefix;
        if size < unit * base {
            break;
        }
        unit *= base;
    }
    Ok(Value::from(format!("{:.1} {name}", size / unit)))
}
