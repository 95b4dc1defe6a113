//! `docker_container`: a container of Docker, with the program docker on the host.
//!
//! As in Ansible, only what the task says is compared with what `docker inspect` says.

use serde_json::Value;

use super::Arguments;
use super::container::Comparison;
use super::container::Container;
use super::container::Difference;
use super::container::Engine;
use super::container::Found;
use super::container::Network;
use super::container::Pull;
use super::container::Setting;
use super::container::option_words;
use super::container::values;
use super::docker_values;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

/// Makes, changes, starts, stops or removes a container of Docker.
pub(super) static DOCKER_CONTAINER: Engine = Engine {
    spec: &Spec::new(
        "docker_container",
        &["community.docker", "community.general", "ansible.builtin"],
        "Makes, changes, starts, stops or removes a container of Docker, with docker on the host.",
        &[
            Parameter::new("name", Kind::Text, "The container."),
            Parameter::new("image", Kind::Text, "The image."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "present", "started", "stopped"]),
                "The state (default: started).",
            ),
            Parameter::new("command", Kind::Any, "The words after the image, as a list or as text."),
            Parameter::new("command_handling", Kind::Choice(&["correct"]), "No effect: text is split as in a shell."),
            Parameter::new("recreate", Kind::Flag, "Whether it is made anew in any case (default: false)."),
            Parameter::new("restart", Kind::Flag, "Whether it is restarted (default: false)."),
            Parameter::new("detach", Kind::Flag, "Whether the task ends before the container does (default: true)."),
            Parameter::new(
                "pull",
                Kind::Text,
                "When the image is pulled: always, missing or never (default: missing).",
            ),
            Parameter::new("comparisons", Kind::Any, "How values are compared: ignore, strict or allow_more_present."),
            Parameter::new("ignore_image", Kind::Flag, "Whether the image is not compared (default: false)."),
            Parameter::new("force_kill", Kind::Flag, "Whether it is killed to stop it.").or(&["forcekill"]),
            Parameter::new("kill_signal", Kind::Text, "The signal then (default: KILL)."),
            Parameter::new("keep_volumes", Kind::Flag, "Whether its anonymous volumes stay (default: true)."),
            Parameter::new("networks", Kind::Any, "Its networks: maps with name, ipv4_address, aliases and the like."),
            Parameter::new("purge_networks", Kind::Flag, "Whether it leaves other networks (default: false)."),
            Parameter::new("networks_cli_compatible", Kind::Flag, "Must be true, the default."),
            Parameter::new(
                "container_default_behavior",
                Kind::Choice(&["compatibility", "no_defaults"]),
                "No effect: what is not given is the default of docker.",
            ),
            Parameter::new("debug", Kind::Flag, "No effect."),
        ],
    )
    .with(OPTIONS)
    .needs(&[&["name"]]),
    program: "docker",
    options: OPTIONS,
    setting,
    prepare,
    is_compared: |_| true,
    differences,
    keeps_running: false,
};

