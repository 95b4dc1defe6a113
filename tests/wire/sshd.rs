//! A real sshd on loopback, with its own keys in its own directory. It needs root and openssh-server.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Address;
use muster::remote::Target;
use muster::remote::ssh::Options;
use muster::remote::ssh::Ssh;

/// A directory with an sshd in it.
pub(crate) struct Sshd {
    pub(super) folder: tempfile::TempDir,
    pub(super) port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reports whether there is no sshd to test with. CI must have one.
pub(crate) fn missing() -> bool {
    let there = Path::new("/usr/sbin/sshd").exists() && rustix::process::getuid().is_root();
    if there {
        return false;
    }
    assert!(std::env::var_os("CI").is_none(), "CI has no sshd, or is not root");
    eprintln!("skipped: no /usr/sbin/sshd, or not root");
    true
}

/// Runs a command that must succeed, and returns its stdout.
pub(super) fn sh(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a key pair without a passphrase.
pub(super) fn keygen(path: &Path, kind: &str) {
    sh("ssh-keygen", &["-q", "-t", kind, "-N", "", "-C", "test", "-f", path.to_str().unwrap()]);
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Sshd {
    /// Starts an sshd with an ed25519 host key. root may log in with the key `id`.
    pub(crate) fn start() -> Self {
        Self::start_with(|_| String::new())
    }

    /// The same with more lines of sshd_config(5), after `prepare` has made files in the directory.
    pub(crate) fn start_with(prepare: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir_all("/run/sshd").unwrap();
        keygen(&path.join("host"), "ed25519");
        keygen(&path.join("id"), "ed25519");
        fs::copy(path.join("id.pub"), path.join("authorized")).unwrap();
        let more = prepare(path);
        let port = free_port();
        let at = path.display();
        // SHLVL keeps bash from reading this machine's ~/.bashrc, which may take its time.
        let config = format!(
            "{more}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             KbdInteractiveAuthentication no\nSetEnv SHLVL=2\n"
        );
        fs::write(path.join("sshd_config"), config).unwrap();
        let log = fs::File::create(path.join("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", path.join("sshd_config").to_str().unwrap()])
            .stderr(log)
            .spawn()
            .unwrap();
        let sshd = Self { folder, port, child };
        sshd.wait();
        sshd.know(&format!("[127.0.0.1]:{port}"), "host.pub");
        sshd
    }

    /// Stops listening. Connections that are open stay.
    pub(crate) fn stop(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            assert!(Instant::now() < end, "sshd does not stop");
        }
    }

    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        let log = self.path("log");
        while !fs::read_to_string(&log).unwrap().contains("Server listening") {
            assert!(Instant::now() < end, "sshd does not start: {}", fs::read_to_string(&log).unwrap());
            std::thread::yield_now();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds a line to known_hosts: `names` (with any marker) and the key in a file.
    pub(super) fn know(&self, names: &str, key: &str) {
        let key = fs::read_to_string(self.path(key)).unwrap();
        let words: Vec<&str> = key.split_whitespace().take(2).collect();
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.path("known")).unwrap();
        writeln!(file, "{names} {}", words.join(" ")).unwrap();
    }

    /// Writes an ssh_config(5) that uses none of this machine's own files, and returns options that use it.
    pub(crate) fn options(&self, more: &str) -> Options {
        let known = self.path("known");
        let text = format!("{more}\nHost *\n UserKnownHostsFile {}\n GlobalKnownHostsFile none\n", known.display());
        fs::write(self.path("ssh_config"), text).unwrap();
        Options { ssh_config: Some(self.path("ssh_config")), ..Options::default() }
    }

    /// Returns connections that can log in.
    pub(crate) fn ssh(&self) -> Ssh {
        Ssh::new(self.options(&format!("IdentityFile {}", self.path("id").display())))
    }

    /// Returns connections that can log in, as root and under any name of the host.
    pub(crate) fn ssh_by_any_name(&self) -> Ssh {
        let (port, key) = (self.port, self.path("id"));
        Ssh::new(self.options(&format!("HostName 127.0.0.1\nPort {port}\nUser root\nIdentityFile {}", key.display())))
    }

    pub(crate) fn target(&self) -> Target {
        self.target_at("127.0.0.1")
    }

    pub(crate) fn target_at(&self, host: &str) -> Target {
        let address = Address { user: Some("root".to_owned()), host: host.to_owned(), port: Some(self.port) };
        Target { name: "core-01".to_owned(), address, ..Target::default() }
    }
}
