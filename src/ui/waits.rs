//! Waits: a command that waits longer than two seconds says once what it waits for.
//!
//! Each layer marks its waits with a span of tracing that is called `wait` and has a field `what`. The wait lasts as long
//! as the span. A field `usual` has the milliseconds that the wait takes when all is well: they do not count.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span::Attributes;
use tracing::span::Id;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::messages;

/// How long a command waits in silence.
const SILENCE: Duration = Duration::from_secs(2);

/// How often the waits are looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// How many waits a line names, and how many lines are printed at most.
const NAMED: usize = 3;
const LINES: usize = 10;

/// The waits of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// The waits that last, by span, each with its beginning.
    open: BTreeMap<u64, (Instant, String)>,
    told: BTreeSet<String>,
    lines: usize,
}

/// Reports whether a span is a wait.
pub(super) fn is_wait(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.name() == "wait"
}

impl Waits {
    /// Prints what is waited for from now on, on a thread of its own, because the runtime may be busy.
    pub(super) fn print(&self) {
        let waits = self.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(INTERVAL);
                if let Some(line) = waits.line(Instant::now()) {
                    super::status(&line);
                }
            }
        });
    }

    /// Returns the line about the waits that have lasted for long and of which no line has told yet.
    fn line(&self, now: Instant) -> Option<String> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Waiting { open, told, lines } = &mut *waiting;
        let long = open.values().filter(|(since, _)| now.saturating_duration_since(*since) >= SILENCE);
        let mut new: Vec<&(Instant, String)> = long.filter(|(_, what)| !told.contains(what)).collect();
        if new.is_empty() || *lines >= LINES {
            return None;
        }
        new.sort();
        new.dedup_by(|(_, one), (_, other)| one == other);
        let texts: Vec<&str> = new.iter().map(|(_, what)| what.as_str()).collect();
        let line = messages::waiting(&texts, NAMED);
        told.extend(new.iter().map(|(_, what)| what.clone()));
        *lines += 1;
        Some(line)
    }

    fn begin(&self, id: u64, since: Instant, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.insert(id, (since, what));
    }

    fn end(&self, id: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&id);
    }
}

impl<S: Subscriber> Layer<S> for Waits {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut what = What::default();
        attributes.record(&mut what);
        self.begin(id.into_u64(), Instant::now() + what.usual, what.text);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.end(id.into_u64());
    }
}

/// The fields of a span.
#[derive(Default)]
struct What {
    text: String,
    usual: Duration,
}

impl Visit for What {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "what" {
            value.clone_into(&mut self.text);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "what" {
            self.text = format!("{value:?}");
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "usual" {
            self.usual = Duration::from_millis(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn a_wait_of_two_seconds_is_told_once_and_one_that_has_ended_never() {
        let (waits, start) = (Waits::default(), Instant::now());
        let at = |millis| waits.line(start + Duration::from_millis(millis));
        waits.begin(1, start, "the store".to_owned());
        waits.begin(2, start, "web1".to_owned());
        waits.end(2);
        assert_eq!(at(1999), None);
        assert_eq!(at(2000).unwrap(), "waiting for the store");
        assert_eq!(at(2250), None);
        (3..9).for_each(|id| waits.begin(id, start + Duration::from_secs(1), format!("web{id}")));
        waits.begin(9, start, "the store".to_owned());
        assert_eq!(at(3000).unwrap(), "waiting for web3, web4, web5 and 3 more");
        assert_eq!(at(60_000), None);
    }

    #[test]
    fn a_wait_lasts_as_long_as_its_span() {
        let waits = Waits::default();
        let filter = tracing_subscriber::filter::filter_fn(is_wait);
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(waits.clone().with_filter(filter)),
            || {
                let later = Instant::now() + Duration::from_secs(3);
                let wait = tracing::info_span!("wait", what = "web1");
                let slow = tracing::info_span!("wait", what = "web4", usual = 2000u64);
                let _other = tracing::info_span!("other", what = "web2");
                drop(tracing::info_span!("wait", what = format!("web{}", 3)));
                assert_eq!(waits.line(later).unwrap(), "waiting for web1");
                assert_eq!(waits.line(later + Duration::from_secs(2)).unwrap(), "waiting for web4");
                drop((wait, slow));
                assert!(waits.0.lock().unwrap().open.is_empty());
            },
        );
    }
}
