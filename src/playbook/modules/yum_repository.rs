//! `yum_repository`: a repository of yum or dnf.

use serde_json::Value;

use super::Arguments;
use super::destination;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

const fn text(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text, "The option of the same name.")
}

const fn flag(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Flag, "The option of the same name.")
}

const fn list(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::List, "The option of the same name.")
}

/// Adds or removes a repository.
pub(super) static YUM_REPOSITORY: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "yum_repository",
        &["ansible.builtin", "ansible.legacy"],
        "Adds or removes a repository of yum or dnf.",
        &[
            Parameter::new("name", Kind::Text, "The name of the section."),
            Parameter::new("description", Kind::Text, "The name that is shown."),
            Parameter::new("file", Kind::Text, "The name of the file without `.repo` (default: that of the section)."),
            Parameter::new("reposdir", Kind::Text, "The folder of the file (default: /etc/yum.repos.d)."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            text("bandwidth"),
            list("baseurl"),
            text("cost"),
            flag("countme"),
            flag("enabled"),
            list("exclude").or(&["excludepkgs"]),
            text("failovermethod"),
            flag("gpgcheck"),
            list("gpgkey"),
            list("includepkgs"),
            text("ip_resolve"),
            flag("keepalive"),
            text("metadata_expire"),
            text("metalink"),
            text("mirrorlist"),
            flag("module_hotfixes"),
            text("password"),
            text("priority"),
            text("proxy"),
            text("proxy_password"),
            text("proxy_username"),
            flag("repo_gpgcheck"),
            text("retries"),
            flag("skip_if_unavailable"),
            text("sslcacert").or(&["ca_cert"]),
            text("sslclientcert").or(&["client_cert"]),
            text("sslclientkey").or(&["client_key"]),
            flag("sslverify").or(&["validate_certs"]),
            text("throttle"),
            text("timeout"),
            text("username"),
            destination::MODE,
        ],
    )
    .with(&destination::ATTRIBUTES)
    .needs(&[&["name"]]),
    text: include_str!("yum_repository.sh"),
    prepare,
};

/// The parameters that are no options of the section.
const OTHERS: [&str; 12] = [
    "name",
    "file",
    "reposdir",
    "state",
    "mode",
    "owner",
    "group",
    "seuser",
    "serole",
    "setype",
    "selevel",
    "attributes",
];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let file = arguments.non_empty("file")?.unwrap_or_else(|| name.clone());
    if name.contains([']', '\n']) || file.contains(['/', '\n']) {
        return Err(format!("`{name}` cannot be a repository in a file `{file}`"));
    }
    let is_given = |name: &str| arguments.value(name).is_some();
    if state == "present" && !is_given("description") {
        return Err("state is present but all of the following are missing: description".to_owned());
    }
    if state == "present" && !["baseurl", "mirrorlist", "metalink"].into_iter().any(is_given) {
        let msg = "state is present but any of the following are missing: baseurl, mirrorlist, metalink";
        return Err(msg.to_owned());
    }
    let text = if state == "present" { section(arguments, &name)? } else { String::new() };
    let folder = arguments.non_empty("reposdir")?.unwrap_or_else(|| "/etc/yum.repos.d".to_owned());
    let run = run.set("reposdir", &folder).set("file", &file).set("repo", &name).set("text", &text);
    run.result("repo", name).result("state", state).attributes(arguments)
}

/// Returns the section of the repository, with its options in the order of their names.
fn section(arguments: &Arguments<'_>, name: &str) -> Result<String, String> {
    let mut lines = Vec::new();
    let parameters = YUM_REPOSITORY.spec.parameters().filter(|parameter| !OTHERS.contains(&parameter.name));
    for parameter in parameters {
        let option = if parameter.name == "description" { "name" } else { parameter.name };
        let value = match (arguments.value(parameter.name), parameter.kind) {
            (None, _) => continue,
            (_, Kind::Flag) => u8::from(arguments.flag(parameter.name)? == Some(true)).to_string(),
            // A list as text is one value, since a URL may have a comma.
            (Some(Value::Array(items)), _) => {
                let between = if matches!(option, "exclude" | "includepkgs") { " " } else { "\n" };
                items.iter().filter_map(scalar_text).collect::<Vec<_>>().join(between)
            }
            _ => arguments.text(parameter.name)?.unwrap_or_default(),
        };
        lines.push(format!("{option} = {}\n", value.trim().replace('\n', "\n\t")));
    }
    lines.sort();
    Ok(format!("[{name}]\n{}\n", lines.concat()))
}
