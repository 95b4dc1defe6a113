//! Visits that bring files and secrets with units, in a real `sh`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use muster::core::model::Action;
use muster::core::model::Outcome;
use muster::core::model::SecretValues;
use muster::core::model::Visit;
use muster::core::unit::Contents;
use muster::core::unit::Hash;

use super::visit::Host;
use super::visit::launch;
use super::visit::look;
use super::visit::step;
use super::visit::unit;

/// A visit that loads and starts a unit with these files.
fn with_files(name: &str, files: &[(&str, &[u8])]) -> Visit {
    let mut text = "[Service]\nExecStart=/bin/true\n[X-Muster]\n".to_owned();
    let mut contents = Contents::new();
    for (path, content) in files {
        let hash = Hash::of(content);
        text.push_str(&format!("File={path} {hash}\n"));
        contents.insert(hash, Arc::from(*content));
    }
    Visit { contents, ..launch(&[name], &text) }
}

/// Makes a visit that replaces the unit of another.
fn replacing(visit: Visit, number: u64) -> Visit {
    let unit = visit.steps[0].unit.clone();
    let mut steps = vec![step(unit.as_str(), Action::Unload)];
    steps.extend(visit.steps.iter().cloned());
    Visit { steps, number, ..visit }
}

#[test]
fn the_files_of_a_unit_reach_the_host_byte_by_byte_and_go_with_it() {
    let host = Host::new();
    let files: [(&str, &[u8]); 4] = [
        ("env", b"A='$x `id`'\n\n"),
        ("conf/my site.conf", b"no newline"),
        ("conf/in/bin", b"\0\xff\n"),
        ("none", b""),
    ];
    let report = host.visit(&with_files("web.service", &files));
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    let folder = host.path("run/fleet/files/web.service");
    for (path, content) in files {
        assert_eq!(fs::read(folder.join(path)).unwrap(), content, "{path}");
    }
    assert!(!host.path("run/muster/beside").exists());

    // A file that the next version does not have is gone.
    let report = host.visit(&replacing(with_files("web.service", &files[..1]), 1));
    assert_eq!(report.outcomes, [(); 3].map(|()| Outcome::Done));
    assert!(folder.join("env").exists() && !folder.join("conf").exists());

    let unload = Visit { steps: vec![step("web.service", Action::Unload)], number: 2, ..look(5) };
    assert_eq!(host.visit(&unload).outcomes, [Outcome::Done]);
    assert!(!folder.exists() && !host.path("run/muster/sums/web.service").exists());
}

#[test]
fn a_file_that_was_changed_by_hand_is_seen_and_written_again() {
    let host = Host::new();
    let visit = with_files("web.service", &[("env", b"A=1\n")]);
    host.visit(&visit);
    let seen = || host.visit(&look(5)).observation.unwrap().units.unwrap()[&unit("web.service")].hash;
    let expected = seen();
    assert_eq!(expected, visit.files.values().next().unwrap().hash());
    let path = host.path("run/fleet/files/web.service/env");
    for change in [Some("A=2\n"), None] {
        match change {
            Some(text) => fs::write(&path, text).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        assert_eq!(seen(), Hash::NONE, "{change:?}");
        host.visit(&Visit { number: if change.is_some() { 1 } else { 2 }, ..visit.clone() });
        assert_eq!((fs::read_to_string(&path).unwrap().as_str(), seen()), ("A=1\n", expected));
    }
}

#[test]
fn a_host_whose_folders_a_user_has_removed_takes_units_and_their_files_again() {
    let host = Host::new();
    let visit = |name: &str, number| Visit { number, ..with_files(name, &[("env", b"A=1\n")]) };
    host.visit(&visit("a.service", 1));
    for (number, folder) in [(2, "new"), (3, "launched"), (4, "files"), (5, "sums"), (6, "")] {
        fs::remove_dir_all(host.path("run/muster").join(folder)).unwrap();
        let report = host.visit(&visit(&format!("b{number}.service"), number));
        assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done], "{folder:?}");
    }
}

#[test]
fn a_unit_that_reloads_keeps_its_files_in_place_and_is_not_stopped() {
    let host = Host::new();
    host.visit(&with_files("web.service", &[("env", b"A=1\n")]));
    let path = host.path("run/fleet/files/web.service/env");
    let inode = fs::metadata(&path).unwrap().ino();
    host.asked();
    let reloading = |content: &[u8], count, number| {
        let visit = with_files("web.service", &[("env", content)]);
        let steps = vec![visit.steps[0].clone(), step("web.service", Action::Reload { count })];
        host.visit(&Visit { steps, number, ..visit })
    };
    let report = reloading(b"A=22\n", 1, 1);
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    let state = &report.observation.unwrap().units.unwrap()[&unit("web.service")];
    assert_eq!((state.launched, state.restarts), (true, 1));
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), fs::metadata(&path).unwrap().ino()), ("A=22\n", inode));
    let asked = host.asked().join("\n");
    assert!(asked.contains("reload-or-restart -- web.service") && !asked.contains("stop "), "{asked}");
    // A reload that fails is still to be done.
    fs::create_dir_all(host.path("deaf")).unwrap();
    fs::write(host.path("deaf/reload-or-restart"), "").unwrap();
    let report = reloading(b"A=3\n", 2, 2);
    let said = "Failed to connect to bus: No such file or directory";
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Failed(said.to_owned())]);
    assert_eq!(report.observation.unwrap().units.unwrap()[&unit("web.service")].restarts, 1);
}