/// The parameters that are options of `docker create`.
const OPTIONS: &[Parameter] = &[
    Parameter::new("auto_remove", Kind::Flag, "Whether it is removed when it ends."),
    Parameter::new("blkio_weight", Kind::Number, "The weight of its block I/O."),
    Parameter::new("capabilities", Kind::List, "Capabilities that it has besides.").or(&["cap_add"]),
    Parameter::new("cap_drop", Kind::List, "Capabilities that it does not have."),
    Parameter::new("cgroup_parent", Kind::Text, "The control group above its own."),
    Parameter::new("cgroupns_mode", Kind::Choice(&["host", "private"]), "The namespace of control groups."),
    Parameter::new("cpu_period", Kind::Number, "The period of the CPU scheduler."),
    Parameter::new("cpu_quota", Kind::Number, "The quota of the CPU scheduler."),
    Parameter::new("cpu_shares", Kind::Number, "The relative share of the CPUs."),
    Parameter::new("cpus", Kind::Text, "The number of CPUs."),
    Parameter::new("cpuset_cpus", Kind::Text, "The CPUs on which it runs."),
    Parameter::new("cpuset_mems", Kind::Text, "The memory nodes that it uses."),
    Parameter::new("devices", Kind::List, "Devices of the host."),
    Parameter::new("dns_opts", Kind::List, "Options of the resolver."),
    Parameter::new("dns_search_domains", Kind::List, "Domains that are searched."),
    Parameter::new("dns_servers", Kind::List, "Name servers."),
    Parameter::new("domainname", Kind::Text, "Its domain."),
    Parameter::new("entrypoint", Kind::Words, "The program that runs, with its first arguments."),
    Parameter::new("env", Kind::Any, "Variables, as a map. No list of processes shows their values."),
    Parameter::new("env_file", Kind::Text, "A file with variables, on the host. It is not compared."),
    Parameter::new("etc_hosts", Kind::Any, "Hosts with their addresses, as a map."),
    Parameter::new("exposed_ports", Kind::List, "Ports that are exposed.").or(&["expose", "exposed"]),
    Parameter::new("groups", Kind::List, "Further groups of its user."),
    Parameter::new(
        "healthcheck",
        Kind::Any,
        "The check of its health: test, interval, timeout, retries, start_period.",
    ),
    Parameter::new("hostname", Kind::Text, "Its host name."),
    Parameter::new("init", Kind::Flag, "Whether a small init runs in it."),
    Parameter::new("interactive", Kind::Flag, "Whether its stdin stays open."),
    Parameter::new("ipc_mode", Kind::Text, "The namespace of IPC."),
    Parameter::new("labels", Kind::Any, "Labels, as a map."),
    Parameter::new("links", Kind::List, "Containers that it knows by name: NAME or NAME:ALIAS."),
    Parameter::new("log_driver", Kind::Text, "How its output is kept."),
    Parameter::new("log_options", Kind::Any, "Options of that, as a map.").or(&["log_opt"]),
    Parameter::new("mac_address", Kind::Text, "Its MAC address."),
    Parameter::new("memory", Kind::Text, "The limit of its memory: 512M."),
    Parameter::new("memory_reservation", Kind::Text, "The soft limit of its memory."),
    Parameter::new("memory_swap", Kind::Text, "The limit of memory and swap, or unlimited."),
    Parameter::new("memory_swappiness", Kind::Number, "How readily it is swapped."),
    Parameter::new("mounts", Kind::Any, "Mounts: maps with target, source, type and read_only."),
    Parameter::new("network_mode", Kind::Text, "The network with which it starts: bridge, host, none, container:NAME."),
    Parameter::new("oom_killer", Kind::Flag, "Whether it is not killed when memory is short."),
    Parameter::new("oom_score_adj", Kind::Text, "How readily it is killed then."),
    Parameter::new("pid_mode", Kind::Text, "The namespace of processes."),
    Parameter::new("pids_limit", Kind::Text, "The limit of its processes."),
    Parameter::new("platform", Kind::Text, "The platform of the image. It is not compared."),
    Parameter::new("privileged", Kind::Flag, "Whether it has all rights on the host."),
    Parameter::new("publish_all_ports", Kind::Flag, "Whether all exposed ports are published."),
    Parameter::new("published_ports", Kind::List, "Ports: 8080:80.").or(&["ports"]),
    Parameter::new("read_only", Kind::Flag, "Whether its root is read-only."),
    Parameter::new("restart_policy", Kind::Text, "When docker restarts it: no, on-failure, always, unless-stopped."),
    Parameter::new("restart_retries", Kind::Number, "How often it is restarted after a failure."),
    Parameter::new("runtime", Kind::Text, "Its runtime."),
    Parameter::new("security_opts", Kind::List, "Options of security."),
    Parameter::new("shm_size", Kind::Text, "The size of /dev/shm."),
    Parameter::new("stop_signal", Kind::Text, "The signal that ends it."),
    Parameter::new("stop_timeout", Kind::Number, "The seconds after which it is killed. It is not compared."),
    Parameter::new("storage_opts", Kind::Any, "Options of its storage, as a map."),
    Parameter::new("sysctls", Kind::Any, "Kernel parameters, as a map."),
    Parameter::new("tmpfs", Kind::List, "File systems in memory: PATH or PATH:OPTIONS."),
    Parameter::new("tty", Kind::Flag, "Whether it has a terminal."),
    Parameter::new("ulimits", Kind::List, "Limits: nofile:1024:2048."),
    Parameter::new("user", Kind::Text, "The user that its program runs as."),
    Parameter::new("userns_mode", Kind::Text, "The namespace of users."),
    Parameter::new("uts", Kind::Text, "The namespace of host names."),
    Parameter::new("volume_driver", Kind::Text, "The driver of its volumes."),
    Parameter::new("volumes", Kind::List, "Volumes: /a:/b:ro."),
    Parameter::new("volumes_from", Kind::List, "Containers whose volumes it has too."),
    Parameter::new("working_dir", Kind::Text, "Its working directory."),
];

