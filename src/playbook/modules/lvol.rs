//! `lvol`: a logical volume of LVM.

use serde_json::Value;

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::playbook::host_script::HostReport;
use crate::playbook::outcome::Outcome;

/// Makes, resizes or removes a logical volume.
pub(super) static LVOL: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "lvol",
        &["community.general", "ansible.builtin"],
        "Makes, resizes or removes a logical volume of LVM.",
        &[
            Parameter::new("vg", Kind::Text, "The volume group."),
            Parameter::new("lv", Kind::Text, "The logical volume."),
            Parameter::new("size", Kind::Text, "The size: 512 (MiB), 10g, +1g, 80%VG, 100%FREE."),
            Parameter::new("pvs", Kind::List, "The devices for the volume."),
            Parameter::new("opts", Kind::Text, "More options for lvcreate."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("active", Kind::Flag, "Whether the host can use it (default: true)."),
            Parameter::new("force", Kind::Flag, "Whether the volume may be removed or become smaller."),
            Parameter::new("shrink", Kind::Flag, "Whether a smaller size counts (default: true)."),
            Parameter::new("resizefs", Kind::Flag, "Whether the file system is resized too."),
        ],
    )
    .needs(&[&["vg"], &["lv"]]),
    text: include_str!("lvol.sh"),
    prepare,
};

/// Reports whether a text can be the name of a volume or a group.
pub(super) fn is_volume_name(name: &str) -> bool {
    !name.starts_with('-') && name.chars().all(|sign| sign.is_ascii_alphanumeric() || "+_.-".contains(sign))
}

/// The size of a volume: `+`, the number, and `%VG` or the unit.
type Size = (String, String, String);

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    for name in ["vg", "lv"] {
        let text = arguments.required(name)?;
        if !is_volume_name(&text) {
            return Err(format!("`{text}` cannot be a volume or a group of volumes"));
        }
    }
    let size = arguments.non_empty("size")?;
    let (sign, number, unit) = size.as_deref().map(parse_size).transpose()?.unwrap_or_default();
    let options =
        shlex::split(&arguments.text("opts")?.unwrap_or_default()).ok_or("the quotes in `opts` do not match")?;
    let run = run.set("sign", &sign).set("number", &number).set("unit", &unit).words("opts", &options);
    Ok(run.read(read))
}

fn parse_size(text: &str) -> Result<Size, String> {
    let wrong = || format!("Bad size specification of '{text}'");
    let (sign, rest) = text.strip_prefix('+').map_or(("", text), |rest| ("+", rest));
    let end = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    let unit = match unit {
        "" => "m".to_owned(),
        "%VG" | "%PVS" | "%FREE" => unit.to_owned(),
        unit if unit.len() == 1 && "bskmgtpe".contains(&unit.to_ascii_lowercase()) => unit.to_ascii_lowercase(),
        _ => return Err(wrong()),
    };
    let is_percent = unit.starts_with('%');
    let value: f64 = number.parse().map_err(|_| wrong())?;
    if is_percent && (value > 100.0 || number.contains('.')) {
        return Err(wrong());
    }
    Ok((sign.to_owned(), number.to_owned(), unit))
}

/// Makes a number of the size.
fn read(_: &HostReport, outcome: &mut Outcome) {
    if let Some(size) = outcome.detail.get_mut("size") {
        *size = size.as_str().and_then(|size| size.parse::<f64>().ok()).map_or(Value::Null, Value::from);
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn a_size_has_a_unit_or_is_a_share() {
        let size = |text| parse_size(text).map(|(sign, number, unit)| format!("{sign} {number} {unit}"));
        assert_eq!(size("512").unwrap(), " 512 m");
        assert_eq!(size("+1.5G").unwrap(), "+ 1.5 g");
        assert_eq!(size("+100%FREE").unwrap(), "+ 100 %FREE");
        for wrong in ["", "x", "5x", "101%VG", "50%", "-5g", "5gb"] {
            assert_eq!(size(wrong).unwrap_err(), format!("Bad size specification of '{wrong}'"));
        }
    }
}
