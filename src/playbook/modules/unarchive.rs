//! `unarchive`: unpacks an archive on the host with tar(1) or unzip(1).

use bytes::Bytes;

use super::Arguments;
use super::Module;
use super::arguments::DECRYPT;
use super::destination;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::Attributes;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Unpacks an archive.
pub(super) struct Unarchive;

static SPEC: Spec = Spec::new(
    "unarchive",
    &["ansible.builtin", "ansible.legacy"],
    "Unpacks an archive of tar or zip on the host.",
    &[
        Parameter::new("src", Kind::Text, "The archive, in `files` or beside the playbook."),
        Parameter::new("dest", Kind::Text, "The directory, which must exist."),
        Parameter::new("remote_src", Kind::Flag, "Whether `src` is on the host (default: false)."),
        Parameter::new("copy", Kind::Flag, "The opposite of `remote_src`."),
        DECRYPT,
        Parameter::new("creates", Kind::Text, "A path; if it exists, nothing is unpacked."),
        Parameter::new("exclude", Kind::List, "Files that are not unpacked."),
        Parameter::new("include", Kind::List, "The only files that are unpacked."),
        Parameter::new("extra_opts", Kind::List, "More options for tar or unzip."),
        Parameter::new("keep_newer", Kind::Flag, "Whether files that are newer than those of the archive stay."),
        Parameter::new("list_files", Kind::Flag, "Whether the result has the files of the archive."),
        destination::MODE,
    ],
)
.with(&destination::ATTRIBUTES)
.needs(&[&["src"], &["dest"]])
.excludes(&[&["remote_src", "copy"], &["include", "exclude"]]);

impl Module for Unarchive {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let flag = |name: &str| arguments.flag(name);
        let is_remote = flag("remote_src")?.or(flag("copy")?.map(|copy| !copy)).unwrap_or(false);
        let list = |name: &str| Ok::<_, String>(arguments.list(name)?.unwrap_or_default());
        let source = arguments.required("src")?;
        if source.contains("://") {
            return Err("`src` cannot be a URL: get the archive with `get_url` first".to_owned());
        }
        let content = if is_remote { None } else { Some(arguments.read(&arguments.find_file("src", "files")?)?) };
        Ok(Action::on_host(Archive {
            content,
            source,
            dest: arguments.required("dest")?,
            creates: arguments.non_empty("creates")?,
            exclude: list("exclude")?,
            include: list("include")?,
            options: list("extra_opts")?,
            keep_newer: flag("keep_newer")?.unwrap_or(false),
            list_files: flag("list_files")?.unwrap_or(false),
            attributes: arguments.attributes()?,
        }))
    }
}

/// An archive to unpack.
struct Archive {
    /// The archive, unless it is on the host.
    content: Option<Bytes>,
    source: String,
    dest: String,
    creates: Option<String>,
    exclude: Vec<String>,
    include: Vec<String>,
    options: Vec<String>,
    keep_newer: bool,
    list_files: bool,
    attributes: Attributes,
}

#[async_trait::async_trait]
impl HostAction for Archive {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let words = |words: &[String]| {
            let quoted =
                words.iter().map(|word| shlex::try_quote(word).map(String::from)).collect::<Result<Vec<_>, _>>();
            quoted.map(|words| format!("\"$@\" {}", words.join(" ")))
        };
        let excluded: Vec<String> = self.exclude.iter().map(|name| format!("--exclude={name}")).collect();
        let mark = (!self.exclude.is_empty()).then(|| "-x".to_owned());
        let without: Vec<String> = mark.into_iter().chain(self.exclude.clone()).collect();
        let script = HostScript::new(include_str!("unarchive.sh"))
            .path("source", if self.content.is_some() { "" } else { &self.source })
            .path("dest", &self.dest)
            .path("creates", self.creates.as_deref().unwrap_or_default())
            .flag("keep_newer", self.keep_newer)
            .flag("list_files", self.list_files)
            .function("with_options", words(&self.options))
            .function("with_tar_excludes", words(&excluded))
            .function("with_included", words(&self.include))
            .function("with_zip_excludes", words(&without))
            .attributes(&self.attributes)
            .stdin(self.content.clone().unwrap_or_default());
        let report = script.run(connection).await?;
        if let Some(msg) = report.get("skipped") {
            return Ok(Outcome { detail: Vars::from_iter([("msg".to_owned(), msg.into())]), ..Outcome::skipped() });
        }
        let mut vars = report.vars(&["dest", "handler"]);
        vars.insert("src".to_owned(), report.get("src").unwrap_or(&self.source).into());
        if self.list_files {
            vars.insert("files".to_owned(), report.all("file").collect::<Vec<_>>().into());
        }
        Ok(Outcome::done(report.is("changed"), vars))
    }
}
