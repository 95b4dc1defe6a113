//! Names of hosts and users that may come before a shell: a `ProxyCommand` is one, and has them in it.
//!
//! The line is OpenSSH's (`ssh_valid_hostname` and `ssh_valid_ruser`), and as there it is drawn for names that come from
//! outside. What ssh_config(5) says itself is its owner's business. Pure.

/// What a shell takes for more than a part of a word.
const SPECIAL: &str = "'`\"$\\;&<>|(){}";

/// Says what is wrong with the name of a host, if something is.
pub(crate) fn host(name: &str) -> Result<(), String> {
    let bad = |c: char| SPECIAL.contains(c) || c == ',' || c.is_whitespace() || c.is_control();
    check("host", name, name.chars().find(|c| bad(*c)))
}

/// Says what is wrong with the name of a user, if something is.
pub(crate) fn user(name: &str) -> Result<(), String> {
    let bad = |c: char| SPECIAL.contains(c) || c.is_whitespace() || c.is_control();
    check("user", name, name.chars().find(|c| bad(*c)))
}

fn check(kind: &str, name: &str, bad: Option<char>) -> Result<(), String> {
    match bad.or_else(|| name.starts_with('-').then_some('-')) {
        None => Ok(()),
        Some('-') => {
            Err(format!("{name:?} cannot be a {kind}'s name: with its `-` a command could take it for an option"))
        }
        Some(c) => Err(format!("{name:?} cannot be a {kind}'s name: a shell could take its {c:?} for more than that")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_could_run_is_no_name() {
        for c in "'`\"$\\;&<>|(){} \t\n\u{7f}\u{9b}".chars() {
            for name in [format!("a{c}b"), format!("{c}b"), format!("a{c}")] {
                assert!(host(&name).is_err() && user(&name).is_err(), "{name:?}");
            }
        }
        assert!(host("-oProxyCommand=x").is_err() && user("-x").is_err());
        assert!(host("a,b").is_err());
        for name in ["core-01", "10.0.0.1", "2001:db8::1", "fe80::1%eth0", "a_b.example", "höst", "*", "a=b@c/d#e!~^+"]
        {
            assert!(host(name).is_ok() && user(name).is_ok(), "{name:?}");
        }
        let told = user("a$(reboot)").unwrap_err();
        assert_eq!(told, "\"a$(reboot)\" cannot be a user's name: a shell could take its '$' for more than that");
    }
}
