//! What the modules of PostgreSQL share: the parameters that say how psql reaches the server.

use super::Arguments;
use super::spec::Kind;
use super::spec::Parameter;

/// How the server is reached.
pub(super) static CONNECTION: [Parameter; 7] = [
    Parameter::new("login_user", Kind::Text, "The role to connect as (default: postgres).").or(&["login"]),
    Parameter::new("login_password", Kind::Text, "The password of that role."),
    Parameter::new("login_host", Kind::Text, "The host of the server.").or(&["host"]),
    Parameter::new("login_port", Kind::Number, "The port of the server (default: 5432).").or(&["port"]),
    Parameter::new("login_unix_socket", Kind::Text, "The folder of the socket.").or(&["unix_socket"]),
    Parameter::new(
        "ssl_mode",
        Kind::Choice(&["allow", "disable", "prefer", "require", "verify-ca", "verify-full"]),
        "Whether the connection is encrypted (default: prefer).",
    ),
    Parameter::new("ca_cert", Kind::Text, "The certificate of the authority.").or(&["ssl_rootcert"]),
];

/// The variables of the scripts that say how the server is reached.
const VARIABLES: [&str; 8] = [
    "login_db",
    "login_user",
    "login_password",
    "login_host",
    "login_port",
    "login_unix_socket",
    "ssl_mode",
    "ca_cert",
];

/// Returns the variables of a script that say how the server is reached.
pub(super) fn connection(arguments: &Arguments<'_>) -> Result<Vec<(&'static str, String)>, String> {
    VARIABLES.into_iter().map(|name| Ok((name, arguments.text(name)?.unwrap_or_default()))).collect()
}

/// Quotes a text of SQL. Without a backslash it has one meaning in every setting of the server.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!(" E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Quotes a name of SQL.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
