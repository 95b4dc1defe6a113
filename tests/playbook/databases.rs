//! The modules for databases, with clients that only log what they are told.

use serde_json::json;

use super::system::Host;

#[tokio::test]
async fn a_database_of_postgresql_is_made_changed_and_removed() {
    let psql = "for a; do last=$a; done; case $last in SELECT*) cat DIR/found ;; *) echo \"$PGUSER $PGPASSWORD\" > DIR/who ;; esac";
    let host = Host::new(&[("psql", psql)]);
    let asks = "psql -w -X -A -t -q -F";
    let does = "psql -w -X -A -t -q -v ON_ERROR_STOP=1 -c ";
    for (found, task, expected) in [
        ("", "postgresql_db: {name: 'a\"b'}", vec!["CREATE DATABASE \"a\"\"b\""]),
        (
            "",
            "postgresql_db: {db: acme, owner: web, template: template0, encoding: UTF-8, lc_collate: \"x'y\", conn_limit: 5}",
            vec![
                "CREATE DATABASE \"acme\" OWNER \"web\" TEMPLATE \"template0\" ENCODING 'UTF-8' LC_COLLATE 'x''y' CONNECTION LIMIT 5",
            ],
        ),
        ("", "postgresql_db: {name: acme, state: absent}", vec![]),
        (
            "web|UTF8|C|C|-1|pg_default\n",
            "postgresql_db: {name: acme, owner: web, encoding: utf-8, lc_ctype: C}",
            vec![],
        ),
        (
            "web|UTF8|C|C|-1|pg_default\n",
            "community.postgresql.postgresql_db: {name: acme, owner: adm, conn_limit: 7}",
            vec!["ALTER DATABASE \"acme\" OWNER TO \"adm\"", "ALTER DATABASE \"acme\" CONNECTION LIMIT 7"],
        ),
        (
            "web|UTF8|C|C|-1|x\n",
            "postgresql_db: {name: acme, state: absent, force: yes}",
            vec!["DROP DATABASE \"acme\" WITH (FORCE)"],
        ),
    ] {
        host.stage.write("found", found);
        let acts: Vec<String> = host.acts(task, &[asks]).await;
        let expected: Vec<String> = expected.iter().map(|query| format!("{does}{query}")).collect();
        assert_eq!(acts, expected, "{task}");
    }
    let wrong = host.acts("postgresql_db: {name: acme, encoding: LATIN1}", &[asks]).await;
    assert_eq!(wrong, ["Changing database encoding is not supported. Current encoding: UTF8"]);
    host.stage.write("found", "");
    let (result, log) = host.run("postgresql_db: {name: acme, login_user: adm, login_password: s3cret}").await;
    assert_eq!((&result["db"], &result["executed_commands"]), (&"acme".into(), &json!(["CREATE DATABASE \"acme\""])));
    assert_eq!(host.stage.read("who"), "adm s3cret\n");
    assert!(!log.concat().contains("s3cret"), "{log:?}");
}

#[tokio::test]
async fn a_role_of_postgresql_is_made_changed_and_removed() {
    let psql = "case \"$*\" in *SELECT*) cat DIR/found ;; *) cat > DIR/statement ;; esac";
    let host = Host::new(&[("psql", psql)]);
    let stored = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    let role = |password: &str| format!("f|t|f|f|t|f|f|-1|f|{password}\n");
    for (found, task, expected) in [
        (
            String::new(),
            "postgresql_user: {name: web, password: \"p'w\"}",
            "CREATE USER \"web\" WITH ENCRYPTED PASSWORD 'p''w';\n",
        ),
        (
            String::new(),
            "postgresql_user: {name: web, role_attr_flags: 'CREATEDB,NOLOGIN', conn_limit: 3, expires: infinity}",
            "CREATE USER \"web\" VALID UNTIL 'infinity' CONNECTION LIMIT 3 CREATEDB NOLOGIN;\n",
        ),
        (role(stored), "postgresql_user: {name: web, password: pencil, role_attr_flags: NOCREATEDB}", ""),
        (
            role(stored),
            "postgresql_user: {name: web, password: pen}",
            "ALTER USER \"web\" WITH ENCRYPTED PASSWORD 'pen';\n",
        ),
        (role(stored), "postgresql_user: {name: web, password: pen, no_password_changes: true}", ""),
        // md5 of `penweb`.
        (role("md5d090d352f286c7b0488c38641bcbed37"), "postgresql_user: {name: web, password: pen}", ""),
        (
            role("md50"),
            "postgresql_user: {name: web, password: pen, role_attr_flags: SUPERUSER}",
            "ALTER USER \"web\" WITH ENCRYPTED PASSWORD 'pen' SUPERUSER;\n",
        ),
        (role(""), "postgresql_user: {name: 'w\"b', state: absent}", "DROP USER \"w\"\"b\";\n"),
        (String::new(), "postgresql_user: {name: web, state: absent}", ""),
    ] {
        host.stage.write("found", &found);
        host.stage.write("statement", "");
        let (result, log) = host.run(task).await;
        assert_eq!(
            (&result["changed"], host.stage.read("statement").as_str()),
            (&(!expected.is_empty()).into(), expected),
            "{task} {result:#}"
        );
        assert!(!log.concat().contains("PASSWORD '"), "{log:?}");
    }
    host.stage.write("found", "");
    let (result, _) = host.run("postgresql_user: {name: web, password: pen}").await;
    assert_eq!(
        (&result["user"], &result["queries"]),
        (&"web".into(), &json!(["CREATE USER \"web\" WITH ENCRYPTED PASSWORD %(password)s"]))
    );
}

