//! The ledger of a receiver: the incidents that it knows or will be told about, and the message on its way.
//!
//! A message is in the ledger before it is sent, and leaves it when it was sent. So the process that leads next knows which
//! message may have been sent, and sends it again with the same id.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Message;
use super::Notice;
use super::Selector;
use super::Status;
use super::Trouble;
use super::message::id_of;
use crate::core::model::Timestamp;
use crate::core::sanitize::truncate;

/// How many incidents a ledger has at most. More problems wait until some have ended.
const INCIDENTS: usize = 1000;

/// How many incidents a message describes. It counts the others.
const DESCRIBED: usize = 100;

/// The most characters of a text.
const TEXT_LIMIT: usize = 300;

/// How long a message may be on its way: the time limit of a delivery, and a margin. After this, another process sends it
/// again.
const ON_ITS_WAY: Duration = Duration::from_secs(15);

/// The delay before a message is sent again that was refused, the first time and at most. It doubles each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(10));

/// The longest time between two looks that counts as time with the problem.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// A pending incident that waits for no longer than this is not stored: most such problems end by themselves.
const UNSTORED: Duration = Duration::from_secs(10);

/// What a receiver is told, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The problems.
    pub selector: Selector,
    /// How long a problem must have been there; `None` for the default of its kind.
    pub min_duration: Option<Duration>,
    /// Whether the end of a problem is told.
    pub clears: bool,
    /// After how long a problem that is still there is told again.
    pub remind: Option<Duration>,
}

/// How fast alerts follow problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long a problem must have been there.
    short: Duration,
    /// The same for a problem that ends by itself in most cases, because the leader is working on it.
    in_progress: Duration,
    /// The same while a machine pulls an image.
    pulling: Duration,
    /// How long a problem must have been away until it has ended.
    calm: Duration,
    /// How long the first incident of a message waits for others.
    gather: Duration,
    /// The shortest time between two messages of the same status.
    interval: Duration,
}

impl Pace {
    /// The pace of a controller, which looks every few seconds.
    pub const CONTROLLER: Self = Self {
        short: Duration::from_secs(10),
        in_progress: Duration::from_mins(2),
        pulling: Duration::from_mins(15),
        calm: Duration::from_mins(1),
        gather: Duration::from_secs(3),
        interval: Duration::from_secs(30),
    };

    /// The pace of a sweep, which has waited itself until the cluster has settled.
    pub const SWEEP: Self = Self {
        short: Duration::ZERO,
        in_progress: Duration::from_mins(2),
        pulling: Duration::from_mins(15),
        calm: Duration::ZERO,
        gather: Duration::ZERO,
        interval: Duration::ZERO,
    };

    /// Returns how long a problem of a kind must have been there.
    fn grace(&self, kind: &str) -> Duration {
        match kind {
            "pulling" => self.pulling,
            "not placed" | "machine left" | "still elsewhere" | "not on machine" | "outdated file"
            | "still changing" => self.in_progress,
            _ => self.short,
        }
    }
}

/// A problem of one subject, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// What a message says about it.
    #[serde(flatten)]
    pub notice: Notice,
    /// When the receiver was last told that it is there; `None` if it was not told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Timestamp>,
    /// For how long it was there in all.
    #[serde(skip)]
    seen: Duration,
    /// Since when it is away, if it is.
    #[serde(skip)]
    away: Option<Timestamp>,
}

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Delivery {
    message: Message,
    /// The subjects of all its incidents, also of those that it only counts.
    subjects: Vec<String>,
    /// How often it has failed.
    #[serde(default)]
    failures: u32,
    /// When it may be sent, or sent again.
    not_before: Timestamp,
}

/// The incidents of a receiver by their subjects, and the message on its way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    #[serde(default)]
    incidents: BTreeMap<String, Incident>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sending: Option<Delivery>,
    /// When this process last looked at the problems.
    #[serde(skip)]
    looked: Option<Timestamp>,
    /// Since when incidents wait for a message of a status.
    #[serde(skip)]
    gathering: BTreeMap<Status, Timestamp>,
    /// When the last message of a status was sent.
    #[serde(skip)]
    sent: BTreeMap<Status, Timestamp>,
    /// How many problems have no room.
    #[serde(skip)]
    left_out: usize,
}