/// The option of each parameter, and where `docker inspect` has its value.
const PLACES: &[(&str, &str, &str)] = &[
    ("auto_remove", "--rm", "/HostConfig/AutoRemove"),
    ("blkio_weight", "--blkio-weight", "/HostConfig/BlkioWeight"),
    ("capabilities", "--cap-add", "/HostConfig/CapAdd"),
    ("cap_drop", "--cap-drop", "/HostConfig/CapDrop"),
    ("cgroup_parent", "--cgroup-parent", "/HostConfig/CgroupParent"),
    ("cgroupns_mode", "--cgroupns", "/HostConfig/CgroupnsMode"),
    ("cpu_period", "--cpu-period", "/HostConfig/CpuPeriod"),
    ("cpu_quota", "--cpu-quota", "/HostConfig/CpuQuota"),
    ("cpu_shares", "--cpu-shares", "/HostConfig/CpuShares"),
    ("cpus", "--cpus", "/HostConfig/NanoCpus"),
    ("cpuset_cpus", "--cpuset-cpus", "/HostConfig/CpusetCpus"),
    ("cpuset_mems", "--cpuset-mems", "/HostConfig/CpusetMems"),
    ("devices", "--device", "/HostConfig/Devices"),
    ("dns_opts", "--dns-option", "/HostConfig/DnsOptions"),
    ("dns_search_domains", "--dns-search", "/HostConfig/DnsSearch"),
    ("dns_servers", "--dns", "/HostConfig/Dns"),
    ("domainname", "--domainname", "/Config/Domainname"),
    ("entrypoint", "--entrypoint", "/Config/Entrypoint"),
    ("env", "--env", "/Config/Env"),
    ("env_file", "--env-file", ""),
    ("etc_hosts", "--add-host", "/HostConfig/ExtraHosts"),
    ("exposed_ports", "--expose", "/Config/ExposedPorts"),
    ("groups", "--group-add", "/HostConfig/GroupAdd"),
    ("healthcheck", "", "/Config/Healthcheck"),
    ("hostname", "--hostname", "/Config/Hostname"),
    ("init", "--init", "/HostConfig/Init"),
    ("interactive", "--interactive", "/Config/OpenStdin"),
    ("ipc_mode", "--ipc", "/HostConfig/IpcMode"),
    ("labels", "--label", "/Config/Labels"),
    ("links", "--link", "/HostConfig/Links"),
    ("log_driver", "--log-driver", "/HostConfig/LogConfig/Type"),
    ("log_options", "--log-opt", "/HostConfig/LogConfig/Config"),
    ("mac_address", "--mac-address", "/Config/MacAddress"),
    ("memory", "--memory", "/HostConfig/Memory"),
    ("memory_reservation", "--memory-reservation", "/HostConfig/MemoryReservation"),
    ("memory_swap", "--memory-swap", "/HostConfig/MemorySwap"),
    ("memory_swappiness", "--memory-swappiness", "/HostConfig/MemorySwappiness"),
    ("mounts", "--mount", "/HostConfig/Mounts"),
    ("network_mode", "--network", "/HostConfig/NetworkMode"),
    ("oom_killer", "--oom-kill-disable", "/HostConfig/OomKillDisable"),
    ("oom_score_adj", "--oom-score-adj", "/HostConfig/OomScoreAdj"),
    ("pid_mode", "--pid", "/HostConfig/PidMode"),
    ("pids_limit", "--pids-limit", "/HostConfig/PidsLimit"),
    ("platform", "--platform", ""),
    ("privileged", "--privileged", "/HostConfig/Privileged"),
    ("publish_all_ports", "--publish-all", "/HostConfig/PublishAllPorts"),
    ("published_ports", "--publish", "/HostConfig/PortBindings"),
    ("read_only", "--read-only", "/HostConfig/ReadonlyRootfs"),
    ("restart_policy", "--restart", "/HostConfig/RestartPolicy"),
    ("runtime", "--runtime", "/HostConfig/Runtime"),
    ("security_opts", "--security-opt", "/HostConfig/SecurityOpt"),
    ("shm_size", "--shm-size", "/HostConfig/ShmSize"),
    ("stop_signal", "--stop-signal", "/Config/StopSignal"),
    ("stop_timeout", "--stop-timeout", ""),
    ("storage_opts", "--storage-opt", "/HostConfig/StorageOpt"),
    ("sysctls", "--sysctl", "/HostConfig/Sysctls"),
    ("tmpfs", "--tmpfs", "/HostConfig/Tmpfs"),
    ("tty", "--tty", "/Config/Tty"),
    ("ulimits", "--ulimit", "/HostConfig/Ulimits"),
    ("user", "--user", "/Config/User"),
    ("userns_mode", "--userns", "/HostConfig/UsernsMode"),
    ("uts", "--uts", "/HostConfig/UTSMode"),
    ("volume_driver", "--volume-driver", "/HostConfig/VolumeDriver"),
    ("volumes", "--volume", "/HostConfig/Binds"),
    ("volumes_from", "--volumes-from", "/HostConfig/VolumesFrom"),
    ("working_dir", "--workdir", "/Config/WorkingDir"),
];

