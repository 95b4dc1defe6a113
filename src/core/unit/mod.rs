//! Unit files as fleet read them: names, text, hash and the `[X-Fleet]` section.

mod file;
mod hash;
mod name;

pub use file::BadUnitFile;
pub use file::UnitFile;
pub use file::UnitOption;
pub use hash::Hash;
pub use name::BadUnitName;
pub use name::UnitName;
