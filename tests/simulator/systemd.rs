//! What hosts do with a visit: the script's order of things, and a systemd that takes its time.

use std::time::Duration;

use muster::core::lease;
use muster::core::model::Action;
use muster::core::model::ActiveState;
use muster::core::model::Failure;
use muster::core::model::LeaseAction;
use muster::core::model::LeaseStatus;
use muster::core::model::Refused;
use muster::core::model::Report;
use muster::core::simulated_host::SimulatedUnit;
use muster::core::simulated_host::Underway;
use muster::core::unit::UnitName;

use super::attempt::Part;
use super::host::Job;
use super::network::Delivery;
use super::network::Parcel;
use super::world::Event;
use super::world::Mutant;
use super::world::World;

/// How long a visit waits for units to stop.
const STOP_PATIENCE: u64 = 2_000;

pub(super) fn millis(span: Duration) -> u64 {
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
            let uptime = host.uptime(self.now);
            let report = host.model.refusal(Refused::Unfit("it has no systemd"), uptime);
            return self.reply(delivery, Ok(report), 0);
        }
        let renews = matches!(delivery.visit.lease, Some(LeaseAction::Hold { .. }));
        let renewal = if renews { millis(host.model.renewal) } else { 0 };
        let lag = if delivery.visit.steps.is_empty() { host.lags[Part::Run as usize] + renewal } else { 0 };
        self.admit(delivery, lag);
    }

    fn admit(&mut self, mut delivery: Delivery, took: u64) {
        let host = &mut self.hosts[delivery.host];
        host.mutate(self.mutant, &mut delivery, self.now);
        let uptime = host.uptime(self.now);
        let underway = match host.model.admit(&delivery.visit, uptime) {
            Ok(underway) => underway,
            Err(refused) => {
                let report = host.model.refusal(refused, uptime);
                return self.refuse(delivery, report, took);
            }
        };
        if !delivery.visit.steps.is_empty() {
            return self.begin(delivery, underway);
        }
        host.obeyed = host.obeyed.max(delivery.visit.epoch);
        let report = self.observe(&delivery, underway);
        self.reply(delivery, Ok(report), took);
    }

    fn refuse(&mut self, delivery: Delivery, report: Report, mut took: u64) {
        if report.refused == Some(Refused::Busy) {
            // The visit waits for the lock.
            self.reach("refused: busy");
            took += 2_000;
        } else {
            let (host, controller, refused) = (delivery.host, delivery.controller, &report.refused);
            self.note(format_args!("h{host} refuses c{controller}'s visit: {refused:?}"));
        }
        self.reply(delivery, Ok(report), took);
    }

    /// A visit without steps.
    fn observe(&mut self, delivery: &Delivery, mut underway: Underway) -> Report {
        self.begin_on_host(delivery, &mut underway);
        self.hosts[delivery.host].model.report(&delivery.visit, &underway, delivery.quick, delivery.shell)
    }

    /// Lets the host do what a visit says about its lease and what has to stop. Returns how long the slowest unit takes.
    fn begin_on_host(&mut self, delivery: &Delivery, underway: &mut Underway) -> u64 {
        let index = delivery.host;
        let model = &mut self.hosts[index].model;
        let order = delivery.visit.lease.as_ref();
        let grants = matches!(order, Some(LeaseAction::Hold { .. })) && model.lease.is_none();
        model.refuses_lease = grants && model.refuses.is_some() && self.dice.chance(300);
        let changes = model.changes();
        model.begin(&delivery.visit, underway);
        if let Some(LeaseAction::Hold { until, .. }) = order
            && matches!(underway.lease(), Some(LeaseStatus::Held | LeaseStatus::Granted))
        {
            self.await_end(index, until.as_secs() * 1000);
        }
        self.follow(index, changes)
    }

    /// Lets the lease of a host end at an uptime, unless it is renewed.
    fn await_end(&mut self, index: usize, until: u64) {
        let host = &self.hosts[index];
        let ends = Event::Lease { host: index, boot: host.boot, until, noticed: false };
        let wait = host.at(until).saturating_sub(self.now) + 1;
        self.after(wait, ends);
    }

    /// The end of a lease is due, unless the lease was renewed.
    pub(super) fn lease_ends(&mut self, index: usize, boot: u64, until: u64, noticed: bool) {
        let host = &mut self.hosts[index];
        if host.boot != boot || !host.up || host.model.lease != Some(Duration::from_millis(until)) {
            return;
        }
        if host.frozen {
            host.overdue = true;
            return self.after(300, Event::Lease { host: index, boot, until, noticed });
        }
        let half = host.half_the_slowness();
        if half > 0 && !noticed {
            self.note(format_args!("h{index}: its lease is over, and systemd is slow"));
            self.check_slowness(index);
            return self.after(half, Event::Lease { host: index, boot, until, noticed: true });
        }
        self.end_lease(index);
    }

    /// Lets systemd stop every strict unit of a host, because its lease has ended.
    pub(super) fn end_lease(&mut self, index: usize) {
        self.note(format_args!("h{index}: its lease ends"));
        self.reach("lease: ended on the host");
        self.check_slowness(index);
        let model = &mut self.hosts[index].model;
        let changes = model.changes();
        if self.mutant == Mutant::LeasesBindNobody {
            model.lease = None;
        } else {
            model.end_lease();
        }
        self.follow(index, changes);
    }

    /// The host's part of a visit with steps: first what has to stop.
    fn begin(&mut self, delivery: Delivery, mut underway: Underway) {
        let index = delivery.host;
        self.note(format_args!("h{index} begins c{}'s #{}", delivery.controller, delivery.id));
        self.check_begin(&delivery);
        let mut wait = 0;
        for step in &delivery.visit.steps {
            if matches!(step.action, Action::Unload | Action::Stop) {
                self.check_stop(&delivery, &step.unit, step.action);
                let unit = self.hosts[index].model.units.get(&step.unit);
                if unit.is_some_and(|unit| unit.state.active == ActiveState::Deactivating) {
                    wait = STOP_PATIENCE;
                }
            }
        }
        wait = wait.max(self.begin_on_host(&delivery, &mut underway));
        let host = &mut self.hosts[index];
        host.obeyed = host.obeyed.max(delivery.visit.epoch);
        let (boot, id) = (host.boot, delivery.id);
        host.job = Some(Job { delivery, began: self.now, underway });
        let busy = self.delay((5, 100), (500, 3_000), if self.hosts[index].slow { 900 } else { 10 });
        let slow = millis(self.hosts[index].model.renewal);
        self.after(wait + busy + slow, Event::Finish { host: index, boot, delivery: id });
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
        let Some(Job { delivery, began, mut underway }) = host.job.take_if(|job| job.delivery.id == id) else { return };
        let restarted = self.restarted(&delivery);
        for unit in &restarted {
            self.check_stop(&delivery, unit, Action::Restart { count: 0 });
        }
        let uptime = self.hosts[index].uptime(self.now);
        let model = &mut self.hosts[index].model;
        let changes = model.changes();
        model.proceed(&delivery.visit, &mut underway, uptime);
        for step in delivery.visit.steps.iter().filter(|step| step.action.starts()) {
            let runs = self.hosts[index].model.units.get(&step.unit).is_some_and(SimulatedUnit::is_there);
            if runs && !underway.is_refused(&step.unit) && !restarted.contains(&step.unit) {
                self.check_start(&delivery, &step.unit);
            }
        }
        self.follow(index, changes);
        let report = self.hosts[index].model.report(&delivery.visit, &underway, delivery.quick, delivery.shell);
        self.note(format_args!("h{index} ends c{}'s #{id} after {} ms", delivery.controller, self.now - began));
        self.reply(delivery, Ok(report), 0);
    }

    /// Returns the units that are going to be stopped and started again.
    fn restarted(&self, delivery: &Delivery) -> Vec<UnitName> {
        let model = &self.hosts[delivery.host].model;
        let stops = |unit: &UnitName| {
            model.units.get(unit).is_some_and(SimulatedUnit::is_there) && model.start_refusal(unit).is_none()
        };
        let steps = delivery.visit.steps.iter().filter(|step| matches!(step.action, Action::Restart { .. }));
        steps.map(|step| step.unit.clone()).filter(stops).collect()
    }

    /// Lets each unit that systemd has begun to start or to stop since then take its time. Returns the longest.
    fn follow(&mut self, index: usize, changes: u64) -> u64 {
        let mut longest = 0;
        for unit in self.hosts[index].model.changed_since(changes) {
            let there = &self.hosts[index].model.units[&unit];
            let (active, change, strict) = (there.state.active, there.change, there.strict);
            let takes = if active == ActiveState::Activating {
                self.delay((5, 500), (5_000, 30_000), 50)
            } else {
                let most = if strict { millis(lease::STOP) } else { u64::MAX };
                self.delay((5, 2_000), (5_000, 30_000), 50).min(most) + self.hosts[index].stop_slowly(strict)
            };
            longest = longest.max(takes);
            let boot = self.hosts[index].boot;
            self.note(format_args!("h{index}: {unit} is {active}"));
            self.after(takes, Event::Systemd { host: index, boot, unit, change });
        }
        longest
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
        if host.model.units.get(unit).is_none_or(|there| there.change != change) {
            return;
        }
        let (uptime, started, changes) = (host.uptime(self.now), host.started(unit), host.model.changes());
        host.model.settle(unit, started, uptime);
        let active = host.model.units[unit].state.active;
        self.note(format_args!("h{index}: {unit} is {active}"));
        self.follow(index, changes);
    }

    /// Sends a visit's result back.
    pub(super) fn reply(&mut self, delivery: Delivery, mut result: Result<Report, Failure>, took: u64) {
        if delivery.echo {
            return;
        }
        if let Some(seen) = result.as_mut().ok().and_then(|report| report.observation.as_mut()) {
            match (self.mutant, &mut seen.units) {
                (Mutant::MarksAreIgnored, Some(units)) => units.append(&mut seen.foreign),
                (Mutant::SerialsAreForgotten, _) => seen.serial = 0,
                _ => {}
            }
        }
        if let Some(report) = result.as_mut().ok().filter(|_| self.hosts[delivery.host].lies) {
            self.hosts[delivery.host].lie(&self.units, &delivery.visit, report);
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
