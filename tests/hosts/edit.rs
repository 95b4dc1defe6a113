//! `edit` of units that are on machines: the editor is a script.

use std::fs;
use std::time::Duration;

use muster::lab::Lab;

use super::Said;
use super::bare;
use super::daemon::unit_file;
use super::lab;
use super::muster;
use super::run;
use super::ssh;
use super::until;
use super::with_identity;

const LONG: &str = "[Service]\nExecStart=/bin/sleep 1000000\n";

/// Edits a unit with a script, which gets the path of the file.
fn edit(lab: &Lab, unit: &str, script: &str) -> Said {
    let (editor, home) = (lab.dir().join("editor"), lab.dir().join("home"));
    fs::write(&editor, format!("{script}\n")).unwrap();
    fs::create_dir_all(&home).unwrap();
    let mut command = bare();
    command.env("MUSTER_CONFIG", lab.config()).env("MUSTER_SECRET_IDENTITY", home.join("identity")).env("HOME", home);
    run(command.env("VISUAL", format!("sh {}", editor.display())).env("TMPDIR", lab.dir()).args(["edit", unit]))
}

#[test]
fn an_edited_unit_keeps_its_desired_state_and_gets_its_new_file() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| with_identity(&lab, args).ok();
    let on = |command: &str| ssh(&lab, "core-01", command);
    say(&["join"]);
    say(&["start", &unit_file(&lab, "web.service", LONG)]);
    say(&["load", &unit_file(&lab, "job.service", LONG)]);
    let longer = "sed -i s/1000000/2000000/ $1";
    let pid = on("systemctl show -P MainPID web");
    let said = edit(&lab, "web", longer);
    assert!(said.code == Some(0) && said.out.contains("Unit web.service launched on "), "{said:#?}");
    assert_eq!(on("tr '\\0' ' ' </proc/$(systemctl show -P MainPID web)/cmdline"), "/bin/sleep 2000000");
    let after = on("systemctl show -P MainPID web");
    assert_ne!(after, pid);
    let said = edit(&lab, "job", longer);
    assert!(said.code == Some(0) && said.out.contains("Unit job.service loaded on "), "{said:#?}");
    assert_eq!(on("grep -c 2000000 /run/fleet/units/job.service; systemctl is-active job; true"), "1\ninactive");

    // A text that systemd refuses, and another operator.
    let said = edit(&lab, "web", "printf '[Service]\\nType=oneshot\\nRestart=always\\nExecStart=no\\n' >$1");
    assert!(said.code == Some(1) && said.err.contains("systemd refuses its new file"), "{said:#?}");
    assert_eq!(on("systemctl show -P MainPID web"), after, "it goes on with its earlier file");
    say(&["start", "--replace", &unit_file(&lab, "web.service", LONG)]);
    let stop = format!("MUSTER_CONFIG={} {} stop web; {longer}", lab.config().display(), env!("CARGO_BIN_EXE_muster"));
    let said = edit(&lab, "web", &stop);
    assert!(said.code == Some(1) && said.err.contains("another command has changed it meanwhile"), "{said:#?}");
    assert_eq!(on("systemctl is-active web; true"), "inactive");
}

#[test]
fn an_edited_unit_keeps_its_secrets_and_the_files_of_its_application() {
    let Some(lab) = lab(1) else { return };
    let say = |args: &[&str]| with_identity(&lab, args).ok();
    let on = |command: &str| ssh(&lab, "core-01", command);
    let value = lab.dir().join("value");
    fs::write(&value, "swordfish").unwrap();
    let shop = lab.dir().join("shop");
    fs::create_dir(&shop).unwrap();
    fs::write(shop.join("page"), "hello\n").unwrap();
    let text = "[Service]\nExecStart=/bin/sh -c 'cat ./page %d/db; exec sleep 1000000'\n[X-Muster]\nSecret=db\n";
    fs::write(shop.join("web.service"), text).unwrap();
    say(&["join"]);
    say(&["secret", "init", "--name", "op"]);
    say(&["secret", "set", "db", "--file", value.to_str().unwrap()]);
    say(&["apply", shop.to_str().unwrap()]);
    let said = edit(&lab, "web", "sed -i 's/exec sleep/echo; exec sleep/' $1");
    assert_eq!(said.code, Some(0), "{said:#?}");
    let warning =
        "unit web.service belongs to the application shop: the next `muster apply` of its folder takes the change back";
    assert!(said.err.contains(warning), "{said:#?}");
    let printed = || on("journalctl -u web -o cat");
    // Lines of systemd may come between them.
    let both = |it: &String| it.matches("hello").count() == 2 && it.matches("swordfish").count() == 2;
    until("the new process has printed both", Duration::from_secs(20), printed, both);
    let said = edit(&lab, "web", "sed -i /^Secret=/d $1");
    assert!(said.code == Some(2) && said.err.contains("names this secret: remove this line too"), "{said:#?}");
    let said = edit(&lab, "web", "sed -i '/^Secret=/d; /^LoadCredential=/d; s,%d/db,,' $1");
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert_eq!(on("ls /run/muster/secrets; cat /run/fleet/files/web.service/page"), "hello");
    let diff = muster(&lab, &["diff", shop.to_str().unwrap()]);
    assert!(diff.code == Some(4) && diff.out.contains("Secret=db"), "{diff:#?}");
}
