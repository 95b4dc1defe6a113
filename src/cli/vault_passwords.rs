//! Where the passwords of Ansible Vault come from: files, programs and questions.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::error::CommandError;
use crate::core::secrets::SECRET_VARIABLES;
use crate::vault::DEFAULT_LABEL;
use crate::vault::LabelledPassword;

/// The sources that ask for the password, as Ansible names them.
const PROMPTS: [&str; 2] = ["prompt", "prompt_ask_vault_pass"];

/// How the names of programs end that are told the label.
const CLIENT: &str = "-client";

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PasswordSource {
    label: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A file, or a program that prints the password.
    File(PathBuf),
    /// A question.
    Prompt,
}

impl PasswordSource {
    /// Returns the source that is a file or a program. Its password has no label.
    pub(super) fn file(path: PathBuf) -> Self {
        Self { label: DEFAULT_LABEL.to_owned(), place: Place::File(path) }
    }

    /// Returns the source that asks. Its password has no label.
    pub(super) fn prompt() -> Self {
        Self { label: DEFAULT_LABEL.to_owned(), place: Place::Prompt }
    }

    /// Reads `LABEL@SOURCE`, or a source without a label. `resolve` makes the path of a file.
    pub(super) fn parse(text: &str, resolve: &dyn Fn(&Path) -> PathBuf) -> Self {
        let (label, source) = text.split_once('@').unwrap_or((DEFAULT_LABEL, text));
        let label = if label.is_empty() { DEFAULT_LABEL } else { label };
        let is_prompt = PROMPTS.contains(&source);
        let place = if is_prompt { Place::Prompt } else { Place::File(resolve(Path::new(source))) };
        Self { label: label.to_owned(), place }
    }

    /// Returns the text of a source with the path of its file resolved.
    pub(super) fn placed(text: &str, resolve: &dyn Fn(&Path) -> PathBuf) -> PathBuf {
        let source = Self::parse(text, resolve);
        match source.place {
            Place::File(path) => format!("{}@{}", source.label, path.display()).into(),
            Place::Prompt => text.into(),
        }
    }

    /// Returns the label of the password.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Gets a password that is to encrypt something. One that is asked for is asked for twice.
    pub(super) fn read_new(&self) -> Result<LabelledPassword, CommandError> {
        if self.place != Place::Prompt {
            return self.read();
        }
        let password = prompt(&format!("New {}", self.question().replacen('V', "v", 1)))?;
        let again = prompt(&format!("Confirm new {}", self.question().replacen('V', "v", 1)))?;
        if password.expose_secret() != again.expose_secret() {
            return Err(CommandError::usage("the two vault passwords differ").hint("Nothing was changed."));
        }
        Ok(LabelledPassword { label: self.label.clone(), password })
    }

    /// Gets the password.
    pub(super) fn read(&self) -> Result<LabelledPassword, CommandError> {
        let password = match &self.place {
            Place::Prompt => prompt(&self.question())?,
            Place::File(path) => self.read_file(path)?,
        };
        Ok(LabelledPassword { label: self.label.clone(), password })
    }

    fn question(&self) -> String {
        let label = Some(&self.label).filter(|label| *label != DEFAULT_LABEL);
        format!("Vault password{}: ", label.map(|label| format!(" ({label})")).unwrap_or_default())
    }

    fn read_file(&self, path: &Path) -> Result<SecretString, CommandError> {
        let what = || format!("cannot read the vault password file {}", path.display());
        let failed = |error: io::Error| CommandError::usage(what()).caused_by(error);
        let about = fs::metadata(path).map_err(failed)?;
        let bytes = if about.is_file() && about.permissions().mode() & 0o111 != 0 {
            self.run(path)?
        } else {
            Zeroizing::new(fs::read(path).map_err(failed)?)
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| CommandError::usage(what() + ": it is not UTF-8 text"))?;
        let password = text.trim();
        if password.is_empty() {
            return Err(CommandError::usage(format!("the vault password file {} has no password", path.display())));
        }
        Ok(SecretString::from(password))
    }

    /// Runs a program that prints the password. It may ask on the terminal.
    fn run(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, CommandError> {
        let failed =
            |why: String| CommandError::usage(format!("the vault password program {} failed: {why}", path.display()));
        let program = fs::canonicalize(path).map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(program);
        if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with(CLIENT)) {
            command.args(["--vault-id", &self.label]);
        }
        for name in SECRET_VARIABLES {
            command.env_remove(name);
        }
        let output = command.stderr(Stdio::inherit()).stdin(Stdio::inherit()).output();
        let output = output.map_err(|error| {
            failed(error.to_string()).hint("If the file holds the password, remove its execute permission.")
        })?;
        let password = Zeroizing::new(output.stdout);
        if output.status.success() { Ok(password) } else { Err(failed(output.status.to_string())) }
    }
}

/// What to do without a terminal.
const NO_TERMINAL: &str = "Without a terminal, name a file or a program with `--vault-password-file`.";

/// Asks for a password on the terminal.
pub(super) fn prompt(question: &str) -> Result<SecretString, CommandError> {
    let answer = rpassword::prompt_password(question)
        .map_err(|error| CommandError::usage("cannot ask for the vault password").caused_by(error).hint(NO_TERMINAL))?;
    let answer = Zeroizing::new(answer);
    if answer.trim().is_empty() {
        return Err(CommandError::usage("the vault password is empty"));
    }
    Ok(SecretString::from(answer.trim()))
}
