//! The privileges of an account of MySQL: as a task writes them, and as the server shows them.

use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;

/// Privileges by what they are for: `*.*`, `` `db`.* ``, `` `db`.`table` ``.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Privileges(IndexMap<String, Vec<String>>);

/// What is made of the privileges that an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// They become those of the task.
    Replace,
    /// Those of the task are added.
    Append,
    /// Those of the task are taken away.
    Subtract,
}

/// The statements that change privileges. `%ACCOUNT%` stands for the account.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) statements: Vec<String>,
    pub(super) msg: String,
    /// Set if something changes certainly.
    pub(super) is_certain: bool,
    /// Set if something may change.
    pub(super) must_compare: bool,
}

/// A line of `SHOW GRANTS`: the privileges, what they are for, and what follows the account.
static GRANT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"^GRANT (.+) ON (.+) TO ['`"].*['`"]@['`"][^'`"]*['`"]( IDENTIFIED BY PASSWORD ['`"][^'`"]*['`"])? ?(.*)$"#,
    )
    .ok()
});

impl Privileges {
    /// Reads the privileges of a task: `db.*:SELECT,INSERT/other.table:ALL`. `usage` says whether `*.*` must be there.
    pub(super) fn read(text: &str, quote: char, keeps_case: bool, usage: bool) -> Result<Self, String> {
        let mut all = IndexMap::new();
        for item in text.trim().split('/') {
            let bad = || format!("invalid privileges `{item}`: expected DB.TABLE:PRIVILEGE,PRIVILEGE");
            let (object, list) = item.trim().rsplit_once(':').ok_or_else(bad)?;
            let case =
                |list: &str| if keeps_case && list.contains('(') { list.to_owned() } else { list.to_uppercase() };
            if list.contains(['\'', '"', ';', '\n']) || object.contains(['\'', ';', '\n']) {
                return Err(bad());
            }
            all.insert(quoted(object, quote), split(&case(list)));
        }
        if usage && !all.contains_key("*.*") {
            all.insert("*.*".to_owned(), vec!["USAGE".to_owned()]);
        }
        Ok(Self(all))
    }

    /// Reads what the server shows.
    pub(super) fn of_grants(text: &str) -> Result<Self, String> {
        let mut all: IndexMap<String, Vec<String>> = IndexMap::new();
        for line in text.lines() {
            let Some(found) = GRANT.as_ref().and_then(|grant| grant.captures(line)) else {
                // Roles are no privileges.
                if line.starts_with("SET DEFAULT ROLE ") || line.starts_with("GRANT ") && line.contains(" TO ") {
                    continue;
                }
                return Err(format!("unable to parse the MySQL grant string: {line}"));
            };
            let part = |number: usize| found.get(number).map_or("", |part| part.as_str());
            let list = all.entry(part(2).to_owned()).or_default();
            let name = |name: String| if name == "ALL PRIVILEGES" { "ALL".to_owned() } else { name };
            list.extend(split(part(1)).into_iter().map(name));
            if part(4).contains("WITH GRANT OPTION") {
                list.push("GRANT".to_owned());
            }
        }
        Ok(Self(all))
    }

    /// Returns the statements that grant everything.
    pub(super) fn grants(&self) -> Vec<String> {
        self.0.iter().map(|(object, list)| grant(object, list)).collect()
    }

    /// Returns how the privileges of an account change to these.
    pub(super) fn changes(&self, now: &Self, change: Change, is_root: bool) -> Changes {
        let mut changes = Changes::default();
        let mut with_option = false;
        if change == Change::Replace {
            for (object, list) in &now.0 {
                with_option |= list.iter().any(|name| name == "GRANT");
                if !self.0.contains_key(object) && !is_root && !list.iter().any(|name| name == "PROXY") {
                    changes.revoke(object, list, with_option);
                    "Privileges updated".clone_into(&mut changes.msg);
                    changes.is_certain = true;
                }
            }
        }
        if change != Change::Subtract {
            for (object, list) in self.0.iter().filter(|(object, _)| !now.0.contains_key(*object)) {
                changes.statements.push(grant(object, list));
                "New privileges granted".clone_into(&mut changes.msg);
                changes.is_certain = true;
            }
        }
        for (object, list) in &self.0 {
            if let Some(old) = now.0.get(object) {
                changes.update(object, list, old, change);
            }
        }
        changes
    }
}

impl Changes {
    fn revoke(&mut self, object: &str, list: &[String], with_option: bool) {
        if with_option {
            self.statements.push(format!("REVOKE GRANT OPTION ON {object} FROM %ACCOUNT%"));
        }
        let names = without_option(list);
        let is_nothing = names.is_empty() || with_option && names == "USAGE";
        if !is_nothing {
            self.statements.push(format!("REVOKE {names} ON {object} FROM %ACCOUNT%"));
        }
    }

