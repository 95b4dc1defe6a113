//! Hosts and a cluster for playbooks: each host is a local shell, and the cluster records its requests.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use muster::core::model::Failure;
use muster::core::model::FailureKind;
use muster::core::model::Phase;
use muster::core::model::Report;
use muster::core::model::Timestamp;
use muster::core::model::Visit;
use muster::inventory::Inventory;
use muster::inventory::Vars;
use muster::playbook::callback::Event;
use muster::playbook::callback::default;
use muster::playbook::callback::json::JsonCallback;
use muster::playbook::cluster::ApplicationRequest;
use muster::playbook::cluster::Applied;
use muster::playbook::cluster::AppliedApplications;
use muster::playbook::cluster::Cluster;
use muster::playbook::cluster::JoinRequest;
use muster::playbook::cluster::MachineGoal;
use muster::playbook::cluster::RequestError;
use muster::playbook::cluster::Swept;
use muster::playbook::cluster::UnitRequest;
use muster::playbook::executor::Executor;
use muster::playbook::parse;
use muster::playbook::parse::Gathering;
use muster::playbook::parse::Options;
use muster::playbook::play::Play;
use muster::playbook::play::Playbook;
use muster::playbook::running::Running;
use muster::playbook::tags::Selection;
use muster::remote::Command;
use muster::remote::Exit;
use muster::remote::Facts;
use muster::remote::Progress;
use muster::remote::Remote;
use muster::remote::Sink;
use muster::remote::Target;
use muster::vault::Keyring;
use muster::vault::LabelledPassword;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

/// Hosts that are local shells. Those in `unreachable` cannot be reached.
#[derive(Debug, Default)]
pub(super) struct Shells {
    pub(super) unreachable: BTreeSet<String>,
    /// The hosts that commands ran on, in order, each with the user if it was another than the login user.
    pub(super) ran: Mutex<Vec<(String, Option<String>)>>,
}

#[async_trait::async_trait]
impl Remote for Shells {
    async fn visit(&self, _: &Target, _: &Visit, _: bool, _: &Progress) -> Result<Report, Failure> {
        panic!("playbooks run commands")
    }

    async fn facts(&self, _: &Target) -> Result<Facts, Failure> {
        panic!("playbooks run commands")
    }

    async fn exec(&self, target: &Target, command: &Command, sink: &mut dyn Sink) -> Result<Exit, Failure> {
        if self.unreachable.contains(&target.name) {
            return Err(Failure {
                host: target.name.clone(),
                phase: Phase::Connect,
                kind: FailureKind::Refused,
                detail: "connection refused".to_owned(),
                hint: None,
            });
        }
        self.ran
            .lock()
            .unwrap()
            .push((target.name.clone(), command.run_as.as_ref().map(|user| user.name().to_owned())));
        let mut child = tokio::process::Command::new("sh");
        child.arg("-c").arg(&*command.whole_script()).env("HOST", &target.name);
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let content = command.stdin.clone();
        // A command need not read its stdin.
        let feed = tokio::spawn(async move { drop(stdin.write_all(&content).await) });
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = tokio::spawn(async move {
            let mut errors = Vec::new();
            stderr.read_to_end(&mut errors).await.unwrap();
            errors
        });
        let mut buffer = vec![0; 64 << 10];
        while let count @ 1.. = stdout.read(&mut buffer).await.unwrap() {
            sink.stdout(&buffer[..count]);
        }
        sink.stderr(&errors.await.unwrap());
        let status = child.wait().await.unwrap();
        feed.await.unwrap();
        Ok(Exit::Code(u32::try_from(status.code().unwrap()).unwrap()))
    }

    async fn interact(&self, _: &Target, _: Option<&str>) -> Result<Exit, Failure> {
        panic!("playbooks do not interact")
    }

    async fn probe(&self, _: &Target, _: &Target, _: Duration) -> Result<bool, Failure> {
        panic!("playbooks do not probe")
    }

    async fn forget(&self, _: &Target) {}

    async fn close(&self, _: Duration) {}
}

