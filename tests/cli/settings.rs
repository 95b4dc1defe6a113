//! Every global flag is also a variable and a key of `muster.toml`. The flag wins over the variable, the variable over the
//! file.

use super::Desk;
use super::unit;
use crate::hosts::Said;
use crate::hosts::run;

/// Sets a setting in each of the three ways, with the same arguments otherwise, and returns the three outcomes.
fn each_way(desk: &Desk, name: &str, value: &str, args: &[&str]) -> [Said; 3] {
    let flag = format!("--{name}");
    let by_flag = desk.muster(&[&[&flag, value], args].concat());
    let variable = format!("MUSTER_{}", name.to_uppercase().replace('-', "_"));
    let by_variable = run(desk.command(args).env(variable, value));
    let value = if name == "inventory" { format!("[{value:?}]") } else { format!("{value:?}") };
    desk.write("muster.toml", format!("{name} = {value}\n"));
    let by_file = desk.muster(args);
    std::fs::remove_file(desk.path("muster.toml")).unwrap();
    [by_flag, by_variable, by_file]
}

#[test]
fn every_global_setting_can_be_a_flag_a_variable_or_a_key() {
    let desk = Desk::new();
    let here = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    desk.write("a.service", unit("a"));
    desk.muster(&["--store", "sqlite:other.db", "--token", "other", "submit", "a.service"]).ok();
    desk.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1\n");
    desk.write("ssh_config", "Host *\n  Frobnicate\n  Port x\n");
    let tls = ["--store", "etcds://127.0.0.1:1", "list-units"];
    let exec = ["-i", "hosts", "exec", "h1", "--", "true"];
    for (name, value, args, expected) in [
        ("store", format!("sqlite:{}", here("other.db")), &["--token", "other", "cat", "a"][..], "Description=a"),
        ("token", "other".to_owned(), &["--store", "sqlite:other.db", "cat", "a"], "Description=a"),
        ("etcd-ca-file", here("no-ca"), &tls, "no-ca"),
        ("etcd-password-file", here("no-password"), &[&["--etcd-username", "u"][..], &tls].concat(), "no-password"),
        ("inventory", here("hosts"), &["inventory", "list"], "h1\n"),
        ("ssh-config", here("ssh_config"), &exec, "ssh_config:"),
    ] {
        let [flag, variable, file] = each_way(&desk, name, &value, args);
        let all = format!("{}{}", flag.out, flag.err);
        assert!(all.contains(expected), "{name}: {flag:#?}");
        assert_eq!(flag, variable, "{name}");
        assert_eq!(flag, file, "{name}");
    }
}

#[test]
fn an_error_about_a_setting_names_the_place_that_has_set_it() {
    let desk = Desk::new();
    desk.write("hosts", "h1 ansible_host=127.0.0.1 ansible_port=1\n");
    let exec = ["-i", "hosts", "exec", "h1", "--", "true"];
    for (name, value, args) in [
        ("strict-host-key-checking", "perhaps", &exec[..]),
        ("token", "no/token", &["list-units"]),
        ("store", "mysql://here", &["list-units"]),
    ] {
        let places = each_way(&desk, name, value, args).map(|said| said.err);
        let variable = format!("MUSTER_{}", name.to_uppercase().replace('-', "_"));
        let expected = [format!("--{name}"), variable, format!("`{name}` in muster.toml")];
        for (said, place) in places.into_iter().zip(expected) {
            assert!(said.starts_with(&format!("Error: {place}: ")), "{said}");
        }
    }
    let said = run(desk.command(&["start", "x"]).env("MUSTER_SETTLE", "soon"));
    let expected = "Error: invalid value 'soon' for MUSTER_SETTLE: expected a duration such as 30s or 5m";
    assert!(said.code == Some(2) && said.err.starts_with(expected), "{said:#?}");
    let said = run(desk.command(&["start", "--settle", "never", "x"]).env("MUSTER_SETTLE", "soon"));
    assert!(said.err.contains("'never' for '--settle <DURATION>'"), "{said:#?}");
}