    /// Adds what changes for an object for which the account has privileges.
    fn update(&mut self, object: &str, list: &[String], old: &[String], change: Change) {
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            let mut names: Vec<String> = of.iter().filter(|name| !from.contains(name)).cloned().collect();
            names.dedup();
            names
        };
        let (mut granted, mut revoked) = match change {
            Change::Append => (missing(old, list), Vec::new()),
            Change::Subtract => (Vec::new(), list.iter().filter(|name| old.contains(name)).cloned().collect()),
            Change::Replace => (missing(old, list), missing(list, old)),
        };
        if granted.iter().any(|name| name == "ALL" || name == "ALL PRIVILEGES") {
            revoked.retain(|name| name == "GRANT" || name == "PROXY");
        }
        let has_option = |list: &[String]| list.iter().any(|name| name == "GRANT");
        let with_option = change == Change::Replace && has_option(&revoked) && !has_option(&granted);
        if granted == ["GRANT"] {
            granted.push("USAGE".to_owned());
        }
        if granted.is_empty() && revoked.is_empty() {
            return;
        }
        let shown = |list: &[String]| list.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        self.msg = format!("Privileges updated: granted [{}], revoked [{}]", shown(&granted), shown(&revoked));
        self.must_compare = true;
        if !revoked.is_empty() {
            self.revoke(object, &revoked, with_option);
        }
        if !granted.is_empty() {
            self.statements.push(grant(object, &granted));
        }
    }
}

/// Returns the privileges but the option to grant them further, which has a syntax of its own.
fn without_option(list: &[String]) -> String {
    list.iter().filter(|name| *name != "GRANT").map(String::as_str).collect::<Vec<_>>().join(",")
}

fn grant(object: &str, list: &[String]) -> String {
    let option = if list.iter().any(|name| name == "GRANT") { " WITH GRANT OPTION" } else { "" };
    format!("GRANT {} ON {object} TO %ACCOUNT%{option}", without_option(list))
}

/// Quotes the database and the table of an object.
fn quoted(object: &str, quote: char) -> String {
    let (kind, name) = match object.split_once(' ') {
        Some((kind @ ("FUNCTION" | "PROCEDURE"), name)) => (format!("{kind} "), name),
        _ => (String::new(), object),
    };
    let side = |side: &str| match side.trim_matches('`') {
        "*" => side.to_owned(),
        name => format!("{quote}{name}{quote}"),
    };
    let parts = name.rsplit_once('.').map_or_else(|| vec![name], |(database, table)| vec![database, table]);
    kind + &parts.into_iter().map(side).collect::<Vec<_>>().join(".")
}

/// Splits privileges at the commas that are not within a list of columns, which is sorted.
fn split(list: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut depth = 0_u32;
    for c in list.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                names.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = names.last_mut() {
            last.push(c);
        }
    }
    let sorted = |name: String| match name.trim().split_once('(') {
        Some((name, columns)) => {
            let mut columns: Vec<&str> =
                columns.trim_end_matches(')').split(',').map(|column| column.trim().trim_matches('`')).collect();
            columns.sort_unstable();
            format!("{name}({})", columns.join(", "))
        }
        None => name.trim().to_owned(),
    };
    names.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::Change;
    use super::Privileges;

    fn changes(task: &str, grants: &str, change: Change) -> Vec<String> {
        let now = Privileges::of_grants(grants).unwrap();
        let wanted = Privileges::read(task, '`', false, change != Change::Subtract).unwrap();
        wanted.changes(&now, change, false).statements
    }

    #[test]
    fn privileges_are_granted_and_revoked() {
        let usage = "GRANT USAGE ON *.* TO 'web'@'localhost'";
        let acme =
            format!("{usage}\nGRANT SELECT, INSERT (`b`, `a`) ON `acme`.* TO `web`@`localhost` WITH GRANT OPTION");
        for (task, grants, change, expected) in [
            ("acme.*:ALL", usage, Change::Replace, vec!["GRANT ALL ON `acme`.* TO %ACCOUNT%"]),
            (
                "acme.*:select,insert(a,b),GRANT",
                &acme,
                Change::Append,
                vec!["GRANT INSERT(A, B) ON `acme`.* TO %ACCOUNT%"],
            ),
            (
                "*.*:USAGE",
                &acme,
                Change::Replace,
                vec![
                    "REVOKE GRANT OPTION ON `acme`.* FROM %ACCOUNT%",
                    "REVOKE SELECT,INSERT (a, b) ON `acme`.* FROM %ACCOUNT%",
                ],
            ),
            ("acme.*:SELECT", &acme, Change::Subtract, vec!["REVOKE SELECT ON `acme`.* FROM %ACCOUNT%"]),
            ("acme.*:SELECT,GRANT", &acme, Change::Append, vec![]),
            (
                "x\\_%.t:UPDATE/acme.*:SELECT",
                usage,
                Change::Append,
                vec!["GRANT UPDATE ON `x\\_%`.`t` TO %ACCOUNT%", "GRANT SELECT ON `acme`.* TO %ACCOUNT%"],
            ),
            ("*.*:GRANT", usage, Change::Append, vec!["GRANT USAGE ON *.* TO %ACCOUNT% WITH GRANT OPTION"]),
            (
                "*.*:ALL,GRANT",
                "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` IDENTIFIED BY PASSWORD '*1' WITH GRANT OPTION",
                Change::Replace,
                vec![],
            ),
        ] {
            assert_eq!(changes(task, grants, change), expected, "{task}");
        }
    }

    #[test]
    fn wrong_privileges_are_refused() {
        assert!(Privileges::read("acme", '`', false, true).is_err());
        assert!(Privileges::read("acme.*:SELECT; DROP", '`', false, true).is_err());
        assert!(Privileges::of_grants("REVOKE x").is_err());
        assert!(Privileges::of_grants("GRANT `role`@`%` TO `u`@`h`").unwrap().0.is_empty());
    }
}
