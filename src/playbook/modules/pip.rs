//! `pip`: packages of Python.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Installs or removes packages of Python.
pub(super) static PIP: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "pip",
        &["ansible.builtin", "ansible.legacy"],
        "Installs or removes packages of Python.",
        &[
            Parameter::new("name", Kind::List, "The packages, with or without a version."),
            Parameter::new("version", Kind::Text, "The version of the one package."),
            Parameter::new("requirements", Kind::Text, "The path of a file with requirements."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "forcereinstall", "latest", "present"]),
                "What to make of the packages (default: present).",
            ),
            Parameter::new("virtualenv", Kind::Text, "The directory of a virtual environment, which is made."),
            Parameter::new("virtualenv_command", Kind::Text, "What makes it (default: virtualenv)."),
            Parameter::new("virtualenv_python", Kind::Text, "The Python in it."),
            Parameter::new("virtualenv_site_packages", Kind::Flag, "Whether it has the packages of the host."),
            Parameter::new("executable", Kind::Text, "The pip to use: a path or a name."),
            Parameter::new("extra_args", Kind::Text, "Further arguments of pip."),
            Parameter::new("editable", Kind::Flag, "Whether the packages stay where their sources are."),
            Parameter::new("use_mirrors", Kind::Flag, "No effect: pip has no mirrors any more."),
            Parameter::new("chdir", Kind::Text, "The directory in which pip runs."),
            Parameter::new("umask", Kind::Text, "The umask for new files, in octal."),
            Parameter::new("break_system_packages", Kind::Flag, "Whether packages of the system may be changed."),
        ],
    )
    .excludes(&[&["executable", "virtualenv"]]),
    text: include_str!("pip.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = requirements(&arguments.list("name")?.unwrap_or_default());
    let version = arguments.non_empty("version")?;
    if names.is_empty()
        && arguments.non_empty("requirements")?.is_none()
        && arguments.non_empty("virtualenv")?.is_none()
    {
        return Err("one of the following is required: name, requirements, virtualenv".to_owned());
    }
    if let Some(name) = names.iter().find(|name| name.starts_with('-')) {
        return Err(format!("`{name}` cannot be the name of a package"));
    }
    let names = match (&version, names.as_slice()) {
        (None, _) => names,
        (Some(version), [name]) if !name.contains(['=', '<', '>', '~', '!']) => vec![format!("{name}=={version}")],
        (Some(_), _) => {
            return Err(
                "'version' argument is ambiguous when installing multiple package distributions. Please specify \
                 version restrictions next to each package in 'name' argument."
                    .to_owned(),
            );
        }
    };
    let words = |name: &str| {
        let text = arguments.text(name)?.unwrap_or_default();
        shlex::split(&text).ok_or_else(|| format!("the quotes in `{name}` do not match"))
    };
    let umask = arguments.text("umask")?.unwrap_or_default();
    if !umask.chars().all(|digit| ('0'..='7').contains(&digit)) {
        return Err("umask must be an octal integer".to_owned());
    }
    let run = run
        .words("name", &names)
        .words("extra", &words("extra_args")?)
        .words("maker", &words("virtualenv_command")?)
        .echo(&["name", "version", "requirements", "virtualenv", "state"], arguments);
    run.paths(&["requirements", "virtualenv", "chdir"], arguments)
}

/// Returns whole requirements: a comma may stand within one, as in `django>1.11,<2`.
fn requirements(items: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()) {
        match names.last_mut() {
            Some(last) if item.starts_with(['=', '<', '>', '~', '!']) => last.push_str(&format!(",{item}")),
            _ => names.push(item.to_owned()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::requirements;

    #[test]
    fn a_comma_may_stand_within_a_requirement() {
        let items = ["django>1.11", "<2", " flask", ""].map(str::to_owned);
        assert_eq!(requirements(&items), ["django>1.11,<2", "flask"]);
    }
}
