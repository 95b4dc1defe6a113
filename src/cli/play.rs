//! `muster play`: runs playbooks.

mod cluster;
mod host_logs;
mod hosts;
mod playbook_file;
mod prompts;
mod scheduled;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::extra_vars::ExtraVars;
use super::inventory;
use super::play_coverage;
use super::play_listing::Listed;
use super::play_listing::ListingArgs;
use super::play_listing::all_tags;
use super::play_listing::listing_json;
use super::settings;
use super::settings::LockArgs;
use super::settings::SettleArgs;
use super::task_warnings::TaskWarnings;
use super::unit_commands::LOCK_WAIT;
use super::user_args::ForksArgs;
use super::user_args::UserArgs;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::playbook::callback::Event;
use crate::playbook::callback::default;
use crate::playbook::callback::failures::Failures;
use crate::playbook::callback::json::JsonCallback;
use crate::playbook::callback::report::Report;
use crate::playbook::executor::Executor;
use crate::playbook::fact_use;
use crate::playbook::parse;
use crate::playbook::parse::Options;
use crate::playbook::play;
use crate::playbook::play::Playbook;
use crate::playbook::play_iterator::Results;
use crate::playbook::running::Running;
use crate::playbook::start_at::StartAt;
use crate::playbook::step::Step;
use crate::playbook::tags::Selection;
use crate::remote::Password;
use crate::remote::Remote;
use crate::runner::Clock;
use crate::ui;
use crate::ui::terminal;
use cluster::RunCluster;
use host_logs::HostLogs;
use scheduled::PastRun;
use scheduled::Schedule;
use scheduled::ScheduleArgs;

/// Run playbooks
///
/// Several playbooks run one after the other; a playbook with a failure is the last one. With -v, the results of all tasks
/// are printed. At the end, each task that failed is named on stderr with its place and its hosts.
///
/// The exit code is that of ansible-playbook: 0 if every task succeeded, 1 if a playbook was not found or no host is
/// left, 2 if a task failed, 4 if a host was unreachable or a playbook cannot be parsed.
#[derive(Debug, clap::Args)]
pub(super) struct Play {
    /// The playbooks
    #[arg(required_unless_present = "coverage", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Limit all plays to hosts that match this pattern; @FILE stands for the hosts in a file, one on each line
    #[arg(long, short = 'l', value_name = "PATTERN")]
    limit: Option<String>,
    #[command(flatten)]
    extra: ExtraVars,
    /// Change nothing and print what would be done
    #[arg(long, short = 'C')]
    check: bool,
    /// Show what changes: the lines of files, and the attributes of paths
    #[arg(long, short = 'D')]
    diff: bool,
    /// Run only the tasks that have one of these tags, and those tagged `always` (can be repeated)
    #[arg(long, short = 't', value_name = "TAGS")]
    tags: Vec<String>,
    /// Do not run the tasks that have one of these tags (can be repeated)
    #[arg(long, value_name = "TAGS")]
    skip_tags: Vec<String>,
    /// Leave out the tasks before the one with this name, which may be a pattern such as `web*`
    ///
    /// The task must not stand in a file or role that is included while a play runs.
    #[arg(long, value_name = "NAME")]
    start_at_task: Option<String>,
    /// Ask before each task: y runs it, c runs it and the rest of the play, any other answer leaves it out
    #[arg(long)]
    step: bool,
    /// Run the handlers that were notified also on hosts where a task has failed
    #[arg(long)]
    force_handlers: bool,
    /// Accepted and ignored: muster keeps no facts between runs
    #[arg(long)]
    flush_cache: bool,
    /// Refused: muster runs no modules in Python
    #[arg(long, short = 'M', value_name = "FOLDER", hide = true)]
    module_path: Option<PathBuf>,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    listing: ListingArgs,
    /// Count what muster could run of the playbooks and roles in this folder, say why not, and do nothing
    ///
    /// Each task is tried by itself, without the files and roles that it includes or imports. A role is accepted if all of
    /// its tasks and handlers are, and a playbook with all that it imports. Links are not followed. Encrypted files are
    /// counted and not read.
    #[arg(long, value_name = "FOLDER", conflicts_with = "files")]
    coverage: Option<PathBuf>,
    /// Add the results of each host to a file with its name in this folder
    #[arg(long, value_name = "FOLDER")]
    log_folder: Option<PathBuf>,
    #[command(flatten)]
    forks: ForksArgs,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    settle: SettleArgs,
    /// Print one JSON document at the end instead of lines
    ///
    /// It is that of Ansible's callback `ansible.posix.json`. It has `plays` and `stats`. Each play has `tasks`, and each task
    /// has its results under `hosts`. `stats` has the counts of each host.
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    #[command(flatten)]
    schedule: ScheduleArgs,
}

