//! Unit files as fleet read them: names, text, hash and the `[X-Fleet]` section; and muster's own `[X-Muster]`.

mod class;
mod file;
mod fleet;
mod glob;
mod hash;
mod name;
mod parse;

pub use class::BadClass;
pub use class::Class;
pub use file::BadUnitFile;
pub use file::Fault;
pub use file::Oddity;
pub use file::UnitFile;
pub use file::UnitOption;
pub use file::Warning;
pub use fleet::BadRequirements;
pub use fleet::Ignored;
pub use fleet::Pin;
pub use fleet::Requirements;
pub use glob::BadGlob;
pub use glob::Glob;
pub use hash::Hash;
pub use name::BadUnitName;
pub use name::UnitName;
pub use name::UnitType;
