//! Reads the report of a visit: text that a host printed in, a [`Report`] out.
//!
//! The host is not trusted. Text that does not parse is an error, which the caller treats as *lost*; nothing is
//! guessed. The module `script` writes the script that prints the report.

mod complaints;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use complaints::COMPLAINTS;
use complaints::Complaint;
use complaints::Complaints;

use crate::core::model::Action;
use crate::core::model::ActiveState;
use crate::core::model::BadState;
use crate::core::model::ClusterOfHost;
use crate::core::model::JobType;
use crate::core::model::LeaseRefusal;
use crate::core::model::LeaseStatus;
use crate::core::model::LoadState;
use crate::core::model::Observation;
use crate::core::model::Outcome;
use crate::core::model::Refused;
use crate::core::model::Report;
use crate::core::model::Step;
use crate::core::model::SubState;
use crate::core::model::UnitState;
use crate::core::model::replaced_units;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::core::sanitize::truncate;
use crate::core::unit::Hash;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitName;
use crate::remote::visit::script::CLUSTER_NAME;

/// How many units one host may report, several times what one systemd can handle. Each is a record in the store, and a
/// host that reports new names at each visit must not fill the store.
pub(super) const UNITS: usize = 4096;

/// A unit that every systemd has, with its description. `systemctl list-units` has a column for jobs only while a listed
/// unit has one, and leaves it empty for the others. Where the description of this unit begins tells which words of
/// another line are no description.
const REFERENCE: (&str, &str) = ("init.scope", "System and Service Manager");

/// How many bytes the name of a boot may have. Linux writes 36.
const WORD: usize = 64;

/// The longest uptime that a host may report: a hundred years.
const UPTIME: Duration = Duration::from_hours(24 * 365 * 100);

/// The states of units, by name.
type Units = BTreeMap<UnitName, UnitState>;

/// The highest serial that a host may report: more leases than a cluster ever records.
const SERIAL: u64 = 1 << 53;

/// A report that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the report: {what}")]
pub struct BadReport {
    /// The line, from 1.
    pub line: usize,
    /// The fault in the line.
    pub what: String,
}

/// Reads the output of a visit's script. `steps` are the steps of the visit.
pub(super) fn read(printed: &[u8], mark: &str, steps: &[Step]) -> Result<Report, BadReport> {
    let text = String::from_utf8_lossy(printed);
    let mut reader = Reader::default();
    let mut number = 0;
    for line in text.lines() {
        number += 1;
        let ours = line.strip_prefix(mark).and_then(|rest| rest.strip_prefix(' '));
        let read = match ours {
            Some(ours) => reader.frame(ours),
            None => reader.listing(line),
        };
        read.map_err(|what| BadReport { line: number, what: truncate(&what, MESSAGE_LIMIT) })?;
    }
    reader.finish(steps).map_err(|what| BadReport { line: number, what: what.to_owned() })
}

/// The part of a report to which lines without the mark belong.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Section {
    #[default]
    None,
    Sources,
    Images,
    Hashes,
    Marked,
    Launched,
    Listed,
    Shown,
    Restarts,
}

#[derive(Debug, Default)]
struct Reader {
    section: Section,
    greeted: bool,
    done: bool,
    same: bool,
    has_room: bool,
    lease: Option<LeaseStatus>,
    renewal: Option<Duration>,
    refused: Option<Refused>,
    observation: Option<Observation>,
    taken_from: Option<Box<ClusterOfHost>>,
    /// The Quadlet files of services.
    sources: BTreeMap<UnitName, UnitName>,
    /// The hashes of the services that Podman made of Quadlet files when they were loaded.
    sums: BTreeMap<UnitName, Hash>,
    hashes: BTreeMap<UnitName, Hash>,
    /// The hashes of the services that Podman has made, by their Quadlet files.
    made: BTreeMap<UnitName, Hash>,
    marked: BTreeSet<UnitName>,
    launched: BTreeMap<UnitName, u64>,
    systemd: BTreeMap<UnitName, Systemd>,
    restarted: BTreeSet<UnitName>,
    /// Where the descriptions of listed units begin, counted from LOAD.
    description_column: Option<usize>,
    shown: ShowBlock,
    complaints: Vec<Complaint>,
    /// The services whose images are being pulled.
    pulled: BTreeSet<String>,
    /// The images with which services have run.
    images: BTreeMap<String, ImageDigest>,
}