/// A playbook, ready to run.
struct Book {
    /// The file, as the operator has named it.
    file: PathBuf,
    playbook: Playbook,
    inventory: Arc<Inventory>,
    /// The hosts of each play.
    hosts: Vec<Vec<String>>,
}

/// What the playbooks of one run have in common.
struct Run<'r> {
    play: &'r Play,
    options: &'r Options,
    forks: usize,
    extra: Arc<Vars>,
    limit: Option<String>,
    selection: Selection,
    password: Option<Password>,
    remote: &'r dyn Remote,
    cluster: &'r RunCluster<'r>,
    clock: Clock,
}

/// What becomes of the events of a run.
struct Output {
    document: JsonCallback,
    report: Report,
    failures: Failures,
    logs: Option<HostLogs>,
    warnings: TaskWarnings,
}

/// Runs `muster play …`.
pub(super) async fn run(context: &Context, mut play: Play) -> CommandResult {
    if let Some(folder) = &play.coverage {
        return play_coverage::run(folder, play.output.is_some());
    }
    if play.module_path.is_some() {
        let error = CommandError::usage("muster runs no modules in Python: its modules are part of it");
        return Err(error.hint("Leave `-M` out. `muster doc -l` lists the modules."));
    }
    let schedule = play.schedule(context)?;
    if let Some(schedule) = schedule.as_ref().filter(|_| play.schedule.history) {
        return play.print_history(schedule);
    }
    let config = AnsibleConfig::read()?;
    play.user.take_defaults(&config);
    let context = &play.user.context(&config.context(context), !play.listing.is_wanted())?;
    let role_folders = config.role_folders();
    let vault = context.vault()?;
    let gathering = config.gathering;
    let (settings, config_file) = (play.user.settings(), config.file.clone());
    let options = Options { settings, gathering, role_folders, config_file, vault: Arc::clone(&vault) };
    let extra = Arc::new(play.extra.read(&vault)?);
    let limit = play.limit.as_deref().map(hosts::read_limit).transpose()?;
    let selection = Selection::new(&play.tags, &play.skip_tags);
    let (mut playbooks, reads_facts) = play.read(&options)?;
    let tags: Vec<_> = playbooks.iter().map(all_tags).collect();
    playbooks.iter_mut().flat_map(|playbook| &mut playbook.plays).for_each(|play| selection.apply(play));
    let mut books = play.books(context, playbooks, (&extra, limit.as_deref()))?;
    inventory::warn_of_left_out(&vault);
    if play.listing.is_wanted() {
        list(&play, &books, &tags);
        return Ok(ExitStatus::Done);
    }
    let password = play.user.password()?;
    for host in books.iter().flat_map(Book::played) {
        host.target()?;
    }
    if !(reads_facts || play.shows_facts() || fact_use::in_vars(&extra) || books.iter().any(Book::reads_facts)) {
        books.iter_mut().flat_map(|book| &mut book.playbook.plays).for_each(play::Play::leave_out_facts);
    }
    books.iter_mut().try_for_each(|book| prompts::ask(&mut book.playbook, &extra))?;
    let remote = context.remote()?;
    let (lock, settle) = (play.lock.wait(&context.settings, LOCK_WAIT), play.settle.time(&context.settings));
    let cluster = &RunCluster::new(context, lock, settle);
    if books.iter().any(|book| book.playbook.needs_cluster()) {
        cluster.open().await?;
    }
    let (forks, clock) = (play.forks.count(&config), Clock::start());
    let run = Run {
        play: &play,
        options: &options,
        forks,
        extra,
        limit,
        selection,
        password,
        remote: &*remote,
        cluster,
        clock,
    };
    let status = match &schedule {
        Some(schedule) => run.play_scheduled(context, schedule, &books).await,
        None => run.play(context, &books).await.map(|(status, _)| status),
    };
    remote.close(Duration::from_secs(2)).await;
    status
}

