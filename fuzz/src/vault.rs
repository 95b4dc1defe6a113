//! The vaults of Ansible.

use muster::inventory::diagnostic::Position;
use muster::vault::Envelope;
use muster::vault::Keyring;
use muster::vault::LabelledPassword;

use super::assert_within;

/// Reads a vault and tries to open it. A fault must be at a line of the text. What was read is written in the same way.
pub fn vault(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Envelope::parse(text) {
        Ok(vault) => assert_eq!(Envelope::parse(&vault.to_text()).as_ref(), Ok(&vault)),
        Err(error) => {
            let (line, column) = error.position().unwrap_or_default();
            assert_within(Position::new(line, column), text);
        }
    }
    let password = LabelledPassword { label: "default".to_owned(), password: "test-password".into() };
    let _ = Keyring::new(vec![password]).open_file(data.to_vec());
}
