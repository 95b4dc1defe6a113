//! ssh_config(5) compared with `ssh -G`, and with tables.

use std::fs;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const QUERY: Query<'static> = Query { host: "core-01", user: None, port: None, local_user: "root", options: &[] };

fn config(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    Config::load_only(&path, Some(folder.path()))
}

fn resolve(text: &str) -> HostConfig {
    config(text).unwrap().resolve(&QUERY).unwrap()
}

/// Writes the keywords that muster supports as `ssh -G` does.
fn dump(host: &HostConfig) -> Vec<String> {
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    let strict = match host.strict {
        StrictHostKey::Yes => "true",
        StrictHostKey::AcceptNew => "accept-new",
        StrictHostKey::No => "false",
    };
    let mut lines = vec![
        format!("hostname {}", host.hostname),
        format!("port {}", host.port),
        format!("user {}", host.user),
        format!("identitiesonly {}", yes_no(host.identities_only)),
        format!("userknownhostsfile {}", host.user_known_hosts.join(" ")),
        format!("stricthostkeychecking {strict}"),
        format!(
            "connecttimeout {}",
            host.connect_timeout.map_or("none".to_owned(), |limit| limit.as_secs().to_string())
        ),
        format!("serveraliveinterval {}", host.alive_interval.as_secs()),
        format!("serveralivecountmax {}", host.alive_count),
        format!("hashknownhosts {}", yes_no(host.hash_known_hosts)),
    ];
    lines.extend(
        host.revoked_host_keys.iter().filter(|file| *file != "none").map(|file| format!("revokedhostkeys {file}")),
    );
    lines.extend(host.identity_files.iter().map(|file| format!("identityfile {file}")));
    lines.extend(host.certificate_files.iter().map(|file| format!("certificatefile {file}")));
    lines.extend(host.host_key_alias.iter().map(|alias| format!("hostkeyalias {alias}")));
    match &host.identity_agent {
        Agent::Default => {}
        Agent::None => lines.push("identityagent none".to_owned()),
        Agent::Socket(path) => lines.push(format!("identityagent {path}")),
    }
    match &host.proxy {
        Proxy::None => {}
        Proxy::Jump(jump) => lines.push(format!("proxyjump {jump}")),
        Proxy::Command(command) => lines.push(format!("proxycommand {command}")),
    }
    lines.sort();
    lines
}

/// Asks `ssh -G`. `None` if it does not accept the file.
fn ask_ssh(path: &Path, query: &Query<'_>) -> Option<Vec<String>> {
    let mut ssh = Command::new("ssh");
    ssh.arg("-G").arg("-F").arg(path).args(query.user.iter().flat_map(|user| ["-l", user]));
    ssh.args(query.port.iter().flat_map(|port| ["-p".to_owned(), port.to_string()]));
    let output = ssh.arg("--").arg(query.host).stdin(std::process::Stdio::null()).output().unwrap();
    if !output.status.success() {
        return None;
    }
    let ours = |word: &str| {
        let known = [
            "hostname",
            "port",
            "user",
            "identitiesonly",
            "userknownhostsfile",
            "stricthostkeychecking",
            "connecttimeout",
            "serveraliveinterval",
            "serveralivecountmax",
            "hashknownhosts",
            "identityfile",
            "certificatefile",
            "hostkeyalias",
            "revokedhostkeys",
            "identityagent",
            "proxyjump",
            "proxycommand",
        ];
        known.contains(&word)
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| ours(line.split(' ').next().unwrap_or_default()));
    // The keys that are tried when none is configured; muster adds them later.
    let lines = lines.filter(|line| !line.starts_with("identityfile ~/.ssh/id_"));
    let mut lines: Vec<String> = lines.map(|line| line.replace("checking ask", "checking true")).collect();
    lines.sort();
    Some(lines)
}

#[expect(clippy::disallowed_methods, reason = "CI says whether what is missing is a failure")]
fn has_ssh() -> bool {
    let there = Command::new("ssh").arg("-V").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI has no ssh to compare with");
    if !there {
        eprintln!("skipped: no ssh to compare with");
    }
    there
}

/// Compares with `ssh -G`. A file that it refuses must not cause a panic.
fn compare(text: &str, query: &Query<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("one.conf"), "Host core-*\n Port 4001\n User included\n").unwrap();
    fs::write(folder.path().join("two.conf"), "IdentityFile /two\nMatch final\n ConnectTimeout 77\n").unwrap();
    let text = text.replace("@HERE@", folder.path().to_str().unwrap());
    fs::write(&path, &text).unwrap();
    let ours = Config::load_only(&path, None).and_then(|config| config.resolve(query)).map(|host| dump(&host));
    match ask_ssh(&path, query) {
        Some(theirs) => assert_eq!(ours.as_ref(), Ok(&theirs), "{query:?}\n{text}"),
        None => drop(ours),
    }
}

