//! The modules: what a task can ask for, and which arguments each takes.

/// A module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Runs a command.
    Command,
    /// Puts a file there.
    Copy,
    /// Joins the host into the cluster.
    Join,
    /// Puts a file there that is made from a template.
    Template,
    /// Says what is wanted of a unit of the cluster.
    Unit,
    /// Timeouts for a port or a file.
    WaitFor,
}

impl Kind {
    /// Every module.
    pub const ALL: [Self; 6] = [Self::Command, Self::Copy, Self::Join, Self::Template, Self::Unit, Self::WaitFor];

    /// Returns its name in a playbook.
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

    /// Returns the module of a name; Ansible's long names for its own count too.
    pub fn of(name: &str) -> Option<Self> {
        let short = name.strip_prefix("ansible.builtin.").unwrap_or(name);
        Self::ALL.into_iter().find(|kind| kind.name() == short)
    }

    /// Says whether it is the cluster that is asked, and not the host.
    pub const fn is_for_cluster(self) -> bool {
        matches!(self, Self::Unit | Self::Join)
    }

    /// Returns the names of its arguments.
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
