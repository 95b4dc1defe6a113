//! Times that are written for people, such as `1h 30m`.

use minijinja::Error;
use minijinja::Value;

use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

/// The names of a unit, its short name first.
const UNITS: [&[&str]; 8] = [
    &["ms", "millisecond", "msec", "msecond"],
    &["s", "sec", "second"],
    &["m", "min", "minute"],
    &["h", "hour"],
    &["d", "day"],
    &["w", "week"],
    &["mo", "month"],
    &["y", "year"],
];

/// How many milliseconds a unit has. Months and years have as many days as the filter's arguments say.
struct Lengths {
    month: f64,
    year: f64,
}

impl Lengths {
    fn of(&self, unit: &str) -> Option<f64> {
        const DAY: f64 = 86_400_000.0;
        let names = UNITS.iter().find(|names| {
            names.first() == Some(&unit) || names.iter().skip(1).any(|name| *name == unit.trim_end_matches('s'))
        });
        Some(match *names?.first()? {
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => DAY,
            "w" => 7.0 * DAY,
            "mo" => self.month * DAY,
            _ => self.year * DAY,
        })
    }
}

/// Returns a time in a unit.
pub(super) fn to_unit(value: &Value, unit: &str, arguments: &Arguments) -> Result<Value, Error> {
    let time = text(value);
    if time == "0" {
        return Ok(Value::from(0));
    }
    let days = |name: &str, default: f64| {
        let days = arguments.by_name(name).map(f64::try_from).transpose();
        days.map(|days| days.unwrap_or(default)).map_err(|_| wrong(format!("`{name}` must be a number")))
    };
    let lengths = Lengths { month: days("month", 30.0)?, year: days("year", 365.0)? };
    let length = lengths.of(unit).ok_or_else(|| wrong(format!("to_time_unit() can not convert to the unit {unit}")))?;
    let bad = || wrong(format!("to_time_unit() can not interpret following string: {time}"));
    let mut sum = 0.0;
    for part in time.split_whitespace() {
        let sign = usize::from(part.starts_with('-'));
        let end = part.get(sign..).and_then(|digits| digits.find(|c: char| !c.is_ascii_digit())).map(|end| end + sign);
        let (number, unit) = part.split_at_checked(end.ok_or_else(bad)?).ok_or_else(bad)?;
        let unit = unit.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
        let number: f64 = number.parse().map_err(|_| bad())?;
        sum += number * lengths.of(unit).ok_or_else(bad)?;
    }
    Ok(Value::from(format!("{:.12}", sum / length).parse::<f64>().unwrap_or_default()))
}
