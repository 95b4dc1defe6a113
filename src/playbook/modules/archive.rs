//! `archive`: an archive of files that are on the host, made by tar, zip or a program that compresses.

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Packs files of the host.
pub(super) static ARCHIVE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "archive",
        &["community.general", "ansible.builtin"],
        "Packs files of the host into an archive, or compresses one.",
        &[
            Parameter::new("path", Kind::List, "The files and directories on the host, which may have wildcards."),
            Parameter::new("dest", Kind::Text, "The archive (default: the name of a single file, with the format)."),
            Parameter::new("format", Kind::Choice(&["bz2", "gz", "tar", "xz", "zip"]), "The format (default: gz)."),
            Parameter::new("exclude_path", Kind::List, "Paths among those of `path` that are left out."),
            Parameter::new("exclusion_patterns", Kind::List, "Patterns of names that are left out."),
            Parameter::new("force_archive", Kind::Flag, "Whether a single file is packed, not only compressed."),
            Parameter::new("remove", Kind::Flag, "Whether the files are removed afterwards (default: false)."),
            destination::MODE,
            destination::UNSAFE_WRITES,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["path"]]),
    text: include_str!("archive.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, mut run: ScriptRun) -> Result<ScriptRun, String> {
    let format = arguments.non_empty("format")?.unwrap_or_else(|| "gz".to_owned());
    for (function, parameter) in [("with_paths", "path"), ("with_excluded", "exclude_path")] {
        run = run.with_paths(function, &arguments.list(parameter)?.unwrap_or_default());
    }
    run.set("format", &format).attributes(arguments)?.paths(&["dest"], arguments)
}
