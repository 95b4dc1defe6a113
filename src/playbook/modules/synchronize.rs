//! `synchronize`: copies a tree between this machine and the host with rsync, which starts ssh.
//!
//! rsync runs on this machine and makes a connection of its own. It gets the address, the keys and the options of the host's
//! connection. Delegated to its own host, the task copies on that host.

use serde_json::Value;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::diff::Diff;
use crate::playbook::diff::Diffs;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;
use crate::remote::Connection;
use crate::remote::RunAs;
use crate::remote::Target;

/// Copies a tree with rsync.
pub(super) struct Synchronize;

static SPEC: Spec = Spec::new(
    "synchronize",
    &["ansible.posix", "ansible.builtin"],
    "Copies a tree between this machine and the host with rsync.",
    &[
        Parameter::new("src", Kind::Text, "The source: on this machine, or on the host with `mode: pull`."),
        Parameter::new("dest", Kind::Text, "The destination: on the host, or on this machine with `mode: pull`."),
        Parameter::new("mode", Kind::Choice(&["pull", "push"]), "The direction (default: push)."),
        Parameter::new("archive", Kind::Flag, "Whether rsync keeps what it can, as `--archive` (default: true)."),
        Parameter::new("checksum", Kind::Flag, "Whether files are compared by checksum (default: false)."),
        Parameter::new("compress", Kind::Flag, "Whether data is compressed on the way (default: true)."),
        Parameter::new("copy_links", Kind::Flag, "Whether the targets of links are copied (default: false)."),
        Parameter::new("delay_updates", Kind::Flag, "Whether files change at the end (default: true)."),
        Parameter::new("delete", Kind::Flag, "Whether what the source does not have is removed (default: false)."),
        Parameter::new(
            "dest_port",
            Kind::Number,
            "The port of the host's SSH server (default: that of the connection).",
        ),
        Parameter::new("dirs", Kind::Flag, "Whether directories are copied without their content (default: false)."),
        Parameter::new("existing_only", Kind::Flag, "Whether no new files are made (default: false)."),
        Parameter::new("group", Kind::Flag, "Whether groups are kept (default: as `archive`)."),
        Parameter::new("link_dest", Kind::List, "Directories in which unchanged files are linked."),
        Parameter::new("links", Kind::Flag, "Whether links are copied (default: as `archive`)."),
        Parameter::new("owner", Kind::Flag, "Whether owners are kept (default: as `archive`)."),
        Parameter::new("partial", Kind::Flag, "Whether parts of files stay if the transfer ends (default: false)."),
        Parameter::new("perms", Kind::Flag, "Whether permissions are kept (default: as `archive`)."),
        Parameter::new("private_key", Kind::Text, "The private key (default: that of the connection)."),
        Parameter::new("recursive", Kind::Flag, "Whether directories are copied whole (default: as `archive`)."),
        Parameter::new("rsync_opts", Kind::List, "Further options of rsync."),
        Parameter::new("rsync_path", Kind::Text, "The program on the host (default: rsync, with sudo for `become`)."),
        Parameter::new("rsync_timeout", Kind::Number, "The seconds without data after which rsync ends."),
        Parameter::new("set_remote_user", Kind::Flag, "Whether the user of the connection is used (default: true)."),
        Parameter::new("times", Kind::Flag, "Whether times are kept (default: as `archive`)."),
        Parameter::new("ssh_connection_multiplexing", Kind::Flag, "No effect: rsync has a connection of its own."),
        Parameter::new("use_ssh_args", Kind::Flag, "No effect: the options of the connection are always used."),
        Parameter::new("verify_host", Kind::Flag, "No effect: the key of the host is always checked."),
    ],
)
.needs(&[&["src"], &["dest"]]);

/// The script that runs rsync.
const SCRIPT: &str = r#"
needs rsync
eval "set -- $options"
case $way in
  push) set -- "$@" -- "$here" "$there" ;;
  pull) set -- "$@" -- "$there" "$here" ;;
  local) set -- "$@" -- "$src" "$dest" ;;
esac
run rsync "$@" || { say rc "$rc" && fail "${err:-rsync failed}"; }
say output "$out"
"#;

/// What rsync prints before each item that differs.
const MARK: &str = "<<CHANGED>>";

/// The flags that `archive` sets.
const OF_ARCHIVE: [&str; 6] = ["recursive", "links", "perms", "times", "owner", "group"];

/// The other flags: the parameter, its default and the option.
const FLAGS: [(&str, bool, &str); 9] = [
    ("delay_updates", true, "--delay-updates"),
    ("delay_updates", true, "-F"),
    ("compress", true, "--compress"),
    ("delete", false, "--delete-after"),
    ("existing_only", false, "--existing"),
    ("checksum", false, "--checksum"),
    ("copy_links", false, "--copy-links"),
    ("dirs", false, "--dirs"),
    ("partial", false, "--partial"),
];

