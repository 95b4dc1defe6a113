//! `muster exec`: one command on many hosts, at once.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::Context;
use super::error::CommandError;
use crate::core::evidence::Failure;
use crate::core::evidence::FailureKind;
use crate::core::evidence::Phase;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;
use crate::ui;

/// How long a line may get before it is shown in parts, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// How much of a host's output is kept for `--fold`, in bytes.
const FOLD_LIMIT: usize = 8 << 20;

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
    #[arg(long)]
    fold: bool,
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

/// A line that a host printed.
struct Line {
    host: String,
    error: bool,
    text: Vec<u8>,
}

/// Cuts what comes from a host into lines and sends them on.
struct Lines {
    host: String,
    partial: [Vec<u8>; 2],
    to: mpsc::Sender<Line>,
    waiting: Vec<Line>,
}

impl Lines {
    fn take(&mut self, error: bool, bytes: &[u8]) {
        let [out, err] = &mut self.partial;
        let partial = if error { err } else { out };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || partial.len() >= LINE_LIMIT {
                let mut text = std::mem::take(partial);
                if text.last() == Some(&b'\n') {
                    text.pop();
                }
                self.waiting.push(Line { host: self.host.clone(), error, text });
            }
        }
        self.flush();
    }

    /// Sends what is waiting as far as there is room: a slow terminal must not stop a host's other stream.
    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.waiting);
        for line in lines {
            match self.to.try_send(line) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(line)) => self.waiting.push(line),
                Err(mpsc::error::TrySendError::Closed(_)) => return,
            }
        }
    }

    async fn end(mut self) {
        for (error, text) in [false, true].into_iter().zip(std::mem::take(&mut self.partial)) {
            if !text.is_empty() {
                self.waiting.push(Line { host: self.host.clone(), error, text });
            }
        }
        for line in self.waiting {
            // Nobody listens only when everything is over.
            let _ = self.to.send(line).await;
        }
    }
}

impl Sink for Lines {
    fn stdout(&mut self, bytes: &[u8]) {
        self.take(false, bytes);
    }

    fn stderr(&mut self, bytes: &[u8]) {
        self.take(true, bytes);
    }
}

/// Runs `muster exec …`.
pub(super) async fn run(context: &Context, exec: Exec) -> Result<(), CommandError> {
    let inventory = context.inventory(None)?;
    let hosts = inventory.select(&exec.pattern)?;
    if hosts.is_empty() {
        return Err(CommandError::usage(format!("`{}` stands for no host", exec.pattern)));
    }
    let targets = hosts.iter().map(|host| host.target()).collect::<Result<Vec<_>, _>>()?;
    let line = if exec.shell {
        exec.command.join(" ")
    } else {
        let words = exec.command.iter().map(String::as_str);
        shlex::try_join(words).map_err(|error| CommandError::usage(format!("the command: {error}")))?
    };
    let command = Command { line, stdin: Vec::new(), root: exec.r#become, limit: exec.timeout };
    let remote = context.remote()?;
    let (to, lines) = mpsc::channel(1024);
    let (remote_ref, command) = (&remote, &command);
    let under_way = stream::iter(targets).map(move |target| {
        let to = to.clone();
        async move {
            let mut sink = Lines { host: target.name.clone(), partial: Default::default(), to, waiting: Vec::new() };
            let exit = remote_ref.run(&target, command, &mut sink).await;
            sink.end().await;
            (target.name, exit)
        }
    });
    let under_way = under_way.buffer_unordered(usize::from(exec.forks)).collect::<Vec<_>>();
    let both = async { tokio::join!(under_way, show(lines, exec.fold)).0 };
    let mut ended = tokio::select! {
        ended = both => ended,
        () = context.stop.cancelled() => return Err(CommandError::code(130)),
    };
    remote.close(Duration::from_secs(2)).await;
    ended.sort_by_key(|(name, _)| inventory.hosts.get_index_of(name));
    summarize(&ended, exec.timeout)
}

/// Shows lines as they come, or at the end with what is alike folded.
async fn show(mut lines: mpsc::Receiver<Line>, fold: bool) {
    let mut kept: IndexMap<String, Vec<u8>> = IndexMap::new();
    while let Some(line) = lines.recv().await {
        if fold {
            let text = kept.entry(line.host).or_default();
            if text.len() < FOLD_LIMIT {
                text.extend_from_slice(&line.text);
                text.push(b'\n');
            }
            continue;
        }
        let text = String::from_utf8_lossy(&line.text);
        if line.error {
            ui::remark(&format!("{}: {text}", line.host));
        } else {
            ui::result(&format!("{}: {text}\n", line.host));
        }
    }
    let mut alike: BTreeMap<Vec<u8>, Vec<String>> = BTreeMap::new();
    for (host, text) in kept {
        alike.entry(text).or_default().push(host);
    }
    let mut groups: Vec<_> = alike.into_iter().collect();
    groups.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.1.cmp(&b.1)));
    for (text, mut hosts) in groups {
        hosts.sort();
        let rule = "-".repeat(16);
        let count = if hosts.len() > 1 { format!(" ({})", hosts.len()) } else { String::new() };
        let head = format!("{rule}\n{}{count}\n{rule}\n", hosts.join(","));
        ui::result(&format!("{head}{}", String::from_utf8_lossy(&text)));
    }
}

/// Says how it ended everywhere, and turns that into Ansible's exit codes.
fn summarize(ended: &[(String, Result<Exit, Failure>)], timeout: Option<Duration>) -> Result<(), CommandError> {
    let (mut failed, mut unreachable) = (0, 0);
    for (host, exit) in ended {
        match exit {
            Ok(Exit::Code(0)) => continue,
            Ok(Exit::Code(code)) => ui::remark(&format!("{host}: exit code {code}")),
            Ok(Exit::Signal(signal)) => ui::remark(&format!("{host}: killed by signal {signal}")),
            Err(Failure { phase: Phase::Run, kind: FailureKind::Silent, .. }) if timeout.is_some() => {
                ui::remark(&format!("{host}: did not end in {} s", timeout.unwrap_or_default().as_secs_f32()));
            }
            Err(failure) => {
                ui::remark(&failure.to_string());
                failure.hint.iter().for_each(|hint| ui::remark(&format!("{host}: {hint}")));
                // What is wrong with our own configuration is no host's fault.
                let reached = failure.kind == FailureKind::Sick || failure.phase == Phase::Configure;
                unreachable += usize::from(!reached);
                failed += usize::from(reached);
                continue;
            }
        }
        failed += 1;
    }
    let count = ended.len();
    let hosts = if count == 1 { "host" } else { "hosts" };
    ui::remark(&format!(
        "{count} {hosts}: {} ok, {failed} failed, {unreachable} unreachable",
        count - failed - unreachable
    ));
    match (failed, unreachable) {
        (0, 0) => Ok(()),
        (_, 0) => Err(CommandError::code(2)),
        _ => Err(CommandError::code(4)),
    }
}
