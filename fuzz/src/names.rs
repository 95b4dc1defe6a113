//! The names of units and machines, addresses, and locations of stores.

use std::fmt::Debug;
use std::fmt::Display;
use std::str::FromStr;

use muster::core::model::Address;
use muster::core::model::MachineId;
use muster::core::unit::UnitName;
use muster::store::Location;

/// Parses a text as each kind of name. The printed name must be parsed as the same name.
pub fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(name) = printed_and_parsed::<UnitName>(text) {
        assert_eq!(name.to_string(), text);
        let template = name.template().inspect(|template| assert!(template.is_template()));
        template.and_then(|template| printed_and_parsed::<UnitName>(&template.to_string()).expect("a name").template());
    }
    printed_and_parsed::<Address>(text);
    printed_and_parsed::<Location>(text);
    printed_and_parsed::<MachineId>(text);
}

fn printed_and_parsed<T: FromStr + Display + Debug + PartialEq>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    let again = value.to_string().parse().ok();
    assert_eq!(again.as_ref(), Some(&value), "{text:?} is printed as {value}");
    again
}
