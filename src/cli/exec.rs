//! `muster exec`: one command on many hosts, at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::json;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::inventory;
use crate::core::model::Failure;
use crate::core::model::FailureKind;
use crate::core::model::Phase;
use crate::inventory::Host;
use crate::inventory::Vars;
use crate::playbook::become_root;
use crate::playbook::kept::Kept;
use crate::playbook::magic;
use crate::playbook::outcome::Outcome;
use crate::playbook::outcome::Status;
use crate::playbook::reach;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Remote;
use crate::remote::Sink;
use crate::remote::Target;
use crate::ui;

/// How long a line may get before it is shown in parts, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// How much is kept of what a host prints where it is shown at the end, in bytes; of each stream with `-o json`.
const KEPT: usize = 1 << 20;

/// Ansible's exit code for a command that failed on a host.
const FAILED: u8 = 2;

/// Ansible's exit code for a host that could not be reached.
const UNREACHABLE: u8 = 4;

/// Run a command on hosts of the inventory
#[derive(Debug, clap::Args)]
pub(super) struct Exec {
    /// Which hosts: names, groups, globs, `~regex`, joined with `:`, `:&`, `:!` or `,`
    pattern: String,
    /// What to run; each word reaches the host as one word
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
    /// Give the words to the host's shell as they are, joined by blanks: pipes, variables and globs work there
    #[arg(long)]
    shell: bool,
    /// Run as root: as it is when we log in as root, by `sudo -n` otherwise
    #[arg(long, short = 'b', alias = "root")]
    r#become: bool,
    /// Show what several hosts print alike once, when all have ended
    #[arg(long, conflicts_with = "output")]
    fold: bool,
    /// Print one JSON document at the end instead of lines: for each of the `hosts` its `rc`, `stdout` and `stderr`, or
    /// `msg` with what went wrong
    #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    /// Give up on a host after this long, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,
    /// On how many hosts at once
    #[arg(long, short = 'f', default_value_t = 32, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    forks: u16,
}

pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let friendly = || text.parse::<jiff::SignedDuration>().ok().and_then(|time| time.try_into().ok());
    let time = seconds.or_else(friendly).filter(|time: &Duration| !time.is_zero());
    time.ok_or_else(|| "write a time such as 30s or 5m".to_owned())
}

/// Cuts what comes from a host into lines, and shows them where they come: a reader that is slow makes the hosts wait, so
/// that nothing piles up here.
struct Lines<'a> {
    host: &'a str,
    partial: [Vec<u8>; 2],
    /// Where lines go instead, to be shown at the end.
    fold: Option<Fold>,
}

/// The first of what a host printed, and how many bytes came after that.
#[derive(Debug, Default)]
struct Fold {
    text: Vec<u8>,
    dropped: usize,
}

impl Fold {
    fn take(&mut self, line: &[u8]) {
        if self.dropped == 0 && self.text.len() + line.len() < KEPT {
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
            Some(shown) if error => ui::remark(shown),
            Some(_) => ui::result(&ui::clean(&shown)),
            None => {}
        }
    }

    /// Shows what the host ended without the end of a line, and returns what is to be shown at the end.
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

/// How the command ended on a host, and what the host printed that is still to be shown.
struct Ended {
    host: String,
    exit: Result<Exit, Failure>,
    fold: Option<Fold>,
    /// The result as `register` would keep it.
    outcome: Outcome,
}

impl Exec {
    /// Returns what the host's shell is given.
    fn line(&self) -> Result<String, CommandError> {
        if self.shell {
            return Ok(self.command.join(" "));
        }
        let words = self.command.iter().map(String::as_str);
        shlex::try_join(words).map_err(|error| CommandError::usage("invalid command").caused_by(error))
    }

