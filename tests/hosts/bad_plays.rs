//! Playbooks on bad days: hosts that are dead, die or freeze, full disks, endless output, a folder /tmp without programs.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use super::Said;
use super::lab;
use super::muster;
use super::ssh;

/// Returns the recap line of a host.
fn recap<'s>(said: &'s Said, host: &str) -> &'s str {
    let line = said.out.lines().find(|line| line.starts_with(host) && line.contains(" : ok="));
    line.unwrap_or_else(|| panic!("{host}: {said:#?}"))
}

#[test]
fn a_host_that_dies_or_freezes_during_a_task_is_unreachable_and_the_others_go_on() {
    let Some(lab) = lab(3) else { return };
    let book = lab.dir().join("long.yaml");
    // The second host is frozen and the third dies while the first waits for them.
    let text = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: long\n      shell: touch /run/begun; \
                sleep 2\n    - name: after\n      command: touch /run/after\n";
    std::fs::write(&book, text).unwrap();
    let book = book.display().to_string();
    std::thread::scope(|scope| {
        let play = scope.spawn(|| muster(&lab, &["play", &book]));
        for host in ["core-02", "core-03"] {
            ssh(&lab, host, "until test -e /run/begun; do sleep 0.05; done");
        }
        lab.freeze("core-02").unwrap();
        lab.kill("core-03").unwrap();
        let said = play.join().unwrap();
        assert_eq!(said.code, Some(4), "{said:#?}");
        assert!(recap(&said, "core-01").contains("ok=2    changed=2    unreachable=0 "), "{said:#?}");
        for host in ["core-02", "core-03"] {
            assert!(recap(&said, host).contains("ok=0    changed=0    unreachable=1 "), "{said:#?}");
            assert!(said.out.contains(&format!("fatal: [{host}]: UNREACHABLE! => ")), "{said:#?}");
        }
    });
    assert_eq!(ssh(&lab, "core-01", "ls /run/after"), "/run/after");
}

#[test]
fn a_full_disk_fails_the_task_and_leaves_the_old_file_and_endless_output_is_cut() {
    let Some(lab) = lab(1) else { return };
    ssh(&lab, "core-01", "mkdir /mnt/small; mount -t tmpfs -o size=100k none /mnt/small; echo old > /mnt/small/file");
    std::fs::write(lab.dir().join("big"), vec![b'x'; 200_000]).unwrap();
    let text = "- hosts: all\n  gather_facts: false\n  tasks:\n    - copy: {src: big, dest: /mnt/small/file}\n      \
                ignore_errors: true\n    - lineinfile: {path: /mnt/small/file, line: '{{ \"y\" * 200000 }}'}\n      \
                ignore_errors: true\n    - command: head -c 200000000 /dev/zero\n";
    let book = lab.dir().join("full.yaml");
    std::fs::write(&book, text).unwrap();
    let said = muster(&lab, &["play", &book.display().to_string()]);
    assert_eq!((said.code, said.out.matches("No space left on device").count()), (Some(0), 2), "{said:#?}");
    assert!(said.err.contains("[WARNING]: 191611392 bytes of its output were dropped"), "{said:#?}");
    assert_eq!(ssh(&lab, "core-01", "ls -A /mnt/small; cat /mnt/small/file"), "file\nold");
}

#[test]
fn a_host_that_is_dead_from_the_beginning_does_not_delay_the_first_task_of_the_others() {
    let Some(lab) = lab(3) else { return };
    lab.kill("core-03").unwrap();
    let book = lab.dir().join("dead.yaml");
    let text = "- hosts: all\n  gather_facts: false\n  tasks:\n    - command: touch /run/first\n    - command: touch /run/second\n    \
                - command: touch /run/third\n";
    std::fs::write(&book, text).unwrap();
    let (began, clock) = (SystemTime::now(), Instant::now());
    let said = muster(&lab, &["play", &book.display().to_string()]);
    let whole = clock.elapsed();
    assert_eq!(said.code, Some(4), "{said:#?}");
    assert!(recap(&said, "core-03").contains("ok=0    changed=0    unreachable=1 "), "{said:#?}");
    let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    for host in ["core-01", "core-02"] {
        assert!(recap(&said, host).contains("ok=3    changed=3    unreachable=0 "), "{said:#?}");
        let time = |file: &str| {
            let seconds = ssh(&lab, host, &format!("stat -c %.9Y /run/{file}"));
            Duration::from_secs_f64(seconds.trim().parse().unwrap()).saturating_sub(began)
        };
        // As in Ansible, the second task waits until the dead host is given up. The others do not.
        let (first, second, third) = (time("first"), time("second"), time("third"));
        assert!(
            first < whole / 2 && third.saturating_sub(second) < whole / 2,
            "{first:?} {second:?} {third:?} {whole:?}"
        );
    }
}

