//! `[Install]`: the other names that a unit gets on its host (`Alias=`), and the units that systemd enables with it (`Also=`).

use super::UnitFile;
use super::UnitName;
use super::UnitType;

/// `[Install]` names something that muster or systemd does not accept. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadInstall {
    /// It is not the name of a unit.
    #[error("Alias={0}: expected the name of a unit")]
    Name(String),
    /// It has a specifier that says something else on each host, or an unknown one.
    #[error("Alias={0}: the name must be the same on every host: expected no specifier but %i, %j, %n, %N, %p and %%")]
    Specifier(String),
    /// The alias has another type than the unit.
    #[error("Alias={alias}: an alias has the type of its unit: expected a name that ends in .{kind}")]
    Type {
        /// The alias.
        alias: String,
        /// The type of the unit.
        kind: UnitType,
    },
    /// Units of this type have one name only.
    #[error("Alias={alias}: a .{kind} has no alias")]
    NoAlias {
        /// The alias.
        alias: String,
        /// The type of the unit.
        kind: UnitType,
    },
    /// An instance and a unit that is none cannot have each other's names.
    #[error("Alias={0}: only an instance of a template has the name of an instance, and it is the same instance")]
    Instance(String),
}

/// Returns the names that systemd gives a unit besides its own (`Alias=`).
pub fn aliases(unit: &UnitName, file: &UnitFile) -> Result<Vec<UnitName>, BadInstall> {
    let Ok(unit) = unit.of_systemd().parse::<UnitName>() else { return Ok(Vec::new()) };
    // A path is a link in the folder of another unit, as `WantedBy=` makes one.
    let given = words(file, "Alias").filter(|word| !word.contains('/'));
    given.map(|word| alias(&unit, word)).collect()
}

/// Returns the units that systemd enables and disables with a unit (`Also=`), as far as their names are the same on every host.
pub fn also(unit: &UnitName, file: &UnitFile) -> Vec<UnitName> {
    let Ok(unit) = unit.of_systemd().parse::<UnitName>() else { return Vec::new() };
    words(file, "Also").filter_map(|word| expand(&unit, word)?.parse().ok()).collect()
}

/// Returns the words of an option of `[Install]`. An empty value removes those before it.
fn words<'a>(file: &'a UnitFile, option: &str) -> impl Iterator<Item = &'a str> {
    let mut words = Vec::new();
    for value in file.values("Install", option) {
        if value.is_empty() {
            words.clear();
        }
        words.extend(value.split_ascii_whitespace().filter(|word| *word != "\\"));
    }
    words.into_iter()
}

fn alias(unit: &UnitName, word: &str) -> Result<UnitName, BadInstall> {
    let said = || word.to_owned();
    let alias: UnitName = expand(unit, word)
        .ok_or_else(|| BadInstall::Specifier(said()))?
        .parse()
        .map_err(|_| BadInstall::Name(said()))?;
    let kind = unit.kind();
    if matches!(kind, UnitType::Mount | UnitType::Automount | UnitType::Swap | UnitType::Slice) {
        return Err(BadInstall::NoAlias { alias: said(), kind });
    }
    if alias.kind() != kind {
        return Err(BadInstall::Type { alias: said(), kind });
    }
    match (unit.instance(), alias.instance()) {
        // systemd fills in the instance.
        (Some(instance), None) if alias.is_template() => {
            format!("{}@{instance}.{kind}", alias.prefix()).parse().map_err(|_| BadInstall::Name(said()))
        }
        (own, other) if unit.is_template() || own == other && !alias.is_template() => Ok(alias),
        _ => Err(BadInstall::Instance(said())),
    }
}

/// Returns a word with the values of its specifiers (systemd.unit(5)); `None` if one of them depends on the host.
fn expand(unit: &UnitName, word: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        text.push_str(match rest.next()? {
            'i' => unit.instance().unwrap_or_default(),
            'j' => unit.prefix().rsplit('-').next().unwrap_or_default(),
            'n' => unit.as_str(),
            'N' => unit.stem(),
            'p' => unit.prefix(),
            '%' => "%",
            _ => return None,
        });
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(unit: &str, install: &str) -> Result<Vec<String>, String> {
        let file = UnitFile::parse(&format!("[Install]\n{install}\n")).unwrap();
        let found = aliases(&unit.parse().unwrap(), &file).map_err(|error| error.to_string())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_unit_has_the_names_that_it_says_with_their_specifiers() {
        for (unit, install, expected) in [
            (
                "web.service",
                "Alias=www.service site.service\nAlias=%p-%N.service",
                "www.service site.service web-web.service",
            ),
            ("web.service", "Alias=a.service\nAlias=\nAlias=b.service", "b.service"),
            ("shop-web@1.service", "Alias=%j@%i.service x@.service", "web@1.service x@1.service"),
            ("web.container", "Alias=www.service", "www.service"),
            ("web.service", "Alias=multi-user.target.wants/www.service\nWantedBy=a.target", ""),
            ("web@.service", "Alias=www@.service", "www@.service"),
        ] {
            assert_eq!(of(unit, install).unwrap().join(" "), expected, "{unit} {install}");
        }
    }

    #[test]
    fn an_alias_that_systemd_would_refuse_is_an_error_with_its_name() {
        for (unit, alias, expected) in [
            ("web.service", "www.socket", "an alias has the type of its unit: expected a name that ends in .service"),
            (
                "web.container",
                "www.container",
                "an alias has the type of its unit: expected a name that ends in .service",
            ),
            ("shop.slice", "other.slice", "a .slice has no alias"),
            ("web.service", "www", "expected the name of a unit"),
            (
                "web.service",
                "www@1.service",
                "only an instance of a template has the name of an instance, and it is the same instance",
            ),
            (
                "web@1.service",
                "www@2.service",
                "only an instance of a template has the name of an instance, and it is the same instance",
            ),
            (
                "web@1.service",
                "www.service",
                "only an instance of a template has the name of an instance, and it is the same instance",
            ),
            (
                "web.service",
                "web-%H.service",
                "the name must be the same on every host: expected no specifier but %i, %j, %n, %N, %p and %%",
            ),
        ] {
            assert_eq!(
                of(unit, &format!("Alias={alias}")).unwrap_err(),
                format!("Alias={alias}: {expected}"),
                "{unit}"
            );
        }
    }

    #[test]
    fn units_that_are_enabled_together_are_named() {
        let file = UnitFile::parse("[Install]\nAlso=%p.socket b.timer %H.service\n").unwrap();
        let found: Vec<String> = also(&"web.service".parse().unwrap(), &file).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["web.socket", "b.timer"]);
    }
}