#[test]
fn a_lease_that_a_sweep_ignores_is_named_with_the_setting_that_is_missing() {
    let desk = Desk::new();
    let said = desk.muster(&["sweep", "--lease", "5m"]);
    assert!(said.err.starts_with("Warning: --lease has no effect without --sweep-every: "), "{said:#?}");
    assert!(!desk.muster(&["sweep", "--lease", "5m", "--sweep-every", "1m"]).err.contains("has no effect"));
}

#[test]
fn the_certificate_its_key_and_the_user_can_be_set_in_each_way_too() {
    let desk = Desk::new();
    let here = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    desk.write("ca", "");
    let tls = ["--store", "etcds://127.0.0.1:1", "--etcd-ca-file", "ca"];
    let cert = [&tls[..], &["--etcd-key-file", "no-key", "list-units"]].concat();
    let key = [&tls[..], &["--etcd-cert-file", "no-cert", "list-units"]].concat();
    let user = ["--store", "etcd://127.0.0.1:1", "--etcd-password-file", "no-password", "list-units"];
    for (name, value, args, expected) in [
        ("etcd-cert-file", here("no-cert"), &cert, "no-"),
        ("etcd-key-file", here("no-key"), &key, "no-"),
        ("etcd-username", "u".to_owned(), &user.to_vec(), "no-password"),
    ] {
        let [flag, variable, file] = each_way(&desk, name, &value, args);
        assert!(flag.err.contains(expected), "{name}: {flag:#?}");
        assert_eq!(flag, variable, "{name}");
        assert_eq!(flag, file, "{name}");
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let desk = Desk::new();
    desk.write("muster.toml", "token = \"file\"\nstore = \"sqlite:muster.db\"\n");
    for token in ["file", "variable", "flag"] {
        desk.write("a.service", unit(token));
        desk.muster(&["--token", token, "submit", "a.service"]).ok();
    }
    let said = |args: &[&str], variable: Option<&str>| {
        run(desk.command(args).envs(variable.map(|token| ("MUSTER_TOKEN", token)))).ok()
    };
    assert!(said(&["cat", "a"], None).contains("=file\n"));
    assert!(said(&["cat", "a"], Some("variable")).contains("=variable\n"));
    assert!(said(&["--token", "flag", "cat", "a"], Some("variable")).contains("=flag\n"));
}

#[test]
fn a_settings_file_is_found_in_the_default_folders_and_its_paths_are_relative_to_it() {
    let desk = Desk::new();
    desk.write("etc/muster.toml", "store = \"sqlite:here.db\"\ninventory = [\"hosts\"]\n");
    desk.write("etc/hosts", "h1\n");
    assert_eq!(desk.muster(&["--config", "etc/muster.toml", "inventory", "list"]).ok(), "h1\n");
    desk.write("a.service", unit("a"));
    desk.muster(&["--config", "etc/muster.toml", "submit", "a.service"]).ok();
    assert!(desk.path("etc/here.db").exists() && !desk.path("here.db").exists());
    // Without any, the cluster is kept in the home directory.
    desk.muster(&["submit", "a.service"]).ok();
    assert!(desk.home(".local/state/muster/muster.db").exists());
    let user = desk.home(".config/muster");
    std::fs::create_dir_all(&user).unwrap();
    std::fs::write(user.join("muster.toml"), "token = \"no/token\"\n").unwrap();
    desk.fails(&["list-units"], 2, &["Error: `token` in ", "/.config/muster/muster.toml: "]);
}

#[test]
fn a_settings_file_that_another_user_can_write_to_counts_only_if_it_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    let chmod = |path: &str, mode| {
        std::fs::set_permissions(desk.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    desk.write("inv.sh", "#!/bin/sh\n>pwned\necho '{}'\n");
    chmod("inv.sh", 0o755);
    desk.write("muster.toml", "inventory = [\"inv.sh\"]\n");
    for (path, open, closed, place) in [(".", 0o777, 0o755, "its folder"), ("muster.toml", 0o666, 0o644, "it")] {
        chmod(path, open);
        let said = desk.muster(&["inventory", "list"]);
        let expected = format!("muster.toml is ignored, because another user can write to {place}: ");
        assert!(said.err.contains(&expected), "{said:#?}");
        assert!(!desk.path("pwned").exists());
        chmod(path, closed);
    }
    desk.muster(&["inventory", "list"]).ok();
    assert!(desk.path("pwned").exists());
}

#[test]
fn an_invalid_settings_file_is_named_with_the_line() {
    let desk = Desk::new();
    desk.write("muster.toml", "store = \"sqlite:x.db\"\ncolour = \"blue\"\n");
    desk.fails(&["list-units"], 2, &["muster.toml", "line 2", "colour"]);
    desk.write("muster.toml", "store = \n");
    desk.fails(&["list-units"], 2, &["muster.toml", "line 1"]);
    desk.fails(&["--config", "nowhere.toml", "list-units"], 2, &["cannot read nowhere.toml"]);
}

#[test]
fn failover_is_set_in_the_file_too_and_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("muster.toml");
    let sweep = |text: &str| {
        std::fs::write(&config, format!("store = \"sqlite:m.db\"\n{text}\n")).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_muster"));
        command.env_clear().env("HOME", folder.path()).env("MUSTER_CONFIG", &config).arg("sweep");
        command.output().unwrap()
    };
    let good = "down-after = 20\nbrake = 40\nfailover-limit = 2\nhold-down = 0\nzone-key = \"\"";
    // The settings are valid: the error is that there is no store.
    let taken = |text: &str| {
        let output = sweep(text);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("m.db does not exist"), "{text}: {said}");
    };
    taken(good);
    let bad = sweep("brake = 101");
    let said = String::from_utf8_lossy(&bad.stderr);
    assert!(bad.status.code() == Some(2) && said.contains("invalid `brake`: expected 1 to 100 percent"), "{said}");
    taken("sweep-every = 60\nlease = 180");
    taken("sweep-every = \"1m\"\nlease = \"3m\"\nlock-wait = \"2s\"");
    for (text, why) in [
        ("sweep-every = 0", "invalid `sweep-every`: expected a duration from 1s to 8h"),
        // The error shows that the key was read: a lease must be three times as long.
        ("sweep-every = 60\nlease = 100", "lease"),
    ] {
        let bad = sweep(text);
        let said = String::from_utf8_lossy(&bad.stderr);
        assert!(bad.status.code() == Some(2) && said.contains(why), "{text}: {said}");
    }
}

