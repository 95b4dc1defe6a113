//! Whether a task runs as root (`become`). The variable `ansible_become` overrides the play, the task and the command
//! line, as in Ansible. Root is the only user that muster becomes.

use serde_json::Value;

use super::template;
use super::template::Scope;

/// Reports whether to run as root. `requested` comes from the play, the task or the command line. Another user than root
/// is an error.
pub fn becomes_root(scope: &Scope, requested: bool) -> Result<bool, String> {
    let root = match scope.variable("ansible_become").transpose()? {
        None | Some(Value::Null) => requested,
        Some(Value::Bool(root)) => root,
        Some(value) => {
            let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            template::parse_bool(&word)
                .ok_or_else(|| format!("`ansible_become` must be true or false, not `{word}`"))?
        }
    };
    let user = if root { scope.variable("ansible_become_user").transpose()? } else { None };
    match user {
        None | Some(Value::Null) => Ok(root),
        Some(Value::String(user)) if user.is_empty() || user == "root" => Ok(root),
        Some(user) => {
            let user = user.as_str().map_or_else(|| user.to_string(), str::to_owned);
            Err(format!("`ansible_become_user` is {user}, but muster can become only root"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::template::Layer;
    use super::Scope;
    use super::becomes_root;

    #[test]
    fn the_variable_overrides_and_the_only_user_is_root() {
        let other_user = "`ansible_become_user` is postgres, but muster can become only root";
        for (vars, requested, expected) in [
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
            (json!({"ansible_become_user": "postgres"}), true, Err(other_user)),
            (json!({"ansible_become_user": "postgres"}), false, Ok(false)),
            (json!({"ansible_become_user": "postgres", "ansible_become": "on"}), false, Err(other_user)),
        ] {
            let scope = Scope::new(vec![Layer::written(Arc::new(vars.as_object().unwrap().clone()))]);
            assert_eq!(becomes_root(&scope, requested), expected.map_err(str::to_owned), "{vars} {requested}");
        }
    }
}
