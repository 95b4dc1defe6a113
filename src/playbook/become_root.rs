//! Whether to be root on a host. A variable of the host wins over what the play, the task or the command line says, as in
//! Ansible. Nobody but root is ever become.

use serde_json::Value;

use super::template;
use super::template::Scope;

/// Says whether to be root where `said` is what the play, the task or the command line says. It is an error to be told to
/// become somebody else.
pub fn wanted(scope: &Scope, said: bool) -> Result<bool, String> {
    let root = match scope.variable("ansible_become").transpose()? {
        None | Some(Value::Null) => said,
        Some(Value::Bool(root)) => root,
        Some(value) => {
            let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            template::said(&word).ok_or_else(|| format!("`ansible_become` must be true or false, not `{word}`"))?
        }
    };
    let user = if root { scope.variable("ansible_become_user").transpose()? } else { None };
    match user {
        None | Some(Value::Null) => Ok(root),
        Some(Value::String(user)) if user.is_empty() || user == "root" => Ok(root),
        Some(user) => {
            let user = user.as_str().map_or_else(|| user.to_string(), str::to_owned);
            Err(format!("`ansible_become_user` is {user}, but muster can become root and nobody else"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::template::Layer;
    use super::Scope;
    use super::wanted;

    #[test]
    fn the_variable_wins_and_only_root_is_become() {
        let somebody = "`ansible_become_user` is postgres, but muster can become root and nobody else";
        for (vars, said, expected) in [
            (json!({}), false, Ok(false)),
            (json!({}), true, Ok(true)),
            (json!({"ansible_become": true}), false, Ok(true)),
            (json!({"ansible_become": "yes"}), false, Ok(true)),
            (json!({"ansible_become": 1}), false, Ok(true)),
            (json!({"ansible_become": "{{ 1 == 1 }}"}), false, Ok(true)),
            (json!({"ansible_become": false}), true, Ok(false)),
            (json!({"ansible_become": null}), true, Ok(true)),
            (json!({"ansible_become": "maybe"}), true, Err("`ansible_become` must be true or false, not `maybe`")),
            (json!({"ansible_become_user": "root"}), true, Ok(true)),
            (json!({"ansible_become_user": "postgres"}), true, Err(somebody)),
            (json!({"ansible_become_user": "postgres"}), false, Ok(false)),
            (json!({"ansible_become_user": "postgres", "ansible_become": "on"}), false, Err(somebody)),
        ] {
            let scope = Scope::new(vec![Layer::written(Arc::new(vars.as_object().unwrap().clone()))]);
            assert_eq!(wanted(&scope, said), expected.map_err(str::to_owned), "{vars} {said}");
        }
    }
}
