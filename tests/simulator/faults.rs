//! What goes wrong, when, and for how long.

use std::time::Duration;

use muster::core::model::ActiveState;
use muster::core::model::LoadState;
use muster::core::model::SubState;
use muster::core::model::UnitState;
use muster::core::simulated_host::SimulatedUnit;
use muster::core::unit::UnitName;

use super::STORM;
use super::attempt::PARTS;
use super::attempt::Part;
use super::network::Drops;
use super::network::Parcel;
use super::world::Event;
use super::world::News;
use super::world::World;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The host loses its power and boots again.
    Power(usize),
    /// The host's userspace ends and begins anew; its kernel goes on.
    SoftReboot(usize),
    /// Everything on the host stands still.
    Freeze(usize),
    /// Nothing gets from the controller to the host or back.
    Cut(usize, usize),
    /// Nothing gets from the controller to the host, or nothing gets back.
    OneWay(usize, usize, Drops),
    /// Two hosts do not reach each other.
    Apart(usize, usize),
    /// Nothing gets to or from the host.
    Island(usize),
    /// sshd refuses connections.
    Sshd(usize),
    /// The host takes its time.
    Slow(usize),
    /// The host's systemd is slow: it takes so long to renew a lease.
    SlowSystemd {
        host: usize,
        renewal: u64,
    },
    /// A part of every attempt to reach the host takes so much longer.
    Hang {
        host: usize,
        part: Part,
        lag: u64,
    },
    /// Every part of an attempt takes some seconds, and succeeds.
    Crawl(usize),
    /// sshd closes new connections, or refuses every login; the host cannot do what a visit asks for.
    Throttle(usize),
    Deny(usize),
    Unfit(usize),
    /// A unit's start is refused.
    Balk(usize),
    /// A unit fails soon after its start.
    Fail(usize),
    /// The store answers no process.
    Store,
}

impl World {
    /// Begins a fault.
    pub(super) fn strike(&mut self) {
        if !self.stormy {
            return;
        }
        let next = if self.steady {
            self.delay((5_000, 30_000), (30_000, 90_000), 300)
        } else {
            self.delay((500, 15_000), (15_000, 60_000), 200)
        };
        self.after(next, Event::Strike);
        let host = self.dice.index(self.hosts.len());
        let controller = self.dice.index(self.controllers.len());
        let fault = match if self.steady { self.steady_fault() } else { self.dice.index(34) } {
            0 | 1 => Fault::Power(host),
            2 | 3 => Fault::Freeze(host),
            4 | 5 => Fault::Cut(controller, host),
            6 => Fault::Island(host),
            7 => Fault::Sshd(host),
            8 => Fault::Slow(host),
            9 => Fault::Balk(host),
            10 => Fault::Fail(host),
            11 if self.steady => return,
            11 => Fault::Store,
            12 | 27 => {
                if !self.steady && !self.controllers[controller].stopped {
                    self.stop_controller(controller);
                }
                return;
            }
            14 | 15 => Fault::OneWay(controller, host, if self.dice.chance(500) { Drops::There } else { Drops::Back }),
            18..=21 => {
                let part = PARTS[self.dice.index(PARTS.len())];
                let lag = self.delay((500, 8_000), (8_000, 2 * STORM), 600);
                Fault::Hang { host, part, lag }
            }
            22 => Fault::Crawl(host),
            23 => Fault::Throttle(host),
            24 => Fault::Deny(host),
            25 => Fault::Unfit(host),
            26 => return self.restart_leader(),
            28 | 29 => return self.back_up_or_restore(),
            32 | 33 => Fault::SoftReboot(host),
            30 | 31 => Fault::SlowSystemd { host, renewal: self.delay((200, 1_000), (1_000, 4_500), 600) },
            16 | 17 => {
                let further = self.dice.between(1, self.hosts.len() as u64 - 1);
                Fault::Apart(host, (host + usize::try_from(further).unwrap()) % self.hosts.len())
            }
            _ => return self.plant(host),
        };
        let lasts = if self.steady {
            self.delay((20_000, 90_000), (90_000, 2 * STORM), 500)
        } else {
            self.delay((200, 15_000), (15_000, 90_000), 500)
        };
        self.note(format_args!("{fault:?} for {lasts} ms"));
        self.inflict(&fault);
        self.after(lasts, Event::Mend(fault));
    }

