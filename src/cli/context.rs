//! The context of a command: its settings, and on demand the store and the connection to the hosts.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::CommandError;
use super::error::ExitStatus;
use super::missed;
use super::settings;
use super::settings::Flags;
use super::settings::Settings;
use super::vault_passwords::PasswordSource;
use crate::accounts;
use crate::control::look;
use crate::control::look::Look;
use crate::control::look::Missed;
use crate::control::membership::MembershipError;
use crate::core::machine_lookup::find_machine;
use crate::core::model::MachineId;
use crate::core::model::Snapshot;
use crate::core::model::Timestamp;
use crate::core::reconcile::restored::RESTORED;
use crate::http::client::ApiClient;
use crate::inventory::Vars;
use crate::playbook::running::Running;
use crate::remote::SharedRemote;
use crate::remote::Unreached;
use crate::remote::ssh;
use crate::remote::ssh::Deadlines;
use crate::remote::ssh::Ssh;
use crate::runner::Clock;
use crate::runner::ClusterContext;
use crate::runner::FenceCommands;
use crate::runner::SecretSource;
use crate::store;
use crate::store::Location;
use crate::store::SharedStore;
use crate::store::StoreError;
use crate::store::layout;
use crate::store::layout::Key;
use crate::store::layout::Keyspace;
use crate::store::leader_election;
use crate::ui;
use crate::ui::messages;
use crate::vault::Keyring;

/// How long a command that shows something waits until its connections are closed.
const CLOSE_LIMIT: Duration = Duration::from_millis(200);

/// The handles that a command works with.
#[derive(Debug)]
pub struct Context {
    /// The settings.
    pub settings: Settings,
    /// The flags from which the settings were made.
    pub(super) flags: Flags,
    /// Set under the name `fleetctl`: tables and messages are those of fleet.
    pub is_fleetctl: bool,
    /// Set when the operator stops the command.
    pub stop: CancellationToken,
    /// Connection variables for hosts of the inventory that have none.
    pub(super) connection_defaults: Vars,
    /// Set while the command must not end: it has files that must be removed.
    pub(super) is_unfinished: Arc<AtomicBool>,
    /// The token of the cluster that the API has.
    served_token: OnceLock<String>,
    ssh: OnceLock<Arc<Ssh>>,
    vault: OnceLock<Arc<Keyring>>,
}

/// The records of the cluster after a look at its machines.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) snapshot: Snapshot,
    /// The present time.
    pub(super) now: Timestamp,
    /// Set while a controller leads.
    pub(super) has_controller: bool,
}

impl Context {
    /// Makes a context. The settings are read, and nothing is opened yet.
    pub fn new(flags: Flags, is_fleetctl: bool, stop: CancellationToken) -> Result<Self, CommandError> {
        let (settings, connection_defaults) = (flags.clone().resolve()?, Vars::new());
        let (served_token, ssh, vault) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let is_unfinished = Arc::default();
        Ok(Self { settings, flags, is_fleetctl, stop, connection_defaults, is_unfinished, served_token, ssh, vault })
    }

    /// Returns the context with other settings, before anything was opened.
    pub(super) fn with(&self, settings: Settings, connection_defaults: Vars) -> Self {
        let (flags, is_fleetctl, stop) = (self.flags.clone(), self.is_fleetctl, self.stop.clone());
        let (served_token, ssh, vault) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        let is_unfinished = Arc::clone(&self.is_unfinished);
        Self { settings, flags, is_fleetctl, stop, connection_defaults, is_unfinished, served_token, ssh, vault }
    }

    /// Returns the token of the cluster. An API has one cluster, so it need not be named.
    pub(super) fn token(&self) -> &str {
        self.served_token.get().unwrap_or(&self.settings.token)
    }

    /// Returns the cluster's keys. The token that an API has is known once the store was opened.
    pub fn keys(&self) -> Result<Keyspace, CommandError> {
        Keyspace::new(self.token())
            .map_err(|error| CommandError::usage(format!("{}: {error}", self.settings.origins.token)))
    }

