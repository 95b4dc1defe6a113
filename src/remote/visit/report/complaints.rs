//! The messages of programs on a host about steps, by unit. What a host prints is bounded: each complaint is read once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::UNITS;
use crate::core::model::Action;
use crate::core::model::Step;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::core::sanitize::truncate;

/// How many complaints a report may have: two for each unit.
pub(super) const COMPLAINTS: usize = 2 * UNITS;

/// How many complaints about one step are kept.
const KEPT: usize = 8;

/// A message of a program on the host about a step.
#[derive(Debug)]
pub(super) struct Complaint {
    /// The group of steps.
    group: String,
    /// The unit; `-` if the text names it.
    unit: String,
    text: String,
}

impl Complaint {
    /// Reads `GROUP UNIT TEXT`.
    pub(super) fn read(line: &str) -> Self {
        let mut words = line.splitn(3, ' ');
        let mut word = |limit| truncate(words.next().unwrap_or_default(), limit);
        Self { group: word(MESSAGE_LIMIT), unit: word(MESSAGE_LIMIT), text: word(MESSAGE_LIMIT) }
    }

    /// Returns the units that the complaint names.
    fn units(&self) -> impl Iterator<Item = &str> {
        // systemctl names a unit after its first word, with a colon behind it.
        let said = if self.unit == "-" { self.text.as_str() } else { "" };
        let named = said.split(' ').skip(1).filter_map(|word| word.strip_suffix(':'));
        std::iter::once(self.unit.as_str()).chain(named)
    }
}

/// The complaints about steps, each once.
#[derive(Debug, Default)]
pub(super) struct Complaints<'a>(BTreeMap<(&'a str, Cow<'a, str>), Vec<&'a str>>);

impl<'a> Complaints<'a> {
    /// Sorts the complaints about these steps by group and unit.
    pub(super) fn new(complaints: &'a [Complaint], steps: &'a [Step]) -> Self {
        let groups =
            |step: &'a Step| groups(step.action).iter().map(|group| ((*group, step.unit.of_systemd()), Vec::new()));
        let mut sorted: BTreeMap<_, Vec<&str>> = steps.iter().flat_map(groups).collect();
        for complaint in complaints {
            for unit in complaint.units() {
                if let Some(texts) =
                    sorted.get_mut(&(complaint.group.as_str(), Cow::Borrowed(unit))).filter(|texts| texts.len() < KEPT)
                    && !texts.contains(&complaint.text.as_str())
                {
                    texts.push(&complaint.text);
                }
            }
        }
        Self(sorted)
    }

    /// Returns the complaints about a step, if there are any.
    pub(super) fn about(&self, step: &Step) -> Option<String> {
        let keys = groups(step.action).iter().map(|group| (*group, step.unit.of_systemd()));
        let texts: Vec<&str> = keys.filter_map(|key| self.0.get(&key)).flatten().copied().collect();
        (!texts.is_empty()).then(|| truncate(&texts.join("; "), MESSAGE_LIMIT))
    }
}

/// Returns the groups of the complaints about an action.
const fn groups(action: Action) -> &'static [&'static str] {
    match action {
        Action::Unload => &["unload"],
        Action::Load { .. } => &["load", "enable"],
        Action::Adopt { .. } => &["load"],
        Action::Stop => &["stop"],
        Action::Start { .. } => &["start"],
        Action::Restart { .. } => &["restart"],
        Action::Reload { .. } => &["reload"],
    }
}