/// What systemd says of a unit.
#[derive(Debug)]
struct Systemd {
    load: LoadState,
    active: ActiveState,
    sub: SubState,
    /// The line of `systemctl list-units` from LOAD on; empty if it was not listed.
    listed: String,
}

impl Default for Systemd {
    /// Returns the states of a unit that systemd does not know.
    fn default() -> Self {
        let (load, active, sub) = (LoadState::NotFound, ActiveState::Inactive, SubState::DEAD);
        Self { load, active, sub, listed: String::new() }
    }
}

/// A block of `systemctl show` that is being read.
#[derive(Debug, Default)]
struct ShowBlock {
    id: String,
    load: String,
    active: String,
    sub: String,
    restarts: String,
}

impl Reader {
    /// Reads a line that carries the mark.
    fn frame(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word != "muster" && !self.greeted {
            return Err("expected the greeting line first".to_owned());
        }
        self.section = Section::None;
        match word {
            "muster" if rest == "1" => self.greeted = true,
            "muster" => return Err(format!("unknown version {rest:?}: expected 1")),
            "host" => self.observation = Some(read_host(rest)?),
            "taken" => self.taken_from = Some(Box::new(ClusterOfHost(other_cluster(rest)))),
            "refused" => self.refused = Some(read_refusal(rest)?),
            "sources" => self.section = Section::Sources,
            "images" => self.section = Section::Images,
            "hashes" => self.section = Section::Hashes,
            "marked" => self.section = Section::Marked,
            "launched" => self.section = Section::Launched,
            "listed" => self.section = Section::Listed,
            "shown" => self.section = Section::Shown,
            "restarts" => self.section = Section::Restarts,
            "same" => self.same = true,
            "room" => self.has_room = true,
            "renewal" => self.renewal = Some(read_renewal(rest)?),
            "lease" => self.lease = Some(read_lease(rest)?),
            "said" => self.complain(rest)?,
            "pulls" => self.pulls(rest)?,
            "broken" => return Err(rest.to_owned()),
            "done" => self.done = true,
            "end" => {}
            _ => return Err(format!("unknown word {word:?}")),
        }
        Ok(())
    }

    fn complain(&mut self, rest: &str) -> Result<(), String> {
        if self.complaints.len() == COMPLAINTS {
            return Err(format!("it has more than {COMPLAINTS} messages about steps"));
        }
        self.complaints.push(Complaint::read(rest));
        Ok(())
    }

    fn pulls(&mut self, service: &str) -> Result<(), String> {
        self.pulled.insert(truncate(service, MESSAGE_LIMIT));
        if self.pulled.len() > UNITS { Err(format!("it pulls more than {UNITS} images")) } else { Ok(()) }
    }

    /// Reads a service and the digest of its image. Podman has none for some images.
    fn image(&mut self, line: &str) -> Result<(), String> {
        if let Some((service, Ok(digest))) = line.split_once(' ').map(|(service, digest)| (service, digest.parse())) {
            self.images.insert(truncate(service, MESSAGE_LIMIT), digest);
        }
        if self.images.len() > UNITS { Err(format!("it has more than {UNITS} images")) } else { Ok(()) }
    }

