//! What the modules for MySQL and MariaDB have in common: their collections, and how the server is reached.

use super::Arguments;
use super::spec::Kind;
use super::spec::Parameter;

/// The collections with modules for MySQL.
pub(super) const COLLECTIONS: [&str; 4] = ["community.mysql", "ansible.mysql", "community.general", "ansible.builtin"];

/// How the server is reached.
pub(super) static LOGIN: [Parameter; 7] = [
    Parameter::new("login_user", Kind::Text, "The user to connect as."),
    Parameter::new("login_password", Kind::Text, "The password of the user."),
    Parameter::new("login_host", Kind::Text, "The host of the server (default: localhost)."),
    Parameter::new("login_port", Kind::Number, "The port of the server (default: 3306)."),
    Parameter::new("login_unix_socket", Kind::Text, "The socket of the server."),
    Parameter::new("config_file", Kind::Text, "A file of options for the client (default: ~/.my.cnf)."),
    Parameter::new("connect_timeout", Kind::Number, "The time to connect in seconds (default: 30)."),
];

/// Checks that arguments, each of which the scripts read as one line, have no newline.
pub(super) fn check_lines(arguments: &Arguments<'_>, names: &[&str]) -> Result<(), String> {
    for name in names {
        if arguments.text(name)?.is_some_and(|text| text.contains(['\n', '\0'])) {
            return Err(format!("`{name}` cannot have a newline"));
        }
    }
    Ok(())
}