/// The parameters that `docker update` can change.
const UPDATED: [&str; 10] = [
    "blkio_weight",
    "cpu_period",
    "cpu_quota",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "memory",
    "memory_reservation",
    "memory_swap",
    "restart_policy",
];

fn place(parameter: &str) -> (&'static str, &'static str) {
    let found = PLACES.iter().find(|(name, ..)| *name == parameter);
    found.map(|(_, option, pointer)| (*option, *pointer)).unwrap_or_default()
}

fn setting(parameter: &Parameter, arguments: &Arguments<'_>) -> Result<Setting, String> {
    let name = parameter.name;
    let (option, _) = place(name);
    let given = || values(parameter, arguments, if name == "etc_hosts" { ":" } else { "=" });
    let plain = |given: Vec<String>| Setting { parameter: name, words: option_words(option, &given), values: given };
    let read = |read: fn(&str) -> Result<String, String>| -> Result<Setting, String> {
        let given = given()?;
        let values = given
            .iter()
            .map(|value| read(value).map_err(|why| format!("`{name}`: {why}")))
            .collect::<Result<_, _>>()?;
        Ok(Setting { values, ..plain(given) })
    };
    match name {
        // Their words come later: those of `env` when the container is made, the others with another parameter.
        "env" | "entrypoint" | "restart_policy" | "restart_retries" => {
            Ok(Setting { words: Vec::new(), ..plain(given()?) })
        }
        "memory" | "memory_reservation" | "memory_swap" | "shm_size" => {
            let words = docker_values::sizes(&given()?).map_err(|why| format!("`{name}`: {why}"))?;
            Ok(plain(words))
        }
        "capabilities" | "cap_drop" => read(|name| Ok(docker_values::capability(name))),
        "cpus" => read(docker_values::nano_cpus),
        "devices" => read(|device| Ok(docker_values::device(device))),
        "exposed_ports" => read(|port| Ok(docker_values::with_protocol(port))),
        "volumes" => read(|volume| Ok(docker_values::bind(volume))),
        "links" => read(|link| Ok(docker_values::link(link))),
        "ulimits" => Ok(plain(given()?.iter().map(|limit| docker_values::ulimit(limit)).collect())),
        "tmpfs" => read(|mount| Ok(mount.trim_end_matches(':').to_owned())),
        "published_ports" => {
            let given = given()?;
            let is_all = |port: &String| matches!(port.to_lowercase().as_str(), "all");
            if given.iter().any(is_all) {
                return Ok(Setting { parameter: name, values: Vec::new(), words: vec!["--publish-all".to_owned()] });
            }
            let mut values = Vec::new();
            for port in &given {
                values.extend(docker_values::ports(port).map_err(|why| format!("`{name}`: {why}"))?);
            }
            Ok(Setting { values, ..plain(given) })
        }
        "healthcheck" => {
            let value = arguments.value(name).unwrap_or(&Value::Null);
            let (values, words) = docker_values::healthcheck(value)?;
            Ok(Setting { parameter: name, values, words })
        }
        "mounts" => {
            let (values, mounts) = docker_values::mounts(arguments.value(name).unwrap_or(&Value::Null))?;
            Ok(Setting { parameter: name, values, words: option_words(option, &mounts) })
        }
        _ => Ok(plain(given()?)),
    }
}

