//! `podman_container`: a container of podman, with the program podman on the host.
//!
//! podman keeps the command line with which a container was made. As in Ansible, the options of that line are compared with
//! those of the task.

use serde_json::Value;

use super::Arguments;
use super::container::Container;
use super::container::Difference;
use super::container::Engine;
use super::container::Found;
use super::container::Pull;
use super::container::Setting;
use super::container::State;
use super::container::option_words;
use super::container::values;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, changes, starts, stops or removes a container of podman.
pub(super) static PODMAN_CONTAINER: Engine = Engine {
    spec: &Spec::new(
        "podman_container",
        &["containers.podman", "ansible.builtin"],
        "Makes, changes, starts, stops or removes a container of podman.",
        &[
            Parameter::new("name", Kind::Text, "The container."),
            Parameter::new("executable", Kind::Text, "The program (default: podman)."),
            Parameter::new("image", Kind::Text, "The image."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "created", "present", "started", "stopped"]),
                "The state (default: started). For a Quadlet file use the module `unit`.",
            ),
            Parameter::new("command", Kind::Any, "The words after the image, as a list or as text."),
            Parameter::new("recreate", Kind::Flag, "Whether it is made anew in any case (default: false)."),
            Parameter::new("force_restart", Kind::Flag, "Whether it is restarted (default: false).").or(&["restart"]),
            Parameter::new("force_delete", Kind::Flag, "No effect: a container that runs is ended first."),
            Parameter::new("detach", Kind::Flag, "Whether the task ends before the container does (default: true)."),
            Parameter::new("image_strict", Kind::Flag, "Whether the id of the image is compared (default: false)."),
            Parameter::new("stop_time", Kind::Number, "The seconds after which a container is killed."),
            Parameter::new("delete_depend", Kind::Flag, "Whether containers that depend on it are removed too."),
            Parameter::new("delete_volumes", Kind::Flag, "Whether its anonymous volumes are removed too."),
            Parameter::new("debug", Kind::Flag, "No effect."),
        ],
    )
    .with(OPTIONS)
    .needs(&[&["name"]]),
    program: "podman",
    options: OPTIONS,
    setting,
    prepare,
    is_compared: |container| {
        container.image.is_some()
            && container.state != State::Stopped
            && !(container.restarts && container.state == State::Started)
    },
    differences,
    keeps_running: true,
};

