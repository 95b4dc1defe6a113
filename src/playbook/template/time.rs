//! A date with a time, as a value of templates.

use std::fmt;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use minijinja::Error;
use minijinja::ErrorKind;
use minijinja::State;
use minijinja::Value;
use minijinja::value::Object;
use minijinja::value::ObjectRepr;

use super::value::wrong;

/// A date with a time.
#[derive(Debug)]
pub(super) struct Time(pub(super) DateTime);

impl Time {
    fn formatted(&self, format: &str) -> Result<String, Error> {
        jiff::fmt::strtime::format(format, self.0).map_err(|error| wrong(error.to_string()))
    }
}

/// Formats a value as `strftime` does, if it is a time.
pub(super) fn format_time(value: &Value, format: &str) -> Option<Result<String, Error>> {
    value.downcast_object_ref::<Time>().map(|time| time.formatted(format))
}

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
        let format = |format: &str| self.formatted(format).map(Value::from);
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
