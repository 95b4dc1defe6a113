//! `stat`: what a path on the host is.

use serde_json::Value;
use serde_json::json;

use super::Arguments;
use super::Module;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Looks at a path.
pub(super) struct Stat;

/// The hashes that a file can be looked up by.
pub(super) const HASHES: Kind = Kind::Choice(&["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]);

static SPEC: Spec = Spec::new(
    "stat",
    &["ansible.builtin", "ansible.legacy"],
    "Looks at a path on the host.",
    &[
        Parameter::new("path", Kind::Text, "The path.").or(&["dest", "name"]),
        Parameter::new("follow", Kind::Flag, "Whether a link is followed (default: false)."),
        Parameter::new("get_checksum", Kind::Flag, "Whether to compute the hash of a file (default: true)."),
        Parameter::new("checksum_algorithm", HASHES, "The hash (default: sha1).").or(&["checksum", "checksum_algo"]),
        Parameter::new("get_md5", Kind::Flag, "Whether to compute the MD5 of a file too (default: false)."),
        Parameter::new("get_mime", Kind::Flag, "Whether to ask file(1) for the type (default: true).").or(&[
            "mime",
            "mime_type",
            "mime-type",
        ]),
        Parameter::new("get_attributes", Kind::Flag, "Whether to ask lsattr(1) (default: true).")
            .or(&["attr", "attributes"]),
    ],
)
.needs(&[&["path"]]);

impl Module for Stat {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let asked = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(true));
        Ok(Action::on_host(Look {
            path: arguments.required("path")?,
            follow: arguments.flag("follow")?.unwrap_or(false),
            hash: arguments.non_empty("checksum_algorithm")?.unwrap_or_else(|| "sha1".to_owned()),
            checksum: asked("get_checksum")?,
            md5: arguments.flag("get_md5")?.unwrap_or(false),
            mime: asked("get_mime")?,
            attributes: asked("get_attributes")?,
        }))
    }
}

/// A look at a path.
struct Look {
    path: String,
    follow: bool,
    hash: String,
    checksum: bool,
    md5: bool,
    mime: bool,
    attributes: bool,
}

#[async_trait::async_trait]
impl HostAction for Look {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let script = HostScript::new(include_str!("stat.sh"))
            .path("path", &self.path)
            .set("follow", if self.follow { "-L" } else { "" })
            .set("hash", if self.checksum { &self.hash } else { "" })
            .flag("md5", self.md5)
            .flag("mime", self.mime)
            .flag("attributes", self.attributes);
        let report = script.run(connection).await?;
        Ok(Outcome::done(false, Vars::from_iter([("stat".to_owned(), self.result(&report).into())])))
    }
}

impl Look {
    fn result(&self, report: &HostReport) -> Vars {
        let Some(mut vars) = report.get("stat").and_then(of_fields) else {
            return Vars::from_iter([("exists".to_owned(), false.into())]);
        };
        vars.insert("exists".to_owned(), true.into());
        for name in ["path", "lnk_source", "lnk_target", "checksum", "md5"] {
            if let Some(value) = report.get(name) {
                vars.insert(name.to_owned(), value.into());
            }
        }
        for name in ["readable", "writeable", "executable"] {
            vars.insert(name.to_owned(), report.is(name).into());
        }
        if self.mime {
            let text = report.get("file").and_then(|line| line.rsplit_once(':')).map_or("", |(_, text)| text);
            let (mime, charset) = text.split_once("; charset=").unwrap_or(("unknown", "unknown"));
            vars.insert("mimetype".to_owned(), mime.trim().into());
            vars.insert("charset".to_owned(), charset.trim().into());
        }
        if self.attributes {
            let mut words = report.get("lsattr").unwrap_or_default().split_whitespace();
            let version = words.next().map_or(Value::Null, Value::from);
            let flags: String = words.next().unwrap_or_default().chars().filter(|flag| *flag != '-').collect();
            let names: Vec<&str> = flags.chars().filter_map(flag_name).collect();
            vars.extend([
                ("version".to_owned(), version),
                ("attributes".to_owned(), names.into()),
                ("attr_flags".to_owned(), flags.into()),
            ]);
        }
        vars
    }
}