/// The parameters that are options of `podman create`.
const OPTIONS: &[Parameter] = &[
    Parameter::new("annotation", Kind::Any, "Annotations, as a map."),
    Parameter::new("arch", Kind::Text, "The architecture of the image."),
    Parameter::new("authfile", Kind::Text, "The file with the logins of registries."),
    Parameter::new("blkio_weight", Kind::Number, "The weight of its block I/O."),
    Parameter::new("cap_add", Kind::List, "Capabilities that it has besides.").or(&["capabilities"]),
    Parameter::new("cap_drop", Kind::List, "Capabilities that it does not have."),
    Parameter::new("cgroup_conf", Kind::Any, "Settings of its control group, as a map."),
    Parameter::new("cgroup_parent", Kind::Text, "The control group above its own."),
    Parameter::new("cgroupns", Kind::Text, "The namespace of control groups."),
    Parameter::new("cgroups", Kind::Text, "How it uses control groups."),
    Parameter::new("cidfile", Kind::Text, "The file that gets its id."),
    Parameter::new("conmon_pidfile", Kind::Text, "The file that gets the number of the process conmon."),
    Parameter::new("cpu_period", Kind::Number, "The period of the CPU scheduler."),
    Parameter::new("cpu_quota", Kind::Number, "The quota of the CPU scheduler."),
    Parameter::new("cpu_shares", Kind::Number, "The relative share of the CPUs."),
    Parameter::new("cpus", Kind::Text, "The number of CPUs."),
    Parameter::new("cpuset_cpus", Kind::Text, "The CPUs on which it runs."),
    Parameter::new("cpuset_mems", Kind::Text, "The memory nodes that it uses."),
    Parameter::new("device", Kind::List, "Devices of the host.").or(&["devices"]),
    Parameter::new("device_cgroup_rule", Kind::Text, "A rule for devices."),
    Parameter::new("device_read_bps", Kind::List, "Limits of reading, in bytes a second."),
    Parameter::new("device_read_iops", Kind::List, "Limits of reading, in operations a second."),
    Parameter::new("device_write_bps", Kind::List, "Limits of writing, in bytes a second."),
    Parameter::new("device_write_iops", Kind::List, "Limits of writing, in operations a second."),
    Parameter::new("dns", Kind::List, "Name servers.").or(&["dns_servers"]),
    Parameter::new("dns_option", Kind::Text, "An option of the resolver.").or(&["dns_opts"]),
    Parameter::new("dns_search", Kind::List, "Domains that are searched.").or(&["dns_search_domains"]),
    Parameter::new("entrypoint", Kind::Text, "The program that runs, as text or as a JSON list."),
    Parameter::new("env", Kind::Any, "Variables, as a map. No list of processes shows their values."),
    Parameter::new("env_file", Kind::List, "Files with variables, on the host.").or(&["env_files"]),
    Parameter::new("env_host", Kind::Flag, "Whether it has the variables of the host."),
    Parameter::new("etc_hosts", Kind::Any, "Hosts with their addresses, as a map.").or(&["add_hosts"]),
    Parameter::new("expose", Kind::List, "Ports that are exposed.").or(&["exposed", "exposed_ports"]),
    Parameter::new("gidmap", Kind::List, "How groups are mapped."),
    Parameter::new("gpus", Kind::Text, "The GPUs that it uses."),
    Parameter::new("group_add", Kind::List, "Further groups of its user.").or(&["groups"]),
    Parameter::new("healthcheck", Kind::Text, "The command that checks its health.").or(&["health_cmd"]),
    Parameter::new("healthcheck_interval", Kind::Text, "The time between checks.").or(&["health_interval"]),
    Parameter::new("healthcheck_retries", Kind::Number, "The failures that make it unhealthy.").or(&["health_retries"]),
    Parameter::new("healthcheck_start_period", Kind::Text, "The time in which failures do not count.")
        .or(&["health_start_period"]),
    Parameter::new("healthcheck_timeout", Kind::Text, "The limit of a check.").or(&["health_timeout"]),
    Parameter::new(
        "healthcheck_failure_action",
        Kind::Choice(&["kill", "none", "restart", "stop"]),
        "What happens if it is unhealthy.",
    )
    .or(&["health_on_failure"]),
    Parameter::new("hostname", Kind::Text, "Its host name."),
    Parameter::new("http_proxy", Kind::Flag, "Whether it has the variables of the proxy (default: true)."),
    Parameter::new("image_volume", Kind::Choice(&["bind", "ignore", "tmpfs"]), "What the volumes of the image become."),
    Parameter::new("init", Kind::Flag, "Whether a small init runs in it."),
    Parameter::new("init_path", Kind::Text, "The program of that init."),
    Parameter::new("interactive", Kind::Flag, "Whether its stdin stays open."),
    Parameter::new("ip", Kind::Text, "Its IPv4 address."),
    Parameter::new("ip6", Kind::Text, "Its IPv6 address."),
    Parameter::new("ipc", Kind::Text, "The namespace of IPC.").or(&["ipc_mode"]),
    Parameter::new("label", Kind::Any, "Labels, as a map.").or(&["labels"]),
    Parameter::new("label_file", Kind::Text, "A file with labels, on the host."),
    Parameter::new("log_driver", Kind::Text, "How its output is kept."),
    Parameter::new("log_level", Kind::Text, "The log level of podman."),
    Parameter::new("log_opt", Kind::Any, "Options of that: max_size, path, tag.").or(&["log_options"]),
    Parameter::new("mac_address", Kind::Text, "Its MAC address."),
    Parameter::new("memory", Kind::Text, "The limit of its memory: 512m."),
    Parameter::new("memory_reservation", Kind::Text, "The soft limit of its memory."),
    Parameter::new("memory_swap", Kind::Text, "The limit of memory and swap."),
    Parameter::new("memory_swappiness", Kind::Number, "How readily it is swapped."),
    Parameter::new("mount", Kind::List, "Mounts: type=bind,src=/a,dst=/b.").or(&["mounts"]),
    Parameter::new("network", Kind::List, "Its networks, or the mode.").or(&["net", "network_mode"]),
    Parameter::new("network_aliases", Kind::List, "Further names in its networks.").or(&["network_alias"]),
    Parameter::new("no_healthcheck", Kind::Flag, "Whether the checks of the image are not run."),
    Parameter::new("no_hosts", Kind::Flag, "Whether /etc/hosts is left alone."),
    Parameter::new("oom_kill_disable", Kind::Flag, "Whether it is not killed when memory is short."),
    Parameter::new("oom_score_adj", Kind::Text, "How readily it is killed then."),
    Parameter::new("pid", Kind::Text, "The namespace of processes.").or(&["pid_mode"]),
    Parameter::new("pids_limit", Kind::Text, "The limit of its processes."),
    Parameter::new("platform", Kind::Text, "The platform of the image."),
    Parameter::new("pod", Kind::Text, "The pod in which it runs."),
    Parameter::new("privileged", Kind::Flag, "Whether it has all rights on the host."),
    Parameter::new("publish", Kind::List, "Ports: 8080:80.").or(&["ports", "published", "published_ports"]),
    Parameter::new("publish_all", Kind::Flag, "Whether all exposed ports are published."),
    Parameter::new("pull", Kind::Choice(&["always", "missing", "never", "newer"]), "When the image is pulled."),
    Parameter::new("read_only", Kind::Flag, "Whether its root is read-only."),
    Parameter::new("read_only_tmpfs", Kind::Flag, "Whether /run, /tmp and /var/tmp are writable then (default: true)."),
    Parameter::new("requires", Kind::List, "Containers that are started before it."),
    Parameter::new(
        "restart_policy",
        Kind::Text,
        "When podman restarts it: no, on-failure[:N], always, unless-stopped.",
    ),
    Parameter::new("rm", Kind::Flag, "Whether it is removed when it ends.").or(&["auto_remove", "remove"]),
    Parameter::new("secrets", Kind::List, "Secrets of podman, by name."),
    Parameter::new("sdnotify", Kind::Text, "How it says that it is ready."),
    Parameter::new("security_opt", Kind::List, "Options of security."),
    Parameter::new("shm_size", Kind::Text, "The size of /dev/shm."),
    Parameter::new("stop_signal", Kind::Text, "The signal that ends it."),
    Parameter::new("stop_timeout", Kind::Number, "The seconds after which it is killed."),
    Parameter::new("sysctl", Kind::Any, "Kernel parameters, as a map."),
    Parameter::new("systemd", Kind::Text, "Whether systemd runs in it: true, false or always."),
    Parameter::new("timezone", Kind::Text, "Its time zone."),
    Parameter::new("tls_verify", Kind::Flag, "Whether the certificate of the registry is checked (default: true)."),
    Parameter::new("tmpfs", Kind::Any, "File systems in memory, as a map of paths and options."),
    Parameter::new("tty", Kind::Flag, "Whether it has a terminal."),
    Parameter::new("ulimit", Kind::List, "Limits: nofile=1024:2048.").or(&["ulimits"]),
    Parameter::new("umask", Kind::Text, "Its umask."),
    Parameter::new("user", Kind::Text, "The user that its program runs as."),
    Parameter::new("userns", Kind::Text, "The namespace of users.").or(&["userns_mode"]),
    Parameter::new("uts", Kind::Text, "The namespace of host names."),
    Parameter::new("volume", Kind::List, "Volumes: /a:/b:ro.").or(&["volumes"]),
    Parameter::new("volumes_from", Kind::List, "Containers whose volumes it has too."),
    Parameter::new("workdir", Kind::Text, "Its working directory.").or(&["working_dir"]),
    Parameter::new("cmd_args", Kind::List, "Further options of podman, as they are. They are not compared."),
];

