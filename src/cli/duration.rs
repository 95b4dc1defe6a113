//! Durations as an operator writes them, on the command line and in `muster.toml`.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;

/// Parses `30s`, `5m`, `1h30m`, or a plain number of seconds.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let friendly = || text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
    let duration: Option<Duration> = seconds.or_else(friendly);
    duration.ok_or_else(|| "expected a duration such as 30s or 5m, or a number of seconds".to_owned())
}

/// Makes a parser of durations in a range of seconds.
pub(super) fn within(
    seconds: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| check(parse(text)?, &seconds)
}

/// Returns a duration if it is in a range of seconds.
pub(super) fn check(duration: Duration, seconds: &RangeInclusive<u64>) -> Result<Duration, String> {
    let (least, most) = (Duration::from_secs(*seconds.start()), Duration::from_secs(*seconds.end()));
    if (least..=most).contains(&duration) {
        return Ok(duration);
    }
    Err(format!("expected a duration from {} to {}", show(*seconds.start()), show(*seconds.end())))
}

/// Writes a whole number of seconds in the largest unit that divides it.
fn show(seconds: u64) -> String {
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Reads a duration of a settings file: a number of seconds or a text.
pub(super) fn setting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a duration such as \"30s\" or \"5m\", or a number of seconds")]
    enum Setting {
        Seconds(u64),
        Text(String),
    }
    match Setting::deserialize(deserializer)? {
        Setting::Seconds(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Setting::Text(text) => parse(&text).map(Some).map_err(serde::de::Error::custom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_or_is_a_number_of_seconds() {
        for (text, seconds) in [("0", 0), ("90", 90), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("2h", 7200)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1500ms"), Ok(Duration::from_millis(1500)));
        for text in ["", "x", "5 parsecs", "-5", "-5s", "99999999999999999999h"] {
            let expected = "expected a duration such as 30s or 5m, or a number of seconds";
            assert_eq!(parse(text), Err(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn the_range_is_named() {
        let parse = within(1..=28_800);
        assert_eq!(parse("8h"), Ok(Duration::from_hours(8)));
        for text in ["0", "500ms", "8h1s"] {
            assert_eq!(parse(text), Err("expected a duration from 1s to 8h".to_owned()), "{text}");
        }
        assert_eq!(within(0..=90)("2m"), Err("expected a duration from 0s to 90s".to_owned()));
    }
}
