//! The variables of a machine: what a unit file that is the same on all machines may say about the one where it runs.

use std::collections::BTreeMap;

use super::Machine;

/// The variables that every machine has: its name, its id and its address.
pub const MACHINE_VARIABLES: [&str; 3] = ["MUSTER_MACHINE_NAME", "MUSTER_MACHINE_ID", "MUSTER_MACHINE_ADDRESS"];

/// What begins the names of the variables that have the metadata of a machine.
pub const METADATA_VARIABLE: &str = concat!("MUSTER_", "METADATA_");

impl Machine {
    /// Returns the variables of the machine for its units, in the form of `EnvironmentFile=` (systemd.exec(5)): its name, its id,
    /// its address and its metadata. Of two keys that make one variable, the last counts.
    pub fn variables(&self) -> String {
        let address = if self.ip.is_empty() { &self.address.host } else { &self.ip };
        let own = [self.name.clone(), self.id.to_string(), address.clone()];
        let own = MACHINE_VARIABLES.map(str::to_owned).into_iter().zip(own);
        let metadata = self.metadata.iter().map(|(key, value)| (metadata_variable(key), value.clone()));
        let metadata: BTreeMap<String, String> = metadata.collect();
        let lines =
            own.chain(metadata).filter_map(|(name, value)| Some(format!("{name}={}\n", environment_value(&value)?)));
        lines.collect()
    }
}

/// Returns the name of the variable that has the metadata of a key.
fn metadata_variable(key: &str) -> String {
    let letter = |c: char| Some(c.to_ascii_uppercase()).filter(char::is_ascii_alphanumeric).unwrap_or('_');
    format!("{METADATA_VARIABLE}{}", key.chars().map(letter).collect::<String>())
}

/// Returns a value as `EnvironmentFile=` takes it; `None` if it has a control character, for example a newline, which Podman cannot
/// read. A value is quoted only if systemd would read it differently without quotes, because Podman may keep them.
fn environment_value(value: &str) -> Option<String> {
    let is_plain = value.trim() == value && !value.starts_with(['"', '\'']) && !value.contains('\\');
    match value {
        _ if value.contains(|c: char| c.is_control() || c == '\u{feff}') => None,
        _ if is_plain => Some(value.to_owned()),
        _ => {
            let escape = |c: char| if matches!(c, '"' | '\\' | '`' | '$') { vec!['\\', c] } else { vec![c] };
            Some(format!("\"{}\"", value.chars().flat_map(escape).collect::<String>()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_variables_for_its_name_its_id_its_address_and_its_metadata() {
        let metadata = [("rack-nr", "7"), ("Zone.a", "eu west"), ("disk", ""), ("zone_a", "last")];
        let machine = Machine {
            id: "3f2f3dd01bc642c29d396c0eaa4a7139".parse().unwrap(),
            name: "web1".to_owned(),
            address: "ssh://admin@web1.example:2222".parse().unwrap(),
            ip: "192.0.2.7".to_owned(),
            metadata: metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ..Machine::default()
        };
        let metadata =
            ["DISK=", "RACK_NR=7", "ZONE_A=last"].map(|line| format!("{METADATA_VARIABLE}{line}\n")).concat();
        let text = "MUSTER_MACHINE_NAME=web1\nMUSTER_MACHINE_ID=3f2f3dd01bc642c29d396c0eaa4a7139\n\
                    MUSTER_MACHINE_ADDRESS=192.0.2.7\n";
        assert_eq!(machine.variables(), format!("{text}{metadata}"));
        let unknown = Machine { ip: String::new(), ..machine };
        assert!(unknown.variables().contains("MUSTER_MACHINE_ADDRESS=web1.example\n"));
    }

    #[test]
    fn a_value_is_quoted_if_systemd_would_read_it_differently_and_left_out_if_it_is_not_one_line() {
        for (value, expected) in [
            ("a b$c#d;e=f`'\"", Some("a b$c#d;e=f`'\"")),
            ("müller", Some("müller")),
            (" a ", Some("\" a \"")),
            ("'a'", Some("\"'a'\"")),
            (r#""a"$b`"#, Some(r#""\"a\"\$b\`""#)),
            (r"C:\dir", Some(r#""C:\\dir""#)),
            ("a\nB=c", None),
            ("a\u{1b}[0m", None),
        ] {
            assert_eq!(environment_value(value).as_deref(), expected, "{value:?}");
        }
    }
}
