//! `deb822_repository`: a file of the package sources of Debian and Ubuntu in the newer form, with its key.

use serde_json::Value;

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

/// Writes or removes a file of package sources.
pub(super) static DEB822_REPOSITORY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "deb822_repository",
        &["ansible.builtin", "ansible.legacy"],
        "Writes or removes a file of the package sources of Debian and Ubuntu.",
        &[
            Parameter::new("name", Kind::Text, "The name, of which that of the file is made."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("types", Kind::List, "`deb` and `deb-src` (default: deb)."),
            Parameter::new("uris", Kind::List, "The URLs."),
            Parameter::new("suites", Kind::List, "The suites."),
            Parameter::new("components", Kind::List, "The components."),
            Parameter::new("architectures", Kind::List, "The architectures."),
            Parameter::new("signed_by", Kind::Text, "The key: its text, a path, a fingerprint, or a URL."),
            Parameter::new("enabled", Kind::Flag, "Whether apt uses it."),
            Parameter::new("trusted", Kind::Flag, "Whether no signature is needed, or any is refused."),
            Parameter::new("allow_downgrade_to_insecure", Kind::Flag, "The field Allow-Downgrade-To-Insecure."),
            Parameter::new("allow_insecure", Kind::Flag, "The field Allow-Insecure."),
            Parameter::new("allow_weak", Kind::Flag, "The field Allow-Weak."),
            Parameter::new("by_hash", Kind::Flag, "The field By-Hash."),
            Parameter::new("check_date", Kind::Flag, "The field Check-Date."),
            Parameter::new("check_valid_until", Kind::Flag, "The field Check-Valid-Until."),
            Parameter::new("date_max_future", Kind::Number, "The field Date-Max-Future, in seconds."),
            Parameter::new("inrelease_path", Kind::Text, "The field InRelease-Path."),
            Parameter::new("languages", Kind::List, "The languages."),
            Parameter::new("pdiffs", Kind::Flag, "The field PDiffs."),
            Parameter::new("targets", Kind::List, "The targets."),
            Parameter::new("install_python_debian", Kind::Flag, "No effect: none is needed."),
            destination::MODE,
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("deb822_repository.sh"),
    prepare,
};

/// The fields in the order in which Ansible writes them: that of the parameters' names.
const FIELDS: [(&str, &str); 20] = [
    ("allow_downgrade_to_insecure", "Allow-Downgrade-To-Insecure"),
    ("allow_insecure", "Allow-Insecure"),
    ("allow_weak", "Allow-Weak"),
    ("architectures", "Architectures"),
    ("by_hash", "By-Hash"),
    ("check_date", "Check-Date"),
    ("check_valid_until", "Check-Valid-Until"),
    ("components", "Components"),
    ("date_max_future", "Date-Max-Future"),
    ("enabled", "Enabled"),
    ("inrelease_path", "InRelease-Path"),
    ("languages", "Languages"),
    ("name", "X-Repolib-Name"),
    ("pdiffs", "PDiffs"),
    ("signed_by", "Signed-By"),
    ("suites", "Suites"),
    ("targets", "Targets"),
    ("trusted", "Trusted"),
    ("types", "Types"),
    ("uris", "URIs"),
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let slug = slug(&arguments.required("name")?);
    if slug.is_empty() {
        return Err("`name` must have a letter or a digit".to_owned());
    }
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let (before, after) = fields(arguments)?;
    let run = run.set("state", &state).set("slug", &slug).set("before", &before).set("after", &after);
    run.attributes(arguments)
}

/// Returns the lines before and after the field of the key, which the host completes.
fn fields(arguments: &Arguments<'_>) -> Result<(String, String), String> {
    let (mut before, mut after) = (String::new(), String::new());
    for (name, field) in FIELDS {
        if name == "signed_by" {
            continue;
        }
        let value = match name {
            "types" => arguments.list(name)?.unwrap_or_else(|| vec!["deb".to_owned()]).join(" "),
            _ => match arguments.value(name) {
                None => continue,
                Some(Value::Array(items)) => items.iter().filter_map(scalar_text).collect::<Vec<_>>().join(" "),
                Some(_) if is_flag(name) => if arguments.flag(name)? == Some(true) { "yes" } else { "no" }.to_owned(),
                Some(_) if is_list(name) => arguments.list(name)?.unwrap_or_default().join(" "),
                Some(_) => arguments.text(name)?.unwrap_or_default(),
            },
        };
        if value.contains('\n') {
            return Err(format!("`{name}` cannot have a newline"));
        }
        let part = if name < "signed_by" { &mut before } else { &mut after };
        part.push_str(&format!("{field}: {value}\n"));
    }
    Ok((before, after))
}

fn kind(name: &str) -> Option<Kind> {
    DEB822_REPOSITORY.spec.parameter(name).map(|parameter| parameter.kind)
}

fn is_flag(name: &str) -> bool {
    kind(name) == Some(Kind::Flag)
}

fn is_list(name: &str) -> bool {
    kind(name) == Some(Kind::List)
}

/// Returns the name of the files of a repository.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for sign in name.to_lowercase().chars() {
        match sign {
            'a'..='z' | '0'..='9' | '-' => slug.push(sign),
            sign if (sign == '_' || sign.is_whitespace()) && !slug.ends_with('\0') => slug.push('\0'),
            _ => {}
        }
    }
    slug.replace('\0', "-")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Arguments;
    use super::fields;
    use super::slug;
    use crate::playbook::template::Scope;

    #[test]
    fn the_fields_are_in_ansibles_order() {
        let args = json!({"name": "my repo", "uris": "https://a", "suites": ["x", "y"], "components": "main,extra", "trusted": "no"});
        let (args, scope) = (args.as_object().unwrap().clone(), Scope::new(Vec::new()));
        let arguments =
            Arguments { args: &args, scope: &scope, folders: &[], file: std::path::Path::new(""), role: None };
        let (before, after) = fields(&arguments).unwrap();
        assert_eq!(before, "Components: main extra\nX-Repolib-Name: my repo\n");
        assert_eq!(after, "Suites: x y\nTrusted: no\nTypes: deb\nURIs: https://a\n");
        assert_eq!([slug("My  Repo_1!"), slug("../x")], ["my-repo-1", "x"]);
    }
}
