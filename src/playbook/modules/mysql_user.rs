//! `mysql_user`: an account of MySQL or MariaDB, with its privileges.
//!
//! One script reads the account, the controller compares, and another script changes it. Passwords are sent as hashes.

use sha1::Digest as _;
use sha1::Sha1;

use super::Arguments;
use super::Module;
use super::mysql;
use super::mysql_privileges;
use super::mysql_privileges::Privileges;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;
use super::spec::scalar_text;
use crate::core::hex;
use crate::inventory::Vars;
use crate::playbook::action::Action;
use crate::playbook::action::HostAction;
use crate::playbook::host_connection::HostConnection;
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Makes, changes or removes an account.
pub(super) struct MysqlUser;

static SPEC: Spec = Spec::new(
    "mysql_user",
    &mysql::COLLECTIONS,
    "Makes, changes or removes an account of MySQL or MariaDB, with mysql.",
    &[
        Parameter::new("name", Kind::Text, "The user.").or(&["user"]),
        Parameter::new("host", Kind::Text, "The host from which the user connects (default: localhost)."),
        Parameter::new("host_all", Kind::Flag, "Whether all accounts of the user are meant."),
        Parameter::new("password", Kind::Text, "The password."),
        Parameter::new("encrypted", Kind::Flag, "Whether `password` is a hash of mysql_native_password."),
        Parameter::new("priv", Kind::Any, "The privileges: DB.TABLE:PRIV,PRIV/DB.TABLE:PRIV, or a map."),
        Parameter::new("append_privs", Kind::Flag, "Whether other privileges are kept."),
        Parameter::new("subtract_privs", Kind::Flag, "Whether the privileges are taken away."),
        Parameter::new("column_case_sensitive", Kind::Flag, "Whether names of columns keep their case."),
        Parameter::new(
            "update_password",
            Kind::Choice(&["always", "on_create"]),
            "When the password is set (default: always).",
        ),
        Parameter::new("tls_requires", Kind::Any, "What a connection needs: an empty map, for nothing."),
        Parameter::new("check_implicit_admin", Kind::Flag, "Whether to try root without a password first."),
        Parameter::new("sql_log_bin", Kind::Flag, "Whether the changes are replicated (default: true)."),
        Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
    ],
)
.with(&mysql::LOGIN)
.excludes(&[&["append_privs", "subtract_privs"]]);

/// The variables of the scripts that say how the server is reached.
const CONNECTION: [&str; 6] =
    ["login_user", "login_password", "login_host", "login_port", "login_unix_socket", "connect_timeout"];

/// The script that reads the accounts, each with its hash, its TLS and its privileges.
const READ: &str = concat!(include_str!("mysql.sh"), include_str!("mysql_user.sh"));

/// The script that changes them. The statements come on stdin.
const WRITE: &str = concat!(
    include_str!("mysql.sh"),
    r#"
eval "set -- $options"
out=$("$client" "$@" --batch --skip-column-names 2>&1) || fail "$out"
"#
);

impl Module for MysqlUser {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let flag = |name: &str| Ok::<_, String>(arguments.flag(name)?.unwrap_or(false));
        let name = arguments.text("name")?.ok_or("module `mysql_user` needs `name`")?;
        mysql::check_lines(arguments, &CONNECTION)?;
        let value = |name| Ok::<_, String>((name, arguments.text(name)?.unwrap_or_default()));
        let connection = CONNECTION.into_iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let password = arguments.non_empty("password")?;
        let hash = match password {
            Some(hash) if flag("encrypted")? => {
                let digits = hash.strip_prefix('*').filter(|digits| digits.len() == 40);
                if !digits.is_some_and(|digits| digits.chars().all(|c| c.is_ascii_hexdigit())) {
                    return Err("encrypted was specified however it does not appear to be a valid hash expecting: \
                                *SHA1(SHA1(your_password))"
                        .to_owned());
                }
                Some(hash)
            }
            password => password.map(|password| native_hash(&password)),
        };
        if arguments.value("tls_requires").is_some_and(|map| map.as_object().is_none_or(|map| !map.is_empty())) {
            return Err("requirements of TLS in `tls_requires` are not implemented".to_owned());
        }
        let subtracts = flag("subtract_privs")?;
        Ok(Action::on_host(Account {
            name,
            host: arguments.non_empty("host")?.unwrap_or_else(|| "localhost".to_owned()).to_lowercase(),
            is_every_host: flag("host_all")?,
            hash,
            keeps_password: arguments.text("update_password")?.as_deref() == Some("on_create"),
            privileges: privileges(arguments)?,
            keeps_case: flag("column_case_sensitive")?,
            change: match (flag("append_privs")?, subtracts) {
                (true, _) => mysql_privileges::Change::Append,
                (_, true) => mysql_privileges::Change::Subtract,
                _ => mysql_privileges::Change::Replace,
            },
            is_absent: arguments.text("state")?.as_deref() == Some("absent"),
            is_logged: arguments.flag("sql_log_bin")?.unwrap_or(true),
            tries_root: flag("check_implicit_admin")?,
            config_file: arguments.text("config_file")?.unwrap_or_default(),
            connection,
        }))
    }
}

