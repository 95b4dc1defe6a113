//! What hosts do with a visit: the script's order of things, and a systemd that takes its time.

use std::collections::BTreeMap;
use std::time::Duration;

use muster::core::lease;
use muster::core::model::Action;
use muster::core::model::Failure;
use muster::core::model::LeaseAction;
use muster::core::model::LeaseRefusal;
use muster::core::model::LeaseStatus;
use muster::core::model::Refused;
use muster::core::model::Report;
use muster::core::unit::Hash;
use muster::core::unit::UnitName;

use super::attempt::Part;
use super::host::Copy;
use super::host::Job;
use super::host::Run;
use super::host::Trust;
use super::network::Delivery;
use super::network::Parcel;
use super::world::Event;
use super::world::Mutant;
use super::world::World;

/// How long a visit waits for units to stop.
const STOP_PATIENCE: u64 = 10_000;

/// How long it waits on a machine that holds a lease.
const BRIEF_PATIENCE: u64 = 2_000;

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap()
}

impl World {
    /// A visit has come to its host.
    pub(super) fn knock(&mut self, delivery: Delivery) {
        let host = &mut self.hosts[delivery.host];
        if !host.up || host.boot != delivery.boot {
            return;
        }
        if host.frozen {
            host.buffer.push(delivery);
            return;
        }
        if host.unfit {
            let now = self.now;
            let report = self.hosts[delivery.host].refuse(Refused::Unfit("it has no systemd"), now);
            return self.reply(delivery, Ok(report), 0);
        }
        let lag = if delivery.visit.steps.is_empty() { host.lags[Part::Run as usize] } else { 0 };
        self.admit(delivery, lag);
    }

    fn trust(&self) -> Trust {
        let late = [Mutant::HostsObeyLate, Mutant::LeasesCountFromArrival];
        let (epoch, repeats) = (self.mutant == Mutant::HostsForgetEpochs, self.mutant == Mutant::HostsObeyTwice);
        Trust { epoch, lateness: late.contains(&self.mutant), repeats }
    }

    fn admit(&mut self, delivery: Delivery, took: u64) {
        let (now, trust) = (self.now, self.trust());
        let host = &mut self.hosts[delivery.host];
        if let Some(refused) = host.refusal(&delivery.visit, now, trust) {
            let report = host.refuse(refused, now);
            self.note(format_args!(
                "h{} refuses c{}'s visit: {:?}",
                delivery.host, delivery.controller, report.refused
            ));
            return self.reply(delivery, Ok(report), took);
        }
        let visit = &delivery.visit;
        let claims = host.epoch != visit.epoch || !visit.steps.is_empty() || visit.barrier || visit.lease.is_some();
        if claims && host.job.is_some() {
            // The next visit waits for the lock.
            let report = host.refuse(Refused::Busy, now);
            self.reach("refused: busy");
            return self.reply(delivery, Ok(report), took + 5_000);
        }
        if claims {
            host.claim(&delivery.visit);
        }
        if delivery.visit.steps.is_empty() {
            host.obeyed = host.obeyed.max(delivery.visit.epoch);
            let lease = self.obey_lease(&delivery);
            let quick = delivery.quick && lease != Some(LeaseStatus::Granted);
            let mut observation = self.hosts[delivery.host].observe(delivery.shell, quick, now);
            observation.lease = lease;
            let report = Report { outcomes: Vec::new(), refused: None, observation: Some(observation) };
            return self.reply(delivery, Ok(report), took);
        }
        self.begin(delivery);
    }

    /// Does what a visit says about the lease.
    fn obey_lease(&mut self, delivery: &Delivery) -> Option<LeaseStatus> {
        let (now, index) = (self.now, delivery.host);
        let host = &mut self.hosts[index];
        let Some(order) = &delivery.visit.lease else { return None };
        let LeaseAction::Hold { until, length } = order else {
            host.lease = None;
            return Some(LeaseStatus::Released);
        };
        if host.lease.is_none() && host.balks.is_some() && self.dice.chance(300) {
            return Some(LeaseStatus::Refused(LeaseRefusal::NotStarted));
        }
        let uptime = millis(host.uptime(now));
        let mut until = until.as_secs() * 1000;
        if self.mutant == Mutant::LeasesCountFromArrival {
            until = uptime + millis(*length);
        }
        if uptime >= until {
            return Some(LeaseStatus::Refused(LeaseRefusal::TooLate));
        }
        let before = host.lease.replace(until.max(host.lease.unwrap_or(0)));
        let ends = Event::Lease { host: index, boot: host.boot, until };
        let wait = host.at(until).saturating_sub(now) + 1;
        self.after(wait, ends);
        if before.is_some() {
            return Some(LeaseStatus::Held);
        }
        // What was stopped for want of a lease counts as not started.
        let strict: Vec<Hash> = self.files[1].iter().map(|file| file.hash()).collect();
        for copy in self.hosts[index].copies.values_mut().filter(|copy| strict.contains(&copy.hash)) {
            copy.mark = copy.mark.filter(|_| matches!(copy.run, Run::Starting | Run::Running));
        }
        Some(LeaseStatus::Granted)
    }

