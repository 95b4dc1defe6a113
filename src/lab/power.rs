//! Switching a host on and off.

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::cgroup::Cgroup;
use super::disk::Disk;
use super::error::LabError;
use super::tool;
use super::tool::Tool;

/// How long a host may take to answer on its SSH port. A hundred of them starting on two cores take their time.
const BOOT_LIMIT: Duration = Duration::from_mins(2);

/// How long a host may take to shut down before its power is cut.
const HALT_LIMIT: Duration = Duration::from_secs(10);

/// The port of a host's sshd.
pub(super) const SSH: u16 = 22;

/// Becomes the host: `$1` its disk, `$2` the image, `$3` its network namespace, `$4` its name here, `$5` its own name,
/// then the files that take this process into its control groups.
///
/// What nspawn keeps of a machine under /run/systemd goes into memory of its own: nothing of it is left here, and it
/// never finds the systemd of this machine, if there is one. 133 is its word for a host that wants to start again.
const BOOT: &str = r#"
set -e
disk=$1 image=$2 namespace=$3 machine=$4 name=$5
shift 5
for procs; do echo $$ >"$procs"; done
cd "$disk"
mkdir -p /run/systemd
mount -t tmpfs -o mode=0755 muster-lab /run/systemd
mount -t overlay -o "lowerdir=$image,upperdir=upper,workdir=work" muster-lab root
while :; do
    code=0
    systemd-nspawn --quiet --boot --register=no --keep-unit --settings=no --machine="$machine" --hostname="$name" \
        --resolv-conf=off --timezone=off --link-journal=no --console=read-only \
        --network-namespace-path="$namespace" -D "$disk/root" || code=$?
    [ "$code" = 133 ] || exit "$code"
done
"#;

/// What a host is made of on this machine.
#[derive(Debug)]
pub(super) struct Machine<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) disk: Disk,
    pub(super) cgroup: Cgroup,
    /// Its network namespace.
    pub(super) namespace: String,
}

impl Machine<'_> {
    /// Starts the host's systemd.
    pub(super) fn start(&self, image: &Path) -> Result<(), LabError> {
        let groups = self.cgroup.create()?;
        let console = self.disk.console();
        let out = File::create(&console).map_err(LabError::file(&console))?;
        let both = out.try_clone().map_err(LabError::file(&console))?;
        // A session of its own and nobody's child: it outlives this process, and Ctrl-C here is not for it.
        let mut command = Command::new(tool::path("setsid"));
        command.args(["--fork", "unshare", "--mount", "--propagation", "slave", "sh", "-c", BOOT, "boot"]);
        command.arg(self.disk.folder()).arg(image).arg(Path::new("/run/netns").join(&self.namespace));
        command.arg(&self.namespace).arg(self.name).args(groups);
        let status =
            command.stdin(Stdio::null()).stdout(out).stderr(both).status().map_err(LabError::file(&console))?;
        if status.success() {
            return Ok(());
        }
        Err(LabError::Command {
            host: Some(self.name.to_owned()),
            command: "setsid --fork unshare --mount sh".to_owned(),
            status: status.to_string(),
            stderr: self.last_words(),
        })
    }

    /// Waits until the host's sshd greets.
    pub(super) fn wait_ready(&self, stop: &dyn Fn() -> bool) -> Result<(), LabError> {
        let start = Instant::now();
        let mut seen = false;
        loop {
            if greets(self.address) {
                return Ok(());
            }
            if stop() {
                return Err(LabError::Interrupted);
            }
            // The script that becomes the host ends early if a step of it fails.
            let populated = self.cgroup.populated();
            let over = seen && !populated || !seen && start.elapsed() > Duration::from_secs(10);
            seen |= populated;
            if over || start.elapsed() > BOOT_LIMIT {
                return Err(LabError::Boot {
                    host: self.name.to_owned(),
                    address: self.address,
                    port: SSH,
                    waited: start.elapsed(),
                    detail: self.last_words(),
                });
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Asks the host's systemd to shut down, and cuts its power if it does not in time.
    pub(super) fn halt(&self) -> Result<(), LabError> {
        if let Some(leader) = self.cgroup.leader() {
            // SIGRTMIN+4 to systemd is `poweroff`, systemd(1). If it died meanwhile that is as good.
            let _ = Tool::new("kill", ["-s", "RTMIN+4", "--", &leader.to_string()]).on(self.name).run();
            let _ = self.cgroup.wait_empty(HALT_LIMIT);
        }
        self.stop()
    }

    /// Ends every process of the host at once.
    pub(super) fn stop(&self) -> Result<(), LabError> {
        self.cgroup.kill()?;
        self.cgroup.remove()
    }

    fn last_words(&self) -> String {
        let console = fs::read(self.disk.console()).unwrap_or_default();
        let words = tool::tail(&String::from_utf8_lossy(&console));
        if words.is_empty() { "its console is silent".to_owned() } else { words }
    }
}

fn greets(address: Ipv4Addr) -> bool {
    let limit = Duration::from_secs(1);
    let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::from((address, SSH)), limit) else {
        return false;
    };
    let mut greeting = [0; 4];
    stream.set_read_timeout(Some(limit)).is_ok() && stream.read_exact(&mut greeting).is_ok() && greeting == *b"SSH-"
}