/// The settings at the end of each generated file, so the settings of this machine do not count.
const FOOT: &str = "\nHost *\n UserKnownHostsFile /kh\n ConnectTimeout 9\n";

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*"),
        Just("core-01"),
        Just("core-*"),
        Just("core-0?"),
        Just("db"),
        Just("!core-01"),
        Just("!db*"),
        Just("10.0.0.1"),
        Just("*.example"),
        Just("Core-01"),
    ]
    .prop_map(str::to_owned)
}

fn criterion() -> impl Strategy<Value = String> {
    let list = proptest::collection::vec(pattern(), 1..3).prop_map(|patterns| patterns.join(","));
    let user = prop_oneof![Just("root"), Just("admin"), Just("r*,!root"), Just("daemon")];
    prop_oneof![
        3 => (prop_oneof![Just("host"), Just("originalhost"), Just("!host"), Just("HOST")], list)
            .prop_map(|(name, list)| format!("{name} {list}")),
        2 => (prop_oneof![Just("user"), Just("localuser"), Just("!user")], user)
            .prop_map(|(name, list)| format!("{name} {list}")),
        1 => Just("final".to_owned()),
    ]
}

fn setting() -> impl Strategy<Value = String> {
    prop_oneof![
        prop_oneof![Just("10.0.0.1"), Just("%h.example"), Just("db"), Just("DB.example"), Just("a%%b")]
            .prop_map(|name| format!("HostName {name}")),
        prop_oneof![Just("22"), Just("2222"), Just("65535")].prop_map(|port| format!("Port={port}")),
        prop_oneof![Just("admin"), Just("\"root\""), Just("deploy # us")].prop_map(|user| format!("User {user}")),
        prop_oneof![Just("/a"), Just("~/b"), Just("\"/with space\""), Just("/%n/%r")]
            .prop_map(|file| format!("IdentityFile {file}")),
        prop_oneof![Just("/a-cert.pub"), Just("~/c")].prop_map(|file| format!("CertificateFile {file}")),
        prop_oneof![Just("yes"), Just("no"), Just("true")].prop_map(|yes| format!("IdentitiesOnly {yes}")),
        prop_oneof![Just("none"), Just("/agent")].prop_map(|agent| format!("IdentityAgent {agent}")),
        prop_oneof![Just("bastion"), Just("a@b:2200,c"), Just("none")].prop_map(|jump| format!("ProxyJump {jump}")),
        prop_oneof![Just("nc \"%h\" %p"), Just("none")].prop_map(|command| format!("ProxyCommand {command}")),
        prop_oneof![Just("/k1 /k2"), Just("/k3"), Just("none")].prop_map(|files| format!("UserKnownHostsFile {files}")),
        prop_oneof![Just("alias"), Just("other")].prop_map(|alias| format!("HostKeyAlias {alias}")),
        prop_oneof![Just("/revoked"), Just("/krl"), Just("none")].prop_map(|file| format!("RevokedHostKeys {file}")),
        prop_oneof![Just("yes"), Just("no"), Just("off"), Just("accept-new"), Just("ask")]
            .prop_map(|strict| format!("StrictHostKeyChecking {strict}")),
        prop_oneof![Just("5"), Just("1m30s"), Just("2M"), Just("none")]
            .prop_map(|time| format!("ConnectTimeout {time}")),
        prop_oneof![Just("15"), Just("1m"), Just("0")].prop_map(|time| format!("ServerAliveInterval {time}")),
        prop_oneof![Just("2"), Just("10")].prop_map(|count| format!("ServerAliveCountMax {count}")),
        prop_oneof![Just("yes"), Just("no")].prop_map(|yes| format!("HashKnownHosts {yes}")),
        Just("Include @HERE@/one.conf".to_owned()),
        Just("Include @HERE@/*.conf".to_owned()),
        Just("Include @HERE@/absent.conf".to_owned()),
        Just("  # a comment".to_owned()),
        Just("ForwardAgent no".to_owned()),
    ]
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => proptest::collection::vec(pattern(), 1..4).prop_map(|patterns| format!("Host {}", patterns.join(" "))),
        2 => proptest::collection::vec(criterion(), 1..3).prop_map(|criteria| format!("Match {}", criteria.join(" "))),
        1 => prop_oneof![Just("Match all"), Just("Match !all"), Just("Match final all"), Just("Match final !all")]
            .prop_map(str::to_owned),
        9 => setting(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_file_means_what_ssh_says_it_means(
        lines in proptest::collection::vec(line(), 0..14),
        host in prop_oneof![Just("core-01"), Just("db"), Just("Core-01"), Just("10.0.0.1")],
        user in prop_oneof![Just(None), Just(Some("admin"))],
        port in prop_oneof![Just(None), Just(Some(2022))],
    ) {
        if has_ssh() {
            compare(&format!("{}{FOOT}", lines.join("\n")), &Query { host, user, port, ..QUERY });
        }
    }

    #[test]
    fn no_text_causes_a_panic(text in "(Host|Match|Include|Port|User|HostName|ProxyJump|[ =\"'!,%*#\\\\\n]|[a-z0-9/~.]){0,40}") {
        if let Ok(config) = config(&text) {
            let _ = config.resolve(&QUERY);
        }
    }
}

#[test]
fn the_first_value_wins_and_later_blocks_fill_in() {
    let host = resolve("Host core-*\n Port 2201\nHost *\n Port 22\n User core\n");
    assert_eq!((host.port, host.user.as_str()), (2201, "core"));
}

#[test]
fn an_unknown_criterion_skips_its_block_and_no_other() {
    let host = resolve("Match exec \"true\" host core-01\n Port 1\nHost core-01\n User after\n");
    assert_eq!((host.port, host.user.as_str()), (22, "after"));
}

#[test]
fn a_file_that_includes_itself_is_an_error_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    fs::write(&path, format!("Port 22\nInclude {}\n", path.display())).unwrap();
    let error = Config::load_only(&path, None).unwrap_err();
    assert_eq!(error.to_string(), format!("{}:2: files include each other more than 16 deep", path.display()));
}

