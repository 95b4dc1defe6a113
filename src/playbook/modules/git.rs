//! `git`: a working copy of a repository.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Clones or updates a repository.
pub(super) static GIT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "git",
        &["ansible.builtin", "ansible.legacy"],
        "Clones a repository or brings a clone to a version.",
        &[
            Parameter::new("repo", Kind::Text, "The URL or the path of the repository.").or(&["name"]),
            Parameter::new("dest", Kind::Text, "The directory of the clone."),
            Parameter::new("version", Kind::Text, "The branch, tag or commit (default: HEAD)."),
            Parameter::new("remote", Kind::Text, "The name of the remote (default: origin)."),
            Parameter::new("force", Kind::Flag, "Whether local changes are thrown away."),
            Parameter::new("update", Kind::Flag, "Whether a clone is updated (default: true)."),
            Parameter::new("clone", Kind::Flag, "Whether a missing clone is made (default: true)."),
            Parameter::new("depth", Kind::Number, "How many commits are fetched."),
            Parameter::new("bare", Kind::Flag, "Whether the clone has no files."),
            Parameter::new("recursive", Kind::Flag, "Whether submodules are cloned (default: true)."),
            Parameter::new("track_submodules", Kind::Flag, "Whether submodules follow their branches."),
            Parameter::new("refspec", Kind::Text, "Another refspec to fetch."),
            Parameter::new("reference", Kind::Text, "A repository on the host whose objects are used."),
            Parameter::new("single_branch", Kind::Flag, "Whether only one branch is fetched."),
            Parameter::new("separate_git_dir", Kind::Text, "The directory of the repository itself."),
            Parameter::new("accept_hostkey", Kind::Flag, "Whether any key of the SSH server is accepted."),
            Parameter::new("accept_newhostkey", Kind::Flag, "Whether the key of a new SSH server is accepted."),
            Parameter::new("key_file", Kind::Text, "The path of an SSH key on the host."),
            Parameter::new("ssh_opts", Kind::Text, "Options of ssh."),
            Parameter::new("verify_commit", Kind::Flag, "Whether the signature of the version is checked."),
            Parameter::new("umask", Kind::Text, "The umask for new files, in octal."),
            Parameter::new("executable", Kind::Text, "The path of git."),
        ],
    )
    .needs(&[&["repo"]]),
    text: include_str!("git.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    for name in ["repo", "version", "remote", "refspec"] {
        if arguments.text(name)?.is_some_and(|text| text.starts_with('-')) {
            return Err(format!("`{name}` cannot begin with `-`"));
        }
    }
    if arguments.non_empty("dest")?.is_none() && arguments.flag("clone")? != Some(false) {
        return Err("the destination directory must be specified unless clone=no".to_owned());
    }
    let umask = arguments.text("umask")?.unwrap_or_default();
    if !umask.chars().all(|digit| ('0'..='7').contains(&digit)) {
        return Err(format!("`umask` must be octal digits, not `{umask}`"));
    }
    run.paths(&["dest", "key_file", "reference", "separate_git_dir", "executable"], arguments)
}
