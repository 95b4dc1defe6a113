//! The questions of `vars_prompt`.

use std::io::IsTerminal as _;
use std::sync::Arc;

use serde_json::Value;

use crate::cli::error::CommandError;
use crate::inventory::Vars;
use crate::playbook::play::Playbook;
use crate::playbook::play::Prompt;
use crate::playbook::template;
use crate::playbook::template::Layer;
use crate::playbook::template::Scope;
use crate::ui;

/// Asks the operator for the variables of `vars_prompt`. A variable that is set already is not asked for.
pub(super) fn ask(playbook: &mut Playbook, extra: &Arc<Vars>) -> Result<(), CommandError> {
    for play in &mut playbook.plays {
        // As in Ansible, a question knows no answer to another one.
        let layers = [&play.vars, extra].map(|vars| Layer::written(Arc::clone(vars)));
        let scope = Scope::new(layers.to_vec());
        for prompt in std::mem::take(&mut play.prompts) {
            if extra.contains_key(&prompt.name) {
                continue;
            }
            let failed = |why| CommandError::usage(format!("`vars_prompt` of `{}`: {why}", prompt.name));
            let prompt = filled(&prompt, &scope).map_err(failed)?;
            let value = value_of(&prompt)?;
            Arc::make_mut(&mut play.vars).insert(prompt.name, value);
        }
    }
    Ok(())
}

/// Returns a prompt with every template in it filled in.
fn filled(prompt: &Prompt, scope: &Scope) -> Result<Prompt, String> {
    let default = prompt.default.as_ref().map(|default| scope.fill(default)).transpose()?;
    Ok(Prompt {
        question: scope.text(&prompt.question)?,
        default: default.filter(|default| !default.is_null()),
        encrypt: prompt.encrypt.as_ref().map(|kind| scope.text(kind)).transpose()?,
        salt: scope.fill(&prompt.salt)?,
        salt_size: scope.fill(&prompt.salt_size)?,
        ..prompt.clone()
    })
}

/// Returns the value of a variable: what the operator answers, or the default.
fn value_of(prompt: &Prompt) -> Result<Value, CommandError> {
    let default = prompt.default.as_ref().map(template::text_of);
    if !std::io::stdin().is_terminal() {
        ui::warn(&format!("`{}` is not asked for, because stdin is no terminal", prompt.name));
        // As in Ansible, a variable without a default is null.
        return default.map_or(Ok(Value::Null), |default| value(prompt, default));
    }
    let failed = |error| CommandError::usage("cannot ask for a variable").caused_by(error);
    let question = question(prompt, default.as_deref());
    let mut answer = answer(&question, prompt.private).map_err(failed)?;
    while prompt.confirm && answer != self::answer(&format!("confirm {question}"), prompt.private).map_err(failed)? {
        ui::warn("the answers differ");
        answer = self::answer(&question, prompt.private).map_err(failed)?;
    }
    value(prompt, if answer.is_empty() { default.unwrap_or_default() } else { answer })
}

/// Returns the question as Ansible asks it: the default is shown, even that of a private question.
fn question(prompt: &Prompt, default: Option<&str>) -> String {
    match default {
        _ if prompt.question.is_empty() => format!("input for {}: ", prompt.name),
        Some(default) => format!("{} [{default}]: ", prompt.question),
        None => format!("{}: ", prompt.question),
    }
}

/// Returns the value of a variable: the answer, or its hash.
fn value(prompt: &Prompt, answer: String) -> Result<Value, CommandError> {
    let wrong = |why: &str| CommandError::usage(format!("the variable `{}` {why}", prompt.name));
    let Some(kind) = &prompt.encrypt else { return plain_value(prompt, answer).ok_or_else(|| wrong(HAS_END)) };
    let (salt, size) = (prompt.salt.clone(), prompt.salt_size.clone());
    let vars = Vars::from_iter(
        [("answer", answer.into()), ("kind", kind.as_str().into()), ("salt", salt), ("size", size)]
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let hash = Scope::new(vec![Layer::data(Arc::new(vars))]).expression("answer | password_hash(kind, salt, size)");
    hash.map_err(|why| wrong(&format!("cannot be encrypted: {why}")))
}

/// What is wrong with an answer that cannot be kept from being a template.
const HAS_END: &str = "is `unsafe`, and its value has `endraw` in it";

/// Returns an answer as the value of a variable of the play. With `unsafe` it is no template.
fn plain_value(prompt: &Prompt, answer: String) -> Option<Value> {
    match prompt.is_data && template::is_template(&answer) {
        false => Some(answer.into()),
        true if answer.contains("endraw") => None,
        true => Some(format!("{{% raw %}}{answer}{{% endraw %}}").into()),
    }
}

/// Asks a question on the terminal.
fn answer(question: &str, is_secret: bool) -> std::io::Result<String> {
    if is_secret {
        return rpassword::prompt_password(question);
    }
    ui::ask(question)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;
    use serde_json::json;

    use super::Prompt;
    use super::filled;
    use super::plain_value;
    use super::question;
    use super::value;
    use crate::playbook::template::Layer;
    use crate::playbook::template::Scope;

    fn prompt(text: &str) -> Prompt {
        Prompt {
            name: "x".to_owned(),
            question: text.to_owned(),
            default: None,
            private: true,
            confirm: false,
            encrypt: None,
            salt: Value::Null,
            salt_size: Value::Null,
            is_data: false,
        }
    }

    #[test]
    fn a_question_shows_its_default_even_if_the_answer_is_hidden() {
        let asked = |text, default| question(&prompt(text), default);
        assert_eq!(asked("Password", Some("secret")), "Password [secret]: ");
        assert_eq!(asked("Port", Some("")), "Port []: ");
        assert_eq!(asked("Port", None), "Port: ");
        assert_eq!(asked("", Some("y")), "input for x: ");
    }

    #[test]
    fn a_prompt_may_have_templates() {
        let vars = json!({"who": "me", "port": 80}).as_object().cloned().unwrap_or_default();
        let scope = Scope::new(vec![Layer::written(Arc::new(vars))]);
        let prompt = Prompt { default: Some("{{ port }}".into()), ..prompt("For {{ who }}") };
        let filled = filled(&prompt, &scope).unwrap();
        assert_eq!((filled.question.as_str(), filled.default), ("For me", Some(80.into())));
    }

    #[test]
    fn an_answer_is_a_template_unless_it_is_unsafe() {
        let data = Prompt { is_data: true, ..prompt("") };
        assert_eq!(plain_value(&prompt(""), "{{ a }}".to_owned()), Some("{{ a }}".into()));
        assert_eq!(plain_value(&data, "{{ a }}".to_owned()), Some("{% raw %}{{ a }}{% endraw %}".into()));
        assert_eq!(plain_value(&data, "{% endraw %}".to_owned()), None);
    }

    #[test]
    fn the_hash_of_an_answer_is_that_of_ansible() {
        let salt = "abcdefghijklmnopqrstuu".into();
        let hashed = Prompt { encrypt: Some("bcrypt".to_owned()), salt, ..prompt("") };
        let expected = "$2b$12$abcdefghijklmnopqrstuusEC4h5UCJFw8krewJu3pOBLJjWRA0e.";
        assert_eq!(value(&hashed, "xx".to_owned()).unwrap(), expected);
    }
}