fn prepare(arguments: &Arguments<'_>, mut container: Container) -> Result<Container, String> {
    if arguments.flag("networks_cli_compatible")? == Some(false) {
        return Err("muster connects a container to its networks as the program docker does: `networks_cli_compatible` must be true".to_owned());
    }
    container.restarts = arguments.flag("restart")? == Some(true);
    container.pull = match arguments.text("pull")?.unwrap_or_default().to_lowercase().as_str() {
        "always" | "true" | "yes" => Pull::Always,
        "never" => Pull::Never,
        "missing" | "" | "false" | "no" => Pull::Missing,
        other => return Err(format!("`pull` must be always, missing or never, not `{other}`")),
    };
    let timeout = arguments.number("stop_timeout")?.map(|seconds| format!("--time={seconds}"));
    container.stop = if arguments.flag("force_kill")? == Some(true) {
        let signal = arguments.non_empty("kill_signal")?.map(|signal| format!("--signal={signal}"));
        ["kill".to_owned()].into_iter().chain(signal).collect()
    } else {
        ["stop".to_owned()].into_iter().chain(timeout).collect()
    };
    if arguments.flag("keep_volumes")? == Some(false) {
        container.remove_options = vec!["--volumes".to_owned()];
    }
    container.pull_options = container.setting("platform").map(|it| it.words.clone()).unwrap_or_default();
    container.comparisons = comparisons(arguments)?;
    container.compares_image_id = arguments.flag("ignore_image")? != Some(true)
        && comparison(&container, "image", Comparison::Strict) != Comparison::Ignore;
    container.networks = networks(arguments)?;
    add_first_network(&mut container);
    add_restart(&mut container)?;
    add_entrypoint(&mut container);
    if arguments.flag("purge_networks")? == Some(true) {
        container.comparisons.insert("networks".to_owned(), Comparison::Strict);
    }
    Ok(container)
}

/// Reads how values are compared.
fn comparisons(arguments: &Arguments<'_>) -> Result<std::collections::BTreeMap<String, Comparison>, String> {
    let Some(value) = arguments.value("comparisons") else { return Ok(std::collections::BTreeMap::new()) };
    let map = value.as_object().ok_or("`comparisons` must be a map")?;
    let read = |(name, word): (&String, &Value)| {
        let comparison = match word.as_str() {
            Some("ignore") => Comparison::Ignore,
            Some("strict") => Comparison::Strict,
            Some("allow_more_present") => Comparison::AllowMore,
            _ => return Err(format!("`{name}` of `comparisons` must be ignore, strict or allow_more_present")),
        };
        let parameter = OPTIONS.iter().find(|it| it.name == name || it.aliases.contains(&name.as_str()));
        let others = ["*", "command", "image", "networks"];
        let known = parameter.map(|it| it.name).or_else(|| others.into_iter().find(|it| it == name));
        let known = known.ok_or_else(|| format!("module `docker_container` compares no `{name}`"))?;
        Ok((known.to_owned(), comparison))
    };
    map.iter().map(read).collect()
}

