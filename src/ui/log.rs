//! Log messages: `tracing` events of the layers below, as lines on stderr.
//!
//! Warnings and errors are printed as an operator reads them, each once however often it repeats: three hosts read the
//! same known_hosts, and a controller reconnects for ever. The rest is for those who look for a fault: each line has the
//! time since the start of the process and the module.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt as _;

use super::terminal::Priority;
use super::terminal::Tone;
use super::terminal::stderr_has_color;
use super::waits::Waits;
use super::waits::is_wait;
use crate::core::sanitize;

/// The number of warnings that are remembered. After as many others, one is printed again.
const REMEMBERED: usize = 1024;

/// The waits of this process.
static WAITS: OnceLock<Waits> = OnceLock::new();

/// Starts to print the messages that directives of tracing-subscriber's `EnvFilter` select, and what the command waits
/// for if `tells_waits` is set. Otherwise it prints that from [`tell_waits`] on.
///
/// # Errors
/// The directives are invalid.
pub fn listen(directives: &str, tells_waits: bool) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(directives)?;
    let start = Instant::now();
    let print = |line: &Line| {
        let text = format!("{}\n", line.text(stderr_has_color()));
        match line.label.1 {
            Some(Tone::Error) => super::write_as(Priority::Error, &text),
            Some(_) => super::write_as(Priority::Warning, &text),
            None => super::write(&text),
        }
    };
    let lines = Lines { printed: Mutex::default(), uptime: Box::new(move || start.elapsed()), print };
    // Only a second call could fail, and then the first one listens.
    let waits = WAITS.get_or_init(Waits::default);
    if tells_waits {
        waits.print();
    }
    let waits = waits.clone().with_filter(filter_fn(is_wait));
    let registry = tracing_subscriber::registry().with(waits).with(lines.with_filter(filter));
    let _ = tracing::subscriber::set_global_default(registry);
    Ok(())
}

/// Starts to print what the command waits for.
pub fn tell_waits() {
    WAITS.get_or_init(Waits::default).print();
}

/// Prints events as lines.
struct Lines {
    printed: Mutex<Printed>,
    uptime: Box<dyn Fn() -> Duration + Send + Sync>,
    print: fn(&Line),
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event, (self.uptime)());
        let is_warning = *event.metadata().level() <= Level::WARN;
        if !is_warning || self.printed.lock().unwrap_or_else(PoisonError::into_inner).is_new(&line.message) {
            (self.print)(&line);
        }
    }
}

/// The hashes of the warnings that were printed.
#[derive(Default)]
struct Printed {
    hashes: VecDeque<u64>,
    hasher: RandomState,
}

impl Printed {
    /// Reports whether a line was not printed before, and remembers it.
    fn is_new(&mut self, line: &str) -> bool {
        let hash = self.hasher.hash_one(line);
        if self.hashes.contains(&hash) {
            return false;
        }
        if self.hashes.len() >= REMEMBERED {
            self.hashes.pop_front();
        }
        self.hashes.push_back(hash);
        true
    }
}

/// One event as a line.
struct Line {
    /// What the line begins with, and its colour.
    label: (String, Option<Tone>),
    message: String,
}

impl Line {
    fn of(event: &Event<'_>, uptime: Duration) -> Self {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        let module = target.strip_prefix("muster::").unwrap_or(target);
        let label = match level {
            Level::ERROR => ("Error:".to_owned(), Some(Tone::Error)),
            Level::WARN => ("Warning:".to_owned(), Some(Tone::Warning)),
            _ => {
                let level = level.as_str().to_ascii_lowercase();
                (format!("{:.3}s {level} {module}:", uptime.as_secs_f64()), None)
            }
        };
        // Messages of libraries name the library.
        let is_foreign = level <= Level::WARN && target != "muster" && !target.starts_with("muster::");
        let mut text = Text::default();
        event.record(&mut text);
        let source = if is_foreign { format!("{target}: ") } else { String::new() };
        Self { label, message: sanitize::line(&format!("{source}{}", text.join())) }
    }

    fn text(&self, has_color: bool) -> String {
        let (label, tone) = &self.label;
        let label = tone.map_or_else(|| label.clone(), |tone| tone.paint(label, has_color));
        format!("{label} {}", self.message)
    }
}

/// The message of an event, and its fields: the host comes first, then the message, the time that it took, the rest.
#[derive(Default)]
struct Text {
    host: String,
    message: String,
    elapsed: String,
    fields: String,
}

impl Text {
    fn join(&self) -> String {
        let host = if self.host.is_empty() { String::new() } else { format!("{}: ", self.host) };
        format!("{host}{}{}{}", self.message, self.elapsed, self.fields)
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "host" => value.clone_into(&mut self.host),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "host" => write!(self.host, "{value:?}"),
            "elapsed" => write!(self.elapsed, " in {}", rounded(&format!("{value:?}"))),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

/// Rounds the text of a duration: `41.234567ms` is `41 ms`.
fn rounded(text: &str) -> String {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len()));
    match number.parse::<f64>() {
        Ok(number) if number < 10.0 => format!("{number:.1} {unit}"),
        Ok(number) => format!("{number:.0} {unit}"),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn a_warning_is_printed_once_and_other_messages_with_their_time_as_often_as_they_come() {
        let print = |line: &Line| PRINTED.lock().unwrap().push(line.text(false));
        let lines = Lines { printed: Mutex::default(), uptime: Box::new(|| Duration::from_millis(12_345)), print };
        let filter = EnvFilter::builder().parse("muster=debug,other=warn").unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.with_filter(filter)), || {
            for _ in 0..2 {
                tracing::warn!("{}:{}: no key", "known_hosts", 3);
                let elapsed = Duration::from_micros(41_234);
                tracing::debug!(target: "muster::remote::ssh", host = "web1", ?elapsed, "key exchange done");
                tracing::info!(target: "muster::runner", name = "core-01", "no\tkey");
                tracing::trace!(target: "muster::runner", "not selected");
                tracing::warn!(target: "other::room", "odd");
                tracing::warn!(target: "another", "not selected");
            }
        });
        let all = [
            "Warning: known_hosts:3: no key",
            "12.345s debug remote::ssh: web1: key exchange done in 41 ms",
            "12.345s info runner: no key name=\"core-01\"",
            "Warning: other::room: odd",
        ];
        assert_eq!(*PRINTED.lock().unwrap(), [&all[..], &all[1..3]].concat());
    }

    #[test]
    fn the_time_that_something_took_is_rounded() {
        for (text, expected) in
            [("41.234567ms", "41 ms"), ("1.25s", "1.2 s"), ("850.1µs", "850 µs"), ("0ns", "0.0 ns"), ("long", "long")]
        {
            assert_eq!(rounded(text), expected);
        }
    }

    #[test]
    fn the_number_of_remembered_warnings_is_bounded() {
        let mut printed = Printed::default();
        for number in 0..2 * REMEMBERED {
            assert!(printed.is_new(&number.to_string()));
            assert!(!printed.is_new(&number.to_string()));
        }
        assert!(printed.hashes.len() == REMEMBERED && printed.is_new("0"));
    }
}