#[test]
fn a_folder_tmp_in_which_no_program_can_be_run_does_not_matter() {
    let Some(lab) = lab(1) else { return };
    ssh(&lab, "core-01", "for folder in /tmp /var/tmp; do mount -t tmpfs -o noexec none $folder; done");
    std::fs::write(lab.dir().join("script.sh"), "#!/bin/sh\necho from a script\n").unwrap();
    std::fs::write(lab.dir().join("text.j2"), "{{ ansible_distribution }}\n").unwrap();
    let text = "- hosts: all\n  gather_facts: true\n  tasks:\n    - command: id -un\n    - script: script.sh\n    \
                - template: {src: text.j2, dest: /root/text, mode: '0600'}\n    \
                - lineinfile: {path: /root/text, line: more}\n    - service_facts:\n";
    let book = lab.dir().join("tmp.yaml");
    std::fs::write(&book, text).unwrap();
    let said = muster(&lab, &["play", &book.display().to_string()]);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(recap(&said, "core-01").contains("ok=6    changed=4 "), "{said:#?}");
    assert_eq!(ssh(&lab, "core-01", "cat /root/text; ls -A /tmp /var/tmp"), "Debian\nmore\n/tmp:\n\n/var/tmp:");
}

#[test]
fn a_wrong_password_of_sudo_fails_the_task_and_su_needs_none_after_a_login_as_root() {
    let Some(lab) = lab(1) else { return };
    ssh(&lab, "core-01", "echo guest:right | chpasswd; echo 'guest ALL=(ALL) ALL' >/etc/sudoers.d/guest");
    let text = "- hosts: core-01\n  gather_facts: false\n  become: true\n  tasks:\n    - command: id -un\n      register: user\n    \
                - debug: {msg: 'user {{ user.stdout }}'}\n";
    let (book, password) = (lab.dir().join("sudo.yaml"), lab.dir().join("password"));
    std::fs::write(&book, text).unwrap();
    let play = |given: &str, user: &[&str]| {
        std::fs::write(&password, format!("{given}\n")).unwrap();
        let password = password.display().to_string();
        muster(&lab, &[&["play", book.to_str().unwrap(), "--become-password-file", &password], user].concat())
    };
    let said = play("wrong", &["-e", "ansible_user=guest"]);
    let refused = "sudo refused the password of guest";
    assert!(said.code == Some(2) && said.out.contains(refused) && !said.out.contains("wrong"), "{said:#?}");
    let said = play("right", &["-e", "ansible_user=guest"]);
    assert!(said.code == Some(0) && said.out.contains("user root"), "{said:#?}");
    let said = play("wrong", &["--become-method", "su", "--become-user", "guest"]);
    assert!(said.code == Some(0) && said.out.contains("user guest"), "{said:#?}");
}

#[test]
fn a_full_folder_tmp_fails_the_tasks_that_need_it_with_one_line_and_other_hosts_go_on() {
    let Some(lab) = lab(2) else { return };
    let text = "- hosts: all\n  gather_facts: true\n  tasks:\n    - copy: {content: x, dest: /root/x}\n    - command: 'true'\n    \
                - debconf: {name: tzdata}\n";
    let book = lab.dir().join("full-tmp.yaml");
    std::fs::write(&book, text).unwrap();
    // No file can be made, and no file can have content.
    let fills = [
        "mount -t tmpfs -o nr_inodes=2 none /tmp; : >/tmp/full",
        "umount /tmp; mount -t tmpfs -o size=4k none /tmp; echo x >/tmp/full",
    ];
    for fill in fills {
        ssh(&lab, "core-01", fill);
        let said = muster(&lab, &["play", &book.display().to_string()]);
        assert_eq!(said.code, Some(2), "{said:#?}");
        let failed = said.out.lines().find(|line| line.starts_with("fatal: [core-01]")).unwrap();
        assert!(failed.contains("\"msg\": \"cannot write to /tmp on the host: No space left on device\""), "{failed}");
        assert!(
            recap(&said, "core-01").contains("ok=3 ") && recap(&said, "core-01").contains("failed=1 "),
            "{said:#?}"
        );
        assert!(
            recap(&said, "core-02").contains("ok=4 ") && recap(&said, "core-02").contains("failed=0 "),
            "{said:#?}"
        );
        assert_eq!(ssh(&lab, "core-01", "ls -A /tmp"), "full");
    }
}
