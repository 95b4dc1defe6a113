//! `mount`: a line of fstab and the file system that is mounted for it.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Mounts or unmounts a file system.
pub(super) static MOUNT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "mount",
        &["ansible.posix", "ansible.builtin"],
        "Mounts or unmounts a file system and keeps its line in fstab.",
        &[
            Parameter::new("path", Kind::Text, "The directory.").or(&["name"]),
            Parameter::new(
                "state",
                Kind::Choice(&[
                    "absent",
                    "absent_from_fstab",
                    "ephemeral",
                    "mounted",
                    "present",
                    "remounted",
                    "unmounted",
                ]),
                "`mounted` and `unmounted` act now, `present` and `absent_from_fstab` change fstab only.",
            ),
            Parameter::new("src", Kind::Text, "The device, or what else is mounted."),
            Parameter::new("fstype", Kind::Text, "The type of the file system."),
            Parameter::new("opts", Kind::Text, "The options (default: defaults)."),
            Parameter::new("opts_no_log", Kind::Flag, "No effect: options are not printed."),
            Parameter::new("dump", Kind::Number, "The field for dump(8) (default: 0)."),
            Parameter::new("passno", Kind::Number, "The field for fsck(8) (default: 0)."),
            Parameter::new("boot", Kind::Flag, "Whether it is mounted at every boot (default: true)."),
            Parameter::new("fstab", Kind::Text, "The file (default: /etc/fstab)."),
            Parameter::new("backup", Kind::Flag, "Whether the old file is kept."),
        ],
    )
    .needs(&[&["path"], &["state"]]),
    text: include_str!("mount.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let state = arguments.required("state")?;
    let given = |name: &str| arguments.non_empty(name).map(|it| it.is_some());
    if matches!(state.as_str(), "mounted" | "present" | "ephemeral") && !(given("src")? && given("fstype")?) {
        return Err(format!("state is {state} but all of the following are missing: src, fstype"));
    }
    let path = arguments.required("path")?;
    if !path.starts_with('/') && path != "none" && path != "swap" {
        return Err(format!("`path` must be an absolute path, not `{path}`"));
    }
    let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
    let mut opts = arguments.non_empty("opts")?.unwrap_or_else(|| "defaults".to_owned());
    if arguments.flag("boot")? == Some(false) && !opts.split(',').any(|word| word == "noauto") {
        opts.push_str(",noauto");
    }
    let texts =
        [&path, &opts, &arguments.text("src")?.unwrap_or_default(), &arguments.text("fstype")?.unwrap_or_default()];
    if texts.iter().any(|text| text.contains('\n')) {
        return Err("a field of fstab cannot have a newline".to_owned());
    }
    let run = run.set("path", &path).set("opts", &opts);
    let [dump, passno] = ["dump", "passno"].map(|name| arguments.number(name).map(|it| it.unwrap_or(0).to_string()));
    let (dump, passno) = (dump?, passno?);
    let run = run.set("dump", &dump).set("passno", &passno).result("dump", dump).result("passno", passno);
    let run = run
        .result("name", path)
        .result("opts", opts)
        .result("boot", if arguments.flag("boot")? == Some(false) { "no" } else { "yes" });
    Ok(run.echo(&["src", "fstype"], arguments))
}
