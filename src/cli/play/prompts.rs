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
pub(super) fn ask(playbook: &mut Playbook, extra: &Vars) -> Result<(), CommandError> {
    let failed = |error| CommandError::usage("cannot ask for a variable").caused_by(error);
    for play in &mut playbook.plays {
        for prompt in std::mem::take(&mut play.prompts) {
            if extra.contains_key(&prompt.name) {
                continue;
            }
            let default = prompt.default.as_ref().map(template::text_of);
            if !std::io::stdin().is_terminal() {
                ui::warn(&format!("`{}` is not asked for, because stdin is no terminal", prompt.name));
                // As in Ansible, a variable without a default is null.
                let value = default.map_or(Ok(Value::Null), |default| value(&prompt, default))?;
                Arc::make_mut(&mut play.vars).insert(prompt.name, value);
                continue;
            }
            let shown = default.as_deref().filter(|_| !prompt.private);
            let question = shown.map_or(prompt.question.clone(), |shown| format!("{} [{shown}]", prompt.question));
            let mut answer = answer(&question, prompt.private).map_err(failed)?;
            while prompt.confirm
                && answer != self::answer(&format!("confirm {question}"), prompt.private).map_err(failed)?
            {
                ui::warn("the answers differ");
                answer = self::answer(&question, prompt.private).map_err(failed)?;
            }
            let answer = if answer.is_empty() { default.unwrap_or_default() } else { answer };
            let value = value(&prompt, answer)?;
            Arc::make_mut(&mut play.vars).insert(prompt.name, value);
        }
    }
    Ok(())
}

/// Returns the value of a variable: the answer, or its hash.
fn value(prompt: &Prompt, answer: String) -> Result<Value, CommandError> {
    let Some(kind) = &prompt.encrypt else { return Ok(answer.into()) };
    let (salt, size) = (prompt.salt.clone(), prompt.salt_size.clone());
    let vars = Vars::from_iter(
        [("answer", answer.into()), ("kind", kind.as_str().into()), ("salt", salt), ("size", size)]
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let hash = Scope::new(vec![Layer::data(Arc::new(vars))]).expression("answer | password_hash(kind, salt, size)");
    hash.map_err(|why| CommandError::usage(format!("the variable `{}` cannot be encrypted: {why}", prompt.name)))
}

/// Asks a question on the terminal.
fn answer(question: &str, is_secret: bool) -> std::io::Result<String> {
    if is_secret {
        return rpassword::prompt_password(format!("{question}: "));
    }
    ui::ask(&format!("{question}: "))
}