    /// Opens the store, which must exist.
    pub async fn store(&self) -> Result<SharedStore, CommandError> {
        let opened = store::open_existing(&self.settings.store, &self.settings.credentials).await;
        let store = opened.map_err(|error| self.store_error(error))?;
        self.learn_token().await?;
        Ok(store)
    }

    /// Learns which cluster the API has, unless a setting names the token.
    async fn learn_token(&self) -> Result<(), CommandError> {
        #[derive(serde::Deserialize)]
        struct Session {
            token: String,
        }
        let Some(client) = self.api_client()?.filter(|_| !self.settings.is_token_set) else { return Ok(()) };
        if self.served_token.get().is_none() {
            let session = client.get::<Session>("/api/v1/session", &[]).await;
            let Session { token } = session.map_err(|error| store::failed(&self.settings.store, error))?;
            let _ = self.served_token.set(token);
        }
        Ok(())
    }

    /// Opens the store, and makes it if it does not exist.
    pub async fn new_store(&self) -> Result<SharedStore, CommandError> {
        let opened = store::open(&self.settings.store, &self.settings.credentials).await;
        opened.map_err(|error| self.store_error(error))
    }

    /// Names the place of the setting in an error about its value.
    fn store_error(&self, error: StoreError) -> CommandError {
        match error {
            StoreError::BadLocation(error) => CommandError::usage(format!("{}: {error}", self.settings.origins.store)),
            error => error.into(),
        }
    }

    /// Opens the store, in which the cluster must exist.
    pub(super) async fn known_store(&self) -> Result<SharedStore, CommandError> {
        let store = self.store().await?;
        let keys = self.keys()?;
        check_token(&store, &keys).await?;
        self.check_jump_host(&store, &keys).await?;
        Ok(store)
    }

    /// Opens the store, and makes it if it does not exist. The cluster must exist, or be the one that needs no token.
    pub(super) async fn new_known_store(&self) -> Result<SharedStore, CommandError> {
        let keys = self.keys()?;
        let store = self.new_store().await?;
        check_token(&store, &keys).await?;
        self.check_jump_host(&store, &keys).await?;
        Ok(store)
    }

    /// Returns a client of the API, if the store is behind one.
    pub(super) fn api_client(&self) -> Result<Option<ApiClient>, CommandError> {
        let Ok(Location::Api(location)) = self.settings.store.parse() else { return Ok(None) };
        let client = ApiClient::new(&location, &self.settings.credentials.api);
        client.map(Some).map_err(|error| CommandError::usage(format!("{}: {error}", self.settings.origins.store)))
    }

    /// Reads all records of the cluster, which must exist.
    pub async fn snapshot(&self) -> Result<Snapshot, CommandError> {
        Ok(layout::read(&*self.known_store().await?, &self.keys()?).await?)
    }

    /// Reads the records of the cluster and observes its machines. A machine that cannot be observed is named in a warning,
    /// and a note says if the controller is gone; fleet had neither.
    pub(super) async fn look(&self) -> Result<Looked, CommandError> {
        self.look_at(|_, _| true).await
    }

    /// Does the same. Only machines that the command shows are named in warnings.
    pub(super) async fn look_at(
        &self,
        is_shown: impl Fn(&Snapshot, MachineId) -> bool,
    ) -> Result<Looked, CommandError> {
        let cluster = self.cluster().await?;
        let look = look::look(&cluster).await?;
        cluster.remote.close(CLOSE_LIMIT).await;
        let now = cluster.clock.now();
        if !self.is_fleetctl {
            let shown = look.missed.iter().filter(|(machine, _)| is_shown(&look.snapshot, *machine));
            let shown: Vec<&Missed> = shown.collect();
            for warning in missed::warnings(&look, &shown, now) {
                ui::warn(&warning);
            }
            for hint in missed::hints(&look, &shown) {
                ui::hint(&hint);
            }
        }
        let Look { snapshot, restoration_witness, has_controller, controlled_until, .. } = look;
        let witness = restoration_witness.and_then(|machine| snapshot.machines.get(&machine));
        for machine in witness.iter().filter(|_| !self.is_fleetctl) {
            ui::warn(&format!("{} {RESTORED}", machine.name));
        }
        if let Some(until) = controlled_until.filter(|_| !self.is_fleetctl) {
            ui::note(&messages::no_controller(now.since(until)));
        }
        Ok(Looked { snapshot, now, has_controller })
    }

