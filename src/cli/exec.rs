//! `muster exec`: one command on many hosts, at once.

mod module;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::json;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::duration;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::extra_vars::ExtraVars;
use super::inventory;
use super::user_args::ForksArgs;
use super::user_args::UserArgs;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::inventory::Host;
use crate::inventory::Inventory;
use crate::inventory::Vars;
use crate::playbook::host_connection;
use crate::playbook::magic_variables;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::run_as;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::remote::CapturedOutput;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Password;
use crate::remote::Remote;
use crate::remote::RunAs;
use crate::remote::Sink;
use crate::remote::Target;
use crate::remote::ssh::Deadlines;
use crate::ui;
use crate::ui::messages;

/// The length at which a line is printed in parts, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// How much output of a host is kept for printing at the end, in bytes; with `-o json` of each stream.
const OUTPUT_LIMIT: usize = 1 << 20;

/// Ansible's exit code for a command that failed on a host.
const FAILED: u8 = 2;

/// Ansible's exit code for a host that could not be reached.
const UNREACHABLE: u8 = 4;

/// Run a command or a module on hosts of the inventory
///
/// A command after `--` is run as it is, and its lines are printed as they come. With -m or -a, the module of a playbook runs
/// as a task, and its results are printed as ansible prints them.
///
/// The exit code is that of ansible: 0 if the command ended with 0 on every host, 2 if it failed on a host, 4 if a host
/// was unreachable.
#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// Hosts: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    pattern: String,
    /// The command and its arguments; the host gets each word unchanged
    #[arg(last = true, required_unless_present_any = ["module", "args"], value_name = "CMD")]
    command: Vec<String>,
    /// Run this module; `muster doc -l` lists them [default: command, if -a is given]
    #[arg(long, short = 'm', alias = "module-name", value_name = "MODULE", conflicts_with = "command")]
    module: Option<String>,
    /// The arguments of the module: on one line as in a playbook, or as JSON
    #[arg(long, short = 'a', value_name = "ARGS", conflicts_with = "command")]
    args: Option<String>,
    /// Change nothing and print what the module would do
    #[arg(long, short = 'C', conflicts_with = "command")]
    check: bool,
    /// Show what changes: the lines of files, and the attributes of paths
    #[arg(long, short = 'D', conflicts_with = "command")]
    diff: bool,
    #[command(flatten)]
    extra: ExtraVars,
    /// Join the words with blanks and pass them to the shell of the host, so that pipes, variables and globs work
    #[arg(long, conflicts_with_all = ["module", "args"])]
    shell: bool,
    #[command(flatten)]
    user: UserArgs,
    /// Print output that is equal on several hosts once, after all hosts have ended
    #[arg(long, conflicts_with_all = ["output", "module", "args"])]
    fold: bool,
    /// Print one JSON document at the end instead of lines
    ///
    /// It has `hosts`, and for each host `rc`, `stdout` and `stderr`, or `msg` with the error; of a module, its result.
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    /// Give up on a host if the command, or a step of the connection, takes longer: at least 1s [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = duration::within(1..=u32::MAX.into()))]
    timeout: Option<Duration>,
    #[command(flatten)]
    forks: ForksArgs,
}

/// Cuts the output of a host into lines and prints them as they come. A slow reader makes the hosts wait, so that no
/// output accumulates here.
struct Lines<'a> {
    host: &'a str,
    partial: [Vec<u8>; 2],
    /// Where lines are kept instead, to be printed at the end.
    fold: Option<Fold>,
}

/// The beginning of the output of a host, and how many bytes came after it.
#[derive(Debug, Default)]
struct Fold {
    text: Vec<u8>,
    dropped: usize,
}

impl Fold {
    fn take(&mut self, line: &[u8]) {
        if self.dropped == 0 && self.text.len() + line.len() < OUTPUT_LIMIT {
            self.text.extend_from_slice(line);
            self.text.push(b'\n');
        } else {
            self.dropped += line.len() + 1;
        }
    }
}