impl Module for Synchronize {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let variable = |name: &str| match arguments.scope.variable(name).transpose()? {
            Some(Value::String(text)) => Ok(text),
            _ => Err(format!("`{name}` is undefined")),
        };
        // The variables of the other host need not be known.
        let is_delegated = arguments.scope.variable("ansible_delegated_vars").is_some();
        let pulls = arguments.text("mode")?.as_deref() == Some("pull");
        let (src, dest) = (arguments.required("src")?, arguments.required("dest")?);
        let (here, there) = if pulls { (dest.clone(), src.clone()) } else { (src.clone(), dest.clone()) };
        let here = match (here.starts_with(['/', '~', '$']), pulls) {
            (true, _) => here,
            (false, true) => format!("{}/{here}", variable("playbook_dir")?),
            (false, false) if is_delegated => here,
            (false, false) => arguments.find("src", "files")?.display().to_string(),
        };
        Ok(Action::on_host(Transfer {
            host: variable("inventory_hostname")?,
            is_delegated,
            pulls,
            here,
            there,
            src,
            dest,
            options: options(arguments)?,
            rsync_path: arguments.non_empty("rsync_path")?,
            port: arguments.number("dest_port")?,
            private_key: arguments.non_empty("private_key")?,
            names_user: arguments.flag("set_remote_user")? != Some(false),
        }))
    }
}

/// Returns the options of rsync.
fn options(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let mut options = Vec::new();
    for (name, default, option) in FLAGS {
        if arguments.flag(name)?.unwrap_or(default) {
            options.push(option.to_owned());
        }
    }
    let archive = arguments.flag("archive")? != Some(false);
    if archive {
        options.push("--archive".to_owned());
    }
    for name in OF_ARCHIVE {
        match arguments.flag(name)? {
            Some(false) if archive => options.push(format!("--no-{name}")),
            Some(true) if !archive => options.push(format!("--{name}")),
            _ => {}
        }
    }
    if let Some(seconds) = arguments.number("rsync_timeout")?.filter(|seconds| *seconds > 0) {
        options.push(format!("--timeout={seconds}"));
    }
    let links = arguments.list("link_dest")?.unwrap_or_default();
    if !links.is_empty() {
        // Without more text rsync does not count a hard link as a change.
        options.extend(["-H".to_owned(), "-vv".to_owned()]);
        options.extend(links.iter().map(|folder| format!("--link-dest={folder}")));
    }
    let further = arguments.list("rsync_opts")?.unwrap_or_default();
    if let Some(option) = further.iter().find(|option| !option.is_empty() && !option.starts_with('-')) {
        return Err(format!("`rsync_opts` cannot have `{option}`: expected options, which begin with `-`"));
    }
    options.extend(further.into_iter().filter(|option| !option.is_empty()));
    options.push(format!("--out-format={MARK}%i %n%L"));
    Ok(options)
}

/// A tree to copy.
struct Transfer {
    host: String,
    is_delegated: bool,
    pulls: bool,
    here: String,
    there: String,
    src: String,
    dest: String,
    options: Vec<String>,
    rsync_path: Option<String>,
    port: Option<u64>,
    private_key: Option<String>,
    names_user: bool,
}

impl Transfer {
    /// Returns the script that copies within one machine.
    fn within(&self, check: bool) -> HostScript {
        let script = HostScript::on_system(SCRIPT).path("src", &self.src).path("dest", &self.dest);
        script.set("way", "local").words("options", &self.all_options(check, Vec::new()))
    }

    /// Returns the script that copies between this machine and a host.
    fn between(&self, connection: &HostConnection<'_>) -> Result<HostScript, String> {
        let target = &connection.target;
        let mut more = vec![format!("--rsh={}", self.shell(target)?), "--protect-args".to_owned()];
        let become_user = connection.run_as.as_ref().map(RunAs::name);
        let become_user = become_user.filter(|user| target.address.user.as_deref() != Some(*user));
        match (&self.rsync_path, become_user) {
            (Some(path), _) => more.push(format!("--rsync-path={path}")),
            (None, Some(user)) => more.push(format!("--rsync-path=sudo -n -u {user} rsync")),
            (None, None) => {}
        }
        let script = HostScript::on_system(SCRIPT).path("here", &self.here).set("there", &self.address(target)?);
        let way = if self.pulls { "pull" } else { "push" };
        Ok(script.set("way", way).words("options", &self.all_options(connection.check, more)))
    }

