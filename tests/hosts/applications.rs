//! Applications on real hosts: units with their files, placed together, replaced only if they change, and moved with all that
//! they need.

use std::fs;
use std::time::Duration;

use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::ssh;
use super::until;
use super::with_identity;

const WEB: &str = "[Service]\nEnvironmentFile=./env\nExecStart=/bin/sh -c 'cat ./conf/page; exec sleep 1000000'\n";

#[test]
fn an_application_runs_on_one_machine_with_its_files_and_only_what_changes_is_restarted() {
    let Some(lab) = lab(3) else { return };
    let say = |args: &[&str]| muster(&lab, args).ok();
    let folder = lab.dir().join("shop");
    fs::create_dir_all(folder.join("conf")).unwrap();
    fs::create_dir_all(folder.join("db.service.d")).unwrap();
    let write = |path: &str, text: &str| fs::write(folder.join(path), text).unwrap();
    write("web.service", WEB);
    write("db.service", "[Service]\nExecStart=/bin/sleep 1000000\n");
    write("db.service.d/10-nice.conf", "[Service]\nNice=5\n");
    write("job.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n");
    write("job.timer", "[Timer]\nOnActiveSec=1000\n");
    write("env", "COLOR=red\n");
    write("conf/page", "it's one\n");
    let shop = folder.to_str().unwrap();
    say(&["join"]);
    let done = say(&["apply", shop]);
    assert!(done.ends_with("Application shop: 4 new\n"), "{done}");

    let home = || {
        let list = say(&["list-units", "--no-legend", "--fields=name,unit,active"]);
        let mut names: Vec<&str> = list.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        names.dedup();
        assert_eq!((names.len(), list.lines().count()), (1, 4), "{list}");
        assert!(list.contains("job.service\tinactive"), "the timer starts it: {list}");
        names[0].to_owned()
    };
    let first = home();
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let on = |host: &str, command: &str| ssh(&lab, host, command);
    let pids = |host: &str| on(host, "systemctl show -P MainPID web db");
    let environment =
        |host: &str| on(host, "tr '\\0' '\\n' </proc/$(systemctl show -P MainPID web)/environ | grep COLOR");
    let printed = || on(&first, "journalctl -u web -o cat");
    until("the unit has printed its page", Duration::from_secs(20), printed, |text| text.contains("it's one"));
    assert_eq!((environment(&first).trim(), on(&first, "systemctl show -P Nice db").trim()), ("COLOR=red", "5"));
    let before = pids(&first);
    assert!(say(&["apply", shop]).ends_with("Application shop: 4 unchanged\n"));
    assert_eq!(pids(&first), before, "nothing is restarted");

    write("env", "COLOR=blue\n");
    assert!(say(&["apply", shop]).ends_with("Application shop: 1 changed, 3 unchanged\n"));
    let (old, new) = (lines(&before), lines(&pids(&first)));
    assert!(old[0] != new[0] && old.last() == new.last(), "only web: {old:?} {new:?}");
    assert_eq!(environment(&first).trim(), "COLOR=blue");

    // A unit that reloads goes on.
    write("web.service", &format!("{WEB}ExecReload=/bin/cp ./env /tmp/reloaded\n[X-Muster]\nOnChange=reload\n"));
    say(&["apply", shop]);
    let reloading = pids(&first);
    write("env", "COLOR=green\n");
    assert!(say(&["apply", shop]).ends_with("Application shop: 1 changed, 3 unchanged\n"));
    assert_eq!((pids(&first), on(&first, "cat /tmp/reloaded").as_str()), (reloading, "COLOR=green"));
    write("web.service", WEB);
    write("env", "COLOR=blue\n");
    say(&["apply", shop]);
    let new = lines(&pids(&first));

    // What a user changes on the host is repaired, and the process goes on.
    on(&first, "echo COLOR=pink >/run/fleet/files/web.service/env");
    let swept = muster(&lab, &["sweep"]);
    assert!(swept.out.contains("web.service: loaded"), "{swept:?}");
    assert_eq!(on(&first, "cat /run/fleet/files/web.service/env"), "COLOR=blue");
    assert_eq!(lines(&pids(&first)), new);

    say(&["drain", &first]);
    let second = home();
    assert!(second != first && environment(&second).trim() == "COLOR=blue");
    assert_eq!(
        on(&first, "ls /run/fleet/files /run/fleet/units /run/muster/sums"),
        "/run/fleet/files:\n\n/run/fleet/units:\n\n/run/muster/sums:"
    );

    let book = lab.dir().join("shop.yaml");
    fs::write(&book, "- hosts: all\n  gather_facts: false\n  tasks:\n    - application: {path: shop}\n").unwrap();
    write("env", "COLOR=green\n");
    let said = say(&["play", book.to_str().unwrap(), "--diff"]);
    let shown =
        "--- web.service: env (cluster)\n+++ web.service: env (folder)\n@@ -1 +1 @@\n-COLOR=blue\n+COLOR=green\n";
    assert_eq!((said.matches(shown).count(), said.matches("changed: [core-0").count()), (1, 3), "{said}");
    assert_eq!(environment(&second).trim(), "COLOR=green");
    assert_eq!(say(&["play", book.to_str().unwrap(), "--diff"]).matches("\nok: [core-0").count(), 3);

    say(&["destroy", "--application", "shop"]);
    assert_eq!(say(&["list-applications", "--no-legend"]), "");
    assert_eq!(on(&second, "ls /run/fleet/files"), "");
}