/// The options that have another name than their parameter.
const NAMES: [(&str, &str); 11] = [
    ("etc_hosts", "--add-host"),
    ("healthcheck", "--health-cmd"),
    ("healthcheck_failure_action", "--health-on-failure"),
    ("healthcheck_interval", "--health-interval"),
    ("healthcheck_retries", "--health-retries"),
    ("healthcheck_start_period", "--health-start-period"),
    ("healthcheck_timeout", "--health-timeout"),
    ("network_aliases", "--network-alias"),
    ("restart_policy", "--restart"),
    ("secrets", "--secret"),
    ("timezone", "--tz"),
];

/// Other spellings of options.
const SPELLINGS: [(&str, &[&str]); 19] = [
    ("--cpu-shares", &["-c"]),
    ("--env", &["-e"]),
    ("--health-cmd", &["--healthcheck-command"]),
    ("--health-interval", &["--healthcheck-interval"]),
    ("--health-retries", &["--healthcheck-retries"]),
    ("--health-start-period", &["--healthcheck-start-period"]),
    ("--health-timeout", &["--healthcheck-timeout"]),
    ("--hostname", &["-h"]),
    ("--interactive", &["-i"]),
    ("--label", &["-l"]),
    ("--memory", &["-m"]),
    ("--network", &["--net"]),
    ("--publish", &["-p"]),
    ("--publish-all", &["-P"]),
    ("--tty", &["-t"]),
    ("--user", &["-u"]),
    ("--volume", &["-v"]),
    ("--workdir", &["-w"]),
    ("--dns-option", &["--dns-opt"]),
];

