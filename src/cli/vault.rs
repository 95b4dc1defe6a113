//! `muster vault`: encrypts and decrypts files as `ansible-vault` does.

pub(super) mod files;

use std::path::Path;
use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use secrecy::SecretSlice;

use super::Context;
use super::ansible_config::AnsibleConfig;
use super::editor;
use super::error::CommandError;
use super::error::CommandResult;
use super::error::ExitStatus;
use super::settings;
use super::vault_passwords::PasswordSource;
use crate::inventory::Vars;
use crate::inventory::diagnostic::Diagnostic;
use crate::ui;
use crate::vault;
use crate::vault::DEFAULT_LABEL;
use crate::vault::Keyring;
use crate::vault::LabelledPassword;
use crate::vault::is_vault;
use files::STDIN;

/// Encrypt and decrypt files with Ansible Vault
///
/// The passwords come from --vault-password-file, --vault-id, --ask-vault-pass or Ansible's variables. Without them they
/// are asked for.
#[derive(Debug, clap::Args)]
pub(super) struct VaultCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print the content of encrypted files
    View {
        /// The files; `-` stands for stdin
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Edit encrypted files in the editor of the variable EDITOR
    Edit(EditArgs),
    /// Make an encrypted file in the editor of the variable EDITOR
    Create(EditArgs),
    /// Encrypt files
    Encrypt(EncryptArgs),
    /// Decrypt files
    Decrypt(DecryptArgs),
    /// Encrypt a text, and print it as a value for a YAML file
    #[command(alias = "encrypt_string")]
    EncryptString(StringArgs),
    /// Encrypt encrypted files with another password
    Rekey(RekeyArgs),
}

/// The option of verbs that encrypt.
#[derive(Debug, clap::Args)]
struct LabelArgs {
    /// Encrypt with the password that has this label
    #[arg(long, value_name = "LABEL")]
    encrypt_vault_id: Option<String>,
}

#[derive(Debug, clap::Args)]
struct EditArgs {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    label: LabelArgs,
}

#[derive(Debug, clap::Args)]
struct EncryptArgs {
    /// The files; `-` stands for stdin [default: -]
    files: Vec<PathBuf>,
    /// Write to this file instead; `-` stands for stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    label: LabelArgs,
}

#[derive(Debug, clap::Args)]
struct DecryptArgs {
    /// The files; `-` stands for stdin [default: -]
    files: Vec<PathBuf>,
    /// Write to this file instead; `-` stands for stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct StringArgs {
    /// The texts; `-` stands for stdin
    texts: Vec<String>,
    /// The variables to which the texts belong, in the same order (can be repeated)
    #[arg(long = "name", short = 'n', value_name = "NAME")]
    names: Vec<String>,
    /// Read a text from stdin for this variable
    #[arg(long, value_name = "NAME")]
    stdin_name: Option<String>,
    /// Ask for a text
    #[arg(long, short = 'p')]
    prompt: bool,
    /// Write to this file instead; `-` stands for stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    label: LabelArgs,
}

#[derive(Debug, clap::Args)]
struct RekeyArgs {
    /// The files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Encrypt with the password in this file, or with the password that it prints if it is a program
    #[arg(long, value_name = "FILE", alias = "new-vault-pass-file", conflicts_with = "new_vault_id")]
    new_vault_password_file: Option<PathBuf>,
    /// Encrypt with this password, which has a label; the source is a file, a program, or `prompt`
    #[arg(long, value_name = "LABEL@SOURCE")]
    new_vault_id: Option<String>,
    #[command(flatten)]
    label: LabelArgs,
}

/// Runs `muster vault …`.
pub(super) fn run(context: &Context, command: VaultCommand) -> CommandResult {
    let mut settings = context.settings.clone();
    if settings.vault.is_empty() {
        settings.vault = AnsibleConfig::read()?.vault();
    }
    let context = &context.with(settings, Vars::new());
    match command.verb {
        Verb::View { files } => view(context, &files),
        Verb::Edit(args) => edit(context, &args),
        Verb::Create(args) => create(context, &args),
        Verb::Encrypt(args) => encrypt(context, &args),
        Verb::Decrypt(args) => decrypt(context, &args),
        Verb::EncryptString(args) => encrypt_string(context, &args),
        Verb::Rekey(args) => rekey(context, &args),
    }?;
    Ok(ExitStatus::Done)
}

/// Returns the passwords, or one that is asked for.
pub(super) fn keyring(context: &Context) -> Result<Keyring, CommandError> {
    let mut sources = context.vault_sources();
    if sources.is_empty() {
        sources.push(PasswordSource::prompt());
    }
    sources.iter().map(PasswordSource::read).collect::<Result<_, _>>().map(Keyring::new)
}

