//! Two operators at once, at one store.

use std::process::Stdio;

use super::Desk;
use super::unit;

#[test]
fn submits_at_the_same_time_all_succeed_and_nothing_is_lost() {
    let desk = Desk::new();
    desk.write("same.service", unit("same"));
    let names: Vec<String> = (0..10).map(|number| format!("own-{number}.service")).collect();
    for name in &names {
        desk.write(name, unit(name));
    }
    // Nobody has made the store yet either.
    let same = std::iter::repeat_n(vec!["submit", "same.service"], 10);
    let own = names.iter().map(|name| vec!["submit", name.as_str(), "same.service"]);
    let all: Vec<_> = same
        .chain(own)
        .map(|args| desk.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    let said: Vec<_> = all.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &said {
        assert!(output.status.success(), "{output:?}");
    }
    let printed: String = said.iter().map(|output| String::from_utf8_lossy(&output.stdout)).collect();
    let mut created: Vec<&str> = printed.lines().collect();
    created.sort_unstable();
    let mut expected: Vec<String> = names.iter().map(|name| format!("Unit {name} inactive")).collect();
    expected.push("Unit same.service inactive".to_owned());
    assert_eq!(created, expected, "each is made once, by one of them");
    let listed = desk.muster(&["list-unit-files", "--no-legend", "--fields=unit"]).ok();
    assert_eq!(listed.lines().count(), 11, "{listed}");
    for name in &names {
        assert_eq!(desk.muster(&["cat", name]).ok(), unit(name));
    }
}
