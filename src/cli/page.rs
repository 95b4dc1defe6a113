//! `muster ui`: serves the page to the browser of the operator, with or without a controller.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::watch;

use super::Context;
use super::controller::leader_settings;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::failover_args::FailoverPolicyArgs;
use super::settings::LockArgs;
use super::settings::SettleArgs;
use super::unit_commands::LOCK_WAIT;
use super::variables;
use crate::api;
use crate::api::Api;
use crate::api::carrying_out::CarryingOut;
use crate::api::one_time::OneTimeAccess;
use crate::control::read_model::ReadModel;
use crate::runner::Supervision;
use crate::ui;
use crate::ui::messages;

/// How long the operations that are under way may take to end after an interruption.
const END_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct PageArgs {
    /// The port on 127.0.0.1; 0 means a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Open no browser
    #[arg(long)]
    no_open: bool,
    #[command(flatten)]
    settle: SettleArgs,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    failover: FailoverPolicyArgs,
}

/// Runs `muster ui`.
pub(super) async fn page(context: &Context, args: &PageArgs) -> CommandResult {
    let supervision = Supervision::fixed(leader_settings(context, &args.failover)?);
    let cluster = context.cluster().await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await;
    let refused =
        |error| CommandError::usage(format!("--port: cannot listen on 127.0.0.1:{}", args.port)).caused_by(error);
    let listener = listener.map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    let (access, address) = OneTimeAccess::new(port)
        .map_err(|error| CommandError::failed("there is no random number for the address").caused_by(error))?;
    let carrying_out =
        CarryingOut::new(args.lock.wait(&context.settings, LOCK_WAIT), args.settle.time(&context.settings));
    let (model, view) = ReadModel::new(&cluster.store, &cluster.keys, cluster.clock);
    // The browser of this user is the only client.
    let (_, access_list) = watch::channel(Arc::default());
    let api = Api::new(cluster.clone(), view, supervision, access_list, context.stop.clone());
    let api = api.that_carries_out(carrying_out.clone());
    ui::result(&format!("{address}\n"));
    ui::status(messages::PAGE_IS_SERVED);
    let opened = if args.no_open { None } else { open(&address) };
    tokio::select! {
        () = model.run_and_look(&cluster) => {}
        () = api::serve_guarded(listener, api, Arc::new(access)) => {}
    }
    drop(opened);
    let ended = tokio::time::timeout(END_LIMIT, carrying_out.end()).await;
    cluster.remote.close(Duration::from_millis(200)).await;
    Ok(if ended.is_ok() { ExitStatus::Done } else { ExitStatus::Interrupted })
}

/// A file that leads a browser to the address. It is removed when this is dropped.
struct Doorway(PathBuf);

impl Drop for Doorway {
    fn drop(&mut self) {
        // Drop cannot report an error.
        let _ = fs::remove_file(&self.0);
    }
}

/// Opens the address in the browser of a desktop, if there is one. The address reaches the browser in a file that only this user can
/// read: all users of this host see the arguments of its processes.
fn open(address: &str) -> Option<Doorway> {
    if !["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(variables::is_set) {
        return None;
    }
    match doorway(&std::env::temp_dir(), address) {
        Ok(doorway) => {
            let mut browser = Command::new("xdg-open");
            browser.arg(&doorway.0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if let Err(error) = browser.spawn() {
                ui::note(&format!("no browser was opened: xdg-open: {error}"));
            }
            Some(doorway)
        }
        Err(error) => {
            ui::note(&format!("no browser was opened: {error}"));
            None
        }
    }
}

fn doorway(folder: &Path, address: &str) -> io::Result<Doorway> {
    let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
    let path = folder.join(format!("muster-ui-{number:016x}.html"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let doorway = Doorway(path);
    writeln!(file, "<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={address}\"><title>muster</title>")?;
    Ok(doorway)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_this_user_can_read_the_address_that_a_browser_gets() {
        let folder = tempfile::tempdir().unwrap();
        let doorway = doorway(folder.path(), "http://127.0.0.1:1/#key=ab").unwrap();
        let path = doorway.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().contains("url=http://127.0.0.1:1/#key=ab\""));
        drop(doorway);
        assert!(!path.exists());
    }
}