    /// Lets a fault begin.
    pub(super) fn inflict(&mut self, fault: &Fault) {
        match *fault {
            Fault::Power(host) => self.hosts[host].cut_power(),
            Fault::SoftReboot(host) => self.soft_reboot(host),
            Fault::Freeze(host) => self.hosts[host].frozen = true,
            Fault::Cut(controller, host) => self.network.cut(controller, host, Drops::Both),
            Fault::OneWay(controller, host, drops) => self.network.cut(controller, host, drops),
            Fault::Apart(one, other) => self.network.part(one, other),
            Fault::Island(host) => {
                (0..self.controllers.len()).for_each(|index| self.network.cut(index, host, Drops::Both));
                (0..self.hosts.len()).for_each(|other| self.network.part(host, other));
            }
            Fault::Sshd(host) => self.hosts[host].sshd = false,
            Fault::Slow(host) => self.hosts[host].slow = true,
            Fault::SlowSystemd { host, renewal } => self.hosts[host].model.renewal = Duration::from_millis(renewal),
            Fault::Hang { host, part, lag } => self.hosts[host].lags[part as usize] = lag,
            Fault::Crawl(host) => {
                for part in PARTS {
                    self.hosts[host].lags[part as usize] = self.dice.between(300, 2_700);
                }
            }
            Fault::Throttle(host) => self.hosts[host].throttles = true,
            Fault::Deny(host) => self.hosts[host].denies = true,
            Fault::Unfit(host) => self.hosts[host].unfit = true,
            Fault::Balk(host) => self.hosts[host].model.refuses = self.pick_unit(),
            Fault::Fail(host) => self.hosts[host].fails = self.pick_unit(),
            Fault::Store => self.store.away = true,
        }
    }

    /// Ends the userspace of a host that runs.
    fn soft_reboot(&mut self, host: usize) {
        let (now, mutant) = (self.now, self.mutant);
        let host = &mut self.hosts[host];
        if !host.up || host.frozen {
            return;
        }
        let is_leased = host.model.lease.is_some();
        host.soft_reboot(now, mutant);
        self.reach(if is_leased { "soft-reboot: with a lease" } else { "soft-reboot: without a lease" });
    }

    fn pick_unit(&mut self) -> Option<UnitName> {
        let number = self.dice.index(self.units.len());
        self.units.get(number).cloned()
    }

    /// Picks a fault of those that leave the other machines alone, and most of all a slow one or a death.
    fn steady_fault(&mut self) -> usize {
        const FAULTS: [usize; 25] =
            [0, 0, 1, 2, 4, 4, 6, 6, 7, 16, 18, 19, 20, 21, 18, 19, 22, 23, 24, 25, 26, 26, 30, 31, 32];
        FAULTS[self.dice.index(FAULTS.len())]
    }

    /// Ends a fault.
    pub(super) fn mend(&mut self, fault: &Fault) {
        match *fault {
            Fault::Power(host) => self.power_up(host),
            Fault::Freeze(host) => self.thaw(host),
            Fault::Cut(controller, host) | Fault::OneWay(controller, host, _) => self.heal(controller, host),
            Fault::Apart(one, other) => self.network.join(one, other),
            Fault::Island(host) => {
                (0..self.controllers.len()).for_each(|index| self.heal(index, host));
                (0..self.hosts.len()).for_each(|other| self.network.join(host, other));
            }
            Fault::Sshd(host) | Fault::SoftReboot(host) => self.hosts[host].sshd = true,
            Fault::Slow(host) => self.hosts[host].slow = false,
            Fault::SlowSystemd { host, .. } => self.hosts[host].model.renewal = Duration::ZERO,
            Fault::Hang { host, part, .. } => self.hosts[host].lags[part as usize] = 0,
            Fault::Crawl(host) => self.hosts[host].lags = [0; PARTS.len()],
            Fault::Throttle(host) => self.hosts[host].throttles = false,
            Fault::Deny(host) => self.hosts[host].denies = false,
            Fault::Unfit(host) => self.hosts[host].unfit = false,
            Fault::Balk(host) => self.hosts[host].model.refuses = None,
            Fault::Fail(host) => self.hosts[host].fails = None,
            Fault::Store => self.store.away = false,
        }
        self.note(format_args!("{fault:?} is over"));
    }

    /// A fence command comes to its end: it has switched the host off, or it could not.
    pub(super) fn fence(&mut self, controller: usize, life: u64, host: usize) {
        if self.controllers[controller].life != life || self.controllers[controller].reconciler.is_none() {
            // It was ended with leadership.
            return;
        }
        let works = self.dice.chance(700);
        self.note(format_args!("c{controller} switches h{host} off: {works}"));
        if works {
            if self.hosts[host].up {
                self.hosts[host].cut_power();
            }
            let boots = self.dice.between(5_000, 40_000);
            self.after(boots, Event::Mend(Fault::Power(host)));
        }
        let ended = if works { Ok(()) } else { Err("no such plug".to_owned()) };
        let delay = self.delay((1, 500), (500, 20_000), 100);
        self.after(delay, Event::Tell(controller, News::Fenced { life, host, ended }));
    }

