//! `gem`: packages of Ruby.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Installs or removes a package of Ruby.
pub(super) static GEM: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "gem",
        &["community.general", "ansible.builtin"],
        "Installs or removes a package of Ruby.",
        &[
            Parameter::new("name", Kind::Text, "The package."),
            Parameter::new(
                "state",
                Kind::Choice(&["present", "absent", "latest"]),
                "What to make of the package (default: present).",
            ),
            Parameter::new("version", Kind::Text, "Its version."),
            Parameter::new("gem_source", Kind::Text, "The path of a file on the host with the package."),
            Parameter::new("repository", Kind::Text, "The URL from which it is fetched.").or(&["source"]),
            Parameter::new("user_install", Kind::Flag, "Whether it goes into the home of the user (default: true)."),
            Parameter::new("install_dir", Kind::Text, "The directory into which it goes."),
            Parameter::new("bindir", Kind::Text, "The directory into which its programs go."),
            Parameter::new("executable", Kind::Text, "The path of the program gem."),
            Parameter::new("include_dependencies", Kind::Flag, "Whether it brings what it needs (default: true)."),
            Parameter::new("include_doc", Kind::Flag, "Whether it brings its documents (default: false)."),
            Parameter::new("pre_release", Kind::Flag, "Whether versions before a release count (default: false)."),
            Parameter::new("env_shebang", Kind::Flag, "Whether its programs look for ruby in PATH (default: false)."),
            Parameter::new("build_flags", Kind::Text, "Flags for the compiler."),
            Parameter::new("norc", Kind::Flag, "Whether the file .gemrc has no effect (default: true)."),
            Parameter::new("force", Kind::Flag, "Whether checks of gem are left out (default: false)."),
        ],
    )
    .needs(&[&["name"]])
    .excludes(&[&["gem_source", "repository"], &["gem_source", "version"]]),
    text: include_str!("gem.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let is_latest = arguments.text("state")?.as_deref() == Some("latest");
    if is_latest && arguments.non_empty("version")?.is_some() {
        return Err("Cannot specify version when state=latest".to_owned());
    }
    if is_latest && arguments.non_empty("gem_source")?.is_some() {
        return Err("Cannot maintain state=latest when installing from local source".to_owned());
    }
    if arguments.flag("user_install")?.unwrap_or(true) && arguments.non_empty("install_dir")?.is_some() {
        return Err("install_dir requires user_install=false".to_owned());
    }
    let name = arguments.required("name")?;
    if name.starts_with('-') {
        return Err(format!("`{name}` cannot be the name of a package"));
    }
    run.paths(&["executable", "gem_source", "install_dir", "bindir"], arguments)
}
