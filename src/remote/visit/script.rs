//! Writes the script of a visit: a [`Visit`] in, text for the host's `sh` out.
//!
//! The script needs `sh`, coreutils, util-linux (`flock`) and systemd. It is one compound command, so a shell that
//! received only half of it runs none of it. Every word from outside this file is quoted. This module does no I/O; the
//! module `report` reads the output.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use secrecy::ExposeSecret as _;

use crate::core::lease::STOP;
use crate::core::model::Action;
use crate::core::model::Cluster;
use crate::core::model::Expiry;
use crate::core::model::LeaseAction;
use crate::core::model::NOT_SENT;
use crate::core::model::Ownership;
use crate::core::model::Step;
use crate::core::model::Visit;
use crate::core::model::replaced_units;
use crate::core::sanitize::truncate;
use crate::core::unit::CompanionFile;
use crate::core::unit::Hash;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;
use crate::core::unit::UnitType;
use crate::core::unit::aliases;
use crate::core::unit::also;
use crate::core::unit::secrets;
use crate::remote::quote::Unquotable;
use crate::remote::quote::quote;

/// The functions that every visit's script starts with.
const PRELUDE: &str = include_str!("visit.sh");

/// The functions that pull images.
pub(crate) const PULL: &str = include_str!("pull.sh");

/// How long a visit waits for units to stop before it goes on and leaves the rest to the next one. A unit that takes long
/// must not delay the other units of its machine, nor the renewal of its lease.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(2);

/// How many characters of a cluster's name a host keeps and reports.
pub(super) const CLUSTER_NAME: usize = 200;

/// The epoch of a visit that is not a leader's. No leader has a higher one, and every shell can count this far.
const ANY_EPOCH: u64 = i64::MAX.unsigned_abs();

/// A visit that cannot be written as a script. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A word cannot be quoted.
    #[error(transparent)]
    Unquotable(#[from] Unquotable),
    /// A step loads a file whose text the visit does not carry.
    #[error("no text for {unit}: expected a file with the hash {hash}")]
    MissingFile {
        /// The step's unit.
        unit: UnitName,
        /// The hash of the text.
        hash: Hash,
    },
}

/// A script and the word that marks the lines of its report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// The text for the shell.
    pub(super) text: String,
    /// Starts every line of the report that the script itself prints.
    pub(super) mark: String,
    /// The line that ends the report.
    pub(super) end: String,
}

/// Writes the script for a visit. `nonce` must be fresh for every visit and not be known to the host beforehand.
pub(super) fn write(visit: &Visit, nonce: u64, quick: bool, root: &str) -> Result<Script, ScriptError> {
    let mark = format!("@{nonce:016x}");
    let end = format!("{mark} end");
    let mut body = String::with_capacity(PRELUDE.len() + 1024);
    // Writing to a String cannot fail.
    let _ = writeln!(body, "{{\nm_mark={mark} m_root={} m_stop_limit={}", quote(root)?, STOP_LIMIT.as_secs());
    write_cluster(&mut body, visit)?;
    let _ = writeln!(body, "m_serial={}", visit.serial);
    body.push_str(PRELUDE);
    let machine = visit.machine.map(|id| id.to_string()).unwrap_or_default();
    let expires = match &visit.expires {
        Some(Expiry { boot, uptime }) => format!("{} {}", uptime.as_secs().max(1), quote(boot)?),
        None => "0".to_owned(),
    };
    let joins = visit.ownership != Ownership::Check;
    let epoch = if visit.read_only || joins { ANY_EPOCH } else { visit.epoch };
    let _ = writeln!(body, "if m_admit '{machine}' {epoch} {expires}; then");
    if joins {
        let call = if visit.ownership == Ownership::Leave { "m_leave" } else { "m_join" };
        let _ = writeln!(body, "{call} && m_look");
    } else if visit.steps.is_empty() {
        write_look(&mut body, visit, quick);
    } else {
        let _ = writeln!(body, "if m_claim {} {}; then", visit.epoch, visit.number);
        write_lease(&mut body, visit);
        write_steps(&mut body, visit)?;
        // A process that ends after the glance is seen by the next one.
        body.push_str("m_glance; m_last=$m_seen; m_look; exec 9>&-; fi\n");
    }
    let _ = writeln!(body, "fi\nm_say done\n}} </dev/null\nprintf '%s\\n' '{end}'");
    Ok(Script { text: body, mark, end })
}

