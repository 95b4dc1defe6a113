//! `mysql_db`: databases of MySQL or MariaDB.

use super::Arguments;
use super::mysql;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Makes, fills or removes databases.
pub(super) static MYSQL_DB: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "mysql_db",
        &mysql::COLLECTIONS,
        "Makes, fills or removes databases of MySQL or MariaDB, with mysql.",
        &[
            Parameter::new("name", Kind::List, "The databases.").or(&["db"]),
            Parameter::new("encoding", Kind::Text, "The character set of a new one."),
            Parameter::new("collation", Kind::Text, "The collation of a new one."),
            Parameter::new(
                "state",
                Kind::Choice(&["absent", "import", "present"]),
                "Whether it is there, or gets the statements in `target` (default: present).",
            ),
            Parameter::new("target", Kind::Text, "The file of statements on the host; it may be compressed."),
            Parameter::new("force", Kind::Flag, "Whether an import goes on after an error."),
        ],
    )
    .with(&mysql::LOGIN)
    .needs(&[&["name"]]),
    text: concat!(include_str!("mysql.sh"), include_str!("mysql_db.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    let names = arguments.list("name")?.unwrap_or_default();
    let is_import = arguments.text("state")?.as_deref() == Some("import");
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Err("muster needs the names of the databases: `all` is not implemented".to_owned());
    }
    if is_import && (names.len() > 1 || arguments.non_empty("target")?.is_none()) {
        return Err("`state: import` needs one database and `target`".to_owned());
    }
    let is_word = |text: &str| text.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
    for name in ["encoding", "collation"] {
        if let Some(text) = arguments.non_empty(name)?.filter(|text| !is_word(text)) {
            return Err(format!("`{text}` cannot be the `{name}` of a database"));
        }
    }
    mysql::check_lines(arguments, &["login_password"])?;
    run.result("db", names.join(" ")).result("db_list", names).paths(&["target", "config_file"], arguments)
}
