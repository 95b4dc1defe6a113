//! The accounts of this host, from passwd(5). One of another source (LDAP) is not found, and has only its number.

use std::path::PathBuf;

/// An account of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its home directory.
    pub home: PathBuf,
}

/// Finds the account with a number.
pub fn find(user: u32) -> Option<Account> {
    in_text(&std::fs::read_to_string("/etc/passwd").ok()?, user)
}

/// Finds the account of the user that runs muster.
pub fn own() -> Option<Account> {
    find(rustix::process::getuid().as_raw())
}

fn in_text(text: &str, user: u32) -> Option<Account> {
    let number = user.to_string();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let home = (fields.nth(1)? == number).then(|| fields.nth(2)).flatten()?;
        Some(Account { name, home: PathBuf::from(home) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_number() {
        let text = "root:x:0:0:root:/root:/bin/bash\nbroken\nalice:x:1000:1000:Alice:/home/alice:/bin/sh\n";
        let alice = Account { name: "alice".to_owned(), home: PathBuf::from("/home/alice") };
        assert_eq!((in_text(text, 1000), in_text(text, 10)), (Some(alice), None));
    }
}