/// Returns how a parameter is compared.
fn comparison(container: &Container, parameter: &str, default: Comparison) -> Comparison {
    let all = || container.comparisons.get("*").copied();
    container.comparisons.get(parameter).copied().or_else(all).unwrap_or(default)
}

/// Reads the networks.
fn networks(arguments: &Arguments<'_>) -> Result<Option<Vec<Network>>, String> {
    let Some(value) = arguments.value("networks") else { return Ok(None) };
    let list = value.as_array().ok_or("`networks` must be a list of maps")?;
    let read = |value: &Value| {
        let map = value.as_object().ok_or("`networks` must be a list of maps")?;
        let mut network = Network::default();
        for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
            let text = || scalar_text(value).ok_or_else(|| format!("`{key}` of `networks` must be text"));
            let list = || value.as_array().map(|list| list.iter().filter_map(scalar_text).collect());
            match key.as_str() {
                "name" => network.name = text()?,
                "ipv4_address" => network.ipv4 = Some(text()?),
                "ipv6_address" => network.ipv6 = Some(text()?),
                "aliases" => network.aliases = list().ok_or("`aliases` of `networks` must be a list")?,
                "links" => network.links = list().ok_or("`links` of `networks` must be a list")?,
                _ => return Err(format!("muster knows no `{key}` of `networks`: expected {NETWORK}")),
            }
        }
        if network.name.is_empty() || network.name.starts_with('-') {
            return Err("each of `networks` needs a `name`".to_owned());
        }
        Ok(network)
    };
    list.iter().map(read).collect::<Result<_, String>>().map(Some)
}

const NETWORK: &str = "name, ipv4_address, ipv6_address, aliases and links";

/// Lets docker make the container in one of its networks: that of `network_mode`, or else the first one.
fn add_first_network(container: &mut Container) {
    let mode = container.wanted("network_mode").first().filter(|mode| *mode != "default").cloned();
    let Some(networks) = &mut container.networks else { return };
    let Some(at) = networks.iter().position(|network| mode.as_ref().is_none_or(|mode| network.name == *mode)) else {
        return;
    };
    let first = networks.remove(at);
    networks.insert(0, first.clone());
    let mut words = vec![format!("--network={}", first.name)];
    words.extend(first.ipv4.iter().map(|address| format!("--ip={address}")));
    words.extend(first.ipv6.iter().map(|address| format!("--ip6={address}")));
    words.extend(option_words("--network-alias", &first.aliases));
    words.extend(option_words("--link", &first.links));
    container.settings.retain(|setting| setting.parameter != "network_mode");
    container.settings.push(Setting { parameter: "networks", values: vec![first.name], words });
}

/// Joins the two parameters of the restart policy, which are one option.
fn add_restart(container: &mut Container) -> Result<(), String> {
    let retries = container.wanted("restart_retries").first().cloned();
    container.settings.retain(|setting| setting.parameter != "restart_retries");
    let Some(policy) = container.settings.iter_mut().find(|setting| setting.parameter == "restart_policy") else {
        return retries.map_or(Ok(()), |_| Err("`restart_retries` needs `restart_policy`".to_owned()));
    };
    if let Some(retries) = retries.filter(|retries| retries != "0" && policy.values == ["on-failure"]) {
        policy.values = vec![format!("on-failure:{retries}")];
    }
    policy.words = option_words("--restart", &policy.values);
    Ok(())
}

/// The option for the entry point takes one word. The others go before the command.
fn add_entrypoint(container: &mut Container) {
    let Some(setting) = container.settings.iter_mut().find(|setting| setting.parameter == "entrypoint") else { return };
    if let Some((first, rest)) = setting.values.split_first() {
        setting.words = vec![format!("--entrypoint={first}")];
        container.command.splice(..0, rest.iter().cloned());
        setting.values = [first.clone()].into_iter().chain(container.command.iter().cloned()).collect();
    }
}

