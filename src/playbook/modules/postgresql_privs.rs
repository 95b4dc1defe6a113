//! `postgresql_privs`: the privileges of roles on what a database of PostgreSQL has.
//!
//! As in Ansible, one transaction reads the privileges, grants or revokes, and reads them again: what differs has changed. A
//! check rolls the transaction back.

use super::Arguments;
use super::Module;
use super::postgresql;
use super::postgresql::identifier;
use super::postgresql::literal;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Grants or revokes privileges.
pub(super) struct PostgresqlPrivs;

const TYPES: Kind = Kind::Choice(&[
    "database",
    "default_privs",
    "foreign_data_wrapper",
    "foreign_server",
    "function",
    "group",
    "language",
    "parameter",
    "procedure",
    "schema",
    "sequence",
    "table",
    "tablespace",
    "type",
]);

static SPEC: Spec = Spec::new(
    "postgresql_privs",
    &["community.postgresql", "community.general", "ansible.builtin"],
    "Grants or revokes privileges in a database of PostgreSQL, with psql.",
    &[
        Parameter::new("login_db", Kind::Text, "The database.").or(&["database", "db"]),
        Parameter::new("state", Kind::Choice(&["absent", "present"]), "Granted or revoked (default: present)."),
        Parameter::new("type", TYPES, "What the objects are (default: table)."),
        Parameter::new("privs", Kind::List, "The privileges: SELECT.").or(&["priv"]),
        Parameter::new("objs", Kind::List, "The objects, or ALL_IN_SCHEMA.").or(&["obj"]),
        Parameter::new("schema", Kind::Text, "Their schema (default: public)."),
        Parameter::new("roles", Kind::List, "The roles that get them, or PUBLIC.").or(&["role"]),
        Parameter::new("target_roles", Kind::List, "The roles whose new objects have the default privileges."),
        Parameter::new("grant_option", Kind::Flag, "Whether the roles may grant them.").or(&["admin_option"]),
        Parameter::new("fail_on_role", Kind::Flag, "Whether a role that does not exist is a failure (default: true)."),
        Parameter::new("session_role", Kind::Text, "The role that acts."),
        Parameter::new("trust_input", Kind::Flag, "No effect: muster always quotes names."),
    ],
)
.with(&postgresql::CONNECTION)
.needs(&[&["login_db"], &["roles"]]);

/// The privileges of Ansible.
const PRIVILEGES: [&str; 17] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "TRUNCATE",
    "REFERENCES",
    "TRIGGER",
    "CREATE",
    "CONNECT",
    "TEMPORARY",
    "TEMP",
    "EXECUTE",
    "USAGE",
    "ALL",
    "SET",
    "ALTER_SYSTEM",
    "MAINTAIN",
];

/// What default privileges may be for.
const DEFAULTS: [&str; 5] = ["TABLES", "SEQUENCES", "FUNCTIONS", "TYPES", "SCHEMAS"];

/// Names that PostgreSQL reads as roles.
const IMPLICIT: [&str; 4] = ["PUBLIC", "CURRENT_USER", "SESSION_USER", "CURRENT_ROLE"];

/// The script that says which of the roles exist.
const READ: &str = concat!(
    include_str!("postgresql.sh"),
    r#"
ask "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ($roles)"
say found "$out"
"#
);

/// The script that runs the transaction, which comes on stdin.
const WRITE: &str = concat!(
    include_str!("postgresql.sh"),
    r#"
out=$(psql -w -X -A -t -q -v ON_ERROR_STOP=1 -f - 2>&1) || fail "Cannot execute SQL: $out"
say acls "$out"
"#
);

impl Module for PostgresqlPrivs {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let kind = arguments.non_empty("type")?.unwrap_or_else(|| "table".to_owned());
        let Kind::Choice(types) = TYPES else { return Err("`type` has no choices".to_owned()) };
        let kind = *types.iter().find(|it| **it == kind).ok_or_else(|| format!("`type` cannot be `{kind}`"))?;
        let mut objects = arguments.list("objs")?.unwrap_or_default();
        if objects.is_empty() && kind == "database" {
            objects.push(arguments.required("login_db")?);
        }
        if objects.is_empty() {
            return Err(format!("Argument \"objs\" is required for type \"{kind}\"."));
        }
        let mut connection = postgresql::connection(arguments)?;
        connection.push(("session_role", arguments.text("session_role")?.unwrap_or_default()));
        Ok(Action::on_host(
            Grants {
                kind,
                privileges: privileges(kind, &arguments.list("privs")?.unwrap_or_default())?,
                schema: schema(kind, &objects, arguments)?,
                all: objects == ["ALL_IN_SCHEMA"],
                objects,
                roles: arguments.list("roles")?.unwrap_or_default(),
                target_roles: arguments.list("target_roles")?.unwrap_or_default(),
                grant_option: arguments.flag("grant_option")?,
                skips_roles: arguments.flag("fail_on_role")? == Some(false),
                session_role: arguments.non_empty("session_role")?,
                is_absent: arguments.text("state")?.as_deref() == Some("absent"),
                connection,
            }
            .checked()?,
        ))
    }
}