/// What is no property of the container, or what the services that podman generates add.
const NOT_COMPARED: [&str; 10] = [
    "authfile",
    "cgroups",
    "cidfile",
    "cmd_args",
    "conmon_pidfile",
    "log_level",
    "pod",
    "pull",
    "sdnotify",
    "tls_verify",
];

/// The flags that are true unless they are given.
const TRUE_BY_DEFAULT: [&str; 2] = ["http_proxy", "read_only_tmpfs"];

/// Returns the option of a parameter.
fn option(parameter: &str) -> String {
    let other = NAMES.iter().find(|(name, _)| *name == parameter).map(|(_, option)| (*option).to_owned());
    other.unwrap_or_else(|| format!("--{}", parameter.replace('_', "-")))
}

fn setting(parameter: &Parameter, arguments: &Arguments<'_>) -> Result<Setting, String> {
    let name = parameter.name;
    let mut values = values(parameter, arguments, if matches!(name, "etc_hosts" | "tmpfs") { ":" } else { "=" })?;
    for value in &mut values {
        match name {
            "log_opt" if value.starts_with("max_size=") => *value = value.replacen('_', "-", 1),
            "tmpfs" => *value = value.trim_end_matches(':').to_owned(),
            _ => {}
        }
    }
    let words = match name {
        "env" => Vec::new(),
        "cmd_args" => values.clone(),
        _ => option_words(&option(name), &values),
    };
    Ok(Setting { parameter: name, values, words })
}

fn prepare(arguments: &Arguments<'_>, container: Container) -> Result<Container, String> {
    let seconds = arguments.number("stop_time")?.map(|seconds| format!("--time={seconds}"));
    let mut remove_options = Vec::new();
    for (name, option) in [("delete_depend", "--depend"), ("delete_volumes", "--volumes")] {
        if arguments.flag(name)? == Some(true) {
            remove_options.push(option.to_owned());
        }
    }
    let for_pull = ["arch", "authfile", "platform", "tls_verify"];
    let pull_options = container.settings.iter().filter(|setting| for_pull.contains(&setting.parameter));
    Ok(Container {
        program: arguments.non_empty("executable")?.unwrap_or_else(|| "podman".to_owned()),
        restarts: arguments.flag("force_restart")? == Some(true),
        pull: if container.wanted("pull") == ["never"] { Pull::Never } else { Pull::Missing },
        pull_options: pull_options.flat_map(|setting| setting.words.clone()).collect(),
        stop: ["stop".to_owned()].into_iter().chain(seconds).collect(),
        remove_options,
        compares_image_id: arguments.flag("image_strict")? == Some(true),
        ..container
    })
}

