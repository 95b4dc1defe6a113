//! The actions: a module's arguments after templating, typed and checked.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::cluster::UnitGoal;
use super::cluster::UnitRequest;
use super::file::File;
use super::module::Module;
use super::template;
use super::template::Scope;
use super::wait::Condition;
use super::wait::Wait;
use crate::core::unit::UnitFile;
use crate::core::unit::UnitName;
use crate::inventory::Vars;

/// The largest file that a playbook may copy to a host, in bytes.
const FILE_LIMIT: u64 = 64 << 20;

/// One thing that a task does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Run a command on the host.
    Command(CommandLine),
    /// Write a file on the host.
    File(File),
    /// Wait for a port or a file on the host.
    Wait(Wait),
    /// Request a unit from the cluster.
    Unit(UnitRequest),
    /// Join the host into the cluster.
    Join,
}

/// A command to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The directory in which it runs. `creates` and `removes` are relative to it.
    pub chdir: Option<String>,
    /// A path or a glob. If it exists on the host, the command does not run.
    pub creates: Option<String>,
    /// A path or a glob. Unless it exists on the host, the command does not run.
    pub removes: Option<String>,
    /// The command's stdin.
    pub stdin: Vec<u8>,
}

impl Action {
    /// Reads a module's arguments after templating. `folder` is the playbook's, in which files are looked up.
    pub fn new(module: Module, args: &Vars, scope: &Scope, folder: &Path) -> Result<Self, String> {
        let args = Arguments { args, scope, folder };
        match module {
            Module::Command => args.command().map(Self::Command),
            Module::Copy => args.copy().map(Self::File),
            Module::Template => args.template().map(Self::File),
            Module::WaitFor => args.wait().map(Self::Wait),
            Module::Unit => args.unit().map(Self::Unit),
            Module::Join => Ok(Self::Join),
        }
    }
}

struct Arguments<'a> {
    args: &'a Vars,
    scope: &'a Scope,
    folder: &'a Path,
}

