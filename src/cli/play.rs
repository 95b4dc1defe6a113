//! `muster play`: runs a playbook.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::io::IsTerminal as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::inventory;
use super::play_listing::ListingArgs;
use super::play_listing::all_tags;
use super::play_listing::listing_json;
use super::settings;
use super::settings::LockArgs;
use super::settings::SettleArgs;
use super::unit_commands::LOCK_WAIT;
use super::user_args::ForksArgs;
use super::user_args::UserArgs;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::InventoryError;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::inventory::document;
use crate::inventory::limit;
use crate::inventory::load::read_vars_file;
use crate::playbook;
use crate::playbook::callback::Event;
use crate::playbook::callback::default;
use crate::playbook::callback::json::JsonCallback;
use crate::playbook::cluster::Cluster;
use crate::playbook::cluster_client::ClusterClient;
use crate::playbook::executor::Executor;
use crate::playbook::parse;
use crate::playbook::parse::Options;
use crate::playbook::play::Playbook;
use crate::playbook::running::Running;
use crate::playbook::tags::Selection;
use crate::playbook::template;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::ui;
use crate::ui::messages;

/// Run a playbook
///
/// The exit code is that of ansible-playbook: 0 if every task succeeded, 1 if the playbook was not found or no host is
/// left, 2 if a task failed, 4 if a host was unreachable or the playbook cannot be parsed.
#[derive(Debug, clap::Args)]
pub(super) struct Play {
    /// The playbook
    file: PathBuf,
    /// Limit all plays to hosts that match this pattern; @FILE stands for the hosts in a file, one on each line
    #[arg(long, short = 'l', value_name = "PATTERN")]
    limit: Option<String>,
    /// Set variables that win over all others: NAME=VALUE, a map in YAML or JSON, or @FILE (can be repeated)
    #[arg(long, short = 'e', value_name = "VARS")]
    extra_vars: Vec<String>,
    /// Change nothing and print what would be done
    #[arg(long, short = 'C')]
    check: bool,
    /// Run only the tasks that have one of these tags, and those tagged `always` (can be repeated)
    #[arg(long, short = 't', value_name = "TAGS")]
    tags: Vec<String>,
    /// Do not run the tasks that have one of these tags (can be repeated)
    #[arg(long, value_name = "TAGS")]
    skip_tags: Vec<String>,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    listing: ListingArgs,
    #[command(flatten)]
    forks: ForksArgs,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    settle: SettleArgs,
    /// Print one JSON document at the end instead of lines
    ///
    /// It has `plays` and `stats`. Each play has `tasks`, and each task has its results under `hosts`. `stats` has the
    /// counts of each host.
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// Runs `muster play …`.
pub(super) async fn run(context: &Context, mut play: Play) -> CommandResult {
    let config = AnsibleConfig::read()?;
    let context = &config.context(context);
    play.user.take_defaults(&config);
    let text = std::fs::read_to_string(&play.file).map_err(|error| {
        CommandError::failed(format!("cannot read the playbook {}", play.file.display())).caused_by(error)
    })?;
    // Roles, files and variables have the same absolute names as with Ansible.
    let file = std::path::absolute(&play.file).unwrap_or_else(|_| play.file.clone());
    let role_folders = config.role_folders.clone().unwrap_or_default();
    let options = Options { settings: play.user.settings(), gathering: config.gathering, role_folders };
    let mut playbook = parse::read(&file, &text, &parse::read_file, &options).map_err(shown_beside)?;
    let selection = Selection::new(&play.tags, &play.skip_tags);
    let all_tags = all_tags(&playbook);
    playbook.plays.iter_mut().for_each(|play| selection.apply(play));
    let extra = Arc::new(extra(&play.extra_vars)?);
    let password = play.user.password()?;
    let mut inventory = context.hosts(Some(playbook.folder()), &extra)?;
    add_localhost(&playbook, &mut inventory, &extra);
    let inventory = Arc::new(inventory);
    let limit = play.limit.as_deref().map(read_limit).transpose()?;
    let hosts = choose(&playbook, &inventory, &extra, limit.as_deref())?;
    let json = play.output.is_some();
    if play.listing.is_wanted() {
        let text = if json {
            listing_json(&playbook, &hosts)
        } else {
            ui::clean(&play.listing.text((&play.file, &playbook), &hosts, &all_tags))
        };
        ui::result(&text);
        return Ok(ExitStatus::Done);
    }
    let played = hosts.iter().flatten().filter_map(|name| inventory.hosts.get(name));
    let played: BTreeMap<&str, &Host> = played.map(|host| (host.name.as_str(), host)).collect();
    played.values().try_for_each(|host| host.target().map(drop))?;
    ask(&mut playbook, &extra)?;
    let choose = |inventory: &Inventory, play: &playbook::play::Play| {
        // The patterns were checked before the run.
        let Ok(allowed) = allowed(inventory, limit.as_deref()) else { return Vec::new() };
        hosts_of(play, inventory, &extra, allowed.as_ref()).map_or_else(|_| Vec::new(), |(hosts, _)| hosts)
    };
    let remote = context.remote()?;
    let cluster_client = cluster_client(context, &playbook, &play).await?;
    let executor = Executor {
        inventory: Arc::clone(&inventory),
        remote: &*remote,
        cluster: cluster_client.as_ref().map(|cluster_client| cluster_client as &dyn Cluster),
        extra: Arc::clone(&extra),
        choose: &choose,
        check: play.check,
        password,
        environment: settings::environment(),
        options: &options,
        selection,
        forks: play.forks.count(&config),
        running: Running::default(),
    };
    executor.check_become(&playbook, &hosts).map_err(|why| {
        CommandError::usage(why).hint("Nothing was done. Log in as that user, or use `sudo -u` in the commands.")
    })?;
    inventory::print_notes(played.into_values());
    let status = execute(context, &executor, &playbook, hosts, json).await;
    remote.close(Duration::from_secs(2)).await;
    Ok(status)
}

/// Returns the client for the tasks about units; `None` if no task needs the cluster.
async fn cluster_client(
    context: &Context,
    playbook: &Playbook,
    play: &Play,
) -> Result<Option<ClusterClient>, CommandError> {
    if !playbook.needs_cluster() {
        return Ok(None);
    }
    let (lock, settle) = (play.lock.wait(&context.settings, LOCK_WAIT), play.settle.time(&context.settings));
    Ok(Some(ClusterClient { cluster: context.new_cluster().await?, lock, settle }))
}

/// Runs the plays and prints what they do, until the operator interrupts them.
async fn execute(
    context: &Context,
    executor: &Executor<'_>,
    playbook: &Playbook,
    hosts: Vec<Vec<String>>,
    json: bool,
) -> ExitStatus {
    let mut document = JsonCallback::default();
    let mut tell = |event: &Event<'_>| {
        if json { document.handle(event) } else { ui::result(&ui::clean(&default::render(event))) }
    };
    let status = tokio::select! {
        code = executor.play(playbook, hosts, &mut tell) => ExitStatus::External(code),
        () = context.stop.cancelled() => ExitStatus::Interrupted,
    };
    if status == ExitStatus::Interrupted {
        // A command on a host continues or ends with the connection. Running the playbook again repairs that.
        for (task, hosts) in executor.running.tasks() {
            ui::warn(&messages::interrupted(&format!("the task `{task}`"), &hosts));
        }
    }
    if json {
        ui::json(&document.into_json());
    }
    status
}