/// Returns what the fields of stat(1) say about a file: `%f %u:%U %g:%G %s %i %d %h %b %o %t %T`, then the times, with and
/// without fractions of a second.
pub(super) fn of_fields(fields: &str) -> Option<Vars> {
    let words: Vec<&str> = fields.split(' ').collect();
    let [bits, user, group, size, inode, dev, links, blocks, block, major, minor, times @ ..] = &words[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<u64>().ok();
    let bits = u32::from_str_radix(bits, 16).ok()?;
    let device = |text: &str| u64::from_str_radix(text, 16).unwrap_or(0);
    let (major, minor) = (device(major), device(minor));
    let device_type = ((major & 0xfff) << 8) | (minor & 0xff) | ((minor & !0xff) << 12);
    let mut vars = Vars::new();
    for (name, value) in [
        ("size", number(size)),
        ("inode", number(inode)),
        ("dev", number(dev)),
        ("nlink", number(links)),
        ("blocks", number(blocks)),
        ("block_size", number(block)),
        ("device_type", Some(device_type)),
    ] {
        vars.insert(name.to_owned(), value.into());
    }
    for (id, name, pair) in [("uid", "pw_name", user), ("gid", "gr_name", group)] {
        let (digits, text) = pair.split_once(':')?;
        vars.insert(id.to_owned(), number(digits).into());
        if text != "UNKNOWN" {
            vars.insert(name.to_owned(), text.into());
        }
    }
    for (place, name) in ["atime", "mtime", "ctime"].into_iter().enumerate() {
        let (whole, exact) = (times.get(place)?, times.get(place + 3)?);
        // Not every stat(1) has fractions.
        let exact = exact.parse::<f64>().ok().filter(|_| exact.starts_with(whole));
        vars.insert(name.to_owned(), exact.or_else(|| whole.parse().ok()).map_or(Value::Null, |time| json!(time)));
    }
    vars.extend(mode_vars(bits));
    Some(vars)
}

fn mode_vars(bits: u32) -> Vars {
    let mut vars = Vars::from_iter([("mode".to_owned(), format!("{:04o}", bits & 0o7777).into())]);
    let kinds = [
        ("isfifo", 0o1),
        ("ischr", 0o2),
        ("isdir", 0o4),
        ("isblk", 0o6),
        ("isreg", 0o10),
        ("islnk", 0o12),
        ("issock", 0o14),
    ];
    vars.extend(kinds.map(|(name, kind)| (name.to_owned(), (bits >> 12 == kind).into())));
    let flags = [
        ("rusr", 0o400),
        ("wusr", 0o200),
        ("xusr", 0o100),
        ("rgrp", 0o40),
        ("wgrp", 0o20),
        ("xgrp", 0o10),
        ("roth", 0o4),
        ("woth", 0o2),
        ("xoth", 0o1),
        ("isuid", 0o4000),
        ("isgid", 0o2000),
    ];
    vars.extend(flags.map(|(name, flag)| (name.to_owned(), (bits & flag != 0).into())));
    vars
}

/// Returns Ansible's name of a flag of lsattr(1).
fn flag_name(flag: char) -> Option<&'static str> {
    Some(match flag {
        'A' => "noatime",
        'a' => "append",
        'c' => "compressed",
        'C' => "nocow",
        'd' => "nodump",
        'D' => "dirsync",
        'e' => "extents",
        'E' => "encrypted",
        'h' => "blocksize",
        'i' => "immutable",
        'I' => "indexed",
        'j' => "journalled",
        'N' => "inline",
        's' => "zero",
        'S' => "synchronous",
        't' => "notail",
        'T' => "blockroot",
        'u' => "undelete",
        'X' => "compressedraw",
        'Z' => "compresseddirty",
        _ => return None,
    })
}
