//! Filters for times.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Object;
use minijinja::value::ObjectRepr;

use super::Table;
use crate::playbook::template::arguments::Arguments;
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

/// A date with a time.
#[derive(Debug)]
struct Time(DateTime);

impl Object for Time {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.0.year()),
            "month" => Value::from(self.0.month()),
            "day" => Value::from(self.0.day()),
            "hour" => Value::from(self.0.hour()),
            "minute" => Value::from(self.0.minute()),
            "second" => Value::from(self.0.second()),
            _ => return None,
        })
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let format = |format: &str| {
            let formatted = jiff::fmt::strtime::format(format, self.0);
            formatted.map(Value::from).map_err(|error| wrong(error.to_string()))
        };
        let seconds = || {
            let zoned = self.0.to_zoned_datetime(TimeZone::system()).map_err(|error| wrong(error.to_string()))?;
            Ok(Value::from(zoned.timestamp().as_duration().as_secs_f64()))
        };
        match method {
            "strftime" => format(arguments.first().and_then(Value::as_str).unwrap_or_default()),
            "isoformat" => format("%Y-%m-%dT%H:%M:%S"),
            "date" => format("%Y-%m-%d"),
            "timestamp" => seconds(),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%d %H:%M:%S"))
    }
}
