//! The variables of `-e`, which win over all others.

use std::path::Path;

use super::error::CommandError;
use crate::inventory::InventoryError;
use crate::inventory::Vars;
use crate::inventory::document;
use crate::inventory::load::read_vars_file;
use crate::ui;
use crate::vault::Keyring;

/// Variables on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct ExtraVars {
    /// Set variables that win over all others: NAME=VALUE, a map in YAML or JSON, or @FILE (can be repeated)
    #[arg(long, short = 'e', value_name = "VARS")]
    extra_vars: Vec<String>,
}

impl ExtraVars {
    /// Reads the variables. Later ones win. Encrypted files are opened.
    pub(super) fn read(&self, vault: &Keyring) -> Result<Vars, CommandError> {
        let mut vars = Vars::new();
        for text in &self.extra_vars {
            vars.extend(read(text, vault)?);
        }
        Ok(vars)
    }
}

fn read(text: &str, vault: &Keyring) -> Result<Vars, CommandError> {
    if let Some(path) = text.strip_prefix('@') {
        let (vars, repeated) = read_vars_file(Path::new(path), vault).map_err(|error| match error {
            InventoryError::Unreadable { path, detail } => {
                CommandError::usage(format!("-e: cannot read {}: {detail}", path.display()))
            }
            error => error.into(),
        })?;
        for key in &repeated {
            ui::warn(&format!("{key}; the last value counts"));
        }
        return Ok(vars);
    }
    if text.trim_start().starts_with('{') {
        let node = document::read(Path::new("-e"), text)?;
        return Ok(node.value().as_object().cloned().unwrap_or_default());
    }
    let pairs = shlex::split(text).ok_or_else(|| CommandError::usage("-e: the quotes do not match"))?;
    let pair = |pair: String| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| CommandError::usage(format!("-e: invalid variable `{pair}`: expected NAME=VALUE")))?;
        Ok((name.to_owned(), value.into()))
    };
    pairs.into_iter().map(pair).collect()
}
