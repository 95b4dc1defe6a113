//! The modules that work on the system, on a real host: what a task has done, it does not do again.

use muster::lab::Lab;

use super::lab;
use super::muster;
use super::ssh;

const BOOK: &str = r#"
- hosts: all
  tasks:
    - group: {name: web, gid: 4200}
    - group: {name: ops, system: true}
    - user:
        name: deploy
        uid: 4201
        group: web
        groups: [ops]
        comment: "It's a test"
        shell: /bin/sh
        password: '$6$salt$hash'
        expires: 4102444800
        password_expire_max: 90
        generate_ssh_key: true
        ssh_key_type: ed25519
      register: made
    - assert: {that: "'ssh-ed25519 ' in made.ssh_public_key"}
    - user: {name: locked, create_home: false, password_lock: true, system: true}
    - authorized_key: {user: deploy, key: '{{ made.ssh_public_key }}', key_options: 'from="10.0.0.0/8"'}
    - known_hosts: {name: peer, key: "peer ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", path: /etc/ssh/ssh_known_hosts}
    - file: {path: /etc/cron.d, state: directory}
    - cron: {name: tidy, special_time: daily, user: deploy, job: 'true', cron_file: tidy}
    - sysctl: {name: net.ipv4.ip_forward, value: yes, reload: false}
    - hostname: {name: renamed}
    - copy: {content: "[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n", dest: /etc/systemd/system/nap.service}
    - service: {name: nap, state: started, enabled: true, daemon_reload: true}
      register: nap
    - systemd: {name: other.service, masked: true}
    - mount: {path: /srv/a b, src: tmpfs, fstype: tmpfs, opts: 'size=1m', state: mounted}
    - getent: {database: passwd, key: deploy}
    - assert: {that: "getent_passwd.deploy[5] == '/bin/sh' and nap.status.Id == 'nap.service' and nap.enabled"}
    - group: {name: nothing, state: absent}
    - user: {name: nothing, state: absent}
"#;

const UNDO: &str = r"
- hosts: all
  tasks:
    - service: {name: nap, state: stopped, enabled: false}
    - systemd: {name: other.service, masked: false}
    - mount: {path: /srv/a b, state: absent}
    - cron: {name: tidy, state: absent, cron_file: tidy}
    - user: {name: deploy, state: absent, remove: true}
    - group: {name: web, state: absent}
    - sysctl: {name: net.ipv4.ip_forward, state: absent, reload: false}
";

#[test]
fn what_a_module_has_done_to_the_system_it_does_not_do_again() {
    let Some(lab) = lab(1) else { return };
    let inventory = lab.dir().join("modules-inventory");
    std::fs::write(&inventory, format!("core-01 ansible_host={}\n", lab.hosts()[0].address)).unwrap();
    let inventory = inventory.display().to_string();
    let play = |text: &str, args: &[&str]| {
        let path = lab.dir().join("modules.yaml");
        std::fs::write(&path, text).unwrap();
        let said = muster(&lab, &[&["-i", &inventory, "play", path.to_str().unwrap()], args].concat());
        let recap = said.out.lines().rev().find(|line| line.starts_with("core-01")).unwrap_or_default();
        let recap: Vec<&str> = recap.split_whitespace().skip(2).take(4).collect();
        (recap.join(" "), said)
    };
    for (text, changed) in [(BOOK, 14), (UNDO, 7)] {
        let (recap, said) = play(text, &[]);
        assert!(recap.contains(&format!("changed={changed} unreachable=0 failed=0")), "{said:#?}");
        for args in [&[][..], &["--check"]] {
            let (recap, said) = play(text, args);
            assert!(recap.contains("changed=0 unreachable=0 failed=0"), "{said:#?}");
        }
        if text == BOOK {
            let look = "id -nG deploy; getent shadow deploy | cut -d: -f2,5,8; stat -c '%U %a' /home/deploy/.ssh/id_ed25519 \
                /home/deploy/.ssh/authorized_keys; systemctl is-active nap; systemctl is-enabled nap; hostname; \
                cat /etc/hostname /etc/cron.d/tidy; stat -f -c %T '/srv/a b'; tail -n 1 /etc/sysctl.conf";
            assert_eq!(
                ssh(&lab, "core-01", look),
                "web ops\n$6$salt$hash:90:47482\ndeploy 600\ndeploy 600\nactive\nenabled\nrenamed\nrenamed\n\
                 #Ansible: tidy\n@daily deploy true\ntmpfs\nnet.ipv4.ip_forward=1"
            );
        }
    }
    let look =
        "getent passwd deploy; ls -d '/srv/a b' /home/deploy /etc/cron.d/tidy 2>/dev/null; systemctl is-active nap";
    assert_eq!(super::ssh_as(&lab, "root", "core-01", look).out, "inactive\n");
    refuses_units_of_the_cluster(&lab, &inventory);
}