impl Ledger {
    /// Returns the incidents that the receiver was told about and that have not been cleared.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().filter(|incident| incident.told.is_some())
    }

    /// Returns how often the message on its way has failed; zero without one.
    pub fn failures(&self) -> u32 {
        self.sending.as_ref().map_or(0, |sending| sending.failures)
    }

    /// Reports whether nothing must be remembered.
    pub fn is_empty(&self) -> bool {
        self.incidents.is_empty() && self.sending.is_none()
    }

    /// Returns the part that other processes need. A problem that may end by itself in a moment is left out.
    #[must_use]
    pub fn stored(&self, rules: &Rules, pace: Pace) -> Self {
        let is_stored = |(subject, incident): &(&String, &Incident)| {
            incident.told.is_some() || self.is_sending(subject) || required(incident, rules, pace) > UNSTORED
        };
        let incidents = self.incidents.iter().filter(is_stored);
        let incidents = incidents.map(|(subject, incident)| (subject.clone(), incident.clone())).collect();
        Self { incidents, sending: self.sending.clone(), ..Self::default() }
    }

    /// Takes what another process has stored meanwhile, and keeps what only this process knows.
    #[must_use]
    pub fn refreshed(self, stored: Self) -> Self {
        Self { looked: None, gathering: self.gathering, sent: self.sent, ..stored }
    }

    fn is_sending(&self, subject: &String) -> bool {
        self.sending.as_ref().is_some_and(|sending| sending.subjects.contains(subject))
    }

    /// Compares the problems of now with the incidents.
    pub fn look(&mut self, troubles: &[Trouble], rules: &Rules, pace: Pace, now: Timestamp) {
        let present = by_subject(troubles, rules);
        self.left_out = 0;
        for (subject, trouble) in &present {
            let has_room = self.incidents.len() < INCIDENTS;
            match self.incidents.get_mut(subject) {
                Some(incident) => incident.is_there(trouble, self.looked, now),
                None if has_room => {
                    self.incidents.insert(subject.clone(), Incident::new(subject, trouble, now));
                }
                None => self.left_out += 1,
            }
        }
        let on_its_way: Vec<String> = self.sending.iter().flat_map(|sending| sending.subjects.clone()).collect();
        self.incidents.retain(|subject, incident| {
            if present.contains_key(subject) {
                return true;
            }
            let away = *incident.away.get_or_insert(now);
            if now.since(away) < pace.calm {
                return true;
            }
            // An all-clear comes after its alert.
            if on_its_way.contains(subject) {
                return true;
            }
            incident.notice.ended.get_or_insert(away);
            incident.told.is_some() && rules.clears
        });
        self.looked = Some(now);
    }

    /// Returns the message that is to be sent now. Until [`Self::sent`] or [`Self::failed`], it is on its way. The ledger must be
    /// stored before the message is sent.
    pub fn next(&mut self, rules: &Rules, pace: Pace, cluster: &str, now: Timestamp) -> Option<Message> {
        if self.sending.is_none() {
            self.sending = [Status::Problem, Status::Clear, Status::Reminder]
                .into_iter()
                .find_map(|status| self.compose(status, rules, pace, cluster, now));
        }
        // A time far in the future is that of another clock.
        let is_due = |at: Timestamp| at <= now || at > now + RETRY.1;
        let sending = self.sending.as_mut().filter(|sending| is_due(sending.not_before))?;
        sending.not_before = now + ON_ITS_WAY;
        Some(sending.message.clone())
    }

    /// Notes that the message on its way was sent.
    pub fn sent(&mut self, now: Timestamp) {
        let Some(Delivery { message, subjects, .. }) = self.sending.take() else { return };
        for subject in subjects {
            if message.status == Status::Clear {
                self.incidents.remove(&subject);
            } else if let Some(incident) = self.incidents.get_mut(&subject) {
                incident.told = Some(now);
            }
        }
        self.sent.insert(message.status, now);
    }

    /// Notes that the message on its way was not sent, or that its receiver did not say so.
    pub fn failed(&mut self, now: Timestamp) {
        if let Some(sending) = &mut self.sending {
            let delay = RETRY.0.saturating_mul(1 << sending.failures.min(10)).min(RETRY.1);
            sending.failures = sending.failures.saturating_add(1);
            sending.not_before = now + delay;
        }
    }

    /// Makes a message of the incidents that are due.
    fn compose(
        &mut self,
        status: Status,
        rules: &Rules,
        pace: Pace,
        cluster: &str,
        now: Timestamp,
    ) -> Option<Delivery> {
        let is_due = |incident: &&Incident| incident.is_due(status, rules, pace, now);
        let due: Vec<(&String, &Incident)> = self.incidents.iter().filter(|(_, it)| is_due(it)).collect();
        if due.is_empty() {
            self.gathering.remove(&status);
            return None;
        }
        let gathering = *self.gathering.entry(status).or_insert(now);
        let is_early = self.sent.get(&status).is_some_and(|at| now.since(*at) < pace.interval);
        if is_early || now.since(gathering) < pace.gather {
            return None;
        }
        self.gathering.remove(&status);
        let ids: Vec<&str> = due.iter().map(|(_, incident)| incident.notice.id.as_str()).collect();
        let left_out = if status == Status::Problem { self.left_out } else { 0 };
        let message = Message {
            id: id_of(&format!("{} {} {}", status.word(), now.as_millis(), ids.join(" "))),
            status,
            cluster: cluster.to_owned(),
            at: now,
            incidents: due.iter().take(DESCRIBED).map(|(_, incident)| incident.notice.clone()).collect(),
            omitted: due.len().saturating_sub(DESCRIBED) + left_out,
        };
        let subjects = due.into_iter().map(|(subject, _)| subject.clone()).collect();
        Some(Delivery { message, subjects, failures: 0, not_before: now })
    }
}

