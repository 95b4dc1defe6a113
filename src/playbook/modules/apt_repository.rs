//! `apt_repository`: a line of the package sources of Debian and Ubuntu.

use super::Arguments;
use super::apt;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds or removes a package source.
pub(super) static APT_REPOSITORY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "apt_repository",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes a line of the package sources of Debian and Ubuntu.",
        &[
            Parameter::new("repo", Kind::Text, "The line: `deb [options] URL suite component…`."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "present"]),
                "Whether the line is there (default: present).",
            ),
            Parameter::new("filename", Kind::Text, "The name of its file in sources.list.d, without `.list`."),
            Parameter::new("update_cache", Kind::Flag, "Whether the lists of packages are read again (default: true).")
                .or(&["update-cache"]),
            Parameter::new("update_cache_retries", Kind::Number, "How often to read the lists (default: 5)."),
            Parameter::new("update_cache_retry_max_delay", Kind::Number, "The most seconds between (default: 12)."),
            Parameter::new("codename", Kind::Text, "No effect: it is for `ppa:`."),
            Parameter::new("install_python_apt", Kind::Flag, "No effect: none is needed."),
            Parameter::new("validate_certs", Kind::Flag, "No effect: apt checks certificates."),
            apt::LOCK_TIMEOUT,
            destination::MODE,
        ],
    )
    .needs(&[&["repo"]]),
    text: include_str!("apt_repository.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let repo = arguments.required("repo")?;
    let line = normal(&repo);
    if line.starts_with("ppa:") {
        return Err(format!(
            "muster asks no server for the address of `{line}`: give the line `deb URL suite component`"
        ));
    }
    if !line.starts_with("deb ") && !line.starts_with("deb-src ") {
        return Err(format!("Invalid repository string: {repo}"));
    }
    let file = match arguments.non_empty("filename")? {
        Some(name) if name.contains('/') && !name.starts_with('/') => {
            return Err(format!("`{name}` cannot be a file's name"));
        }
        Some(name) if name.starts_with('/') => name,
        Some(name) => format!("/etc/apt/sources.list.d/{name}"),
        None => format!("/etc/apt/sources.list.d/{}", file_name(&line)),
    };
    let file = format!("{}.list", file.strip_suffix(".list").unwrap_or(&file));
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let run = run.set("state", &state).set("line", &line).set("file", &file).attributes(arguments)?;
    Ok(run.result("repo", repo).result("state", state))
}

/// Returns a line with one space between its words.
fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the name of the file that Ansible gives to a line.
fn file_name(line: &str) -> String {
    let mut rest = String::new();
    let mut is_option = false;
    for sign in line.chars() {
        match sign {
            '[' => is_option = true,
            ']' => is_option = false,
            sign if !is_option => rest.push(sign),
            _ => {}
        }
    }
    let address = rest.split_whitespace().find(|word| !matches!(*word, "deb" | "deb-src")).unwrap_or_default();
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split_once('@').map_or(address, |(_, rest)| rest);
    let words = address.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

#[cfg(test)]
mod tests {
    use super::file_name;
    use super::normal;

    #[test]
    fn a_line_gets_the_file_that_ansible_gives_it() {
        for (line, expected) in [
            ("deb http://archive.example.com/ubuntu hardy main", "archive_example_com_ubuntu"),
            ("deb-src [arch=amd64 signed-by=/a.gpg] https://user:pw@a.example.com/x-y/ z", "a_example_com_x_y"),
        ] {
            assert_eq!(file_name(line), expected);
        }
        assert_eq!(normal("deb   http://a\t b\n"), "deb http://a b");
    }
}
