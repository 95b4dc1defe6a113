//! Runs a command on the machine on which muster runs (`ansible_connection: local`), in the same way as on a host.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::sync::oneshot;

use super::command;
use super::failure::ErrorContext;
use super::started::Started;
use crate::core::model::Failure;
use crate::core::model::Phase;
use crate::core::secrets::SECRET_VARIABLES;
use crate::remote::Command;
use crate::remote::Exit;
use crate::remote::Sink;

/// How many bytes are read at once.
const BUFFER: usize = 8 << 10;

/// Runs a command and returns its exit. The command is killed if the call is dropped.
pub(super) async fn run(command: &Command, sink: &mut dyn Sink, host: &str) -> Result<Exit, Failure> {
    let at = ErrorContext { host, phase: Phase::Run };
    let password = command::password_line(command.run_as.as_ref());
    let fed = [command::head(command, at)?.into(), command.stdin.clone()];
    let mut process = tokio::process::Command::new("/bin/sh");
    process.arg("-c").arg(&*command::line(command.run_as.as_ref())).kill_on_drop(true);
    for name in SECRET_VARIABLES {
        process.env_remove(name);
    }
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().map_err(|error| at.local(format!("cannot start /bin/sh: {error}")))?;
    let mut output = Started::new(sink);
    let exchange = exchange(&mut child, (password, fed), &mut output);
    let exit = match command.limit {
        None => exchange.await,
        Some(limit) => tokio::time::timeout(limit, exchange)
            .await
            .map_err(|_| Failure { detail: format!("the command did not end within {limit:?}"), ..at.silent(limit) })?,
    };
    let exit = exit.map_err(|error| at.local(error))?;
    command::refusal(output, command.run_as.as_ref(), host).map_or(Ok(exit), Err)
}

async fn exchange(
    child: &mut Child,
    (password, fed): (Option<Vec<u8>>, [Bytes; 2]),
    output: &mut Started<'_, dyn Sink + '_>,
) -> std::io::Result<Exit> {
    let (mut stdin, mut stdout, mut stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (may_feed, feeds) = oneshot::channel();
    let mut may_feed = Some(may_feed);
    let feed = async move {
        if let Some(stdin) = &mut stdin {
            if let Some(password) = password {
                let _ = stdin.write_all(&password).await;
                // Without a further password, a sudo that refuses the first makes no further attempt.
                if !feeds.await.unwrap_or(false) {
                    return;
                }
            }
            // A command need not read its stdin.
            for bytes in fed {
                let _ = stdin.write_all(&bytes).await;
            }
        }
    };
    let (mut out, mut err) = (vec![0; BUFFER], vec![0; BUFFER]);
    let read = async {
        while stdout.is_some() || stderr.is_some() {
            tokio::select! {
                count = read(&mut stdout, &mut out) => output.stdout(out.get(..count).unwrap_or_default()),
                count = read(&mut stderr, &mut err) => output.stderr(err.get(..count).unwrap_or_default()),
            }
            let (has_started, is_refused) = (output.has_started(), output.is_refused());
            if let Some(may_feed) = may_feed.take_if(|_| has_started || is_refused) {
                let _ = may_feed.send(has_started);
            }
        }
        // Nothing more starts.
        drop(may_feed.take());
    };
    tokio::join!(feed, read);
    let status = child.wait().await?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code.unsigned_abs()),
        (None, signal) => Exit::Signal(signal.map_or_else(String::new, |signal| signal.to_string())),
    })
}

/// Reads from a stream, which becomes `None` at its end. Without a stream it waits for ever.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    let Some(open) = stream else { return std::future::pending().await };
    let count = open.read(buffer).await.unwrap_or(0);
    if count == 0 {
        *stream = None;
    }
    count
}