fn differences(container: &Container, found: &Found<'_>) -> Vec<Difference> {
    let words = |pointer: &str| -> Vec<String> {
        let list = found.value(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (mut line, command, variables) = (words("/Config/CreateCommand"), words("/Config/Cmd"), words("/Config/Env"));
    if line.ends_with(&command) {
        line.truncate(line.len() - command.len());
    }
    let mut all = Vec::new();
    for parameter in OPTIONS.iter().filter(|parameter| !NOT_COMPARED.contains(&parameter.name)) {
        let name = parameter.name;
        let mut before = given(&line, &option(name));
        if name == "env" {
            // The line has the name alone of a variable that came from podman's environment.
            let is_whole = |pair: &str| pair.contains('=');
            let whole = |name: &str| variables.iter().find(|pair| pair.split('=').next() == Some(name)).cloned();
            let value = |pair: String| if is_whole(&pair) { pair } else { whole(&pair).unwrap_or(pair) };
            before = before.into_iter().map(value).collect();
        }
        let (before, after) = (canonical(parameter, before), canonical(parameter, container.wanted(name).to_vec()));
        if before != after && (name != "rm" || container.setting("rm").is_some()) {
            all.push(Difference { name, before, after, steps: None });
        }
    }
    if !container.command.is_empty() && container.command != command {
        all.push(Difference { name: "command", before: command, after: container.command.clone(), steps: None });
    }
    all.extend(image_difference(container, found));
    all
}

/// Returns the values that a command line gives to an option.
fn given(line: &[String], option: &str) -> Vec<String> {
    let others = SPELLINGS.iter().find(|(name, _)| *name == option).map(|(_, others)| *others).unwrap_or_default();
    let spellings: Vec<&str> = [option].into_iter().chain(others.iter().copied()).collect();
    let mut values = Vec::new();
    for (word, next) in line.iter().zip(line.iter().skip(1).map(Some).chain([None])) {
        match word.split_once('=') {
            Some((name, value)) if spellings.contains(&name) => values.push(value.to_owned()),
            _ if spellings.contains(&word.as_str()) => {
                let value = next.filter(|next| !next.starts_with('-'));
                values.push(value.map_or_else(|| "true".to_owned(), Clone::clone));
            }
            _ => {}
        }
    }
    values
}

/// Returns values in one form and order.
fn canonical(parameter: &Parameter, values: Vec<String>) -> Vec<String> {
    let name = parameter.name;
    let mut values: Vec<String> = match name {
        "cap_add" | "cap_drop" => {
            let short = |value: &String| value.to_ascii_uppercase().trim_start_matches("CAP_").to_owned();
            values.iter().map(short).collect()
        }
        "dns" | "network" | "requires" => values.iter().flat_map(|value| value.split(',')).map(str::to_owned).collect(),
        "volume" => values.iter().map(|value| clean_volume(value)).collect(),
        _ if parameter.kind == Kind::Flag => {
            let default = if TRUE_BY_DEFAULT.contains(&name) { "true" } else { "false" };
            // A flag without a value stands before some other word.
            let flag = |value: &String| if value.eq_ignore_ascii_case("false") { "false" } else { "true" };
            values.iter().map(flag).filter(|value| *value != default).map(str::to_owned).collect()
        }
        _ => values,
    };
    values.sort();
    values
}

/// Removes the slashes of a volume that mean nothing.
fn clean_volume(volume: &str) -> String {
    let clean = |part: &str| match part.replace("//", "/").trim_end_matches('/') {
        "" if part.starts_with('/') => "/".to_owned(),
        part => part.to_owned(),
    };
    volume.split(':').map(clean).collect::<Vec<_>>().join(":")
}

/// Compares the image: by its id, or else by the last part of its name, since one image has names at several registries.
fn image_difference(container: &Container, found: &Found<'_>) -> Option<Difference> {
    let before = found.value("/Image").and_then(Value::as_str).unwrap_or_default();
    let after = found.image.and_then(|image| image.get("Id")).and_then(Value::as_str).unwrap_or_default();
    if before == after {
        return None;
    }
    let short = |name: &str| name.replace(":latest", "").rsplit('/').next().unwrap_or_default().to_owned();
    let name = found.value("/Config/Image").and_then(Value::as_str).unwrap_or(before);
    let wanted = container.image.as_deref().unwrap_or_default();
    if !container.compares_image_id && short(name) == short(wanted) {
        return None;
    }
    Some(Difference { name: "image", before: vec![name.to_owned()], after: vec![wanted.to_owned()], steps: None })
}
