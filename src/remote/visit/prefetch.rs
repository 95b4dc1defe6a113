//! The script that pulls an image on a host, waits for the end of the pull and says how it ended. Visits begin the same pull
//! and do not wait: whichever comes first begins it.

use std::fmt::Write as _;
use std::time::Duration;

use super::script::PULL;
use super::script::pull_call;
use crate::core::sanitize::MESSAGE_LIMIT;
use crate::core::sanitize::truncate;
use crate::core::unit::ImagePull;
use crate::remote::quote::Unquotable;

/// What a host has done about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prefetched {
    /// It had the image.
    There,
    /// It has pulled the image in this time.
    Pulled(Duration),
    /// It has not pulled the image, for this reason.
    Failed(String),
}

/// Writes the script. It reads the login to the registry on stdin, if the pull needs one. `root` goes before every path: it is
/// empty on hosts, and a folder where a test plays host.
pub fn script(pull: &ImagePull, root: &str) -> Result<String, Unquotable> {
    let call = pull_call(pull)?;
    let mut text = format!("umask 077\nm_run={}/run/muster\n{PULL}", crate::remote::quote::quote(root)?);
    if pull.login.is_some() {
        let _ =
            write!(text, "m_login=$m_run/pulls/{}.login\nmkdir -p \"$m_run/pulls\" && cat >\"$m_login\"\n", pull.key());
    }
    // The first look may find the end of an earlier pull that failed.
    let _ = write!(
        text,
        "m_find_image {call}\n[ $m_image != failed ] || m_find_image {call}\n\
         read -r m_began m_rest </proc/uptime\n[ $m_image != there ] || m_began=\n\
         while [ $m_image = pulls ]; do sleep 1; m_find_image {call}; done\n\
         [ -z \"$m_login\" ] || rm -f -- \"$m_login\"\n\
         read -r m_ended m_rest </proc/uptime\n\
         case $m_image in\n  failed) printf 'failed %s\\n' \"$m_why\" ;;\n  \
         *) if [ -z \"$m_began\" ]; then echo there; else echo pulled $((${{m_ended%%.*}} - ${{m_began%%.*}})); fi ;;\nesac\n"
    );
    Ok(text)
}

/// Reads what the script printed. The host is not trusted.
pub fn read(printed: &[u8]) -> Prefetched {
    let text = String::from_utf8_lossy(printed);
    let line = text.lines().next_back().unwrap_or_default();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match (word, rest.parse()) {
        ("there", _) => Prefetched::There,
        ("pulled", Ok(seconds)) => Prefetched::Pulled(Duration::from_secs(seconds)),
        ("failed", _) => Prefetched::Failed(truncate(rest, MESSAGE_LIMIT)),
        _ => Prefetched::Failed("the host did not say how the pull ended".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_host_says_how_a_pull_ended() {
        assert_eq!(read(b"there\n"), Prefetched::There);
        assert_eq!(read(b"Welcome\npulled 12\n"), Prefetched::Pulled(Duration::from_secs(12)));
        assert_eq!(read(b"failed manifest unknown\n"), Prefetched::Failed("manifest unknown".to_owned()));
        for printed in ["", "pulled\n", "pulled x\n", "what\n"] {
            assert!(matches!(read(printed.as_bytes()), Prefetched::Failed(why) if why.starts_with("the host did not")));
        }
    }
}
