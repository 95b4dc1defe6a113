//! One log for each host: what the tasks of a run did there. A line has the task and what the default output says of the
//! host; the writer adds the time.

use super::Event;
use super::default;

/// The task and the play that go on, for the lines of the hosts.
#[derive(Debug, Default)]
pub struct HostLog {
    task: String,
}

impl HostLog {
    /// Takes in an event. Returns the host that it is about and its lines, if it is about one.
    pub fn handle<'e>(&mut self, event: &Event<'e>) -> Option<(&'e str, String)> {
        self.task = event.heading().unwrap_or_else(|| std::mem::take(&mut self.task));
        match event {
            Event::Host { host, looped: false, .. } | Event::Item { host, .. } => {
                Some((host, format!("{} {}", self.task, default::render(event, true))))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Vars;
    use crate::playbook::callback::Begun;
    use crate::playbook::outcome::Outcome;

    #[test]
    fn a_line_has_the_task_and_the_result() {
        let mut log = HostLog::default();
        assert_eq!(log.handle(&Event::Task(Begun::titled("copy"))), None);
        let outcome = Outcome::done(true, Vars::from_iter([("dest".to_owned(), "/a".into())]));
        let event = Event::Host { host: "web1", outcome: &outcome, looped: false };
        let line = "TASK [copy] changed: [web1] => {\"changed\": true, \"dest\": \"/a\"}\n".to_owned();
        assert_eq!(log.handle(&event), Some(("web1", line)));
        let looped = Event::Host { host: "web1", outcome: &outcome, looped: true };
        assert_eq!(log.handle(&looped), None, "its items have lines");
    }
}