    /// Reads a line that a program on the host printed.
    fn listing(&mut self, line: &str) -> Result<(), String> {
        match self.section {
            Section::None => {}
            Section::Sources => {
                if let Some((service, file, sum)) = read_source(line) {
                    self.sums.extend(sum.map(|sum| (file.clone(), sum)));
                    self.sources.insert(service, file);
                }
                if self.sources.len() > UNITS {
                    return Err(format!("it has more than {UNITS} Quadlet files"));
                }
            }
            Section::Images => self.image(line)?,
            Section::Hashes => {
                if let Some((name, hash)) = read_hash(line)? {
                    match self.sources.get(&name) {
                        Some(source) => self.made.insert(source.clone(), hash),
                        None => self.hashes.insert(name, hash),
                    };
                }
                if self.hashes.len() > UNITS {
                    return Err(format!("it has more than {UNITS} units"));
                }
            }
            Section::Marked => {
                let name = line.rsplit_once('/').map_or(line, |(_, name)| name);
                self.marked.extend(self.reported(name));
            }
            Section::Launched => {
                let (count, name) = line.split_once(' ').ok_or("a start record without a unit")?;
                if let Some(name) = self.reported(name) {
                    self.launched.insert(name, count.parse().unwrap_or(0));
                }
            }
            Section::Listed => {
                let (name, rest) = line.split_once(' ').ok_or("a listed unit without its states")?;
                self.list(name, rest)?;
            }
            Section::Shown => self.show(line)?,
            Section::Restarts => self.count_restarts(line),
        }
        Ok(())
    }

    /// Reads the states of a listed unit: `LOAD ACTIVE SUB [JOB] DESCRIPTION`, in columns.
    fn list(&mut self, name: &str, rest: &str) -> Result<(), String> {
        if name == REFERENCE.0 {
            self.description_column = rest.find(REFERENCE.1);
            return Ok(());
        }
        let mut words = rest.split_ascii_whitespace();
        let (Some(load), Some(active), Some(sub)) = (words.next(), words.next(), words.next()) else {
            return Err("a listed unit without its states".to_owned());
        };
        self.state(name, [load, active, sub], rest)
    }

    /// Takes the state of a unit. `listed` is the line of the list that it was read from.
    fn state(&mut self, name: &str, [load, active, sub]: [&str; 3], listed: &str) -> Result<(), String> {
        if let Some(name) = self.reported(name) {
            let bad = |error: BadState| error.to_string();
            let listed = listed.to_owned();
            let (load, active, sub) =
                (load.parse().map_err(bad)?, active.parse().map_err(bad)?, sub.parse().map_err(bad)?);
            self.systemd.insert(name, Systemd { load, active, sub, listed });
        }
        Ok(())
    }

    /// Returns the name of a unit that the report has a file of. Nothing else is kept, so the number of files bounds the
    /// memory that a report takes.
    fn reported(&self, name: &str) -> Option<UnitName> {
        let name = name.parse().ok()?;
        let name = self.sources.get(&name).cloned().unwrap_or(name);
        (self.hashes.contains_key(&name) || self.made.contains_key(&name)).then_some(name)
    }

    fn show(&mut self, line: &str) -> Result<(), String> {
        let Some((key, value)) = line.split_once('=') else { return Ok(()) };
        let field = match key {
            "Id" => &mut self.shown.id,
            "LoadState" => &mut self.shown.load,
            "ActiveState" => &mut self.shown.active,
            "SubState" => &mut self.shown.sub,
            _ => return Ok(()),
        };
        value.clone_into(field);
        let whole = [&self.shown.id, &self.shown.load, &self.shown.active, &self.shown.sub];
        if whole.iter().any(|field| field.is_empty()) {
            return Ok(());
        }
        let ShowBlock { id, load, active, sub, .. } = std::mem::take(&mut self.shown);
        self.state(&id, [&load, &active, &sub], "")
    }

    /// Reads `Id=` and `NRestarts=` of the services whose processes are young, in blocks that an empty line ends.
    fn count_restarts(&mut self, line: &str) {
        match line.split_once('=') {
            Some(("Id", value)) => value.clone_into(&mut self.shown.id),
            Some(("NRestarts", value)) => value.clone_into(&mut self.shown.restarts),
            _ => self.shown = ShowBlock::default(),
        }
        if matches!(self.shown.restarts.parse::<u32>(), Ok(1..)) {
            self.restarted.extend(self.reported(&self.shown.id));
        }
    }

