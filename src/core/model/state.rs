//! The state of a unit as a machine's systemd reports it. Only words that systemd uses are accepted, because reports of
//! hosts are not trusted.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use super::DesiredState;
use super::unit::is_zero;
use crate::core::sanitize::truncate;
use crate::core::unit::Hash;

/// How many bytes the name of a sub state may have. The longest name in systemd 257 has 26.
const SUB_STATE_BYTES: usize = 64;

/// The last state that a machine's systemd reported for a unit. The store keeps it under `states/<unit>/<machine>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// systemd's LOAD.
    pub load: LoadState,
    /// systemd's ACTIVE.
    pub active: ActiveState,
    /// systemd's SUB.
    pub sub: SubState,
    /// systemd's JOB: what systemd is to do to the unit or does to it, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobType>,
    /// The hash of the file on the machine.
    pub hash: Hash,
    /// Set when muster has started it there since the file was put there.
    pub launched: bool,
    /// The last of [`Unit::restarts`](super::Unit::restarts) that was carried out there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: u64,
    /// Set if systemd has restarted it a moment ago, because it had ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restarted: bool,
}

impl UnitState {
    /// Reports whether the host has the unit's file. A unit may run on after a user has removed its file.
    pub fn has_file(&self) -> bool {
        self.hash != Hash::NONE
    }

    /// Reports whether processes of the unit run, or may start to run at any moment.
    pub const fn runs(&self) -> bool {
        self.active.runs() || self.is_queued_to_start()
    }

    /// Reports whether the unit has started or is starting: a request to start it would change nothing.
    pub fn is_up(&self) -> bool {
        self.active.runs() && self.active != ActiveState::Deactivating && !self.sub.is_auto_restart()
    }

    /// Reports whether systemd is still moving the unit to another state, or is about to. A service that ends again and
    /// again is not.
    pub fn is_changing(&self) -> bool {
        let changing = self.active.is_changing() || matches!(self.job, Some(job) if job.changes_state());
        changing && !self.sub.is_auto_restart()
    }

    /// Reports whether systemd has loaded the file of the unit, and the file has this hash.
    pub fn has_loaded(&self, hash: Hash) -> bool {
        self.load == LoadState::Loaded && self.hash == hash
    }

    /// Reports whether systemd has yet to bring the unit up. A oneshot runs meanwhile.
    pub fn is_starting(&self) -> bool {
        self.active == ActiveState::Activating || self.is_queued_to_start()
    }

    /// Reports whether a launched unit is as it should be: it runs or is queued to start, or it is a oneshot that has
    /// run and ended. A service that ended and that systemd is about to start again, or has just started again, is not.
    pub fn is_well(&self, oneshot: bool) -> bool {
        if self.job == Some(JobType::Stop) || self.is_restarting() {
            return false;
        }
        self.is_queued_to_start() || self.is_well_without_job(oneshot)
    }

    /// Reports whether the unit ended, and systemd is about to start it again or has just done so.
    pub fn is_restarting(&self) -> bool {
        self.restarted || self.sub.is_auto_restart()
    }

    /// Reports whether the unit has ended and has no process until systemd starts it again.
    pub fn waits_for_restart(&self) -> bool {
        self.sub.is_auto_restart()
    }

    /// Reports whether systemd may change the state of the unit while it has no process that could end or begin: a service
    /// that waits for its restart fails for good when systemd gives up on it. One that systemd has just restarted may have ended
    /// and begun again between two observations.
    pub fn changes_unseen(&self) -> bool {
        self.waits_for_restart() || self.restarted
    }

    /// Reports whether systemd will start the unit although nothing has begun.
    const fn is_queued_to_start(&self) -> bool {
        matches!(self.job, Some(JobType::Start | JobType::Restart | JobType::ReloadOrStart))
    }

