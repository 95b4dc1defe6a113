//! What a task includes or imports: a file of tasks, or a role.

use serde_json::Value;

use crate::inventory::Vars;

/// A file of tasks or a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Include {
    /// A file of tasks.
    Tasks(String),
    /// A role.
    Role {
        /// The name.
        name: String,
        /// Its files.
        from: RoleFiles,
        /// Set if the rest of the play can use its variables.
        public: bool,
    },
}

/// Which files of a role are read: `main`, or the others that a task names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleFiles {
    /// The file of tasks.
    pub tasks: String,
    /// The file of variables.
    pub vars: String,
    /// The file of defaults.
    pub defaults: String,
    /// The file of handlers.
    pub handlers: String,
}

impl Default for RoleFiles {
    fn default() -> Self {
        let main = || "main".to_owned();
        Self { tasks: main(), vars: main(), defaults: main(), handlers: main() }
    }
}

impl Include {
    /// Reads the arguments of `include_tasks`, `include_role`, `import_tasks` or `import_role`. The variables of an imported
    /// role are public unless the task says something else.
    pub fn of(name: &str, args: &Vars) -> Result<Self, String> {
        match name {
            "include_role" | "import_role" => Self::role(args, name == "import_role"),
            _ => Self::tasks(args),
        }
    }

    /// Returns the arguments of a role that are shown. A file of tasks has none.
    pub fn shown_arguments(&self) -> Vars {
        let Self::Role { name, from, .. } = self else { return Vars::new() };
        let files = [
            ("tasks_from", &from.tasks),
            ("vars_from", &from.vars),
            ("defaults_from", &from.defaults),
            ("handlers_from", &from.handlers),
        ];
        let given = files.into_iter().filter(|(_, file)| *file != "main");
        std::iter::once(("name", name)).chain(given).map(|(key, text)| (key.to_owned(), text.clone().into())).collect()
    }

    fn tasks(args: &Vars) -> Result<Self, String> {
        text(args, "file")?.map(Self::Tasks).ok_or_else(|| "`file` is missing".to_owned())
    }

    fn role(args: &Vars, public: bool) -> Result<Self, String> {
        let name = text(args, "name")?.ok_or_else(|| "`name` is missing".to_owned())?;
        let file = |argument: &str, main: String| {
            let file = text(args, argument)?;
            Ok::<_, String>(
                file.map_or(main, |file| file.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned()),
            )
        };
        let main = RoleFiles::default();
        let from = RoleFiles {
            tasks: file("tasks_from", main.tasks)?,
            vars: file("vars_from", main.vars)?,
            defaults: file("defaults_from", main.defaults)?,
            handlers: file("handlers_from", main.handlers)?,
        };
        let public = args.get("public").and_then(Value::as_bool).unwrap_or(public);
        Ok(Self::Role { name, from, public })
    }
}

fn text(args: &Vars, name: &str) -> Result<Option<String>, String> {
    match args.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(format!("`{name}` must be text")),
    }
}