    fn finish(mut self, steps: &[Step]) -> Result<Report, &'static str> {
        if !self.done {
            return Err("the line `done` is missing");
        }
        if self.refused.is_none() && self.observation.is_none() {
            return Err("the host line is missing");
        }
        let units = (!self.same && self.refused.is_none()).then(|| self.units()).transpose()?;
        let outcomes = match &units {
            Some((units, _)) => self.outcomes(steps, units),
            None => Vec::new(),
        };
        if let Some(observation) = &mut self.observation {
            (observation.units, observation.foreign) =
                units.map_or_else(Default::default, |(units, foreign)| (Some(units), foreign));
            observation.lease = self.lease;
            observation.renewal = self.renewal;
            observation.has_room = self.has_room;
            observation.taken_from = self.taken_from;
            let unloaded = steps.iter().filter(|step| step.action == Action::Unload).map(|step| &step.unit);
            let image = |unit: &UnitName| Some((unit.clone(), self.images.get(&*unit.of_systemd())?.clone()));
            observation.images = unloaded.filter_map(image).collect();
        }
        Ok(Report { outcomes, refused: self.refused, observation: self.observation })
    }

    /// Returns the units whose files muster wrote, and the others.
    fn units(&mut self) -> Result<(Units, Units), &'static str> {
        let (hashes, made) = (std::mem::take(&mut self.hashes), std::mem::take(&mut self.made));
        let names: BTreeSet<UnitName> = hashes.keys().chain(made.keys()).cloned().collect();
        let states = names.into_iter().map(|name| {
            let Systemd { load, active, sub, listed } = self.systemd.remove(&name).unwrap_or_default();
            let job = queued_job(&listed, self.description_column)?;
            let mark = self.launched.get(&name).copied();
            let (launched, restarts) = (mark.is_some(), mark.unwrap_or(0));
            let restarted = self.restarted.contains(&name);
            let state = UnitState { load, active, sub, job, hash: Hash::NONE, launched, restarts, restarted };
            let hash = match (hashes.get(&name), made.get(&name)) {
                (_, Some(made)) if *made == Hash::NONE => Hash::NONE,
                // A user has changed the service.
                (_, Some(made)) if self.sums.get(&name).is_some_and(|sum| sum != made) => Hash::NONE,
                (Some(own), _) => *own,
                // A Quadlet file that is gone is written again, and the process goes on.
                (None, _) if state.runs() => Hash::NONE,
                // The service differs from what was submitted.
                (None, made) => made.copied().unwrap_or(Hash::NONE),
            };
            Ok((name, UnitState { hash, ..state }))
        });
        let mut states = states.collect::<Result<Units, &'static str>>()?;
        states.retain(|_, state| state.has_file() || state.runs());
        Ok(states.into_iter().partition(|(name, _)| self.marked.contains(name)))
    }

    /// Derives the outcome of each step from the state of the host afterwards and the complaints.
    fn outcomes(&self, steps: &[Step], units: &BTreeMap<UnitName, UnitState>) -> Vec<Outcome> {
        let complaints = Complaints::new(&self.complaints, steps);
        let kept = kept(steps, units, &complaints);
        let reloaded: BTreeSet<&UnitName> = steps.iter().filter(|step| is_load(step)).map(|step| &step.unit).collect();
        let waits = |unit: &UnitName| reloaded.contains(unit) && self.pulled.contains(unit.of_systemd().as_ref());
        steps
            .iter()
            .map(|step| {
                if waits(&step.unit) {
                    return Outcome::Begun;
                }
                if let Some(why) = kept.get(&step.unit) {
                    return Outcome::Failed(why.clone());
                }
                let there = units.get(&step.unit);
                let replaced = step.action == Action::Unload && reloaded.contains(&step.unit);
                let refused = step.action.starts() && complaints.about(step).is_some();
                let good = (replaced || step.action.is_done(there)) && !refused;
                // A visit does not wait for units that stop slowly.
                let begun = step.action.goes_on(there);
                match (good, complaints.about(step)) {
                    (true, _) if begun && step.action.starts() => Outcome::Begun,
                    (true, _) => Outcome::Done,
                    (false, None) if begun => Outcome::Begun,
                    (false, said) => Outcome::Failed(explain(step, there, said)),
                }
            })
            .collect()
    }
}

