//! The operator: submits, starts, stops, replaces and forgets units whenever it pleases.

use std::collections::BTreeSet;

use muster::core::command;
use muster::core::command::DesiredChange;
use muster::core::command::LocalFile;
use muster::core::command::UnitCommand;
use muster::core::model::Verb;

use muster::core::model::FailoverOverride;
use muster::core::model::Timestamp;
use muster::core::unit::Contents;

use super::world::Event;
use super::world::News;
use super::world::World;

const VERBS: [Verb; 11] = [
    Verb::Start,
    Verb::Start,
    Verb::Start,
    Verb::Start,
    Verb::Submit,
    Verb::Load,
    Verb::Stop,
    Verb::Unload,
    Verb::Destroy,
    Verb::Restart,
    Verb::Restart,
];

impl World {
    pub(super) fn operate(&mut self) {
        if !self.stormy {
            return;
        }
        let short = if self.steady && !self.store.snapshot.units.is_empty() { (5_000, 60_000) } else { (200, 20_000) };
        let again = self.delay(short, (20_000, 60_000), 100);
        self.after(again, Event::Operate);
        if self.store.away {
            return;
        }
        if self.dice.chance(60) {
            return self.drain_or_open();
        }
        if self.dice.chance(15) {
            return self.override_failover();
        }
        let verb = VERBS[self.dice.index(VERBS.len())];
        let number = self.dice.index(self.units.len());
        let unit = self.units[number].clone();
        // Every other unit is strict, until the operator thinks otherwise; never the one of which others put copies on hosts.
        let class = if number > 0 && self.dice.chance(100) { self.dice.index(2) } else { number % 2 };
        let files = &self.files[class];
        let file = files[self.dice.index(files.len())].clone();
        let order = UnitCommand {
            verb,
            unit: unit.clone(),
            file: Some(LocalFile { file, path: "a.service".to_owned(), template: false, contents: Contents::new() }),
            replace: self.dice.chance(500),
            edits: None,
        };
        let Ok(decision) = command::decide(&self.store.snapshot, &order) else { return };
        if decision.change == DesiredChange::Nothing {
            return;
        }
        self.note(format_args!("operator: {verb} {unit}"));
        self.store.order(&unit, decision.change);
        self.watch.liveness.touch(&unit, self.now);
        self.spread_word();
        if !self.store.is_led(self.now) {
            self.run_verb(BTreeSet::from([unit]));
        }
    }

    /// Begins or ends to drain a machine.
    fn drain_or_open(&mut self) {
        let host = self.dice.index(self.hosts.len());
        let machine = self.hosts[host].machine;
        if self.store.snapshot.machines[&machine].draining {
            self.note(format_args!("operator: uncordon h{host}"));
            self.store.open(machine, self.now);
        } else {
            let by = self.dice.chance(500).then(|| self.now + self.dice.between(1_000, 60_000));
            self.note(format_args!("operator: drain h{host} by {by:?}"));
            self.store.drain(machine, by, self.now);
        }
        self.spread_word();
    }

    /// Orders that the units of a machine are moved whatever the brake says.
    fn override_failover(&mut self) {
        let host = self.dice.index(self.hosts.len());
        self.note(format_args!("operator: failover --force h{host}"));
        // A time of day, read off a clock that is as wrong as any other.
        let until = Timestamp::from_millis(self.now + self.dice.between(60_000, 600_000));
        let given = Timestamp::from_millis(self.now);
        let order = FailoverOverride { given, until, by: "root@desk".to_owned() };
        self.store.snapshot.failover_overrides.insert(self.hosts[host].machine, order);
        self.spread_word();
    }

    /// Every machine takes units again.
    pub(super) fn open_all(&mut self) {
        for host in &self.hosts {
            self.store.open(host.machine, self.now);
        }
        self.spread_word();
    }

    /// Tells every controller that the store has changed.
    pub(super) fn spread_word(&mut self) {
        for index in 0..self.controllers.len() {
            let life = self.controllers[index].life;
            let delay = self.delay((1, 50), (500, 5_000), 30);
            self.after(delay, Event::Tell(index, News::Changed { life }));
        }
    }
}
