//! Where the value of a secret comes from: a file, stdin, a program or a question. A value is never an argument, because
//! every user of the machine can read arguments.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

use crate::cli::Context;
use crate::cli::error::CommandError;
use crate::cli::vault;
use crate::core::secret_name::SecretName;
use crate::core::secrets::SECRET_VARIABLES;
use crate::secret::SealError;
use crate::secret::VALUE_LIMIT;
use crate::ui;
use crate::vault::is_vault;

/// Stands for stdin.
const STDIN: &str = "-";

/// The most bytes of a file. Encryption with Ansible Vault makes a value four times as long.
const FILE_LIMIT: usize = 8 * VALUE_LIMIT;

#[derive(Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Read the value from stdin
    #[arg(value_name = "-", value_parser = ["-"], conflicts_with_all = ["file", "command"])]
    stdin: Option<String>,
    /// Read the value from this file; `-` stands for stdin
    ///
    /// A file that is encrypted with Ansible Vault is decrypted with the password of --vault-password-file or --vault-id,
    /// and one that is encrypted with sops by the program `sops`.
    #[arg(long, short = 'f', value_name = "FILE", conflicts_with = "command")]
    file: Option<PathBuf>,
    /// Take the output of this shell command as the value
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// Keep a file as it is, although it is encrypted with Ansible Vault or sops
    #[arg(long)]
    raw: bool,
    /// Remove the line break at the end of the value
    #[arg(long)]
    trim: bool,
    /// Permit an empty value
    #[arg(long)]
    allow_empty: bool,
}

/// Gets the value.
pub(super) fn read(context: &Context, args: &SourceArgs, name: &SecretName) -> Result<SecretSlice<u8>, CommandError> {
    let file = args.stdin.as_deref().map(Path::new).or(args.file.as_deref());
    let value = match (file, &args.command) {
        (Some(path), _) => from_file(context, path, args.raw)?,
        (None, Some(command)) => from_command(command)?,
        (None, None) => ask(name)?,
    };
    let value = if args.trim { trimmed(&value) } else { value };
    let bytes = value.expose_secret();
    if bytes.len() > VALUE_LIMIT {
        return Err(SealError::TooLong(bytes.len()).into());
    }
    if bytes.is_empty() && !args.allow_empty {
        return Err(CommandError::usage("the value is empty").hint("Set an empty value with `--allow-empty`."));
    }
    if bytes.strip_suffix(b"\n").is_some_and(|line| !line.contains(&b'\n')) {
        ui::note("the value ends with a line break, which `--trim` removes");
    }
    Ok(value)
}

fn trimmed(value: &SecretSlice<u8>) -> SecretSlice<u8> {
    let bytes = value.expose_secret();
    let line = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    line.unwrap_or(bytes).to_vec().into()
}

fn ask(name: &SecretName) -> Result<SecretSlice<u8>, CommandError> {
    let question = |text: String| {
        let answer = rpassword::prompt_password(text).map(|answer| SecretSlice::from(answer.into_bytes()));
        answer.map_err(|error| {
            CommandError::usage("cannot ask for the value")
                .caused_by(error)
                .hint("Give the value with `--file`, `--command` or `-` for stdin.")
        })
    };
    let value = question(format!("Value of {name}: "))?;
    let again = question(format!("Value of {name} again: "))?;
    if value.expose_secret() != again.expose_secret() {
        return Err(CommandError::usage("the two values differ").hint("Nothing was changed."));
    }
    Ok(value)
}

/// Reads a file or stdin, and decrypts it if it is encrypted.
fn from_file(context: &Context, path: &Path, is_raw: bool) -> Result<SecretSlice<u8>, CommandError> {
    let failed = |error| CommandError::usage(format!("cannot read {}", path.display())).caused_by(error);
    let is_stdin = path == Path::new(STDIN);
    let bytes = if is_stdin {
        limited(&mut io::stdin(), FILE_LIMIT)
    } else {
        File::open(path).and_then(|mut file| limited(&mut file, FILE_LIMIT))
    };
    let bytes = bytes.map_err(failed)?;
    if is_raw {
        return Ok(bytes.to_vec().into());
    }
    if is_vault(bytes.trim_ascii_start()) {
        let keyring = vault::keyring(context)?;
        return Ok(vault::open(&keyring, path, bytes.to_vec())?.1);
    }
    if is_sops(&bytes) {
        return if is_stdin { Err(sops_on_stdin()) } else { from_sops(path) };
    }
    Ok(bytes.to_vec().into())
}

fn sops_on_stdin() -> CommandError {
    CommandError::usage("the text on stdin is encrypted with sops")
        .hint("Name its file with `--file`, or keep the encrypted text with `--raw`.")
}

/// Reads until the end, or one byte more than the limit.
fn limited(source: &mut dyn Read, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reports whether a file has the marks of sops: an encrypted value and the section with its keys.
fn is_sops(bytes: &[u8]) -> bool {
    let has = |mark: &[u8]| bytes.windows(mark.len()).any(|part| part == mark);
    has(b"ENC[AES256_GCM,data:") && has(b"sops")
}

fn from_sops(path: &Path) -> Result<SecretSlice<u8>, CommandError> {
    let file = std::path::absolute(path)
        .map_err(|error| CommandError::usage(format!("cannot find {}", path.display())).caused_by(error))?;
    let mut command = Command::new("sops");
    command.arg("-d").arg(file);
    output_of(command, "sops").map_err(|failure| match failure {
        Failure::Start(error) if error.kind() == io::ErrorKind::NotFound => {
            CommandError::usage(format!("{} is encrypted with sops, and there is no program `sops`", path.display()))
                .hint("Install sops, or keep the encrypted text with `--raw`.")
        }
        failure => failure.into(),
    })
}

fn from_command(text: &str) -> Result<SecretSlice<u8>, CommandError> {
    let mut command = Command::new("sh");
    command.args(["-c", text]);
    Ok(output_of(command, "the command")?)
}

/// Why a program gave no value.
enum Failure {
    /// It could not be started.
    Start(io::Error),
    /// It failed, or printed too much.
    Run(String),
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let error = match failure {
            Failure::Start(error) => Self::usage("cannot run the program that gives the value").caused_by(error),
            Failure::Run(why) => Self::failed(why),
        };
        error.hint("Nothing was changed.")
    }
}

/// Runs a program, and returns its output. The program may ask on the terminal. Its name is for messages; the command is not
/// quoted, because it may hold a secret.
fn output_of(mut command: Command, name: &str) -> Result<SecretSlice<u8>, Failure> {
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(Failure::Start)?;
    let Some(mut output) = child.stdout.take() else { return Err(Failure::Run(format!("{name} has no output"))) };
    let read = limited(&mut output, VALUE_LIMIT);
    drop(output);
    let is_too_long = read.as_ref().is_ok_and(|bytes| bytes.len() > VALUE_LIMIT);
    if is_too_long {
        // The program may print for ever. That it has ended already is no error.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| Failure::Run(format!("{name} failed: {error}")))?;
    let bytes = read.map_err(|error| Failure::Run(format!("the output of {name} cannot be read: {error}")))?;
    if is_too_long {
        return Err(Failure::Run(format!("{name} printed more than {VALUE_LIMIT} bytes")));
    }
    if status.success() { Ok(bytes.to_vec().into()) } else { Err(Failure::Run(format!("{name} failed: {status}"))) }
}
