//! Measurements of playbooks: the same work by muster, by Ansible and pyinfra if they are named, and by plain shell scripts.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::lab::Lab;

use crate::Selection;
use crate::ground;
use crate::table::Table;

/// Four operations: a user, a folder, a file and a command.
const FOUR: &str = "\
- hosts: all
  gather_facts: false
  tasks:
    - user: {name: bench, shell: /bin/sh}
    - file: {path: /srv/bench, state: directory, owner: bench, mode: '0750'}
    - copy: {src: app.conf, dest: /srv/bench/app.conf, mode: '0644'}
    - shell: date > /srv/bench/done
      args: {creates: /srv/bench/done}
";

/// The same for pyinfra.
const FOUR_PYINFRA: &str = "\
from pyinfra.operations import files, server
server.user(name='user', user='bench', shell='/bin/sh')
files.directory(name='folder', path='/srv/bench', user='bench', mode='750')
files.put(name='file', src='app.conf', dest='/srv/bench/app.conf', mode='644')
server.shell(name='command', commands=['test -e /srv/bench/done || date > /srv/bench/done'])
";

/// Undoes the four operations.
const UNDO: &str = "userdel -r bench 2>/dev/null; rm -rf /srv/bench /srv/mixed";

pub(crate) fn measure(selection: &Selection, table: &mut Table) {
    let packages: &[&str] = if selection.ansible.is_some() { &["python3"] } else { &[] };
    let lab = ground::lab_with("plays", selection.hosts, false, packages);
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench { lab: &lab, folder: folder.path(), selection };
    bench.write("four.yml", FOUR);
    bench.write("app.conf", &"line of a configuration file\n".repeat(100));
    bench.four(table);
    bench.mixed(table);
    bench.inventory(table);
}

struct Bench<'a> {
    lab: &'a Lab,
    folder: &'a Path,
    selection: &'a Selection,
}