/// Reads the privileges.
fn privileges(kind: &str, words: &[String]) -> Result<Vec<String>, String> {
    let words: Vec<String> = words.iter().map(|word| word.trim().to_uppercase()).collect();
    if kind == "group" && !words.is_empty() {
        return Err("Argument \"privs\" is not allowed for type \"group\".".to_owned());
    }
    if kind != "group" && words.is_empty() {
        return Err(format!("Argument \"privs\" is required for type \"{kind}\"."));
    }
    match words.iter().find(|word| !PRIVILEGES.contains(&word.as_str())) {
        Some(word) => Err(format!("Invalid privileges specified: {word}")),
        None => Ok(words),
    }
}

/// Reads the schema of the objects.
fn schema(kind: &str, objects: &[String], arguments: &Arguments<'_>) -> Result<Option<String>, String> {
    let given = arguments.non_empty("schema")?;
    if !matches!(kind, "table" | "sequence" | "function" | "procedure" | "type" | "default_privs") {
        return match given {
            Some(_) => Err(format!("Argument \"schema\" is not allowed for type \"{kind}\".")),
            None => Ok(None),
        };
    }
    if objects == ["schemas"] || given.as_deref() == Some("not-specified") {
        return Ok(None);
    }
    Ok(Some(given.unwrap_or_else(|| "public".to_owned())))
}

/// Privileges to bring to their state.
struct Grants {
    kind: &'static str,
    privileges: Vec<String>,
    objects: Vec<String>,
    /// Set if the objects are all those of the schema.
    all: bool,
    schema: Option<String>,
    roles: Vec<String>,
    target_roles: Vec<String>,
    grant_option: Option<bool>,
    skips_roles: bool,
    session_role: Option<String>,
    is_absent: bool,
    connection: Vec<(&'static str, String)>,
}

/// Returns names of SQL with commas between them.
fn identifiers(names: &[String]) -> String {
    names.iter().map(|name| identifier(name)).collect::<Vec<_>>().join(",")
}

impl Grants {
    /// Reads the objects, which depend on their kind.
    fn checked(mut self) -> Result<Self, String> {
        let is_routine = matches!(self.kind, "function" | "procedure");
        if self.all && !is_routine && !matches!(self.kind, "table" | "sequence") {
            let kind = self.kind;
            return Err(format!(
                "Argument \"objs\": ALL_IN_SCHEMA can be used only for type: table, sequence, function or procedure, {kind} was passed."
            ));
        }
        if self.kind == "default_privs" {
            if self.objects == ["ALL_DEFAULT"] {
                self.objects = DEFAULTS.iter().filter(|it| **it != "SCHEMAS").map(|it| (*it).to_owned()).collect();
            }
            self.objects.iter_mut().for_each(|object| *object = object.to_uppercase());
            if let Some(object) = self.objects.iter().find(|object| !DEFAULTS.contains(&object.as_str())) {
                return Err(format!("Invalid Object set specified: {object}"));
            }
        }
        if is_routine && !self.all {
            // The arguments of a function have colons between them, since commas are between the functions.
            self.objects.iter_mut().for_each(|object| *object = object.replace(':', ","));
            if let Some(object) = self.objects.iter().find(|object| !is_signature(object)) {
                return Err(format!("Illegal function / procedure signature: \"{object}\"."));
            }
        }
        if !self.all && self.kind != "default_privs" && is_schema_missing(&self) {
            return Err(format!("`schema` cannot be not-specified for the type {}", self.kind));
        }
        Ok(self)
    }

    /// Returns the names of the objects in a statement.
    fn named(&self) -> String {
        let schema = self.schema.as_deref().map(|schema| format!("{}.", identifier(schema))).unwrap_or_default();
        let name = |object: &String| match object.split_once('(') {
            Some((name, rest)) if matches!(self.kind, "function" | "procedure") => {
                format!("{schema}{}({rest}", identifier(name))
            }
            _ => format!("{schema}{}", identifier(object)),
        };
        self.objects.iter().map(name).collect::<Vec<_>>().join(",")
    }