#[tokio::test]
async fn a_database_of_mysql_is_made_filled_and_removed() {
    let mysql = r#"
for a; do
  case $a in --execute=SELECT*) cat DIR/found; exit ;; --defaults-extra-file=*) cat "${a#*=}" > DIR/options ;; --database=*) cat > DIR/read ;; esac
done"#;
    let host = Host::new(&[("mysql", mysql)]);
    host.stage.write("found", "");
    let (result, log) = host.run("mysql_db: {name: [one, 't`wo'], encoding: utf8mb4, collation: utf8mb4_bin}").await;
    let create = [
        "CREATE DATABASE `one` CHARACTER SET 'utf8mb4' COLLATE 'utf8mb4_bin'",
        "CREATE DATABASE `t``wo` CHARACTER SET 'utf8mb4' COLLATE 'utf8mb4_bin'",
    ];
    assert_eq!(
        (&result["db"], &result["db_list"], &result["changed"]),
        (&"one t`wo".into(), &json!(["one", "t`wo"]), &true.into())
    );
    assert_eq!(result["executed_commands"], json!(create), "{log:?}");
    let ask = "mysql --no-auto-rehash --connect-timeout=30 --batch --skip-column-names --execute=SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ";
    assert_eq!(log[0], format!("{ask}'one'"));
    assert_eq!(host.acts("mysql_db: {db: one, state: absent}", &[ask]).await, [""; 0]);

    let (_, log) = host.run("mysql_db: {name: one, login_user: adm, login_password: 'p\"w', login_host: db}").await;
    assert_eq!(host.stage.read("options"), "[client]\npassword=\"p\\\"w\"\n");
    assert!(log[0].contains("--user=adm --host=db") && !log.concat().contains("p\"w"), "{log:?}");

    host.stage.write("found", "1\n");
    host.stage.write("dump.sql", "select 1;\n");
    let (result, log) = host.run("mysql_db: {name: one, state: import, target: DIR/dump.sql}").await;
    assert_eq!((&result["changed"], host.stage.read("read").as_str()), (&true.into(), "select 1;\n"), "{log:?}");
    let missing = host.acts("mysql_db: {name: one, state: import, target: DIR/no.sql}", &[ask]).await;
    assert_eq!(missing, [format!("target {}/no.sql does not exist on the host", host.stage.folder.path().display())]);
    let (result, _) = host.run("mysql_db: {name: one, state: absent}").await;
    assert_eq!(result["executed_commands"], json!(["DROP DATABASE `one`"]));
    let all = host.acts("mysql_db: {name: all}", &[]).await;
    assert_eq!(all, ["muster needs the names of the databases: `all` is not implemented"]);
}

#[tokio::test]
async fn an_account_of_mysql_is_made_changed_and_removed() {
    let mysql = r#"
for a; do
  case $a in
    "--execute=SELECT VERSION()") echo 10.11.6-MariaDB; exit ;;
    "--execute=SELECT @@sql_mode") echo STRICT_TRANS_TABLES; exit ;;
    "--execute=SELECT Host"*) cat DIR/accounts; exit ;;
    "--execute=SELECT COALESCE"*) cat DIR/hash; exit ;;
    "--execute=SHOW GRANTS"*) cat DIR/grants; exit ;;
  esac
