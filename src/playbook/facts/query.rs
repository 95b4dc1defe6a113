//! The scripts that gather facts, and the marks by which their texts are read.

use super::host_text::HostText;

/// A script whose text a parser of facts reads.
pub struct Query {
    mark: String,
    script: String,
}

impl Query {
    /// Asks for everything about the host. `fact_path` is the folder of the host's own facts, quoted for the shell. `limit` is
    /// the longest time of one command in seconds.
    pub fn host(fact_path: &str, limit: u64) -> Result<Self, String> {
        Self::new(&format!("fact_path={fact_path}\nlimit={limit}\n"), include_str!("../facts.sh"))
    }

    /// Asks for nothing: the host is only reached.
    pub fn nothing() -> Self {
        Self { mark: String::new(), script: ":".to_owned() }
    }

    /// Asks for the services.
    pub fn services() -> Result<Self, String> {
        Self::new("", include_str!("services.sh"))
    }

    /// Asks for the packages.
    pub fn packages() -> Result<Self, String> {
        Self::new("", include_str!("packages.sh"))
    }

    fn new(variables: &str, script: &str) -> Result<Self, String> {
        let random = getrandom::u64().map_err(|error| format!("no randomness: {error}"))?;
        let mark = format!("@{random:016x} ");
        Ok(Self { script: format!("mark='{mark}'\n{variables}{script}"), mark })
    }

    /// Returns the script.
    pub fn script(&self) -> &str {
        &self.script
    }

    /// Reads what the script has printed.
    pub fn read<'a>(&self, printed: &'a str) -> HostText<'a> {
        HostText::read(printed, &self.mark)
    }
}