fn write_cluster(body: &mut String, visit: &Visit) -> Result<(), ScriptError> {
    let take = if visit.ownership == Ownership::TakeOver { "y" } else { "" };
    let (id, name) = match visit.cluster.as_deref() {
        Some(Cluster { id, name }) => (id.to_string(), truncate(name, CLUSTER_NAME)),
        None => (String::new(), String::new()),
    };
    let _ = writeln!(body, "m_cluster={id} m_cluster_name={} m_take={take}", quote(&name)?);
    Ok(())
}

/// A visit without steps claims the host for a new leader too: the host refuses the old leader from then on. A
/// read-only visit claims nothing.
fn write_look(body: &mut String, visit: &Visit, quick: bool) {
    let epoch = visit.epoch;
    if visit.read_only {
        body.push_str("if :; then\n");
    } else if visit.barrier || visit.lease.is_some() {
        let _ = writeln!(body, "if m_claim {epoch} {}; then", visit.number);
        write_lease(body, visit);
        body.push_str("exec 9>&-\n");
    } else {
        let known = format!("[ \"$m_epoch\" -eq {epoch} ] && [ \"$m_seen_serial\" -ge \"$m_serial\" ]");
        let _ = writeln!(body, "if {{ {known}; }} || {{ m_claim {epoch} 0 && exec 9>&-; }}; then");
    }
    if visit.asks_for_room && !visit.read_only {
        body.push_str("m_room\n");
    }
    body.push_str("m_glance\n");
    let unchanged = if quick { "[ \"$m_seen\" = \"${m_last-}\" ]" } else { "false" };
    let _ = writeln!(body, "if {unchanged}; then m_say same; else m_last=$m_seen; m_look; fi\nfi");
}

fn write_lease(body: &mut String, visit: &Visit) {
    match &visit.lease {
        None => {}
        Some(LeaseAction::Hold { until, length }) => {
            let (until, length) = (until.as_secs(), length.as_secs());
            let _ = writeln!(body, "m_lease {until} {length}");
        }
        Some(LeaseAction::Release) => body.push_str("m_release\n"),
    }
}

/// Returns the text of the file that a step loads.
fn text_of<'a>(visit: &'a Visit, step: &Step, hash: Hash) -> Result<&'a str, ScriptError> {
    let file = visit.files.get(&hash).ok_or_else(|| ScriptError::MissingFile { unit: step.unit.clone(), hash })?;
    Ok(file.text())
}

/// Returns the name that systemd has for the unit of a step, quoted.
fn name(step: &Step) -> Result<String, Unquotable> {
    Ok(quote(&step.unit.of_systemd())?.into_owned())
}

/// Writes a call of a function for units, if there are any.
fn call(body: &mut String, function: &str, units: &str) {
    if !units.is_empty() {
        let _ = writeln!(body, "{function}{units}");
    }
}

fn write_steps(body: &mut String, visit: &Visit) -> Result<(), ScriptError> {
    let names = |wanted: fn(Action) -> bool| -> Result<String, ScriptError> {
        let units = visit.steps.iter().filter(|step| wanted(step.action));
        units.map(|step| Ok(format!(" {}", name(step)?))).collect()
    };
    if !visit.machine_variables.is_empty() {
        let _ = writeln!(body, "m_describe {}", quote(&visit.machine_variables)?);
    }
    let replaced = replaced_units(&visit.steps);
    // Podman reads all Quadlet files at once, because they name each other.
    let is_early = |step: &&Step| replaced.contains(&step.unit) || step.unit.is_quadlet();
    let (early, others): (Vec<&Step>, Vec<&Step>) = visit.steps.iter().partition(is_early);
    write_early_files(body, visit, &early, &replaced)?;
    write_images(body, visit)?;
    call(body, "m_unload", &names(|action| action == Action::Unload)?);
    write_files(body, visit, &early, &others)?;
    write_adoptions(body, visit)?;
    let load = if visit.reload { "m_load always" } else { "m_load known" };
    call(body, load, &names(|action| matches!(action, Action::Load { .. }))?);
    write_aliases(body, visit)?;
    call(body, "m_enable", &names(|action| matches!(action, Action::Load { install: true, .. }))?);
    call(body, "m_stop stop", &names(|action| action == Action::Stop)?);
    write_starts(body, visit)
}