/// A cluster that records its requests and knows no unit called `bad.service`.
#[derive(Debug, Default)]
pub(super) struct RecordingCluster {
    pub(super) requested: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Cluster for RecordingCluster {
    async fn units(&self, requests: &[UnitRequest], check: bool) -> Vec<Result<Applied, RequestError>> {
        let names: Vec<String> = requests
            .iter()
            .map(|request| {
                let file = request.file.as_ref().map_or(String::new(), |file| format!(" {:?}", file.text()));
                format!("{} {:?}{file}", request.name, request.goal)
            })
            .collect();
        self.requested.lock().unwrap().push(format!("units{} {}", if check { "?" } else { "" }, names.join(", ")));
        let one = |request: &UnitRequest| {
            if request.name.as_str() == "bad.service" {
                return Err(RequestError::Failed("unit bad.service does not exist".to_owned()));
            }
            Ok(Applied { changed: true, message: format!("{} is as requested", request.name) })
        };
        requests.iter().map(one).collect()
    }

    async fn applications(
        &self,
        request: &ApplicationRequest,
        check: bool,
    ) -> Result<AppliedApplications, RequestError> {
        let flags = match request {
            ApplicationRequest::Present { prune: true, .. } => " and prune",
            ApplicationRequest::Present { prune: false, .. } => "",
            ApplicationRequest::Absent { .. } => " absent",
        };
        let (question, names) = (if check { "?" } else { "" }, request.names().join(", "));
        self.requested.lock().unwrap().push(format!("applications{question} {names}{flags}"));
        if names == "bad" {
            return Err(RequestError::Failed("web.service has failed".to_owned()));
        }
        let units = [("new", vec!["web.service".to_owned()]), ("unchanged", Vec::new())].into();
        let difference = format!("--- /dev/null\n+++ {names}\n");
        Ok(AppliedApplications { changed: true, message: format!("{names} applied"), units, difference })
    }

    async fn machines(&self, requests: &[(String, MachineGoal)], check: bool) -> Vec<Result<Applied, RequestError>> {
        let names: Vec<String> = requests.iter().map(|(name, goal)| format!("{name} {goal:?}")).collect();
        self.requested.lock().unwrap().push(format!("machines{} {}", if check { "?" } else { "" }, names.join(", ")));
        let one = |(name, goal): &(String, MachineGoal)| match (name.as_str(), goal) {
            ("h3", MachineGoal::Drained(_)) => Err(RequestError::Failed("h3 still has units".to_owned())),
            _ => Ok(Applied { changed: true, message: format!("{name} is as requested") }),
        };
        requests.iter().map(one).collect()
    }

    async fn sweep(&self, check: bool) -> Result<Swept, RequestError> {
        self.requested.lock().unwrap().push(format!("sweep{}", if check { "?" } else { "" }));
        let problems = if check { vec!["web2 is down".to_owned()] } else { Vec::new() };
        Ok(Swept { changed: !check, problems })
    }

    async fn join(&self, requests: &[JoinRequest], check: bool) -> Vec<Result<Applied, RequestError>> {
        let names: Vec<String> =
            requests.iter().map(|request| format!("{}{:?}", request.target.address, request.metadata)).collect();
        self.requested.lock().unwrap().push(format!("join{} {}", if check { "?" } else { "" }, names.join(", ")));
        let one = |request: &JoinRequest| {
            if request.target.name == "h3" {
                return Err(RequestError::Unreachable("h3: connect: connection refused".to_owned()));
            }
            Ok(Applied { changed: true, message: "joined".to_owned() })
        };
        requests.iter().map(one).collect()
    }
}

/// A folder with an inventory of three hosts, `h1` to `h3`, and the files that a test adds.
///
/// `source` is another inventory, which stands beside its playbook.
pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    pub(super) shells: Shells,
    /// What reaches the hosts instead of `shells`.
    pub(super) remote: Option<Arc<dyn Remote>>,
    pub(super) cluster: RecordingCluster,
    pub(super) extra: Vars,
    pub(super) check: bool,
    pub(super) vault: Arc<Keyring>,
    pub(super) diff: bool,
    pub(super) forks: usize,
    pub(super) source: Option<PathBuf>,
    pub(super) selection: Selection,
    pub(super) force_handlers: bool,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            shells: Shells::default(),
            remote: None,
            cluster: RecordingCluster::default(),
            extra: Vars::new(),
            check: false,
            vault: Arc::default(),
            diff: false,
            // One host at a time, so that the order of the lines is fixed.
            forks: 1,
            source: None,
            selection: Selection::new(&[], &[]),
            force_handlers: false,
        }
    }

    /// Gives the stage the password of a file, if the file exists.
    pub(super) fn with_password_of(self, file: &Path) -> Self {
        let Ok(password) = std::fs::read_to_string(file) else { return self };
        let password = LabelledPassword { label: "default".to_owned(), password: password.trim().into() };
        Self { vault: Arc::new(Keyring::new(vec![password])), ..self }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs a playbook and returns the printed lines and the exit code. `DIR` in it is the stage's folder.
    pub(super) async fn play(&self, text: &str) -> (String, u8) {
        let mut printed = String::new();
        let code = self.run(text, &mut |event| printed.push_str(&default::render(event, false))).await;
        (printed, code)
    }

    /// Runs a playbook and returns its JSON document and the exit code.
    pub(super) async fn document(&self, text: &str) -> (Value, u8) {
        let mut document = JsonCallback::default();
        let code = self.run(text, &mut |event| document.handle(event, Timestamp::ZERO)).await;
        (document.into_json(), code)
    }

    /// Runs a playbook file with what it imports.
    pub(super) async fn play_file(&self, file: &Path) -> (String, u8) {
        let mut printed = String::new();
        let code = self.run_file(file, &mut |event| printed.push_str(&default::render(event, false))).await;
        (printed, code)
    }

    /// Runs a playbook file with what it imports, and returns its JSON document.
    pub(super) async fn document_of_file(&self, file: &Path) -> Value {
        let mut document = JsonCallback::default();
        self.run_file(file, &mut |event| document.handle(event, Timestamp::ZERO)).await;
        document.into_json()
    }

    async fn run_file(&self, file: &Path, callback: &mut (dyn FnMut(&Event<'_>) + Send)) -> u8 {
        let text = std::fs::read_to_string(file).unwrap();
        let mut playbook = self.parse(file, &text);
        for play in &mut playbook.plays {
            self.selection.apply(play);
            if self.force_handlers {
                play.force_handlers();
            }
        }
        self.execute(&playbook, callback).await
    }

    async fn run(&self, text: &str, callback: &mut (dyn FnMut(&Event<'_>) + Send)) -> u8 {
        let text = text.replace("DIR", &self.folder.path().display().to_string());
        let file = self.path("play.yaml");
        let playbook = self.parse(&file, &text);
        self.execute(&playbook, callback).await
    }

    fn parse(&self, file: &Path, text: &str) -> Playbook {
        parse::read(file, text, &parse::read_file, &self.options()).unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn options(&self) -> Options {
        Options { vault: Arc::clone(&self.vault), ..explicit() }
    }

    async fn execute(&self, playbook: &Playbook, callback: &mut (dyn FnMut(&Event<'_>) + Send)) -> u8 {
        let inventory = self.inventory("[web]\nh1 muster_metadata=\"{'disk': 'ssd'}\"\nh2\nh3\n");
        let hosts = playbook.plays.iter().map(|play| hosts_of(&inventory, play)).collect();
        let executor = Executor {
            inventory: Arc::new(inventory.clone()),
            remote: self.remote.as_deref().unwrap_or(&self.shells),
            cluster: Some(&self.cluster),
            extra: Arc::new(self.extra.clone()),
            choose: &hosts_of,
            check: self.check,
            diff: self.diff,
            password: None,
            environment: std::collections::BTreeMap::new(),
            options: &self.options(),
            selection: self.selection.clone(),
            forks: self.forks,
            step: None,
            limit: None,
            verbosity: 0,
            running: Running::default(),
        };
        executor.play(playbook, hosts, callback).await
    }

    fn inventory(&self, text: &str) -> Inventory {
        if let Some(source) = &self.source {
            return Inventory::load_beside(std::slice::from_ref(source), source.parent(), &self.vault).unwrap();
        }
        self.write("hosts", text);
        Inventory::load_beside(&[self.path("hosts")], None, &self.vault).unwrap()
    }

    pub(super) fn names(path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Facts take their time, and few plays need them: a play gathers them only if it says so.
pub(super) fn explicit() -> Options {
    Options { gathering: Gathering::Explicit, ..Options::default() }
}

/// Returns the hosts of a play, in its order.
fn hosts_of(inventory: &Inventory, play: &Play) -> Vec<String> {
    let (hosts, _) = inventory.select_known(&play.hosts).unwrap();
    let mut names: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
    play.order.apply(&mut names, 0);
    names
}
