//! The modules that work on the system, with tools that only log what they are told.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::Stage;

/// A host whose tools are scripts. Each one logs its name and arguments, and then does what its text says.
pub(super) struct Host {
    pub(super) stage: Stage,
}

impl Host {
    pub(super) fn new(tools: &[(&str, &str)]) -> Self {
        let stage = Stage::new();
        std::fs::create_dir(stage.path("bin")).unwrap();
        let folder = stage.folder.path().display().to_string();
        for (name, text) in tools {
            let path = stage.path(&format!("bin/{name}"));
            // The two sides of a pipe log at once: each writes its line as a whole.
            let log =
                format!("line='{name}|'; for a; do line=$line$a'|'; done; printf '%s\\n' \"$line\" >> {folder}/log");
            std::fs::write(&path, format!("#!/bin/sh\n{log}\n{}\n", text.replace("DIR", &folder))).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { stage }
    }

    /// Runs a task and returns its result, and what the tools were told in a line for each one.
    pub(super) async fn run(&self, task: &str) -> (Value, Vec<String>) {
        std::fs::write(self.stage.path("log"), "").unwrap();
        let book = format!("- hosts: h1\n  environment: {{PATH: 'DIR/bin:/usr/bin:/bin'}}\n  tasks:\n    - {task}\n");
        let (document, _) = self.stage.document(&book).await;
        let result = document["plays"][0]["tasks"][0]["hosts"]["h1"].clone();
        let folder = format!("{}/", self.stage.folder.path().display());
        let log = self.stage.read("log").replace(&folder, "");
        (result, log.lines().map(|line| line.trim_end_matches('|').replace('|', " ")).collect())
    }

    /// Runs a task and returns what changed the host, or the message of its failure.
    pub(super) async fn acts(&self, task: &str, readers: &[&str]) -> Vec<String> {
        let (result, log) = self.run(task).await;
        if result["failed"] == true {
            return vec![result["msg"].as_str().unwrap().to_owned()];
        }
        let acts: Vec<String> = log.into_iter().filter(|line| !readers.iter().any(|it| line.starts_with(it))).collect();
        assert_eq!(result["changed"] == true, !acts.is_empty(), "{task}: {result:#} {acts:?}");
        acts
    }
}

const SYSTEMCTL: &str = r"
for a; do case $a in show | is-enabled) verb=$a ;; esac; done
case $verb in
  show) cat DIR/show ;;
  is-enabled) cat DIR/enabled; grep -q '^enabled' DIR/enabled ;;
esac";

#[tokio::test]
async fn a_service_that_cannot_be_reloaded_or_started_is_told_with_its_state_its_exit_code_and_its_journal() {
    let systemctl = r"
for a; do case $a in show | reload | start) verb=$a ;; esac; done
case $verb in
  show) cat DIR/show ;;
  *) echo 'Job for web.service failed.' >&2; exit 1 ;;
esac";
    let host = Host::new(&[("systemctl", systemctl), ("journalctl", "echo one; echo two")]);
    let show = |active: &str| {
        format!(
            "LoadState=loaded\nActiveState={active}\nSubState=x\nExecMainStatus=4\n\
             ExecReload={{ path=/bin/false ; argv[]=/bin/false ; pid=7 ; code=exited ; status=3 }}\n"
        )
    };
    for (active, action, code) in [("active", "reload", 3), ("failed", "start", 4)] {
        std::fs::write(host.stage.path("show"), show(active)).unwrap();
        let expected = format!(
            "Unable to {action} service web: Job for web.service failed.\nweb.service is {active} (x), exit code {code}\n\
             journal: one\njournal: two"
        );
        assert_eq!(host.acts("service: {name: web, state: reloaded}", &[]).await, [expected]);
    }
}