    /// A lease ends: systemd stops every strict unit.
    pub(super) fn lease_ends(&mut self, index: usize, boot: u64, until: u64) {
        let host = &mut self.hosts[index];
        if host.boot != boot || !host.up || host.lease != Some(until) {
            return;
        }
        if host.frozen {
            host.overdue = true;
            return self.after(300, Event::Lease { host: index, boot, until });
        }
        host.lease = None;
        self.note(format_args!("h{index}: its lease ends"));
        self.reach("lease: ended on the host");
        if self.mutant == Mutant::LeasesBindNobody {
            return;
        }
        let strict = self.hosts[index].copies.iter().filter(|(_, copy)| copy.run.is_there());
        let strict: Vec<UnitName> =
            strict.filter(|(_, copy)| self.is_strict(copy.hash)).map(|(unit, _)| unit.clone()).collect();
        for unit in strict {
            self.stop(index, &unit, false);
        }
    }

    /// The host's part of a visit with steps: first what has to stop.
    fn begin(&mut self, delivery: Delivery) {
        let index = delivery.host;
        self.note(format_args!("h{index} begins c{}'s #{}", delivery.controller, delivery.id));
        self.check_begin(&delivery);
        let lease = self.obey_lease(&delivery);
        let detection = if delivery.visit.no_wait { BRIEF_PATIENCE } else { STOP_PATIENCE };
        let mut wait = 0;
        for step in &delivery.visit.steps {
            if matches!(step.action, Action::Unload | Action::Stop) {
                self.check_stop(&delivery, &step.unit, step.action);
                wait = wait.max(self.stop(index, &step.unit, false));
                if let Some(copy) = self.hosts[index].copies.get_mut(&step.unit) {
                    copy.mark = None;
                }
            }
        }
        let host = &mut self.hosts[index];
        host.obeyed = host.obeyed.max(delivery.visit.epoch);
        let (boot, id) = (host.boot, delivery.id);
        host.job = Some(Job { delivery, began: self.now, lease });
        let busy = self.delay((5, 100), (500, 3_000), if self.hosts[index].slow { 900 } else { 10 });
        self.after(wait.min(detection) + busy, Event::Finish { host: index, boot, delivery: id });
    }

    /// Then the files, then the starts, then the report.
    pub(super) fn finish(&mut self, index: usize, boot: u64, id: u64) {
        let host = &mut self.hosts[index];
        if !host.up || host.boot != boot {
            return;
        }
        let lag = host.lags[Part::Run as usize];
        if host.frozen || host.job.as_ref().is_some_and(|job| job.delivery.id == id && self.now < job.began + lag) {
            return self.after(500, Event::Finish { host: index, boot, delivery: id });
        }
        let Some(Job { delivery, began, lease }) = host.job.take_if(|job| job.delivery.id == id) else { return };
        for step in &delivery.visit.steps {
            let stopped = host.copies.get(&step.unit).is_some_and(|copy| !copy.run.is_there());
            if step.action == Action::Unload && stopped {
                host.copies.remove(&step.unit);
            }
        }
        for step in &delivery.visit.steps {
            let Action::Load { hash, .. } = step.action else { continue };
            let new = Copy { hash, mark: None, run: Run::Dead, change: 0, since: 0 };
            let copy = host.copies.entry(step.unit.clone()).or_insert(new);
            copy.hash = hash;
        }
        let mut complaints = BTreeMap::new();
        for step in &delivery.visit.steps {
            let (Action::Start { count } | Action::Restart { count }) = step.action else { continue };
            let host = &mut self.hosts[index];
            let Some(copy) = host.copies.get_mut(&step.unit) else {
                complaints.insert(step.unit.clone(), format!("Unit {} not found.", step.unit));
                continue;
            };
            let (hash, leased) = (copy.hash, host.lease.is_some());
            let unleased = self.is_strict(hash) && !leased;
            let host = &mut self.hosts[index];
            let copy = host.copies.get_mut(&step.unit).unwrap();
            if unleased || host.balks.as_ref() == Some(&step.unit) {
                copy.mark = None;
                complaints.insert(step.unit.clone(), "it would not start".to_owned());
                continue;
            }
            let marked = copy.mark.replace(count);
            if matches!(step.action, Action::Restart { .. }) && copy.run.is_there() {
                copy.mark = marked;
                self.check_stop(&delivery, &step.unit, step.action);
                self.hosts[index].copies.get_mut(&step.unit).unwrap().mark = Some(count);
                self.stop(index, &step.unit, true);
            } else {
                self.check_start(&delivery, &step.unit);
                self.start(index, &step.unit);
            }
        }
        let host = &mut self.hosts[index];
        let outcomes = host.outcomes(&delivery.visit, &complaints);
        let mut observation = host.observe(delivery.shell, false, self.now);
        observation.lease = lease;
        let report = Report { outcomes, refused: None, observation: Some(observation) };
        self.note(format_args!("h{index} ends c{}'s #{id} after {} ms", delivery.controller, self.now - began));
        self.reply(delivery, Ok(report), 0);
    }