    const fn is_well_without_job(&self, oneshot: bool) -> bool {
        match self.active {
            ActiveState::Active | ActiveState::Activating | ActiveState::Reloading | ActiveState::Refreshing => true,
            ActiveState::Inactive => oneshot && self.launched,
            ActiveState::Deactivating | ActiveState::Failed | ActiveState::Maintenance => false,
        }
    }

    /// Returns the job that waits in systemd's queue. A unit in a state that changes has a job too, which has begun.
    pub const fn queued_job(&self) -> Option<JobType> {
        if self.active.is_changing() { None } else { self.job }
    }

    /// Returns how far the unit has come on this machine (STATE in fleet).
    pub const fn reached(&self) -> DesiredState {
        if self.launched { DesiredState::Launched } else { DesiredState::Loaded }
    }
}

impl fmt::Display for UnitState {
    /// Writes `inactive (dead)`, or `inactive (dead), start queued`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, sub, .. } = self;
        write!(f, "{active} ({sub})")?;
        match self.queued_job() {
            Some(job) => write!(f, ", {job} queued"),
            None if self.restarted => f.write_str(", restarted by systemd a moment ago"),
            None => Ok(()),
        }
    }
}

/// systemd's LOAD: whether the unit's file could be read. The words are those of systemd 252 to 257.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadState {
    /// The file has not been read yet.
    Stub,
    /// The file was read.
    Loaded,
    /// There is no file of that name.
    NotFound,
    /// The file has a setting that systemd refuses.
    BadSetting,
    /// The file could not be read.
    Error,
    /// The unit is an alias of another one.
    Merged,
    /// The unit is masked.
    Masked,
}

impl LoadState {
    /// Every load state.
    pub const ALL: [Self; 7] =
        [Self::Stub, Self::Loaded, Self::NotFound, Self::BadSetting, Self::Error, Self::Merged, Self::Masked];

    /// Returns systemd's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stub => "stub",
            Self::Loaded => "loaded",
            Self::NotFound => "not-found",
            Self::BadSetting => "bad-setting",
            Self::Error => "error",
            Self::Merged => "merged",
            Self::Masked => "masked",
        }
    }
}

/// systemd's ACTIVE: the state of the unit, the same set of words for every type of unit. The words are those of
/// systemd 252 to 257.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActiveState {
    /// It runs.
    Active,
    /// It runs and reads its configuration again.
    Reloading,
    /// It does not run.
    Inactive,
    /// It ended with an error.
    Failed,
    /// It starts.
    Activating,
    /// It stops.
    Deactivating,
    /// It does not run, and systemd cleans up its directories.
    Maintenance,
    /// It runs and its credentials or mounts are being renewed.
    Refreshing,
}

impl ActiveState {
    /// Every active state.
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Reloading,
        Self::Inactive,
        Self::Failed,
        Self::Activating,
        Self::Deactivating,
        Self::Maintenance,
        Self::Refreshing,
    ];

    /// Returns systemd's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Reloading => "reloading",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::Activating => "activating",
            Self::Deactivating => "deactivating",
            Self::Maintenance => "maintenance",
            Self::Refreshing => "refreshing",
        }
    }

    /// Reports whether processes of a unit in this state run, or may start to run at any moment.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Active) || self.is_changing()
    }

    /// Reports whether systemd is still moving a unit in this state to another one.
    pub const fn is_changing(self) -> bool {
        matches!(self, Self::Activating | Self::Reloading | Self::Deactivating | Self::Refreshing)
    }
}

/// systemd's JOB: what systemd is to do to a unit or does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobType {
    /// It is to start.
    Start,
    /// Another job waits until it is active.
    VerifyActive,
    /// It is to stop.
    Stop,
    /// It is to read its configuration again.
    Reload,
    /// It is to stop and to start.
    Restart,
    /// Another job waits for the ones of the unit to end.
    Nop,
    /// It is to stop and to start if it runs.
    TryRestart,
    /// It is to read its configuration again if it runs.
    TryReload,
    /// It is to read its configuration again if it runs, and to start otherwise.
    ReloadOrStart,
}

