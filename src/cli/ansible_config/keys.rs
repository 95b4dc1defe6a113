//! The settings of `ansible.cfg` that muster takes, and those that have no effect on what it does.

use super::AnsibleConfig;
use super::Places;
use crate::cli::vault_passwords::PasswordSource;
use crate::playbook::parse::Gathering;
use crate::playbook::run_as;
use crate::playbook::template::parse_bool;

/// Takes the value of a setting.
pub(super) type Take = fn(&mut AnsibleConfig, &str, &Places) -> Result<(), String>;

/// A setting: its section, its key, its variable and what takes it.
type Key = (&'static str, &'static str, &'static str, Take);

const KEYS: [Key; 21] = [
    ("defaults", "ask_vault_pass", "ANSIBLE_ASK_VAULT_PASS", |config, value, _| {
        config.asks_vault_password = flag(value)?;
        Ok(())
    }),
    ("defaults", "forks", "ANSIBLE_FORKS", forks),
    ("defaults", "gathering", "ANSIBLE_GATHERING", gathering),
    ("defaults", "host_key_checking", "ANSIBLE_HOST_KEY_CHECKING", |config, value, _| {
        flag(value).map(|checks| config.host_key_checking = Some(checks))
    }),
    ("defaults", "inventory", "ANSIBLE_INVENTORY", |config, value, places| {
        config.inventory = words(value, ',').map(|word| places.path(word)).collect();
        Ok(())
    }),
    ("defaults", "private_key_file", "ANSIBLE_PRIVATE_KEY_FILE", |config, value, places| {
        connect(config, "ansible_ssh_private_key_file", &places.path(value).to_string_lossy());
        Ok(())
    }),
    ("defaults", "remote_port", "ANSIBLE_REMOTE_PORT", |config, value, _| {
        connect(config, "ansible_port", value);
        Ok(())
    }),
    ("defaults", "remote_user", "ANSIBLE_REMOTE_USER", |config, value, _| {
        config.remote_user = Some(value.to_owned()).filter(|user| !user.is_empty());
        Ok(())
    }),
    ("defaults", "roles_path", "ANSIBLE_ROLES_PATH", |config, value, places| {
        config.role_folders = Some(words(value, ':').map(|word| places.path(word)).collect());
        Ok(())
    }),
    ("defaults", "timeout", "ANSIBLE_TIMEOUT", |config, value, _| {
        let seconds: u32 = value.parse().map_err(|_| format!("`{value}` is not a number of seconds"))?;
        connect(config, "ansible_ssh_timeout", &seconds.to_string());
        Ok(())
    }),
    ("defaults", "transport", "ANSIBLE_TRANSPORT", |config, value, _| {
        connect(config, "ansible_connection", value);
        Ok(())
    }),
    ("defaults", "vault_identity_list", "ANSIBLE_VAULT_IDENTITY_LIST", |config, value, places| {
        let source = |id| PasswordSource::parse(id, &|path| places.path(&path.to_string_lossy()));
        config.vault_ids = words(value, ',').map(source).collect();
        Ok(())
    }),
    ("defaults", "vault_password_file", "ANSIBLE_VAULT_PASSWORD_FILE", |config, value, places| {
        config.vault_password_file = Some(places.path(value));
        Ok(())
    }),
    ("privilege_escalation", "become", "ANSIBLE_BECOME", |config, value, _| flag(value).map(|on| config.r#become = on)),
    ("privilege_escalation", "become_ask_pass", "ANSIBLE_BECOME_ASK_PASS", |config, value, _| {
        flag(value).map(|asks| config.ask_become_pass = asks)
    }),
    ("privilege_escalation", "become_method", "ANSIBLE_BECOME_METHOD", |config, value, _| {
        if !run_as::is_known(value) {
            return Err(format!("muster cannot become a user with `{value}`"));
        }
        config.become_method = Some(value.to_owned());
        Ok(())
    }),
    ("privilege_escalation", "become_user", "ANSIBLE_BECOME_USER", |config, value, _| {
        config.become_user = Some(value.to_owned());
        Ok(())
    }),
    ("ssh_connection", "host_key_checking", "ANSIBLE_SSH_HOST_KEY_CHECKING", |config, value, _| {
        flag(value).map(|checks| config.host_key_checking = Some(checks))
    }),
    ("ssh_connection", "ssh_args", "ANSIBLE_SSH_ARGS", |config, value, _| {
        connect(config, "ansible_ssh_args", value);
        Ok(())
    }),
    ("ssh_connection", "ssh_common_args", "ANSIBLE_SSH_COMMON_ARGS", |config, value, _| {
        connect(config, "ansible_ssh_common_args", value);
        Ok(())
    }),
    ("ssh_connection", "ssh_extra_args", "ANSIBLE_SSH_EXTRA_ARGS", |config, value, _| {
        connect(config, "ansible_ssh_extra_args", value);
        Ok(())
    }),
];

/// Settings about what Ansible prints, caches and needs on hosts. Nothing that muster does depends on them.
const WITHOUT_EFFECT: [(&str, &str); 46] = [
    ("defaults", "action_warnings"),
    ("defaults", "bin_ansible_callbacks"),
    ("defaults", "callback_enabled"),
    ("defaults", "callback_whitelist"),
    ("defaults", "callbacks_enabled"),
    ("defaults", "command_warnings"),
    ("defaults", "cow_selection"),
    ("defaults", "deprecation_warnings"),
    ("defaults", "devel_warning"),
    ("defaults", "fact_caching"),
    ("defaults", "fact_caching_connection"),
    ("defaults", "fact_caching_prefix"),
    ("defaults", "fact_caching_timeout"),
    ("defaults", "force_color"),
    ("defaults", "internal_poll_interval"),
    ("defaults", "interpreter_python"),
    ("defaults", "inventory_ignore_extensions"),
    ("defaults", "local_tmp"),
    ("defaults", "localhost_warning"),
    ("defaults", "log_path"),
    ("defaults", "module_compression"),
    ("defaults", "module_lang"),
    ("defaults", "module_name"),
    ("defaults", "nocolor"),
    ("defaults", "nocows"),
    ("defaults", "pattern"),
    ("defaults", "poll_interval"),
    ("defaults", "remote_tmp"),
    ("defaults", "retry_files_enabled"),
    ("defaults", "retry_files_save_path"),
    ("defaults", "show_custom_stats"),
    ("defaults", "strategy"),
    ("defaults", "strategy_plugins"),
    ("defaults", "system_warnings"),
    ("defaults", "use_persistent_connections"),
    ("galaxy", "cache_dir"),
    ("galaxy", "ignore_certs"),
    ("galaxy", "role_skeleton"),
    ("galaxy", "server"),
    ("persistent_connection", "connect_timeout"),
    ("ssh_connection", "control_path"),
    ("ssh_connection", "control_path_dir"),
    ("ssh_connection", "pipelining"),
    ("ssh_connection", "scp_if_ssh"),
    ("ssh_connection", "sftp_batch_mode"),
    ("ssh_connection", "transfer_method"),
];

/// Returns what takes a setting of the file.
pub(super) fn of_file(section: &str, key: &str) -> Option<Take> {
    let known = KEYS.iter().find(|known| (known.0, known.1) == (section, key));
    known.map(|(.., take)| *take)
}

/// Returns the variables of the environment, with what takes them.
pub(super) fn variables() -> impl Iterator<Item = (&'static str, Take)> {
    KEYS.iter().map(|(_, _, variable, take)| (*variable, *take)).filter(|(variable, _)| !variable.is_empty())
}

/// Reports whether nothing that muster does depends on a setting.
pub(super) fn has_no_effect(section: &str, key: &str) -> bool {
    WITHOUT_EFFECT.contains(&(section, key)) || section == "colors"
}

fn words(value: &str, separator: char) -> impl Iterator<Item = &str> {
    value.split(separator).map(str::trim).filter(|word| !word.is_empty())
}

fn flag(value: &str) -> Result<bool, String> {
    parse_bool(value).ok_or_else(|| format!("`{value}` is not true or false"))
}

fn forks(config: &mut AnsibleConfig, value: &str, _: &Places) -> Result<(), String> {
    let forks = value.parse().ok().filter(|forks| *forks > 0);
    config.forks = Some(forks.ok_or_else(|| format!("`{value}` is not a whole number from 1 to 65535"))?);
    Ok(())
}

fn gathering(config: &mut AnsibleConfig, value: &str, _: &Places) -> Result<(), String> {
    config.gathering = match value {
        // Facts that are there already are gathered again, which changes nothing but the time.
        "implicit" | "smart" => Gathering::Implicit,
        "explicit" => Gathering::Explicit,
        _ => return Err(format!("`{value}` is not implicit, explicit or smart")),
    };
    Ok(())
}

/// Sets a connection variable for hosts that have none.
fn connect(config: &mut AnsibleConfig, variable: &str, value: &str) {
    config.connection.insert(variable.to_owned(), value.replace('\n', " ").into());
}