impl Play {
    /// Returns the files of the scheduled runs, if this is one or the history is wanted.
    fn schedule(&self, context: &Context) -> Result<Option<Schedule>, CommandError> {
        if !self.schedule.scheduled && !self.schedule.history {
            return Ok(None);
        }
        let folder = settings::state_folder().ok_or_else(|| {
            CommandError::usage("no home directory for the state of scheduled runs")
                .hint("Set XDG_STATE_HOME to a folder.")
        })?;
        let inventory = &context.settings.inventory;
        Ok(Some(Schedule::new(&folder, &self.files, self.limit.as_deref(), inventory)))
    }

    fn print_history(&self, schedule: &Schedule) -> CommandResult {
        let runs = schedule.runs().map_err(|error| CommandError::failed("cannot read the history").caused_by(error))?;
        match self.output {
            Some(_) => ui::json(&runs),
            None => ui::result(&scheduled::history(&runs)),
        }
        Ok(ExitStatus::Done)
    }

    /// Reports whether the facts of hosts are part of what is printed or kept.
    const fn shows_facts(&self) -> bool {
        self.output.is_some() || self.log_folder.is_some()
    }

    /// Reads the playbooks. Roles, files and variables have the same absolute names as with Ansible. Returns also whether a
    /// text of them may read facts.
    fn read(&self, options: &Options) -> Result<(Vec<Playbook>, bool), CommandError> {
        let mut playbooks = Vec::new();
        let reads_facts = Cell::new(false);
        let read_file = |path: &Path| {
            let text = parse::read_file(path)?;
            reads_facts.set(reads_facts.get() || fact_use::in_text(&text));
            Ok(text)
        };
        for file in &self.files {
            let text = std::fs::read_to_string(file).map_err(|error| playbook_file::unreadable(file, error))?;
            reads_facts.set(reads_facts.get() || fact_use::in_text(&text));
            let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
            playbooks.push(parse::read(&file, &text, &read_file, options).map_err(shown_beside)?);
        }
        let mut plays: Vec<_> = playbooks.iter_mut().flat_map(|playbook| &mut playbook.plays).collect();
        if self.force_handlers {
            for play in &mut plays {
                play.force_handlers();
            }
        }
        if let Some(name) = &self.start_at_task {
            let mut start = StartAt::new(name);
            for play in &mut plays {
                start.apply(play);
            }
            if !start.is_found() {
                let error = CommandError::failed(format!("no task is called `{name}`"));
                return Err(
                    error.hint("Nothing was done. `--list-tasks` lists the tasks. Included files are not searched.")
                );
            }
        }
        Ok((playbooks, reads_facts.get()))
    }