/// Returns the units that go on with an earlier file because the host has refused the new one, and why it has.
fn kept<'a>(
    steps: &'a [Step],
    units: &BTreeMap<UnitName, UnitState>,
    complaints: &Complaints<'_>,
) -> BTreeMap<&'a UnitName, String> {
    let replaced = replaced_units(steps);
    let kept = steps.iter().filter(|step| replaced.contains(&step.unit)).filter_map(|step| {
        let Action::Load { hash, .. } = step.action else { return None };
        let there = units.get(&step.unit).filter(|unit| unit.hash != hash)?;
        Some((&step.unit, explain(step, Some(there), complaints.about(step))))
    });
    kept.collect()
}

/// Reads `SERVICE FILE HASH`: the Quadlet file of a service, and the hash of what Podman made of it. Another program may have
/// written it.
fn read_source(line: &str) -> Option<(UnitName, UnitName, Option<Hash>)> {
    let mut words = line.split(' ');
    let (service, file): (UnitName, UnitName) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let sum = words.next().and_then(|sum| sum.parse().ok());
    (file.is_quadlet() && file.of_systemd() == service.as_str()).then_some((service, file, sum))
}

/// Returns why a step was not carried out: what the host said, or the state that shows it.
fn explain(step: &Step, there: Option<&UnitState>, said: Option<String>) -> String {
    let is_refused = |unit: &&UnitState| is_load(step) && unit.load != LoadState::Loaded;
    if let Some(unit) = there.filter(is_refused) {
        let said = said.map(|said| format!(": {said}")).unwrap_or_default();
        return truncate(&format!("systemd does not load it: {}{said}", unit.load), MESSAGE_LIMIT);
    }
    said.unwrap_or_else(|| explain_state(step, there))
}

/// Returns the state that shows that a step was not carried out, as text.
fn explain_state(step: &Step, there: Option<&UnitState>) -> String {
    match (step.action, there) {
        (Action::Load { hash, .. } | Action::Adopt { hash, .. }, Some(unit)) if unit.hash != hash => {
            "another file is at its path".to_owned()
        }
        (Action::Load { .. } | Action::Adopt { .. }, Some(unit)) => format!("systemd does not load it: {}", unit.load),
        (Action::Load { .. }, None) => "its file was not written".to_owned(),
        (Action::Start { .. } | Action::Restart { .. } | Action::Reload { .. }, Some(_)) => {
            "the record of its start could not be written: is /run full?".to_owned()
        }
        (_, Some(unit)) => format!("it is still {} ({})", unit.active, unit.sub),
        (_, None) => "its file is gone".to_owned(),
    }
}

/// Reads the job that is queued for a listed unit, if its line has one.
fn queued_job(listed: &str, description_column: Option<usize>) -> Result<Option<JobType>, &'static str> {
    let columns = description_column.and_then(|column| listed.get(..column)).unwrap_or_default();
    let job = columns.split_ascii_whitespace().nth(3).map(str::parse).transpose();
    job.map_err(|_| "it lists a job of a type that systemd does not have")
}

fn is_load(step: &Step) -> bool {
    matches!(step.action, Action::Load { .. })
}

/// Checks the id of a boot, which goes into records and scripts.
fn word(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let fits = (1..=WORD).contains(&text.len());
    if plain && fits {
        Ok(text.to_owned())
    } else {
        Err(format!("invalid boot id {:?}: expected letters, digits, `-` and `_`", truncate(text, WORD)))
    }
}

