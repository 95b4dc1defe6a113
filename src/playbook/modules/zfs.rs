//! `zfs`: file systems, volumes and snapshots of ZFS.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;

/// Makes, changes or removes a file system.
pub(super) static ZFS: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "zfs",
        &["community.general", "ansible.builtin"],
        "Makes, changes or removes a file system, a volume or a snapshot of ZFS.",
        &[
            Parameter::new("name", Kind::Text, "The file system, the volume, or the snapshot as NAME@SNAPSHOT."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there."),
            Parameter::new("origin", Kind::Text, "The snapshot of which it is a clone."),
            Parameter::new("extra_zfs_properties", Kind::Any, "Its properties, as a map."),
        ],
    )
    .needs(&[&["name"], &["state"]]),
    text: include_str!("zfs.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, mut run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let origin = arguments.text("origin")?.unwrap_or_default();
    if !origin.is_empty() && name.contains('@') {
        return Err("cannot specify origin when operating on a snapshot".to_owned());
    }
    if name.starts_with('-') || origin.starts_with('-') {
        return Err(format!("`{name}` cannot be a file system of ZFS"));
    }
    let mut words = Vec::new();
    if let Some(properties) = arguments.value("extra_zfs_properties") {
        for (property, value) in properties.as_object().ok_or("`extra_zfs_properties` must be a map")? {
            let text = match value.as_bool() {
                Some(flag) => Some(if flag { "on" } else { "off" }.to_owned()),
                None => scalar_text(value),
            };
            let text = text.ok_or_else(|| format!("the property `{property}` must be text"))?;
            if property.starts_with('-') || property.contains('=') {
                return Err(format!("`{property}` cannot be a property of ZFS"));
            }
            run = run.result(property, text.clone());
            words.extend([property.clone(), text]);
        }
    }
    let state = arguments.required("state")?;
    Ok(run.result("name", name).result("state", state).words("properties", &words))
}