impl<'a> Lines<'a> {
    fn of(host: &'a str, fold: bool) -> Self {
        Self { host, partial: Default::default(), fold: fold.then(Fold::default) }
    }

    fn take(&mut self, error: bool, bytes: &[u8]) {
        let [out, err] = &mut self.partial;
        let partial = if error { err } else { out };
        let mut whole = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= LINE_LIMIT {
                whole.push(std::mem::take(partial));
            }
        }
        self.put(error, &whole);
    }

    fn put(&mut self, error: bool, lines: &[Vec<u8>]) {
        let mut shown = String::new();
        for line in lines {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(fold) = &mut self.fold {
                fold.take(line);
            } else {
                shown.push_str(&format!("{}: {}\n", self.host, String::from_utf8_lossy(line)));
            }
        }
        match shown.strip_suffix('\n') {
            Some(shown) if error => ui::error_output(shown),
            Some(_) => ui::result(&ui::clean(&shown)),
            None => {}
        }
    }

    /// Prints an unfinished line, and returns the output that is to be printed at the end.
    fn end(mut self) -> Option<Fold> {
        for (error, text) in [false, true].into_iter().zip(std::mem::take(&mut self.partial)) {
            if !text.is_empty() {
                self.put(error, &[text]);
            }
        }
        self.fold
    }
}

impl Sink for Lines<'_> {
    fn stdout(&mut self, bytes: &[u8]) {
        self.take(false, bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.take(true, bytes);
    }
}

/// How the command ended on a host, and its output that is still to be printed.
struct Ended {
    host: String,
    exit: Result<Exit, Failure>,
    fold: Option<Fold>,
    /// The result as `register` would record it.
    outcome: Outcome,
}

impl Exec {
    /// Returns the script for the host. As the login user, `--shell` is about that user's shell.
    fn script(&self, is_other: bool) -> Result<String, CommandError> {
        let invalid = |error| CommandError::usage("invalid command").caused_by(error);
        if !self.shell {
            return shlex::try_join(self.command.iter().map(String::as_str)).map_err(invalid);
        }
        let line = self.command.join(" ");
        if is_other {
            return Ok(line);
        }
        Ok(format!("exec \"${{SHELL:-sh}}\" -c {}", shlex::try_quote(&line).map_err(invalid)?))
    }

    /// Returns the user that runs the command on a host; `None` for the login user.
    fn run_as(
        &self,
        (inventory, all): (&Inventory, &Arc<Vars>),
        host: &Host,
        password: Option<&Password>,
    ) -> Result<Option<RunAs>, CommandError> {
        let own = [Layer::written(Arc::clone(&host.vars)), Layer::data(Arc::new(magic_variables::of_host(host)))];
        let scope = Scope::new([Layer::data(Arc::clone(all))].into_iter().chain(own).collect());
        let scope = scope.with_vault(&inventory.vault);
        let wanted = run_as::run_as(&scope, &self.user.wanted(), password);
        wanted.map_err(|why| CommandError::usage(format!("host {}: {why}", host.name)))
    }

    async fn on(&self, remote: &dyn Remote, target: Target, command: Command) -> Ended {
        let (exit, fold, printed);
        if self.output.is_some() {
            let mut output = CapturedOutput::with_limit(OUTPUT_LIMIT);
            exit = remote.exec(&target, &command, &mut output).await;
            (fold, printed) = (None, output.into_vars());
        } else {
            let mut lines = Lines::of(&target.name, self.fold);
            exit = remote.exec(&target, &command, &mut lines).await;
            (fold, printed) = (lines.end(), Vars::new());
        }
        let outcome = outcome(&exit, printed, self.timeout);
        Ended { host: target.name, exit, fold, outcome }
    }
}