    fn all_options(&self, check: bool, more: Vec<String>) -> Vec<String> {
        let dry = check.then(|| "--dry-run".to_owned());
        dry.into_iter().chain(more).chain(self.options.iter().cloned()).collect()
    }

    /// Returns the command that carries rsync to a host: ssh with the options of the connection.
    fn shell(&self, target: &Target) -> Result<String, String> {
        if target.through.is_some() {
            return Err("synchronize cannot reach a host through a relay of muster".to_owned());
        }
        if target.password.is_some() {
            return Err("synchronize cannot log in with a password: rsync starts ssh, which needs a key".to_owned());
        }
        let mut words: Vec<String> = ["ssh", "-S", "none", "-o", "BatchMode=yes"].map(str::to_owned).to_vec();
        if let Some(file) = &target.config_file {
            words.extend(["-F".to_owned(), file.display().to_string()]);
        }
        if let Some(jump) = &target.jump {
            words.extend(["-J".to_owned(), jump.clone()]);
        }
        words.extend(target.options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
        let keys = target.identity_files.iter().map(|file| file.display().to_string());
        let keys: Vec<String> = self.private_key.clone().map_or_else(|| keys.collect(), |key| vec![key]);
        words.extend(keys.into_iter().flat_map(|key| ["-i".to_owned(), key]));
        if let Some(port) = self.port.or(target.address.port.map(u64::from)) {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        // rsync splits the command at blanks, and knows quotes but no backslashes.
        let quoted = |word: &String| match (word.contains([' ', '\t', '"']), word.contains('\'')) {
            (_, true) => Err(format!("synchronize cannot give ssh the word {word}: it has a quote")),
            (true, false) => Ok(format!("'{word}'")),
            (false, false) => Ok(word.clone()),
        };
        Ok(words.iter().map(quoted).collect::<Result<Vec<_>, _>>()?.join(" "))
    }

    /// Returns the place on a host as rsync takes it.
    fn address(&self, target: &Target) -> Result<String, String> {
        let path = match self.there.strip_prefix('~') {
            // A relative path is one in the home directory.
            Some("" | "/") => ".",
            Some(rest) => rest.strip_prefix('/').ok_or_else(|| format!("muster cannot expand {}", self.there))?,
            None => &self.there,
        };
        let host = &target.address.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        if host.is_empty() || host.starts_with('-') || host.contains(char::is_whitespace) {
            return Err(format!("`{host}` cannot be the address of a host"));
        }
        let user = target.address.user.as_ref().filter(|_| self.names_user);
        Ok(format!("{}{host}:{path}", user.map(|user| format!("{user}@")).unwrap_or_default()))
    }

    /// Reads what rsync has printed.
    fn outcome(output: &str, options: &[String], shows_diff: bool) -> Outcome {
        let links = options.iter().any(|option| option.starts_with("--link-dest="));
        let is_change = |line: &str| line.strip_prefix(MARK).is_some_and(|item| !(links && item.starts_with('.')));
        let changed = output.lines().any(is_change);
        let clean = output.replace(MARK, "");
        let lines: Vec<Value> = clean.lines().filter(|line| !line.is_empty()).map(Value::from).collect();
        let vars = [("msg", clean.clone().into()), ("rc", 0.into()), ("stdout_lines", lines.into())];
        let vars = Vars::from_iter(vars.map(|(name, value)| (name.to_owned(), value)));
        let diff = if shows_diff { Diffs::One(Box::new(Diff::Prepared(clean))) } else { Diffs::None };
        Outcome::done(changed, vars).with_diff(diff)
    }
}

#[async_trait::async_trait]
impl HostAction for Transfer {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if self.is_delegated && connection.target.name != self.host {
            let why = "synchronize cannot be delegated to another host: rsync runs on this machine, and between it and the \
                       host without `delegate_to`";
            return Err(Outcome::failed(why));
        }
        let report = match &connection.target.connection {
            _ if self.is_delegated => self.within(connection.check).run(connection).await?,
            Connection::Local => self.within(connection.check).run(connection).await?,
            Connection::Unsupported(kind) => {
                return Err(Outcome::failed(format!("synchronize cannot reach a host by the connection {kind}")));
            }
            Connection::Ssh => {
                let script = self.between(connection).map_err(Outcome::failed)?;
                let target =
                    Target { name: "localhost".to_owned(), connection: Connection::Local, ..Target::default() };
                let here = HostConnection { target, run_as: None, detached: None, ..connection.clone() };
                script.run(&here).await?
            }
        };
        Ok(Self::outcome(report.get("output").unwrap_or_default(), &self.options, connection.diff))
    }
}