    /// Finds the hosts of the playbooks. Playbooks in one folder have the same inventory.
    fn books(
        &self,
        context: &Context,
        playbooks: Vec<Playbook>,
        (extra, limit): (&Arc<Vars>, Option<&str>),
    ) -> Result<Vec<Book>, CommandError> {
        let mut books: Vec<Book> = Vec::new();
        for (file, playbook) in self.files.iter().zip(playbooks) {
            let known = books.iter().find(|book| book.playbook.folder() == playbook.folder());
            let mut inventory = if let Some(book) = known {
                (*book.inventory).clone()
            } else {
                let patterns = playbook.plays.iter().map(|play| play.hosts.as_str());
                context.hosts_of(Some(playbook.folder()), extra, patterns)?
            };
            hosts::add_localhost(&playbook, &mut inventory, extra);
            let hosts = hosts::choose(&playbook, &inventory, extra, limit)?;
            books.push(Book { file: file.clone(), playbook, inventory: Arc::new(inventory), hosts });
        }
        if limit.is_some() && books.iter().flat_map(|book| &book.hosts).all(Vec::is_empty) {
            return Err(CommandError::failed("the hosts of the plays and --limit leave no host"));
        }
        Ok(books)
    }
}

impl Book {
    /// Reports whether a text beside those that were read may read facts.
    fn reads_facts(&self) -> bool {
        fact_use::beside(&self.playbook) || fact_use::in_inventory(&self.inventory)
    }

    /// Returns the hosts of all plays.
    fn played(&self) -> impl Iterator<Item = &Host> {
        let played = self.hosts.iter().flatten().filter_map(|name| self.inventory.hosts.get(name));
        played.map(|host| (host.name.as_str(), host)).collect::<BTreeMap<_, _>>().into_values()
    }
}

/// Prints what the plays would do.
fn list(play: &Play, books: &[Book], tags: &[Vec<std::collections::BTreeSet<String>>]) {
    let listed = books.iter().zip(tags).map(|(book, tags)| Listed {
        file: &book.file,
        playbook: &book.playbook,
        hosts: &book.hosts,
        tags,
    });
    if play.output.is_some() {
        ui::json(&listing_json(listed));
    } else {
        ui::result(&ui::clean(&listed.map(|listed| play.listing.text(&listed)).collect::<String>()));
    }
}