    /// Says whether to be root on a host.
    fn root(&self, all: &Arc<Vars>, host: &Host) -> Result<bool, CommandError> {
        let own = [Layer::written(Arc::new(host.vars.clone())), Layer::data(Arc::new(magic::of_host(host)))];
        let scope = Scope::new([Layer::data(Arc::clone(all))].into_iter().chain(own).collect());
        let wanted = become_root::wanted(&scope, self.r#become);
        wanted.map_err(|why| CommandError::usage(format!("host {}: {why}", host.name)))
    }

    async fn on(&self, remote: &dyn Remote, target: Target, command: Command) -> Ended {
        let (exit, fold, printed);
        if self.output.is_some() {
            let mut kept = Kept::up_to(KEPT);
            exit = remote.run(&target, &command, &mut kept).await;
            (fold, printed) = (None, kept.into_vars());
        } else {
            let mut lines = Lines::of(&target.name, self.fold);
            exit = remote.run(&target, &command, &mut lines).await;
            (fold, printed) = (lines.end(), Vars::new());
        }
        let outcome = outcome(&exit, printed, self.timeout);
        Ended { host: target.name, exit, fold, outcome }
    }
}

/// Runs `muster exec …`.
pub(super) async fn run(context: &Context, exec: Exec) -> CommandResult {
    let inventory = context.inventory(None)?;
    let hosts = inventory.select(&exec.pattern)?;
    if hosts.is_empty() {
        return Err(CommandError::usage(format!("`{}` stands for no host", exec.pattern)));
    }
    let line = exec.line()?;
    let all = Arc::new(magic::of_all(&inventory));
    let errand = |host: &&Host| {
        let root = exec.root(&all, host)?;
        let command = Command { line: line.clone(), stdin: Vec::new(), root, limit: exec.timeout };
        Ok((host.target()?, command))
    };
    let errands = hosts.iter().map(errand).collect::<Result<Vec<_>, CommandError>>()?;
    inventory::note(hosts);
    let remote = context.remote()?;
    let under_way = stream::iter(errands.into_iter().map(|(target, command)| exec.on(&*remote, target, command)));
    let under_way = under_way.buffer_unordered(usize::from(exec.forks)).collect::<Vec<_>>();
    let mut ended = tokio::select! {
        ended = under_way => ended,
        () = context.stop.cancelled() => return Ok(ExitStatus::Interrupted),
    };
    remote.close(Duration::from_secs(2)).await;
    ended.sort_by_key(|ended| inventory.hosts.get_index_of(&ended.host));
    if exec.output.is_some() {
        let hosts: Vars = ended.iter().map(|end| (end.host.clone(), end.outcome.to_vars().into())).collect();
        ui::json(&json!({ "hosts": hosts }));
    } else {
        show_alike(&mut ended);
        remark(&ended, exec.timeout);
    }
    let any = |status: Status| ended.iter().any(|end| end.outcome.status == status);
    match (any(Status::Failed), any(Status::Unreachable)) {
        (false, false) => Ok(ExitStatus::Done),
        (true, false) => Ok(ExitStatus::External(FAILED)),
        (_, true) => Ok(ExitStatus::External(UNREACHABLE)),
    }
}

/// Shows what hosts printed, what is alike once, what most of them printed first.
fn show_alike(ended: &mut [Ended]) {
    let mut alike: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for end in ended {
        let Some(fold) = end.fold.take() else { continue };
        if fold.dropped > 0 {
            let (kept, dropped) = (fold.text.len(), fold.dropped);
            ui::remark(&format!(
                "{}: {dropped} bytes of its output were dropped, all after the first {kept}",
                end.host
            ));
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

/// Says whether a failure is that the command took longer than it may.
fn too_slow(failure: &Failure, timeout: Option<Duration>) -> Option<String> {
    let limit = timeout.filter(|_| failure.phase == Phase::Run && failure.kind == FailureKind::Silent)?;
    Some(format!("did not end in {} s", limit.as_secs_f32()))
}

/// Returns the result of a command that printed this.
fn outcome(exit: &Result<Exit, Failure>, printed: Vars, timeout: Option<Duration>) -> Outcome {
    let failure = match exit {
        Ok(exit) => return reach::ended(exit, printed),
        Err(failure) => failure,
    };
    let failed = too_slow(failure, timeout).map_or_else(|| Outcome::of_failure(failure), Outcome::failed);
    let detail = printed.into_iter().chain(failed.detail).collect();
    Outcome { detail, ..failed }
}

/// Says how it ended where it did not end well, and how often.
fn remark(ended: &[Ended], timeout: Option<Duration>) {
    for Ended { host, exit, .. } in ended {
        match exit {
            Ok(Exit::Code(0)) => {}
            Ok(Exit::Code(code)) => ui::remark(&format!("{host}: exit code {code}")),
            Ok(Exit::Signal(signal)) => ui::remark(&format!("{host}: killed by signal {signal}")),
            Err(failure) => {
                if let Some(slow) = too_slow(failure, timeout) {
                    ui::remark(&format!("{host}: {slow}"));
                    continue;
                }
                ui::remark(&failure.to_string());
                if let Some(hint) = &failure.hint {
                    ui::remark(&format!("{host}: {hint}"));
                }
            }
        }
    }
    let count = |status: Status| ended.iter().filter(|end| end.outcome.status == status).count();
    let (failed, unreachable) = (count(Status::Failed), count(Status::Unreachable));
    let hosts = if ended.len() == 1 { "host" } else { "hosts" };
    let well = ended.len() - failed - unreachable;
    ui::remark(&format!("{} {hosts}: {well} ok, {failed} failed, {unreachable} unreachable", ended.len()));
}

#[cfg(test)]
mod tests {
    use super::KEPT;
    use super::Lines;
    use crate::remote::Sink as _;

    #[test]
    fn what_is_kept_for_the_end_is_bounded_and_the_rest_is_counted() {
        let mut lines = Lines::of("h1", true);
        lines.stdout(b"a\r\n");
        lines.stderr(b"b");
        let block = "c".repeat(1023) + "\n";
        for _ in 0..2 * (KEPT >> 10) {
            lines.stdout(block.as_bytes());
        }
        lines.stdout(b"d\n");
        let fold = lines.end().unwrap();
        assert!(fold.text.starts_with(b"a\nccc") && fold.text.len() <= KEPT, "{}", fold.text.len());
        assert!(fold.text.ends_with(b"c\n"), "a line is kept whole or not at all, and none after one that was dropped");
        let all = 2 + 2 * KEPT + 2 + 2;
        assert_eq!(fold.text.len() + fold.dropped, all);
    }
}