done
cat > DIR/statements"#;
    let host = Host::new(&[("mysql", mysql)]);
    let hash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";
    let usage = "GRANT USAGE ON *.* TO `web`@`localhost` IDENTIFIED BY PASSWORD '*14'\n";
    let acme = format!("{usage}GRANT ALL PRIVILEGES ON `acme`.* TO `web`@`localhost`\n");
    for (hosts, old, grants, task, statements, msg) in [
        (
            "",
            "",
            "",
            "{name: web, password: secret, priv: 'acme.*:ALL'}",
            format!(
                "CREATE USER 'web'@'localhost' IDENTIFIED WITH mysql_native_password AS '{hash}';\n\
                 GRANT ALL ON `acme`.* TO 'web'@'localhost';\nGRANT USAGE ON *.* TO 'web'@'localhost';\n"
            ),
            "User added",
        ),
        ("", "", "", "{user: '', host: H1, state: absent}", String::new(), "User doesn't exist"),
        (
            "localhost\n",
            hash,
            &acme,
            "{name: web, password: secret, priv: {acme.*: ALL}, tls_requires: {}}",
            String::new(),
            "User unchanged",
        ),
        (
            "localhost\n",
            "*OLD",
            &acme,
            "{name: web, password: secret}",
            format!("ALTER USER 'web'@'localhost' IDENTIFIED WITH mysql_native_password AS '{hash}';\n"),
            "Password updated (new style)",
        ),
        (
            "localhost\n",
            "*OLD",
            "",
            "{name: web, password: x, update_password: on_create}",
            String::new(),
            "User unchanged",
        ),
        (
            "localhost\n",
            hash,
            usage,
            "{name: web, priv: 'acme.*:SELECT', append_privs: yes, sql_log_bin: no}",
            "SET SQL_LOG_BIN=0;\nGRANT SELECT ON `acme`.* TO 'web'@'localhost';\n".to_owned(),
            "New privileges granted",
        ),
        (
            "%\nlocalhost\n",
            hash,
            "",
            "ansible.mysql.mysql_user: {name: web, host_all: yes, state: absent}",
            "DROP USER IF EXISTS 'web'@'%';\nDROP USER IF EXISTS 'web'@'localhost';\n".to_owned(),
            "User deleted",
        ),
    ] {
        host.stage.write("accounts", hosts);
        host.stage.write("hash", &format!("{old}\t\n"));
        host.stage.write("grants", grants);
        host.stage.write("statements", "");
        let task = if task.starts_with('{') { format!("mysql_user: {task}") } else { task.to_owned() };
        let (result, log) = host.run(&task).await;
        assert_eq!(
            (host.stage.read("statements"), &result["msg"], &result["changed"]),
            (statements.clone(), &msg.into(), &(!statements.is_empty()).into()),
            "{task} {result:#} {log:?}"
        );
        assert!(!log.concat().contains("secret") && !log.concat().contains(hash), "{log:?}");
    }
    let (result, _) = host.run("mysql_user: {name: web, encrypted: yes, password: x}").await;
    assert!(result["msg"].as_str().unwrap().starts_with("encrypted was specified however"), "{result:#}");
    let (result, _) = host.run("mysql_user: {name: web, tls_requires: {SSL: null}}").await;
    assert_eq!(result["msg"], "requirements of TLS in `tls_requires` are not implemented");
}

#[tokio::test]
async fn the_replication_of_mysql_is_shown_and_changed() {
    let mysql = r#"
for a; do
  case $a in
    "--execute=SELECT VERSION"*) cat DIR/version; exit ;;
    --execute=SHOW*) echo "$a" >> DIR/statements; cat DIR/status; exit ;;
  esac
