//! What the rooms below have to say beside their results: `tracing` events, as lines on stderr.
//!
//! Warnings are always said, the rest when somebody asks. A warning is said once, however often it comes up: three hosts
//! read the same known_hosts, and a controller reconnects for ever.

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Write as _;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::layer::SubscriberExt as _;

/// What is said unless somebody asks for more.
pub const USUAL: &str = "muster=warn";

/// How many warnings are remembered. After so many others, one is news again.
const REMEMBERED: usize = 1024;

/// Begins to listen, as these directives of tracing-subscriber's `EnvFilter` say.
///
/// # Errors
/// They are no directives.
pub fn listen(directives: &str) -> Result<(), String> {
    let filter = EnvFilter::builder().parse(directives).map_err(|error| error.to_string())?;
    let lines = Lines { said: Mutex::default(), say: super::say };
    // Only a second call could fail, and then the first listens.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines.with_filter(filter)));
    Ok(())
}

/// Writes events as lines.
struct Lines {
    said: Mutex<Said>,
    say: fn(&str),
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line(event);
        let news = *event.metadata().level() > Level::WARN
            || self.said.lock().unwrap_or_else(PoisonError::into_inner).is_news(&line);
        if news {
            (self.say)(&line);
        }
    }
}

/// What was said before, by its hash.
#[derive(Default)]
struct Said {
    lines: VecDeque<u64>,
    hasher: RandomState,
}

impl Said {
    /// Says whether a line was not said before, and remembers it.
    fn is_news(&mut self, line: &str) -> bool {
        let hash = self.hasher.hash_one(line);
        if self.lines.contains(&hash) {
            return false;
        }
        if self.lines.len() >= REMEMBERED {
            self.lines.pop_front();
        }
        self.lines.push_back(hash);
        true
    }
}

/// Writes an event as one line: what it is, who says it if that is not us, and what is said.
fn line(event: &Event<'_>) -> String {
    let about = event.metadata();
    let kind = match *about.level() {
        Level::ERROR => "Error",
        Level::WARN => "Warning",
        Level::INFO => "Info",
        Level::DEBUG => "Debug",
        Level::TRACE => "Trace",
    };
    let from = about.target();
    let ours = from == "muster" || from.starts_with("muster::");
    let mut line = if ours { format!("{kind}: ") } else { format!("{kind}: {from}: ") };
    let mut text = Text::default();
    event.record(&mut text);
    line.push_str(&text.message);
    line.push_str(&text.fields);
    line
}

/// An event's message, and its other fields.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());

    #[test]
    fn a_warning_is_said_once_and_what_was_asked_for_as_often_as_it_comes() {
        let say = |line: &str| HEARD.lock().unwrap().push(line.to_owned());
        let lines = Lines { said: Mutex::default(), say };
        let filter = EnvFilter::builder().parse("muster=info,other=warn").unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines.with_filter(filter)), || {
            for _ in 0..2 {
                tracing::warn!("{}:{}: no key", "known_hosts", 3);
                tracing::info!(host = "core-01", "noted");
                tracing::debug!("not asked for");
                tracing::warn!(target: "other::room", "odd");
                tracing::warn!(target: "another", "not asked for");
            }
        });
        let first = ["Warning: known_hosts:3: no key", "Info: noted host=\"core-01\"", "Warning: other::room: odd"];
        assert_eq!(*HEARD.lock().unwrap(), [&first[..], &first[1..2]].concat());
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut said = Said::default();
        for number in 0..2 * REMEMBERED {
            assert!(said.is_news(&number.to_string()));
            assert!(!said.is_news(&number.to_string()));
        }
        assert!(said.lines.len() == REMEMBERED && said.is_news("0"));
    }
}