/// Names the file of a fault as it is seen from the current folder.
fn shown_beside(fault: Diagnostic) -> Diagnostic {
    let here = std::path::absolute(".").unwrap_or_default();
    let file = fault.file.strip_prefix(here).map_or_else(|_| fault.file.clone(), Path::to_path_buf);
    Diagnostic { file, ..fault }
}

/// Asks the operator for the variables of `vars_prompt`. A variable that is set already is not asked for.
fn ask(playbook: &mut Playbook, extra: &Vars) -> Result<(), CommandError> {
    let failed = |error| CommandError::usage("cannot ask for a variable").caused_by(error);
    for play in &mut playbook.plays {
        for prompt in std::mem::take(&mut play.prompts) {
            if extra.contains_key(&prompt.name) {
                continue;
            }
            let default = prompt.default.as_ref().map(template::text_of);
            if !std::io::stdin().is_terminal() {
                ui::warn(&format!("`{}` is not asked for, because stdin is no terminal", prompt.name));
                Arc::make_mut(&mut play.vars).insert(prompt.name, default.unwrap_or_default().into());
                continue;
            }
            let shown = default.as_deref().filter(|_| !prompt.private);
            let question = shown.map_or(prompt.question.clone(), |shown| format!("{} [{shown}]", prompt.question));
            let mut answer = answer(&question, prompt.private).map_err(failed)?;
            while prompt.confirm
                && answer != self::answer(&format!("confirm {question}"), prompt.private).map_err(failed)?
            {
                ui::warn("the answers differ");
                answer = self::answer(&question, prompt.private).map_err(failed)?;
            }
            let answer = if answer.is_empty() { default.unwrap_or_default() } else { answer };
            Arc::make_mut(&mut play.vars).insert(prompt.name, answer.into());
        }
    }
    Ok(())
}

/// Asks a question on the terminal.
fn answer(question: &str, is_secret: bool) -> std::io::Result<String> {
    if is_secret {
        return rpassword::prompt_password(format!("{question}: "));
    }
    ui::ask(&format!("{question}: "))
}

