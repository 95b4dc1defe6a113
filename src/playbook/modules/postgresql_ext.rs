//! `postgresql_ext`: an extension in a database of PostgreSQL.

use super::Arguments;
use super::postgresql;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, updates or removes an extension.
pub(super) static POSTGRESQL_EXT: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "postgresql_ext",
        &["community.postgresql", "community.general", "ansible.builtin"],
        "Makes, updates or removes an extension in a database of PostgreSQL, with psql.",
        &[
            Parameter::new("name", Kind::Text, "The extension.").or(&["ext"]),
            Parameter::new("login_db", Kind::Text, "The database.").or(&["db"]),
            Parameter::new("schema", Kind::Text, "The schema of what the extension makes."),
            Parameter::new("version", Kind::Text, "The version, or `latest`."),
            Parameter::new("cascade", Kind::Flag, "Whether what it needs is made too, or what needs it removed."),
            Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
            Parameter::new("session_role", Kind::Text, "The role that acts."),
            Parameter::new("trust_input", Kind::Flag, "No effect: muster always quotes names."),
        ],
    )
    .with(&postgresql::CONNECTION)
    .needs(&[&["name"], &["login_db"]]),
    text: concat!(include_str!("postgresql.sh"), include_str!("postgresql_ext.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let state = arguments.non_empty("state")?.unwrap_or_else(|| "present".to_owned());
    if let Some(role) = arguments.non_empty("session_role")?.filter(|role| !role.chars().all(is_of_role)) {
        return Err(format!("muster cannot act as the role `{role}`: expected letters, digits and `_`"));
    }
    Ok(run.set("state", &state).result("ext", name))
}

fn is_of_role(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
