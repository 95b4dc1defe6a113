//! `cron`: a job or a variable in a crontab.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Adds, changes or removes a job.
pub(super) static CRON: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "cron",
        &["ansible.builtin", "ansible.legacy"],
        "Adds, changes or removes a job or a variable in a crontab.",
        &[
            Parameter::new("name", Kind::Text, "The name in the comment before the job, or the variable."),
            Parameter::new("job", Kind::Text, "The command, or the value of the variable.").or(&["value"]),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("user", Kind::Text, "The user whose crontab it is, or as which a job of a file runs."),
            Parameter::new("cron_file", Kind::Text, "The file in /etc/cron.d, or its path, instead of a crontab."),
            Parameter::new("minute", Kind::Text, "The minute (default: *)."),
            Parameter::new("hour", Kind::Text, "The hour (default: *)."),
            Parameter::new("day", Kind::Text, "The day of the month (default: *).").or(&["dom"]),
            Parameter::new("month", Kind::Text, "The month (default: *)."),
            Parameter::new("weekday", Kind::Text, "The day of the week (default: *).").or(&["dow"]),
            Parameter::new(
                "special_time",
                Kind::Choice(&["annually", "daily", "hourly", "monthly", "reboot", "weekly", "yearly"]),
                "A time with a name.",
            ),
            Parameter::new("disabled", Kind::Flag, "Whether the job is a comment."),
            Parameter::new("env", Kind::Flag, "Whether it is a variable and no job."),
            Parameter::new("insertafter", Kind::Text, "The variable after which a new one stands."),
            Parameter::new("insertbefore", Kind::Text, "The variable before which a new one stands."),
            Parameter::new("backup", Kind::Flag, "Whether the old crontab is kept in a file."),
        ],
    )
    .needs(&[&["name"]])
    .excludes(&[&["insertafter", "insertbefore"]]),
    text: include_str!("cron.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let text = |name: &str| arguments.text(name).map(Option::unwrap_or_default);
    let is_env = arguments.flag("env")?.unwrap_or(false);
    let is_present = text("state")? != "absent";
    let file = text("cron_file")?;
    if file == "/etc/crontab" {
        return Err("Will not manage /etc/crontab via cron_file, see documentation.".to_owned());
    }
    let name = arguments.required("name")?;
    let job = text("job")?.trim_matches(['\r', '\n']).to_owned();
    if name.contains('\n') || job.contains(['\n', '\r']) || text("user")?.contains(['\n', ' ']) {
        return Err("`name`, `job` and `user` cannot have a newline".to_owned());
    }
    if is_present && arguments.value("job").is_none() {
        return Err("You must specify 'job' to install a new cron job or variable".to_owned());
    }
    if is_present && !file.is_empty() && text("user")?.is_empty() {
        return Err("To use cron_file=... parameter you must specify user=... as well".to_owned());
    }
    if !is_env && is_present && !(text("insertafter")? + &text("insertbefore")?).is_empty() {
        return Err("Insertafter and insertbefore parameters are valid only with env=yes".to_owned());
    }
    if is_env && name.contains(' ') {
        return Err("Invalid name for environment variable".to_owned());
    }
    let line = if is_env { format!("{name}=\"{job}\"") } else { job_line(arguments, &job, !file.is_empty())? };
    let path = if file.is_empty() || file.starts_with('/') { file.clone() } else { format!("/etc/cron.d/{file}") };
    let run = run.set("state", if is_present { "present" } else { "absent" }).set("line", &line).set("file", &path);
    Ok(if file.is_empty() { run } else { run.result("cron_file", file) })
}

/// Returns the line of a job.
fn job_line(arguments: &Arguments<'_>, job: &str, has_user: bool) -> Result<String, String> {
    let special = arguments.non_empty("special_time")?;
    let mut times = Vec::new();
    for name in ["minute", "hour", "day", "month", "weekday"] {
        let time = arguments.text(name)?.unwrap_or_else(|| "*".to_owned());
        if time.is_empty() || time.contains(char::is_whitespace) {
            return Err(format!("`{name}` must be a time without spaces, not `{time}`"));
        }
        times.push(time);
    }
    if special.is_some() && times.iter().any(|time| time != "*") {
        return Err("You cannot combine special_time with any of the time or day/date parameters.".to_owned());
    }
    let when = special.map_or_else(|| times.join(" "), |word| format!("@{word}"));
    let user = if has_user { arguments.text("user")?.unwrap_or_default() + " " } else { String::new() };
    let mark = if arguments.flag("disabled")? == Some(true) { "#" } else { "" };
    Ok(format!("{mark}{when} {user}{job}"))
}