/// Adds the machine on which muster runs if a play names it and the inventory has it not. As with Ansible it is in no
/// group.
fn add_localhost(playbook: &Playbook, inventory: &mut Inventory, extra: &Arc<Vars>) {
    let scope = Scope::new(vec![Layer::written(Arc::clone(extra))]);
    for play in &playbook.plays {
        let pattern = scope.text(&play.hosts).unwrap_or_default();
        for name in pattern.split([',', ':']).map(str::trim).filter(|name| Host::is_local(name)) {
            let host = inventory.host(name);
            inventory.hosts.insert(name.to_owned(), host);
        }
    }
}

/// Returns the hosts of each play.
fn choose(
    playbook: &Playbook,
    inventory: &Inventory,
    extra: &Arc<Vars>,
    limit: Option<&str>,
) -> Result<Vec<Vec<String>>, CommandError> {
    let allowed = allowed(inventory, limit)?;
    let mut chosen = Vec::new();
    for play in &playbook.plays {
        let (hosts, unmatched) = hosts_of(play, inventory, extra, allowed.as_ref())
            .map_err(|fault| CommandError { status: ExitStatus::Usage, ..fault.into() })?;
        for term in unmatched {
            let what = format!("no host or group matches `{term}`, so it is left out of the play");
            ui::warn(&at_hosts(play, what).to_string());
        }
        chosen.push(hosts);
    }
    if allowed.is_some() && chosen.iter().all(Vec::is_empty) {
        return Err(CommandError::failed("the hosts of the plays and --limit leave no host"));
    }
    Ok(chosen)
}

/// Returns the names of the hosts that `--limit` leaves, if it is given.
fn allowed<'i>(inventory: &'i Inventory, limit: Option<&str>) -> Result<Option<BTreeSet<&'i str>>, InventoryError> {
    let hosts = limit.map(|limit| inventory.select(limit)).transpose()?;
    Ok(hosts.map(|hosts| hosts.into_iter().map(|host| host.name.as_str()).collect()))
}

/// Makes a diagnostic of the `hosts` of a play.
fn at_hosts(play: &playbook::play::Play, what: String) -> Diagnostic {
    shown_beside(Diagnostic::new(&play.file, play.hosts_at, what))
}

/// Returns the hosts of a play in its order, and the terms of its pattern that match nothing. The pattern may use variables
/// of `-e`: `hosts: "{{ target }}"`.
fn hosts_of(
    play: &playbook::play::Play,
    inventory: &Inventory,
    extra: &Arc<Vars>,
    allowed: Option<&BTreeSet<&str>>,
) -> Result<(Vec<String>, Vec<String>), Diagnostic> {
    let scope = Scope::new(vec![Layer::written(Arc::clone(extra))]);
    let pattern = scope.text(&play.hosts).map_err(|why| at_hosts(play, format!("`hosts`: {why}")))?;
    let (hosts, unmatched) = inventory
        .select_known(&pattern)
        .map_err(|error| Diagnostic { hint: error.hint(), ..at_hosts(play, error.to_string()) })?;
    let within = |host: &&Host| allowed.is_none_or(|allowed| allowed.contains(host.name.as_str()));
    let mut names: Vec<String> = hosts.into_iter().filter(within).map(|host| host.name.clone()).collect();
    play.order.apply(&mut names, RandomState::new().hash_one(()));
    Ok((names, unmatched.into_iter().map(str::to_owned).collect()))
}

fn read_limit(limit: &str) -> Result<String, CommandError> {
    limit::read(limit, |path| std::fs::read_to_string(path))
        .map_err(|error| CommandError::usage(format!("--limit: {error}")))
}

/// Reads the values of `-e`. Later ones win.
fn extra(given: &[String]) -> Result<Vars, CommandError> {
    let mut vars = Vars::new();
    for text in given {
        if let Some(path) = text.strip_prefix('@') {
            let (more, repeated) = read_vars_file(Path::new(path)).map_err(|error| match error {
                InventoryError::Unreadable { path, detail } => {
                    CommandError::usage(format!("-e: cannot read {}: {detail}", path.display()))
                }
                error => error.into(),
            })?;
            for key in &repeated {
                ui::warn(&format!("{key}; the last value counts"));
            }
            vars.extend(more);
        } else if text.trim_start().starts_with('{') {
            let node = document::read(Path::new("-e"), text)?;
            vars.extend(node.value().as_object().cloned().unwrap_or_default());
        } else {
            let pairs = shlex::split(text).ok_or_else(|| CommandError::usage("-e: the quotes do not match"))?;
            for pair in pairs {
                let (name, value) = pair.split_once('=').ok_or_else(|| {
                    CommandError::usage(format!("-e: invalid variable `{pair}`: expected NAME=VALUE"))
                })?;
                vars.insert(name.to_owned(), value.into());
            }
        }
    }
    Ok(vars)
}
