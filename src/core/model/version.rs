//! A file that a unit had before.

use std::sync::Arc;

use super::Timestamp;
use crate::core::unit::Contents;
use crate::core::unit::ImageDigest;
use crate::core::unit::UnitFile;

/// A file that a unit had before, and all that is needed to go back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitVersion {
    /// The file.
    pub file: Arc<UnitFile>,
    /// The contents of the files that went with it.
    pub contents: Contents,
    /// When it was replaced.
    pub replaced_at: Timestamp,
    /// The operator that replaced it: `user@host`.
    pub replaced_by: String,
    /// The image with which it ran last, if it is a container and a host has said so.
    pub image: Option<ImageDigest>,
}
