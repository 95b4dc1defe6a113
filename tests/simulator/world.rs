//! The world: virtual time, a queue of events, the hosts, the controllers, the store and the network.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::sync::Arc;

use muster::core::model::Address;
use muster::core::model::Failure;
use muster::core::model::Machine;
use muster::core::model::Report;
use muster::core::model::Write;
use muster::core::unit::Hash;
use muster::core::unit::UnitFile;
use muster::core::unit::UnitName;

use super::attempt::Part;
use super::controller::Clock;
use super::controller::Controller;
use super::dice::Dice;
use super::faults::Fault;
use super::host::Host;
use super::host::machine;
use super::invariants::Watch;
use super::network::Network;
use super::network::Parcel;
use super::store::Store;
use super::trace::Trace;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A parcel is at the end of its way.
    Arrive(Box<Parcel>),
    /// A host's steps are done, or have been waited for long enough.
    Finish {
        host: usize,
        boot: u64,
        delivery: u64,
    },
    /// A unit on a host gets to its next state.
    Systemd {
        host: usize,
        boot: u64,
        unit: UnitName,
        change: u64,
    },
    /// A peer looks at a host.
    Look {
        controller: usize,
        life: u64,
        host: usize,
        peer: usize,
    },
    /// A commit reaches the store.
    Store {
        controller: usize,
        life: u64,
        writes: Vec<Write>,
        /// The longest renewal of each host that the controller has heard of.
        renewals: Vec<u64>,
    },
    /// Something for a controller, which hears it when it is awake.
    Tell(usize, News),
    /// A controller that was stopped goes on.
    Awake(usize),
    /// A fence command switches a host off, or fails to.
    Fence {
        controller: usize,
        life: u64,
        host: usize,
    },
    /// A host's lease ends, unless it was renewed; then its systemd notices that, which may take time.
    Lease {
        host: usize,
        boot: u64,
        until: u64,
        noticed: bool,
    },
    /// The operator does something.
    Operate,
    /// A fault begins; one ends.
    Strike,
    Mend(Fault),
}

/// What a controller hears.
#[derive(Debug)]
pub(super) enum News {
    /// A visit's report, or how it failed.
    Reply { delivery: u64, host: usize, result: Box<Result<Report, Failure>> },
    /// A part of an attempt is over.
    Passed { delivery: u64, host: usize, part: Part },
    /// Time for a sign of life while a script runs, which must end by then, after so many that did not come.
    Pulse { delivery: u64, host: usize, ends: u64, missed: u32 },
    /// What a peer saw of a host.
    Probed { life: u64, host: usize, peer: usize, reached: Option<bool> },
    /// The store's answer to a commit; none if it is away.
    Stored { life: u64, taken: Option<bool> },
    /// The time that its reconciler asked to be woken at.
    Wake { life: u64, at: u64 },
    /// How a fence command ended.
    Fenced { life: u64, host: usize, ended: Result<(), String> },
    /// Time to take leadership, or to extend it.
    Campaign,
    /// The store has changed.
    Changed { life: u64 },
}

/// A fault of muster or of the hosts that the invariants must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// It does not.
    None,
    /// Hosts obey an old leader.
    HostsForgetEpochs,
    /// Hosts obey a script that was stuck in a buffer.
    HostsObeyLate,
    /// Hosts obey what they have obeyed before.
    HostsObeyTwice,
    /// Steps are sent to machines that were not looked at since they last failed.
    StepsWithoutLook,
    /// One failed delivery and the units are moved.
    NoPatience,
    /// The store takes writes of any process.
    StoreTrustsAll,
    /// A reconciler acts on placements that the store has not taken.
    ActsBeforeCommit,
    /// A visit that takes long is taken for a stall of the controller's own process.
    OverdueIsStall,
    /// Machines that are sick, throttled or refusing when a leader begins count as silent for the brake.
    SickAreSilent,
    /// A unit waits for a place until the first failure of every machine has been judged.
    SuspectBlocksPlacing,
    /// What sshd sends before a script runs is not told.
    ProgressIsDropped,
    /// A carrier that fails is taken for an sshd that closes the connection.
    PathIsThrottled,
    /// What peers see is not listened to.
    IgnoresPeers,
    /// Hosts let a lease last from its arrival, not until the uptime that it names.
    LeasesCountFromArrival,
    /// The store forgets who was granted a lease.
    GrantsAreForgotten,
    /// Hosts go on with strict units when their lease has ended.
    LeasesBindNobody,
    /// What a host claims to run is believed, although it was never placed there.
    ClaimsAreBelieved,
    /// Unit files that muster did not write count as its own.
    MarksAreIgnored,
    /// Hosts forget how many leases were recorded.
    SerialsAreForgotten,
    /// How long a host's systemd takes to renew a lease is not listened to.
    SlownessIsIgnored,
    /// Strict units outlive a soft-reboot, and nothing ends them with their lease.
    SoftRebootsKeepStrictUnits,
}