/// Reads `MACHINE-ID BOOT-ID UPTIME EPOCH SERIAL`.
fn read_host(rest: &str) -> Result<Observation, String> {
    let words: Vec<&str> = rest.split(' ').collect();
    let [machine, boot, uptime, epoch, serial] = words.as_slice() else {
        return Err("expected `MACHINE-ID BOOT-ID UPTIME EPOCH SERIAL` in the host line".to_owned());
    };
    let machine = machine.parse().map_err(|error| format!("/etc/machine-id: {error}"))?;
    let seconds = uptime.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let uptime = seconds.filter(|uptime| *uptime <= UPTIME).ok_or_else(|| {
        format!("invalid uptime {:?}: expected seconds, at most {}", truncate(uptime, WORD), UPTIME.as_secs())
    })?;
    let epoch = epoch.parse().map_err(|_| format!("invalid epoch {:?}: expected a number", truncate(epoch, WORD)))?;
    let valid = serial.parse().ok().filter(|serial| *serial <= SERIAL);
    let serial = valid.ok_or_else(|| format!("invalid serial {:?}: expected a number", truncate(serial, WORD)))?;
    Ok(Observation::new(machine, word(boot)?, uptime, epoch, serial))
}

fn read_refusal(rest: &str) -> Result<Refused, String> {
    let (word, detail) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok(match word {
        "machine" => Refused::OtherMachine(truncate(detail, WORD)),
        "cluster" => Refused::OtherCluster(other_cluster(detail)),
        "epoch" => {
            Refused::LaterLeader(detail.parse().map_err(|_| format!("invalid epoch {detail:?}: expected a number"))?)
        }
        "late" => Refused::TooLate,
        "busy" => Refused::Busy,
        "systemd" => Refused::Unfit("it was not booted with systemd"),
        "flock" => Refused::Unfit("it has no `flock` (util-linux)"),
        "unwritable" => Refused::Unfit("/run/muster cannot be written: is /run full or read-only?"),
        _ => return Err(format!("unknown refusal {word:?}")),
    })
}

/// Reads `ID NAME`. Another program may have written it.
fn other_cluster(text: &str) -> String {
    let (id, name) = text.split_once(' ').unwrap_or((text, ""));
    format!("{} ({})", truncate(name, CLUSTER_NAME), truncate(id, WORD))
}

/// Reads the uptimes at which a renewal began and ended.
fn read_renewal(rest: &str) -> Result<Duration, String> {
    let uptime = |text: &str| text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let words = rest.split_once(' ').and_then(|(began, ended)| Some((uptime(began)?, uptime(ended)?)));
    let (began, ended) = words.ok_or("expected two uptimes of a renewal")?;
    Ok(ended.saturating_sub(began))
}

/// Reads the outcome of a lease.
fn read_lease(rest: &str) -> Result<LeaseStatus, String> {
    Ok(match rest {
        "held" => LeaseStatus::Held,
        "granted" => LeaseStatus::Granted,
        "released" => LeaseStatus::Released,
        "late" => LeaseStatus::Refused(LeaseRefusal::TooLate),
        "unwritable" => LeaseStatus::Refused(LeaseRefusal::Unwritable),
        "systemd" => LeaseStatus::Refused(LeaseRefusal::NotStarted),
        _ => return Err(format!("unknown outcome of a lease {rest:?}")),
    })
}

/// Reads a line of sha1sum(1), which doubles backslashes in names and then starts the line with one.
fn read_hash(line: &str) -> Result<Option<(UnitName, Hash)>, String> {
    let (escaped, plain) = line.strip_prefix('\\').map_or((false, line), |plain| (true, plain));
    let (hash, name) = plain.split_once("  ").ok_or("a hash without a file")?;
    let hash = hash.parse().map_err(|error| format!("{error}"))?;
    let name = if escaped { name.replace("\\\\", "\\") } else { name.to_owned() };
    // muster cannot have written a file with another kind of name, so such a file is not its own.
    Ok(name.parse().ok().map(|name| (name, hash)))
}

#[cfg(test)]
mod tests;