/// A unit of the cluster is no service of the host.
fn refuses_units_of_the_cluster(lab: &Lab, inventory: &str) {
    let book = lab.dir().join("units.yaml");
    std::fs::write(lab.dir().join("app.service"), "[Service]\nExecStart=/bin/sleep 1000\n").unwrap();
    let tasks = "- hosts: all\n  tasks:\n    - join:\n    - unit: {name: app.service, src: app.service, state: started}\n\
                 \x20   - service: {name: app, state: restarted}\n";
    std::fs::write(&book, tasks).unwrap();
    let said = muster(lab, &["-i", inventory, "play", book.to_str().unwrap()]);
    let expected = "app.service is a unit of the cluster, which the module `unit` changes";
    assert!(said.out.contains(expected) && said.code == Some(2), "{said:#?}");
}

const DEBIAN: &str = r#"
- hosts: all
  tasks:
    - wait_for_connection: {timeout: 20}
    - timezone: {name: Asia/Tokyo}
    - locale_gen: {name: [de_DE.UTF-8, fr_FR.UTF-8]}
    - apt_repository: {repo: "deb [trusted=yes]   http://a.example/x ./", update_cache: false}
    - apt_repository: {repo: "deb http://off.example y main", update_cache: false}
    - deb822_repository: {name: My Repo, uris: "https://b.example", suites: [x, y], components: main, signed_by: /b.gpg}
    - debconf: {name: tzdata, question: tzdata/Areas, vtype: select, value: Africa}
    - package_facts:
    - assert: {that: "ansible_facts.packages.coreutils[0].source == 'apt'"}
"#;

const UNDO_DEBIAN: &str = r#"
- hosts: all
  tasks:
    - timezone: {name: Etc/UTC}
    - locale_gen: {name: fr_FR.UTF-8, state: absent}
    - apt_repository: {repo: "deb [trusted=yes] http://a.example/x ./", state: absent, update_cache: false}
    - deb822_repository: {name: My Repo, state: absent}
    - debconf: {name: tzdata, question: tzdata/Areas, vtype: select, value: Europe}
"#;

#[test]
fn the_modules_for_debian_change_a_host_once() {
    let Some(lab) = lab(1) else { return };
    let prepare = "printf '# de_DE.UTF-8 UTF-8\\n' >/etc/locale.gen; mkdir -p /usr/share/i18n; \
                   printf 'fr_FR.UTF-8 UTF-8\\n' >/usr/share/i18n/SUPPORTED; \
                   printf '%s\\n' '#!/bin/sh' 'grep -o \"^[a-z][^ ]*\" /etc/locale.gen | sed s/UTF-8/utf8/ >/run/made' >/usr/sbin/locale-gen; \
                   printf '#!/bin/sh\\ncat /run/made\\n' >/usr/local/bin/locale; \
                   chmod 755 /usr/sbin/locale-gen /usr/local/bin/locale; : >/run/made; \
                   echo '# deb http://off.example y main' >/etc/apt/sources.list.d/off.list; echo Etc/UTC >/etc/timezone";
    ssh(
        &lab,
        "core-01",
        &format!(
            "zones=/usr/share/zoneinfo; mkdir -p /etc/apt/sources.list.d $zones/Asia $zones/Etc; touch $zones/Asia/Tokyo $zones/Etc/UTC; {prepare}"
        ),
    );
    let path = lab.dir().join("debian.yaml");
    let recap = |text: &str, args: &[&str]| {
        std::fs::write(&path, text).unwrap();
        let said = muster(&lab, &[&["play", path.to_str().unwrap()], args].concat());
        let line = said.out.lines().rev().find(|line| line.starts_with("core-01")).unwrap_or_default();
        (line.split_whitespace().nth(3).unwrap_or_default().to_owned(), said)
    };
    for (text, changed) in [(DEBIAN, "changed=6"), (UNDO_DEBIAN, "changed=5")] {
        for (args, expected) in [(&["--check"][..], changed), (&[], changed), (&[], "changed=0")] {
            let (found, said) = recap(text, args);
            assert_eq!((found.as_str(), said.code), (expected, Some(0)), "{said:#?}");
        }
        if text == DEBIAN {
            let look = "readlink /etc/localtime; cat /etc/timezone /etc/locale.gen /run/made; cd /etc/apt/sources.list.d; \
                        tail -n +1 *";
            let expected = "/usr/share/zoneinfo/Asia/Tokyo\nAsia/Tokyo\nde_DE.UTF-8 UTF-8\nfr_FR.UTF-8 UTF-8\n\
                            de_DE.utf8\nfr_FR.utf8\n==> a_example_x.list <==\ndeb [trusted=yes] http://a.example/x ./\n\n\
                            ==> my-repo.sources <==\nComponents: main\nX-Repolib-Name: My Repo\nSigned-By: /b.gpg\n\
                            Suites: x y\nTypes: deb\nURIs: https://b.example\n\n\
                            ==> off.list <==\ndeb http://off.example y main";
            assert_eq!(ssh(&lab, "core-01", look), expected);
        }
    }
    let left = ssh(&lab, "core-01", "cat /etc/locale.gen; ls /etc/apt/sources.list.d");
    assert_eq!(left, "de_DE.UTF-8 UTF-8\n# fr_FR.UTF-8 UTF-8\noff.list");
}