/// Runs `muster exec …`.
pub(super) async fn run(context: &Context, mut exec: Exec) -> CommandResult {
    let config = AnsibleConfig::read()?;
    exec.user.take_defaults(&config);
    let context = &exec.user.context(&config.context(context), true)?;
    let extra = exec.extra.read(&*context.vault()?)?;
    let mut inventory = context.hosts_of(None, &extra, [exec.pattern.as_str()])?;
    inventory.add_local(&exec.pattern);
    let hosts = inventory.select(&exec.pattern)?;
    if hosts.is_empty() {
        return Err(CommandError::usage(format!("no host matches `{}`", exec.pattern)));
    }
    let forks = exec.forks.count(&config);
    let remote = context.ssh_within(Deadlines::default().at_most(exec.timeout.unwrap_or(Duration::MAX)))?;
    if exec.command.is_empty() {
        return module::run(context, &exec, (inventory, extra), forks).await;
    }
    let all = Arc::new(magic_variables::of_all(&inventory));
    let password = exec.user.password()?;
    let order = |host: &&Host| {
        let run_as = exec.run_as((&inventory, &all), host, password.as_ref())?;
        let script = exec.script(run_as.is_some())?;
        let command = Command { script, run_as, limit: exec.timeout, ..Command::default() };
        Ok((exec.user.target(host.target()?), command))
    };
    let orders = hosts.iter().map(order).collect::<Result<Vec<_>, CommandError>>()?;
    inventory::print_notes(hosts.iter().copied());
    let runs = stream::iter(orders.into_iter().map(|(target, command)| exec.on(&*remote, target, command)));
    let mut ended = Vec::new();
    let is_interrupted = {
        let mut runs = pin!(runs.buffer_unordered(forks));
        loop {
            tokio::select! {
                end = runs.next() => match end {
                    Some(end) => ended.push(end),
                    None => break false,
                },
                () = context.stop.cancelled() => break true,
            }
        }
    };
    remote.close(Duration::from_secs(2)).await;
    ended.sort_by_key(|ended| inventory.hosts.get_index_of(&ended.host));
    if exec.output.is_some() {
        ui::json(&json!({ "hosts": document(&hosts, &ended) }));
    } else {
        show_alike(&mut ended);
        summarise(&ended, exec.timeout);
    }
    if is_interrupted {
        warn_of_running(&hosts, &ended, forks);
        return Ok(ExitStatus::Interrupted);
    }
    let any = |status: Status| ended.iter().any(|end| end.outcome.status == status);
    match (any(Status::Failed), any(Status::Unreachable)) {
        (false, false) => Ok(ExitStatus::Done),
        (true, false) => Ok(ExitStatus::External(FAILED)),
        (_, true) => Ok(ExitStatus::External(UNREACHABLE)),
    }
}

/// Says on which hosts the command may go on after an interrupt, and on how many it was not started. Commands start in the
/// order of the hosts, as many at a time as there are forks.
fn warn_of_running(hosts: &[&Host], ended: &[Ended], forks: usize) {
    let started = hosts.len().min(ended.len() + forks);
    let has_ended = |host: &&&Host| ended.iter().any(|end| end.host == host.name);
    let running = hosts.iter().take(started).filter(|host| !has_ended(host));
    let running: Vec<String> = running.map(|host| host.name.clone()).collect();
    if !running.is_empty() {
        ui::warn(&messages::interrupted("the command", &running));
    }
    if started < hosts.len() {
        ui::warn(&messages::not_started(hosts.len() - started));
    }
}

/// Returns the results of all hosts. A host whose command had not ended failed because of the interrupt.
fn document(hosts: &[&Host], ended: &[Ended]) -> Vars {
    let result = |host: &&Host| {
        let end = ended.iter().find(|end| end.host == host.name);
        let outcome = end.map_or_else(|| Outcome::failed("interrupted"), |end| end.outcome.clone());
        (host.name.clone(), outcome.to_vars().into())
    };
    hosts.iter().map(result).collect()
}