#[test]
fn includes_are_relative_to_the_users_folder_and_sorted() {
    let home = tempfile::tempdir().unwrap();
    let ssh = home.path().join(".ssh");
    fs::create_dir_all(ssh.join("conf.d")).unwrap();
    fs::write(ssh.join("conf.d/20-b"), "Port 2\n").unwrap();
    fs::write(ssh.join("conf.d/10-a"), "Port 1\n").unwrap();
    fs::write(ssh.join("conf.d/.hidden"), "User hidden\n").unwrap();
    let path = ssh.join("config");
    fs::write(&path, "Include conf.d/*\n").unwrap();
    let host = Config::load_only(&path, Some(home.path())).unwrap().resolve(&QUERY).unwrap();
    assert_eq!((host.port, host.user.as_str()), (1, "root"));
}

#[test]
fn a_fault_is_reported_with_file_and_line() {
    for (text, what) in [
        ("\nPort ssh\n", "2: port: invalid port \"ssh\": expected 1 to 65535"),
        ("Port\n", "1: port has no value"),
        ("Host \"x\n", "1: the quote \" is not closed"),
        (
            "Host x\n StrictHostKeyChecking maybe\nHost *\n StrictHostKeyChecking maybe\n",
            "4: stricthostkeychecking: invalid value \"maybe\": expected yes, accept-new or no",
        ),
        ("ConnectTimeout 5x\n", "1: connecttimeout: invalid time \"5x\": expected a time such as 90, 1m30s or 2h"),
        ("Match host\n", "1: Match host has no value"),
    ] {
        let error = config(text).and_then(|config| config.resolve(&QUERY)).unwrap_err().to_string();
        assert!(error.ends_with(&format!("/config:{what}")), "{text:?}: {error}");
    }
}

#[test]
fn a_file_that_other_users_may_write_to_is_an_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".ssh/config");
    fs::create_dir_all(home.path().join(".ssh")).unwrap();
    fs::write(&path, "Port 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(Config::load(Some(home.path())), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn match_all_negated_matches_nothing_and_stands_alone() {
    assert_eq!(resolve("Match !all\n Port 1\n").port, 22);
    for (text, told) in [
        ("Match all host core-01\n Port 1\n", false),
        ("Match !all host core-01\n Port 1\n", false),
        ("Match user root host core-01 all\n Port 1\n", false),
        ("Match host core-01 all\n Port 1\n", true),
    ] {
        let ours = config(text).and_then(|config| config.resolve(&QUERY));
        assert_eq!(ours.as_ref().is_ok_and(|host| host.port == 1), told, "{text}: {ours:?}");
        if has_ssh() {
            compare(&format!("{text}{FOOT}"), &QUERY);
        }
    }
}

