//! The binary under the name of fleet's client: version and help, fleet's options and variables. Single options are tested
//! where they are rewritten (`src/cli/fleet_arguments/`), those that need hosts in `tests/hosts/fleet/`.

use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use super::Desk;
use super::machine;
use crate::hosts::Said;
use crate::hosts::run;
use crate::hosts::until;
use crate::store::server::Server;
use crate::store::server::installed;
use crate::store::skip;

/// Runs fleet's client with variables, through a link to the binary.
fn fleetctl(desk: &Desk, variables: &[(&str, &str)], args: &[&str]) -> Said {
    let link = desk.path("fleetctl");
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_muster"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.env_clear().env("HOME", desk.home("")).envs(variables.iter().copied()).current_dir(desk.path(""));
    run(command.args(args))
}

#[test]
fn lists_versions_and_helps_are_those_of_fleet() {
    let desk = Desk::new();
    let say = |args: &[&str]| fleetctl(&desk, &[], args).ok();
    assert_eq!(say(&["list-unit-files"]), "UNIT\tHASH\tDSTATE\tSTATE\tTARGET\n");
    assert_eq!(say(&["list-unit-files", "-no-legend", "-fields=unit", "--full=false"]), "");
    let version = concat!("fleetctl version ", env!("CARGO_PKG_VERSION"), "\n");
    for args in [&["version"][..], &["--version"], &["-v"], &["-version"], &["-v", "list-units"]] {
        assert_eq!(say(args), version, "{args:?}");
    }
    for args in [&[][..], &["help"], &["--help"], &["-help"], &["-h"]] {
        let help = say(args);
        assert!(help.starts_with(version.trim_end()) && help.contains("Usage: fleetctl"), "{args:?}: {help}");
    }
    assert_eq!([say(&["destroy"]), say(&["status"])], [String::new(), String::new()]);
}

#[tokio::test]
async fn what_muster_cannot_honour_is_refused_and_nothing_is_done() {
    let desk = Desk::new();
    machine(&desk, 1).await;
    let other = "the tunnel \"staging\" is no machine of the cluster default in sqlite:";
    for (variables, args, why) in [
        (&[][..], &["list-units", "-nothing"][..], "unexpected argument"),
        (&[], &["-endpoint=http://h:49153", "list-units"], "--endpoint: without TLS, other hosts can read"),
        (&[], &["-tunnel", "staging", "list-units"], other),
        (&[("FLEETCTL_TUNNEL", "staging")], &["destroy", "made.service"], other),
        (&[("FLEETCTL_TUNNEL", "staging")], &["submit", "made.service"], other),
        (&[("FLEETCTL_TUNNEL", "staging")], &["sweep"], other),
        (&[("FLEETCTL_REQUEST_TIMEOUT", "3")], &["list-units"], "FLEETCTL_REQUEST_TIMEOUT: muster has no such limit"),
        (&[("FLEETCTL_UNKNOWN", "3")], &["list-units"], "FLEETCTL_UNKNOWN is set, and muster does not read it"),
        (
            &[("FLEETCTL_ENDPOINT", "http://h:2379"), ("MUSTER_STORE", "sqlite:own.db")],
            &["list-units"],
            "FLEETCTL_ENDPOINT: it names etcd servers, and `--store` or MUSTER_STORE names a store",
        ),
        (&[], &["verify", "made.service"], "the signed/verified units feature is DEPRECATED"),
        (&[], &["start", "--sign", "made.service"], "the signed/verified units feature is DEPRECATED"),
    ] {
        desk.write("made.service", super::unit("made"));
        let said = fleetctl(&desk, variables, args);
        assert!(said.code == Some(2) && said.err.contains(why) && said.out.is_empty(), "{args:?}: {said:#?}");
    }
    assert_eq!(fleetctl(&desk, &[], &["list-unit-files", "--no-legend"]).ok(), "");
    // Under its own name, muster reads no variable of fleet.
    let mut muster = desk.command(&["list-unit-files", "--no-legend"]);
    assert_eq!(run(muster.env("FLEETCTL_TUNNEL", "staging")).code, Some(0));
}

#[test]
fn the_endpoint_of_etcd_is_the_store() {
    if !installed() {
        return skip("etcd is not installed");
    }
    let (desk, server) = (Desk::empty(), Server::start(&[]));
    let endpoint = format!("http://{}", server.address());
    desk.write("web.service", super::unit("web"));
    let variables = [("FLEETCTL_ENDPOINT", endpoint.as_str()), ("FLEETCTL_DRIVER", "etcd")];
    let submit = || fleetctl(&desk, &variables, &["submit", "web.service"]);
    until("etcd answers", Duration::from_secs(20), submit, |said| said.code == Some(0));
    let listed = |option: &str| {
        let args = ["-endpoint", &endpoint, option, "-driver=etcd", "list-unit-files", "-fields=unit", "-no-legend"];
        fleetctl(&desk, &[], &args).ok()
    };
    assert_eq!(listed("-etcd-key-prefix=/_coreos.com/fleet/"), "web.service\n");
    assert_eq!(listed("-etcd-key-prefix=/other/"), "");
    let store = format!("etcd://{}", server.address());
    assert_eq!(desk.muster(&["--store", &store, "cat", "web"]).ok(), super::unit("web"));
}
