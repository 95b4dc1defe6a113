//! What can go wrong in the lab.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::subnet::Subnet;

/// Returns the first error there is, once everything has been tried.
pub(super) fn first(results: impl IntoIterator<Item = Result<(), LabError>>) -> Result<(), LabError> {
    results.into_iter().fold(Ok(()), Result::and)
}

/// The lab did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces and mounts need root. Nothing was done.
    #[error("the lab needs root: it makes network namespaces, mounts and control groups")]
    NotRoot,
    /// A program is not installed. Nothing was done.
    #[error("{program} is not installed (Debian package {package})")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program failed. What it had done by then is still there; `destroy` removes it.
    #[error("{}`{command}` failed ({status}): {stderr}", host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default())]
    Command {
        /// The host it was run for, if for one.
        host: Option<String>,
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it said.
        stderr: String,
    },
    /// A file could not be read or written. What was done before is still there; `destroy` removes it.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is no lab in this directory. Nothing was done.
    #[error("there is no lab in {}", .0.display())]
    NoLab(PathBuf),
    /// The record of the lab cannot be read. Nothing was done; `destroy` removes what the lab had made.
    #[error("{}: {detail}", path.display())]
    BadRecord {
        /// The record.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The machine was started anew since the lab was made: its hosts are gone. Nothing was done.
    #[error("the lab in {} was made before this machine was last started: its hosts are gone", .0.display())]
    Gone(PathBuf),
    /// The directory is not fit for a lab. Nothing was done.
    #[error("{}: {reason}", dir.display())]
    BadDirectory {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The lab that is there is not the one that was asked for. Nothing was done.
    #[error("the lab in {} has {there}, not {wanted}", dir.display())]
    Differs {
        /// The lab's directory.
        dir: PathBuf,
        /// What it has.
        there: String,
        /// What was asked for.
        wanted: String,
    },
    /// Not a subnet. Nothing was done.
    #[error("{text:?} is not a subnet: {reason}")]
    BadSubnet {
        /// What was given.
        text: String,
        /// Why not.
        reason: &'static str,
    },
    /// The subnet is in use on this machine. Nothing was done.
    #[error("the subnet {subnet} overlaps {taken}, which this machine uses already")]
    Overlap {
        /// The lab's subnet.
        subnet: Subnet,
        /// The route it overlaps.
        taken: String,
    },
    /// Every subnet the lab would choose is in use. Nothing was done.
    #[error("every subnet that the lab would choose by itself is in use on this machine")]
    NoSubnet,
    /// The number of hosts is out of bounds. Nothing was done.
    #[error("{hosts} hosts: {reason}")]
    BadCount {
        /// How many were asked for.
        hosts: usize,
        /// Why not.
        reason: String,
    },
    /// There is no host of this name. Nothing was done.
    #[error("there is no host {name:?} in the lab: it has {known}")]
    NoHost {
        /// What was given.
        name: String,
        /// The hosts there are.
        known: String,
    },
    /// The host is not in a state for this. Nothing was done.
    #[error("{host} is {state}")]
    WrongState {
        /// The host.
        host: String,
        /// Its state.
        state: &'static str,
    },
    /// This machine's control groups are not ones that systemd hosts can use. Nothing was done.
    #[error("cannot use this machine's control groups: {0}")]
    Cgroups(&'static str),
    /// A host did not come up. It has been switched off.
    #[error("{host} ({address}) did not answer on port {port} within {} s: {detail}", waited.as_secs())]
    Boot {
        /// The host.
        host: String,
        /// Its address.
        address: Ipv4Addr,
        /// The port that was to answer.
        port: u16,
        /// How long was waited.
        waited: Duration,
        /// The last words of its console, or what was answered.
        detail: String,
    },
    /// The etcd members could not be given a way to find each other. What had been made was removed.
    #[error("the discovery of the etcd members: {0}")]
    Discovery(String),
    /// A process survived being killed. The control group it is in is still there.
    #[error("{}: still not {wanted} after {} s", path.display(), waited.as_secs())]
    Stuck {
        /// The control group.
        path: PathBuf,
        /// What was waited for.
        wanted: &'static str,
        /// How long.
        waited: Duration,
    },
    /// Not everything of a lab could be removed. What could be is gone; its record stays, for another attempt.
    #[error("{first}; still there: {left}")]
    Left {
        /// What went wrong first.
        first: Box<Self>,
        /// What is left.
        left: String,
    },
    /// The operator stopped it. What had been made was removed.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    /// Wraps an error of a file, for `map_err`.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Makes one error of what became of each part that was to be removed.
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
    fn everything_is_tried_and_the_first_failure_is_told_with_all_that_is_left() {
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
