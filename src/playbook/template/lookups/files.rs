//! Lookups that read files or run commands on the machine where the playbook runs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use minijinja::Error;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::super::Scope;
use super::super::arguments::Arguments;
use super::super::random::Random;
use super::super::value;
use super::super::value::text;
use super::super::value::wrong;

/// The largest file that a lookup reads, in bytes.
const FILE_BYTES: u64 = 16 << 20;

fn read(scope: &Scope, path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| wrong(format!("cannot read {}: {error}", path.display()));
    if fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
        return Err(wrong(format!("{} has more than {FILE_BYTES} bytes", path.display())));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let bytes = scope.vault().open_file(bytes).map_err(|error| wrong(format!("{} {error}", path.display())))?;
    String::from_utf8(bytes).map_err(|_| wrong(format!("{} is not UTF-8", path.display())))
}

fn found(scope: &Scope, kind: &str, name: &str) -> Result<PathBuf, Error> {
    scope.surroundings()?.find(kind, name).ok_or_else(|| wrong(format!("there is no file `{name}`")))
}

pub(super) fn file(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let trims = |name: &str, default: bool| arguments.by_name(name).map_or(default, |flag| flag.is_true());
    let content = |term: &Value| {
        let mut content = read(scope, &found(scope, "files", &text(term))?)?;
        if trims("lstrip", false) {
            content.drain(..content.len() - content.trim_start().len());
        }
        if trims("rstrip", true) {
            content.truncate(content.trim_end().len());
        }
        Ok(Value::from(content))
    };
    terms.iter().map(content).collect()
}

pub(super) fn unvault(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    terms.iter().map(|term| Ok(Value::from(read(scope, &found(scope, "files", &text(term))?)?))).collect()
}

pub(super) fn template(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let extra = match arguments.by_name("template_vars") {
        Some(variables) => value::to_json(&variables)?.as_object().cloned().unwrap_or_default(),
        None => crate::inventory::Vars::new(),
    };
    let render = |term: &Value| {
        let given = text(term);
        let path = found(scope, "templates", &given)?;
        scope.render_looked_up(&read(scope, &path)?, (&path, &given), extra.clone()).map(Value::from).map_err(wrong)
    };
    terms.iter().map(render).collect()
}

/// Runs a command and returns its output.
fn output(scope: &Scope, command: &str) -> Result<String, Error> {
    let mut process = Command::new("/bin/sh");
    process.arg("-c").arg(command).env_clear().envs(&scope.surroundings()?.environment);
    if let Some(folder) = scope.surroundings()?.folders.last() {
        process.current_dir(folder);
    }
    let output = process.output().map_err(|error| wrong(format!("cannot run `{command}`: {error}")))?;
    if !output.status.success() {
        let code = output.status.code().map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        return Err(wrong(format!("`{command}` ended with {code}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(super) fn pipe(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    terms.iter().map(|term| Ok(Value::from(output(scope, &text(term))?.trim_end()))).collect()
}

pub(super) fn lines(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        all.extend(output(scope, &text(term))?.lines().map(Value::from));
    }
    Ok(all)
}

/// The option of `first_found` by which a loop says what its task looks for. It has blanks: no template can give it.
pub(super) const KIND: &str = "kind of file";

pub(super) fn first_found(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let mut skips = arguments.by_name("skip").is_some_and(|flag| flag.is_true());
    let mut candidates = Vec::new();
    let mut open: Vec<Value> = terms.iter().rev().cloned().collect();
    if let Some(files) = arguments.by_name("files") {
        let paths = arguments.by_name("paths").unwrap_or_default();
        open.push(value::map([(Value::from("files"), files), (Value::from("paths"), paths)]));
    }
    while let Some(term) = open.pop() {
        match term.kind() {
            ValueKind::Seq | ValueKind::Iterable => open.extend(value::items(&term)?.into_iter().rev()),
            ValueKind::Map => {
                skips |= term.get_attr("skip")?.is_true();
                candidates.extend(combinations(&term)?);
            }
            _ => candidates.push(text(&term)),
        }
    }
    let (surroundings, kind) = (scope.surroundings()?, arguments.by_name(KIND));
    let place = |name: &String| match &kind {
        Some(kind) => surroundings.find(&text(kind), name),
        // As in Ansible, the function `lookup` searches beside the playbook only.
        None => surroundings.folders.iter().map(|folder| folder.join(name)).find(|path| path.exists()),
    };
    match candidates.iter().find_map(place) {
        Some(path) => Ok(vec![Value::from(path.to_string_lossy())]),
        None if skips => Ok(Vec::new()),
        None => Err(wrong("none of the files is there")),
    }
}

/// Returns the files in each of the paths of a term.
fn combinations(term: &Value) -> Result<Vec<String>, Error> {
    let list = |name: &str| -> Result<Vec<String>, Error> {
        let value = term.get_attr(name)?;
        match value.as_str() {
            Some(text) => Ok(text.split([',', ':', ';']).map(|part| part.trim().to_owned()).collect()),
            None if value.is_undefined() || value.is_none() => Ok(Vec::new()),
            None => Ok(value::items(&value)?.iter().map(text_of).collect()),
        }
    };
    let (files, paths) = (list("files")?, list("paths")?);
    if paths.is_empty() {
        return Ok(files);
    }
    let joined = |path: &String| {
        files.iter().map(move |file| Path::new(path).join(file).to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    Ok(paths.iter().flat_map(joined).collect())
}

fn text_of(value: &Value) -> String {
    text(value)
}

pub(super) fn fileglob(scope: &Scope, terms: &[Value], _: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        let term = text(term);
        let (folder, pattern) = super::super::filters::split_path(&term);
        let glob = globset::Glob::new(pattern).map_err(|error| wrong(error.to_string()))?.compile_matcher();
        let folders =
            scope.surroundings()?.folders.iter().flat_map(|base| [base.join("files").join(folder), base.join(folder)]);
        let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else { continue };
        let entries = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
        let is_match = |entry: &fs::DirEntry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            glob.is_match(&name) && (pattern.starts_with('.') || !name.starts_with('.'))
        };
        let files = entries.filter(is_match).map(|entry| entry.path()).filter(|path| path.is_file());
        let mut files: Vec<PathBuf> = files.collect();
        files.sort();
        all.extend(files.iter().map(|path| Value::from(path.to_string_lossy())));
    }
    Ok(all)
}

/// Splits a term such as `port section=web file=x.ini` into its first word and its options.
fn options(term: &str, arguments: &Arguments) -> (String, Vec<(String, String)>) {
    let mut options: Vec<(String, String)> =
        arguments.named().into_iter().map(|(name, value)| (name, text(&value))).collect();
    let mut first = String::new();
    for word in term.split_whitespace() {
        match word.split_once('=') {
            Some((name, value)) => options.push((name.to_owned(), value.to_owned())),
            None if first.is_empty() => word.clone_into(&mut first),
            None => first = format!("{first} {word}"),
        }
    }
    (first, options)
}

fn option<'o>(options: &'o [(String, String)], name: &str, default: &'o str) -> &'o str {
    options.iter().rev().find(|(known, _)| known == name).map_or(default, |(_, value)| value)
}

pub(super) fn ini(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        let (key, options) = options(&text(term), arguments);
        let content = read(scope, &found(scope, "files", option(&options, "file", "ansible.ini"))?)?;
        let mut section = "";
        let mut value = None;
        for line in content.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name;
            } else if section == option(&options, "section", "global") {
                let pair = line.split_once(['=', ':']).filter(|(name, _)| name.trim().eq_ignore_ascii_case(&key));
                value = pair.map(|(_, value)| value.trim().to_owned()).or(value);
            }
        }
        all.push(Value::from(value.as_deref().unwrap_or_else(|| option(&options, "default", ""))));
    }
    Ok(all)
}