#[test]
fn an_unknown_key_is_named_with_similar_keys() {
    let desk = Desk::new();
    desk.write("muster.toml", "# ours\nlock-wait = 1\nfailover-limits = 2\n");
    let hint = "Hint: Did you mean `failover-limit`?";
    desk.fails(&["list-units"], 2, &["muster.toml: line 3: there is no setting `failover-limits`", hint]);
    desk.write("muster.toml", "token = \"t\"\nlease = \"long\"\n");
    desk.fails(&["list-units"], 2, &["muster.toml: ", "line 2", "lease = \"long\""]);
    // `config` is a flag and not a key of the file.
    desk.write("muster.toml", "config = \"other.toml\"\n");
    desk.fails(&["list-units"], 2, &["there is no setting `config`"]);
}

#[test]
fn a_list_of_hosts_keeps_its_colons_and_is_no_path() {
    let desk = Desk::new();
    desk.write("a", "h1\n");
    desk.write("b", "h2\n");
    let list = |args: &[&str]| desk.muster(&[args, &["inventory", "list"]].concat()).ok();
    assert_eq!(list(&["-i", "h1:2222,"]), "h1\n");
    assert_eq!(list(&["-i", "[2001:db8::1]:22,2001:db8::2", "-i", "a"]), "2001:db8::1\n2001:db8::2\nh1\n");
    assert_eq!(list(&["-i", "a:b"]), "h1\nh2\n");
    let by_variable = |value: &str| run(desk.command(&["inventory", "list"]).env("MUSTER_INVENTORY", value)).ok();
    assert_eq!(by_variable("a:b:"), "h1\nh2\n");
    assert_eq!(by_variable("h3:22,"), "h3\n");
    desk.write("etc/muster.toml", "inventory = [\"h1,h2:22,\", \"../b\"]\n");
    assert_eq!(list(&["--config", "etc/muster.toml"]), "h1\nh2\n");
    desk.write("etc/h1,h2:22,", "h4\n");
    assert_eq!(list(&["--config", "etc/muster.toml"]), "h4\nh2\n");
}

