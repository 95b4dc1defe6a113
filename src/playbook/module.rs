//! The modules: their names and the arguments that each takes.

/// A module of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// Runs a command.
    Command,
    /// Writes a file on the host.
    Copy,
    /// Joins the host into the cluster.
    Join,
    /// Writes a file that is rendered from a template.
    Template,
    /// Sets the desired state of a unit of the cluster.
    Unit,
    /// Waits for a port or a file.
    WaitFor,
}

impl Module {
    /// Every module.
    pub const ALL: [Self; 6] = [Self::Command, Self::Copy, Self::Join, Self::Template, Self::Unit, Self::WaitFor];

    /// Returns the module's name in a playbook.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Copy => "copy",
            Self::Join => "join",
            Self::Template => "template",
            Self::Unit => "unit",
            Self::WaitFor => "wait_for",
        }
    }

    /// Returns the module with a name. The names of Ansible's own modules may be full: `ansible.builtin.copy`.
    pub fn named(name: &str) -> Option<Self> {
        let short = name.strip_prefix("ansible.builtin.").unwrap_or(name);
        Self::ALL.into_iter().find(|module| module.name() == short)
    }

    /// Reports whether the module runs on the cluster and not on the host.
    pub const fn is_for_cluster(self) -> bool {
        matches!(self, Self::Unit | Self::Join)
    }

    /// Returns the names of the module's arguments.
    pub const fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::Command => &["cmd", "argv", "chdir", "creates", "removes", "stdin", "stdin_add_newline"],
            Self::Copy => &["src", "content", "dest", "mode", "owner", "group"],
            Self::Join => &[],
            Self::Template => &["src", "dest", "mode", "owner", "group"],
            Self::Unit => &["name", "state", "src", "template"],
            Self::WaitFor => &["host", "port", "path", "state", "timeout"],
        }
    }

    /// Returns sets of arguments of which exactly one must be given.
    pub const fn required(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Command => &[&["cmd", "argv"]],
            Self::Copy => &[&["src", "content"], &["dest"]],
            Self::Join => &[],
            Self::Template => &[&["src"], &["dest"]],
            Self::Unit => &[&["name"]],
            Self::WaitFor => &[&["port", "path"]],
        }
    }

    /// Returns sets of arguments of which at most one may be given.
    pub const fn exclusive(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Unit => &[&["src", "template"]],
            _ => &[],
        }
    }
}
