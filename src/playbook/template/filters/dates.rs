//! Filters for times.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::Error;
use minijinja::State;
use minijinja::Value;

use super::Table;
use crate::playbook::template::arguments::Arguments;
use crate::playbook::template::time::Time;
use crate::playbook::template::value::describe;
use crate::playbook::template::value::text;
use crate::playbook::template::value::wrong;

pub(super) const FILTERS: Table = &[("strftime", strftime), ("to_datetime", to_datetime)];

/// Formats a time, given in seconds since 1970, or the current time.
fn strftime(_: &State<'_, '_>, format: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let time = match arguments.get(0, "second").filter(|second| !second.is_none()) {
        None => Timestamp::now(),
        Some(second) => {
            let seconds = text(&second)
                .parse::<f64>()
                .ok()
                .and_then(|seconds| jiff::SignedDuration::try_from_secs_f64(seconds).ok());
            let time = seconds.and_then(|seconds| Timestamp::from_duration(seconds).ok());
            time.ok_or_else(|| wrong(format!("expected seconds since 1970, not {}", describe(&second))))?
        }
    };
    let zone = if arguments.flag(1, "utc", false) { TimeZone::UTC } else { TimeZone::system() };
    let formatted = jiff::fmt::strtime::format(text(format), &time.to_zoned_datetime(zone));
    formatted.map(Value::from).map_err(|error| wrong(error.to_string()))
}

fn to_datetime(_: &State<'_, '_>, value: &Value, arguments: &Arguments) -> Result<Value, Error> {
    let format = arguments.text(0, "format", "%Y-%m-%d %H:%M:%S");
    let parsed = jiff::fmt::strtime::parse(&format, text(value));
    let time =
        parsed.and_then(|parsed| parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0))));
    let time = time.map_err(|_| wrong(format!("{} does not match the format `{format}`", describe(value))))?;
    Ok(Value::from_object(Time(time)))
}

/// The function `now`.
pub(in crate::playbook::template) fn now(arguments: &Arguments) -> Result<Value, Error> {
    let zone = if arguments.flag(0, "utc", false) { TimeZone::UTC } else { TimeZone::system() };
    let time = Timestamp::now().to_zoned_datetime(zone);
    match arguments.get(1, "fmt").filter(|format| !format.is_none()) {
        None => Ok(Value::from_object(Time(time.datetime()))),
        Some(format) => {
            let formatted = jiff::fmt::strtime::format(text(&format), &time);
            formatted.map(Value::from).map_err(|error| wrong(error.to_string()))
        }
    }
}
