//! The modules for packages of languages and for keys of rpm, with tools that only log what they are told.

use super::system::Host;

#[tokio::test]
async fn a_package_of_node_is_installed_updated_and_removed() {
    let host = Host::new(&[("npm", "case $1 in list) cat DIR/list ;; outdated) cat DIR/outdated ;; esac")]);
    let readers = ["npm list", "npm outdated"];
    let none = "{}";
    let there = r#"{"dependencies": {"yo": {"version": "1.2.3"}, "lost": {"missing": true}}}"#;
    let whole = r#"{"dependencies": {"yo": {"version": "1.2.3"}}}"#;
    for (list, outdated, task, expected) in [
        (none, "", "{name: yo, global: yes}", vec!["npm install --global yo"]),
        (whole, "", "{name: yo, global: yes}", vec![]),
        (whole, "", "{name: yo, version: 1.2.3, global: yes}", vec![]),
        (
            whole,
            "",
            "{name: yo, version: 2, path: DIR/app, production: yes, registry: 'http://r', force: yes}",
            vec!["npm install --production yo@2 --registry http://r --force"],
        ),
        (there, "", "{path: DIR/app}", vec!["npm install"]),
        (whole, "yo 1 2\n", "{name: yo, state: latest, path: DIR/app}", vec!["npm update yo"]),
        (whole, "", "{name: yo, state: absent, path: DIR/app}", vec!["npm uninstall yo"]),
        (none, "", "{name: yo, state: absent, path: DIR/app}", vec![]),
        (none, "", "{path: DIR/app, ci: yes}", vec!["npm ci"]),
        (none, "", "{name: yo}", vec!["path must be specified when not using global"]),
    ] {
        host.stage.write("list", list);
        host.stage.write("outdated", outdated);
        assert_eq!(host.acts(&format!("community.general.npm: {task}"), &readers).await, expected, "{task}");
    }
}

#[tokio::test]
async fn a_package_of_ruby_is_installed_updated_and_removed() {
    let gem = "case $1 in --version) echo 3.3.5 ;; query) case $* in *remote*) cat DIR/remote ;; *) cat DIR/list ;; esac ;; uninstall) : > DIR/list ;; esac";
    let host = Host::new(&[("gem", gem)]);
    let readers = ["gem --version", "gem query"];
    host.stage.write("remote", "yo (2.0 ruby java, 1.0)\n");
    for (list, task, expected) in [
        ("", "{name: yo}", vec!["gem install --norc --user-install --no-document yo"]),
        ("yo (1.0)\n", "{name: yo}", vec![]),
        ("yo (2.0, default: 1.0)\n", "{name: yo, version: 2.0}", vec![]),
        (
            "yo (1.0)\n",
            "{name: yo, version: 1.5, user_install: no, norc: no, source: 'http://r'}",
            vec!["gem install --version 1.5 --source http://r --no-user-install --no-document yo"],
        ),
        (
            "yo (1.0)\n",
            "{name: yo, state: latest}",
            vec!["gem install --norc --version 2.0 --user-install --no-document yo"],
        ),
        ("yo (2.0, 1.0)\n", "{name: yo, state: latest}", vec![]),
        ("yo (1.0)\n", "{name: yo, state: absent}", vec!["gem uninstall --norc --all --executable yo"]),
        ("", "{name: yo, state: absent}", vec![]),
        ("", "{name: yo, state: latest, version: 1}", vec!["Cannot specify version when state=latest"]),
    ] {
        host.stage.write("list", list);
        assert_eq!(host.acts(&format!("community.general.gem: {task}"), &readers).await, expected, "{task}");
    }
}

#[tokio::test]
async fn a_key_of_rpm_is_imported_and_erased_once() {
    let rpm = "case $* in '-q gpg-pubkey') cat DIR/keys; [ -s DIR/keys ] ;; *--qf*) cat DIR/keys ;; esac";
    let gpg = "for a; do last=$a; done; case $last in -) cat ;; *) cat DIR/key ;; esac";
    let host = Host::new(&[("rpm", rpm), ("gpg", gpg)]);
    let readers = ["rpm -q", "gpg"];
    host.stage.write("key", "pub:-:4096:1:ABCDEF0123456789:1:::-:::scSC:\nfpr:::::::::AABB:\n");
    for (keys, task, expected) in [
        ("", "{key: DIR/key}", vec!["rpm --import key"]),
        ("pub:-:4096:1:ABCDEF0123456789:1::\n", "{key: DIR/key}", vec![]),
        ("", "{key: DIR/key, fingerprint: 'aa bb'}", vec!["rpm --import key"]),
        (
            "",
            "{key: DIR/key, fingerprint: CC}",
            vec!["The specified fingerprint, 'CC', does not match any key fingerprints in 'AABB'"],
        ),
        (
            "pub:-:4096:1:ABCDEF0123456789:1::\n",
            "{key: '0x23456789', state: absent}",
            vec!["rpm --erase --allmatches gpg-pubkey-23456789"],
        ),
        ("", "{key: DIR/none}", vec!["Not a valid key DIR/none"]),
    ] {
        host.stage.write("keys", keys);
        let expected: Vec<String> =
            expected.iter().map(|it| it.replace("DIR", &host.stage.folder.path().display().to_string())).collect();
        assert_eq!(host.acts(&format!("rpm_key: {task}"), &readers).await, expected, "{task}");
    }
}

