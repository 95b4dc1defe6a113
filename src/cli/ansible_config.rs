//! `ansible.cfg`: Ansible's own settings, which hold for `play`, `exec` and `inventory`. The options of the command line and
//! `muster.toml` override them. muster never writes the file.

mod keys;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use configparser::ini::Ini;

use super::Context;
use super::error::CommandError;
use super::settings;
use super::settings::is_trusted;
use super::vault_passwords::PasswordSource;
use crate::inventory::Vars;
use crate::playbook::parse::Gathering;
use crate::playbook::parse::Options;
use crate::ui;

/// The inventory of a machine that has no other.
const DEFAULT_INVENTORY: &str = "/etc/ansible/hosts";

/// The settings of `ansible.cfg` and of the variables `ANSIBLE_…` that muster takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct AnsibleConfig {
    /// The inventory's sources.
    pub(super) inventory: Vec<PathBuf>,
    /// The user that logs in.
    pub(super) remote_user: Option<String>,
    /// Whether unknown host keys are refused.
    pub(super) host_key_checking: Option<bool>,
    /// On how many hosts a task runs at once.
    pub(super) forks: Option<u16>,
    /// Whether plays gather facts.
    pub(super) gathering: Gathering,
    /// The folders of roles, if they are set.
    role_folders: Option<Vec<PathBuf>>,
    /// The folder of the user's own roles.
    own_roles: Option<PathBuf>,
    /// Whether tasks become another user.
    pub(super) r#become: bool,
    /// The user that they become.
    pub(super) become_user: Option<String>,
    /// How they become the user.
    pub(super) become_method: Option<String>,
    /// Whether the password for that is asked for.
    pub(super) ask_become_pass: bool,
    /// Where passwords of Ansible Vault with a label come from.
    vault_ids: Vec<PasswordSource>,
    /// The file with a password of Ansible Vault without a label.
    vault_password_file: Option<PathBuf>,
    /// Whether the password of Ansible Vault is asked for.
    asks_vault_password: bool,
    /// Connection variables for hosts that have none.
    pub(super) connection: Vars,
    /// The file that was read.
    pub(super) file: Option<PathBuf>,
    /// A sentence for each setting that muster does not take.
    pub(super) notes: Vec<String>,
}

impl AnsibleConfig {
    /// Reads the variables and the file that `ANSIBLE_CONFIG` names, or `ansible.cfg` here, `~/.ansible.cfg` or
    /// /etc/ansible/ansible.cfg: the first that exists.
    pub(super) fn read() -> Result<Self, CommandError> {
        let environment = settings::environment();
        let home = environment.get("HOME").map(PathBuf::from);
        let mut config = Self::default();
        if let Some(path) = file(&environment, home.as_deref()) {
            tracing::debug!("ansible.cfg: {}", path.display());
            let text = std::fs::read_to_string(&path)
                .map_err(|error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error))?;
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let wrong = |why: String| CommandError::usage(format!("{}: {why}", path.display()));
            config.take_file(&text, &Places { folder, home: home.clone() }).map_err(wrong)?;
            config.file = Some(path.clone());
            config.notes.iter_mut().for_each(|note| *note = format!("{}: {note}", path.display()));
        }
        config.take_variables(&environment, &Places { folder: PathBuf::new(), home: home.clone() })?;
        config.own_roles = home.map(|home| home.join(".ansible/roles"));
        Ok(config)
    }

    /// Returns the folders in which roles are looked up after those of the playbook.
    pub(super) fn role_folders(&self) -> Vec<PathBuf> {
        let default = || self.own_roles.iter().cloned().chain(Options::default().role_folders).collect();
        self.role_folders.clone().unwrap_or_else(default)
    }

    fn take_file(&mut self, text: &str, places: &Places) -> Result<(), String> {
        let mut ini = Ini::new();
        ini.set_inline_comment_symbols(Some(&[';']));
        ini.set_multiline(true);
        ini.read(text.to_owned())?;
        for (section, entries) in ini.get_map_ref() {
            for (key, value) in entries {
                let value = value.as_deref().unwrap_or_default().trim_matches(['"', '\'']);
                let place = || format!("[{section}] {key}");
                match keys::of_file(section, key) {
                    Some(take) => take(self, value, places).map_err(|why| format!("{}: {why}", place()))?,
                    None if keys::has_no_effect(section, key) => {}
                    None => self.notes.push(format!("muster does not take `{key}` of [{section}]")),
                }
            }
        }
        Ok(())
    }

    fn take_variables(&mut self, environment: &BTreeMap<String, String>, places: &Places) -> Result<(), CommandError> {
        for (variable, take) in keys::variables() {
            if let Some(value) = environment.get(variable).filter(|value| !value.is_empty()) {
                take(self, value, places).map_err(|why| CommandError::usage(format!("{variable}: {why}")))?;
            }
        }
        Ok(())
    }

    /// Returns where the passwords of Ansible Vault come from.
    pub(super) fn vault(&self) -> Vec<PasswordSource> {
        let file = self.vault_password_file.clone().map(PasswordSource::file);
        let prompt = self.asks_vault_password.then(PasswordSource::prompt);
        self.vault_ids.iter().cloned().chain(file).chain(prompt).collect()
    }

    /// Returns the context with the settings that hold for every command with an inventory, and prints the notes.
    pub(super) fn context(&self, context: &Context) -> Context {
        self.notes.iter().for_each(|note| ui::note(note));
        let mut settings = context.settings.clone();
        if settings.vault.is_empty() {
            settings.vault = self.vault();
        }
        if settings.inventory.is_empty() {
            settings.inventory.clone_from(&self.inventory);
        }
        if settings.inventory.is_empty() {
            settings.inventory.extend(Some(PathBuf::from(DEFAULT_INVENTORY)).filter(|path| path.exists()));
        }
        if self.host_key_checking == Some(false) {
            settings.strict_host_key_checking.get_or_insert_with(|| "no".to_owned());
        }
        context.with(settings, self.connection.clone())
    }
}