impl Arguments<'_> {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.args.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => scalar_text(value).map(Some).ok_or_else(|| format!("`{name}` must be text")),
        }
    }

    /// Returns a text unless it is empty.
    fn non_empty(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    fn required(&self, name: &str) -> Result<String, String> {
        self.non_empty(name)?.ok_or_else(|| format!("`{name}` is empty"))
    }

    fn command(&self) -> Result<CommandLine, String> {
        let argv = match self.args.get("argv") {
            Some(Value::Array(words)) => {
                words.iter().map(scalar_text).collect::<Option<Vec<_>>>().ok_or("`argv` must be a list of words")?
            }
            Some(_) => return Err("`argv` must be a list of words".to_owned()),
            None => shlex::split(&self.required("cmd")?).ok_or("the quotes in the command do not match")?,
        };
        if argv.is_empty() {
            return Err("there is no command to run".to_owned());
        }
        let (chdir, creates, removes) =
            (self.non_empty("chdir")?, self.non_empty("creates")?, self.non_empty("removes")?);
        Ok(CommandLine { argv, chdir, creates, removes, stdin: self.stdin()? })
    }

    fn stdin(&self) -> Result<Vec<u8>, String> {
        let Some(mut text) = self.text("stdin")? else { return Ok(Vec::new()) };
        let newline = self.text("stdin_add_newline")?.unwrap_or_else(|| "yes".to_owned());
        if template::parse_bool(&newline).ok_or("`stdin_add_newline` must be true or false")? {
            text.push('\n');
        }
        Ok(text.into_bytes())
    }

    /// Returns the path of a file of the playbook: in `files` or `templates`, or else beside the playbook.
    fn find_file(&self, name: &str, folder: &str) -> Result<PathBuf, String> {
        let given = self.required(name)?;
        let candidates = [self.folder.join(folder).join(&given), self.folder.join(&given)];
        let found = candidates.into_iter().find(|path| path.is_file());
        found.ok_or_else(|| format!("`{name}`: there is no file {given} in {}", self.folder.display()))
    }

    fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        if path.metadata().map_err(failed)?.len() > FILE_LIMIT {
            return Err(format!("{} is larger than {} MiB", path.display(), FILE_LIMIT >> 20));
        }
        std::fs::read(path).map_err(failed)
    }

    fn render_file(&self, path: &Path) -> Result<String, String> {
        let text =
            String::from_utf8(Self::read_bytes(path)?).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
        self.scope.render_file(&text).map_err(|detail| format!("{}: {detail}", path.display()))
    }

    fn copy(&self) -> Result<File, String> {
        let (content, name) = match self.args.get("content") {
            Some(Value::String(text)) => (text.clone().into_bytes(), None),
            Some(value) => (scalar_text(value).unwrap_or_else(|| template::to_json(value)).into_bytes(), None),
            None => {
                let path = self.find_file("src", "files")?;
                (Self::read_bytes(&path)?, Some(file_name(&path)))
            }
        };
        self.file(content, name)
    }

    fn template(&self) -> Result<File, String> {
        let path = self.find_file("src", "templates")?;
        let name = file_name(&path);
        let name = name.strip_suffix(".j2").unwrap_or(&name).to_owned();
        self.file(self.render_file(&path)?.into_bytes(), Some(name))
    }

    fn file(&self, content: Vec<u8>, name: Option<String>) -> Result<File, String> {
        let dest = self.required("dest")?;
        if !dest.starts_with(['/', '~']) {
            return Err(format!("`dest` must be an absolute path, not `{dest}`"));
        }
        if name.is_none() && dest.ends_with('/') {
            return Err("`dest` must name a file when the task brings its `content`".to_owned());
        }
        Ok(File { content, dest, name, mode: self.mode()?, owner: self.text("owner")?, group: self.text("group")? })
    }

    fn mode(&self) -> Result<Option<String>, String> {
        let hint = "write it as octal digits in quotes, such as '0644'";
        let mode = match self.args.get("mode") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => return Err(format!("`mode` {other} is ambiguous; {hint}")),
        };
        let octal = matches!(mode.len(), 3 | 4) && mode.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        if octal { Ok(Some(mode.clone())) } else { Err(format!("invalid `mode` {mode}; {hint}")) }
    }

    fn wait(&self) -> Result<Wait, String> {
        let number = |name: &str| -> Result<Option<u64>, String> {
            let parse =
                |text: String| text.parse().map_err(|_| format!("`{name}` must be a whole number, not `{text}`"));
            self.text(name)?.map(parse).transpose()
        };
        let condition = match number("port")? {
            Some(port) => {
                let port = u16::try_from(port).ok().filter(|port| *port > 0);
                let port = port.ok_or("`port` must be from 1 to 65535")?;
                match self.text("host")? {
                    Some(host) if !matches!(host.as_str(), "" | "127.0.0.1" | "localhost" | "::1") => {
                        Condition::Answering(host, port)
                    }
                    _ => Condition::Listening(port),
                }
            }
            None => Condition::Path(self.required("path")?),
        };
        let present = match self.text("state")?.as_deref() {
            None | Some("started" | "present") => true,
            Some("stopped" | "absent") => false,
            Some(other) => return Err(format!("`state` must be started, stopped, present or absent, not `{other}`")),
        };
        Ok(Wait { condition, present, timeout: number("timeout")?.unwrap_or(300) })
    }

    fn unit(&self) -> Result<UnitRequest, String> {
        let name = self.required("name")?;
        let name = UnitName::from_argument(&name).map_err(|error| format!("`{name}`: {error}"))?;
        let goal = match self.text("state")?.as_deref() {
            Some("submitted") => UnitGoal::Submitted,
            Some("loaded") => UnitGoal::Loaded,
            None | Some("started") => UnitGoal::Started,
            Some("stopped") => UnitGoal::Stopped,
            Some("absent") => UnitGoal::Absent,
            Some("restarted") => UnitGoal::Restarted,
            Some(other) => {
                let known = "submitted, loaded, started, stopped, absent or restarted";
                return Err(format!("`state` must be {known}, not `{other}`"));
            }
        };
        let (path, text) = if self.args.contains_key("src") {
            let path = self.find_file("src", "files")?;
            let text = String::from_utf8(Self::read_bytes(&path)?);
            let text = text.map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
            (path, text)
        } else if self.args.contains_key("template") {
            let path = self.find_file("template", "templates")?;
            let text = self.render_file(&path)?;
            (path, text)
        } else {
            return Ok(UnitRequest { name, goal, file: None });
        };
        let file = UnitFile::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(UnitRequest { name, goal, file: Some(file) })
    }
}

/// Returns a scalar as text, as Ansible writes it; `None` for a list, a map or null.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(if *flag { "True" } else { "False" }.to_owned()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
