//! `fetch`: copies a file of the host to the machine on which muster runs.
//!
//! The path there is made of the arguments of the task. The host decides nothing but the content and its home directories.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use sha1::Digest as _;
use sha1::Sha1;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::core::hex;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::file::sha256;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Copies a file from the host.
pub(super) struct Fetch;

static SPEC: Spec = Spec::new(
    "fetch",
    &["ansible.builtin", "ansible.legacy"],
    "Copies a file of the host to the machine on which muster runs.",
    &[
        Parameter::new("src", Kind::Text, "The path of the file on the host."),
        Parameter::new(
            "dest",
            Kind::Text,
            "The folder, in which the file gets the name of the host and its whole path.",
        ),
        Parameter::new("flat", Kind::Flag, "Whether `dest` is the file itself, or its folder if it ends in `/`."),
        Parameter::new("fail_on_missing", Kind::Flag, "Whether the task fails if there is no file (default: true)."),
        Parameter::new("validate_checksum", Kind::Flag, "Whether the content is compared; muster always does so."),
    ],
)
.needs(&[&["src"], &["dest"]]);

/// How much of a file is read at once, in bytes.
const CHUNK: usize = 4 << 20;
/// The largest file that is fetched, in bytes.
const LIMIT: usize = 256 << 20;

impl Module for Fetch {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let text_of = |name: &str| match arguments.scope.variable(name).transpose()? {
            Some(Value::String(text)) => Ok(text),
            _ => Err(format!("`{name}` is undefined")),
        };
        let given = arguments.required("dest")?;
        let flat = arguments.flag("flat")?.unwrap_or(false);
        let dest = Path::new(&text_of("playbook_dir")?).join(&given);
        let host = text_of("inventory_hostname")?;
        let dest = match (flat, given.ends_with('/')) {
            (true, true) => Destination::Folder(dest),
            (true, false) if dest.is_dir() => {
                let hint = "use a trailing slash if you want to fetch src into that directory";
                return Err(format!("dest is an existing directory, {hint}"));
            }
            (true, false) => Destination::File(dest),
            (false, _) => Destination::Tree(dest.join(host)),
        };
        let fails = arguments.flag("fail_on_missing")?.unwrap_or(true);
        Ok(Action::on_host(Fetched { source: arguments.required("src")?, dest, fails }))
    }
}

/// Where a file goes.
enum Destination {
    /// To this path.
    File(PathBuf),
    /// Into this folder.
    Folder(PathBuf),
    /// Below this folder, with its whole path.
    Tree(PathBuf),
}

impl Destination {
    fn path(&self, source: &str) -> Result<PathBuf, String> {
        let below =
            Path::new(source).components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
        let below: PathBuf = below.collect();
        if below.components().any(|part| part == Component::ParentDir) {
            return Err(format!("`src` must not contain `..`: {source}"));
        }
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Folder(folder) => {
                Ok(folder.join(below.file_name().ok_or_else(|| format!("`src` {source} has no name"))?))
            }
            Self::Tree(folder) => Ok(folder.join(below)),
        }
    }
}

/// A file to fetch.
struct Fetched {
    source: String,
    dest: Destination,
    fails: bool,
}

/// The script that prints a part of the file.
const SCRIPT: &str = r#"
say file "$src"
if [ -d "$src" ]; then say problem "remote file is a directory, fetch cannot work on directories" && exit 0; fi
[ -e "$src" ] || { say problem "the remote file does not exist, not transferring, ignored" && exit 0; }
[ -f "$src" ] || { say problem "the remote file is neither a file nor a link" && exit 0; }
[ -r "$src" ] || { say problem "File is not readable: $src" && exit 0; }
say size "$(stat -Lc %s -- "$src")"
if [ -n "$hashes" ]; then s=$(sha256sum < "$src") && say sum "${s%% *}"; fi
say content
tail -c "+$((offset + 1))" < "$src" | head -c "$chunk"
"#;

impl Fetched {
    fn problem(&self, problem: &str, file: &str) -> Outcome {
        if self.fails {
            return Outcome::failed(problem);
        }
        let suffix = if problem.ends_with("ignored") { "" } else { ", not transferring, ignored" };
        let vars = [("msg", format!("{problem}{suffix}")), ("file", file.to_owned())];
        Outcome::done(false, Vars::from_iter(vars.map(|(name, value)| (name.to_owned(), value.into()))))
    }

    /// Writes the file unless it is there already.
    async fn store(&self, dest: &Path, content: &[u8], source: &str) -> std::io::Result<Outcome> {
        let old = tokio::fs::read(dest).await.ok();
        let is_changed = old.as_deref() != Some(content);
        if is_changed {
            if let Some(folder) = dest.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            tokio::fs::write(dest, content).await?;
        }
        let checksum = hex::digits(&Sha1::digest(content));
        let mut vars = Vars::from_iter([
            ("dest".to_owned(), dest.display().to_string().into()),
            ("checksum".to_owned(), checksum.clone().into()),
        ]);
        if is_changed {
            vars.insert("remote_checksum".to_owned(), checksum.into());
        } else {
            vars.insert("file".to_owned(), source.into());
        }
        Ok(Outcome::done(is_changed, vars))
    }
}

#[async_trait::async_trait]
impl HostAction for Fetched {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        if connection.check {
            let msg = "check mode not (yet) supported for this module";
            let detail = Vars::from_iter([("msg".to_owned(), msg.into())]);
            return Ok(Outcome { detail, ..Outcome::skipped() });
        }
        let (mut content, mut sum, mut source) = (Vec::new(), None, String::new());
        loop {
            let script = HostScript::new(SCRIPT)
                .path("src", &self.source)
                .set("offset", &content.len().to_string())
                .set("chunk", &CHUNK.to_string())
                .flag("hashes", sum.is_none());
            let report = script.run(connection).await?;
            if let Some(problem) = report.get("problem") {
                return Ok(self.problem(problem, report.get("file").unwrap_or_default()));
            }
            sum = sum.or_else(|| report.get("sum").map(str::to_owned));
            report.get("file").unwrap_or_default().clone_into(&mut source);
            content.extend_from_slice(&report.content);
            let size = report.get("size").and_then(|size| size.parse().ok()).unwrap_or(0);
            if size > LIMIT {
                return Err(Outcome::failed(format!("{source} is larger than {} MiB", LIMIT >> 20)));
            }
            if content.len() >= size || report.content.is_empty() {
                break;
            }
        }
        if sum != Some(sha256(&content)) {
            return Err(Outcome::failed(format!("checksum mismatch: {source} changed while it was read")));
        }
        let dest = self.dest.path(&source).map_err(Outcome::failed)?;
        self.store(&dest, &content, &source).await.map_err(|why| Outcome::failed(format!("{}: {why}", dest.display())))
    }
}
