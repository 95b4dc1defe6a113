//! What an operator may change in the submitted text of a unit: not what muster itself has written into it.

use super::UnitFile;
use super::UnitOption;
use super::credentials;

/// The options of `[X-Muster]` that `muster apply` writes.
const WRITTEN: [&str; 2] = ["Application", "File"];

/// An edited unit file does not go with what muster has written into it. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// An option that `muster apply` writes has changed.
    #[error("[X-Muster] {0}=: `muster apply` writes it: leave it as it is")]
    Written(&'static str),
    /// An option names a secret that the unit does not have any more.
    #[error(
        "[{section}] {name}={value}: no Secret= or RegistryLogin= of [X-Muster] names this secret: remove this line too"
    )]
    NoSecret {
        /// The section of the option.
        section: String,
        /// The name of the option.
        name: String,
        /// Its value.
        value: String,
    },
}

/// Checks that an edited unit file goes with what muster has written into it.
pub fn check_edit(before: &UnitFile, after: &UnitFile) -> Result<(), BadEdit> {
    let values = |file: &UnitFile, option| file.values("X-Muster", option).map(str::to_owned).collect::<Vec<_>>();
    if let Some(option) = WRITTEN.into_iter().find(|option| values(before, option) != values(after, option)) {
        return Err(BadEdit::Written(option));
    }
    let secrets = credentials::secrets(after);
    let is_lost = |option: &&UnitOption| {
        let named = credentials::secret_in(&option.value);
        named.is_some_and(|name| !secrets.iter().any(|secret| secret.as_str() == name))
    };
    match after.options().iter().find(is_lost) {
        None => Ok(()),
        Some(UnitOption { section, name, value }) => {
            Err(BadEdit::NoSecret { section: section.clone(), name: name.clone(), value: value.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::with_versions;
    use super::*;

    fn file(text: &str) -> UnitFile {
        UnitFile::parse(text).unwrap()
    }

    #[test]
    fn what_apply_has_written_stays_and_a_secret_goes_with_its_line() {
        let hash = "0123456789012345678901234567890123456789";
        let text = format!("[Service]\nExecStart=/bin/a\n\n[X-Muster]\nSecret=db\nApplication=shop\nFile=env {hash}\n");
        let before = with_versions(&file(&text), |_| Some("1".repeat(32))).unwrap();
        let check = |from: &str, to: &str| {
            assert!(before.text().contains(from), "{}", before.text());
            check_edit(&before, &file(&before.text().replace(from, to))).map_err(|error| error.to_string())
        };
        assert_eq!(check("/bin/a", "/bin/b"), Ok(()));
        let written = |option: &str| Err(format!("[X-Muster] {option}=: `muster apply` writes it: leave it as it is"));
        assert_eq!(check("=shop", "=shops"), written("Application"));
        assert_eq!(check("Application=shop\n", ""), written("Application"));
        assert_eq!(check("File=env", "File=env2"), written("File"));
        let line = "LoadCredential=db:/run/muster/secrets/%n/db";
        assert_eq!(check(&format!("{line}\n"), ""), Ok(()), "muster writes the line again");
        let version = "1".repeat(32);
        let why = "no Secret= or RegistryLogin= of [X-Muster] names this secret: remove this line too";
        assert_eq!(check(&format!("Secret=db {version}\n"), ""), Err(format!("[Service] {line}: {why}")));
    }
}
