use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::FromArgMatches as _;

use super::*;
use crate::cli::Cli;

/// Command lines as they were found, each with its outcome.
const FOUND: &str = include_str!("../../../tests/data/fleet/command-lines.txt");

/// Rewrites a line, which may begin with variables: `FLEETCTL_TUNNEL=host fleetctl list-units`.
fn rewrite_line(line: &str) -> Result<Rewritten, CommandError> {
    let (variables, arguments): (Vec<&str>, Vec<&str>) =
        line.split_whitespace().partition(|word| word.starts_with("FLEETCTL_"));
    let variables = variables.into_iter().filter_map(|word| word.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    rewrite(command(Cli::command()), arguments.into_iter().map(OsString::from), variables, false)
}

fn rewritten(line: &str) -> Result<String, String> {
    let written = rewrite_line(line).map_err(|error| error.source.to_string())?.arguments;
    let words: Vec<&str> = written.iter().skip(1).filter_map(|word| word.to_str()).collect();
    Ok(words.join(" "))
}

fn connecting(line: &str) -> Connecting {
    rewrite_line(line).unwrap().connecting
}

#[test]
fn flags_in_the_spelling_of_go_become_those_of_muster() {
    for (given, expected) in [
        ("list-units -full -no-legend -fields=unit,hash", "list-units --full --no-legend --fields=unit,hash"),
        ("list-units -fields unit -full", "list-units --fields unit --full"),
        ("list-machines --no-legend=true --full=false", "list-machines --no-legend"),
        ("list-unit-files --l -l=1", "list-unit-files -l -l"),
        ("start -block-attempts 30 -no-block=F a", "start --block-attempts 30 a"),
        ("journal --follow=false -lines=5 -n 7 -sudo -ssh-port=22 a", "journal --lines=5 -n 7 --sudo --ssh-port=22 a"),
        ("-strict-host-key-checking=false list-units", "--strict-host-key-checking=false list-units"),
        ("-strict-host-key-checking list-units", "--strict-host-key-checking=yes list-units"),
        ("--strict-host-key-checking accept-new join", "--strict-host-key-checking=accept-new join"),
        ("-i start list-machines -full", "-i start list-machines --full"),
        // The command for a host, and all that follows two dashes, stays as it is.
        ("ssh -m web1 ls -full", "ssh -m web1 ls -full"),
        ("ssh -A -unit=web.service", "ssh -A --unit web.service"),
        ("ssh --forward-agent=false web1 -- ls -full", "ssh web1 -- ls -full"),
        ("start -- -full", "start -- -full"),
        // clap refuses these.
        ("start -nothing=5 a", "start -nothing=5 a"),
        ("list-units --full=maybe", "list-units --full=maybe"),
        ("", "--help"),
        ("version", "--version"),
        ("-v list-units", "--version"),
        ("start version", "start version"),
        ("start verify", "start verify"),
        ("start -sign=false a", "start a"),
        ("-debug list-units", "-v list-units"),
        ("-debug=false -experimental-api=true -driver API list-units", "list-units"),
        ("exec --key-file K web -- ls", "exec --key-file K web -- ls"),
    ] {
        assert_eq!(rewritten(&format!("fleetctl {given}")).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn etcd_servers_become_the_store() {
    for (given, expected) in [
        ("fleetctl -endpoint=http://a:4001 cat a", "--store=etcd://a:4001 cat a"),
        ("fleetctl cat --endpoint https://a:2379/,https://b:2379 a", "--store=etcds://a:2379,b:2379 cat a"),
        ("fleetctl --driver=etcd cat a", "--store=etcd://127.0.0.1:2379,127.0.0.1:4001 cat a"),
        ("fleetctl --experimental-api=false cat a", "--store=etcd://127.0.0.1:2379,127.0.0.1:4001 cat a"),
        ("fleetctl --driver=ETCD --endpoint=http://a:80 cat a", "--store=etcd://a:80 cat a"),
        (
            "fleetctl --driver=etcd --endpoint=http://a:80 --etcd-key-prefix=/_coreos.com/fleet/ cat a",
            "--store=etcd://a:80 cat a",
        ),
        ("fleetctl -endpoint http://a:2379 -etcd-key-prefix /mine/ cat a", "--store=etcd://a:2379/mine cat a"),
        (
            "fleetctl --endpoint=https://a:2379 --ca-file=CA --cert-file C -etcd-keyfile=K cat a",
            "--store=etcds://a:2379 --etcd-key-file=K --etcd-ca-file=CA --etcd-cert-file=C cat a",
        ),
        ("FLEETCTL_ENDPOINT=http://a:2379 fleetctl --endpoint=http://b:2379 cat a", "--store=etcd://b:2379 cat a"),
        (
            "FLEETCTL_DRIVER=etcd FLEETCTL_STRICT_HOST_KEY_CHECKING=false fleetctl --endpoint= cat a",
            "--store=etcd://127.0.0.1:2379,127.0.0.1:4001 --strict-host-key-checking=false cat a",
        ),
    ] {
        assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn the_address_of_an_api_becomes_that_of_muster() {
    for (given, expected) in [
        ("fleetctl --endpoint=unix:///var/run/fleet.sock cat a", "--api=unix:///var/run/fleet.sock cat a"),
        ("fleetctl --endpoint http://127.0.0.1:49153 cat a", "--api=http://127.0.0.1:49153 cat a"),
        (
            "FLEETCTL_ENDPOINT=https://a:8443 fleetctl --ca-file=CA --key-file K --cert-file C cat a",
            "--api=https://a:8443 --api-ca-file=CA --api-cert-file=C --api-key-file=K cat a",
        ),
        ("fleetctl --driver=API --endpoint=https://a:2379 cat a", "--api=https://a:2379 cat a"),
    ] {
        assert_eq!(rewritten(given).as_deref(), Ok(expected), "{given}");
    }
}

#[test]
fn options_about_ssh_hold_for_all_hosts() {
    assert_eq!(connecting("fleetctl list-units"), Connecting::default());
    let given = connecting(
        "FLEETCTL_TUNNEL=10.0.0.1:2222 FLEETCTL_SSH_TIMEOUT=1.5 fleetctl -ssh-username core --known-hosts-file=/k cat a",
    );
    assert_eq!(given.timeout, Some(Duration::from_millis(1500)));
    let overrides = given.overrides;
    assert_eq!((overrides.user.as_deref(), overrides.jump.as_deref()), (Some("core"), Some("10.0.0.1:2222")));
    assert_eq!(overrides.known_hosts, Some(PathBuf::from("/k")));
    assert_eq!(connecting("FLEETCTL_TUNNEL=a fleetctl --tunnel=b cat a").overrides.jump.as_deref(), Some("b"));
}

#[test]
fn options_that_muster_cannot_honour_are_refused() {
    let signed = "the signed/verified units feature is DEPRECATED and cannot be used";
    for (line, expected) in [
        ("fleetctl verify a.service", format!("verify: {signed}")),
        ("fleetctl submit -sign a.service", format!("--sign: {signed}")),
        ("fleetctl --tunnel", "--tunnel: a value is missing".to_owned()),
        ("fleetctl --debug=maybe cat a", "--debug: invalid value \"maybe\": expected true or false".to_owned()),
        ("fleetctl --driver=zk cat a", "--driver: unrecognized driver \"zk\"".to_owned()),
        (
            "FLEETCTL_ENDPOINT=http://a:49153 fleetctl cat a",
            "FLEETCTL_ENDPOINT: without TLS, other hosts can read the access token and the records: use https://: expected \
             etcd://host:2379,host:2379 (etcds:// for TLS), sqlite:PATH, or the API of a controller at https://host:8443 or \
             unix:/PATH"
                .to_owned(),
        ),
        (
            "fleetctl --endpoint=sqlite:/x cat a",
            "--endpoint: it names neither etcd servers nor the API of a controller".to_owned(),
        ),
        (
            "fleetctl --store etcd://a --endpoint=unix:///x cat a",
            "--endpoint: it names an API, and `--store` or MUSTER_STORE names a store".to_owned(),
        ),
        (
            "fleetctl --endpoint=http://a:2379,https://b:2379 cat a",
            "--endpoint: some etcd servers have TLS (https) and some have none (http)".to_owned(),
        ),
        (
            "fleetctl --driver=etcd --endpoint=a:2379 cat a",
            "--endpoint: invalid etcd server 1: expected http://HOST:PORT or https://HOST:PORT".to_owned(),
        ),
        (
            "fleetctl --driver=etcd --endpoint=http://a,http://u:hunter2@b cat a",
            "--endpoint: a password in the location is visible to other users: set MUSTER_ETCD_PASSWORD instead: expected \
             etcd://host:2379,host:2379 (etcds:// for TLS), sqlite:PATH, or the API of a controller at https://host:8443 or \
             unix:/PATH"
                .to_owned(),
        ),
        (
            "fleetctl --store etcd://a --endpoint=http://a:2379 cat a",
            "--endpoint: it names etcd servers, and `--store` or MUSTER_STORE names a store".to_owned(),
        ),
        (
            "fleetctl --tunnel t --endpoint=http://a:2379 cat a",
            "--tunnel: muster reaches etcd servers directly, not through a tunnel".to_owned(),
        ),
        (
            "FLEETCTL_CA_FILE=ca fleetctl cat a",
            "FLEETCTL_CA_FILE: it is for etcd servers or an API, and none is given".to_owned(),
        ),
        (
            "fleetctl --request-timeout=5 cat a",
            "--request-timeout: muster has no such limit: it waits up to 5 s for an answer of etcd".to_owned(),
        ),
        (
            "fleetctl --ssh-timeout=0 cat a",
            "--ssh-timeout: invalid value \"0\": expected a number of seconds up to 3600".to_owned(),
        ),
        ("FLEETCTL_OWN=1 fleetctl cat a", "FLEETCTL_OWN is set, and muster does not read it".to_owned()),
    ] {
        assert_eq!(rewritten(line), Err(expected), "{line}");
    }
}

#[test]
fn commands_for_units_need_no_unit_and_the_last_of_equal_flags_counts() {
    for name in FOR_UNITS {
        let matches = command(Cli::command()).try_get_matches_from(["fleetctl", name]).unwrap();
        assert!(Cli::from_arg_matches(&matches).is_ok(), "{name}");
    }
    let repeated = ["fleetctl", "list-units", "-l", "-l", "--fields=unit", "--fields=hash"];
    assert!(command(Cli::command()).try_get_matches_from(repeated).is_ok());
}

#[test]
fn command_lines_from_public_scripts_run_or_are_refused() {
    let lines = FOUND.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<(&str, &str)> = lines.map(|line| line.split_once(char::is_whitespace).unwrap()).collect();
    for (outcome, line) in &lines {
        let arguments = rewrite_line(line.trim()).map(|rewritten| rewritten.arguments);
        let parsed = arguments.map(|arguments| command(Cli::command()).try_get_matches_from(arguments));
        let seen = match parsed {
            Err(error) => format!("refused {}", error.status.code()),
            Ok(Ok(matches)) if Cli::from_arg_matches(&matches).is_ok() => "runs".to_owned(),
            Ok(Err(error)) if error.exit_code() == 0 => "runs".to_owned(),
            Ok(_) => "unparsable".to_owned(),
        };
        let expected = if *outcome == "runs" { "runs" } else { "refused 2" };
        assert_eq!(seen, expected, "{line}");
    }
    let running = lines.iter().filter(|(outcome, _)| *outcome == "runs").count();
    assert_eq!((running, lines.len()), (50, 51));
}
