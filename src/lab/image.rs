//! The image, the file tree that every host starts from: a small Debian, built once for each recipe, shared read-only by
//! all labs.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;

use super::error::LabError;
use super::local_command::LocalCommand;
use super::release::Release;
use crate::core::hex;

/// The packages of a host besides Debian's essential ones and those that the user asks for.
const PACKAGES: &str = "dbus,etcd-server,iproute2,openssh-server,procps,sudo,systemd-sysv";

/// The name of a Debian package (Debian Policy, 5.6.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageName(String);

impl FromStr for PackageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if starts && text.len() > 1 && text.chars().all(is_allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err("expected the name of a Debian package: lower-case letters, digits, `+`, `-` and `.`".to_owned())
    }
}

impl TryFrom<String> for PackageName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PackageName> for String {
    fn from(name: PackageName) -> Self {
        name.0
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The paths that no host needs.
const LEFT_OUT: [&str; 4] = ["/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*"];

/// The units that take time at every start and do nothing on a host without a screen, disks or devices.
const MASKED: &str = "console-getty.service dev-hugepages.mount dev-mqueue.mount dpkg-db-backup.timer \
    getty.target kmod-static-nodes.service modprobe@.service proc-sys-fs-binfmt_misc.automount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-ask-password-console.path systemd-ask-password-wall.path systemd-binfmt.service \
    systemd-firstboot.service systemd-initctl.socket systemd-journal-flush.service systemd-logind.service \
    systemd-modules-load.service systemd-pstore.service systemd-remount-fs.service systemd-sysusers.service \
    systemd-tmpfiles-clean.timer systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    cryptsetup.target integritysetup.target veritysetup.target";

/// The script that mmdebstrap runs as root after it installed the packages, with the tree as `$1`. It adds two users: sudo
/// never asks `admin` for a password, and always asks `guest`.
const FINISH: &str = r#"
set -e
root=$1
for user in admin guest; do chroot "$root" useradd --create-home --shell /bin/bash "$user"; done
printf 'admin ALL=(ALL) NOPASSWD: ALL\nguest ALL=(ALL) ALL\n' >"$root/etc/sudoers.d/lab"
chmod 440 "$root/etc/sudoers.d/lab"
for unit in $MASKED; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
find "$root/etc/systemd/system" -name 'etcd*.service' -delete
mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/systemd/system.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxFileSize=2M\nRuntimeMaxUse=32M\n' >"$root/etc/systemd/journald.conf.d/lab.conf"
printf '[Manager]\nShowStatus=error\n' >"$root/etc/systemd/system.conf.d/lab.conf"
printf 'AuthorizedKeysFile /etc/ssh/authorized_keys .ssh/authorized_keys\nHostKey /etc/ssh/ssh_host_ed25519_key\n' \
    >"$root/etc/ssh/sshd_config.d/lab.conf"
rm -rf "$root"/etc/ssh/ssh_host_* "$root/etc/machine-id" "$root/etc/hostname" "$root/etc/resolv.conf" \
    "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/etc/apt/sources.list* "$root"/var/lib/apt/lists/*
"#;

/// The package that runs containers. It needs settings in the image, and more rights for the host.
const PODMAN: &str = "podman";

/// The lines that [`FINISH`] has besides if podman is among the packages. A host's disk is an overlay, on which podman cannot
/// mount another. A host may have no controllers of control groups, and podman sets limits of its own without being asked.
const CONTAINERS: &str = r#"
mkdir -p "$root/etc/containers"
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
    >"$root/etc/containers/storage.conf"
printf '[containers]\nkeyring = false\npids_limit = 0\n' >"$root/etc/containers/containers.conf"
"#;

/// Reports whether hosts with these packages run containers.
pub(super) fn runs_containers(packages: &BTreeSet<PackageName>) -> bool {
    packages.iter().any(|package| package.0 == PODMAN)
}

/// What an image is made of.
pub(super) struct Recipe {
    release: Release,
    packages: String,
    finish: String,
}

impl Recipe {
    /// Makes the recipe of an image of a release with these packages besides those that every host has.
    pub(super) fn new(release: &Release, packages: &BTreeSet<PackageName>) -> Self {
        let mut finish = FINISH.replace("$MASKED", MASKED);
        if runs_containers(packages) {
            finish.push_str(CONTAINERS);
        }
        let packages = packages.iter().fold(PACKAGES.to_owned(), |all, package| format!("{all},{package}"));
        Self { release: release.clone(), packages, finish }
    }

    /// Returns the path of the image.
    pub(super) fn path(&self, cache: &Path) -> PathBuf {
        let Self { release, packages, finish } = self;
        let digest = Sha256::digest(format!("{packages}{LEFT_OUT:?}{finish}{release}{}", std::env::consts::ARCH));
        cache.join(format!("image-{}", hex::digits(digest.iter().take(6))))
    }
}

/// Returns the image of a recipe. Builds it first if there is none.
pub(super) fn ensure(cache: &Path, recipe: &Recipe, notify: fn(&str)) -> Result<PathBuf, LabError> {
    fs::create_dir_all(cache).map_err(LabError::file(cache))?;
    // During the build the folder has this machine's package sources, which may hold a password.
    fs::set_permissions(cache, Permissions::from_mode(0o700)).map_err(LabError::file(cache))?;
    let lock_path = cache.join("lock");
    let lock = File::create(&lock_path).map_err(LabError::file(&lock_path))?;
    lock.lock().map_err(LabError::file(&lock_path))?;
    let image = recipe.path(cache);
    if !image.exists() {
        notify(&format!(
            "Building the image that hosts of {} start from. This happens once and takes about half a minute.",
            recipe.release
        ));
        let draft = cache.join("draft");
        remove(&draft)?;
        let built = build(cache, &draft, recipe);
        if built.is_err() {
            // The first error is the one to report. The next attempt removes the draft.
            let _ = remove(&draft);
        }
        built?;
        fs::rename(&draft, &image).map_err(LabError::file(&image))?;
    }
    Ok(image)
}

fn remove(draft: &Path) -> Result<(), LabError> {
    if draft.exists() { fs::remove_dir_all(draft).map_err(LabError::file(draft)) } else { Ok(()) }
}

fn build(cache: &Path, draft: &Path, recipe: &Recipe) -> Result<(), LabError> {
    let Recipe { release, packages, finish } = recipe;
    let sources = cache.join("sources.list");
    // Without sources, mmdebstrap takes those of the Debian project.
    let own_sources = sources_of(release)?;
    write_secret(&sources, own_sources.as_deref().unwrap_or_default())?;
    let options = cache.join("apt.conf");
    write_secret(&options, &transport_options()?)?;
    let mut args = vec![
        "--quiet".to_owned(),
        "--mode=root".to_owned(),
        "--variant=essential".to_owned(),
        "--format=directory".to_owned(),
        format!("--include={packages}"),
        format!("--aptopt={}", options.display()),
        format!("--customize-hook={finish}"),
    ];
    args.extend(LEFT_OUT.iter().map(|path| format!("--dpkgopt=path-exclude={path}")));
    args.extend([release.to_string(), draft.display().to_string()]);
    args.extend(own_sources.map(|_| sources.display().to_string()));
    let result = LocalCommand::new("mmdebstrap", args).run();
    // The first error is the one to report.
    let _ = fs::remove_file(&sources);
    let _ = fs::remove_file(&options);
    result.map(drop).map_err(|error| match error {
        LabError::Command { status, stderr, .. } => {
            LabError::Command { host: None, command: format!("mmdebstrap {release}"), status, stderr }
        }
        other => other,
    })
}

/// Writes a file that may hold the password of a proxy or of a mirror.
fn write_secret(path: &Path, text: &str) -> Result<(), LabError> {
    // A file of an earlier attempt may have another mode.
    let _ = fs::remove_file(path);
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(LabError::file(path))
}

/// Returns the package sources of a release: this machine's mirrors, without those of third parties; `None` if this machine
/// runs another system, whose mirrors have no release of Debian.
fn sources_of(release: &Release) -> Result<Option<String>, LabError> {
    let own = Release::own()?;
    if release.is_known() && !own.is_known() {
        return Ok(None);
    }
    let format = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
    let text = LocalCommand::new("apt-get", ["indextargets", "--format", format, "Created-By: Packages"]).run()?;
    Ok(Some(read_sources(&text, own.as_str(), release.as_str())))
}

/// Returns the sources of a release on the mirrors where this machine finds its own release.
fn read_sources(targets: &str, own: &str, release: &str) -> String {
    let mut sources: Vec<String> = Vec::new();
    for target in targets.lines() {
        let [place, suite, component] = target.split_whitespace().collect::<Vec<_>>()[..] else { continue };
        let Some(part) = suite.strip_prefix(own).filter(|part| matches!(*part, "" | "-updates" | "-security")) else {
            continue;
        };
        let line = format!("deb {place} {release}{part} {component}\n");
        if matches!(component, "main" | "universe") && !sources.contains(&line) {
            sources.push(line);
        }
    }
    sources.concat()
}

/// Returns the options with which this machine's apt reaches its sources: proxies, certificates, checks of dates.
fn transport_options() -> Result<String, LabError> {
    let text = LocalCommand::new("apt-config", ["dump"]).run()?;
    let is_transport = |line: &&str| {
        let kinds = ["Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries"];
        kinds.iter().any(|kind| line.starts_with(kind)) && !line.ends_with(" \"\";")
    };
    Ok(text.lines().filter(is_transport).map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_of_the_release_are_used_and_each_once() {
        let targets = "http://mirror/debian/ bookworm main\nhttp://mirror/debian/ bookworm main\n\
            http://mirror/debian/ bookworm-updates main\nhttp://mirror/debian/ bookworm non-free\n\
            http://other/ bookworm-pgdg main\nhttp://third/ stable main\nbroken\n";
        let expected = "deb http://mirror/debian/ bookworm main\ndeb http://mirror/debian/ bookworm-updates main\n";
        assert_eq!(read_sources(targets, "bookworm", "bookworm"), expected);
        assert_eq!(read_sources(targets, "bookworm", "trixie"), expected.replace("bookworm", "trixie"));
    }

    #[test]
    fn a_release_and_packages_make_another_image_in_any_order() {
        let path = |names: &[&str]| {
            let packages = names.iter().map(|name| name.parse().unwrap()).collect();
            Recipe::new(&"bookworm".parse().unwrap(), &packages).path(Path::new("/cache"))
        };
        assert_eq!(path(&["podman", "g++"]), path(&["g++", "podman", "podman"]));
        assert!(path(&[]) != path(&["podman"]));
        let other = Recipe::new(&"trixie".parse().unwrap(), &BTreeSet::new()).path(Path::new("/cache"));
        assert_ne!(path(&[]), other);
        for name in ["", "a", "-a", "Podman", "a b", "a,b", "a;b", "--x"] {
            assert!(name.parse::<PackageName>().is_err(), "{name}");
        }
    }

    #[test]
    fn only_images_with_podman_have_settings_for_containers() {
        let finish = |name: &str| {
            let packages = BTreeSet::from([name.parse().unwrap()]);
            Recipe::new(&"trixie".parse().unwrap(), &packages).finish
        };
        assert!(finish("podman").contains("graphroot"));
        assert!(!finish("podman-docker").contains("graphroot"));
    }

    #[test]
    fn a_file_that_may_hold_a_password_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("apt.conf");
        fs::write(&path, "left by an earlier attempt").unwrap();
        write_secret(&path, "Acquire::http::Proxy \"http://me:secret@proxy\";").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&path).unwrap().starts_with("Acquire"));
    }
}