    /// Returns what is granted.
    fn what(&self) -> String {
        let privileges = self.privileges.join(",");
        match (self.kind, self.all) {
            ("group", _) => identifiers(&self.objects),
            ("default_privs", _) => privileges,
            (kind, true) => {
                let schema = identifier(self.schema.as_deref().unwrap_or_default());
                format!("{} ON ALL {}S IN SCHEMA {schema}", privileges.replace('_', " "), kind.to_uppercase())
            }
            (kind, false) => format!("{} ON {} {}", privileges.replace('_', " "), kind.replace('_', " "), self.named()),
        }
    }

    /// Returns the statements, as Ansible shows them.
    fn statements(&self, grantees: &str) -> Vec<String> {
        let what = self.what();
        let is_group = self.kind == "group";
        let option = match (self.grant_option, is_group) {
            (Some(true), true) => " WITH ADMIN OPTION;",
            (Some(true), false) => " WITH GRANT OPTION;",
            _ => ";",
        };
        if self.kind == "default_privs" {
            return self.default_statements(&what, grantees, option);
        }
        if self.is_absent {
            return vec![format!("REVOKE {what} FROM {grantees};")];
        }
        let mut statements = vec![format!("GRANT {what} TO {grantees}{option}")];
        if self.grant_option == Some(false) {
            let kind = if is_group { "ADMIN" } else { "GRANT" };
            statements.push(format!("REVOKE {kind} OPTION FOR {what} FROM {grantees};"));
        }
        statements
    }

    fn default_statements(&self, what: &str, grantees: &str, option: &str) -> Vec<String> {
        let mut head = "ALTER DEFAULT PRIVILEGES".to_owned();
        if !self.target_roles.is_empty() {
            head.push_str(&format!(" FOR ROLE {}", identifiers(&self.target_roles)));
        }
        if let Some(schema) = &self.schema {
            head.push_str(&format!(" IN SCHEMA {}", identifier(schema)));
        }
        let revoke = |object: &str| format!("{head} REVOKE ALL ON {object} FROM {grantees};");
        if self.is_absent {
            return ["TABLES", "FUNCTIONS", "SEQUENCES", "TYPES"].into_iter().map(revoke).collect();
        }
        let grant = |object: &String| format!("{head} GRANT {what} ON {object} TO {grantees}{option}");
        let revokes = self.objects.iter().map(|object| revoke(object));
        revokes.chain(self.objects.iter().map(grant)).collect()
    }

    /// Returns the query of the privileges as they are: one row that begins with this word.
    fn query(&self, word: &str) -> String {
        let names: Vec<&str> = match self.kind {
            "function" | "procedure" => self.objects.iter().filter_map(|object| object.split('(').next()).collect(),
            _ => self.objects.iter().map(String::as_str).collect(),
        };
        let names = names.into_iter().map(literal).collect::<Vec<_>>().join(",");
        let schema = literal(self.schema.as_deref().unwrap_or_default());
        let is_one = |column: &str| if self.all { "true".to_owned() } else { format!("{column} IN ({names})") };
        let in_schema = |catalog: &str, prefix: &str, name: &str| {
            let is_one = is_one(name);
            let table = format!("pg_catalog.{catalog} c JOIN pg_catalog.pg_namespace n ON n.oid = c.{prefix}namespace");
            format!("{table} WHERE n.nspname = {schema} AND {is_one}")
        };
        let plain = |catalog: &str, name: &str| format!("pg_catalog.{catalog} WHERE {}", is_one(name));
        let (value, rows) = match self.kind {
            "table" => (
                "c.oid::text || c.relacl::text",
                in_schema("pg_class", "rel", "c.relname") + " AND c.relkind IN ('r','p','v','m','f')",
            ),
            "sequence" => {
                ("c.oid::text || c.relacl::text", in_schema("pg_class", "rel", "c.relname") + " AND c.relkind = 'S'")
            }
            "function" | "procedure" => ("c.oid::text || c.proacl::text", in_schema("pg_proc", "pro", "c.proname")),
            "type" => ("c.oid::text || c.typacl::text", in_schema("pg_type", "typ", "c.typname")),
            "schema" => ("oid::text || nspacl::text", plain("pg_namespace", "nspname")),
            "language" => ("oid::text || lanacl::text", plain("pg_language", "lanname")),
            "tablespace" => ("oid::text || spcacl::text", plain("pg_tablespace", "spcname")),
            "database" => ("oid::text || datacl::text", plain("pg_database", "datname")),
            "foreign_data_wrapper" => ("oid::text || fdwacl::text", plain("pg_foreign_data_wrapper", "fdwname")),
            "foreign_server" => ("oid::text || srvacl::text", plain("pg_foreign_server", "srvname")),
            "parameter" => ("oid::text || paracl::text", plain("pg_parameter_acl", "parname")),
            "group" => (
                "m.roleid::text || ' ' || m.member::text || ' ' || m.admin_option::text",
                format!(
                    "pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.roleid WHERE r.rolname IN ({names})"
                ),
            ),
            _ => (
                "defaclrole::text || defaclnamespace::text || defaclobjtype::text || defaclacl::text",
                "pg_catalog.pg_default_acl WHERE true".to_owned(),
            ),
        };
        format!(
            "SELECT '{word}=' || replace(coalesce(string_agg({value}, ' ' ORDER BY {value}), ''), E'\\n', ' ') FROM {rows};"
        )
    }