    /// Returns the connections to the hosts, the same for each call.
    pub fn remote(&self) -> Result<SharedRemote, CommandError> {
        Ok(self.ssh()?)
    }

    /// Returns the SSH connections to the hosts, the same for each call.
    pub(super) fn ssh(&self) -> Result<Arc<Ssh>, CommandError> {
        self.ssh_within(Deadlines::default())
    }

    /// Returns the same, with these deadlines if no call has made the connections yet.
    pub(super) fn ssh_within(&self, deadlines: Deadlines) -> Result<Arc<Ssh>, CommandError> {
        if let Some(ssh) = self.ssh.get() {
            return Ok(ssh.clone());
        }
        let ssh = self.new_ssh(deadlines)?;
        Ok(self.ssh.get_or_init(|| ssh).clone())
    }

    /// Returns connections to the hosts that nothing else uses.
    pub(super) fn own_ssh(&self) -> Result<Arc<Ssh>, CommandError> {
        self.new_ssh(Deadlines::default())
    }

    fn new_ssh(&self, deadlines: Deadlines) -> Result<Arc<Ssh>, CommandError> {
        let deadlines = self.settings.connecting.timeout.map_or(deadlines, |each| deadlines.login_within(each));
        let ssh = Ssh::new(ssh::Options { deadlines, ..self.settings.ssh_options()? });
        ssh.read_config().map_err(|error| CommandError::new(ExitStatus::Usage, error))?;
        Ok(Arc::new(ssh))
    }

    /// Runs tasks until the operator interrupts them, and then warns of those that may go on. A command on a host continues
    /// or ends with the connection, and running the tasks again repairs that.
    pub(super) async fn play(&self, running: &Running, run: impl Future<Output = u8>) -> ExitStatus {
        tokio::select! {
            code = run => return ExitStatus::External(code),
            () = self.stop.cancelled() => {}
        }
        for (task, hosts) in running.tasks() {
            ui::warn(&messages::interrupted(&format!("the task `{task}`"), &hosts));
        }
        ExitStatus::Interrupted
    }

    /// Returns the passwords of Ansible Vault, the same for each call. The first call runs programs and asks questions.
    pub(super) fn vault(&self) -> Result<Arc<Keyring>, CommandError> {
        if let Some(vault) = self.vault.get() {
            return Ok(Arc::clone(vault));
        }
        let passwords = self.vault_sources().iter().map(PasswordSource::read).collect::<Result<_, _>>()?;
        Ok(Arc::clone(self.vault.get_or_init(|| Arc::new(Keyring::new(passwords)))))
    }

    /// Returns where the passwords of Ansible Vault come from: the settings, else Ansible's variables.
    pub(super) fn vault_sources(&self) -> Vec<PasswordSource> {
        let own = &self.settings.vault;
        if own.is_empty() { settings::vault_of_ansible() } else { own.clone() }
    }

    /// Returns the handles that an operation on a cluster needs. The cluster must exist.
    pub async fn cluster(&self) -> Result<ClusterContext, CommandError> {
        self.cluster_in(self.known_store().await?)
    }

    /// Returns the handles of an operation that may begin a cluster, and makes the store if it does not exist.
    pub async fn new_cluster(&self) -> Result<ClusterContext, CommandError> {
        let store = self.new_store().await?;
        self.check_jump_host(&store, &self.keys()?).await?;
        self.cluster_in(store)
    }

    /// Checks that the jump host that fleet's `--tunnel` names is a machine of the cluster. fleet found its cluster by this
    /// name, so another one means that the operator expects another cluster.
    async fn check_jump_host(&self, store: &SharedStore, keys: &Keyspace) -> Result<(), CommandError> {
        let Some(jump) = &self.settings.connecting.overrides.jump else { return Ok(()) };
        let snapshot = layout::read(&**store, keys).await?;
        if find_machine(&snapshot, jump).is_ok() {
            return Ok(());
        }
        let cluster = self.settings.cluster();
        let error = CommandError::usage(format!("the tunnel {jump:?} is no machine of the cluster {cluster}"));
        Err(error.hint(
            "Name the cluster with `--store`. For a jump host that is no machine of it, set `ProxyJump` in ssh_config(5).",
        ))
    }