/// Returns the password that encrypts: the one with the label, or the only one.
fn sealing_password(context: &Context, args: &LabelArgs) -> Result<LabelledPassword, CommandError> {
    let (sources, label) = (context.vault_sources(), args.encrypt_vault_id.as_deref());
    let Some(first) = sources.first() else {
        let source = PasswordSource::prompt();
        return Ok(LabelledPassword { label: label.unwrap_or(DEFAULT_LABEL).to_owned(), ..source.read_new()? });
    };
    let labels = || sources.iter().map(PasswordSource::label).collect::<Vec<_>>().join(", ");
    let Some(label) = label else {
        if sources.iter().all(|source| source.label() == first.label()) {
            return first.read_new();
        }
        let error = CommandError::usage(format!("there are passwords with different labels: {}", labels()));
        return Err(error.hint("Name the label to encrypt with: `--encrypt-vault-id LABEL`."));
    };
    let named = sources.iter().find(|source| source.label() == label);
    named.ok_or_else(|| CommandError::usage(format!("no password has the label `{label}`: {}", labels())))?.read_new()
}

/// Opens the content of a file. Returns also the password that fits.
pub(super) fn open<'k>(
    keyring: &'k Keyring,
    path: &Path,
    bytes: Vec<u8>,
) -> Result<(&'k LabelledPassword, SecretSlice<u8>), CommandError> {
    let text = String::from_utf8(bytes).ok().filter(|text| is_vault(text.trim_start()));
    let what = || CommandError::usage(format!("{} is not encrypted with Ansible Vault", path.display()));
    let opened = keyring.decrypt(text.ok_or_else(what)?.trim_start());
    opened.map_err(|error| CommandError { status: ExitStatus::Failed, ..Diagnostic::of_vault(path, &error).into() })
}

fn seal(text: &[u8], password: &LabelledPassword) -> Result<String, CommandError> {
    let sealed = vault::seal(text, &password.password, Some(&password.label), None);
    sealed.map(|vault| vault.to_text()).map_err(|error| CommandError::failed(format!("the text {error}")))
}

fn view(context: &Context, paths: &[PathBuf]) -> Result<(), CommandError> {
    let keyring = keyring(context)?;
    for path in paths {
        let (_, text) = open(&keyring, path, files::read(path)?)?;
        ui::result_bytes(text.expose_secret());
    }
    Ok(())
}

/// Returns the files to read, and where each is written.
fn routes(paths: &[PathBuf], output: Option<&Path>) -> Result<Vec<(PathBuf, PathBuf)>, CommandError> {
    let stdin = [PathBuf::from(STDIN)];
    let paths = if paths.is_empty() { &stdin[..] } else { paths };
    if output.is_some() && paths.len() > 1 {
        return Err(CommandError::usage("--output is for one file"));
    }
    Ok(paths.iter().map(|path| (path.clone(), output.unwrap_or(path).to_owned())).collect())
}

fn encrypt(context: &Context, args: &EncryptArgs) -> Result<(), CommandError> {
    let routes = routes(&args.files, args.output.as_deref())?;
    let read = |(from, to): &(PathBuf, PathBuf)| {
        let bytes = files::read(from)?;
        if is_vault(&bytes) {
            let error = CommandError::usage(format!("{} is encrypted with Ansible Vault already", from.display()));
            return Err(error.hint("Nothing was changed. `muster vault rekey` changes the password."));
        }
        Ok((to.clone(), SecretSlice::from(bytes)))
    };
    let texts = routes.iter().map(read).collect::<Result<Vec<_>, CommandError>>()?;
    let password = sealing_password(context, &args.label)?;
    for (to, text) in texts {
        files::write(&to, seal(text.expose_secret(), &password)?.as_bytes())?;
    }
    ui::status("Encryption successful");
    Ok(())
}

fn decrypt(context: &Context, args: &DecryptArgs) -> Result<(), CommandError> {
    let routes = routes(&args.files, args.output.as_deref())?;
    let keyring = keyring(context)?;
    let read = |(from, to): &(PathBuf, PathBuf)| Ok((to.clone(), open(&keyring, from, files::read(from)?)?.1));
    let texts = routes.iter().map(read).collect::<Result<Vec<_>, CommandError>>()?;
    for (to, text) in texts {
        files::write(&to, text.expose_secret())?;
    }
    ui::status("Decryption successful");
    Ok(())
}

