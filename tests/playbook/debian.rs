//! The modules for dpkg and Apache on Debian, with tools that only log what they are told.

use serde_json::json;

use super::system::Host;

/// Keeps one diversion in the file `divert`: its holder and the other name.
const DPKG_DIVERT: &str = r#"
case "$*" in
  --help) echo ' --no-rename'; exit ;;
  --listpackage*) [ ! -e DIR/divert ] || sed -n 1p DIR/divert; exit ;;
  --truename*) sed -n 2p DIR/divert; exit ;;
esac
for a; do last=$a; done
case "$*" in
  *--test*) echo "Would act" ;;
  *--remove*)
    if [ "$1" = --rename ] && [ -e DIR/f ]; then echo "rename involves overwriting 'DIR/f'" >&2; exit 2; fi
    rm -f DIR/divert; echo "Removing it" ;;
  *--add*)
    holder=LOCAL other=$last.distrib
    while [ $# -gt 0 ]; do
      case $1 in --package) holder=$2 ;; --divert) other=$2 ;; esac
      shift
    done
    printf '%s\n%s\n' "$holder" "$other" > DIR/divert; echo "Adding it" ;;
esac"#;

#[tokio::test]
async fn a_diversion_is_added_changed_and_removed() {
    let host = Host::new(&[("dpkg-divert", DPKG_DIVERT)]);
    let readers = ["dpkg-divert --help", "dpkg-divert --listpackage", "dpkg-divert --truename"];
    for (task, expected) in [
        ("dpkg_divert: {path: DIR/f}", vec!["dpkg-divert --no-rename --local --add f"]),
        (
            "dpkg_divert: {path: DIR/f, divert: DIR/g, holder: web}",
            vec!["dpkg-divert --no-rename --remove f", "dpkg-divert --no-rename --package web --divert g --add f"],
        ),
        ("community.general.dpkg_divert: {path: DIR/f, state: absent}", vec!["dpkg-divert --no-rename --remove f"]),
        ("dpkg_divert: {path: f}", vec!["`path` must be an absolute path"]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    // The tool runs although there is nothing to do.
    let (result, log) = host.run("dpkg_divert: {path: DIR/f, state: absent}").await;
    assert_eq!(
        (&result["changed"], log.last().unwrap().as_str()),
        (&false.into(), "dpkg-divert --no-rename --remove f")
    );
}

#[tokio::test]
async fn a_diversion_has_ansibles_results_and_replaces_a_file_only_by_force() {
    let mut host = Host::new(&[("dpkg-divert", DPKG_DIVERT)]);
    let folder = host.stage.folder.path().display().to_string();
    host.stage.diff = true;
    let (result, _) = host.run("dpkg_divert: {path: DIR/f, holder: web}").await;
    let after = json!({"divert": format!("{folder}/f.distrib"), "holder": "web", "path": format!("{folder}/f"), "state": "present"});
    let before = json!({"divert": null, "holder": null, "path": format!("{folder}/f"), "state": "absent"});
    assert_eq!((&result["diversion"], &result["diff"]), (&after, &json!({"before": before, "after": after})));
    let command = format!("{folder}/bin/dpkg-divert --no-rename --package web --add {folder}/f");
    assert_eq!((&result["commands"], &result["messages"]), (&json!([command]), &json!(["Adding it"])));
    host.stage.write("f", "");
    let (result, _) = host.run("dpkg_divert: {path: DIR/f, state: absent, rename: true}").await;
    assert_eq!(result["msg"], "Set 'force' param to True to force renaming of files.");
    let (result, _) = host.run("dpkg_divert: {path: DIR/f, state: absent, rename: true, force: true}").await;
    assert_eq!((&result["changed"], host.stage.path("f").exists()), (&true.into(), false));
    host.stage.check = true;
    let (result, log) = host.run("dpkg_divert: {path: DIR/f}").await;
    assert_eq!(
        (&result["changed"], log.last().unwrap().as_str()),
        (&true.into(), "dpkg-divert --test --no-rename --local --add f")
    );
}

#[tokio::test]
async fn a_diversion_of_debops_moves_the_file_and_can_remove_what_is_in_its_place() {
    let tool = r#"
for a; do
  case $a in --listpackage) cat DIR/holder; exit ;; --truename) echo DIR/f.old; exit ;; --test) [ -z "$(cat DIR/clash)" ] || exit 2 ;; esac
