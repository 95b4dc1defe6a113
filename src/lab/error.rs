//! The errors of the lab.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// Evaluates all results and returns the first error.
pub(super) fn first(results: impl IntoIterator<Item = Result<(), LabError>>) -> Result<(), LabError> {
    results.into_iter().fold(Ok(()), Result::and)
}

/// An operation of the lab failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The process is not root, which namespaces and mounts need. Nothing was done.
    #[error("the lab needs root: it creates network namespaces, mounts and control groups")]
    NotRoot,
    /// A program is not installed. Nothing was done.
    #[error("{program} is not installed (Debian package {package})")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program failed. Its effects until then remain, and `destroy` removes them.
    #[error("{}`{command}` failed ({status}): {stderr}", host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default())]
    Command {
        /// The host that it was run for, if there is one.
        host: Option<String>,
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of its stderr.
        stderr: String,
    },
    /// A file could not be read or written. The effects of earlier steps remain, and `destroy` removes them.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no lab in this directory. Nothing was done.
    #[error("there is no lab in {}", .0.display())]
    NoLab(PathBuf),
    /// The record of the lab cannot be parsed. Nothing was done. `destroy` removes all that the lab created.
    #[error("{}: {detail}", path.display())]
    BadRecord {
        /// The record.
        path: PathBuf,
        /// The cause.
        detail: String,
    },
    /// The record of the lab has no image of the release that a host runs. The host stays off.
    #[error("{host}: the record of the lab has no image of {release}")]
    NoImage {
        /// The host.
        host: String,
        /// The release.
        release: String,
    },
    /// This machine was restarted after the lab was created, so its hosts have ended. Nothing was done.
    #[error("the lab in {} was created before this machine was last started: its hosts have ended", .0.display())]
    Gone(PathBuf),
    /// The directory cannot hold a lab. Nothing was done.
    #[error("{}: {reason}", dir.display())]
    BadDirectory {
        /// The directory.
        dir: PathBuf,
        /// The reason.
        reason: &'static str,
    },
    /// The existing lab differs from the requested one. Nothing was done.
    #[error("the lab in {} has {actual}, not {requested}", dir.display())]
    Differs {
        /// The lab's directory.
        dir: PathBuf,
        /// The property of the existing lab.
        actual: String,
        /// The requested property.
        requested: String,
    },
    /// The text is not a subnet. Nothing was done.
    #[error("invalid subnet {text:?}: {reason}")]
    BadSubnet {
        /// The text.
        text: String,
        /// The reason.
        reason: &'static str,
    },
    /// The subnet is in use on this machine. Nothing was done.
    #[error("the subnet {subnet} overlaps {taken}, which this machine uses already")]
    Overlap {
        /// The lab's subnet.
        subnet: String,
        /// The route that it overlaps.
        taken: String,
    },
    /// All subnets that the lab chooses from are in use. Nothing was done.
    #[error("all subnets that the lab chooses from are in use on this machine")]
    NoSubnet,
    /// The number of hosts is out of bounds. Nothing was done.
    #[error("{hosts} hosts: {reason}")]
    BadCount {
        /// The requested number.
        hosts: usize,
        /// The reason.
        reason: String,
    },
    /// There is no host of this name. Nothing was done.
    #[error("there is no host {name:?} in the lab: it has {known}")]
    NoHost {
        /// The text.
        name: String,
        /// The names of the hosts.
        known: String,
    },
    /// The state of the host does not allow the operation. Nothing was done.
    #[error("{host} is {state}")]
    WrongState {
        /// The host.
        host: String,
        /// Its state.
        state: &'static str,
    },
    /// Systemd hosts cannot use this machine's control groups. Nothing was done.
    #[error("cannot use this machine's control groups: {0}")]
    Cgroups(&'static str),
    /// A host did not become ready. It was stopped.
    #[error("{host} ({address}) did not answer on port {port} within {} s: {detail}", waited.as_secs())]
    Boot {
        /// The host.
        host: String,
        /// Its address.
        address: Ipv4Addr,
        /// The port that did not answer.
        port: u16,
        /// The time waited.
        waited: Duration,
        /// The end of its console's output, or the last answer.
        detail: String,
    },
    /// The discovery service for the etcd members failed. The lab was removed.
    #[error("the discovery of the etcd members: {0}")]
    Discovery(String),
    /// A control group did not reach a state in time, because a process did not end or freeze. The group remains.
    #[error("{}: still not {expected} after {} s", path.display(), waited.as_secs())]
    Stuck {
        /// The control group.
        path: PathBuf,
        /// The expected state.
        expected: &'static str,
        /// The time waited.
        waited: Duration,
    },
    /// Some parts of a lab could not be removed. The others were. Its record stays, for another attempt.
    #[error("{first}; still there: {left}")]
    Left {
        /// The first error.
        first: Box<Self>,
        /// The parts that remain.
        left: String,
    },
    /// The operator interrupted it. The new parts were removed.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    /// Returns a function for `map_err` that adds the path of a file.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Combines the results of removing each part into one error.
    pub(super) fn left(parts: impl IntoIterator<Item = (&'static str, Result<(), Self>)>) -> Result<(), Self> {
        let failed = parts.into_iter().filter_map(|(part, result)| Some((part, result.err()?)));
        let (left, errors): (Vec<&str>, Vec<Self>) = failed.unzip();
        match errors.into_iter().next() {
            Some(first) => Err(Self::Left { first: Box::new(first), left: left.join(", ") }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_are_tried_and_the_first_error_names_all_that_remain() {
        let failed = |why| Err(LabError::Cgroups(why));
        let parts = [("a", Ok(())), ("b", failed("one")), ("c", Ok(())), ("d", failed("two"))];
        let error = LabError::left(parts).unwrap_err().to_string();
        assert_eq!(error, "cannot use this machine's control groups: one; still there: b, d");
        let mut tried = 0;
        let results = [Ok(()), failed("one"), failed("two")].into_iter().inspect(|_| tried += 1);
        assert!(matches!(first(results), Err(LabError::Cgroups("one"))));
        assert_eq!(tried, 3);
        assert!(LabError::left([("a", Ok(()))]).is_ok());
    }
}
