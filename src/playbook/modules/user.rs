//! `user`: a user of the host.

use super::Arguments;
use super::group::account_name;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, changes or removes a user.
pub(super) static USER: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "user",
        &["ansible.builtin", "ansible.legacy"],
        "Makes, changes or removes a user of the host.",
        &[
            Parameter::new("name", Kind::Text, "The name.").or(&["user"]),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it exists (default: present)."),
            Parameter::new("uid", Kind::Number, "The number."),
            Parameter::new("non_unique", Kind::Flag, "Whether another user may have the number too."),
            Parameter::new("group", Kind::Text, "The primary group."),
            Parameter::new("groups", Kind::List, "The other groups. An empty text takes the user out of all."),
            Parameter::new("append", Kind::Flag, "Whether the user stays in groups that are not named."),
            Parameter::new("comment", Kind::Text, "The full name."),
            Parameter::new("home", Kind::Text, "The home directory."),
            Parameter::new("create_home", Kind::Flag, "Whether the home is made (default: true).").or(&["createhome"]),
            Parameter::new("move_home", Kind::Flag, "Whether the old home is moved to the new one."),
            Parameter::new("skeleton", Kind::Text, "The directory whose files a new home gets."),
            Parameter::new("shell", Kind::Text, "The login shell."),
            Parameter::new("system", Kind::Flag, "Whether a new user is one of the system."),
            Parameter::new("password", Kind::Text, "The hash of the password, as in /etc/shadow."),
            Parameter::new(
                "update_password",
                Kind::Choice(&["always", "on_create"]),
                "Whether an existing user gets the password (default: always).",
            ),
            Parameter::new("password_lock", Kind::Flag, "Whether the password is locked."),
            Parameter::new("password_expire_max", Kind::Number, "The days after which a password must be changed."),
            Parameter::new("password_expire_min", Kind::Number, "The days before which none may be changed."),
            Parameter::new("password_expire_warn", Kind::Number, "The days of warning before it must be changed."),
            Parameter::new("expires", Kind::Text, "The Unix time at which the account expires. Below 0: never."),
            Parameter::new("umask", Kind::Text, "The umask with which a home is made."),
            Parameter::new("remove", Kind::Flag, "Whether the home is removed with the user."),
            Parameter::new("force", Kind::Flag, "Whether a user who is logged in is removed, or a key is replaced."),
            Parameter::new("generate_ssh_key", Kind::Flag, "Whether the user gets an SSH key."),
            Parameter::new("ssh_key_bits", Kind::Number, "The size of the key."),
            Parameter::new("ssh_key_type", Kind::Text, "The type of the key (default: rsa)."),
            Parameter::new(
                "ssh_key_file",
                Kind::Text,
                "The file of the key, relative to the home (default: .ssh/id_rsa).",
            ),
            Parameter::new("ssh_key_comment", Kind::Text, "The comment of the key."),
            Parameter::new("ssh_key_passphrase", Kind::Text, "The passphrase of the key."),
            Parameter::new("local", Kind::Flag, "Whether only the files in /etc count."),
        ],
    )
    .needs(&[&["name"]]),
    text: include_str!("user.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = account_name(arguments, "name")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    let groups = arguments.list("groups")?;
    let fields = ["comment", "home", "shell", "password"];
    for field in fields {
        if arguments.text(field)?.is_some_and(|text| text.contains([':', '\n'])) {
            return Err(format!("`{field}` cannot have a colon or a newline"));
        }
    }
    let expires = match arguments.non_empty("expires")? {
        None => String::new(),
        Some(text) => expiry_day(&text).ok_or_else(|| format!("`expires` must be a number, not `{text}`"))?,
    };
    let run = run
        .set("state", &state)
        .set("expires", &expires)
        .flag("groups_given", groups.is_some())
        .flag("comment_given", arguments.value("comment").is_some())
        .paths(&["home"], arguments)?
        .result("name", name)
        .result("state", state.clone());
    if state == "absent" {
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        return Ok(run.result("force", flag("force")?).result("remove", flag("remove")?));
    }
    let groups = groups.map(|groups| groups.into_iter().filter(|group| !group.is_empty()).collect::<Vec<_>>());
    let run = match groups {
        Some(groups) => run.result("groups", groups.join(",")),
        None => run,
    };
    let run =
        if arguments.non_empty("password")?.is_some() { run.result("password", "NOT_LOGGING_PASSWORD") } else { run };
    Ok(run.result("append", arguments.flag("append")?.unwrap_or(false)))
}

/// Returns the day of a Unix time as /etc/shadow has it, or `never`.
fn expiry_day(text: &str) -> Option<String> {
    let seconds = text.parse::<f64>().ok().filter(|it| it.is_finite() && it.abs() < 1e15)?;
    if seconds < 0.0 {
        return Some("never".to_owned());
    }
    Some(format!("{:.0}", (seconds / 86400.0).floor()))
}

#[cfg(test)]
mod tests {
    use super::expiry_day;

    #[test]
    fn an_account_expires_on_a_day_or_never() {
        assert_eq!(expiry_day("86400.5").as_deref(), Some("1"));
        assert_eq!(expiry_day("1422403387").as_deref(), Some("16463"));
        assert_eq!(expiry_day("-1").as_deref(), Some("never"));
        assert_eq!([expiry_day("x"), expiry_day("inf")], [None, None]);
    }
}