done
cat DIR/says"#;
    let mut host = Host::new(&[("dpkg-divert", tool)]);
    for name in ["holder", "clash"] {
        host.stage.write(name, "");
    }
    host.stage.write("says", "Adding 'local diversion'\n");
    let readers = ["dpkg-divert --listpackage", "dpkg-divert --truename", "dpkg-divert --test"];
    for (task, expected) in [
        ("{path: DIR/f}", "dpkg-divert --local --divert f.dpkg-divert --rename --add f"),
        ("{name: DIR/f, package: web, rename: no}", "dpkg-divert --package web --divert f.distrib --add f"),
        ("{path: DIR/f, divert: DIR/g, state: absent}", "dpkg-divert --local --divert g --rename --remove f"),
    ] {
        assert_eq!(host.acts(&format!("debops.debops.dpkg_divert: {task}"), &readers).await, [expected], "{task}");
    }
    // A file in the place of the original is removed only if there is a diversion.
    host.stage.write("f", "");
    let remove = "debops.debops.dpkg_divert: {path: DIR/f, state: absent, delete: yes}";
    host.run(remove).await;
    assert!(host.stage.path("f").exists());
    host.stage.write("holder", "LOCAL\n");
    host.stage.check = true;
    let (result, _) = host.run(remove).await;
    let folder = host.stage.folder.path().display().to_string();
    let would = format!("Deleting {folder}/f and removing local diversion of {folder}/f to {folder}/f.dpkg-divert");
    assert_eq!((&result["changed"], &result["stdout"]), (&true.into(), &would.into()));
    host.stage.check = false;
    host.run(remove).await;
    assert!(!host.stage.path("f").exists());
    // Another name of the same file needs `force`.
    host.stage.write("clash", "x");
    let forced = host.acts("debops.debops.dpkg_divert: {path: DIR/f, divert: DIR/g, force: yes}", &readers).await;
    let expected = ["dpkg-divert --rename --remove f", "dpkg-divert --local --divert g --rename --add f"];
    assert_eq!(forced, expected);
    host.stage.write("says", "Leaving 'local diversion'\n");
    let (result, _) = host.run("debops.debops.dpkg_divert: {path: DIR/f}").await;
    assert_eq!(result["changed"], false);
}

#[tokio::test]
async fn a_package_is_held_once() {
    let dpkg = "case $1 in --get-selections) cat DIR/held ;; --set-selections) sed 's/ /\t\t/' > DIR/held ;; esac";
    let host = Host::new(&[("dpkg", dpkg)]);
    host.stage.write("held", "bash\t\tinstall\n");
    let (result, _) = host.run("dpkg_selections: {name: bash, selection: hold}").await;
    assert_eq!(
        (&result["before"], &result["after"], &result["changed"]),
        (&"install".into(), &"hold".into(), &true.into())
    );
    assert_eq!(host.acts("dpkg_selections: {name: bash, selection: hold}", &["dpkg --get"]).await, [""; 0]);
    host.stage.write("held", "");
    let (result, _) = host.run("dpkg_selections: {name: none, selection: hold}").await;
    assert_eq!(result["msg"], "Failed to find package 'none' to perform selection 'hold'.");
}

#[tokio::test]
async fn a_module_of_apache_is_enabled_and_disabled_once() {
    let disable = "for a; do last=$a; done; grep -v \" ${last}_module \" DIR/mods > DIR/new; mv DIR/new DIR/mods";
    let host = Host::new(&[
        ("apache2ctl", "cat DIR/mods"),
        ("a2enmod", "echo \" ${1}_module (shared)\" >> DIR/mods"),
        ("a2dismod", disable),
    ]);
    host.stage.write("mods", "Loaded Modules:\n core_module (static)\n rewrite_module (shared)\n");
    for (task, expected) in [
        ("apache2_module: {name: rewrite}", vec![]),
        ("apache2_module: {name: headers}", vec!["a2enmod headers"]),
        ("apache2_module: {name: headers, state: absent, force: true}", vec!["a2dismod -f headers"]),
        ("apache2_module: {name: headers, state: absent}", vec![]),
        (
            "apache2_module: {name: php8.2}",
            vec![
                "Failed to set module php8.2 to enabled:\n\nMaybe the module identifier (php_module) was guessed \
                 incorrectly.Consider setting the \"identifier\" option.",
            ],
        ),
    ] {
        assert_eq!(host.acts(task, &["apache2ctl"]).await, expected, "{task}");
    }
    let (result, _) = host.run("apache2_module: {name: rewrite}").await;
    assert_eq!(result["result"], "Module rewrite enabled");
}