impl Bench<'_> {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Measures the four operations: each tool first on hosts that need all of them, then on hosts that need none.
    fn four(&self, table: &mut Table) {
        let hosts = self.selection.hosts;
        let tools: [(&str, Option<Command>); 3] = [
            ("`muster play`", Some(self.muster(&["play", "four.yml"]))),
            ("`ansible-playbook`", self.selection.ansible.as_deref().map(|program| self.ansible(program))),
            ("`pyinfra`", self.selection.pyinfra.as_deref().map(|program| self.pyinfra(program))),
        ];
        for (name, command) in tools {
            let Some(mut command) = command else { continue };
            let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
            for _ in 0..self.selection.runs {
                self.on_all(UNDO);
                firsts.push(ground::timed(&mut command));
                self.close_connections();
                seconds.push(ground::timed(&mut command));
                self.close_connections();
            }
            table.times(&format!("four operations on {hosts} hosts: {name}"), &firsts, "cold, all changes");
            table.times("the same again", &seconds, "cold, no change");
        }
        self.on_all(UNDO);
    }

    /// Measures forty tasks, and the same commands in one script for each host.
    fn mixed(&self, table: &mut Table) {
        let mut play = "- hosts: all\n  gather_facts: false\n  tasks:\n".to_owned();
        let mut script = "set -e\n".to_owned();
        for number in 0..10 {
            let folder = format!("/srv/mixed/{number}");
            let _ = write!(
                play,
                "    - file: {{path: {folder}, state: directory}}\n    - copy: {{content: \"text {number}\\n\", dest: {folder}/file}}\n    \
                 - lineinfile: {{path: {folder}/file, line: another line}}\n    - command: test -e {folder}/file\n"
            );
            let _ = write!(
                script,
                "mkdir -p {folder}\nprintf 'text {number}\\n' >{folder}/file\ngrep -qxF 'another line' {folder}/file || \
                 echo 'another line' >>{folder}/file\ntest -e {folder}/file\n"
            );
        }
        self.write("mixed.yml", &play);
        let (mut plays, mut scripts) = (Vec::new(), Vec::new());
        for _ in 0..self.selection.runs {
            self.on_all(UNDO);
            scripts.push(self.script(&script));
            self.on_all(UNDO);
            plays.push(ground::timed(&mut self.muster(&["play", "mixed.yml"])));
        }
        let hosts = self.selection.hosts;
        table.times(&format!("forty tasks on {hosts} hosts: `muster play`"), &plays, "");
        table.times("the same commands in one script for each host", &scripts, "one `ssh` to each host, all at once");
    }

    /// Measures how long an inventory of ten thousand hosts takes.
    fn inventory(&self, table: &mut Table) {
        let mut text = String::new();
        for number in 0..10_000 {
            let _ = writeln!(
                text,
                "host{number:05} ansible_host=10.{}.{}.1 rack={}",
                number / 250,
                number % 250,
                number % 40
            );
        }
        for group in 0..100 {
            let _ = writeln!(text, "[group{group}]");
            (0..100).for_each(|number| {
                let _ = writeln!(text, "host{:05}", group * 100 + number);
            });
            let _ = writeln!(text, "[group{group}:vars]\nzone={group}");
        }
        let path = self.write("large.ini", &text);
        fs::create_dir_all(self.folder.join("group_vars")).expect("a folder");
        for group in 0..100 {
            self.write(&format!("group_vars/group{group}.yml"), "packages: [a, b, c]\nlimits: {files: 100}\n");
        }
        let path = path.to_str().expect("a path").to_owned();
        let arguments = ["play", "-i", &path, "four.yml", "--list-hosts", "-l", "group1*:!group10:&group1[1-5]*"];
        let runs: Vec<Duration> =
            (0..self.selection.runs).map(|_| ground::timed(&mut self.muster(&arguments))).collect();
        table.times(
            "an inventory of 10,000 hosts in 100 groups with group_vars and a pattern",
            &runs,
            "`--list-hosts`",
        );
    }

    fn muster(&self, arguments: &[&str]) -> Command {
        let mut command = ground::muster(self.lab);
        let (verb, rest) = arguments.split_first().expect("a verb");
        command.current_dir(self.folder).arg(verb).args(["--forks", "50"]).args(rest);
        command
    }

    fn names(&self) -> Vec<String> {
        self.lab.hosts().iter().map(|host| host.name.clone()).collect()
    }

    /// Returns ansible-playbook with its fastest settings.
    fn ansible(&self, program: &str) -> Command {
        let config = format!(
            "[defaults]\nforks = 50\nhost_key_checking = True\nremote_user = root\ninterpreter_python = /usr/bin/python3\n\
             [ssh_connection]\npipelining = True\nssh_args = -F {} -o ControlMaster=auto -o ControlPersist=60s\n\
             control_path_dir = {}/sockets\n",
            self.lab.ssh_config().display(),
            self.folder.display()
        );
        let config = self.write("ansible.cfg", &config);
        let mut command = Command::new(program);
        command.current_dir(self.folder).env("ANSIBLE_CONFIG", config).env("LC_ALL", "C.UTF-8");
        command.args(["-i", &format!("{},", self.names().join(",")), "four.yml"]);
        command
    }

    fn pyinfra(&self, program: &str) -> Command {
        self.write("deploy.py", FOUR_PYINFRA);
        let config = self.lab.ssh_config();
        let hosts = self
            .names()
            .into_iter()
            .map(|name| format!("('{name}', {{'ssh_user': 'root', 'ssh_config_file': '{}'}})", config.display()));
        self.write("inventory.py", &format!("hosts = [{}]\n", hosts.collect::<Vec<_>>().join(", ")));
        let mut command = Command::new(program);
        command.current_dir(self.folder).args(["-y", "--parallel", "50", "inventory.py", "deploy.py"]);
        command
    }

    /// Ends the connections that Ansible keeps open.
    fn close_connections(&self) {
        for socket in fs::read_dir(self.folder.join("sockets")).into_iter().flatten().flatten() {
            let mut control = String::from("ControlPath=");
            let _ = write!(control, "{}", socket.path().display());
            let ended = Command::new("ssh").args(["-O", "exit", "-o", &control, "none"]).output();
            ended.expect("ssh runs");
        }
    }

    /// Runs a script on all hosts at once, and returns how long that took.
    fn script(&self, script: &str) -> Duration {
        let start = Instant::now();
        let children: Vec<_> = self
            .names()
            .iter()
            .map(|name| {
                ground::ssh(self.lab, name, script).stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("ssh")
            })
            .collect();
        for mut child in children {
            assert!(child.wait().expect("it runs").success(), "{script}");
        }
        start.elapsed()
    }

    fn on_all(&self, command: &str) {
        ground::timed(&mut self.muster(&["exec", "all", "--", "sh", "-c", command]));
    }
}
