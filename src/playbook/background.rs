//! Which modules cannot run in the background (`async`), as in Ansible: those that act on the machine of the playbook too.

/// The modules that Ansible refuses with `async`.
const REFUSED: [&str; 18] = [
    "assemble",
    "assert",
    "async_status",
    "copy",
    "debug",
    "fail",
    "fetch",
    "gather_facts",
    "include_vars",
    "pause",
    "raw",
    "reboot",
    "script",
    "set_fact",
    "set_stats",
    "template",
    "unarchive",
    "wait_for_connection",
];

/// Returns the fault of a module that cannot run in the background.
pub(super) fn fault(module: &str) -> Option<String> {
    REFUSED.contains(&module).then(|| format!("`{module}` does not run in the background"))
}
