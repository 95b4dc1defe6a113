//! The container of a host: starts and stops it.

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
use super::local_command;
use super::local_command::LocalCommand;

/// How long a host may take until its sshd answers. A hundred hosts that start on two cores need most of it.
const BOOT_LIMIT: Duration = Duration::from_mins(2);

/// How long a host may take to shut down before its power is cut.
const HALT_LIMIT: Duration = Duration::from_secs(10);

/// The port of a host's sshd.
pub(super) const SSH: u16 = 22;

/// The bash script that becomes the host: `$1` is its disk, `$2` the image, `$3` its network namespace, `$4` its name on
/// this machine, `$5` its host name, `$6` `yes` if it runs containers. The other arguments are the files through which the
/// script joins its control groups.
///
/// The caller of muster may have passed on open files, such as a lock. The host outlives the caller and must not keep them.
///
/// /run/systemd is a tmpfs of its own, so nspawn leaves no files there, and never finds the systemd of this machine. nspawn
/// exits with 133 when the host restarts itself. All hosts of a lab share the folder /mnt/shared, which outlives them.
const BOOT: &str = r#"
set -e
for fd in /proc/$$/fd/*; do
    fd=${fd##*/}
    [ "$fd" -le 2 ] || eval "exec $fd>&-"
done
disk=$1 image=$2 namespace=$3 machine=$4 name=$5
# A runtime of containers needs the rights that it gives away, and loads programs into the kernel.
rights=(--capability=CAP_NET_ADMIN)
[ "$6" = no ] || rights=(--capability=all --system-call-filter='bpf @keyring')
shift 6
for procs; do echo $$ >"$procs"; done
cd "$disk"
mkdir -p ../shared /run/systemd
mount -t tmpfs -o mode=0755 muster-lab /run/systemd
mount -t overlay -o "lowerdir=$image,upperdir=upper,workdir=work" muster-lab root
while :; do
    code=0
    systemd-nspawn --quiet --boot --register=no --keep-unit --settings=no --machine="$machine" --hostname="$name" \
        --resolv-conf=off --timezone=off --link-journal=no --console=read-only \
        --network-namespace-path="$namespace" "${rights[@]}" --bind="$disk/../shared:/mnt/shared" -D "$disk/root" || code=$?
    [ "$code" = 133 ] || exit "$code"
done
"#;

/// The parts of a host on this machine.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) disk: Disk,
    pub(super) cgroup: Cgroup,
    /// The name of its network namespace.
    pub(super) namespace: String,
    /// Whether its systemd gets the unified hierarchy of control groups only, which podman uses without controllers.
    pub(super) has_unified_cgroups: bool,
    /// Whether it has the rights that containers need.
    pub(super) runs_containers: bool,
}

impl Container<'_> {
    /// Starts the host's systemd.
    pub(super) fn start(&self, image: &Path) -> Result<(), LabError> {
        let groups = self.cgroup.create()?;
        let console = self.disk.console();
        let out = File::create(&console).map_err(LabError::file(&console))?;
        let both = out.try_clone().map_err(LabError::file(&console))?;
        // The host has a session and a parent of its own: it outlives this process, and Ctrl-C does not reach it.
        let mut command = Command::new(local_command::path("setsid"));
        command.args(["--fork", "unshare", "--mount", "--propagation", "slave", "bash", "-c", BOOT, "boot"]);
        command.arg(self.disk.folder()).arg(image).arg(Path::new("/run/netns").join(&self.namespace));
        let runs_containers = if self.runs_containers { "yes" } else { "no" };
        command.arg(&self.namespace).args([self.name, runs_containers]).args(groups);
        if self.has_unified_cgroups {
            command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        }
        if self.runs_containers {
            // The runtime of a container sets up the network of the container in /proc/sys/net.
            command.env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network");
        }
        let status =
            command.stdin(Stdio::null()).stdout(out).stderr(both).status().map_err(LabError::file(&console))?;
        if status.success() {
            return Ok(());
        }
        Err(LabError::Command {
            host: Some(self.name.to_owned()),
            command: "setsid --fork unshare --mount bash".to_owned(),
            status: status.to_string(),
            stderr: self.console_tail(),
        })
    }

    /// Waits until the host's sshd sends its greeting.
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
            // The script ends early if one of its commands fails.
            let populated = self.cgroup.is_populated();
            let has_ended = seen && !populated || !seen && start.elapsed() > Duration::from_secs(10);
            seen |= populated;
            if has_ended || start.elapsed() > BOOT_LIMIT {
                return Err(LabError::Boot {
                    host: self.name.to_owned(),
                    address: self.address,
                    port: SSH,
                    waited: start.elapsed(),
                    detail: self.console_tail(),
                });
            }
            thread::sleep(Duration::from_millis(25));
        }
    }

    /// Asks the host's systemd to power off, and kills the host if it does not do so in time.
    pub(super) fn halt(&self) -> Result<(), LabError> {
        if let Some(pid) = self.cgroup.systemd_pid() {
            // SIGRTMIN+4 is `poweroff` to systemd, see systemd(1). An error means that it has ended already.
            let _ = LocalCommand::new("kill", ["-s", "RTMIN+4", "--", &pid.to_string()]).for_host(self.name).run();
            let _ = self.cgroup.wait_empty(HALT_LIMIT);
        }
        self.stop()
    }

    /// Kills all processes of the host.
    pub(super) fn stop(&self) -> Result<(), LabError> {
        self.cgroup.kill()?;
        self.cgroup.remove()
    }

    fn console_tail(&self) -> String {
        let console = fs::read(self.disk.console()).unwrap_or_default();
        let tail = local_command::tail(&String::from_utf8_lossy(&console));
        if tail.is_empty() { "its console has no output".to_owned() } else { tail }
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