#[test]
fn options_win_over_files_and_are_checked() {
    let options =
        ["StrictHostKeyChecking=no", "ConnectTimeout 5", "ConnectTimeout=6", "ProxyCommand=nc -X 5 \"%h\" %p"];
    let options = options.map(str::to_owned);
    let text = "ConnectTimeout 9\nStrictHostKeyChecking yes\nServerAliveInterval 7\nProxyJump b\n";
    let host = config(text).unwrap().resolve(&Query { options: &options, ..QUERY }).unwrap();
    assert_eq!((host.strict, host.connect_timeout), (StrictHostKey::No, Some(Duration::from_secs(5))));
    assert_eq!(host.alive_interval, Duration::from_secs(7));
    assert_eq!(host.proxy, Proxy::Command("nc -X 5 \"%h\" %p".to_owned()));
    for (option, expected) in [
        ("ConnectTimeout=5", Ok(Support::Obeyed)),
        ("controlmaster auto", Ok(Support::NoEffect)),
        ("BindAddress=10.0.0.1", Ok(Support::Ignored)),
        ("ConectTimeout=5", Ok(Support::Unknown)),
        ("ConnectTimeout", Err("connecttimeout has no value")),
        ("ConnectTimeout=soon", Err("connecttimeout: invalid time \"soon\": expected a time such as 90, 1m30s or 2h")),
        ("User=\"a", Err("the quote \" is not closed")),
        ("", Err("it is empty")),
    ] {
        assert_eq!(check_option(option), expected.map_err(str::to_owned), "{option}");
    }
}

#[test]
fn unknown_keywords_and_criteria_are_named_once() {
    let text = "IgnoreUnknown UseKeychain,Add*Extra\nIdentityFlie x\nHost a\n UseKeychain yes\n addsomeextra 1\n identityflie y\n\
                Match user x exec true\n Port 1\nMatch all\n ControlPath x\n VerifyHostKeyDNS yes\n";
    let config = config(text).unwrap();
    let place = |warning: &String| warning.rsplit('/').next().unwrap().to_owned();
    let warnings: Vec<String> = file::unknown(&config.lines).iter().map(place).collect();
    let expected = [
        "config:2: unknown keyword identityflie: the line is ignored",
        "config:7: unknown criterion Match exec: the block is skipped",
    ];
    assert_eq!(warnings, expected);
    assert_eq!(file::unknown(&[]), Vec::<String>::new());
}

#[test]
fn an_included_file_must_be_as_private_as_the_file_that_includes_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let ssh = home.path().join(".ssh");
    fs::create_dir_all(&ssh).unwrap();
    for (name, text) in [("config", "Include more\n"), ("more", "Include most\n"), ("most", "Port 1\n")] {
        fs::write(ssh.join(name), text).unwrap();
        fs::set_permissions(ssh.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert_eq!(Config::load(Some(home.path())).unwrap().resolve(&QUERY).unwrap().port, 1);
    for mode in [0o660, 0o602] {
        fs::set_permissions(ssh.join("most"), fs::Permissions::from_mode(mode)).unwrap();
        let error = Config::load(Some(home.path())).unwrap_err().to_string();
        assert!(error.contains("/.ssh/most: other users may write to it"), "{error}");
        // As for `ssh -F`, a file that is named explicitly may have any owner.
        assert!(Config::load_only(&ssh.join("config"), Some(home.path())).is_ok());
    }
}

#[test]
fn home_tokens_and_variables_are_expanded_in_names_of_files() {
    let host = resolve("HostName 10.0.0.1\nUser core\nPort 2222\nHostKeyAlias alias\nProxyJump b\n");
    let variable = |name: &str| (name == "KEYS").then(|| "/keys".to_owned());
    let names = TokenValues {
        original: "core-01",
        local_user: "me",
        uid: 7,
        local_host: "desk.example",
        home: Some(Path::new("/home/me")),
        variable: &variable,
    };
    for (value, expected) in [
        ("~/.ssh/%h", "/home/me/.ssh/10.0.0.1"),
        ("%d/%n-%r@%p-%u.%i", "/home/me/core-01-core@2222-me.7"),
        ("${KEYS}/%k/%L/%l/%j/100%%", "/keys/alias/desk/desk.example/b/100%"),
        ("$KEYS", "/keys"),
    ] {
        assert_eq!(names.path(value, &host), Ok(PathBuf::from(expected)), "{value}");
    }
    for wrong in ["%z", "x%", "~other/x", "${NONE}", "${KEYS"] {
        assert!(names.path(wrong, &host).is_err(), "{wrong}");
    }
}
