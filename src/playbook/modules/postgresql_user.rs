//! `postgresql_user`: a role of PostgreSQL.
//!
//! The server stores passwords as hashes. One script reads the role, the controller compares, and another script changes
//! the role: a host has no program of its own for SCRAM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Hmac;
use hmac::KeyInit as _;
use hmac::Mac as _;
use sha2::Digest as _;
use sha2::Sha256;

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
use crate::playbook::host_script::HostReport;
use crate::playbook::host_script::HostScript;
use crate::playbook::outcome::Outcome;

/// Makes, changes or removes a role.
pub(super) struct PostgresqlUser;

static SPEC: Spec = Spec::new(
    "postgresql_user",
    &["community.postgresql", "community.general", "ansible.builtin"],
    "Makes, changes or removes a role of PostgreSQL, with psql.",
    &[
        Parameter::new("name", Kind::Text, "The role.").or(&["user"]),
        Parameter::new("password", Kind::Text, "The password, or its hash as the server stores it."),
        Parameter::new("role_attr_flags", Kind::List, "Attributes of the role: CREATEDB, NOSUPERUSER."),
        Parameter::new("conn_limit", Kind::Text, "The number of connections; -1 is no limit."),
        Parameter::new("expires", Kind::Text, "The time at which the password ends, or infinity."),
        Parameter::new("no_password_changes", Kind::Flag, "Whether a role that exists keeps its password."),
        Parameter::new("state", Kind::Choice(&["absent", "present"]), "Whether it is there (default: present)."),
        Parameter::new("fail_on_user", Kind::Flag, "No effect: a role that owns something is never removed.")
            .or(&["fail_on_role"]),
        Parameter::new("encrypted", Kind::Flag, "No effect: the server always stores hashes."),
        Parameter::new("login_db", Kind::Text, "The database to connect to (default: postgres).").or(&["db"]),
    ],
)
.with(&postgresql::CONNECTION)
.needs(&[&["name"]]);

/// The attributes of a role, in the order of the columns that the first script reads.
const FLAGS: [&str; 7] = ["SUPERUSER", "INHERIT", "CREATEROLE", "CREATEDB", "LOGIN", "REPLICATION", "BYPASSRLS"];

/// The script that reads the role.
const READ: &str = concat!(
    include_str!("postgresql.sh"),
    r#"
ask "SELECT rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit, coalesce(rolvaliduntil = nullif($expires, '')::timestamptz, false), coalesce(rolpassword, '') FROM pg_catalog.pg_authid WHERE rolname = $literal"
say role "$out"
case $out in
  *'|md5'*)
    sum=$(printf %s%s "$password" "$user" | md5sum)
    [ "${out##*|}" != "md5${sum%% *}" ] || say same_md5 1 ;;
esac
"#
);

/// The script that changes the role. The statement comes on stdin, since it may have a password.
const WRITE: &str = concat!(
    include_str!("postgresql.sh"),
    r#"
out=$(psql -w -X -q -v ON_ERROR_STOP=1 -f - 2>&1) || fail "Database query failed: $out"
"#
);

impl Module for PostgresqlUser {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn action(&self, arguments: &Arguments<'_>) -> Result<Action, String> {
        let limit = arguments.non_empty("conn_limit")?;
        let limit = limit
            .map(|text| text.parse::<i32>().map_err(|_| format!("`conn_limit` must be a whole number, not `{text}`")));
        Ok(Action::on_host(Role {
            name: arguments.required("name")?,
            password: arguments.non_empty("password")?,
            keeps_password: arguments.flag("no_password_changes")? == Some(true),
            flags: flags(&arguments.list("role_attr_flags")?.unwrap_or_default())?,
            limit: limit.transpose()?,
            expires: arguments.non_empty("expires")?,
            is_absent: arguments.text("state")?.as_deref() == Some("absent"),
            connection: postgresql::connection(arguments)?,
        }))
    }
}

/// Returns the attributes, each with the column of the first script and its value.
fn flags(words: &[String]) -> Result<Vec<(usize, bool)>, String> {
    let flag = |word: &String| {
        let word = word.to_uppercase();
        let find = |name: &str| FLAGS.iter().position(|flag| *flag == name);
        let found = find(&word).map(|at| (at, true));
        let found = found.or_else(|| word.strip_prefix("NO").and_then(find).map(|at| (at, false)));
        found.ok_or_else(|| format!("Invalid role_attr_flags specified: {word}"))
    };
    words.iter().map(flag).collect()
}

/// A role to bring to its state.
struct Role {
    name: String,
    password: Option<String>,
    keeps_password: bool,
    flags: Vec<(usize, bool)>,
    limit: Option<i32>,
    expires: Option<String>,
    is_absent: bool,
    connection: Vec<(&'static str, String)>,
}

impl Role {
    fn script(&self, text: &'static str) -> HostScript {
        let script = HostScript::on_system(text).set("user", &self.name).set("literal", &literal(&self.name));
        self.connection.iter().fold(script, |script, (name, value)| script.set(name, value))
    }

