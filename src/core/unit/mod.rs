//! Unit files as fleet read them: names, text, hash and the `[X-Fleet]` section. muster adds `[X-Muster]`.

pub mod application;
mod class;
mod credentials;
mod directives;
mod enumerations;
mod file;
mod fleet;
mod glob;
mod hash;
mod name;
mod parse;
mod quadlet;

pub use application::CompanionFile;
pub use application::Contents;
pub use class::BadClass;
pub use class::Class;
pub use credentials::secrets;
pub use credentials::with_versions;
pub use file::UnitFile;
pub use fleet::BadRequirements;
pub use fleet::IgnoredRequirement;
pub use fleet::Pin;
pub use fleet::Requirements;
pub use glob::BadGlob;
pub use glob::Glob;
pub use hash::Hash;
pub use name::BadUnitName;
pub use name::UnitName;
pub use name::UnitType;
pub use parse::BadUnitFile;
pub use parse::SyntaxError;
pub use parse::UnitOption;
pub use parse::Warning;
pub use parse::WarningKind;
pub use quadlet::ImagePull;
pub use quadlet::fault as quadlet_fault;