/// Returns the privileges of a task as text: those of a map are put together.
fn privileges(arguments: &Arguments<'_>) -> Result<Option<String>, String> {
    match arguments.value("priv") {
        None => Ok(None),
        Some(serde_json::Value::Object(map)) => {
            let pair = |(table, list): (&String, &serde_json::Value)| {
                let list = scalar_text(list).ok_or_else(|| format!("the privileges of `{table}` must be text"))?;
                Ok(format!("{table}:{list}"))
            };
            Ok(Some(map.iter().map(pair).collect::<Result<Vec<_>, String>>()?.join("/")))
        }
        Some(value) => scalar_text(value).map(Some).ok_or_else(|| "priv parameter must be str or dict".to_owned()),
    }
}

/// Returns the hash of a password as mysql_native_password stores it.
fn native_hash(password: &str) -> String {
    format!("*{}", hex::digits(&Sha1::digest(Sha1::digest(password))).to_uppercase())
}

/// Quotes a text of SQL.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// An account to bring to its state.
struct Account {
    name: String,
    host: String,
    is_every_host: bool,
    hash: Option<String>,
    keeps_password: bool,
    privileges: Option<String>,
    keeps_case: bool,
    change: mysql_privileges::Change,
    is_absent: bool,
    is_logged: bool,
    tries_root: bool,
    config_file: String,
    connection: Vec<(&'static str, String)>,
}

/// What is done to accounts.
#[derive(Default)]
struct Plan {
    statements: Vec<String>,
    msg: String,
    sets_password: bool,
    is_changed: bool,
    /// Set if only the server knows whether the statements change privileges.
    must_compare: bool,
}

impl Account {
    fn script(&self, text: &'static str) -> HostScript {
        let script = HostScript::on_system(text)
            .set("user_literal", &literal(&self.name))
            .set("host_literal", &literal(&self.host))
            .flag("every_host", self.is_every_host)
            .flag("tries_root", self.tries_root)
            .flag("asks_grants", self.privileges.is_some())
            .path("config_file", &self.config_file);
        self.connection.iter().fold(script, |script, (name, value)| script.set(name, value))
    }

    fn account(&self, host: &str) -> String {
        format!("{}@{}", literal(&self.name), literal(host))
    }