    /// Returns the handles of an operation on a store; `None` if the store does not exist. Nothing is made.
    pub(super) async fn existing_cluster(&self) -> Result<Option<ClusterContext>, CommandError> {
        match store::open_existing(&self.settings.store, &self.settings.credentials).await {
            Ok(store) => {
                self.check_jump_host(&store, &self.keys()?).await?;
                self.cluster_in(store).map(Some)
            }
            Err(StoreError::Missing(_)) => Ok(None),
            Err(error) => Err(self.store_error(error)),
        }
    }

    fn cluster_in(&self, store: SharedStore) -> Result<ClusterContext, CommandError> {
        let identity = self.secret_identity().map_err(|error| error.source.to_string());
        let identity = identity.and_then(|identity| identity.ok_or_else(|| self.no_secret_identity()));
        let secrets = SecretSource::new(store.clone(), self.keys()?, identity);
        let remote: SharedRemote = if store.can_lead() { self.remote()? } else { Arc::new(Unreached) };
        Ok(ClusterContext {
            name: format!("{}, made on {}", self.settings.cluster(), leader_election::hostname()),
            store,
            keys: self.keys()?,
            remote,
            clock: Clock::start(),
            fence_commands: Arc::default(),
            secrets,
            operator: operator(),
            stop: self.stop.clone(),
        })
    }

    /// Returns why a process has no private keys whose file does not exist.
    pub(super) fn no_secret_identity(&self) -> String {
        let path = self.settings.secret_identity.as_deref().map(|path| path.display().to_string());
        let path = path.unwrap_or_else(|| "the file of the private key".to_owned());
        format!("{path} on {} does not exist", leader_election::hostname())
    }

    /// Returns the fence commands that the inventory names; none without an inventory.
    pub(super) fn fence_commands(&self) -> Result<FenceCommands, CommandError> {
        if self.settings.inventory.is_empty() {
            return Ok(FenceCommands::default());
        }
        let inventory = self.hosts(None, &Vars::new())?;
        let mut commands = Vec::new();
        for host in inventory.select("all")? {
            commands.extend(host.fence_command()?.map(|command| (host.name.clone(), command)));
        }
        Ok(FenceCommands::new(commands))
    }

    /// Returns the handles of a sweep, which keeps machines fenced.
    pub(super) async fn leading(&self) -> Result<ClusterContext, CommandError> {
        let fence_commands = Arc::new(self.fence_commands()?);
        Ok(ClusterContext { fence_commands, ..self.cluster().await? })
    }
}

/// Checks that a token names a cluster: the token was made in this store, or units were submitted under it. The cluster
/// `default` begins without a token.
async fn check_token(store: &SharedStore, keys: &Keyspace) -> Result<(), CommandError> {
    if keys.token() == "default" || store.get(&keys.key(&Key::Size)).await?.is_some() {
        return Ok(());
    }
    let is_empty = layout::list(&**store, keys).await?.entries.is_empty();
    if is_empty { Err(MembershipError::UnknownToken(keys.token().to_owned()).into()) } else { Ok(()) }
}

/// Returns the user and the host of this process, for the event log.
pub(super) fn operator() -> String {
    let user = accounts::own().map(|account| account.name);
    format!(
        "{}@{}",
        user.unwrap_or_else(|| rustix::process::getuid().as_raw().to_string()),
        leader_election::hostname()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn a_cluster_is_named_by_the_absolute_path_of_its_store() {
        let flags = Flags { store: Some("sqlite:m.db".to_owned()), ..Flags::default() };
        let context = Context::new(flags, false, CancellationToken::new()).unwrap();
        let name = context.cluster_in(Arc::new(MemoryStore::new())).unwrap().name;
        let path = std::path::absolute("m.db").unwrap();
        assert!(name.contains(&format!(" in sqlite:{}, made on ", path.display())), "{name}");
    }
}
