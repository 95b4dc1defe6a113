//! `acl`: entries of the access control list of a file.

use super::Arguments;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Sets, removes or lists entries.
pub(super) static ACL: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "acl",
        &["ansible.posix", "ansible.builtin"],
        "Sets, removes or lists entries of the access control list of a file.",
        &[
            Parameter::new("path", Kind::Text, "The file.").or(&["name"]),
            Parameter::new("entry", Kind::Text, "The entry as for setfacl, such as `default:user:web:rw`."),
            Parameter::new("etype", Kind::Choice(&["group", "mask", "other", "user"]), "For what the entry is."),
            Parameter::new("entity", Kind::Text, "The user or the group."),
            Parameter::new("permissions", Kind::Text, "The permissions, such as `rwX`."),
            Parameter::new("state", Kind::Choice(&["absent", "present", "query"]), "What to do (default: query)."),
            Parameter::new("default", Kind::Flag, "Whether the entry is the default for new files in a directory."),
            Parameter::new("recursive", Kind::Flag, "Whether all files below get it too.").or(&["recurse"]),
            Parameter::new("follow", Kind::Flag, "Whether a link is followed (default: true)."),
            Parameter::new(
                "recalculate_mask",
                Kind::Choice(&["default", "mask", "no_mask"]),
                "Whether the mask is computed again (default: unless the entry is the mask).",
            ),
        ],
    )
    .needs(&[&["path"]]),
    text: include_str!("acl.sh"),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let text = |name: &str| Ok::<_, String>(arguments.text(name)?.unwrap_or_default());
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "query".to_owned());
    let parts = match arguments.non_empty("entry")? {
        None => Entry {
            is_default: arguments.flag("default")?.unwrap_or(false),
            kind: text("etype")?,
            entity: text("entity")?,
            permissions: text("permissions")?,
        },
        Some(entry) => {
            for name in ["etype", "entity", "permissions"] {
                if arguments.non_empty(name)?.is_some() {
                    return Err("'entry' MUST NOT be set when 'entity', 'etype' or 'permissions' are set.".to_owned());
                }
            }
            let is_default = arguments.flag("default")?.unwrap_or(false);
            let entry = Entry::read(&entry, &state)?;
            Entry { is_default: entry.is_default || is_default, ..entry }
        }
    };
    if arguments.non_empty("entry")?.is_none() {
        parts.check(&state)?;
    }
    let recursive = arguments.flag("recursive")?.unwrap_or(false);
    if state == "query" && recursive {
        return Err("'recursive' MUST NOT be set when 'state=query'.".to_owned());
    }
    let shown = if parts.permissions.is_empty() || state == "absent" {
        format!("{}:{}", parts.kind, parts.entity)
    } else {
        format!("{}:{}:{}", parts.kind, parts.entity, parts.permissions)
    };
    let run = run.set("state", &state).set("entry", &shown).flag("is_default", parts.is_default);
    let run = run.flag("recursive", recursive).flag("physical", arguments.flag("follow")? == Some(false));
    run.paths(&["path"], arguments)
}

/// An entry of a list.
struct Entry {
    is_default: bool,
    kind: String,
    entity: String,
    permissions: String,
}

impl Entry {
    /// Reads an entry as setfacl takes it: `default:user:web:rw`, `u:web:rw`.
    fn read(entry: &str, state: &str) -> Result<Self, String> {
        let count = entry.matches(':').count();
        match state {
            "present" if !matches!(count, 2 | 3) => {
                return Err("'entry' MUST have 3 or 4 sections divided by ':' when 'state=present'.".to_owned());
            }
            "absent" if !matches!(count, 1 | 2) => {
                return Err("'entry' MUST have 2 or 3 sections divided by ':' when 'state=absent'.".to_owned());
            }
            "query" => return Err("'entry' MUST NOT be set when 'state=query'.".to_owned()),
            _ => {}
        }
        let is_default = entry.to_lowercase().starts_with('d');
        let mut parts = entry.split(':').skip(usize::from(is_default));
        let mut part = || parts.next().unwrap_or_default().to_owned();
        let (kind, entity, permissions) = (part(), part(), part());
        let kind = match kind.to_lowercase().chars().next() {
            Some('u') => "user",
            Some('g') => "group",
            Some('m') => "mask",
            Some('o') => "other",
            _ => return Err(format!("`{entry}` is no entry of an access control list")),
        };
        Ok(Self { is_default, kind: kind.to_owned(), entity, permissions })
    }

    fn check(&self, state: &str) -> Result<(), String> {
        let is_absent = state == "absent";
        if is_absent && !self.permissions.is_empty() {
            return Err("'permissions' MUST NOT be set when 'state=absent'.".to_owned());
        }
        if is_absent && self.entity.is_empty() {
            return Err("'entity' MUST be set when 'state=absent'.".to_owned());
        }
        if state != "query" && self.kind.is_empty() {
            return Err(format!("'etype' MUST be set when 'state={state}'."));
        }
        Ok(())
    }
}
