//! `docker_image`: an image of Docker, with the program docker on the host.

use serde_json::Value;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Pulls, builds, loads, tags or removes an image.
pub(super) static DOCKER_IMAGE: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "docker_image",
        &["community.docker", "community.general", "ansible.builtin"],
        "Pulls, builds, loads, tags or removes an image of Docker, with docker on the host.",
        &[
            Parameter::new("name", Kind::Text, "The image."),
            Parameter::new("tag", Kind::Text, "The tag (default: latest)."),
            Parameter::new(
                "source",
                Kind::Choice(&["build", "load", "local", "pull"]),
                "From where the image comes (default: as `path`, `load_path` and `pull` say).",
            ),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("build", Kind::Any, "How it is built: args, dockerfile, nocache, path, pull and target."),
            Parameter::new("path", Kind::Text, "The directory in which it is built."),
            Parameter::new("dockerfile", Kind::Text, "The name of the Dockerfile."),
            Parameter::new("load_path", Kind::Text, "The archive from which it is loaded."),
            Parameter::new("pull", Kind::Any, "Whether it is pulled, or a map with `platform`."),
            Parameter::new("force_source", Kind::Flag, "Whether an image that is there is made again."),
            Parameter::new("force_absent", Kind::Flag, "Whether an image is removed that containers use."),
            Parameter::new("force_tag", Kind::Flag, "Whether a tag is set again."),
            Parameter::new("force", Kind::Flag, "All three.").or(&["force_all"]),
            Parameter::new("repository", Kind::Text, "A further name of the image, with or without a tag."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("container_image.sh"),
    prepare,
};

/// The options of a build that muster knows.
const BUILD: [&str; 7] = ["args", "dockerfile", "nocache", "path", "pull", "rm", "target"];

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let repository = arguments.non_empty("repository")?;
    if [Some(&name), repository.as_ref()].into_iter().flatten().any(|name| name.starts_with('-')) {
        return Err("the name of an image cannot begin with a dash".to_owned());
    }
    let tag = arguments.non_empty("tag")?.unwrap_or_else(|| "latest".to_owned());
    let (mut options, mut folder) = build_options(arguments)?;
    if folder.is_empty() {
        folder = arguments.text("path")?.unwrap_or_default();
    }
    if let Some(file) = arguments.non_empty("dockerfile")? {
        options.extend(["--file".to_owned(), format!("{folder}/{file}")]);
    }
    let loads = arguments.non_empty("load_path")?.is_some();
    let platform = match arguments.value("pull") {
        Some(Value::Object(pull)) => pull.get("platform").and_then(scalar_text),
        _ => None,
    };
    let pulls = arguments.value("pull").and_then(scalar_text).is_none_or(|text| text != "False");
    let source = arguments.non_empty("source")?.unwrap_or_else(|| {
        let source = match (folder.is_empty(), loads, pulls) {
            (false, ..) => "build",
            (_, true, _) => "load",
            (_, _, true) => "pull",
            _ => "local",
        };
        source.to_owned()
    });
    let is_present = arguments.text("state")?.as_deref() != Some("absent");
    if is_present && (source == "build" && folder.is_empty() || source == "load" && !loads) {
        return Err(format!("`source: {source}` needs the path of the source"));
    }
    let pull_options = platform.map(|platform| ["--platform".to_owned(), platform]);
    let run = run
        .set("program", "docker")
        .set("ref", &with_tag(&name, &tag))
        .set("new_ref", &repository.map_or_else(String::new, |repository| with_tag(&repository, &tag)))
        .set("source", &source)
        .words("pull_options", &pull_options.into_iter().flatten().collect::<Vec<_>>())
        .set("folder", &folder)
        .words("build_options", &options)
        .read(read);
    run.paths(&["load_path"], arguments)
}

/// Returns the options of `docker build`, and the directory.
fn build_options(arguments: &Arguments<'_>) -> Result<(Vec<String>, String), String> {
    let (mut options, mut folder) = (Vec::new(), String::new());
    let Some(build) = arguments.value("build") else { return Ok((options, folder)) };
    let build = build.as_object().ok_or("`build` must be a map")?;
    for (name, value) in build {
        let text = scalar_text(value);
        match (name.as_str(), text) {
            ("args", _) => {
                for (name, value) in value.as_object().into_iter().flatten() {
                    let value = scalar_text(value).ok_or_else(|| format!("`{name}` of `args` must be text"))?;
                    options.extend(["--build-arg".to_owned(), format!("{name}={value}")]);
                }
            }
            ("path", Some(path)) => folder = path,
            ("dockerfile", Some(file)) => options.extend(["--file".to_owned(), format!("FOLDER/{file}")]),
            ("target", Some(target)) => options.extend(["--target".to_owned(), target]),
            ("nocache", Some(flag)) if flag == "True" => options.push("--no-cache".to_owned()),
            ("pull", Some(flag)) if flag == "True" => options.push("--pull".to_owned()),
            ("nocache" | "pull" | "rm", Some(_)) => {}
            _ => return Err(format!("muster knows no `{name}` of `build`: expected {}", BUILD.join(", "))),
        }
    }
    for option in &mut options {
        if let Some(file) = option.strip_prefix("FOLDER/") {
            *option = format!("{folder}/{file}");
        }
    }
    Ok((options, folder))
}

/// Returns the name of an image with its tag, unless the name has a tag or a digest.
pub(super) fn with_tag(name: &str, tag: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') || name.contains('@') { name.to_owned() } else { format!("{name}:{tag}") }
}

/// Reads what docker says about the image.
fn read(report: &HostReport, outcome: &mut Outcome) {
    let shown = report.get("image").and_then(|text| serde_json::from_str::<Value>(text).ok());
    let image = shown.and_then(|list| list.get(0).cloned()).unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    outcome.detail.insert("image".to_owned(), image);
}