/// Prints the output of the hosts, equal output once, the most frequent first.
fn show_alike(ended: &mut [Ended]) {
    let mut alike: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for end in ended {
        let Some(fold) = end.fold.take() else { continue };
        if fold.dropped > 0 {
            let (kept, dropped) = (fold.text.len(), fold.dropped);
            ui::warn(&messages::output_dropped(&end.host, dropped, kept));
        }
        if !fold.text.is_empty() {
            alike.entry(fold.text).or_default().push(end.host.clone());
        }
    }
    let mut groups: Vec<_> = alike.into_iter().collect();
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.1.cmp(&b.1)));
    for (text, mut hosts) in groups {
        hosts.sort();
        let rule = "-".repeat(16);
        let count = if hosts.len() > 1 { format!(" ({})", hosts.len()) } else { String::new() };
        let head = format!("{rule}\n{}{count}\n{rule}\n", hosts.join(","));
        ui::result(&ui::clean(&format!("{head}{}", String::from_utf8_lossy(&text))));
    }
}

/// Returns the message for a command that exceeded its time limit, if the failure is that.
fn too_slow(failure: &Failure, timeout: Option<Duration>) -> Option<String> {
    let limit = timeout.filter(|_| failure.phase == Phase::Run && failure.kind == FailureKind::Silent)?;
    Some(format!("did not end in {} s", limit.as_secs_f32()))
}

/// Returns the result of a command with this output.
fn outcome(exit: &Result<Exit, Failure>, printed: Vars, timeout: Option<Duration>) -> Outcome {
    let failure = match exit {
        Ok(exit) => return host_connection::command_outcome(exit, printed),
        Err(failure) => failure,
    };
    let failed = too_slow(failure, timeout).map_or_else(|| Outcome::of_failure(failure), Outcome::failed);
    let detail = printed.into_iter().chain(failed.detail).collect();
    Outcome { detail, ..failed }
}

/// Prints how the command ended on each host where it failed, and the counts.
fn summarise(ended: &[Ended], timeout: Option<Duration>) {
    let mut hints: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Ended { host, exit, .. } in ended {
        match exit {
            Ok(Exit::Code(0)) => {}
            Ok(Exit::Code(code)) => ui::error_output(&messages::exit_code(host, code)),
            Ok(Exit::Signal(signal)) => ui::error_output(&messages::killed(host, signal)),
            Err(failure) => {
                if let Some(slow) = too_slow(failure, timeout) {
                    ui::error_output(&format!("{host}: {slow}"));
                    continue;
                }
                ui::error_output(&failure.to_string());
                if let Some(hint) = &failure.hint {
                    hints.entry(hint).or_default().push(host);
                }
            }
        }
    }
    for (hint, hosts) in hints {
        let host = if let [host] = hosts.as_slice() { format!("{host}: ") } else { String::new() };
        ui::error_output(&format!("Hint: {host}{hint}"));
    }
    let count = |status: Status| ended.iter().filter(|end| end.outcome.status == status).count();
    let (failed, unreachable) = (count(Status::Failed), count(Status::Unreachable));
    ui::status(&messages::host_counts(ended.len() - failed - unreachable, failed, unreachable));
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use super::OUTPUT_LIMIT;
    use crate::remote::Sink as _;

    #[test]
    fn output_for_the_end_is_bounded_and_the_rest_is_counted() {
        let mut lines = Lines::of("h1", true);
        lines.stdout(b"a\r\n");
        lines.stderr(b"b");
        let block = "c".repeat(1023) + "\n";
        for _ in 0..2 * (OUTPUT_LIMIT >> 10) {
            lines.stdout(block.as_bytes());
        }
        lines.stdout(b"d\n");
        let fold = lines.end().unwrap();
        assert!(fold.text.starts_with(b"a\nccc") && fold.text.len() <= OUTPUT_LIMIT, "{}", fold.text.len());
        assert!(fold.text.ends_with(b"c\n"), "a line is kept whole or not at all, and none after a dropped one");
        let all = 2 + 2 * OUTPUT_LIMIT + 2 + 2;
        assert_eq!(fold.text.len() + fold.dropped, all);
    }
}
