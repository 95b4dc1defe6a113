//! `muster discovery`: tokens, their members, and the service by which etcd servers find each other.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::net::TcpListener;

use super::Context;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use crate::core::sanitize;
use crate::discovery::registry;
use crate::discovery::registry::Deletion;
use crate::discovery::service;
use crate::store::layout::Keyspace;
use crate::ui;

/// Make tokens, which name clusters in the store, and run a discovery service for etcd
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Make a token and print it
    New {
        /// Place no unit before this many machines have joined: 1 to 10000
        ///
        /// For the discovery service it is the number of etcd servers that form the cluster.
        #[arg(long, value_name = "N")]
        size: u32,
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
    /// Show the size and the members of a token
    Show {
        /// The token
        // An id of its own: the global option --token has the id `token`.
        #[arg(id = "shown_token", value_name = "TOKEN")]
        token: String,
        /// Print as JSON
        #[arg(long, short = 'o', value_name = "FORMAT", value_parser = ["json"])]
        output: Option<String>,
    },
    /// Remove a token whose cluster has no machines and no units, with its members, its secrets and its event log
    Delete {
        /// The token
        #[arg(id = "deleted_token", value_name = "TOKEN")]
        token: String,
    },
    /// Run a discovery service through which etcd servers find each other (`etcd --discovery URL`)
    Serve {
        /// Listen on this address
        #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8087")]
        listen: SocketAddr,
        /// Begin the URLs of new tokens with this URL [default: the host in the request]
        #[arg(long, value_name = "URL", value_parser = public_url)]
        public_url: Option<String>,
    },
}

fn public_url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let clean =
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()));
    if clean { Ok(text.to_owned()) } else { Err("expected http://HOST[:PORT] or https://HOST[:PORT]".to_owned()) }
}

pub(super) async fn run(context: &Context, args: Args) -> CommandResult {
    match args.verb {
        Verb::New { size, output } => {
            let keys = registry::create(&*context.new_store().await?, size, None).await?;
            match output {
                Some(_) => ui::json(&serde_json::json!({ "token": keys.token(), "size": size })),
                None => ui::result(&format!("{}\n", keys.token())),
            }
            Ok(ExitStatus::Done)
        }
        Verb::Show { token, output } => show(context, &token, output.is_some()).await,
        Verb::Delete { token } => delete(context, &token).await,
        Verb::Serve { listen, public_url } => serve(context, listen, public_url).await,
    }
}

#[derive(Serialize)]
struct Shown {
    token: String,
    size: Option<u32>,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    id: String,
    name: String,
    address: String,
}

fn keyspace(token: &str) -> Result<Keyspace, CommandError> {
    Keyspace::new(token).map_err(|error| CommandError::new(ExitStatus::Usage, error))
}

fn unknown(token: &str) -> CommandError {
    CommandError::failed(format!("there is no token {token} in this store"))
        .hint("Make one with `muster discovery new --size N`, or name its store with `--store`.")
}

async fn delete(context: &Context, token: &str) -> CommandResult {
    match registry::delete(&*context.store().await?, &keyspace(token)?).await? {
        Deletion::Done => {
            ui::result(&format!("deleted {token}\n"));
            Ok(ExitStatus::Done)
        }
        Deletion::Unknown => Err(unknown(token)),
        Deletion::InUse { machines, units } => {
            Err(CommandError::failed(format!("the cluster {token} is in use (machines: {machines}, units: {units})"))
                .hint("Remove the units with `muster destroy` and the machines with `muster leave` first."))
        }
    }
}

async fn show(context: &Context, token: &str, json: bool) -> CommandResult {
    let keys = keyspace(token)?;
    let found = registry::read(&*context.store().await?, &keys).await?.ok_or_else(|| unknown(token))?;
    let member = |entry| {
        let (id, name, address) = registry::parse_member(&keys, entry);
        Member { id, name, address }
    };
    let members = found.members.iter().map(member).collect();
    let shown = Shown { token: token.to_owned(), size: found.size(), members };
    if json {
        ui::json(&shown);
    } else {
        ui::result(&shown.table());
    }
    Ok(ExitStatus::Done)
}

impl Shown {
    fn table(&self) -> String {
        let size = self.size.map_or_else(|| "cannot be read".to_owned(), |size| size.to_string());
        let mut text = format!("size {size}, {} registered\n", self.members.len());
        let width =
            |column: fn(&Member) -> &str| self.members.iter().map(|member| column(member).len()).max().unwrap_or(0);
        let (id, name) = (width(|member| &member.id), width(|member| &member.name));
        for member in &self.members {
            // Members register with any text. It must not steer the terminal.
            let line = format!("{:id$}  {:name$}  {}", member.id, member.name, member.address);
            text.push_str(&format!("{}\n", sanitize::line(&line)));
        }
        text
    }
}

async fn serve(context: &Context, listen: SocketAddr, public_url: Option<String>) -> CommandResult {
    let cannot = |error| CommandError::usage(format!("cannot listen on {listen}")).caused_by(error);
    let store = context.new_store().await?;
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    ui::status(&format!("discovery service on http://{address}: new tokens from http://{address}/new?size=N"));
    let served = service::serve(listener, store, public_url, context.stop.clone()).await;
    served.map_err(|error| CommandError::failed("the discovery service ended").caused_by(error))?;
    Ok(ExitStatus::Done)
}