/// Asks which images the containers run that the visit unloads.
fn write_images(body: &mut String, visit: &Visit) -> Result<(), Unquotable> {
    let is_unloaded = |step: &&Step| step.action == Action::Unload && step.unit.kind() == UnitType::Container;
    let containers = visit.steps.iter().filter(is_unloaded);
    let services = containers.map(|step| Ok(format!(" {}", name(step)?))).collect::<Result<String, Unquotable>>()?;
    call(body, "m_images", &services);
    Ok(())
}

/// Writes the files that are checked before anything is stopped.
fn write_early_files(
    body: &mut String,
    visit: &Visit,
    early: &[&Step],
    replaced: &BTreeSet<&UnitName>,
) -> Result<(), ScriptError> {
    let (mut checked, mut made) = (String::new(), String::new());
    for step in early {
        let Action::Load { hash, .. } = step.action else { continue };
        let (unit, text) = (name(step)?, quote(text_of(visit, step, hash)?)?);
        let beside = format!("{}{}", other_names(visit, step, hash)?, write_companions(visit, hash, &unit)?);
        if step.unit.is_quadlet() {
            let file = quote(step.unit.as_str())?;
            call(body, &format!("m_ours {unit} && {beside}m_write_quadlet"), &format!(" {unit} {file} {text}"));
            let pull = visit.files.get(&hash).and_then(|file| ImagePull::of(&step.unit, file));
            let image = pull.map(|pull| has_image(&unit, &pull)).transpose()?.unwrap_or_default();
            // The file of a service that is not taken is not to be taken for its new file.
            let drop = format!("rm -f -- \"$m_run/quadlet/\"{file}");
            let _ = writeln!(made, "m_is_made {unit} {file}{image} && m_take {unit} {file} || {drop}");
        } else {
            call(body, &format!("m_ours {unit} && {beside}m_write"), &format!(" {unit} {text}"));
        }
        if replaced.contains(&step.unit) {
            let _ = write!(checked, " {unit}");
        }
    }
    if !made.is_empty() {
        let pull = if made.contains("m_has_image") { PULL } else { "" };
        let _ = write!(body, "{pull}m_generate\n{made}");
    }
    call(body, "m_check", &checked);
    Ok(())
}

/// Returns the commands that refuse a unit if the host has a unit of one of its other names, each with `&&` after it.
fn other_names(visit: &Visit, step: &Step, hash: Hash) -> Result<String, Unquotable> {
    let mut commands = String::new();
    let Some(file) = visit.files.get(&hash).filter(|file| file.has_install()) else { return Ok(commands) };
    let aliases = aliases(&step.unit, file).unwrap_or_default();
    for (option, names) in [("Alias", aliases), ("Also", also(&step.unit, file))] {
        if !names.is_empty() {
            let _ = write!(commands, "m_free {option} {}{} && ", name(step)?, words(&names)?);
        }
    }
    Ok(commands)
}

/// Writes the commands that give units their other names.
fn write_aliases(body: &mut String, visit: &Visit) -> Result<(), ScriptError> {
    for step in &visit.steps {
        let Action::Load { hash, install: true, .. } = step.action else { continue };
        let aliases = visit.files.get(&hash).and_then(|file| aliases(&step.unit, file).ok()).unwrap_or_default();
        if !aliases.is_empty() {
            let words = words(&aliases)?;
            let _ = writeln!(body, "m_alias {}{words}", name(step)?);
        }
    }
    Ok(())
}

/// Returns the names of units as arguments, each with a space before it.
fn words(units: &[UnitName]) -> Result<String, Unquotable> {
    units.iter().map(|unit| Ok(format!(" {}", quote(unit.as_str())?))).collect()
}

/// Returns the commands that write the files that go with a unit, each with `&&` after it. A unit without one of them is not
/// loaded.
fn write_companions(visit: &Visit, hash: Hash, unit: &str) -> Result<String, ScriptError> {
    let mut commands = String::new();
    for CompanionFile { path, hash } in visit.files.get(&hash).into_iter().flat_map(|file| file.companions()) {
        let path = quote(&path)?;
        let Some(content) = visit.contents.get(&hash) else {
            let why = format!("the store does not have the file that goes with it: {path}");
            return Ok(lacks(unit, &why)?);
        };
        let _ = write!(commands, "m_beside {unit} {path} {hash} {} && ", content_words(content));
    }
    write_secrets(visit, hash, unit, &mut commands)?;
    Ok(commands)
}

/// Returns the command that refuses a unit without which something that goes with it is missing. The host is not at fault.
fn lacks(unit: &str, why: &str) -> Result<String, Unquotable> {
    Ok(format!("m_lacks {unit} {} && ", quote(&format!("{NOT_SENT}{why}"))?))
}

