//! `lvg`: a volume group of LVM.

use super::Arguments;
use super::lvol::is_volume_name;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, changes or removes a volume group.
pub(super) static LVG: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "lvg",
        &["community.general", "ansible.builtin"],
        "Makes, changes or removes a volume group of LVM.",
        &[
            Parameter::new("vg", Kind::Text, "The volume group."),
            Parameter::new("pvs", Kind::List, "The devices."),
            Parameter::new("pesize", Kind::Text, "The size of an extent, in MiB or with a unit (default: 4)."),
            Parameter::new("pv_options", Kind::Text, "More options for pvcreate."),
            Parameter::new("vg_options", Kind::Text, "More options for vgcreate."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("force", Kind::Flag, "Whether a group that has volumes may be removed."),
            Parameter::new(
                "remove_extra_pvs",
                Kind::Flag,
                "Whether devices that `pvs` does not name are removed (default: true).",
            ),
        ],
    )
    .needs(&[&["vg"]]),
    text: include_str!("lvg.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("vg")?;
    if !is_volume_name(&name) {
        return Err(format!("`{name}` cannot be a volume group"));
    }
    let devices = arguments.list("pvs")?.unwrap_or_default();
    let is_absent = arguments.text("state")?.as_deref() == Some("absent");
    if let Some(device) = devices.iter().find(|device| !device.starts_with('/')) {
        return Err(format!("`pvs` must be absolute paths, not `{device}`"));
    }
    if devices.is_empty() && !is_absent {
        return Err("No physical volumes given.".to_owned());
    }
    let size = arguments.non_empty("pesize")?.unwrap_or_else(|| "4".to_owned());
    if !size.starts_with(|sign: char| sign.is_ascii_digit()) {
        return Err(format!("`pesize` must be a size, not `{size}`"));
    }
    let mut run = run.set("pesize", &size);
    for name in ["pv_options", "vg_options"] {
        let words = shlex::split(&arguments.text(name)?.unwrap_or_default());
        run = run.words(name, &words.ok_or_else(|| format!("the quotes in `{name}` do not match"))?);
    }
    Ok(run)
}
