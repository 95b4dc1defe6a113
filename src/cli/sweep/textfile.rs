//! `sweep --textfile`: the metrics of a sweep in a file, from which node_exporter's textfile collector reads them.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::error::CommandError;
use crate::cli::error::CommandResult;
use crate::cli::vault::files::draft;
use crate::control::sweep::Swept;
use crate::metrics;
use crate::metrics::State;
use crate::metrics::Sweep;
use crate::metrics::Trouble;
use crate::runner::Clock;

/// The file as long as it is not complete: a file beside it, which is removed unless it takes the place of the other one.
#[derive(Debug)]
pub(super) struct Textfile {
    path: PathBuf,
    draft: PathBuf,
    file: File,
}

/// Reads the argument. The collector reads only files whose names end in `.prom`.
pub(super) fn parse(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let fits = path.extension().is_some_and(|extension| extension == "prom");
    if fits { Ok(path) } else { Err("its name must end in .prom, or node_exporter does not read it".to_owned()) }
}

impl Textfile {
    /// Begins the file, so that a folder that cannot be written to is refused before anything is done.
    pub(super) fn begin(path: &Path) -> Result<Self, CommandError> {
        let draft = draft(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&draft).map_err(|error| {
            CommandError::usage(format!("--textfile: cannot write {}", path.display())).caused_by(error)
        })?;
        Ok(Self { path: path.to_owned(), draft, file })
    }

    /// Writes the metrics of a sweep that has ended, and puts the file in its place.
    pub(super) fn finish(
        self,
        took: Duration,
        result: &CommandResult,
        swept: Option<&Swept>,
    ) -> Result<(), CommandError> {
        let status = result.as_ref().map_or_else(|error| error.status, |status| *status);
        let sweep = Sweep { at: Clock::start().now(), took, exit_code: status.code() };
        let problems = swept.map(|swept| swept.problems.as_slice()).unwrap_or_default();
        let troubles: Vec<Trouble<'_>> = problems
            .iter()
            .map(|problem| Trouble { kind: problem.kind, machine: problem.machine, unit: problem.unit.as_ref() })
            .collect();
        let state = swept.map(|swept| State { snapshot: &swept.snapshot, troubles: &troubles });
        self.replace(&metrics::of_sweep(&sweep, state)).map_err(|error| {
            CommandError::failed(format!("--textfile: cannot write {}", self.path.display())).caused_by(error)
        })
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        // node_exporter runs as a user of its own, whatever the umask of the sweep is.
        self.file.set_permissions(Permissions::from_mode(0o644))?;
        (&self.file).write_all(text.as_bytes())?;
        fs::rename(&self.draft, &self.path)
    }
}

impl Drop for Textfile {
    fn drop(&mut self) {
        // After a rename there is none.
        let _ = fs::remove_file(&self.draft);
    }
}