#[test]
fn a_secret_reaches_only_the_machine_of_its_unit_and_moves_and_changes_with_it() {
    let Some(lab) = lab(2) else { return };
    let said = |args: &[&str]| with_identity(&lab, args);
    let say = |args: &[&str]| said(args).ok();
    let value = lab.dir().join("value");
    let set = |text: &str| {
        fs::write(&value, text).unwrap();
        say(&["secret", "set", "db", "--file", value.to_str().unwrap()])
    };
    let text = "[Service]\nExecStart=/bin/sh -c 'cat %d/db; echo; exec sleep 1000000'\n[X-Muster]\nSecret=db\n";
    let unit = unit_file(&lab, "web.service", text);
    say(&["join"]);
    say(&["secret", "init", "--name", "op"]);
    set("swordfish-1");
    say(&["start", &unit]);
    let place = || say(&["list-units", "--no-legend", "--fields=name"]).trim().to_owned();
    let words = |host: &str| ssh(&lab, host, "journalctl -u web -o cat | grep -o 'swordfish-[0-9]' | tail -1");
    let first = place();
    assert_eq!(words(&first), "swordfish-1");
    let other = lab.hosts().iter().map(|host| host.name.clone()).find(|name| *name != first).unwrap();
    let traces = |host: &str| ssh(&lab, host, "grep -rls swordfish /run/muster /run/fleet /run/systemd /etc; true");
    assert_eq!((traces(&first), traces(&other)), ("/run/muster/secrets/web.service/db".to_owned(), String::new()));

    // The unit is replaced when the secret is set again, and only then.
    let pid = |host: &str| ssh(&lab, host, "systemctl show -P MainPID web");
    let before = pid(&first);
    say(&["sweep"]);
    assert_eq!(pid(&first), before);
    ssh(&lab, &first, "rm -r /run/muster/secrets");
    say(&["sweep"]);
    assert_eq!((pid(&first) == before, traces(&first).as_str()), (true, "/run/muster/secrets/web.service/db"));
    set("swordfish-2");
    say(&["sweep"]);
    assert_eq!((words(&first), pid(&first) == before), ("swordfish-2".to_owned(), false));

    say(&["drain", &first]);
    assert_eq!((words(&other), traces(&first)), ("swordfish-2".to_owned(), String::new()));
    let told = said(&["secret", "rm", "db"]);
    assert!(told.code == Some(1) && told.err.contains("web.service"), "{told:?}");

    // A process without the key loads other units, and says why it does not load this one.
    say(&["unload", "web"]);
    let told = muster(&lab, &["start", "web", &unit_file(&lab, "a.service", "[Service]\nExecStart=/bin/sleep 1000\n")]);
    assert!(told.code == Some(1) && told.err.contains("secret db cannot be read: /nonexistent/"), "{told:?}");
    assert!(say(&["list-units", "--no-legend", "--fields=unit,active"]).contains("a.service\tactive"));
    let events = say(&["events", "-o", "json"]);
    assert!(!events.contains("swordfish"), "{events}");
}