    /// Returns what is to be done with the accounts that are there.
    fn plan(&self, report: &HostReport) -> Result<Plan, String> {
        let hosts: Vec<&str> = report.all("host").collect();
        let mut plan = Plan::default();
        if self.is_absent {
            "User deleted".clone_into(&mut plan.msg);
            if hosts.is_empty() {
                "User doesn't exist".clone_into(&mut plan.msg);
            }
            plan.is_changed = !hosts.is_empty();
            plan.statements = hosts.iter().map(|host| format!("DROP USER IF EXISTS {}", self.account(host))).collect();
            return Ok(plan);
        }
        let quote = if report.is("ansi") { '"' } else { '`' };
        let usage = self.change != mysql_privileges::Change::Subtract;
        let wanted = self.privileges.as_ref().map(|text| Privileges::read(text, quote, self.keeps_case, usage));
        let wanted = wanted.transpose()?;
        if hosts.is_empty() {
            self.create(&mut plan, wanted.as_ref().filter(|_| usage))?;
            return Ok(plan);
        }
        "User unchanged".clone_into(&mut plan.msg);
        let details = report.all("hash").zip(report.all("tls")).zip(report.all("grants"));
        for (host, ((hash, tls), grants)) in hosts.iter().zip(details) {
            self.set_password(&mut plan, host, hash);
            if let Some(wanted) = &wanted {
                let grants = Privileges::of_grants(grants)?;
                let changes = wanted.changes(&grants, self.change, self.name == "root");
                plan.statements
                    .extend(changes.statements.iter().map(|it| it.replace("%ACCOUNT%", &self.account(host))));
                plan.is_changed |= changes.is_certain;
                plan.must_compare |= changes.must_compare;
                if !changes.msg.is_empty() {
                    plan.msg = changes.msg;
                }
            }
            if !tls.is_empty() {
                plan.statements.push(format!("ALTER USER {} REQUIRE NONE", self.account(host)));
                "TLS requires updated".clone_into(&mut plan.msg);
                plan.is_changed = true;
            }
        }
        Ok(plan)
    }

    fn create(&self, plan: &mut Plan, wanted: Option<&Privileges>) -> Result<(), String> {
        if self.is_every_host {
            return Err("host_all parameter cannot be used when adding a user".to_owned());
        }
        let account = self.account(&self.host);
        let password =
            self.hash.as_ref().map(|hash| format!(" IDENTIFIED WITH mysql_native_password AS {}", literal(hash)));
        plan.statements.push(format!("CREATE USER {account}{}", password.unwrap_or_default()));
        let grants = wanted.map(Privileges::grants).unwrap_or_default();
        plan.statements.extend(grants.iter().map(|grant| grant.replace("%ACCOUNT%", &account)));
        "User added".clone_into(&mut plan.msg);
        (plan.is_changed, plan.sets_password) = (true, true);
        Ok(())
    }

    fn set_password(&self, plan: &mut Plan, host: &str, old: &str) {
        let Some(hash) = self.hash.as_ref().filter(|hash| !self.keeps_password && hash.as_str() != old) else { return };
        let account = self.account(host);
        plan.statements
            .push(format!("ALTER USER {account} IDENTIFIED WITH mysql_native_password AS {}", literal(hash)));
        "Password updated (new style)".clone_into(&mut plan.msg);
        (plan.is_changed, plan.sets_password) = (true, true);
    }
}

#[async_trait::async_trait]
impl HostAction for Account {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let before = self.script(READ).run(connection).await?;
        let plan = self.plan(&before).map_err(Outcome::failed)?;
        let mut changed = plan.is_changed;
        if connection.check {
            changed |= plan.must_compare;
        } else if !plan.statements.is_empty() {
            let log = if self.is_logged { "" } else { "SET SQL_LOG_BIN=0;\n" };
            let statements = plan.statements.iter().map(|statement| format!("{statement};\n")).collect::<String>();
            self.script(WRITE).stdin(format!("{log}{statements}").into_bytes()).run(connection).await?;
            if plan.must_compare && !changed {
                let after = self.script(READ).run(connection).await?;
                changed = before.all("grants").ne(after.all("grants"));
            }
        }
        let results = [
            ("user", self.name.clone().into()),
            ("msg", plan.msg.into()),
            ("password_changed", plan.sets_password.into()),
            ("attributes", serde_json::Value::Null),
        ];
        Ok(Outcome::done(changed, Vars::from_iter(results.map(|(name, value)| (name.to_owned(), value)))))
    }
}

#[cfg(test)]
mod tests {
    use super::literal;
    use super::native_hash;

    #[test]
    fn passwords_are_hashed_and_texts_are_quoted() {
        // SELECT PASSWORD('secret') of the server.
        assert_eq!(native_hash("secret"), "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
        assert_eq!(literal("a'b\\"), "'a''b\\\\'");
    }
}
