//! `edit` without hosts: the editor is a script.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::Desk;
use super::unit;
use crate::hosts::Said;
use crate::hosts::run;

/// Sits down at a desk where a unit `web.service` was submitted.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("web.service", unit("old"));
    desk.muster(&["submit", "web.service"]).ok();
    fs::create_dir(desk.path("tmp")).unwrap();
    desk
}

/// Edits the unit with a script, which gets the path of the file.
fn edit(desk: &Desk, script: &str) -> Said {
    desk.write("editor", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(desk.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = desk.command(&["edit", "web"]);
    run(command.env("EDITOR", "false").env("VISUAL", "./editor").env("TMPDIR", desk.path("tmp")))
}

fn left(desk: &Desk) -> usize {
    fs::read_dir(desk.path("tmp")).unwrap().count()
}

#[test]
fn an_edited_text_is_submitted_and_an_unchanged_one_is_not() {
    let desk = desk();
    let text = || desk.muster(&["cat", "web"]).ok();
    let before = text();
    for script in ["true", "echo '# a comment' >>\"$1\"", ": >\"$1\""] {
        let said = edit(&desk, script);
        assert_eq!((said.code, said.err.as_str()), (Some(0), "Unit web.service is unchanged\n"), "{script}");
    }
    let said = edit(&desk, "echo '[Service' >>\"$1\"; exit 3");
    assert!(said.code == Some(1) && said.err.contains("the editor `./editor` ended with exit status: 3"), "{said:#?}");
    assert_eq!((text(), left(&desk)), (before.clone(), 0));
    let said = edit(&desk, "case $1 in */web.service) sed -i s/old/new/ \"$1\" ;; esac");
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert_eq!((text(), left(&desk)), (before.replace("old", "new"), 0));
    let mut command = desk.command(&["edit", "web.service"]);
    run(command.env("EDITOR", "sed -i s/new/newer/")).ok();
    assert_eq!(text(), before.replace("old", "newer"));
    desk.fails(&["edit", "wb"], 1, &["Unit wb.service does not exist", "Did you mean `web.service`?"]);
}

#[test]
fn a_text_that_is_refused_is_kept_where_the_message_says() {
    let desk = desk();
    let before = desk.muster(&["cat", "web"]).ok();
    for (script, expected) in [
        ("printf '[Service]\\nExecStart\\n' >\"$1\"", "/web.service:2:1: no `=` in this line"),
        ("printf '[X-Muster]\\nClass=odd\\n' >>\"$1\"", "Unit web.service: [X-Muster] Class=odd: expected"),
        (
            "printf '[X-Muster]\\nApplication=shop\\n' >>\"$1\"",
            "Unit web.service: [X-Muster] Application=: `muster apply` writes it",
        ),
    ] {
        let said = edit(&desk, script);
        assert!(said.code == Some(2) && said.err.contains(expected), "{script}: {said:#?}");
        let (_, path) = said.err.split_once("The text that you typed is in ").unwrap();
        let path = path.lines().next().unwrap().trim_end_matches('.');
        assert!(fs::read_to_string(path).unwrap().contains("[Service]"), "{path}");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(desk.muster(&["cat", "web"]).ok(), before);
    }
}

#[test]
fn a_change_by_another_operator_meanwhile_is_not_overwritten() {
    let desk = desk();
    desk.write("other/web.service", unit("of another operator"));
    let muster = env!("CARGO_BIN_EXE_muster");
    let said = edit(&desk, &format!("sed -i s/old/mine/ \"$1\"; {muster} submit --replace other/web.service"));
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.err.contains("Unit web.service: another command has changed it meanwhile"), "{said:#?}");
    assert!(said.err.contains("The text that you typed is in ") && left(&desk) == 1, "{said:#?}");
    assert!(desk.muster(&["cat", "web"]).ok().contains("of another operator"));
    let said = edit(&desk, &format!("sed -i s/operator/user/ \"$1\"; {muster} destroy web.service"));
    assert!(said.err.contains("Unit web.service does not exist"), "{said:#?}");
}