fn rekey(context: &Context, args: &RekeyArgs) -> Result<(), CommandError> {
    let keyring = keyring(context)?;
    let read = |path: &PathBuf| Ok((path.clone(), open(&keyring, path, files::read(path)?)?.1));
    let texts = args.files.iter().map(read).collect::<Result<Vec<_>, CommandError>>()?;
    let of_file = args.new_vault_password_file.clone().map(PasswordSource::file);
    let labelled = args.new_vault_id.as_deref().map(|id| PasswordSource::parse(id, &Path::to_path_buf));
    let mut password = labelled.or(of_file).unwrap_or_else(PasswordSource::prompt).read_new()?;
    password.label = args.label.encrypt_vault_id.clone().unwrap_or(password.label);
    for (path, text) in texts {
        files::write(&path, seal(text.expose_secret(), &password)?.as_bytes())?;
    }
    ui::status("Rekey successful");
    Ok(())
}

fn edit(context: &Context, args: &EditArgs) -> Result<(), CommandError> {
    let keyring = keyring(context)?;
    for path in &args.files {
        let (password, text) = open(&keyring, path, files::read(path)?)?;
        let edited = edited(context, path, text.expose_secret())?;
        if edited.expose_secret() == text.expose_secret() && args.label.encrypt_vault_id.is_none() {
            ui::status(&format!("{} is unchanged", path.display()));
            continue;
        }
        let password = match &args.label.encrypt_vault_id {
            Some(_) => sealing_password(context, &args.label)?,
            None => password.clone(),
        };
        files::write(path, seal(edited.expose_secret(), &password)?.as_bytes())?;
    }
    Ok(())
}

/// Lets the operator edit the text of a file, and returns the new one. The copy that was edited is removed.
fn edited(context: &Context, path: &Path, text: &[u8]) -> Result<SecretSlice<u8>, CommandError> {
    let name = path.file_name().unwrap_or_default();
    Ok(editor::edit(context, &settings::editor(), name, text)?.text)
}

fn create(context: &Context, args: &EditArgs) -> Result<(), CommandError> {
    if let Some(path) = args.files.iter().find(|path| path.exists()) {
        let error = CommandError::usage(format!("{} exists", path.display()));
        return Err(error.hint("`muster vault edit` edits an encrypted file."));
    }
    let password = sealing_password(context, &args.label)?;
    for path in &args.files {
        let text = edited(context, path, b"")?;
        files::write(path, seal(text.expose_secret(), &password)?.as_bytes())?;
    }
    Ok(())
}

/// How deep the lines of a vault are indented in YAML.
const INDENT: &str = "          ";

fn encrypt_string(context: &Context, args: &StringArgs) -> Result<(), CommandError> {
    let texts = texts(args)?;
    let password = sealing_password(context, &args.label)?;
    let mut values = Vec::new();
    for (name, text) in texts {
        let sealed = seal(text.expose_secret(), &password)?;
        let lines: String = sealed.lines().map(|line| format!("\n{INDENT}{line}")).collect();
        values.push(format!("{}!vault |{lines}\n", name.map(|name| format!("{name}: ")).unwrap_or_default()));
    }
    let all = values.join("");
    files::write(args.output.as_deref().unwrap_or(Path::new(STDIN)), all.as_bytes())?;
    ui::status("Encryption successful");
    Ok(())
}

/// A text with the name of its variable.
type NamedText = (Option<String>, SecretSlice<u8>);

/// Returns the texts to encrypt.
fn texts(args: &StringArgs) -> Result<Vec<NamedText>, CommandError> {
    let mut texts: Vec<NamedText> = Vec::new();
    let mut names = args.names.iter().cloned();
    let reads_stdin = args.stdin_name.is_some() || args.texts.iter().any(|text| text == STDIN);
    if args.prompt {
        let text = rpassword::prompt_password("String to encrypt: ")
            .map_err(|error| CommandError::usage("cannot ask for the text").caused_by(error))?;
        texts.push((names.next(), text.into_bytes().into()));
    }
    if reads_stdin || (args.texts.is_empty() && !args.prompt) {
        texts.push((args.stdin_name.clone().or_else(|| names.next()), files::read(Path::new(STDIN))?.into()));
    }
    for text in args.texts.iter().filter(|text| *text != STDIN) {
        texts.push((names.next(), text.as_bytes().to_vec().into()));
    }
    if names.next().is_some() {
        return Err(CommandError::usage("there are more names than texts"));
    }
    if texts.iter().any(|(_, text)| text.expose_secret().is_empty()) {
        return Err(CommandError::usage("a text to encrypt is empty"));
    }
    Ok(texts)
}