fn differences(container: &Container, found: &Found<'_>) -> Vec<Difference> {
    let (mut all, mut updates) = (Vec::new(), Vec::new());
    for setting in &container.settings {
        let name = setting.parameter;
        let (_, pointer) = place(name);
        let Some(parameter) = OPTIONS.iter().find(|parameter| parameter.name == name).filter(|_| !pointer.is_empty())
        else {
            continue;
        };
        let is_set = matches!(parameter.kind, Kind::Any | Kind::List) && !name.starts_with("dns_se");
        let default = if is_set { Comparison::AllowMore } else { Comparison::Strict };
        let mut before = docker_values::of_container(name, pointer, found);
        if before.is_empty() && matches!(&setting.values[..], [value] if value == "false" || value == "0") {
            before.clone_from(&setting.values);
        }
        if !is_same(&before, &setting.values, comparison(container, name, default), is_set) {
            let mut steps = None;
            if UPDATED.contains(&name) {
                updates.extend(setting.words.iter().cloned());
                steps = Some(Vec::new());
            }
            all.push(Difference { name, before, after: setting.values.clone(), steps });
        }
    }
    // One command updates all of them: the limit of memory cannot be above that of memory and swap.
    if let Some(first) = all.iter_mut().find(|difference| difference.steps.is_some()) {
        first.steps = Some(vec![container.step(&["update"], &updates)]);
    }
    let is_compared = !container.command.is_empty() && container.setting("entrypoint").is_none();
    if is_compared && comparison(container, "command", Comparison::Strict) != Comparison::Ignore {
        let before = docker_values::of_container("command", "/Config/Cmd", found);
        if before != container.command {
            all.push(Difference { name: "command", before, after: container.command.clone(), steps: None });
        }
    }
    let id = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (before, after) = (id(found.value("/Image")), id(found.image.and_then(|image| image.get("Id"))));
    if container.compares_image_id && !after.is_empty() && before != after {
        all.push(Difference { name: "image", before: vec![before], after: vec![after], steps: None });
    }
    all.extend(network_differences(container, found));
    all
}

/// Compares the values of a parameter.
fn is_same(before: &[String], after: &[String], comparison: Comparison, is_set: bool) -> bool {
    match comparison {
        Comparison::Ignore => true,
        Comparison::AllowMore => after.iter().all(|value| before.contains(value)),
        Comparison::Strict if is_set => {
            after.iter().all(|value| before.contains(value)) && before.iter().all(|value| after.contains(value))
        }
        Comparison::Strict => before == after,
    }
}

/// Compares the networks. A container changes them while it runs.
fn network_differences(container: &Container, found: &Found<'_>) -> Vec<Difference> {
    let comparison = comparison(container, "networks", Comparison::AllowMore);
    let Some(networks) = container.networks.as_ref().filter(|_| comparison != Comparison::Ignore) else {
        return Vec::new();
    };
    let connected = found.value("/NetworkSettings/Networks").and_then(Value::as_object);
    let mut all = Vec::new();
    let leave =
        |name: &str| -> Vec<String> { ["network", "disconnect", name, &container.name].map(str::to_owned).to_vec() };
    for network in networks {
        let now = connected.and_then(|connected| connected.get(&network.name));
        if now.is_some_and(|now| docker_values::is_connected(network, now)) {
            continue;
        }
        let steps = now.map(|_| leave(&network.name)).into_iter().chain([container.connection(network)]).collect();
        let before = now.map(|_| network.name.clone()).into_iter().collect();
        all.push(Difference { name: "networks", before, after: vec![network.name.clone()], steps: Some(steps) });
    }
    if comparison == Comparison::Strict {
        let names = connected.into_iter().flat_map(|connected| connected.keys());
        for name in names.filter(|name| networks.iter().all(|network| network.name != **name)) {
            let steps = Some(vec![leave(name)]);
            all.push(Difference { name: "networks", before: vec![name.clone()], after: Vec::new(), steps });
        }
    }
    all
}