#[tokio::test]
async fn a_command_of_composer_gets_the_options_that_it_has() {
    let php = r#"
case "$*" in
  *' help '*) echo '{"definition": {"options": {"no-dev": {}, "no-interaction": {}, "optimize-autoloader": {}, "dry-run": {}}}}' ;;
  *) cat DIR/says >&2 ;;
esac"#;
    let mut host = Host::new(&[("php", php), ("composer", "")]);
    host.stage.write("says", "Installing\n  it\n");
    let (result, log) = host.run("composer: {working_dir: /app, arguments: 'a \"b c\"', no_scripts: yes}").await;
    assert_eq!((&result["changed"], &result["msg"]), (&true.into(), &"Installing it".into()));
    assert_eq!(
        log,
        [
            "php bin/composer help install --working-dir /app --no-interaction --format=json",
            "php bin/composer install --no-interaction --no-dev --optimize-autoloader --working-dir /app a b c",
        ]
    );
    host.stage.write("says", "Nothing to install, update or remove\n");
    let (result, log) = host.run("composer: {command: require, global_command: yes, no_dev: no}").await;
    assert_eq!(
        (&result["changed"], log[1].as_str()),
        (&false.into(), "php bin/composer global require --no-interaction --optimize-autoloader",)
    );
    host.stage.check = true;
    let (_, log) = host.run("community.general.composer: {working_dir: /app}").await;
    assert!(log[1].ends_with("--dry-run --working-dir /app"), "{log:?}");
    host.stage.check = false;
    let (result, _) = host.run("composer: {command: install}").await;
    assert_eq!(result["msg"], "global_command is False but all of the following are missing: working_dir");
}

#[tokio::test]
async fn releases_are_made_put_into_use_and_removed() {
    let host = Host::new(&[]);
    let path = |name: &str| host.stage.path(&format!("app/{name}"));
    let folder = host.stage.folder.path().display().to_string();
    let (result, _) = host.run("deploy_helper: {path: DIR/app, release: one, mode: '0750'}").await;
    let facts = &result["ansible_facts"]["deploy_helper"];
    assert_eq!((&result["changed"], &facts["previous_release"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(facts["new_release_path"], format!("{folder}/app/releases/one"));
    assert!(path("shared").is_dir());
    let (result, _) = host.run("deploy_helper: {path: DIR/app, release: one, mode: '0750'}").await;
    assert_eq!(result["changed"], false);
    for release in ["zero", "broken", "one"] {
        std::fs::create_dir(path(&format!("releases/{release}"))).unwrap();
    }
    host.stage.write("app/releases/broken/DEPLOY_UNFINISHED", "");
    host.stage.write("app/releases/one/DEPLOY_UNFINISHED", "");
    let (result, _) = host.run("deploy_helper: {path: DIR/app, release: one, state: finalize, keep_releases: 1}").await;
    assert_eq!(result["changed"], true, "{result:#}");
    assert_eq!(std::fs::read_link(path("current")).unwrap(), path("releases/one"));
    assert!(path("releases/zero").is_dir() && !path("releases/broken").exists());
    let (result, _) = host.run("deploy_helper: {path: DIR/app, state: query}").await;
    assert_eq!(result["ansible_facts"]["deploy_helper"]["previous_release"], "one");
    let (result, _) = host.run("deploy_helper: {path: DIR/app, release: one, state: clean, keep_releases: 0}").await;
    assert_eq!((&result["changed"], path("releases/zero").exists()), (&true.into(), false));
    let (result, _) = host.run("deploy_helper: {path: DIR/app, state: absent}").await;
    assert_eq!((&result["changed"], path("").exists()), (&true.into(), false));
}

#[tokio::test]
async fn plugins_and_virtual_hosts_of_rabbitmq_are_changed_once() {
    let control = "case \"$*\" in *list_vhosts*) printf '/\\tfalse\\nacme\\ttrue\\n' ;; esac";
    let plugins = "case $1 in list) printf 'web\\nold\\n\\nnote\\n' ;; esac";
    let host = Host::new(&[("rabbitmq-plugins", plugins), ("rabbitmqctl", control)]);
    let readers = ["rabbitmq-plugins list", "rabbitmqctl -q -n rabbit list_vhosts"];
    for (task, expected) in [
        ("rabbitmq_plugin: {names: 'web,new', new_only: yes}", vec!["rabbitmq-plugins enable --online new"]),
        ("rabbitmq_plugin: {name: web, broker_state: offline}", vec!["rabbitmq-plugins disable --offline old"]),
        ("rabbitmq_plugin: {names: 'web,none', state: disabled}", vec!["rabbitmq-plugins disable --online web"]),
        ("rabbitmq_plugin: {names: 'web,old'}", vec![]),
        ("rabbitmq_vhost: {name: /}", vec![]),
        (
            "rabbitmq_vhost: {vhost: new, tracing: yes}",
            vec!["rabbitmqctl -q -n rabbit add_vhost new", "rabbitmqctl -q -n rabbit trace_on -p new"],
        ),
        ("rabbitmq_vhost: {vhost: acme}", vec!["rabbitmqctl -q -n rabbit trace_off -p acme"]),
        ("rabbitmq_vhost: {vhost: acme, state: absent}", vec!["rabbitmqctl -q -n rabbit delete_vhost acme"]),
        ("rabbitmq_vhost: {vhost: none, state: absent}", vec![]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
}

/// Knows the packages in `list`, one line `NAME==VERSION` each.
const PIP: &str = r#"
case $1 in
  list) cat DIR/list ;;
  install)
    case $* in *--dry-run*) echo "Would install yo-2" ;; *) echo "Successfully installed yo-2" ;; esac ;;
  uninstall) echo "Successfully uninstalled yo-2" ;;