impl Run<'_> {
    /// Runs the playbooks one after the other and prints what they do. One that does not succeed is the last. Returns also
    /// what they have done.
    async fn play(&self, context: &Context, books: &[Book]) -> Result<(ExitStatus, Output), CommandError> {
        for book in books {
            let executor = self.executor(book, &|_, _| Vec::new());
            executor.check_serial(&book.playbook).map_err(CommandError::usage)?;
            executor.check_become(&book.playbook, &book.hosts).map_err(|why| {
                CommandError::usage(why)
                    .hint("Nothing was done. Log in as that user, or use `sudo -u` in the commands.")
            })?;
        }
        let is_scheduled = self.play.schedule.scheduled;
        let played: BTreeMap<&str, &Host> =
            books.iter().flat_map(Book::played).map(|host| (host.name.as_str(), host)).collect();
        inventory::print_notes(played.into_values().filter(|_| !is_scheduled));
        let logs = self.play.log_folder.clone().map(|folder| {
            let failed = format!("cannot make the folder {}", folder.display());
            HostLogs::open(folder).map_err(|error| CommandError::failed(failed).caused_by(error))
        });
        let (document, failures) = (JsonCallback::default(), Failures::default());
        let (report, warnings) = (Report::beside(here()), TaskWarnings::default());
        let mut output = Output { document, report, failures, logs: logs.transpose()?, warnings };
        let (mut results, mut status) = (Results::default(), ExitStatus::Done);
        for book in books {
            status = self.play_book(context, book, &mut results, &mut output).await;
            if status != ExitStatus::External(0) {
                break;
            }
        }
        if self.play.output.is_some() && !(is_scheduled && is_quiet(status, &output.report)) {
            ui::json(&std::mem::take(&mut output.document).into_json());
        }
        // The document and the report have the places too.
        if self.play.output.is_none() && !is_scheduled && matches!(status, ExitStatus::External(_)) {
            let failed: Vec<_> = output.failures.lines(&here()).into_iter().map(CommandError::failed).collect();
            ui::report(&failed);
        }
        Ok((status, output))
    }

    /// Runs the playbooks as the only run of their schedule, adds the run to the history, and prints a report if something
    /// changed or failed.
    async fn play_scheduled(&self, context: &Context, schedule: &Schedule, books: &[Book]) -> CommandResult {
        if let Some(jitter) = self.play.schedule.jitter {
            tokio::select! {
                () = tokio::time::sleep(part_of(jitter)) => {}
                () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
            }
        }
        let began = self.clock.now();
        let _only = schedule.begin(began)?;
        let (status, output) = self.play(context, books).await?;
        let past = PastRun::new(began, self.clock.now().since(began), status.code(), &output.report);
        if let Err(error) = schedule.record(&past) {
            ui::warn(&format!("the run was not added to the history: {error}"));
        }
        if self.play.output.is_none() && !is_quiet(status, &output.report) {
            ui::result(&ui::clean(&format!("{}{}", past.summary(&self.play.files), output.report.text())));
        }
        Ok(status)
    }

    /// Returns the executor for a playbook.
    fn executor<'e>(
        &'e self,
        book: &Book,
        choose: &'e (dyn Fn(&Inventory, &play::Play) -> Vec<String> + Sync),
    ) -> Executor<'e> {
        Executor {
            inventory: Arc::clone(&book.inventory),
            remote: self.remote,
            cluster: Some(self.cluster),
            extra: Arc::clone(&self.extra),
            choose,
            check: self.play.check,
            diff: self.play.diff,
            password: self.password.clone(),
            environment: settings::environment(),
            options: self.options,
            step: self.play.step.then(|| Step::new(ui::ask)),
            selection: self.selection.clone(),
            forks: self.forks,
            limit: self.play.limit.clone(),
            verbosity: u8::from(terminal::is_verbose()),
            running: Running::default(),
        }
    }

    /// Runs a playbook until the operator interrupts it.
    async fn play_book(
        &self,
        context: &Context,
        book: &Book,
        results: &mut Results,
        output: &mut Output,
    ) -> ExitStatus {
        let choose = |inventory: &Inventory, play: &play::Play| {
            // The patterns were checked before the run.
            let Ok(allowed) = hosts::allowed(inventory, self.limit.as_deref()) else { return Vec::new() };
            hosts::hosts_of(play, inventory, &self.extra, allowed.as_ref())
                .map_or_else(|_| Vec::new(), |(hosts, _)| hosts)
        };
        let executor = self.executor(book, &choose);
        let (is_json, verbose) = (self.play.output.is_some(), terminal::is_verbose());
        let mut tell = |event: &Event<'_>| {
            let Output { document, report, failures, logs, warnings } = &mut *output;
            if let Some(logs) = logs {
                logs.handle(event, self.clock.now());
            }
            report.handle(event);
            failures.handle(event);
            if !self.play.schedule.scheduled {
                warnings.show(event);
            }
            match (is_json, self.play.schedule.scheduled) {
                (true, _) => document.handle(event, self.clock.now()),
                (false, true) => {}
                (false, false) => ui::result(&ui::clean(&default::render(event, verbose))),
            }
        };
        let run = executor.play_after(results, &book.playbook, book.hosts.clone(), &mut tell);
        context.play(&executor.running, run).await
    }
}

/// Reports whether a scheduled run has nothing to tell.
fn is_quiet(status: ExitStatus, report: &Report) -> bool {
    status.code() == 0 && report.is_quiet()
}

/// Returns a random part of a time. Without a random number it is the whole time.
fn part_of(time: Duration) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(getrandom::u64().map_or(millis, |random| random % millis.saturating_add(1).max(1)))
}

/// Returns the current folder.
fn here() -> PathBuf {
    std::path::absolute(".").unwrap_or_default()
}

/// Names the file of a fault as it is seen from the current folder.
fn shown_beside(fault: Diagnostic) -> Diagnostic {
    fault.seen_from(&here())
}