impl JobType {
    /// Every type of job.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::VerifyActive,
        Self::Stop,
        Self::Reload,
        Self::Restart,
        Self::Nop,
        Self::TryRestart,
        Self::TryReload,
        Self::ReloadOrStart,
    ];

    /// Returns systemd's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::VerifyActive => "verify-active",
            Self::Stop => "stop",
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::Nop => "nop",
            Self::TryRestart => "try-restart",
            Self::TryReload => "try-reload",
            Self::ReloadOrStart => "reload-or-start",
        }
    }

    /// Reports whether the job changes the state of its own unit.
    const fn changes_state(self) -> bool {
        !matches!(self, Self::VerifyActive | Self::Nop)
    }
}

/// systemd's SUB: the state within a type of unit, such as `running`, `dead` or `auto-restart`. Each type has its own
/// words and each release of systemd adds some, so the word is only checked for its form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubState(Cow<'static, str>);

impl SubState {
    /// A service that runs.
    pub const RUNNING: Self = Self(Cow::Borrowed("running"));
    /// A unit that does not run.
    pub const DEAD: Self = Self(Cow::Borrowed("dead"));
    /// A service that ended with an error.
    pub const FAILED: Self = Self(Cow::Borrowed("failed"));
    /// A service that starts.
    pub const START: Self = Self(Cow::Borrowed("start"));
    /// A service that stops.
    pub const STOP: Self = Self(Cow::Borrowed("stop-sigterm"));

    /// Returns systemd's word.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reports whether a service has ended and systemd waits for the time at which it starts the service again.
    fn is_auto_restart(&self) -> bool {
        matches!(self.as_str(), "auto-restart" | "auto-restart-queued")
    }
}

/// The text is not one of systemd's words for this property. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {property} {word:?}: expected {expected}")]
pub struct BadState {
    property: &'static str,
    word: String,
    expected: String,
}

impl BadState {
    fn new(property: &'static str, word: &str, expected: String) -> Self {
        Self { property, word: truncate(word, SUB_STATE_BYTES), expected }
    }
}

/// Returns the value that systemd writes as this word, or an error that lists the words of the property.
fn parse_word<T: Copy, const N: usize>(
    property: &'static str,
    word: &str,
    all: [T; N],
    as_str: impl Fn(T) -> &'static str,
) -> Result<T, BadState> {
    let found = all.into_iter().find(|value| as_str(*value) == word);
    found.ok_or_else(|| BadState::new(property, word, all.map(as_str).join(", ")))
}

impl FromStr for LoadState {
    type Err = BadState;

    fn from_str(word: &str) -> Result<Self, BadState> {
        parse_word("LoadState", word, Self::ALL, Self::as_str)
    }
}

impl FromStr for ActiveState {
    type Err = BadState;

    fn from_str(word: &str) -> Result<Self, BadState> {
        parse_word("ActiveState", word, Self::ALL, Self::as_str)
    }
}

impl FromStr for JobType {
    type Err = BadState;

    fn from_str(word: &str) -> Result<Self, BadState> {
        parse_word("JobType", word, Self::ALL, Self::as_str)
    }
}

impl FromStr for SubState {
    type Err = BadState;

    fn from_str(word: &str) -> Result<Self, BadState> {
        let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if plain && (1..=SUB_STATE_BYTES).contains(&word.len()) {
            return Ok(Self(Cow::Owned(word.to_owned())));
        }
        let expected = format!("1 to {SUB_STATE_BYTES} lower-case letters, digits and hyphens");
        Err(BadState::new("SubState", word, expected))
    }
}

impl TryFrom<String> for SubState {
    type Error = BadState;

    fn try_from(word: String) -> Result<Self, BadState> {
        word.parse()
    }
}

impl From<SubState> for String {
    fn from(state: SubState) -> Self {
        state.0.into_owned()
    }
}

impl fmt::Display for LoadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ActiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for SubState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
