//! `[X-Muster]`: what fleet had no words for.

use std::fmt;

use super::UnitFile;

/// What a unit may do while a partition lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// It may briefly run twice, and is back sooner.
    #[default]
    Available,
    /// It never runs twice, and waits for proof that it does not.
    Strict,
}

/// What `[X-Muster]` says cannot be followed, so the unit is refused. Nothing was changed.
///
/// Unlike `[X-Fleet]`, nothing here is skipped: a promise that was misspelt would be a promise that is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClass {
    /// A class that there is not.
    #[error("[X-Muster] Class={0}: there are `available` and `strict`")]
    Unknown(String),
    /// Two lines that say a class.
    #[error("[X-Muster] Class= is given twice: keep one")]
    Twice,
    /// Something else than `Class=`.
    #[error("[X-Muster] {0}=: only `Class=` is known here")]
    Key(String),
}

impl Class {
    /// Reads the class of a unit.
    pub fn of(file: &UnitFile) -> Result<Self, BadClass> {
        let mut class = None;
        for option in file.options().iter().filter(|option| option.section == "X-Muster") {
            if option.name != "Class" {
                return Err(BadClass::Key(option.name.clone()));
            }
            let said = match option.value.as_str() {
                "available" => Self::Available,
                "strict" => Self::Strict,
                other => return Err(BadClass::Unknown(other.to_owned())),
            };
            if class.replace(said).is_some() {
                return Err(BadClass::Twice);
            }
        }
        Ok(class.unwrap_or_default())
    }

    /// Returns the class that a unit is treated as: one that cannot be read may be a promise, so it is kept.
    pub fn binding(file: &UnitFile) -> Self {
        Self::of(file).unwrap_or(Self::Strict)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Available => "available",
            Self::Strict => "strict",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Class, BadClass> {
        Class::of(&UnitFile::parse(text).unwrap())
    }

    #[test]
    fn a_unit_says_its_class_or_is_available() {
        assert_eq!(of("[Service]\nClass=strict\n"), Ok(Class::Available));
        assert_eq!(of("[X-Muster]\nClass=available\n"), Ok(Class::Available));
        assert_eq!(of("[X-Muster]\nClass=strict\n"), Ok(Class::Strict));
    }

    #[test]
    fn anything_else_is_refused() {
        let refusal = |text| of(text).unwrap_err().to_string();
        assert_eq!(
            refusal("[X-Muster]\nClass=Strict\n"),
            "[X-Muster] Class=Strict: there are `available` and `strict`"
        );
        assert_eq!(refusal("[X-Muster]\nclass=strict\n"), "[X-Muster] class=: only `Class=` is known here");
        assert_eq!(refusal("[X-Muster]\nClass=strict\nClass=strict\n"), "[X-Muster] Class= is given twice: keep one");
    }
}