/// How many hosts, controllers and units there are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) hosts: usize,
    pub(super) daemons: usize,
    pub(super) units: usize,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) mutant: Mutant,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    events: BTreeMap<u64, Event>,
    next: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) store: Store,
    pub(super) network: Network,
    pub(super) controllers: Vec<Controller>,
    pub(super) units: Vec<UnitName>,
    /// What units may be: available, and strict.
    pub(super) files: [Vec<Arc<UnitFile>>; 2],
    /// Set if faults are few and last long, and nothing but a restart disturbs a controller.
    pub(super) steady: bool,
    /// Set while faults happen.
    pub(super) stormy: bool,
    pub(super) watch: Watch,
    pub(super) trace: Trace,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Mutant, traced: bool) -> Self {
        let mut dice = Dice::new(seed);
        let (steady, zoned) = (dice.chance(300), dice.chance(300));
        let hosts = if steady { dice.index(3) + 3 } else { dice.index(4) + 2 };
        let shape = Shape { hosts, daemons: dice.index(3) + 1, units: dice.index(6) + 1 };
        let daemons = shape.daemons;
        let mut world = Self::shaped(dice, shape, Trace::new(traced));
        (world.mutant, world.steady, world.stormy) = (mutant, steady, true);
        for index in 0..hosts {
            world.hosts[index].carried = world.dice.chance(250);
            if zoned {
                // The first machines share a zone.
                let zone = if index < 2 { "a" } else { "b" };
                let record = world.store.snapshot.machines.get_mut(&machine(index)).unwrap();
                record.metadata.insert("zone".to_owned(), zone.to_owned());
            }
        }
        for index in 0..daemons {
            let at = world.dice.delay((0, 2_000), (0, 60_000), 200);
            world.after(at, Event::Tell(index, News::Campaign));
        }
        world.after(0, Event::Operate);
        let first = world.dice.between(1_000, 20_000);
        world.after(first, Event::Strike);
        world
    }

    /// Returns a world in which nothing happens by chance.
    pub(super) fn staged(shape: Shape) -> Self {
        Self::shaped(Dice::new(1), shape, Trace::new(true))
    }

    /// Lets a controller that does not lead yet try to.
    pub(super) fn campaign_soon(&mut self, index: usize) {
        self.after(1, Event::Tell(index, News::Campaign));
    }

    fn shaped(mut dice: Dice, shape: Shape, trace: Trace) -> Self {
        let Shape { hosts, daemons, units } = shape;
        let hosts: Vec<Host> = (0..hosts).map(|index| Host::new(index, dice.drift())).collect();
        let mut store = Store::default();
        for (index, host) in hosts.iter().enumerate() {
            store.snapshot.machines.insert(host.machine, joined(index));
        }
        let file = |number, class| {
            let text = format!("[Service]\nExecStart=/bin/sleep {number}\n[X-Muster]\nClass={class}\n");
            Arc::new(UnitFile::parse(&text).unwrap())
        };
        Self {
            now: 1_000_000,
            mutant: Mutant::None,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next: 0,
            controllers: (0..=daemons)
                .map(|index| Controller::new(index < daemons, hosts.len(), Clock::new(&mut dice)))
                .collect(),
            watch: Watch::new(hosts.len(), daemons + 1),
            hosts,
            store,
            network: Network::default(),
            dice,
            units: (0..units).map(|number| format!("u{number}.service").parse().unwrap()).collect(),
            files: ["available", "strict"].map(|class| (1..4).map(|number| file(number, class)).collect()),
            steady: false,
            stormy: false,
            trace,
        }
    }

    /// Lets something happen in so many milliseconds.
    pub(super) fn after(&mut self, delay: u64, event: Event) {
        self.queue.push(Reverse((self.now + delay, self.next)));
        self.events.insert(self.next, event);
        self.next += 1;
    }

    /// Says whether a file is that of a strict unit.
    pub(super) fn is_strict(&self, hash: Hash) -> bool {
        self.files[1].iter().any(|file| file.hash() == hash)
    }

    /// Nearly always short; now and then long, while faults happen.
    pub(super) fn delay(&mut self, short: (u64, u64), long: (u64, u64), long_per_mille: u64) -> u64 {
        let per_mille = if self.stormy { long_per_mille } else { 0 };
        self.dice.delay(short, long, per_mille)
    }

    /// Runs until then, or until something happened that must not.
    pub(super) fn run_until(&mut self, end: u64) -> Result<(), String> {
        while let Some(Reverse((at, number))) = self.queue.peek().copied().filter(|next| next.0.0 <= end) {
            self.queue.pop();
            let event = self.events.remove(&number).unwrap();
            self.now = at;
            self.happen(event);
            self.look_around();
            if let Some(wrong) = self.watch.wrong.take() {
                return Err(wrong);
            }
        }
        self.now = end;
        Ok(())
    }

    fn arrive(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::There(delivery) => self.knock(delivery),
            Parcel::Back { delivery, result } => {
                let news = News::Reply { delivery: delivery.id, host: delivery.host, result: Box::new(result) };
                self.tell(delivery.controller, news);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        self.trace.digest.0 += 1;
        match event {
            Event::Arrive(parcel) => self.arrive(*parcel),
            Event::Finish { host, boot, delivery } => self.finish(host, boot, delivery),
            Event::Systemd { host, boot, unit, change } => self.settle(host, boot, &unit, change),
            Event::Look { controller, life, host, peer } => self.look(controller, life, host, peer),
            Event::Store { controller, life, writes, renewals } => {
                self.store_writes(controller, life, writes, &renewals);
            }
            Event::Tell(controller, news) => self.tell(controller, news),
            Event::Awake(controller) => self.awake(controller),
            Event::Lease { host, boot, until, noticed } => self.lease_ends(host, boot, until, noticed),
            Event::Fence { controller, life, host } => self.fence(controller, life, host),
            Event::Operate => self.operate(),
            Event::Strike => self.strike(),
            Event::Mend(fault) => self.mend(&fault),
        }
    }

    /// Adds a line to the trace.
    pub(super) fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.note(self.now - 1_000_000, what);
    }
}

fn joined(index: usize) -> Machine {
    Machine {
        id: machine(index),
        name: format!("h{index}"),
        address: Address { host: format!("h{index}"), ..Address::default() },
        ..Machine::default()
    }
}
