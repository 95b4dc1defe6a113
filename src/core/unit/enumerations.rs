//! The directives of systemd whose values are words of a fixed list. systemd ignores a line with another word, so the unit gets
//! the default.

/// The words of actions such as `FailureAction=`.
const ACTIONS: &[&str] = &[
    "none",
    "reboot",
    "reboot-force",
    "reboot-immediate",
    "poweroff",
    "poweroff-force",
    "poweroff-immediate",
    "exit",
    "exit-force",
    "soft-reboot",
    "soft-reboot-force",
    "kexec",
    "kexec-force",
    "halt",
    "halt-force",
    "halt-immediate",
];

/// The words of `OnFailureJobMode=` and `OnSuccessJobMode=`.
const JOB_MODES: &[&str] = &[
    "fail",
    "lenient",
    "replace",
    "replace-irreversibly",
    "isolate",
    "flush",
    "ignore-dependencies",
    "ignore-requirements",
    "triggering",
    "restart-dependencies",
];

const MANAGED_OOM: &[&str] = &["auto", "kill"];
const TIMEOUT_MODES: &[&str] = &["terminate", "abort", "kill"];

/// Returns the words that systemd 252 to 257 takes as the value of a directive; `None` if the directive takes other values
/// too.
pub(super) fn words(section: &str, name: &str) -> Option<&'static [&'static str]> {
    Some(match (section, name) {
        ("Service", "Type") => &["simple", "exec", "forking", "oneshot", "dbus", "notify", "notify-reload", "idle"],
        ("Service", "Restart") => {
            &["no", "on-success", "on-failure", "on-abnormal", "on-watchdog", "on-abort", "always"]
        }
        ("Service", "RestartMode") => &["normal", "direct", "debug"],
        ("Service", "NotifyAccess") => &["none", "main", "exec", "all"],
        ("Service", "ExitType") => &["main", "cgroup"],
        ("Service" | "Scope", "OOMPolicy") => &["continue", "stop", "kill"],
        ("Service", "TimeoutStartFailureMode" | "TimeoutStopFailureMode") => TIMEOUT_MODES,
        ("Service" | "Socket" | "Mount" | "Swap" | "Scope", "KillMode") => {
            &["control-group", "process", "mixed", "none"]
        }
        ("Service" | "Socket" | "Mount" | "Swap", "KeyringMode") => &["inherit", "private", "shared"],
        ("Service" | "Socket" | "Mount" | "Swap", "ProtectProc") => &["noaccess", "invisible", "ptraceable", "default"],
        ("Service" | "Socket" | "Mount" | "Swap", "ProcSubset") => &["all", "pid"],
        ("Service" | "Socket" | "Mount" | "Swap" | "Slice" | "Scope", "DevicePolicy") => &["auto", "closed", "strict"],
        (
            "Service" | "Socket" | "Mount" | "Swap" | "Slice" | "Scope",
            "ManagedOOMSwap" | "ManagedOOMMemoryPressure",
        ) => MANAGED_OOM,
        ("Unit", "OnFailureJobMode" | "OnSuccessJobMode") => JOB_MODES,
        ("Unit", "CollectMode") => &["inactive", "inactive-or-failed"],
        ("Unit", "FailureAction" | "SuccessAction" | "StartLimitAction" | "JobTimeoutAction") => ACTIONS,
        _ => return None,
    })
}

/// Reports whether systemd takes a value. A value that is empty or goes over several lines counts as taken.
pub(super) fn is_value(section: &str, name: &str, value: &str) -> bool {
    value.is_empty() || value.contains('\n') || words(section, name).is_none_or(|words| words.contains(&value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::unit::directives;

    #[test]
    fn a_value_is_one_of_the_words_if_the_directive_takes_only_words() {
        assert!(is_value("Service", "Type", "notify-reload") && !is_value("Service", "Type", "wrong"));
        assert!(!is_value("Service", "Restart", "Always") && is_value("Service", "Restart", ""));
        assert!(is_value("Service", "ExecStart", "anything") && is_value("X-Own", "Type", "anything"));
        assert!(!is_value("Mount", "KillMode", "proces") && is_value("Mount", "Type", "ext4"));
    }

    #[test]
    fn each_directive_with_words_is_known() {
        for name in
            ["Type", "Restart", "RestartMode", "NotifyAccess", "ExitType", "OOMPolicy", "KillMode", "ProcSubset"]
        {
            assert!(words("Service", name).is_some() && directives::is_directive("Service", name), "{name}");
        }
    }
}