done
cat >> DIR/statements
[ ! -e DIR/refuses ] || { echo 'ERROR 1200' >&2; exit 1; }"#;
    let host = Host::new(&[("mysql", mysql)]);
    let (mariadb, mysql8) = ("10.11.14-MariaDB-0+deb12u2\n", "8.4.2\n");
    let position = "*** 1. row ***\n            File: mysql-bin.000001\n        Position: 328\n    Binlog_Do_DB: \n    \
                    Binlog_Ignore_DB: NULL\n";
    let change = "{mode: changeprimary, master_host: h1, master_user: rep, master_password: \"p'w\", \
                  master_log_file: mysql-bin.000001, master_log_pos: 328}";
    for (version, status, task, statement, expected) in [
        (
            mariadb,
            position,
            "{mode: getprimary}",
            "--execute=SHOW MASTER STATUS\n",
            json!({"Is_Primary": true, "File": "mysql-bin.000001", "Position": 328, "Binlog_Do_DB": "",
                "Binlog_Ignore_DB": null, "queries": [], "changed": false}),
        ),
        (
            mysql8,
            "",
            "{mode: getprimary}",
            "--execute=SHOW BINARY LOG STATUS\n",
            json!({"Is_Primary": false, "changed": false,
                "msg": "Server is not configured as mysql primary. Meaning: Binary logs are disabled"}),
        ),
        ("10.5.0-MariaDB\n", "", "{}", "--execute=SHOW SLAVE STATUS\n", json!({"Is_Replica": false})),
        (
            mysql8,
            "  Replica_IO_Running: Yes\n",
            "{channel: one}",
            "--execute=SHOW REPLICA STATUS FOR CHANNEL 'one'\n",
            json!({"Is_Replica": true, "Replica_IO_Running": "Yes"}),
        ),
        (
            mariadb,
            "",
            change,
            "CHANGE MASTER TO MASTER_HOST='h1',MASTER_USER='rep',MASTER_PASSWORD='p''w',\
             MASTER_LOG_FILE='mysql-bin.000001',MASTER_LOG_POS=328;\n",
            json!({"changed": true, "queries": ["CHANGE MASTER TO MASTER_HOST='h1',MASTER_USER='rep',\
                MASTER_PASSWORD='********',MASTER_LOG_FILE='mysql-bin.000001',MASTER_LOG_POS=328"]}),
        ),
        (
            mysql8,
            "",
            "{mode: changeprimary, primary_host: h1, primary_port: 3307, primary_ssl: false, channel: one}",
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='h1',SOURCE_PORT=3307,SOURCE_SSL=0 FOR CHANNEL 'one';\n",
            json!({"changed": true}),
        ),
        (mariadb, "", "{mode: startreplica}", "START REPLICA;\n", json!({"changed": true, "msg": "Replica started "})),
    ] {
        host.stage.write("version", version);
        host.stage.write("status", status);
        host.stage.write("statements", "");
        let (result, log) = host.run(&format!("mysql_replication: {task}")).await;
        assert_eq!(host.stage.read("statements"), statement, "{task} {result:#}");
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(result[name], *value, "{task} {name} {result:#}");
        }
        assert!(!log.concat().contains("p''w"), "{log:?}");
    }
    host.stage.write("refuses", "");
    let (result, _) = host.run("mysql_replication: {mode: startreplica}").await;
    assert_eq!(
        (&result["changed"], &result["msg"]),
        (&false.into(), &"Replica already started (Or cannot be started)".into())
    );
    let (result, _) = host.run("mysql_replication: {mode: stopreplica, fail_on_error: true}").await;
    assert_eq!(result["msg"], "STOP REPLICA failed: ERROR 1200");
}

#[tokio::test]
async fn an_extension_of_postgresql_is_made_updated_and_removed() {
    let psql = r#"
for a; do last=$a; done
case $last in
  "SELECT extversion"*) cat DIR/now ;;
  "SELECT default_version"*) echo 2.0 ;;
  "SELECT version"*) printf '1.0\n2.0\n' ;;
  "SELECT path"*) echo '1.0--2.0' ;;
esac"#;
    let host = Host::new(&[("psql", psql)]);
    for (now, task, expected) in [
        ("", "{name: 'pg\"x', db: acme}", "CREATE EXTENSION \"pg\"\"x\""),
        (
            "",
            "{name: hstore, db: acme, schema: ext, version: '1.0', cascade: yes}",
            "CREATE EXTENSION \"hstore\" WITH SCHEMA \"ext\" VERSION '1.0' CASCADE",
        ),
        ("1.0\n", "{name: hstore, db: acme}", ""),
        ("1.0\n", "{name: hstore, db: acme, version: latest}", "ALTER EXTENSION \"hstore\" UPDATE"),
        ("1.0\n", "{name: hstore, db: acme, version: '2.0'}", "ALTER EXTENSION \"hstore\" UPDATE TO '2.0'"),
        ("2.0\n", "{name: hstore, db: acme, version: latest}", ""),
        ("2.0\n", "{ext: hstore, login_db: acme, state: absent}", "DROP EXTENSION \"hstore\""),
        ("", "{ext: hstore, login_db: acme, state: absent}", ""),
    ] {
        host.stage.write("now", now);
        let (result, log) = host.run(&format!("postgresql_ext: {task}")).await;
        let acts: Vec<&String> = log.iter().filter(|line| !line.contains("SELECT")).collect();
        assert_eq!(acts.len(), usize::from(!expected.is_empty()), "{task} {result:#} {log:?}");
        assert!(acts.iter().all(|act| act.ends_with(&format!(" -c {expected}"))), "{acts:?}");
        assert_eq!(result["changed"], !expected.is_empty(), "{task} {result:#}");
    }
    host.stage.write("now", "");
    let (result, _) = host.run("postgresql_ext: {name: hstore, db: acme, version: '3'}").await;
    assert_eq!(result["msg"], "Passed version '3' is not available");
}