    /// Returns the whole transaction.
    fn transaction(&self, statements: &[String], check: bool) -> String {
        let mut lines = vec!["BEGIN;".to_owned()];
        lines.extend(self.session_role.iter().map(|role| format!("SET ROLE {};", identifier(role))));
        lines.push(self.query("before"));
        lines.extend(statements.iter().cloned());
        lines.push(self.query("after"));
        lines.push(if check { "ROLLBACK;" } else { "COMMIT;" }.to_owned());
        lines.join("\n") + "\n"
    }

    fn script(&self, text: &'static str) -> HostScript {
        self.connection.iter().fold(HostScript::on_system(text), |script, (name, value)| script.set(name, value))
    }

    /// Returns the roles as a statement names them, and warnings about those that do not exist.
    async fn roles(&self, connection: &HostConnection<'_>) -> Result<(Vec<String>, Vec<String>), Outcome> {
        let literals = self.roles.iter().map(|role| literal(role)).collect::<Vec<_>>().join(", ");
        let report = self.script(READ).set("roles", &literals).run(connection).await?;
        let found: Vec<&str> = report.get("found").unwrap_or_default().lines().collect();
        let (mut roles, mut warnings) = (Vec::new(), Vec::new());
        for role in &self.roles {
            if IMPLICIT.contains(&role.to_uppercase().as_str()) {
                roles.push(role.to_uppercase());
            } else if found.contains(&role.as_str()) {
                roles.push(identifier(role));
            } else if self.skips_roles {
                warnings.push(format!("Role '{role}' does not exist, pass it"));
            } else {
                return Err(Outcome::failed(format!("Role '{role}' does not exist")));
            }
        }
        Ok((roles, warnings))
    }
}

/// Reports whether objects need a schema and have none.
fn is_schema_missing(privileges: &Grants) -> bool {
    privileges.schema.is_none() && matches!(privileges.kind, "table" | "sequence" | "function" | "procedure" | "type")
}

/// Reports whether a text is the signature of a function. It stands in a statement as it is.
fn is_signature(object: &str) -> bool {
    let arguments = object.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    let is_of_type = |c: char| c.is_alphanumeric() || " _,.\"[]".contains(c);
    arguments.is_some_and(|arguments| arguments.chars().all(is_of_type) && arguments.matches('"').count() % 2 == 0)
}

#[async_trait::async_trait]
impl HostAction for Grants {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let (roles, mut warnings) = self.roles(connection).await?;
        let statements = if roles.is_empty() { Vec::new() } else { self.statements(&roles.join(",")) };
        let mut changed = false;
        if roles.is_empty() {
            warnings.push("No valid roles provided, nothing to do".to_owned());
        } else {
            let transaction = self.transaction(&statements, connection.check);
            let report = self.script(WRITE).stdin(transaction.into_bytes()).run(connection).await?;
            let line = |word: &str| {
                report
                    .get("acls")
                    .unwrap_or_default()
                    .lines()
                    .find_map(|line| line.strip_prefix(word).map(str::to_owned))
            };
            changed = line("before=") != line("after=");
        }
        let queries: Vec<String> = if statements.is_empty() { Vec::new() } else { vec![statements.join("\n")] };
        let outcome = Outcome::done(changed, Vars::from_iter([("queries".to_owned(), queries.into())]));
        Ok(warnings.iter().fold(outcome, |outcome, warning| outcome.with_warning(warning)))
    }
}

#[cfg(test)]
mod tests {
    use super::is_signature;

    #[test]
    fn a_signature_cannot_end_a_statement() {
        assert!(["f(int,text)", "f()", "f(\"my type\"[])"].iter().all(|it| is_signature(it)));
        assert!(["f", "f(int) TO x; DROP", "f(int); DROP TABLE x--)", "f(\")"].iter().all(|it| !is_signature(it)));
    }
}