    /// Queues a unit's start.
    pub(super) fn start(&mut self, index: usize, unit: &UnitName) {
        let Some(copy) = self.hosts[index].copies.get(unit) else { return };
        let unleased = self.is_strict(copy.hash) && self.hosts[index].lease.is_none();
        if unleased {
            return;
        }
        let Some(copy) = self.hosts[index].copies.get_mut(unit) else { return };
        match &mut copy.run {
            Run::Stopping { then_start } => *then_start = true,
            Run::Dead | Run::Failed => {
                copy.since = self.now;
                let takes = self.delay((5, 500), (5_000, 30_000), 50);
                self.turn(index, unit, Run::Starting, takes);
            }
            Run::Starting | Run::Running => {}
        }
    }

    /// Begins to stop a unit and returns how long it takes.
    fn stop(&mut self, index: usize, unit: &UnitName, then_start: bool) -> u64 {
        let Some(copy) = self.hosts[index].copies.get(unit) else { return 0 };
        let longest = if self.is_strict(copy.hash) { millis(lease::STOP) } else { u64::MAX };
        let Some(copy) = self.hosts[index].copies.get_mut(unit) else { return 0 };
        match copy.run {
            Run::Starting | Run::Running => {
                let takes = self.delay((5, 2_000), (5_000, 30_000), 50).min(longest);
                self.turn(index, unit, Run::Stopping { then_start }, takes);
                takes
            }
            Run::Stopping { .. } => {
                copy.run = Run::Stopping { then_start };
                STOP_PATIENCE
            }
            Run::Failed => {
                copy.run = Run::Dead;
                0
            }
            Run::Dead => 0,
        }
    }

    fn turn(&mut self, index: usize, unit: &UnitName, run: Run, takes: u64) {
        let change = self.watch.count();
        let host = &mut self.hosts[index];
        let boot = host.boot;
        if let Some(copy) = host.copies.get_mut(unit) {
            copy.run = run;
            copy.change = change;
            self.note(format_args!("h{index}: {unit} is {run:?}"));
            self.after(takes, Event::Systemd { host: index, boot, unit: unit.clone(), change });
        }
    }

    /// A unit gets to the state that it was on its way to.
    pub(super) fn settle(&mut self, index: usize, boot: u64, unit: &UnitName, change: u64) {
        let host = &mut self.hosts[index];
        if host.boot != boot || !host.up {
            return;
        }
        if host.frozen {
            return self.after(500, Event::Systemd { host: index, boot, unit: unit.clone(), change });
        }
        let fails = host.fails.as_ref() == Some(unit);
        let Some(copy) = host.copies.get_mut(unit).filter(|copy| copy.change == change) else { return };
        let before = copy.run;
        match before {
            Run::Starting if fails => copy.run = Run::Failed,
            Run::Starting => copy.run = Run::Running,
            Run::Stopping { .. } => copy.run = Run::Dead,
            Run::Dead | Run::Failed | Run::Running => {}
        }
        let (then_start, run) = (before == Run::Stopping { then_start: true }, copy.run);
        self.note(format_args!("h{index}: {unit} is {run:?}"));
        if then_start {
            self.start(index, unit);
        }
    }

    /// Sends a visit's result back.
    pub(super) fn reply(&mut self, delivery: Delivery, result: Result<Report, Failure>, took: u64) {
        if delivery.echo {
            return;
        }
        let slow = self.hosts[delivery.host].slow;
        let delay = took + self.delay((1, 20), (1_000, 4_000), if slow { 600 } else { 5 });
        self.send(Parcel::Back { delivery, result }, delay);
    }

    /// Now and then a visit is delivered twice.
    fn repeat(&mut self, parcel: &Parcel, delay: u64) {
        if let Parcel::There(delivery) = parcel
            && self.stormy
            && self.dice.chance(20)
        {
            let again = delay + self.delay((1, 3_000), (3_000, 30_000), 100);
            let echo = Parcel::There(Delivery { echo: true, ..delivery.clone() });
            self.after(again, Event::Arrive(Box::new(echo)));
        }
    }

    /// Puts a parcel on the wire.
    pub(super) fn send(&mut self, parcel: Parcel, delay: u64) {
        let Delivery { host, through, .. } = *parcel.delivery();
        let passes = match through {
            None => !self.network.drops(&parcel, host),
            Some(other) => {
                let carries = !self.network.drops(&parcel, other) && self.hosts[other].lets_in();
                if carries && !self.network.joins(other, host) {
                    return;
                }
                carries
            }
        };
        if passes {
            self.repeat(&parcel, delay);
            return self.after(delay, Event::Arrive(Box::new(parcel)));
        }
        if self.dice.chance(500) {
            self.network.hold(parcel);
        }
    }
}