impl Incident {
    fn new(subject: &str, trouble: &Trouble, now: Timestamp) -> Self {
        let mut notice = Notice {
            id: id_of(&format!("{subject} {}", now.as_millis())),
            kind: String::new(),
            machine: None,
            unit: None,
            since: now,
            ended: None,
            text: String::new(),
            shared: None,
        };
        describe(&mut notice, trouble);
        Self { notice, told: None, seen: Duration::ZERO, away: None }
    }

    /// Notes that the problem is there. `looked` is the time of the last look of this process.
    fn is_there(&mut self, trouble: &Trouble, looked: Option<Timestamp>, now: Timestamp) {
        self.notice.ended = None;
        match (self.away.take(), looked) {
            (None, Some(looked)) => self.seen += now.since(looked).min(LONGEST_LOOK),
            // Another process has seen the problem before.
            (None, None) => self.seen = now.since(self.notice.since),
            (Some(_), _) => {}
        }
        if self.told.is_none() {
            describe(&mut self.notice, trouble);
        }
    }

    fn is_due(&self, status: Status, rules: &Rules, pace: Pace, now: Timestamp) -> bool {
        let is_there = self.away.is_none() && self.notice.ended.is_none();
        match status {
            Status::Problem => is_there && self.told.is_none() && self.seen >= required(self, rules, pace),
            Status::Clear => self.notice.ended.is_some(),
            Status::Reminder => {
                let told = self.told.filter(|_| is_there);
                told.zip(rules.remind).is_some_and(|(told, remind)| now.since(told) >= remind)
            }
            Status::Test => false,
        }
    }
}

fn describe(notice: &mut Notice, trouble: &Trouble) {
    trouble.kind.clone_into(&mut notice.kind);
    notice.machine.clone_from(&trouble.machine);
    notice.unit = trouble.unit.as_ref().map(ToString::to_string);
    notice.text = truncate(&trouble.text, TEXT_LIMIT);
    notice.shared = trouble.shared.as_ref().map(|shared| truncate(shared, TEXT_LIMIT));
}

/// Returns how long a problem must have been there.
fn required(incident: &Incident, rules: &Rules, pace: Pace) -> Duration {
    rules.min_duration.unwrap_or_else(|| pace.grace(&incident.notice.kind))
}

/// Returns the problems that a receiver is told about, by their subjects. The units of a machine that cannot be reached are
/// part of the incident of the machine.
fn by_subject(troubles: &[Trouble], rules: &Rules) -> BTreeMap<String, Trouble> {
    let selected: Vec<&Trouble> = troubles.iter().filter(|trouble| rules.selector.selects(trouble)).collect();
    let of_machines = selected.iter().filter(|trouble| trouble.unit.is_none());
    let machines: BTreeSet<&String> = of_machines.filter_map(|trouble| trouble.machine.as_ref()).collect();
    let follows = |trouble: &Trouble| {
        let machine = trouble.machine.as_ref().filter(|_| trouble.unreachable && trouble.unit.is_some());
        machine.is_some_and(|machine| machines.contains(machine))
    };
    let mut subjects: BTreeMap<String, (&Trouble, usize)> = BTreeMap::new();
    for trouble in selected.into_iter().filter(|trouble| !follows(trouble)) {
        subjects.entry(trouble.subject()).or_insert((trouble, 0)).1 += 1;
    }
    let described = subjects.into_iter().map(|(subject, (trouble, count))| {
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        (subject, Trouble { text: format!("{}{more}", trouble.text), ..trouble.clone() })
    });
    described.collect()
}
