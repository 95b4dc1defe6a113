//! `mysql_replication`: the replication of a server of MySQL or MariaDB.

use super::Arguments;
use super::mysql;
use super::script_module::ScriptModule;
use super::script_module::ScriptRun;
use super::spec::Kind;
use super::spec::Parameter;
use super::spec::Spec;

/// Shows or changes from where a server replicates.
pub(super) static MYSQL_REPLICATION: ScriptModule = ScriptModule {
    spec: &Spec::new(
        "mysql_replication",
        &mysql::COLLECTIONS,
        "Shows or changes from where a server of MySQL or MariaDB replicates, with mysql.",
        &[
            Parameter::new(
                "mode",
                Kind::Choice(&[
                    "getprimary",
                    "getreplica",
                    "changeprimary",
                    "stopreplica",
                    "startreplica",
                    "resetprimary",
                    "resetreplica",
                    "resetreplicaall",
                ]),
                "What to show or to do (default: getreplica).",
            ),
            Parameter::new("primary_host", Kind::Text, "The host of the primary.").or(&["master_host"]),
            Parameter::new("primary_user", Kind::Text, "The user of the replication.").or(&["master_user"]),
            Parameter::new("primary_password", Kind::Text, "The password of that user.").or(&["master_password"]),
            Parameter::new("primary_port", Kind::Number, "The port of the primary.").or(&["master_port"]),
            Parameter::new("primary_connect_retry", Kind::Number, "The seconds between two attempts to connect.")
                .or(&["master_connect_retry"]),
            Parameter::new("primary_log_file", Kind::Text, "The binary log to begin with.").or(&["master_log_file"]),
            Parameter::new("primary_log_pos", Kind::Number, "The position in that log.").or(&["master_log_pos"]),
            Parameter::new("primary_delay", Kind::Number, "The seconds that the replica stays behind.")
                .or(&["master_delay"]),
            Parameter::new("relay_log_file", Kind::Text, "The relay log to begin with."),
            Parameter::new("relay_log_pos", Kind::Number, "The position in that log."),
            Parameter::new("primary_ssl", Kind::Flag, "Whether the connection uses TLS.").or(&["master_ssl"]),
            Parameter::new("primary_ssl_ca", Kind::Text, "The file of trusted authorities.").or(&["master_ssl_ca"]),
            Parameter::new("primary_ssl_capath", Kind::Text, "The folder of trusted authorities.")
                .or(&["master_ssl_capath"]),
            Parameter::new("primary_ssl_cert", Kind::Text, "The file of the certificate.").or(&["master_ssl_cert"]),
            Parameter::new("primary_ssl_key", Kind::Text, "The file of its key.").or(&["master_ssl_key"]),
            Parameter::new("primary_ssl_cipher", Kind::Text, "The ciphers.").or(&["master_ssl_cipher"]),
            Parameter::new(
                "primary_ssl_verify_server_cert",
                Kind::Flag,
                "Whether the primary's certificate is checked.",
            ),
            Parameter::new("primary_auto_position", Kind::Flag, "Whether GTIDs of MySQL say where to begin.")
                .or(&["master_auto_position"]),
            Parameter::new(
                "primary_use_gtid",
                Kind::Choice(&["current_pos", "replica_pos", "disabled"]),
                "Which GTIDs of MariaDB say where to begin.",
            )
            .or(&["master_use_gtid"]),
            Parameter::new("connection_name", Kind::Text, "The connection of MariaDB."),
            Parameter::new("channel", Kind::Text, "The channel of MySQL."),
            Parameter::new("fail_on_error", Kind::Flag, "Whether a statement that fails is an error."),
        ],
    )
    .with(&mysql::LOGIN)
    .excludes(&[&["connection_name", "channel"]]),
    text: concat!(include_str!("mysql.sh"), include_str!("mysql_replication.sh")),
    prepare,
};

fn prepare(arguments: &Arguments<'_>, run: ScriptRun) -> Result<ScriptRun, String> {
    mysql::check_lines(arguments, &["login_password", "primary_password"])?;
    run.paths(&["config_file"], arguments)
}
