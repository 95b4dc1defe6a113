//! `muster prefetch`: pulls the images of units before the units are started.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::error::no_such_unit;
use super::unit_commands::check_path;
use super::unit_commands::parse_unit;
use super::unit_commands::read_local;
use crate::control::prefetch;
use crate::control::prefetch::Prefetch;
use crate::control::prefetch::Targets;
use crate::core::explain;
use crate::core::machine_lookup::find_machine;
use crate::core::model::Failure;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::unit::ImagePull;
use crate::core::unit::UnitName;
use crate::remote::visit::prefetch::Prefetched;
use crate::runner::Clock;
use crate::ui;
use crate::ui::messages;

#[derive(Debug, clap::Args)]
pub(super) struct PrefetchArgs {
    /// Units: names, or paths of unit files; a name without a type is that of a `.service`
    #[arg(required = true, value_name = "UNIT")]
    units: Vec<String>,
    /// Pull on this machine: its name, its address, or the beginning of its machine-id; may be given several times [default: the
    /// machine of each unit, or every machine that fits if the unit has none]
    #[arg(long, short = 'm', value_name = "MACHINE")]
    machine: Vec<String>,
    /// Pull on every machine that fits each unit
    #[arg(long, conflicts_with = "machine")]
    all: bool,
    /// Print as JSON
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster prefetch`.
pub(super) async fn prefetch(context: &Context, args: &PrefetchArgs) -> CommandResult {
    let cluster = context.cluster().await?;
    let (mut snapshot, now) = (context.snapshot().await?, Clock::start().now());
    let units = images(&mut snapshot, &args.units)?;
    if units.is_empty() {
        return Err(CommandError::usage("none of the units has an image that muster pulls"));
    }
    let targets = targets(&snapshot, args)?;
    let (prefetches, refused) = prefetch::plan(&snapshot, &units, &targets, now);
    let no_machine = |unit: &UnitName| CommandError::failed(format!("Unit {unit}: {}", refusal(&snapshot, unit, now)));
    let mut errors: Vec<CommandError> = refused.iter().map(no_machine).collect();
    let mut document = Vec::new();
    let mut on_end = |prefetch: &Prefetch, ended: Result<Prefetched, Failure>| {
        let name = snapshot.name_of(prefetch.machine);
        document.push(record(&name, prefetch, &ended));
        match ended {
            Ok(Prefetched::Failed(why)) => {
                errors.push(CommandError::failed(messages::not_pulled(&name, &prefetch.pull.image, &why)));
            }
            Ok(ended) if args.output.is_none() => ui::result(&messages::pulled(&name, &prefetch.pull.image, &ended)),
            Ok(_) => {}
            Err(failure) => errors.push(failure.into()),
        }
    };
    let is_interrupted = tokio::select! {
        () = prefetch::run(&cluster, &snapshot, prefetches, &mut on_end) => false,
        () = context.stop.cancelled() => true,
    };
    cluster.remote.close(Duration::from_millis(200)).await;
    if args.output.is_some() {
        ui::json(&document);
    }
    if is_interrupted {
        return Err(CommandError::interrupted("interrupted").hint("The pulls that have begun go on on the machines."));
    }
    Ok(if errors.is_empty() { ExitStatus::Done } else { ui::report(&errors) })
}

/// Returns the images of units. A local file counts instead of the submitted one, as for a replacement.
fn images(snapshot: &mut Snapshot, named: &[String]) -> Result<BTreeMap<UnitName, ImagePull>, CommandError> {
    let mut images = BTreeMap::new();
    for text in named {
        let unit = parse_unit(text)?;
        match read_local(text, &unit)? {
            Some(local) => prefetch::assume(snapshot, &unit, local.file),
            None => check_path(text, &unit)?,
        }
        let file = snapshot.file(&unit).ok_or_else(|| no_such_unit(snapshot, &unit))?;
        match ImagePull::of(&unit, file) {
            Some(pull) => drop(images.insert(unit, pull)),
            None => ui::note(&messages::no_image(&unit)),
        }
    }
    Ok(images)
}

fn targets(snapshot: &Snapshot, args: &PrefetchArgs) -> Result<Targets, CommandError> {
    if args.all {
        return Ok(Targets::Fitting);
    }
    let machines = args.machine.iter().map(|name| Ok(find_machine(snapshot, name)?.id));
    let machines = machines.collect::<Result<BTreeSet<_>, CommandError>>()?;
    Ok(if machines.is_empty() { Targets::Home } else { Targets::Named(machines) })
}

/// Returns why no machine takes a unit.
fn refusal(snapshot: &Snapshot, unit: &UnitName, now: Timestamp) -> String {
    let why = explain::explain(snapshot, unit, now).and_then(|why| why.fits_nowhere_else());
    why.map_or_else(|| "no machine fits".to_owned(), |why| why.message())
}

fn record(name: &str, prefetch: &Prefetch, ended: &Result<Prefetched, Failure>) -> Value {
    let (outcome, seconds, why) = match ended {
        Ok(Prefetched::There) => ("there", None, None),
        Ok(Prefetched::Pulled(time)) => ("pulled", Some(time.as_secs()), None),
        Ok(Prefetched::Failed(why)) => ("failed", None, Some(why.clone())),
        Err(failure) => ("unreachable", None, Some(failure.to_string())),
    };
    json!({
        "machine": prefetch.machine, "name": name, "image": prefetch.pull.image, "units": prefetch.units,
        "outcome": outcome, "seconds": seconds, "why": why,
    })
}