pub(super) fn csvfile(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    let mut all = Vec::new();
    for term in terms {
        let (key, options) = options(&text(term), arguments);
        let content = read(scope, &found(scope, "files", option(&options, "file", "ansible.csv"))?)?;
        let delimiter = match option(&options, "delimiter", "TAB") {
            "TAB" | "\\t" => "\t",
            delimiter => delimiter,
        };
        if content.contains('"') {
            return Err(wrong("muster reads no quotes in CSV files"));
        }
        let column =
            option(&options, "col", "1").parse::<usize>().map_err(|_| wrong("`col` must be a whole number"))?;
        let row = content
            .lines()
            .map(|line| line.split(delimiter).collect::<Vec<_>>())
            .find(|row| row.first() == Some(&key.as_str()));
        match row {
            Some(row) => all.push(Value::from(row.get(column).copied().unwrap_or_default())),
            None => all.extend(
                options.iter().find(|(name, _)| name == "default").map(|(_, value)| Value::from(value.as_str())),
            ),
        }
    }
    Ok(all)
}

/// The characters of a password by default: letters, digits and some signs.
const CHARACTERS: &str = "ascii_letters,digits,.,:-_";

pub(super) fn password(scope: &Scope, terms: &[Value], arguments: &Arguments) -> Result<Vec<Value>, Error> {
    terms.iter().map(|term| one_password(scope, &text(term), arguments).map(Value::from)).collect()
}

fn one_password(scope: &Scope, term: &str, arguments: &Arguments) -> Result<String, Error> {
    let (name, options) = options(term, arguments);
    if !option(&options, "encrypt", "").is_empty() {
        return Err(wrong("muster cannot encrypt passwords"));
    }
    let path = scope.surroundings()?.folders.last().map(|folder| folder.join(&name));
    let path = path.filter(|_| name != "/dev/null");
    if let Some(path) = path.as_deref().filter(|path| path.exists()) {
        let content = read(scope, path)?;
        let line = content.lines().next().unwrap_or_default();
        return Ok(line.split(" salt=").next().unwrap_or_default().to_owned());
    }
    let length = option(&options, "length", "20").parse::<usize>().ok().filter(|length| *length <= 4096);
    let length = length.ok_or_else(|| wrong("`length` must be from 0 to 4096"))?;
    let characters = characters(option(&options, "chars", CHARACTERS));
    let seed = options.iter().find(|(name, _)| name == "seed").map(|(_, seed)| Value::from(seed.as_str()));
    let mut random = Random::new(seed.as_ref());
    let mut next = || usize::try_from(random.below(characters.len() as u64)).ok().and_then(|at| characters.get(at));
    let password: String = (0..length).filter_map(|_| next()).collect();
    if let Some(path) = path {
        store(&path, &password).map_err(|error| wrong(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(password)
}

fn characters(sets: &str) -> Vec<char> {
    let mut all = Vec::new();
    for set in sets.replace(",,", "\0").split(',') {
        match set {
            "ascii_letters" => all.extend(('a'..='z').chain('A'..='Z')),
            "ascii_lowercase" => all.extend('a'..='z'),
            "ascii_uppercase" => all.extend('A'..='Z'),
            "digits" => all.extend('0'..='9'),
            "hexdigits" => all.extend("0123456789abcdefABCDEF".chars()),
            "octdigits" => all.extend('0'..='7'),
            "punctuation" => all.extend((33..127_u8).map(char::from).filter(char::is_ascii_punctuation)),
            other => all.extend(other.replace('\0', ",").chars()),
        }
    }
    all
}

/// Writes a new password to its file, which only its owner may read.
fn store(path: &Path, password: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{password}")
}
