//! Checks names of hosts and users, which a shell may read as a part of a `ProxyCommand`.
//!
//! The rules are OpenSSH's (`ssh_valid_hostname` and `ssh_valid_ruser`). As in OpenSSH they apply to names from outside
//! and not to names in ssh_config(5) itself. This module is pure.

/// Characters with a meaning for a shell.
const SPECIAL: &str = "'`\"$\\;&<>|(){}";

/// Checks the name of a host.
pub(crate) fn host(name: &str) -> Result<(), String> {
    let bad = |c: char| SPECIAL.contains(c) || c == ',' || c.is_whitespace() || c.is_control();
    check("host", name, name.chars().find(|c| bad(*c)))
}

/// Checks the name of a user.
pub(crate) fn user(name: &str) -> Result<(), String> {
    let bad = |c: char| SPECIAL.contains(c) || c.is_whitespace() || c.is_control();
    check("user", name, name.chars().find(|c| bad(*c)))
}

fn check(kind: &str, name: &str, bad: Option<char>) -> Result<(), String> {
    match bad.or_else(|| name.starts_with('-').then_some('-')) {
        None => Ok(()),
        Some('-') => Err(format!(
            "invalid name of a {kind} {name:?}: expected no leading `-`, which a command takes for an option"
        )),
        Some(c) => {
            Err(format!("invalid name of a {kind} {name:?}: expected no {c:?}, which has a meaning for a shell"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_a_shell_could_run_is_not_a_name() {
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
        assert_eq!(told, "invalid name of a user \"a$(reboot)\": expected no '$', which has a meaning for a shell");
    }
}
