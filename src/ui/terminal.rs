//! How much is printed and in which colours. The command line says so once, before anything is printed.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use crate::core::model::Health;

/// When to print in colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always, except in JSON.
    Always,
    /// Never.
    Never,
}

/// How much is printed and in which colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appearance {
    /// Set to print results and errors only.
    pub quiet: bool,
    /// Set to print log messages, which a progress line would disturb.
    pub verbose: bool,
    /// When to print in colours.
    pub color: ColorChoice,
    /// Set if the environment asks for no colours: NO_COLOR, or a TERM that is dumb.
    pub is_plain: bool,
    /// Set if stderr goes to the journal, which takes a priority with each line (sd-daemon(3)).
    pub journal: bool,
}

/// The priority of lines in the journal. Lines without one have the priority of information.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    Error = 3,
    Warning = 4,
}

impl Priority {
    /// Marks each line with the priority.
    pub(super) fn mark(self, text: &str) -> String {
        text.split_inclusive('\n').map(|line| format!("<{}>{line}", self as u8)).collect()
    }
}

static APPEARANCE: OnceLock<Appearance> = OnceLock::new();

/// Sets how much is printed and in which colours. Only the first call counts.
pub fn set_appearance(appearance: Appearance) {
    let _ = APPEARANCE.set(appearance);
}

/// Reports whether more than the usual is printed (`-v`).
pub fn is_verbose() -> bool {
    appearance().verbose
}

/// Returns how much is printed and in which colours.
pub(super) fn appearance() -> Appearance {
    APPEARANCE.get().copied().unwrap_or_default()
}

impl Appearance {
    const fn has_color(self, is_terminal: bool) -> bool {
        match self.color {
            ColorChoice::Auto => is_terminal && !self.is_plain,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        }
    }

    /// Reports whether a progress line may be shown.
    pub(super) fn has_progress(self) -> bool {
        !self.quiet && !self.verbose && std::io::stderr().is_terminal()
    }
}

/// Reports whether stdout shows colours.
pub fn stdout_has_color() -> bool {
    appearance().has_color(std::io::stdout().is_terminal())
}

/// Reports whether stderr shows colours.
pub(super) fn stderr_has_color() -> bool {
    appearance().has_color(std::io::stderr().is_terminal())
}

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it should be: green.
    Good,
    /// To be watched: yellow.
    Warning,
    /// Wrong: bold red.
    Error,
}

impl Tone {
    /// Returns the tone of a machine's health.
    pub const fn of(health: Health) -> Self {
        match health {
            Health::Alive => Self::Good,
            Health::Suspect | Health::PathFault | Health::Throttled => Self::Warning,
            Health::SshdDown | Health::Sick | Health::Unreachable | Health::Down => Self::Error,
        }
    }

    /// Writes text in the tone's colour if the stream shows colours.
    pub fn paint(self, text: &str, has_color: bool) -> String {
        if !has_color || text.is_empty() {
            return text.to_owned();
        }
        let code = match self {
            Self::Good => "32",
            Self::Warning => "33",
            Self::Error => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_the_flag_says_otherwise() {
        for (color, is_plain, is_terminal, expected) in [
            (ColorChoice::Auto, false, true, true),
            (ColorChoice::Auto, false, false, false),
            (ColorChoice::Auto, true, true, false),
            (ColorChoice::Always, true, false, true),
            (ColorChoice::Never, false, true, false),
        ] {
            let appearance = Appearance { color, is_plain, ..Appearance::default() };
            assert_eq!(appearance.has_color(is_terminal), expected, "{color:?} {is_plain} {is_terminal}");
        }
        assert_eq!(Tone::Error.paint("down", true), "\u{1b}[1;31mdown\u{1b}[0m");
        assert_eq!(Tone::Error.paint("down", false), "down");
    }

    #[test]
    fn each_line_gets_its_priority() {
        assert_eq!(Priority::Error.mark("Error: no\nHint: Yes.\n"), "<3>Error: no\n<3>Hint: Yes.\n");
    }
}