#[tokio::test]
async fn the_work_of_apt_and_the_lines_of_keys_are_shown() {
    let apt = "printf '%s\\n' 'Reading package lists...' 'Reading state information...' 'The following NEW packages will be installed:' '  cow' \
               '0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.' 'Inst cow'";
    let mut host = Host::new(&[("apt-get", apt), ("dpkg-query", "exit 1")]);
    host.stage.diff = true;
    let (result, _) = host.run("apt: name=cow").await;
    let expected = "The following NEW packages will be installed:\n  cow\n0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.";
    assert_eq!(result["diff"], json!({"prepared": expected}), "{result:#}");
    let path = host.stage.path("keys").display().to_string();
    for (task, before, after) in [
        ("authorized_key: {user: root, key: 'ssh-rsa AA me', path: DIR/keys}", "", "ssh-rsa AA me\n"),
        ("authorized_key: {user: root, key: 'ssh-rsa AA', path: DIR/keys, state: absent}", "ssh-rsa AA me\n", ""),
    ] {
        let (result, _) = host.run(task).await;
        let diff = json!({"before": before, "before_header": path, "after": after, "after_header": path});
        assert_eq!(result["diff"], diff, "{result:#}");
    }
}

/// Keeps the ids of the keys that apt trusts in the file `keys`.
const APT_KEY: &str = r#"
case "$*" in
  *--list-public-keys*) sed 's/.*/pub:-:4096:1:&:1:::::::/' DIR/keys ;;
  *" add "* | "add "*) echo 0123456789ABCDEF >> DIR/keys ;;
  *--recv*) for id; do :; done; echo "$id" >> DIR/keys ;;
  *del*) : > DIR/keys ;;
esac"#;

#[tokio::test]
async fn a_key_of_apt_is_added_once_and_removed() {
    let gpg = "echo pub:-:4096:1:0123456789ABCDEF:1:::::::";
    let host =
        Host::new(&[("apt-key", APT_KEY), ("gpg", gpg), ("curl", "case $* in *bad*) echo no >&2; exit 22 ;; esac")]);
    let readers = ["gpg ", "curl ", "apt-key adv --list", "apt-key --keyring k.gpg adv --list"];
    let id = "0123456789ABCDEF";
    for (keys, task, expected) in [
        ("", "{url: 'http://k'}", vec!["apt-key add "]),
        (id, "{url: 'http://k'}", vec![]),
        (id, "{id: '0x89abcdef', url: 'http://k'}", vec![]),
        ("", "{data: text, keyring: DIR/k.gpg}", vec!["apt-key --keyring k.gpg add "]),
        ("", "{id: 89ABCDEF, keyserver: s}", vec!["apt-key adv --no-tty --keyserver s --recv 89ABCDEF"]),
        (id, "{id: 89ABCDEF, state: absent}", vec!["apt-key del 89ABCDEF"]),
        ("", "{id: 89ABCDEF, state: absent}", vec![]),
        ("", "{url: 'http://bad'}", vec!["error getting key id from url: http://bad: no"]),
        ("", "{id: nokey, url: 'http://k'}", vec!["Invalid key_id"]),
        ("", "{state: absent}", vec!["missing required arguments: id"]),
    ] {
        host.stage.write("keys", &if keys.is_empty() { String::new() } else { format!("{keys}\n") });
        let acts = host.acts(&format!("apt_key: {task}"), &readers).await;
        let is_right = acts.len() == expected.len() && acts.iter().zip(&expected).all(|(act, it)| act.starts_with(it));
        assert!(is_right, "{task}: {acts:?}");
    }
}
