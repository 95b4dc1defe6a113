//! `podman_image`: an image of podman, with the program podman on the host.

use serde_json::Value;

use super::Arguments;
use super::docker_image::with_tag;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Pulls, builds or removes an image.
pub(super) static PODMAN_IMAGE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "podman_image",
        &["containers.podman", "ansible.builtin"],
        "Pulls, builds or removes an image of podman.",
        &[
            Parameter::new("name", Kind::Text, "The image."),
            Parameter::new("tag", Kind::Text, "The tag (default: latest)."),
            Parameter::new("executable", Kind::Text, "The program (default: podman)."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "build", "present"]),
                "Whether it is there (default: present), or is built anew.",
            ),
            Parameter::new("path", Kind::Text, "The directory in which it is built."),
            Parameter::new("build", Kind::Any, "How it is built: annotation, cache, file, format, target and volume.")
                .or(&["build_args", "buildargs"]),
            Parameter::new("pull", Kind::Flag, "Whether it is pulled if it is not there (default: true)."),
            Parameter::new("force", Kind::Flag, "Whether an image that is there is made again or removed in any case."),
            Parameter::new("arch", Kind::Text, "The architecture."),
            Parameter::new("auth_file", Kind::Text, "The file with the logins of registries.").or(&["authfile"]),
            Parameter::new("ca_cert_dir", Kind::Text, "The directory of the registry's certificates."),
            Parameter::new("validate_certs", Kind::Flag, "Whether the certificate of the registry is checked.")
                .or(&["tls_verify", "tlsverify"]),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("container_image.sh"),
    prepare,
};

/// The options of a build that muster knows.
const BUILD: &str = "annotation, cache, extra_args, file, force_rm, format, rm, target and volume";

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    if name.starts_with('-') {
        return Err("the name of an image cannot begin with a dash".to_owned());
    }
    let mut registry = Vec::new();
    for (parameter, option) in [("auth_file", "--authfile"), ("ca_cert_dir", "--cert-dir")] {
        registry.extend(arguments.non_empty(parameter)?.map(|value| format!("{option}={value}")));
    }
    registry.extend(arguments.flag("validate_certs")?.map(|flag| format!("--tls-verify={flag}")));
    let arch = arguments.non_empty("arch")?.map(|arch| format!("--arch={arch}"));
    let pull_options = [registry.clone(), arch.into_iter().collect()].concat();
    let folder = arguments.text("path")?.unwrap_or_default();
    let builds = arguments.text("state")?.as_deref() == Some("build");
    if builds && folder.is_empty() {
        return Err("`state: build` needs `path`".to_owned());
    }
    let source = match (folder.is_empty(), arguments.flag("pull")?) {
        (false, _) => "build",
        (true, Some(false)) => "local",
        (true, _) => "pull",
    };
    let tag = arguments.non_empty("tag")?.unwrap_or_else(|| "latest".to_owned());
    let run =
        ["force_absent", "force_tag", "load_path", "new_ref"].into_iter().fold(run, |run, name| run.set(name, ""));
    Ok(run
        .set("program", &arguments.non_empty("executable")?.unwrap_or_else(|| "podman".to_owned()))
        .set("ref", &with_tag(&name, &tag))
        .set("source", source)
        .set("folder", &folder)
        .set("force_source", if builds { "yes" } else { "" })
        .words("pull_options", &pull_options)
        .words("build_options", &[registry, build_options(arguments)?].concat())
        .read(read))
}

/// Returns the options of `podman build`.
fn build_options(arguments: &Arguments<'_>) -> Result<Vec<String>, String> {
    let mut options = Vec::new();
    let Some(build) = arguments.value("build") else { return Ok(options) };
    let build = build.as_object().ok_or("`build` must be a map")?;
    for (name, value) in build.iter().filter(|(_, value)| !value.is_null()) {
        match (name.as_str(), scalar_text(value)) {
            ("annotation", _) => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    options.push(format!("--annotation={key}={}", scalar_text(value).unwrap_or_default()));
                }
            }
            ("volume", _) => {
                let volumes = value.as_array().into_iter().flatten().filter_map(scalar_text);
                options.extend(volumes.map(|volume| format!("--volume={volume}")));
            }
            ("file", Some(text)) => options.push(format!("--file={text}")),
            ("format", Some(text)) => options.push(format!("--format={text}")),
            ("target", Some(text)) => options.push(format!("--target={text}")),
            ("cache", Some(text)) if text == "False" => options.push("--no-cache".to_owned()),
            ("force_rm", Some(text)) if text == "True" => options.push("--force-rm".to_owned()),
            ("rm", Some(text)) if text == "False" => options.push("--rm=false".to_owned()),
            ("cache" | "force_rm" | "rm", Some(_)) => {}
            ("extra_args", Some(text)) => {
                options.extend(shlex::split(&text).ok_or("the quotes in `extra_args` do not match")?);
            }
            _ => return Err(format!("muster knows no `{name}` of `build`: expected {BUILD}")),
        }
    }
    Ok(options)
}

/// Reads what podman says about the image: a list, as in Ansible.
fn read(report: &HostReport, outcome: &mut Outcome) {
    let shown = report.get("image").and_then(|text| serde_json::from_str::<Value>(text).ok());
    outcome.detail.insert("image".to_owned(), shown.unwrap_or_else(|| Value::Array(Vec::new())));
}