/// What paths are relative to.
struct Places {
    folder: PathBuf,
    home: Option<PathBuf>,
}

impl Places {
    fn path(&self, text: &str) -> PathBuf {
        match text.strip_prefix('~').zip(self.home.as_ref()) {
            Some((rest, home)) => home.join(rest.trim_start_matches('/')),
            None => self.folder.join(text),
        }
    }
}

/// Returns the configuration file that counts.
fn file(environment: &BTreeMap<String, String>, home: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = environment.get("ANSIBLE_CONFIG").filter(|named| !named.is_empty()) {
        let path = PathBuf::from(named);
        return Some(if path.is_dir() { path.join("ansible.cfg") } else { path });
    }
    let here = PathBuf::from("ansible.cfg");
    let here = Some(here).filter(|path| path.exists() && is_trusted(path, Path::new(".")));
    let all = [here, home.map(|home| home.join(".ansible.cfg")), Some(PathBuf::from("/etc/ansible/ansible.cfg"))];
    all.into_iter().flatten().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::Value;
    use serde_json::json;

    use super::AnsibleConfig;
    use super::PasswordSource;
    use super::Places;
    use crate::playbook::parse::Gathering;

    fn read(text: &str) -> Result<AnsibleConfig, String> {
        let mut config = AnsibleConfig::default();
        let places = Places { folder: PathBuf::from("/srv/site"), home: Some(PathBuf::from("/home/op")) };
        config.take_file(text, &places).map(|()| config)
    }

    #[test]
    fn the_settings_of_a_file_are_taken_and_its_paths_are_relative_to_its_folder() {
        let text = "
[defaults]
inventory = hosts, ~/more/hosts ; both
remote_user=deploy
private_key_file = keys/id_ed25519
host_key_checking = False
timeout = 30
forks = 50
gathering = explicit
roles_path = roles:~/roles:/opt/roles
nocows = 1
vault_identity_list = prod@secrets/prod, dev@prompt
vault_password_file = ~/.vault_pass
[privilege_escalation]
become = yes
become_user = admin
become_ask_pass = true
[ssh_connection]
ssh_args = -o ControlMaster=auto
    -o ServerAliveInterval=15
pipelining = True
";
        let config = read(text).unwrap();
        assert_eq!(config.inventory, ["/srv/site/hosts", "/home/op/more/hosts"].map(PathBuf::from));
        assert_eq!((config.remote_user.as_deref(), config.host_key_checking), (Some("deploy"), Some(false)));
        assert_eq!((config.forks, config.gathering), (Some(50), Gathering::Explicit));
        let roles = ["/srv/site/roles", "/home/op/roles", "/opt/roles"].map(PathBuf::from);
        assert_eq!(config.role_folders.as_deref(), Some(&roles[..]));
        let expected = (true, Some("admin"), true);
        assert_eq!((config.r#become, config.become_user.as_deref(), config.ask_become_pass), expected);
        let vault = [
            PasswordSource::parse("prod@/srv/site/secrets/prod", &|path| path.to_owned()),
            PasswordSource::parse("dev@prompt", &|path| path.to_owned()),
            PasswordSource::file(PathBuf::from("/home/op/.vault_pass")),
        ];
        assert_eq!(config.vault(), vault);
        let connection = json!({
            "ansible_ssh_private_key_file": "/srv/site/keys/id_ed25519",
            "ansible_ssh_timeout": "30",
            "ansible_ssh_args": "-o ControlMaster=auto -o ServerAliveInterval=15",
        });
        assert_eq!(Value::Object(config.connection), connection);
        assert_eq!(config.notes, Vec::<String>::new());
    }

    #[test]
    fn what_muster_does_not_take_is_named_and_a_value_of_the_wrong_form_is_an_error() {
        let config = read("[defaults]\nlibrary = ./library\nhash_behaviour = merge\n").unwrap();
        let expected =
            ["muster does not take `library` of [defaults]", "muster does not take `hash_behaviour` of [defaults]"];
        assert_eq!(config.notes, expected);
        for (text, expected) in [
            ("[defaults]\nforks = many\n", "[defaults] forks: `many` is not a whole number from 1 to 65535"),
            ("[defaults]\nhost_key_checking = maybe\n", "[defaults] host_key_checking: `maybe` is not true or false"),
            ("[defaults]\ngathering = lazy\n", "[defaults] gathering: `lazy` is not implicit, explicit or smart"),
            (
                "[privilege_escalation]\nbecome_method = doas\n",
                "[privilege_escalation] become_method: muster cannot become a user with `doas`",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
    }
}