#[test]
fn a_file_that_the_store_has_lost_or_that_does_not_fit_keeps_only_its_own_unit_from_being_loaded() {
    let host = Host::new();
    let lost = Visit { contents: Contents::new(), ..with_files("web.service", &[("env", b"A=1\n")]) };
    let other = launch(&["a.service"], "[Service]\nExecStart=/bin/a\n");
    let both = |first: Visit, number| Visit {
        steps: first.steps.iter().chain(&other.steps).cloned().collect(),
        files: first.files.into_iter().chain(other.files.clone()).collect(),
        contents: first.contents,
        number,
        ..look(5)
    };
    let report = host.visit(&both(lost, 1));
    let said = "not sent: the store does not have the file that goes with it: env";
    assert_eq!(report.outcomes[0], Outcome::Failed(said.to_owned()));
    assert_eq!(report.outcomes[2..], [Outcome::Done, Outcome::Done]);
    // The file stands where a folder is needed.
    fs::write(host.path("run/muster/beside"), "").unwrap();
    let report = host.visit_unwritable(&both(with_files("web.service", &[("env", b"A=1\n")]), 2));
    assert!(matches!(&report.outcomes[0], Outcome::Failed(said) if said.contains("is /run full?")), "{report:?}");
    assert_eq!(report.outcomes[2..], [Outcome::Done, Outcome::Done]);
    assert!(!host.path("run/fleet/units/web.service").exists());
}

/// A visit that loads and starts a unit with these secrets.
fn with_secrets(name: &str, secrets: &[(&str, Result<&[u8], &str>)]) -> Visit {
    let mut text = "[Service]\nExecStart=/bin/true\n[X-Muster]\n".to_owned();
    let mut values = SecretValues::default();
    for (secret, value) in secrets {
        text.push_str(&format!("Secret={secret} {}\n", "0".repeat(32)));
        let value = value.map(|value| Arc::new(value.to_vec().into())).map_err(str::to_owned);
        values.insert(secret.parse().unwrap(), value);
    }
    Visit { secrets: values, ..launch(&[name], &text) }
}

#[test]
fn the_secrets_of_a_unit_reach_the_host_byte_by_byte_for_root_alone_and_go_with_it() {
    let host = Host::new();
    let secrets: [(&str, Result<&[u8], &str>); 3] =
        [("db", Ok(b"it's $x\n")), ("tls.key", Ok(b"\0\xff")), ("none", Ok(b""))];
    let report = host.visit(&with_secrets("web.service", &secrets));
    assert_eq!(report.outcomes, [Outcome::Done, Outcome::Done]);
    let folder = host.path("run/muster/secrets/web.service");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for (name, value) in secrets {
        let path = folder.join(name);
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (value.unwrap(), 0o400), "{name}");
    }
    assert_eq!((mode(&folder), mode(&host.path("run/muster"))), (0o700, 0o700));
    assert!(!host.path("run/muster/unsealed").exists());

    // A value that a user has changed or removed is written again.
    let seen = || host.visit(&look(5)).observation.unwrap().units.unwrap()[&unit("web.service")].hash;
    assert!(seen() != Hash::NONE);
    fs::remove_file(folder.join("db")).unwrap();
    assert_eq!(seen(), Hash::NONE);

    let report = host.visit(&replacing(with_secrets("web.service", &[("db", Ok(b"new"))]), 1));
    assert_eq!(report.outcomes, [(); 3].map(|()| Outcome::Done));
    assert!(fs::read(folder.join("db")).unwrap() == b"new" && !folder.join("tls.key").exists());

    let unload = Visit { steps: vec![step("web.service", Action::Unload)], number: 2, ..look(5) };
    assert_eq!(host.visit(&unload).outcomes, [Outcome::Done]);
    assert!(!folder.exists());
}

#[test]
fn a_unit_whose_secret_cannot_be_read_goes_on_as_it_is_and_the_reason_is_told() {
    let host = Host::new();
    host.visit(&with_secrets("web.service", &[("db", Ok(b"old"))]));
    host.asked();
    let report =
        host.visit(&replacing(with_secrets("web.service", &[("db", Err("secret db is not set")), ("x", Ok(b"x"))]), 1));
    assert_eq!(report.outcomes[0], Outcome::Failed("not sent: secret db is not set".to_owned()));
    assert_eq!(fs::read(host.path("run/muster/secrets/web.service/db")).unwrap(), b"old");
    let asked = host.asked();
    assert!(!asked.iter().any(|line| line.contains("stop") || line.starts_with("start")), "{asked:?}");
}