esac"#;

#[tokio::test]
async fn a_package_of_python_is_installed_updated_and_removed() {
    let mut host = Host::new(&[
        ("pip3", PIP),
        ("virtualenv", "mkdir -p $1/bin && : > $1/bin/activate && cp DIR/bin/pip3 $1/bin/pip"),
    ]);
    let readers = ["pip3 list"];
    for (list, task, expected) in [
        ("", "{name: yo}", vec!["pip3 install yo"]),
        ("Yo_X==1\n", "{name: yo-x}", vec![]),
        ("yo==1\n", "{name: yo, version: '1'}", vec![]),
        ("yo==1\n", "{name: yo, version: '2', extra_args: '--user -q'}", vec!["pip3 install --user -q yo==2"]),
        ("yo==1\n", "{name: 'yo>1,<3'}", vec!["pip3 install yo>1,<3"]),
        ("yo==1\n", "{name: [yo, other]}", vec!["pip3 install other"]),
        ("yo==1\n", "{name: yo, state: latest}", vec!["pip3 install -U yo"]),
        ("yo==1\n", "{name: yo, state: forcereinstall}", vec!["pip3 install -U --force-reinstall yo"]),
        ("yo==1\n", "{name: yo, state: absent}", vec!["pip3 uninstall -y yo"]),
        ("", "{name: yo, state: absent}", vec![]),
        ("", "{requirements: DIR/req.txt}", vec!["pip3 install -r req.txt"]),
        ("", "{name: 'git+https://x/y', editable: true}", vec!["pip3 install -e git+https://x/y"]),
        ("", "{name: yo, executable: nopip}", vec!["nopip"]),
        ("", "{name: [a, b], version: '1'}", vec!["'version' argument is ambiguous"]),
        ("", "{name: -yo}", vec!["`-yo` cannot be the name of a package"]),
        ("", "{state: latest}", vec!["one of the following is required: name, requirements, virtualenv"]),
    ] {
        host.stage.write("list", list);
        let acts = host.acts(&format!("pip: {task}"), &readers).await;
        let is_right = acts.len() == expected.len() && acts.iter().zip(&expected).all(|(act, it)| act.contains(it));
        assert!(is_right, "{task}: {acts:?}");
    }
    let (result, log) = host.run("pip: {name: yo, virtualenv: DIR/env}").await;
    assert_eq!(log, ["virtualenv env", "pip3 list --format=freeze", "pip3 install yo"], "{result:#}");
    host.stage.check = true;
    for (task, changed) in
        [("{name: yo}", true), ("{name: yo, state: latest}", true), ("{name: yo, state: absent}", false)]
    {
        host.stage.write("list", "");
        let (result, log) = host.run(&format!("pip: {task}")).await;
        assert_eq!(
            (result["changed"] == true, log.iter().all(|line| !line.contains("pip3 install yo"))),
            (changed, true),
            "{task}"
        );
    }
}
