//! The time of a host, in its zone and in UTC.

use jiff::Timestamp;
use serde_json::json;

use super::host_text::HostText;
use super::platform::facts;
use crate::inventory::Vars;

/// Returns the fact `date_time`. Every value in it is text.
pub(super) fn date_time(text: &HostText<'_>) -> Vars {
    let words: Vec<&str> = text.line("date").unwrap_or_default().split_whitespace().collect();
    let [year, month, day, hour, minute, second, weekday, number, week, epoch, nanos, zone, offset] = words[..] else {
        return Vars::new();
    };
    // A date(1) without nanoseconds prints the letter.
    let nanos = nanos.parse::<u32>().unwrap_or(0);
    let utc = epoch.parse().ok().and_then(|epoch| Timestamp::new(epoch, i32::try_from(nanos).ok()?).ok());
    let utc = utc.map(|utc| utc.strftime("%Y-%m-%dT%H:%M:%S").to_string()).unwrap_or_default();
    let micros = nanos / 1_000;
    let short = format!("{year}{month}{day}T{hour}{minute}{second}");
    facts([(
        "date_time",
        json!({
            "year": year, "month": month, "day": day, "hour": hour, "minute": minute, "second": second,
            "weekday": weekday, "weekday_number": number, "weeknumber": week,
            "date": format!("{year}-{month}-{day}"), "time": format!("{hour}:{minute}:{second}"),
            "epoch": epoch, "epoch_int": epoch,
            "iso8601": format!("{utc}Z"), "iso8601_micro": format!("{utc}.{micros:06}Z"),
            "iso8601_basic": format!("{short}{micros:06}"), "iso8601_basic_short": short,
            "tz": zone, "tz_dst": summer_zone(text).unwrap_or(zone), "tz_offset": offset,
        }),
    )])
}

/// Returns the name of the zone in summer: of January and July the one with the larger offset.
fn summer_zone<'a>(text: &HostText<'a>) -> Option<&'a str> {
    let zone = |line: &'a str| {
        let (name, offset) = line.split_once(' ')?;
        Some((name, offset.parse::<i32>().ok()?))
    };
    let mut zones = text.lines("zones").map(zone);
    let ((january, in_january), (july, in_july)) = (zones.next()??, zones.next()??);
    Some(if in_january > in_july { january } else { july })
}
