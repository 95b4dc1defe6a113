//! `pam_limits`: a limit for the sessions of a user or a group.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// What can be limited.
const ITEMS: Kind = Kind::Choice(&[
    "as",
    "chroot",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "maxlogins",
    "maxsyslogins",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "priority",
    "rss",
    "rtprio",
    "sigpending",
    "stack",
]);

/// Sets a limit.
pub(super) static PAM_LIMITS: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "pam_limits",
        &["community.general", "ansible.builtin"],
        "Sets a limit for the sessions of a user or a group.",
        &[
            Parameter::new("domain", Kind::Text, "The user, the group as @NAME, or a pattern."),
            Parameter::new("limit_type", Kind::Choice(&["-", "hard", "soft"]), "The kind of limit."),
            Parameter::new("limit_item", ITEMS, "What is limited."),
            Parameter::new("value", Kind::Text, "A number, `unlimited` or `infinity`."),
            Parameter::new("use_max", Kind::Flag, "Whether a higher value stays."),
            Parameter::new("use_min", Kind::Flag, "Whether a lower value stays."),
            Parameter::new("backup", Kind::Flag, "Whether to keep the old file, with the time in its name."),
            Parameter::new("dest", Kind::Text, "The file (default: /etc/security/limits.conf)."),
            Parameter::new("comment", Kind::Text, "A comment for the line."),
        ],
    )
    .needs(&[&["domain"], &["limit_type"], &["limit_item"], &["value"]])
    .excludes(&[&["use_max", "use_min"]]),
    text: include_str!("pam_limits.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let value = arguments.required("value")?;
    let item = arguments.required("limit_item")?;
    let digits = value.strip_prefix('-').unwrap_or(&value);
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    let is_word = matches!(value.as_str(), "unlimited" | "infinity" | "-1");
    let range = if matches!(item.as_str(), "nice" | "priority") { -20..=19 } else { 0..=i64::MAX };
    let is_right = value.parse().is_ok_and(|number| range.contains(&number)) && is_number;
    if !(is_right || is_word && !matches!(item.as_str(), "nice" | "priority")) {
        return Err(format!("`{value}` cannot be the limit of {item}"));
    }
    for name in ["domain", "comment"] {
        if arguments.text(name)?.is_some_and(|text| text.contains('\n')) {
            return Err(format!("`{name}` cannot have a newline"));
        }
    }
    if arguments.required("domain")?.contains([' ', '\t', '#']) {
        return Err("`domain` cannot have blanks".to_owned());
    }
    run.paths(&["dest"], arguments)
}