#[tokio::test]
async fn a_service_is_brought_to_its_state_once() {
    let host = Host::new(&[("systemctl", SYSTEMCTL)]);
    let readers = ["systemctl show", "systemctl is-enabled", "systemctl --user show"];
    let up = "Id=web.service\nLoadState=loaded\nActiveState=active\n";
    for (show, enabled, task, expected) in [
        (up, "enabled", "service: {name: web, state: started, enabled: true}", vec![]),
        (
            up,
            "disabled",
            "service: {name: web, state: restarted, enabled: yes}",
            vec!["enable -- web.service", "restart -- web.service"],
        ),
        (up, "alias", "service: name=web enabled=yes", vec!["enable -- web.service"]),
        (
            "LoadState=loaded\nActiveState=inactive\n",
            "disabled",
            "systemd: {name: web.timer, state: reloaded}",
            vec!["start -- web.timer"],
        ),
        (up, "enabled", "service: {name: web, state: stopped, use: service}", vec!["stop -- web.service"]),
        (up, "enabled", "systemd: {unit: web, state: stopped, no_block: true}", vec!["--no-block stop -- web.service"]),
        (up, "enabled", "systemd: {name: web, masked: true}", vec!["mask -- web.service"]),
        (up, "masked", "ansible.builtin.systemd_service: {name: web, masked: true}", vec![]),
        (up, "enabled", "systemd: {name: web, state: stopped, scope: user}", vec!["--user stop -- web.service"]),
    ] {
        host.stage.write("show", show);
        host.stage.write("enabled", &format!("{enabled}\n"));
        let expected: Vec<String> = expected.iter().map(|line| format!("systemctl {line}")).collect();
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    host.stage.write("show", "LoadState=not-found\nActiveState=inactive\n");
    let missing = host.acts("service: {name: none, state: started}", &readers).await;
    assert_eq!(missing, ["Could not find the requested service none: host"]);
    let glob = host.acts("service: {name: 'a*', state: started}", &readers).await;
    assert!(glob[0].contains("found '*' in service name: a*"), "{glob:?}");
}

#[tokio::test]
async fn a_service_has_ansibles_results() {
    let mut host = Host::new(&[("systemctl", SYSTEMCTL)]);
    host.stage.write("show", "Id=web.service\nLoadState=loaded\nActiveState=inactive\n");
    host.stage.write("enabled", "disabled\n");
    host.stage.check = true;
    let task = "systemd: {name: web, state: restarted, enabled: true, daemon_reload: true}";
    let (result, log) = host.run(task).await;
    assert_eq!(
        (&result["changed"], &result["enabled"], &result["state"]),
        (&true.into(), &true.into(), &"started".into())
    );
    assert_eq!((&result["name"], &result["status"]["Id"]), (&"web".into(), &"web.service".into()));
    assert_eq!(log, ["systemctl show -- web.service", "systemctl is-enabled -- web.service"]);
    host.stage.check = false;
    let (_, log) = host.run("systemd: daemon_reload=true").await;
    assert_eq!(log, ["systemctl daemon-reload"]);
}

const GETENT: &str = r#"grep "^$2:" DIR/$1 || exit 2"#;

#[tokio::test]
async fn a_group_is_made_changed_and_removed() {
    let host = Host::new(&[("getent", GETENT), ("groupadd", ""), ("groupmod", ""), ("groupdel", "")]);
    host.stage.write("group", "web:x:42:a,b\n");
    let readers = ["getent"];
    for (task, expected) in [
        ("group: {name: web, gid: 42}", vec![]),
        ("group: {name: web, gid: 43}", vec!["groupmod -g 43 -- web"]),
        ("group: {name: web, state: absent}", vec!["groupdel -- web"]),
        ("group: {name: new, system: true, gid: 7}", vec!["groupadd -g 7 -r -- new"]),
        ("group: {name: new, state: absent}", vec![]),
        ("group: {name: -x}", vec!["`-x` cannot be the name of a user or a group"]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    let (result, _) = host.run("group: name=web").await;
    assert_eq!((&result["gid"], &result["state"], &result["system"]), (&42.into(), &"present".into(), &false.into()));
}

#[tokio::test]
async fn a_user_is_made_changed_and_removed() {
    let id = "case $1 in -u) echo 0 ;; -gn) echo web ;; -Gn) echo web adm www ;; esac";
    let tools = [("getent", GETENT), ("id", id), ("useradd", ""), ("usermod", ""), ("userdel", ""), ("chage", "")];
    let host = Host::new(&tools);
    host.stage.write("passwd", "web:x:42:42:Web:/:/bin/sh\n");
    host.stage.write("group", "web:x:42:\nadm:x:4:web\nwww:x:5:web\nops:x:6:\n");
    host.stage.write("shadow", "web:!HASH:1:0:99999:7:::\n");
    let readers = ["getent", "id"];
    for (task, expected) in [
        (
            "user: {name: web, groups: [adm, www], shell: /bin/sh, comment: Web, uid: 42, group: web, password: HASH}",
            vec![],
        ),
        ("user: {name: web, groups: adm, append: true}", vec![]),
        ("user: {name: web, groups: ops, append: true}", vec!["usermod -a -G ops -- web"]),
        ("user: {name: web, groups: 'adm,ops'}", vec!["usermod -G adm,ops -- web"]),
        ("user: {name: web, groups: ''}", vec!["usermod -G  -- web"]),
        ("user: {name: web, password: OTHER, shell: /bin/dash}", vec!["usermod -s /bin/dash -p OTHER -- web"]),
        ("user: {name: web, password: OTHER, update_password: on_create}", vec![]),
        ("user: {name: web, password_lock: true, expires: -1}", vec![]),
        ("user: {name: web, password_lock: false, expires: 86400}", vec!["usermod -e 1970-01-02 -p HASH -- web"]),
        ("user: {name: web, password_expire_max: 90}", vec!["chage -M 90 web"]),
        ("user: {name: web, state: absent, remove: true, force: true}", vec!["userdel -f -r web"]),
        ("user: {name: new, state: absent}", vec![]),
        (
            "user: {name: new, groups: [adm, ops], comment: \"a'b c\", home: /srv/new, system: true, password: X, createhome: no}",
            vec!["useradd -G adm,ops -c a'b c -d /srv/new -p X -M -r -- new"],
        ),
        ("user: {name: ops, uid: 9}", vec!["useradd -u 9 -N -m -- ops"]),
        ("user: {name: new, group: none}", vec!["Group none does not exist"]),
        ("user: {name: new, shell: \"/a:b\"}", vec!["`shell` cannot have a colon or a newline"]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    let (result, _) = host.run("user: {name: web, password: HASH}").await;
    let got = ["uid", "group", "home", "shell", "password", "append", "move_home"].map(|key| result[key].to_string());
    assert_eq!(got.join(" "), r#"42 42 "/" "/bin/sh" "NOT_LOGGING_PASSWORD" false false"#);
}

const DPKG_QUERY: &str = r"
for name; do :; done
case $name in
  vim) echo 'ii  2:9.0-1' ;;
  old) echo 'rc  1.0' ;;
  '${db:Status-Abbrev} ${Provides}\n') echo 'ii  editor, pager (= 1)' ;;
  '${Package}\n') printf 'vim\nvim-common\nnano\n' ;;
  *) exit 1 ;;
esac";

#[tokio::test]
async fn apt_asks_apt_get_only_for_what_is_not_so() {
    let get = "case $* in *-common*) echo '0 upgraded, 0 newly installed, 0 to remove and 1 not upgraded.' ;; \
        *lost*) echo 'E: Unable to locate package lost' >&2; exit 100 ;; *) echo '1 upgraded, 0 newly installed' ;; esac";
    let cache = "printf 'git\\ngit-man\\nvim-common\\n'";
    let host = Host::new(&[("apt-get", get), ("dpkg-query", DPKG_QUERY), ("apt-cache", cache), ("dpkg", "")]);
    let options = "-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef -q -y";
    for (task, expected) in [
        ("apt: name=vim", None),
        ("apt: {name: ['vim=2:9.*', editor]}", None),
        ("apt: {name: vim-common, state: latest}", None),
        ("apt: {name: [old, gone], state: absent}", None),
        ("apt: {name: ['vim=3*', git]}", Some(format!("{options} install vim=3* git"))),
        (
            "apt: {pkg: 'git*', install_recommends: no}",
            Some(format!("-o APT::Install-Recommends=no {options} install git git-man")),
        ),
        ("apt: {name: vim, state: absent, purge: true}", Some(format!("--purge {options} remove vim"))),
        (
            "apt: {name: old, state: absent, purge: true, autoremove: true}",
            Some(format!("--purge --auto-remove {options} remove old")),
        ),
        ("apt: upgrade=dist", Some(format!("{options} dist-upgrade"))),
        ("apt: {name: '*', state: latest, lock_timeout: 5}", Some(format!("{options} upgrade --with-new-pkgs"))),
    ] {
        let (result, log) = host.run(task).await;
        let gets: Vec<&String> = log.iter().filter(|line| line.starts_with("apt-get")).collect();
        let seconds = if task.contains("lock_timeout") { 5 } else { 60 };
        let expected = expected.map(|line| format!("apt-get -o DPkg::Lock::Timeout={seconds} {line}"));
        assert_eq!(result["changed"], expected.is_some(), "{task}: {result:#}");
        if let Some(expected) = expected {
            assert_eq!(gets, [&expected], "{task}");
        }
    }
    let (result, _) = host.run("apt: name=lost").await;
    assert_eq!((&result["failed"], &result["msg"]), (&true.into(), &"No package matching 'lost' is available".into()));
    let (result, _) = host.run("apt: {name: '-o Dpkg::X=1'}").await;
    assert_eq!(result["msg"], "`-o Dpkg::X=1` cannot be the name of a package");
    let (result, log) = host.run("apt: {update_cache: true, cache_valid_time: 0}").await;
    assert_eq!((&result["cache_updated"], log.len()), (&true.into(), 1), "{log:?}");
}

#[tokio::test]
async fn packages_see_the_policy_of_the_task_and_the_host_keeps_its_own() {
    let policy = "root/usr/sbin/policy-rc.d";
    let get = format!("DIR/{policy}; echo $? >> DIR/codes; echo '0 upgraded, 1 newly installed'; exec cat DIR/ends");
    let host = Host::new(&[("apt-get", &get), ("dpkg-query", "exit 1")]);
    std::fs::create_dir_all(host.stage.path("root/usr/sbin")).unwrap();
    let root = host.stage.path("root").display().to_string();
    let task = format!("{{apt: {{name: git, policy_rc_d: 101}}, environment: {{DPKG_ROOT: {root}}}}}");
    let (result, _) = host.run(&task).await;
    assert_eq!((&result["failed"], host.stage.path(policy).exists()), (&true.into(), false), "{result:#}");
    host.stage.write("ends", "");
    host.stage.write(policy, "#!/bin/sh\nexit 7\n");
    let (result, _) = host.run(&task).await;
    assert_eq!(result["changed"], true, "{result:#}");
    assert_eq!(
        (host.stage.read("codes"), host.stage.read(policy)),
        ("101\n101\n".into(), "#!/bin/sh\nexit 7\n".into())
    );
    assert_eq!(std::fs::read_dir(host.stage.path("root/usr/sbin")).unwrap().count(), 1);
}

#[tokio::test]
async fn apt_waits_for_a_lock_as_long_as_it_may() {
    let get = "[ -e DIR/tried ] || { touch DIR/tried; echo 'E: Could not get lock /var/lib/apt/lists/lock' >&2; exit 100; }\n\
        echo '0 upgraded, 1 newly installed'";
    let host = Host::new(&[("apt-get", get), ("dpkg-query", "exit 1")]);
    let (result, log) = host.run("apt: {name: git, lock_timeout: 0}").await;
    assert!(result["msg"].as_str().unwrap().contains("Could not get lock") && result["failed"] == true, "{result}");
    assert_eq!(log.iter().filter(|line| line.starts_with("apt-get")).count(), 1);
    std::fs::remove_file(host.stage.path("tried")).unwrap();
    let (result, log) = host.run("apt: {name: git, lock_timeout: 5}").await;
    assert_eq!((&result["changed"], log.iter().filter(|line| line.starts_with("apt-get")).count()), (&true.into(), 2));
}

#[tokio::test]
async fn a_repository_of_dnf_is_enabled_once() {
    let list =
        "Repo-id            : crb\\nRepo-status        : disabled\\n\\nRepo-id      : epel\\nRepo-status  : enabled\\n";
    let host = Host::new(&[("dnf", &format!("case $1 in repolist) printf '{list}' ;; esac"))]);
    for (task, expected) in [
        ("{name: [crb, epel]}", vec!["dnf config-manager --assumeyes --set-enabled crb"]),
        ("{name: crb, state: disabled}", vec![]),
        ("{name: [crb, epel], state: disabled}", vec!["dnf config-manager --assumeyes --set-disabled epel"]),
        ("{name: lost}", vec!["did not find repo with ID 'lost' in dnf repolist --all --verbose"]),
        ("{name: '--x'}", vec!["`--x` cannot be the id of a repository"]),
    ] {
        let task = format!("community.general.dnf_config_manager: {task}");
        assert_eq!(host.acts(&task, &["dnf repolist"]).await, expected, "{task}");
    }
}

#[tokio::test]
async fn dnf_is_asked_for_what_rpm_does_not_have() {
    let rpm = "for n; do :; done; case $n in vim) ;; *) exit 1 ;; esac";
    let dnf = "case $* in *nothing*) echo 'Nothing to do.' ;; *lost*) echo 'No match for argument: lost'; exit 1 ;; *--assumeno*) echo 'Operation aborted.'; exit 1 ;; esac";
    let mut host = Host::new(&[("dnf", dnf), ("rpm", rpm)]);
    let readers = ["rpm"];
    for (task, expected) in [
        ("dnf: name=vim", vec![]),
        (
            "yum: {name: [vim, git, '@web'], enablerepo: 'a b', disablerepo: x}",
            vec!["dnf -y install --allowerasing git @web --enablerepo=a b --disablerepo=x"],
        ),
        (
            "dnf: {name: [vim, git], state: absent}",
            vec!["dnf -y remove vim --setopt=clean_requirements_on_remove=False"],
        ),
        ("dnf: {name: '*', state: latest, security: true}", vec!["dnf -y upgrade --allowerasing --security"]),
        (
            "dnf: {name: [vim, git], state: latest}",
            vec!["dnf -y install --allowerasing git", "dnf -y upgrade --allowerasing vim"],
        ),
        ("dnf: name=lost", vec!["Failed to install some of the specified packages"]),
        ("package: {name: git, use: dnf}", vec!["dnf -y install --allowerasing git"]),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    let (result, _) = host.run("dnf: name=nothing").await;
    assert_eq!((&result["changed"], &result["msg"]), (&false.into(), &"Nothing to do".into()));
    host.stage.check = true;
    assert_eq!(host.acts("dnf: name=git", &readers).await, ["dnf --assumeno install --allowerasing git"]);
}

#[tokio::test]
async fn a_job_is_in_a_crontab_once() {
    let crontab =
        "for a; do last=$a; done\ncase $last in -l) [ -e DIR/tab ] || exit 1; cat DIR/tab ;; -) cat > DIR/tab ;; esac";
    let host = Host::new(&[("crontab", crontab)]);
    let task = "cron: {name: up, minute: '*/5', job: 'echo \"a\\\\n%\" | b', user: games}";
    let (result, _) = host.run(task).await;
    assert_eq!((&result["changed"], &result["jobs"][0]), (&true.into(), &"up".into()), "{result}");
    assert_eq!(host.stage.read("tab"), "#Ansible: up\n*/5 * * * * echo \"a\\\\n%\" | b\n");
    assert_eq!(host.run(task).await.0["changed"], false);
    let (result, _) = host.run("cron: {name: MAILTO, env: true, job: me}").await;
    assert_eq!((&result["envs"][0], &result["changed"]), (&"MAILTO".into(), &true.into()));
    host.run("cron: {name: up, special_time: daily, job: c, disabled: true}").await;
    assert_eq!(host.stage.read("tab"), "MAILTO=\"me\"\n#Ansible: up\n#@daily c\n");
    host.run("cron: {name: up, state: absent}").await;
    assert_eq!(host.stage.read("tab"), "MAILTO=\"me\"\n");
    let file = "cron: {name: up, hour: 3, job: x, user: root, cron_file: DIR/file}";
    assert_eq!(host.run(file).await.0["changed"], true);
    assert_eq!(
        (host.stage.read("file").as_str(), &host.run(file).await.0["changed"]),
        ("#Ansible: up\n* 3 * * * root x\n", &false.into())
    );
    host.run("cron: {name: up, state: absent, cron_file: DIR/file}").await;
    assert!(!host.stage.path("file").exists());
    let (result, _) = host.run("cron: {name: up, job: \"a\\nb\"}").await;
    assert_eq!(result["failed"], true);
}

#[tokio::test]
async fn files_of_keys_and_of_the_kernel_change_once() {
    let tools = [
        ("sysctl", "case $1 in -n) echo '4 \t4' ;; esac"),
        ("getent", "echo \"$2:x:0:0::/root:/bin/sh\""),
        ("ufw", ""),
    ];
    let host = Host::new(&tools);
    host.stage.write("sysctl.conf", "# a=1\na = 1\nb=2");
    for (task, file, expected) in [
        ("sysctl: {name: a, value: yes, sysctl_file: DIR/sysctl.conf}", "sysctl.conf", None),
        ("sysctl: {name: a, value: '3', sysctl_file: DIR/sysctl.conf}", "sysctl.conf", Some("# a=1\na=3\nb=2\n")),
        (
            "sysctl: {name: c, value: ' 4  5', sysctl_file: DIR/sysctl.conf}",
            "sysctl.conf",
            Some("# a=1\na=3\nb=2\nc=4 5\n"),
        ),
        ("sysctl: {name: b, state: absent, sysctl_file: DIR/sysctl.conf}", "sysctl.conf", Some("# a=1\na=3\nc=4 5\n")),
        ("authorized_key: {user: root, key: 'ssh-rsa AA me', path: DIR/keys}", "keys", Some("ssh-rsa AA me\n")),
        (
            "authorized_key: {user: root, key: 'ssh-rsa BB', key_options: 'command=\"a b\"', path: DIR/keys}",
            "keys",
            Some("ssh-rsa AA me\ncommand=\"a b\" ssh-rsa BB\n"),
        ),
        (
            "authorized_key: {user: root, key: 'ssh-rsa BB you', path: DIR/keys, exclusive: true}",
            "keys",
            Some("ssh-rsa BB you\n"),
        ),
        ("authorized_key: {user: root, key: 'ssh-rsa BB', path: DIR/keys, state: absent}", "keys", Some("")),
        (
            "mount: {path: '/a b', src: tmpfs, fstype: tmpfs, state: present, fstab: DIR/fstab}",
            "fstab",
            Some("tmpfs /a\\040b tmpfs defaults 0 0\n"),
        ),
        (
            "mount: {path: '/a b', src: tmpfs, fstype: tmpfs, opts: ro, boot: no, state: present, fstab: DIR/fstab}",
            "fstab",
            Some("tmpfs /a\\040b tmpfs ro,noauto 0 0\n"),
        ),
        ("mount: {path: '/a b', state: absent_from_fstab, fstab: DIR/fstab}", "fstab", Some("")),
    ] {
        let before = std::fs::read_to_string(host.stage.path(file)).unwrap_or_default();
        let (result, _) = host.run(task).await;
        assert_eq!(result["changed"], expected.is_some(), "{task}: {result:#}");
        assert_eq!(host.stage.read(file), expected.unwrap_or(&before), "{task}");
        assert_eq!(host.run(task).await.0["changed"], false, "{task}");
    }
    let task = "sysctl: {name: k, value: '4 5', sysctl_set: true, sysctl_file: DIR/new.conf}";
    let (_, log) = host.run(task).await;
    assert_eq!(log, ["sysctl -n k", "sysctl -w k=4 5", "sysctl -p new.conf"]);
}

#[tokio::test]
async fn a_repository_is_cloned_and_updated_once() {
    let host = Host::new(&[]);
    let folder = host.stage.folder.path().display().to_string();
    let git = |args: &str| {
        let script = format!("cd {folder}/r && git -c user.name=a -c user.email=a@b {args}");
        assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{args}");
    };
    std::fs::create_dir(host.stage.path("r")).unwrap();
    git("init -q && echo 1 > f && git add f");
    git("commit -qm one");
    git("tag v1 && echo 2 > f");
    git("commit -qam two");
    for (version, text) in [("v1", "1\n"), ("HEAD", "2\n")] {
        let task = format!("git: {{repo: DIR/r, dest: DIR/d, version: {version}}}");
        let (result, _) = host.run(&task).await;
        assert_eq!((&result["changed"], host.stage.read("d/f").as_str()), (&true.into(), text), "{result:#}");
        assert_eq!(result["before"].is_null(), version == "v1");
        assert_eq!(host.run(&task).await.0["changed"], false);
    }
    host.stage.write("d/f", "x");
    let (result, _) = host.run("git: {repo: DIR/r, dest: DIR/d}").await;
    assert!(result["msg"].as_str().unwrap().starts_with("Local modifications exist"), "{result}");
    assert_eq!(host.run("git: {repo: DIR/r, dest: DIR/d, force: true}").await.0["changed"], true);
    assert_eq!(host.stage.read("d/f"), "2\n");
}

#[tokio::test]
async fn a_request_is_sent_by_curl_or_wget() {
    let curl = r#"
while [ $# -gt 0 ]; do case $1 in -D) headers=$2 ;; -o) content=$2 ;; -K) config=$2 ;; --data-binary) body=${2#@} ;; esac; shift; done
printf 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-A: b\r\n\r\n' > "$headers"
printf '{"a": 1}' > "$content"
cp "$config" DIR/config; [ -z "$body" ] || cp "$body" DIR/body
printf '%s 0 http://h/' "$(cat DIR/status)""#;
    let host = Host::new(&[("curl", curl)]);
    host.stage.write("status", "200");
    let task = "uri: {url: 'http://h/', method: POST, body: {k: v}, body_format: json, return_content: true, user: u, password: 'p\"'}";
    let (result, _) = host.run(task).await;
    let got = ["status", "content", "json", "x_a", "changed", "redirected", "msg"].map(|key| result[key].to_string());
    assert_eq!(got.join(" "), r#"200 "{\"a\": 1}" {"a":1} "b" false false "OK (8 bytes)""#);
    assert_eq!(host.stage.read("body"), r#"{"k": "v"}"#);
    assert!(host.stage.read("config").contains("user = \"u:p\\\"\"\n"));
    let task = "uri: {url: 'http://h/', dest: DIR/out, mode: '0600'}";
    assert_eq!((&host.run(task).await.0["changed"], &host.run(task).await.0["changed"]), (&true.into(), &false.into()));
    assert_eq!(host.stage.read("out"), "{\"a\": 1}");
    host.stage.write("status", "404");
    let (result, _) = host.run("uri: {url: 'http://h/', status_code: [200, 201]}").await;
    let msg = result["msg"].as_str().unwrap();
    assert!(
        msg.starts_with("Status code was 404 and not [200, 201]: HTTP Error 404") && result["failed"] == true,
        "{result}"
    );
    assert_eq!(host.run("uri: {url: 'http://h/', status_code: 404}").await.0["failed"], false);
}

#[tokio::test]
async fn rules_of_firewalls_are_added_once() {
    let iptables = "case $* in *-C*9*) ;; *-C*) exit 1 ;; esac";
    let firewall = "case $* in *--state*) ;; *default-zone*) echo public ;; *query*http) ;; *query*) exit 1 ;; esac";
    let host = Host::new(&[("iptables", iptables), ("firewall-cmd", firewall)]);
    let readers = ["iptables -t filter -L", "iptables -t filter -C", "firewall-cmd --state", "firewall-cmd --get"];
    for (task, expected) in [
        (
            "iptables: {chain: INPUT, protocol: tcp, destination_port: 80, jump: ACCEPT, comment: 'a b'}",
            vec!["iptables -t filter -A INPUT -p tcp -j ACCEPT --destination-port 80 -m comment --comment a b"],
        ),
        ("iptables: {chain: INPUT, source_port: 9}", vec![]),
        (
            "iptables: {chain: INPUT, source_port: 9, state: absent}",
            vec!["iptables -t filter -D INPUT --source-port 9"],
        ),
    ] {
        assert_eq!(host.acts(task, &readers).await, expected, "{task}");
    }
    let (_, log) = host.run("firewalld: {service: http, permanent: true, immediate: true, state: enabled}").await;
    assert!(!log.iter().any(|line| line.contains("--add")), "{log:?}");
    let (result, log) = host.run("firewalld: {port: 80/tcp, zone: dmz, permanent: true, state: enabled}").await;
    assert_eq!(
        (&result["changed"], log.last().unwrap().as_str()),
        (&true.into(), "firewall-cmd --permanent --zone=dmz --add-port=80/tcp")
    );
}

#[tokio::test]
async fn entries_of_a_database_are_facts() {
    let host = Host::new(&[("getent", GETENT)]);
    host.stage.write("passwd", "web:x:42:42:Web:/:/bin/sh\n");
    let (result, _) = host.run("getent: {database: passwd, key: web}").await;
    assert_eq!(result["ansible_facts"]["getent_passwd"]["web"][5], "/bin/sh", "{result}");
    let (result, _) = host.run("getent: {database: passwd, key: no, fail_key: false}").await;
    assert_eq!((&result["failed"], &result["ansible_facts"]["getent_passwd"]["no"]), (&false.into(), &Value::Null));
    let book = "- hosts: h1\n  tasks:\n    - getent: {database: passwd, key: root}\n    - debug: {msg: '{{ getent_passwd.root[4] }}'}\n";
    assert!(host.stage.play(book).await.0.contains("\"msg\": \"/root\""));
}