#[tokio::test]
async fn privileges_of_postgresql_are_granted_and_revoked_in_one_transaction() {
    let psql =
        "case \"$*\" in *SELECT*) printf 'web\\nit'\"'\"'s\\n' ;; *) cat > DIR/transaction; cat DIR/acls ;; esac";
    let mut host = Host::new(&[("psql", psql)]);
    let statements = |host: &Host| -> Vec<String> {
        let text = host.stage.read("transaction");
        text.lines().filter(|line| !line.starts_with("SELECT ")).map(str::to_owned).collect()
    };
    host.stage.write("acls", "before=a\nWARNING: x\nafter=b\n");
    for (task, expected) in [
        (
            "{db: shop, privs: 'select,insert', objs: 'a,b\"c', schema: s, roles: \"web,it's\", grant_option: no}",
            vec![
                "GRANT SELECT,INSERT ON table \"s\".\"a\",\"s\".\"b\"\"c\" TO \"web\",\"it's\";",
                "REVOKE GRANT OPTION FOR SELECT,INSERT ON table \"s\".\"a\",\"s\".\"b\"\"c\" FROM \"web\",\"it's\";",
            ],
        ),
        (
            "{db: shop, privs: ALL, objs: ALL_IN_SCHEMA, role: web}",
            vec!["GRANT ALL ON ALL TABLES IN SCHEMA \"public\" TO \"web\";"],
        ),
        (
            "{db: shop, priv: CONNECT, type: database, role: public, state: absent}",
            vec!["REVOKE CONNECT ON database \"shop\" FROM PUBLIC;"],
        ),
        (
            "{db: shop, privs: EXECUTE, type: function, objs: 'add(int:text)', role: web}",
            vec!["GRANT EXECUTE ON function \"public\".\"add\"(int,text) TO \"web\";"],
        ),
        (
            "{db: shop, type: group, objs: 'staff', role: web, admin_option: yes}",
            vec!["GRANT \"staff\" TO \"web\" WITH ADMIN OPTION;"],
        ),
        (
            "{db: shop, type: default_privs, privs: SELECT, objs: TABLES, role: web, target_roles: adm, session_role: adm}",
            vec![
                "SET ROLE \"adm\";",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"adm\" IN SCHEMA \"public\" REVOKE ALL ON TABLES FROM \"web\";",
                "ALTER DEFAULT PRIVILEGES FOR ROLE \"adm\" IN SCHEMA \"public\" GRANT SELECT ON TABLES TO \"web\";",
            ],
        ),
    ] {
        let (result, _) = host.run(&format!("community.postgresql.postgresql_privs: {task}")).await;
        let expected: Vec<&str> = [vec!["BEGIN;"], expected, vec!["COMMIT;"]].concat();
        assert_eq!(
            (statements(&host), &result["changed"]),
            (expected.iter().map(|it| (*it).to_owned()).collect(), &true.into()),
            "{task} {result:#}"
        );
    }
    for (task, expected) in [
        ("{db: shop, privs: select, objs: a, role: nowhere}", "Role 'nowhere' does not exist"),
        ("{db: shop, privs: much, objs: a, role: web}", "Invalid privileges specified: MUCH"),
        ("{db: shop, privs: select, role: web}", "Argument \"objs\" is required for type \"table\"."),
        (
            "{db: shop, privs: usage, type: schema, schema: x, objs: a, role: web}",
            "Argument \"schema\" is not allowed for type \"schema\".",
        ),
        (
            "{db: shop, privs: execute, type: function, objs: 'f() TO x; DROP', role: web}",
            "Illegal function / procedure signature: \"f() TO x; DROP\".",
        ),
    ] {
        let (result, _) = host.run(&format!("postgresql_privs: {task}")).await;
        assert_eq!(result["msg"], expected, "{task}");
    }
    let (result, _) =
        host.run("postgresql_privs: {db: shop, privs: select, objs: a, role: none, fail_on_role: no}").await;
    assert_eq!(
        (&result["changed"], &result["warnings"]),
        (&false.into(), &json!(["Role 'none' does not exist, pass it", "No valid roles provided, nothing to do"]))
    );
    host.stage.write("acls", "before=a\nafter=a\n");
    host.stage.check = true;
    let (result, _) =
        host.run("postgresql_privs: {db: shop, privs: select, objs: a, role: web, login_password: s3cret}").await;
    assert_eq!((&result["changed"], statements(&host).last().unwrap().as_str()), (&false.into(), "ROLLBACK;"));
    assert_eq!(result["queries"], json!(["GRANT SELECT ON table \"public\".\"a\" TO \"web\";"]));
}
