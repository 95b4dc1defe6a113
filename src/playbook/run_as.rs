//! As which user a task runs (`become`). The variables `ansible_become…` override the play, the task and the command line,
//! as in Ansible.

use serde_json::Value;

use super::settings::Become;
use super::template;
use super::template::Scope;
use crate::remote::Password;
use crate::remote::RunAs;

/// The variables that say as which user tasks run on a host.
pub(super) const VARIABLES: [&str; 7] = [
    "ansible_become",
    "ansible_become_user",
    "ansible_become_method",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_sudo_password",
];

/// The variables that hold the password of sudo.
const PASSWORDS: [&str; 4] =
    ["ansible_become_password", "ansible_become_pass", "ansible_sudo_pass", "ansible_sudo_password"];

/// Returns the user that runs a task on a host; `None` for the login user. `wanted` comes from the play, the task or the
/// command line, and `password` from the operator.
pub fn run_as(scope: &Scope, wanted: &Become, password: Option<&Password>) -> Result<Option<RunAs>, String> {
    let on = match scope.variable("ansible_become").transpose()? {
        None | Some(Value::Null) => wanted.on.holds(scope)?,
        Some(Value::Bool(on)) => on,
        Some(value) => {
            let word = template::text_of(&value);
            template::parse_bool(&word)
                .ok_or_else(|| format!("`ansible_become` must be true or false, not `{word}`"))?
        }
    };
    if !on {
        return Ok(None);
    }
    let method = text(scope, "ansible_become_method", wanted.method.as_deref())?;
    if let Some(method) = method.filter(|method| !is_known(method)) {
        return Err(format!("muster becomes users with sudo, or with su as root, and not with `{method}`"));
    }
    let user = text(scope, "ansible_become_user", wanted.user.as_deref())?.unwrap_or_else(|| "root".to_owned());
    let own = PASSWORDS.iter().find_map(|name| scope.variable(name)).transpose()?;
    let own = own.filter(|value| !value.is_null()).map(|value| Password::new(template::text_of(&value))).transpose()?;
    RunAs::user(&user, own.or_else(|| password.cloned())).map(Some)
}

/// Reports whether muster becomes users in this way.
pub fn is_known(method: &str) -> bool {
    matches!(method, "sudo" | "su" | "ansible.builtin.sudo" | "ansible.builtin.su")
}

/// Returns the text of a variable, or else of a setting.
fn text(scope: &Scope, variable: &str, setting: Option<&str>) -> Result<Option<String>, String> {
    let value = match scope.variable(variable).transpose()? {
        None | Some(Value::Null) => setting.map(|setting| scope.text(setting)).transpose()?,
        Some(value) => Some(template::text_of(&value)),
    };
    Ok(value.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::settings::Flag;
    use super::super::template::Layer;
    use super::Become;
    use super::Scope;
    use super::run_as;

    #[test]
    fn the_variables_override_the_settings() {
        let wanted = |on: bool, user: Option<&str>, method: Option<&str>| Become {
            on: on.into(),
            user: user.map(str::to_owned),
            method: method.map(str::to_owned),
        };
        let off = || wanted(false, None, None);
        for (vars, wanted, expected) in [
            (json!({}), off(), Ok(None)),
            (json!({}), wanted(true, None, None), Ok(Some("root"))),
            (json!({"ansible_become": true}), off(), Ok(Some("root"))),
            (json!({"ansible_become": "yes"}), off(), Ok(Some("root"))),
            (json!({"ansible_become": 1}), off(), Ok(Some("root"))),
            (json!({"ansible_become": "{{ 1 == 1 }}"}), off(), Ok(Some("root"))),
            (json!({"ansible_become": false}), wanted(true, None, None), Ok(None)),
            (json!({"ansible_become": null}), wanted(true, None, None), Ok(Some("root"))),
            (json!({"ansible_become": "maybe"}), off(), Err("`ansible_become` must be true or false, not `maybe`")),
            (json!({"u": "web"}), wanted(true, Some("{{ u }}"), Some("su")), Ok(Some("web"))),
            (json!({"ansible_become_user": "postgres"}), wanted(true, Some("web"), None), Ok(Some("postgres"))),
            (json!({"ansible_become_user": "postgres"}), off(), Ok(None)),
            (
                json!({"ansible_become_user": "a b"}),
                wanted(true, None, None),
                Err("`a b` cannot be the name of a user"),
            ),
            (
                json!({"ansible_become_method": "doas"}),
                wanted(true, None, None),
                Err("muster becomes users with sudo, or with su as root, and not with `doas`"),
            ),
        ] {
            let scope = Scope::new(vec![Layer::written(Arc::new(vars.as_object().unwrap().clone()))]);
            let user = run_as(&scope, &wanted, None).map(|user| user.map(|user| user.name().to_owned()));
            assert_eq!(user, expected.map(|user| user.map(str::to_owned)).map_err(str::to_owned), "{vars} {wanted:?}");
        }
        let template = Become { on: Flag::Template("{{ x }}".to_owned()), ..off() };
        let scope = Scope::new(vec![Layer::written(Arc::new(json!({"x": "on"}).as_object().unwrap().clone()))]);
        assert!(run_as(&scope, &template, None).unwrap().unwrap().is_root());
    }
}