/// Writes the commands that write the secrets of a unit.
fn write_secrets(visit: &Visit, hash: Hash, unit: &str, commands: &mut String) -> Result<(), ScriptError> {
    for name in visit.files.get(&hash).into_iter().flat_map(|file| secrets(file)) {
        let why = || format!("secret {name} was not read");
        let value = match visit.secrets.get(&name) {
            Some(Ok(value)) => value.expose_secret(),
            lost => {
                let why = lost.and_then(|lost| lost.as_ref().err().cloned()).unwrap_or_else(why);
                *commands = lacks(unit, &why)?;
                return Ok(());
            }
        };
        let _ = write!(commands, "m_secret {unit} {name} {} && ", content_words(value));
    }
    Ok(())
}

/// Returns a content as the last arguments of a function: as a text, or in base64 with a mark after it.
fn content_words(content: &[u8]) -> Cow<'_, str> {
    let text = std::str::from_utf8(content).ok().and_then(|text| quote(text).ok());
    text.unwrap_or_else(|| format!("{} y", STANDARD.encode(content)).into())
}

/// Returns the command that succeeds if a host has the image of a unit, with `&&` before it.
fn has_image(unit: &str, pull: &ImagePull) -> Result<String, Unquotable> {
    let login = pull.login.as_ref().map(|name| format!("\"$m_run/unsealed/\"{unit}/{name}")).unwrap_or_default();
    Ok(format!(" && m_login={login} && m_has_image {unit} {}", pull_call(pull)?))
}

/// Returns the arguments of the function that looks for an image and pulls it.
pub(crate) fn pull_call(pull: &ImagePull) -> Result<String, Unquotable> {
    let (key, image) = (pull.key(), quote(&pull.image)?);
    let mut call = format!("{key} {image}");
    for property in &pull.properties {
        let _ = write!(call, " --property={}", quote(property)?);
    }
    let _ = write!(call, " /bin/sh -c \"$m_pull\" \"$m_run/pulls/{key}\"");
    for argument in &pull.arguments {
        let _ = write!(call, " {}", quote(argument)?);
    }
    if pull.login.is_some() {
        let _ = write!(call, " --authfile=\"$m_run/pulls/{key}.auth\"");
    }
    let _ = write!(call, " {image}");
    Ok(call)
}

/// Guards the strict units among the early files, and writes the other files.
fn write_files(body: &mut String, visit: &Visit, early: &[&Step], others: &[&Step]) -> Result<(), ScriptError> {
    for step in early {
        if let Action::Load { strict: true, .. } = step.action {
            call(body, "m_guard_again", &format!(" {} {}", name(step)?, STOP.as_secs()));
        }
    }
    for step in others {
        let Action::Load { hash, strict, .. } = step.action else { continue };
        let (unit, text) = (name(step)?, quote(text_of(visit, step, hash)?)?);
        let guard = if strict { format!("m_guard {unit} {} && ", STOP.as_secs()) } else { String::new() };
        let beside = format!("{}{}", other_names(visit, step, hash)?, write_companions(visit, hash, &unit)?);
        call(body, &format!("m_ours {unit} && {guard}{beside}m_write"), &format!(" {unit} {text}"));
    }
    Ok(())
}

fn write_adoptions(body: &mut String, visit: &Visit) -> Result<(), ScriptError> {
    for step in &visit.steps {
        let Action::Adopt { hash, strict } = step.action else { continue };
        let unit = name(step)?;
        let guard = format!(" && m_guard {unit} {} && systemctl daemon-reload", STOP.as_secs());
        let _ = writeln!(body, "m_adopt {unit} {hash}{}", if strict { &guard } else { "" });
    }
    Ok(())
}

/// Writes one call for each verb and restart count: nearly always one for all units.
fn write_starts(body: &mut String, visit: &Visit) -> Result<(), ScriptError> {
    let mut starts: BTreeMap<(&str, u64), String> = BTreeMap::new();
    for step in &visit.steps {
        let verb = match step.action {
            Action::Start { count } => ("start", count),
            Action::Restart { count } => ("restart", count),
            Action::Reload { count } => ("reload", count),
            _ => continue,
        };
        let _ = write!(starts.entry(verb).or_default(), " {}", name(step)?);
    }
    for ((verb, count), units) in starts.into_iter().rev() {
        call(body, &format!("m_start {verb} {count}"), &units);
    }
    Ok(())
}