#[test]
fn a_tilde_is_the_home_directory_in_every_path() {
    let desk = Desk::new();
    std::fs::write(desk.home("hosts"), "h1 ansible_host=127.0.0.1\n").unwrap();
    std::fs::write(desk.home("ssh_config"), "Host *\n  Port x\n").unwrap();
    desk.write("a.service", unit("a"));
    let settings = "store = \"sqlite:~/there.db\"\ninventory = \"~/hosts\"\nssh-config = \"~/ssh_config\"\n";
    desk.write("etc/muster.toml", settings);
    let flags = ["--store", "sqlite:~/there.db", "-i", "~/hosts", "--ssh-config", "~/ssh_config"];
    for settings in [&["--config", "etc/muster.toml"][..], &flags] {
        desk.muster(&[settings, &["submit", "a.service"]].concat()).ok();
        assert!(desk.home("there.db").exists());
        std::fs::remove_file(desk.home("there.db")).unwrap();
        let place = desk.home("ssh_config").display().to_string();
        desk.fails(&[settings, &["exec", "h1", "--", "true"]].concat(), 2, &[&format!("{place}:2: ")]);
    }
    let tls = ["--store", "etcds://127.0.0.1:1", "--etcd-ca-file", "~/no-ca", "list-units"];
    desk.fails(&tls, 2, &[&desk.home("no-ca").display().to_string()]);
}

#[test]
fn an_inventory_script_does_not_get_the_password_of_the_store() {
    use std::os::unix::fs::PermissionsExt as _;
    let desk = Desk::new();
    let script = "#!/bin/sh\necho \"{\\\"g\\\": [\\\"h${MUSTER_ETCD_PASSWORD:-none}${MUSTER_TOKEN:-none}\\\"], \\\"_meta\\\": {}}\"\n";
    desk.write("inv.sh", script);
    std::fs::set_permissions(desk.path("inv.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = desk.command(&["-i", "inv.sh", "inventory", "list"]);
    command.env("MUSTER_ETCD_PASSWORD", "hunter2").env("MUSTER_TOKEN", "t");
    assert_eq!(run(&mut command).ok(), "hnonet\n");
}

#[test]
fn a_variable_that_muster_does_not_read_is_named_once_with_the_likely_one() {
    let desk = Desk::new();
    desk.write("a.service", unit("a"));
    let submit = |variables: &[(&str, &str)], args: &[&str]| {
        run(desk.command(&[args, &["submit", "a.service"]].concat()).envs(variables.iter().copied()))
    };
    let warning = "Warning: MUSTER_STROE is set, and muster does not read it: did you mean MUSTER_STORE?\n";
    let said = submit(&[("MUSTER_STROE", "sqlite:x.db"), ("MUSTER_MACHINE", "of a fence command")], &[]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), warning));
    assert_eq!(submit(&[("MUSTER_STROE", "")], &[]).err, "", "an empty variable is as good as none");
    assert_eq!(submit(&[("MUSTER_STROE", "sqlite:x.db")], &["--quiet"]).err, "");
}
