//! Real etcd servers on loopback, each with a folder of its own, removed when dropped.

use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;

/// Returns a port on loopback on which no process listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Reports whether etcd is installed.
pub(crate) fn installed() -> bool {
    let is_installed = Path::new("/usr/bin/etcd").exists() && Path::new("/usr/bin/etcdctl").exists();
    if !is_installed {
        super::skip("etcd-server and etcd-client are not installed");
    }
    is_installed
}

/// One etcd server.
pub(crate) struct Server {
    folder: TempDir,
    arguments: Vec<String>,
    pub(crate) client: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts a cluster of one server.
    pub(crate) fn start(extra: &[&str]) -> Self {
        let (client, peer) = (free_port(), free_port());
        Self::with("http", "s0", client, peer, &format!("s0=http://127.0.0.1:{peer}"), extra)
    }

    /// Starts a cluster of one server, with TLS for clients.
    pub(crate) fn start_tls(extra: &[&str]) -> Self {
        let (client, peer) = (free_port(), free_port());
        Self::with("https", "s0", client, peer, &format!("s0=http://127.0.0.1:{peer}"), extra)
    }

    /// Starts a cluster of three servers.
    pub(crate) fn three() -> Vec<Self> {
        let ports: Vec<_> = (0..3).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<_> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("s{n}=http://127.0.0.1:{peer}")).collect();
        let all = peers.join(",");
        let start =
            |(n, (client, peer)): (usize, &(u16, u16))| Self::with("http", &format!("s{n}"), *client, *peer, &all, &[]);
        ports.iter().enumerate().map(start).collect()
    }

    fn with(scheme: &str, name: &str, client: u16, peer: u16, cluster: &str, extra: &[&str]) -> Self {
        let folder = in_memory();
        let client_url = format!("{scheme}://127.0.0.1:{client}");
        let peer_url = format!("http://127.0.0.1:{peer}");
        let data = folder.path().join("data").display().to_string();
        let mut arguments: Vec<String> = [
            ("name", name),
            ("data-dir", &data),
            ("listen-client-urls", &client_url),
            ("advertise-client-urls", &client_url),
            ("listen-peer-urls", &peer_url),
            ("initial-advertise-peer-urls", &peer_url),
            ("initial-cluster", cluster),
        ]
        .iter()
        .map(|(flag, value)| format!("--{flag}={value}"))
        .collect();
        arguments.extend(extra.iter().map(ToString::to_string));
        let mut server = Self { folder, arguments, client, child: None };
        server.run();
        server
    }

    /// Starts the server, with the data that it has.
    pub(crate) fn run(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new("/usr/bin/etcd");
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Freezes the server: it keeps its connections and does not answer.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
        // The signal stops one thread after another.
        let tasks = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        let stopped = |task: std::path::PathBuf| {
            let stat = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        };
        while !std::fs::read_dir(&tasks).unwrap().all(|task| stopped(task.unwrap().path())) {
            std::thread::yield_now();
        }
    }

    /// Continues a frozen server.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Returns the `host:port` for clients.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.client)
    }

    /// Runs etcdctl against this server.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("/usr/bin/etcdctl")
            .env("ETCDCTL_API", "3")
            .args([&format!("--endpoints={}", self.address()), "--dial-timeout=10s", "--command-timeout=15s"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A CA with a certificate for 127.0.0.1 and one for a client.
pub(crate) struct Certificates(TempDir);

impl Certificates {
    pub(crate) fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        let file = |name: &str| made.file(name);
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        openssl(
            &[&["req", "-x509", "-subj", "/CN=test CA", "-keyout", &file("ca.key"), "-out", &file("ca.pem")][..], &key]
                .concat(),
        );
        for (name, subject) in [("server", "/CN=server"), ("client", "/CN=client")] {
            let (private, public) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
            let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
            let signed = [
                "req",
                "-x509",
                "-subj",
                subject,
                "-keyout",
                &private,
                "-out",
                &public,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-addext",
                "subjectAltName=IP:127.0.0.1",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
            ];
            openssl(&[&signed[..], &key].concat());
        }
        made
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

/// Returns a folder in memory if there is one. The tests are about the client, not about the time that a busy disk takes to
/// flush.
fn in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}