    /// The process that leads ends and another begins.
    pub(super) fn restart_leader(&mut self) {
        if let Some(leader) = self.store.leader.filter(|leader| self.now < leader.until) {
            let controller = leader.controller;
            if !self.controllers[controller].stopped && self.controllers[controller].life == leader.life {
                self.controllers[controller].reconciler = None;
                self.give_up(controller, "it is restarted");
            }
        }
    }

    /// Makes a backup of the store, or restores it from the one before and lets every controller begin anew.
    pub(super) fn back_up_or_restore(&mut self) {
        if !self.store.restore(self.now) {
            self.note(format_args!("a backup of the store"));
            return self.store.back_up();
        }
        self.note(format_args!("the store is restored from a backup"));
        // The backup may not have the bound of a slow host.
        self.watch.shown.fill(0);
        for controller in 0..self.controllers.len() {
            self.controllers[controller].reconciler = None;
            self.give_up(controller, "the store is restored");
        }
    }

    fn power_up(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if !host.up {
            host.up = true;
            host.booted_at = self.now;
        }
    }

    /// First systemd ends a lease that is over. Then what waited in the host's buffers is executed, in any order.
    fn thaw(&mut self, host: usize) {
        let stops = |unit: &SimulatedUnit| unit.strict && unit.state.active == ActiveState::Deactivating;
        let model = &self.hosts[host].model;
        let stopped_half_way = model.lease.is_none() && model.units.values().any(stops);
        self.hosts[host].frozen = false;
        self.hosts[host].overdue |= stopped_half_way;
        if self.hosts[host].model.is_lease_over(self.hosts[host].uptime(self.now)) {
            self.hosts[host].overdue = true;
            self.end_lease(host);
        }
        for delivery in std::mem::take(&mut self.hosts[host].buffer) {
            let delay = self.dice.between(0, 3_000);
            self.after(delay, Event::Arrive(Box::new(Parcel::There(delivery))));
        }
    }

    fn heal(&mut self, controller: usize, host: usize) {
        for parcel in self.network.heal(controller, host) {
            let delay = self.dice.between(0, 3_000);
            self.after(delay, Event::Arrive(Box::new(parcel)));
        }
    }

    /// A user puts a unit file on a host by hand and starts it: a unit of the cluster, or one that it does not know.
    fn plant(&mut self, host: usize) {
        let known = self.dice.chance(300);
        let unit = if known { self.units[0].clone() } else { "ghost.service".parse().unwrap() };
        let hash = self.files[0][0].hash();
        if !self.hosts[host].up || self.hosts[host].model.units.contains_key(&unit) {
            return;
        }
        let foreign = self.dice.chance(400);
        self.note(format_args!(
            "a user puts {unit} on h{host}{}",
            if foreign { ", without muster's mark" } else { "" }
        ));
        let (load, active, sub) = (LoadState::Loaded, ActiveState::Active, SubState::RUNNING);
        let state = UnitState { load, active, sub, job: None, hash, launched: false, restarts: 0, restarted: false };
        let uptime = self.hosts[host].uptime(self.now);
        self.hosts[host].model.put(unit.clone(), state, None, uptime);
        self.hosts[host].model.units.get_mut(&unit).unwrap().foreign = foreign;
    }

    /// Users take away the files that keep units from machines.
    fn unplant(&mut self) {
        for host in &mut self.hosts {
            host.model.units.retain(|unit, copy| !copy.foreign || !self.units.contains(unit));
        }
    }

    /// Ends everything that is wrong.
    pub(super) fn calm(&mut self) {
        self.stormy = false;
        self.note(format_args!("calm"));
        let trace = std::mem::take(&mut self.trace);
        for host in 0..self.hosts.len() {
            for fault in [Fault::Power(host), Fault::Freeze(host), Fault::Island(host), Fault::Sshd(host)] {
                self.mend(&fault);
            }
            for fault in [Fault::Slow(host), Fault::Balk(host), Fault::Fail(host), Fault::Crawl(host)] {
                self.mend(&fault);
            }
            let slow_systemd = Fault::SlowSystemd { host, renewal: 0 };
            for fault in [Fault::Throttle(host), Fault::Deny(host), Fault::Unfit(host), slow_systemd] {
                self.mend(&fault);
            }
        }
        self.unplant();
        self.mend(&Fault::Store);
        self.trace = trace;
        self.open_all();
    }
}
