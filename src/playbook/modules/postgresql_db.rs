//! `postgresql_db`: a database of PostgreSQL.

use super::Arguments;
use super::postgresql;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, changes or removes a database.
pub(super) static POSTGRESQL_DB: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "postgresql_db",
        &["community.postgresql", "community.general", "ansible.builtin"],
        "Makes, changes or removes a database of PostgreSQL, with psql.",
        &[
            Parameter::new("name", Kind::Text, "The database.").or(&["db"]),
            Parameter::new("owner", Kind::Text, "The role that owns it."),
            Parameter::new("template", Kind::Text, "The database of which a new one is a copy."),
            Parameter::new("encoding", Kind::Text, "The encoding of a new one: UTF-8."),
            Parameter::new("lc_collate", Kind::Text, "The order of texts in a new one: en_GB.UTF-8."),
            Parameter::new("lc_ctype", Kind::Text, "The kinds of characters in a new one: en_GB.UTF-8."),
            Parameter::new("conn_limit", Kind::Text, "The number of connections; -1 is no limit."),
            Parameter::new("tablespace", Kind::Text, "The tablespace."),
            Parameter::new("force", Kind::Flag, "Whether connections are ended when it is removed."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "present", "restore"]),
                "Whether it is there, or gets what `target` has (default: present).",
            ),
            Parameter::new("target", Kind::Text, "The file of statements, or the archive of pg_dump, on the host."),
            Parameter::new("target_opts", Kind::Text, "Further options of psql or pg_restore for a restore."),
            Parameter::new("maintenance_db", Kind::Text, "The database to connect to (default: postgres)."),
        ],
    )
    .with(&postgresql::CONNECTION)
    .needs(&[&["name"]]),
    text: concat!(include_str!("postgresql.sh"), include_str!("postgresql_db.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let name = arguments.required("name")?;
    let limit = arguments.non_empty("conn_limit")?;
    if let Some(limit) = limit.filter(|limit| limit.parse::<i32>().is_err()) {
        return Err(format!("`conn_limit` must be a whole number, not `{limit}`"));
    }
    if arguments.text("state")?.as_deref() == Some("restore") {
        if arguments.non_empty("target")?.is_none() {
            return Err("`state: restore` needs `target`".to_owned());
        }
        let options = arguments.text("target_opts")?.unwrap_or_default();
        let options = shlex::split(&options).ok_or("the quotes in `target_opts` do not match")?;
        return run.words("options", &options).paths(&["target"], arguments);
    }
    Ok(run.result("db", name))
}