    /// Returns the parts of the statement that differ from the role as it is.
    fn parts(&self, report: &HostReport) -> Vec<String> {
        let role = report.get("role").filter(|role| !role.is_empty());
        let fields: Vec<&str> = role.map(|role| role.splitn(10, '|').collect()).unwrap_or_default();
        let field = |at: usize| fields.get(at).copied();
        let mut parts = Vec::new();
        if let Some(password) = &self.password {
            let is_same = field(9).is_some_and(|stored| is_password(password, stored) || report.is("same_md5"));
            if role.is_none() || !(is_same || self.keeps_password) {
                parts.push(format!("WITH ENCRYPTED PASSWORD {}", literal(password)));
            }
        }
        if let Some(expires) = self.expires.as_ref().filter(|_| field(8) != Some("t")) {
            parts.push(format!("VALID UNTIL {}", literal(expires)));
        }
        if let Some(limit) = self.limit.filter(|limit| field(7) != Some(&limit.to_string())) {
            parts.push(format!("CONNECTION LIMIT {limit}"));
        }
        for (at, is_on) in &self.flags {
            if field(*at) != Some(if *is_on { "t" } else { "f" }) {
                let name = FLAGS.get(*at).copied().unwrap_or_default();
                parts.push(if *is_on { name.to_owned() } else { format!("NO{name}") });
            }
        }
        parts
    }
}

/// Reports whether a stored hash is that of a password.
fn is_password(password: &str, stored: &str) -> bool {
    if password == stored {
        return true;
    }
    stored.strip_prefix("SCRAM-SHA-256$").and_then(|rest| is_scram(password, rest)).unwrap_or(false)
}

/// The most rounds of a hash that are computed: a host names the number.
const ROUNDS: u32 = 100_000;

/// Compares a password with `ROUNDS:SALT$STORED_KEY:SERVER_KEY`.
fn is_scram(password: &str, stored: &str) -> Option<bool> {
    let (parameters, keys) = stored.split_once('$')?;
    let (rounds, salt) = parameters.split_once(':')?;
    let (key, _) = keys.split_once(':')?;
    let rounds: u32 = rounds.parse().ok().filter(|rounds| *rounds <= ROUNDS)?;
    let (salt, key) = (STANDARD.decode(salt).ok()?, STANDARD.decode(key).ok()?);
    let sign = |key: &[u8], text: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(text);
        Some(mac.finalize().into_bytes())
    };
    let mut block = sign(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat())?;
    let mut salted = block;
    for _ in 1..rounds {
        block = sign(password.as_bytes(), &block)?;
        salted.iter_mut().zip(block.iter()).for_each(|(all, one)| *all ^= one);
    }
    Some(Sha256::digest(sign(&salted, b"Client Key")?).as_slice() == key)
}

#[async_trait::async_trait]
impl HostAction for Role {
    async fn run(&self, connection: &HostConnection<'_>) -> Result<Outcome, Outcome> {
        let read = self.script(READ);
        let expires = self.expires.as_deref().map_or_else(|| "''".to_owned(), literal);
        let read = read.set("password", self.password.as_deref().unwrap_or_default()).set("expires", &expires);
        let report = read.run(connection).await?;
        let exists = report.get("role").is_some_and(|role| !role.is_empty());
        let name = identifier(&self.name);
        let statement = match (exists, self.is_absent) {
            (false, true) => None,
            (true, true) => Some(format!("DROP USER {name}")),
            (false, false) => Some([vec![format!("CREATE USER {name}")], self.parts(&report)].concat().join(" ")),
            (true, false) => match self.parts(&report) {
                parts if parts.is_empty() => None,
                parts => Some([vec![format!("ALTER USER {name}")], parts].concat().join(" ")),
            },
        };
        let mut vars = Vars::from_iter([("user".to_owned(), self.name.clone().into())]);
        // As in Ansible, the result has no password.
        let places = [(&self.password, "%(password)s"), (&self.expires, "%(expires)s")];
        let shown = |statement: &String| {
            places.iter().fold(statement.clone(), |shown, (value, place)| match value {
                Some(value) => shown.replace(&literal(value), place),
                None => shown,
            })
        };
        vars.insert("queries".to_owned(), statement.iter().map(shown).collect());
        if let Some(statement) = statement.as_ref().filter(|_| !connection.check) {
            let write = self.script(WRITE);
            write.stdin(format!("{statement};\n").into_bytes()).run(connection).await?;
        }
        Ok(Outcome::done(statement.is_some(), vars))
    }
}

#[cfg(test)]
mod tests {
    use super::flags;
    use super::is_password;
    use super::literal;

    #[test]
    fn a_password_is_compared_with_its_hash() {
        // The server made this hash of `pencil`.
        let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert!(is_password("pencil", stored) && !is_password("pen", stored) && is_password(stored, stored));
        assert!(!is_password("pencil", "SCRAM-SHA-256$999999999:W22ZaJ0SNY7soEsUEjb6gQ==$AA==:AA=="));
    }

    #[test]
    fn texts_are_quoted_and_attributes_are_checked() {
        assert_eq!([literal("a'b"), literal("a\\'b")], ["'a''b'", " E'a\\\\''b'"]);
        assert_eq!(flags(&["createdb".to_owned(), "NOLOGIN".to_owned()]).unwrap(), [(3, true), (4, false)]);
        assert_eq!(flags(&["FAST".to_owned()]).unwrap_err(), "Invalid role_attr_flags specified: FAST");
    }
}
